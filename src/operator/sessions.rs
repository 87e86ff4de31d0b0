//! Verified (token, device) pairs, as operators look at and end them.

use super::code::Code;
use super::problem::{Naming, OperatorError};
use super::table::{Endpoint, Resource, endpoint, shape};
use super::users::OF_USER;
use super::wire::{Answer, Body, Checked, exposed, limit, number};
use super::{Caller, Gone, Operator, Page};
use crate::auth::ports::{Ended, SessionQuery, SessionRow, Which};
use crate::event::EventKind;
use crate::id::{SessionId, UserId};
use crate::secret::Secret;
use axum::extract::{Path, Query, State};
use axum::{Json, routing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

pub(super) const RESOURCE: Resource = Resource {
    tag: "Sessions",
    about: "Verified pairs of a token and a device.",
    endpoints: &[
        Endpoint {
            query: Some(shape::<List>),
            errors: OF_USER,
            ..endpoint(
                "GET",
                "/v1/sessions",
                "Live sessions, newest first.",
                || routing::get(list),
                shape::<Page<SessionLine>>,
            )
        },
        Endpoint {
            errors: &[Code::NoSuchSession, Code::Invalid],
            ..endpoint(
                "DELETE",
                "/v1/sessions/{id}",
                "Revoke one session, everywhere within a second.",
                || routing::delete(revoke_one),
                shape::<Gone<SessionId>>,
            )
        },
        Endpoint {
            body: Some(shape::<Revoke>),
            errors: &[
                Code::NoSuchUser,
                Code::AmbiguousUser,
                Code::NoSuchIdentity,
                Code::NoSuchDevice,
                Code::NoSuchToken,
                Code::ShareLink,
            ],
            ..endpoint(
                "POST",
                "/v1/sessions/revoke",
                "Revoke a user's sessions, a device's, those of a token (with the token), or all: everywhere within a \
                 second.",
                || routing::post(revoke),
                shape::<SessionsRevoked>,
            )
        },
    ],
};

/// Which sessions are listed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Only this user's: a name, a number, or `id:` and a number.
    user: Option<String>,
    /// Tells namesakes apart.
    identity: Option<String>,
    /// Only this device's: as this list shows it, or as its client names itself.
    device: Option<String>,
    /// How many at most: 1 to 1000, else 100.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only those with a number below this one: `next` of the part before.
    before: Option<i64>,
}

/// The sessions to be revoked: one of `user`, `device`, `token` and `all`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(example = json!({ "user": "anna" }))]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// All of this user's: a name, a number, or `id:` and a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// All of this device's, as the list shows it or as its client names itself; with `user`, only that
    /// user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// A token, which is revoked with all that came of it.
    #[serde(default, with = "exposed", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub token: Option<Secret>,
    /// Everybody's.
    #[serde(default)]
    pub all: bool,
    /// With `user`: tells namesakes apart. With `token`: the identity that it is of, else all are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Session")]
pub struct SessionLine {
    pub id: SessionId,
    /// Whose it is: the number, the name, and the identity that the name is of.
    pub user: UserId,
    pub name: String,
    pub identity: String,
    /// A short name that stands for the device; `null`: its client names none.
    pub device: Option<String>,
    /// What the client calls itself, and where it was verified from.
    pub client: Option<String>,
    pub address: Option<String>,
    /// Of a share link's: what lies at and below it is all that it opens.
    pub path: Option<String>,
    pub factor: String,
    pub verified_at: String,
    pub last_seen_at: String,
    pub expires_at: String,
}

/// How many sessions were revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsRevoked {
    pub revoked: u64,
}

async fn list(
    State(operator): State<Operator>,
    Checked(Query(asked)): Checked<Query<List>>,
) -> Answer<Page<SessionLine>> {
    let limit = limit(asked.limit)?;
    let identity = asked.identity.as_deref();
    let user = match &asked.user {
        Some(user) => Some(operator.find_user(user, identity, Naming::Query).await?.id),
        None => None,
    };
    let devices = asked.device.as_deref().map(|it| operator.labels(it));
    let query = SessionQuery {
        user,
        devices: devices.unwrap_or_default(),
        before: asked.before.map(SessionId),
        limit: limit + 1,
    };
    let now = operator.clock.now();
    let rows = operator.store.find_sessions(query, now).await?;
    let page = Page::of(rows, limit, |row| row.session.id.0);
    Ok(Json(page.map(|row| line(&row))))
}

async fn revoke_one(
    State(operator): State<Operator>,
    caller: Caller,
    Checked(Path(id)): Checked<Path<String>>,
) -> Answer<Gone<SessionId>> {
    let id = SessionId(number(&id)?);
    let no_such = || OperatorError::NoSuchSession(id);
    // Looked up before: of a session that has ended nobody knows whose it was.
    let row = operator.live(id).await?.ok_or_else(no_such)?;
    if operator.end(Which::Session(id)).await? == 0 {
        return Err(no_such());
    }
    let detail = match &row.device_label {
        Some(device) => format!("session {id}, device {device}"),
        None => format!("session {id}"),
    };
    let user = row.session.holder.user;
    operator.emit(caller, EventKind::Revoked, Some(user), &detail);
    Ok(Json(Gone { id }))
}

async fn revoke(
    State(operator): State<Operator>,
    caller: Caller,
    Body(revoke): Body<Revoke>,
) -> Answer<SessionsRevoked> {
    let of = revoke.identity.as_deref();
    let revoked = match (revoke.user, revoke.device, revoke.token, revoke.all) {
        (Some(user), None, None, false) => {
            let id = operator.find_user(&user, of, Naming::Body).await?.id;
            let ended = operator.end(Which::User(id)).await?;
            operator.emit(caller, EventKind::Revoked, Some(id), "sessions of the user");
            ended
        }
        (user, Some(device), None, false) => {
            let user = match user {
                Some(user) => Some(operator.find_user(&user, of, Naming::Body).await?.id),
                None => None,
            };
            operator.end_device(caller, device, user).await?
        }
        (None, None, Some(token), false) => operator.end_token(caller, &token, of).await?,
        (None, None, None, true) => {
            let ended = operator.end(Which::All).await?;
            operator.emit(caller, EventKind::Revoked, None, "all sessions");
            ended
        }
        _ => {
            let choices = "`user`, `device`, `token` and `all` (`device` may have a `user`)";
            return Err(OperatorError::NotOneChoice(choices));
        }
    };
    Ok(Json(SessionsRevoked { revoked }))
}

impl Operator {
    async fn end(&self, which: Which) -> Result<u64, OperatorError> {
        let ended = self.store.revoke(which, self.clock.now()).await?;
        self.forget(which);
        Ok(ended)
    }

    /// The live session of that number.
    async fn live(&self, id: SessionId) -> Result<Option<SessionRow>, OperatorError> {
        // The newest below the next number is this one or an older one.
        let query = SessionQuery {
            user: None,
            devices: Vec::new(),
            before: id.0.checked_add(1).map(SessionId),
            limit: 1,
        };
        let rows = self.store.find_sessions(query, self.clock.now()).await?;
        Ok(rows.into_iter().find(|row| row.session.id == id))
    }

    /// What a device can be meant by: its label, or what its client calls itself.
    fn labels(&self, device: &str) -> Vec<String> {
        vec![device.to_owned(), self.keys.device_label(device)]
    }

    async fn end_device(
        &self,
        caller: Caller,
        device: String,
        user: Option<UserId>,
    ) -> Result<u64, OperatorError> {
        let (labels, now) = (self.labels(&device), self.clock.now());
        let ended = self.store.revoke_devices(&labels, user, now).await?;
        if ended.is_empty() {
            return Err(OperatorError::NoSuchDevice(device));
        }
        let mut whose = BTreeMap::new();
        for Ended { id, user, device } in &ended {
            self.forget(Which::Session(*id));
            *whose.entry((*user, device)).or_insert(0) += 1;
        }
        for ((user, device), count) in whose {
            let detail = format!("sessions of device {device}: {count}");
            self.emit(caller, EventKind::Revoked, Some(user), &detail);
        }
        Ok(ended.len() as u64)
    }

    /// Ends a token with all that came of it. Its digest is made under its identity's own keys.
    async fn end_token(
        &self,
        caller: Caller,
        token: &Secret,
        identity: Option<&str>,
    ) -> Result<u64, OperatorError> {
        let realms = self.identities(identity, Naming::Body)?;
        let now = self.clock.now();
        let mut held = Vec::new();
        // All are looked at before any is ended.
        for realm in realms {
            let digest = self.keys.realm(&realm).token(token.expose());
            // A link stays good for as long as its share does.
            if let Some(share) = self.store.share_of_link(digest, now).await? {
                return Err(OperatorError::ShareLink(share.id));
            }
            if let Some((_, holder)) = self.store.token(digest, now).await? {
                held.push((digest, holder));
            }
        }
        let mut found = None;
        for (digest, holder) in held {
            self.forget_browsers(holder.user).await?;
            let ended = self.store.drop_token(digest, now).await?;
            // Of the user, and not of each session: what is open by the token alone has none.
            self.forget(Which::User(holder.user));
            self.emit(caller, EventKind::Revoked, Some(holder.user), "token");
            found = Some(found.unwrap_or(0) + ended.len() as u64);
        }
        found.ok_or(OperatorError::NoSuchToken)
    }

    /// Whoever had the token may have the browser: the next sign-in is asked for the second factor, whatever browser
    /// of the user's it is in. Before the token ends, so that what a crash leaves behind can be ended again.
    async fn forget_browsers(&self, user: UserId) -> Result<(), OperatorError> {
        for browser in self.store.browsers(user, self.clock.now()).await? {
            self.store.forget_browser(user, browser.id).await?;
        }
        Ok(())
    }
}

fn line(row: &SessionRow) -> SessionLine {
    let session = &row.session;
    SessionLine {
        id: session.id,
        user: session.holder.user,
        name: session.holder.name.to_string(),
        identity: row.realm.clone(),
        device: row.device_label.clone(),
        client: row.whence.as_ref().map(|it| it.client.clone()),
        address: row.whence.as_ref().map(|it| it.address.to_string()),
        path: session.holder.scope().map(str::to_owned),
        factor: session.factor.as_str().to_owned(),
        verified_at: session.verified_at.iso8601(),
        last_seen_at: session.last_seen_at.iso8601(),
        expires_at: session.expires_at.iso8601(),
    }
}
