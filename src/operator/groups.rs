//! Which groups users are in, for the rules of the policy that name some.

use super::problem::OperatorError;
use super::table::{Endpoint, Resource, endpoint, shape};
use super::users::OfIdentity;
use super::wire::{Answer, Body, Checked};
use super::{Caller, Operator};
use crate::auth::ports::Which;
use crate::config::model::{GROUPS_MAX, Identity, is_group};
use crate::event::EventKind;
use crate::id::UserId;
use axum::extract::{Path, Query, State};
use axum::{Json, routing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) const RESOURCE: Resource = Resource {
    tag: "Groups",
    about: "What the rules of a route's policy can name users by.",
    endpoints: &[Endpoint {
        query: Some(shape::<OfIdentity>),
        body: Some(shape::<GroupsPut>),
        errors: &[404],
        ..endpoint(
            "PUT",
            "/v1/users/{user}/groups",
            "Put a user into these groups and no others. It holds at once, for sessions too.",
            || routing::put(put),
            shape::<GroupsLine>,
        )
    }],
};

/// All the groups that a user is to be in.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupsPut {
    pub groups: Vec<String>,
}

/// The groups that a user is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Groups")]
pub struct GroupsLine {
    pub id: UserId,
    pub groups: Vec<String>,
}

async fn put(
    State(operator): State<Operator>,
    caller: Caller,
    Checked(Path(user)): Checked<Path<String>>,
    Checked(Query(of)): Checked<Query<OfIdentity>>,
    Body(asked): Body<GroupsPut>,
) -> Answer<GroupsLine> {
    let user = operator.find_user(&user, of.identity.as_deref()).await?;
    if operator.takes_groups_from_tokens(&user.realm) {
        return Err(OperatorError::GroupsOfIssuer(user.realm));
    }
    let groups = checked(asked.groups)?;
    let (id, now) = (user.id, operator.clock.now());
    if !operator.store.set_groups(id, groups, now).await? {
        return Err(OperatorError::GroupsOfShare(user.name));
    }
    operator.forget(Which::User(id));
    let set = operator.store.user(id).await?;
    let groups = set.map(|set| set.groups).unwrap_or_default();
    let count = groups.len();
    let detail = format!("{count} groups");
    operator.emit(caller, EventKind::Regrouped, Some(id), &detail);
    Ok(Json(GroupsLine { id, groups }))
}

impl Operator {
    fn takes_groups_from_tokens(&self, identity: &str) -> bool {
        match self.config.load().identities.get(identity) {
            Some(Identity::Learn(learn)) => learn.groups.is_some(),
            Some(Identity::Jwt(jwt)) => jwt.claims.groups.is_some(),
            Some(Identity::Introspection(oauth)) => oauth.claims.groups.is_some(),
            Some(Identity::Accounts) | None => false,
        }
    }
}

/// Groups whose names can be names.
pub(super) fn checked(groups: Vec<String>) -> Result<Vec<String>, OperatorError> {
    if groups.len() > GROUPS_MAX {
        return Err(OperatorError::TooManyGroups);
    }
    match groups.iter().find(|name| !is_group(name)) {
        Some(bad) => Err(OperatorError::BadGroup(bad.clone())),
        None => Ok(groups),
    }
}
