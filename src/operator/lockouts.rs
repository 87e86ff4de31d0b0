//! Who is delayed or locked for wrong codes and passwords, as operators look at and free them.
//!
//! Failures are counted under digests. Whose they are is sealed beside them; of those counted without
//! a name, the users that there are are tried.

use super::problem::OperatorError;
use super::table::{Endpoint, Resource, endpoint, shape};
use super::wire::{Answer, Checked, LIMIT_MAX, limit};
use super::{Caller, Operator, Page, iso, masked_email};
use crate::auth::ports::{Lockout, LockoutId, User};
use crate::auth::subject::{self, Who};
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use crate::event::EventKind;
use crate::id::UserId;
use axum::extract::{Path, Query, State};
use axum::{Json, routing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;

pub(super) const RESOURCE: Resource = Resource {
    tag: "Lockouts",
    about: "Who has to wait, or is locked, for wrong codes and passwords.",
    endpoints: &[
        Endpoint {
            query: Some(shape::<List>),
            ..endpoint(
                "GET",
                "/v1/lockouts",
                "Users, account names and addresses that are delayed or locked now.",
                || routing::get(list),
                shape::<Page<LockoutLine>>,
            )
        },
        Endpoint {
            query: Some(shape::<OfWhom>),
            errors: &[404],
            ..endpoint(
                "DELETE",
                "/v1/lockouts",
                "Free a user (wrong codes, and wrong passwords under the user's name and address) or a client's \
                 address. Factors and sessions stay.",
                || routing::delete(free),
                shape::<Freed>,
            )
        },
        Endpoint {
            errors: &[404],
            ..endpoint(
                "DELETE",
                "/v1/lockouts/{id}",
                "Free whoever is behind one line of the list.",
                || routing::delete(free_one),
                shape::<Freed>,
            )
        },
    ],
};

/// Which part of the list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// How many at most: 1 to 1000, else 100.
    limit: Option<u32>,
    /// Only those behind this one.
    after: Option<String>,
}

/// Who is freed: one of both.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfWhom {
    /// A name, a number, or `id:` and a number.
    user: Option<String>,
    /// With `user`: tells namesakes apart.
    identity: Option<String>,
    /// A client's address; of IPv6, any of its /64.
    address: Option<String>,
}

/// Somebody who has to wait, or is locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Lockout")]
pub struct LockoutLine {
    pub id: String,
    /// Wrong codes of a `user`; wrong passwords for the name of an `account`, as it was typed; wrong
    /// codes for an email address that somebody without a token has named (`mailbox`); both from an
    /// `address`; `unknown`: nobody knows any more.
    pub kind: LockoutKind,
    pub user: Option<UserId>,
    pub identity: Option<String>,
    pub name: Option<String>,
    pub address: Option<String>,
    /// Wrong ones in a row.
    pub failures: u32,
    /// Until an operator or a backup code lifts it.
    pub locked: bool,
    /// `null`: not delayed.
    pub delayed_until: Option<String>,
}

/// Whom failures are counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockoutKind {
    User,
    Account,
    Mailbox,
    Address,
    Unknown,
}

impl LockoutKind {
    /// The word in lists.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Account => "account",
            Self::Mailbox => "mailbox",
            Self::Address => "address",
            Self::Unknown => "unknown",
        }
    }
}

/// How many counters went back to zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Freed {
    pub freed: u64,
}

async fn list(
    State(operator): State<Operator>,
    Checked(Query(asked)): Checked<Query<List>>,
) -> Answer<Page<LockoutLine>> {
    let (limit, now) = (limit(asked.limit)?, operator.clock.now());
    let after = asked.after.as_deref().map(lockout_id).transpose()?;
    let found = operator.store.lockouts(after, limit + 1, now).await?;
    let page = Page::of(found, limit, |lockout| hex(lockout.id()));
    let names = operator.names(&page.items).await?;
    Ok(Json(page.map(|lockout| line(&lockout, &names, now))))
}

async fn free(
    State(operator): State<Operator>,
    caller: Caller,
    Checked(Query(of)): Checked<Query<OfWhom>>,
) -> Answer<Freed> {
    let (user, subjects) = match (&of.user, &of.address) {
        (Some(user), None) => {
            let user = operator.find_user(user, of.identity.as_deref()).await?;
            (Some(user.id), operator.subjects_of(&user))
        }
        (None, Some(text)) => {
            let wrong = |_| OperatorError::NotAnAddress(text.clone());
            let address: IpAddr = text.parse().map_err(wrong)?;
            (None, vec![subject::address(&operator.keys, address)])
        }
        _ => return Err(OperatorError::NotUserOrAddress),
    };
    let freed = operator.store.free(&subjects).await?;
    operator.emit(caller, EventKind::Freed, user, "wrong codes and passwords");
    Ok(Json(Freed { freed }))
}

async fn free_one(
    State(operator): State<Operator>,
    caller: Caller,
    Checked(Path(id)): Checked<Path<String>>,
) -> Answer<Freed> {
    if !operator.store.free_lockout(lockout_id(&id)?).await? {
        return Err(OperatorError::NoSuchLockout(id));
    }
    operator.emit(caller, EventKind::Freed, None, &format!("lockout {id}"));
    Ok(Json(Freed { freed: 1 }))
}

/// Whom the users are that nameless counters may stand for.
type Names = HashMap<SubjectDigest, (LockoutKind, User)>;

impl Operator {
    /// All that wrong codes and passwords of a user are counted under.
    pub(super) fn subjects_of(&self, user: &User) -> Vec<SubjectDigest> {
        let kinds = self.kinds_of(user);
        kinds.into_iter().map(|(subject, _)| subject).collect()
    }

    fn kinds_of(&self, user: &User) -> Vec<(SubjectDigest, LockoutKind)> {
        let (keys, realm) = (&self.keys, &user.realm);
        let account = |name: &str| subject::account(keys, realm, name);
        let mut all = vec![
            (subject::user(keys, user.id), LockoutKind::User),
            (account(&user.name), LockoutKind::Account),
            // Backends' names count without their case.
            (account(&user.name.to_lowercase()), LockoutKind::Account),
        ];
        if let Some(email) = &user.email {
            let email = email.expose();
            let mailbox = subject::unauthorized(keys, realm, email);
            all.push((account(&subject::mailbox(email)), LockoutKind::Account));
            all.push((mailbox, LockoutKind::Mailbox));
        }
        all
    }

    /// The users behind the counters that say nothing of whose they are.
    async fn names(&self, lockouts: &[Lockout]) -> Result<Names, OperatorError> {
        let mut names = Names::new();
        let is_asked = |subject: &SubjectDigest| {
            let mut nameless = lockouts.iter().filter(|it| it.who.is_none());
            nameless.any(|it| it.subject == *subject)
        };
        if lockouts.iter().all(|it| it.who.is_some()) {
            return Ok(names);
        }
        let mut after = UserId(0);
        loop {
            let users = self.store.users_after(after, LIMIT_MAX).await?;
            let Some(last) = users.last() else {
                return Ok(names);
            };
            after = last.id;
            for user in users {
                for (subject, kind) in self.kinds_of(&user) {
                    if is_asked(&subject) {
                        names.insert(subject, (kind, user.clone()));
                    }
                }
            }
        }
    }
}

fn line(lockout: &Lockout, names: &Names, now: Timestamp) -> LockoutLine {
    let counter = lockout.counter;
    let delayed_until = Some(counter.delayed_until).filter(|until| *until > now);
    let line = LockoutLine {
        id: hex(lockout.id()),
        kind: LockoutKind::Unknown,
        user: None,
        identity: None,
        name: None,
        address: None,
        failures: counter.failures,
        locked: counter.locked,
        delayed_until: iso(delayed_until),
    };
    match (&lockout.who, names.get(&lockout.subject)) {
        (Some(Who::User(user)), _) => LockoutLine {
            kind: LockoutKind::User,
            user: Some(*user),
            ..line
        },
        (Some(Who::Account { realm, name }), _) => LockoutLine {
            kind: LockoutKind::Account,
            identity: Some(realm.clone()),
            name: Some(name.clone()),
            ..line
        },
        (Some(Who::Network(address)), _) => LockoutLine {
            kind: LockoutKind::Address,
            address: Some(match address {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("{v6}/64"),
            }),
            ..line
        },
        (None, Some((kind, user))) => LockoutLine {
            kind: *kind,
            user: Some(user.id),
            identity: Some(user.realm.clone()),
            name: match kind {
                LockoutKind::Mailbox => user.email.as_ref().map(masked_email),
                _ => Some(user.name.clone()),
            },
            ..line
        },
        (None, None) => line,
    }
}

fn hex(id: LockoutId) -> String {
    id.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn lockout_id(text: &str) -> Result<LockoutId, OperatorError> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex);
    let number = number.ok_or_else(|| OperatorError::NoSuchLockout(text.to_owned()))?;
    Ok(number.to_be_bytes())
}
