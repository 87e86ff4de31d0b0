//! The second factors of a user, as operators look at and remove them.

use super::code::Code;
use super::problem::{Naming, OperatorError};
use super::table::{Endpoint, Resource, endpoint, shape};
use super::users::{OF_USER, OfIdentity, is_recipient};
use super::wire::{Answer, Checked};
use super::{Caller, Gone, Operator, Page, iso};
use crate::auth::ports::{Disable, Enrolled, FactorKind, Passkey, Target};
use crate::event::EventKind;
use crate::id::PasskeyId;
use axum::extract::{Path, Query, State};
use axum::{Json, routing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) const RESOURCE: Resource = Resource {
    tag: "Factors",
    about: "The second factors of a user.",
    endpoints: &[
        Endpoint {
            query: Some(shape::<OfIdentity>),
            errors: OF_USER,
            ..endpoint(
                "GET",
                "/v1/users/{user}/factors",
                "What a user can be asked for.",
                || routing::get(list),
                shape::<Factors>,
            )
        },
        Endpoint {
            query: Some(shape::<OfIdentity>),
            errors: &[
                Code::NoSuchUser,
                Code::AmbiguousUser,
                Code::NoSuchIdentity,
                Code::ShareRecipient,
                Code::NoSuchFactor,
            ],
            ..endpoint(
                "DELETE",
                "/v1/users/{user}/factors/{factor}",
                "Remove a factor, also one that the operator or a profile has given; with the last one go the \
                 backup codes. Sessions go on.",
                || routing::delete(remove),
                shape::<Gone<String>>,
            )
        },
    ],
};

/// The factors of a user, in the order in which they are offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Factors {
    #[serde(flatten)]
    pub page: Page<FactorLine>,
    /// Those that are not spent.
    pub backup_codes_left: u32,
}

/// A factor. Numbers and addresses are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Factor")]
pub struct FactorLine {
    /// What it is removed by: `sms`, `totp`, `email`, `passkey-3`.
    pub id: String,
    pub kind: String,
    /// Where its codes go.
    pub to: Option<String>,
    /// Whether its user enrolled it; the operator or a profile gave the others.
    pub enrolled: bool,
    /// Of a passkey: what its user calls it, and the host that it is for.
    pub label: Option<String>,
    pub host: Option<String>,
    pub created_at: Option<String>,
    pub last_used_at: Option<String>,
}

async fn list(
    State(operator): State<Operator>,
    Checked(Path(user)): Checked<Path<String>>,
    Checked(Query(of)): Checked<Query<OfIdentity>>,
) -> Answer<Factors> {
    let user = operator
        .find_user(&user, of.identity.as_deref(), Naming::Path)
        .await?;
    let set = operator.store.factors(user.id).await?;
    let enrolled = set.enrolled.iter().map(enrolled);
    let passkeys = set.passkeys.iter().map(passkey);
    Ok(Json(Factors {
        page: Page::whole(enrolled.chain(passkeys).collect()),
        backup_codes_left: set.backup_codes_left,
    }))
}

async fn remove(
    State(operator): State<Operator>,
    caller: Caller,
    Checked(Path((user, factor))): Checked<Path<(String, String)>>,
    Checked(Query(of)): Checked<Query<OfIdentity>>,
) -> Answer<Gone<String>> {
    let user = operator
        .find_user(&user, of.identity.as_deref(), Naming::Path)
        .await?;
    // Without its number or address, nobody could open the link.
    if is_recipient(&user) {
        return Err(OperatorError::ShareRecipient(user.id));
    }
    let user = user.id;
    let no_such = || OperatorError::NoSuchFactor(factor.clone());
    let target = target(&factor).ok_or_else(no_such)?;
    let off = Disable::Own {
        target,
        last_too: true,
        email_counts: operator.config.load().delivery.email.is_some(),
    };
    let was_on = operator
        .store
        .disable(user, off, operator.clock.now())
        .await?;
    if !was_on {
        return Err(no_such());
    }
    let detail = format!("factor {factor}");
    operator.emit(caller, EventKind::Removed, Some(user), &detail);
    Ok(Json(Gone { id: factor }))
}

/// What a factor is called by.
fn target(id: &str) -> Option<Target> {
    match id.strip_prefix("passkey-") {
        Some(number) => number.parse().ok().map(|id| PasskeyId(id).into()),
        None => FactorKind::from_name(id).map(Into::into),
    }
}

fn enrolled(one: &Enrolled) -> FactorLine {
    let kind = one.value.kind().as_str().to_owned();
    FactorLine {
        id: kind.clone(),
        kind,
        to: one.value.masked(),
        enrolled: one.id.is_some(),
        label: None,
        host: None,
        created_at: None,
        last_used_at: None,
    }
}

fn passkey(one: &Passkey) -> FactorLine {
    FactorLine {
        id: format!("passkey-{}", one.id),
        kind: FactorKind::Passkey.as_str().to_owned(),
        to: None,
        enrolled: true,
        label: Some(one.name.clone()),
        host: Some(one.host.clone()),
        created_at: Some(one.created_at.iso8601()),
        last_used_at: iso(one.last_used_at),
    }
}
