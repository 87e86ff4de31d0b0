//! Who is delayed or locked for wrong codes and passwords, as operators look at and clear them.
//!
//! Failures are counted under digests. Whose they are is sealed beside them; of those counted without
//! a name, the users that there are are tried.

use super::code::Code;
use super::problem::{Naming, OperatorError};
use super::table::{Endpoint, Resource, endpoint, shape};
use super::users::OF_USER;
use super::wire::{Answer, Body, Checked, LIMIT_MAX, Part};
use super::{Caller, Gone, Operator, Page, event, iso, masked_email};
use crate::auth::ports::{Lockout, LockoutId, User};
use crate::auth::subject::{self, Who};
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use crate::event::{Event, EventKind};
use crate::id::UserId;
use axum::extract::{Path, Query, State};
use axum::{Json, routing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;

pub(super) const RESOURCE: Resource = Resource {
    tag: "Lockouts",
    about: "Who has to wait, or is locked, for wrong codes and passwords.",
    endpoints: &[
        Endpoint {
            query: Some(shape::<Part<String>>),
            ..endpoint(
                "GET",
                "/v1/lockouts",
                "Users, account names and addresses that are delayed or locked now.",
                || routing::get(list),
                shape::<Page<LockoutLine>>,
            )
        },
        Endpoint {
            body: Some(shape::<Clear>),
            errors: OF_USER,
            ..endpoint(
                "POST",
                "/v1/lockouts/clear",
                "Clear a user's lockouts (wrong codes, and wrong passwords under the user's name and address) or a \
                 client's address's. Factors and sessions stay.",
                || routing::post(clear),
                shape::<LockoutsCleared>,
            )
        },
        Endpoint {
            errors: &[Code::NoSuchLockout],
            ..endpoint(
                "DELETE",
                "/v1/lockouts/{id}",
                "Clear one lockout.",
                || routing::delete(clear_one),
                shape::<Gone<String>>,
            )
        },
    ],
};

/// Whose lockouts are cleared: one of `user` and `address`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(example = json!({ "address": "192.0.2.1" }))]
#[serde(deny_unknown_fields)]
pub struct Clear {
    /// A name, a number, or `id:` and a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// With `user`: tells namesakes apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// A client's address; of IPv6, any of its /64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
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
    /// Who it is, where that is known: the number, the name (of a `mailbox` the address, masked), and the identity
    /// that the name is of. Of an `account`, `name` is what was typed, and `user` whose it is, if it is anybody's.
    pub user: Option<UserId>,
    pub identity: Option<String>,
    pub name: Option<String>,
    pub address: Option<String>,
    /// Wrong ones in a row.
    pub failures: u32,
    /// Until an operator or a backup code clears it.
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

/// How many lockouts were cleared: counters that went back to zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LockoutsCleared {
    pub cleared: u64,
}

async fn list(
    State(operator): State<Operator>,
    Checked(Query(asked)): Checked<Query<Part<String>>>,
) -> Answer<Page<LockoutLine>> {
    let (limit, now) = (asked.limit()?, operator.clock.now());
    let after = asked.after.as_deref().map(|text| {
        lockout_id(text).ok_or_else(|| OperatorError::DoesNotFit {
            place: "query/after".into(),
            cause: format!("`{text}` is no lockout's id"),
        })
    });
    let found = operator
        .store
        .lockouts(after.transpose()?, limit + 1, now)
        .await?;
    let page = Page::of(found, limit, |lockout| hex(lockout.id()));
    let names = operator.names(&page.items).await?;
    Ok(Json(page.map(|lockout| line(&lockout, &names, now))))
}

async fn clear(
    State(operator): State<Operator>,
    caller: Caller,
    Body(of): Body<Clear>,
) -> Answer<LockoutsCleared> {
    let (user, address, subjects) = match (&of.user, &of.address) {
        (Some(user), None) => {
            let identity = of.identity.as_deref();
            let user = operator.find_user(user, identity, Naming::Body).await?;
            (Some(user.id), None, operator.subjects_of(&user))
        }
        (None, Some(text)) => {
            let wrong = |_| OperatorError::NotAnAddress {
                place: "body/address",
                text: text.clone(),
            };
            let address: IpAddr = text.parse().map_err(wrong)?;
            let subject = subject::address(&operator.keys, address);
            (None, Some(address), vec![subject])
        }
        _ => return Err(OperatorError::NotOneChoice("`user` and `address`")),
    };
    let cleared = operator.store.clear_lockouts(&subjects).await?;
    let whose = match user {
        Some(_) => "lockouts of the user",
        None => "lockout of the address",
    };
    operator.events.emit(Event {
        address,
        ..event(caller, EventKind::Cleared, user, whose)
    });
    Ok(Json(LockoutsCleared { cleared }))
}

async fn clear_one(
    State(operator): State<Operator>,
    caller: Caller,
    Checked(Path(id)): Checked<Path<String>>,
) -> Answer<Gone<String>> {
    let no_such = || OperatorError::NoSuchLockout(id.clone());
    let named = lockout_id(&id).ok_or_else(no_such)?;
    let cleared = operator.store.clear_lockout(named).await?;
    let cleared = cleared.ok_or_else(no_such)?;
    let names = operator.names(std::slice::from_ref(&cleared)).await?;
    let line = line(&cleared, &names, operator.clock.now());
    let detail = format!("lockout {id} ({})", line.kind.as_str());
    let address = match cleared.who {
        Some(Who::Network(address)) => Some(address),
        _ => None,
    };
    operator.events.emit(Event {
        address,
        ..event(caller, EventKind::Cleared, line.user, &detail)
    });
    Ok(Json(Gone { id }))
}

/// The users whom counters may stand for.
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

    /// The users behind counters.
    async fn names(&self, lockouts: &[Lockout]) -> Result<Names, OperatorError> {
        let mut names = Names::new();
        for lockout in lockouts {
            let found = match &lockout.who {
                Some(Who::User(id)) => {
                    let user = self.store.user(*id).await?;
                    user.map(|user| (LockoutKind::User, user))
                }
                Some(Who::Account { realm, name }) => {
                    let user = self.named(realm, name).await?;
                    user.map(|user| (LockoutKind::Account, user))
                }
                Some(Who::Network(_)) | None => None,
            };
            names.extend(found.map(|found| (lockout.subject, found)));
        }
        let nameless = lockouts.iter().filter(|it| it.who.is_none());
        self.name_the_nameless(nameless.map(|it| it.subject).collect(), &mut names)
            .await?;
        Ok(names)
    }

    /// Whoever signs in under a name, an address, or a name in another case.
    async fn named(&self, realm: &str, typed: &str) -> Result<Option<User>, OperatorError> {
        let store = &self.store;
        Ok(match store.user_by_name(realm, typed).await? {
            None if typed.contains('@') => store.user_by_email(realm, typed).await?,
            None => store.user_in_any_case(realm, typed).await?,
            found => found,
        })
    }

    /// Of counters that say nothing of whose they are, the users that there are are tried.
    async fn name_the_nameless(
        &self,
        nameless: HashSet<SubjectDigest>,
        names: &mut Names,
    ) -> Result<(), OperatorError> {
        if nameless.is_empty() {
            return Ok(());
        }
        let mut after = UserId(0);
        loop {
            let users = self.store.users_after(after, LIMIT_MAX).await?;
            let Some(last) = users.last() else {
                return Ok(());
            };
            after = last.id;
            for user in users {
                for (subject, kind) in self.kinds_of(&user) {
                    if nameless.contains(&subject) {
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
    let found = names.get(&lockout.subject);
    let line = match found {
        Some((kind, user)) => LockoutLine {
            kind: *kind,
            user: Some(user.id),
            identity: Some(user.realm.clone()),
            name: match kind {
                LockoutKind::Mailbox => user.email.as_ref().map(masked_email),
                _ => Some(user.name.clone()),
            },
            ..line
        },
        None => line,
    };
    match &lockout.who {
        Some(Who::User(user)) => LockoutLine {
            kind: LockoutKind::User,
            user: Some(*user),
            ..line
        },
        Some(Who::Account { realm, name }) => LockoutLine {
            kind: LockoutKind::Account,
            identity: Some(realm.clone()),
            name: Some(name.clone()),
            ..line
        },
        Some(Who::Network(address)) => LockoutLine {
            kind: LockoutKind::Address,
            address: Some(match address {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("{v6}/64"),
            }),
            ..line
        },
        None => line,
    }
}

fn hex(id: LockoutId) -> String {
    id.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn lockout_id(text: &str) -> Option<LockoutId> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
    Some(number.to_be_bytes())
}
