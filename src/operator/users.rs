//! Users, as operators make, look at, change and reset them.

use super::code::Code;
use super::problem::{Naming, OperatorError, Place};
use super::table::{Endpoint, Resource, endpoint, shape};
use super::wire::{Answer, Body, Checked, Made, Part, exposed, given, given_value};
use super::{Caller, Gone, Operator, Page, email, masked_email, phone};
use crate::auth::enrol;
use crate::auth::ports::{NewUser, User, UserChange, Which};
use crate::config::model::{GROUPS_MAX, Identity, is_group};
use crate::event::EventKind;
use crate::factor::phone::Phone;
use crate::id::UserId;
use crate::identity::accounts::{HashError, hash_password};
use crate::secret::Secret;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Json, routing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longer ones are a mistake (the wrong file); argon2 would take them.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// Where requests have a number.
const PHONE: Place = Place::Borrowed("body/phone");

pub(super) const RESOURCE: Resource = Resource {
    tag: "Users",
    about: "Those of Vestibule's own accounts, those known by the tokens of others, and the recipients of share links.",
    endpoints: &[
        Endpoint {
            query: Some(shape::<Part<i64>>),
            ..endpoint(
                "GET",
                "/v1/users",
                "All users, by number.",
                || routing::get(list),
                shape::<Page<UserLine>>,
            )
        },
        Endpoint {
            body: Some(shape::<UserAdd>),
            status: 201,
            errors: &[
                Code::NameTaken,
                Code::NoSuchIdentity,
                Code::AmbiguousIdentity,
                Code::KeptElsewhere,
                Code::NotConfigured,
                Code::NoEntropy,
            ],
            ..endpoint(
                "POST",
                "/v1/users",
                "Make a user.",
                || routing::post(add),
                shape::<UserLine>,
            )
        },
        Endpoint {
            query: Some(shape::<OfIdentity>),
            errors: OF_USER,
            ..endpoint(
                "GET",
                "/v1/users/{user}",
                "One user.",
                || routing::get(show),
                shape::<UserLine>,
            )
        },
        Endpoint {
            query: Some(shape::<OfIdentity>),
            body: Some(shape::<UserSet>),
            errors: &[
                Code::NoSuchUser,
                Code::AmbiguousUser,
                Code::NoSuchIdentity,
                Code::ShareRecipient,
                Code::KeptElsewhere,
                Code::NoEntropy,
            ],
            ..endpoint(
                "PATCH",
                "/v1/users/{user}",
                "Change what the body names (RFC 7396): `null` takes it away. Codes on their way to a number or address \
                 that changes are void; a password that changes ends the user's tokens and sessions; other groups hold \
                 at once, for sessions too. What a user has enrolled stays. A backend's or issuer's next word \
                 about its user counts again.",
                || routing::patch(set),
                shape::<UserLine>,
            )
        },
        Endpoint {
            query: Some(shape::<OfIdentity>),
            errors: &[
                Code::NoSuchUser,
                Code::AmbiguousUser,
                Code::NoSuchIdentity,
                Code::ShareRecipient,
            ],
            ..endpoint(
                "DELETE",
                "/v1/users/{user}",
                "Remove a user with factors, tokens and sessions. One whose tokens others issue is back with the next \
                 sign-in, as a stranger.",
                || routing::delete(remove),
                shape::<Gone<UserId>>,
            )
        },
        Endpoint {
            query: Some(shape::<OfIdentity>),
            errors: OF_USER,
            ..endpoint(
                "POST",
                "/v1/users/{user}/reset-2fa",
                "Forget what a user has enrolled or turned off, backup codes, pending codes and lockouts, and revoke \
                 the user's sessions. A number or address of the operator's or a profile's is a factor again.",
                || routing::post(reset),
                shape::<UserLine>,
            )
        },
    ],
};

/// What can be wrong with the word for a user.
pub(super) const OF_USER: &[Code] = &[Code::NoSuchUser, Code::AmbiguousUser, Code::NoSuchIdentity];

/// Tells namesakes apart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OfIdentity {
    /// The identity meant, where the config has several.
    pub(super) identity: Option<String>,
}

/// A user to be made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(example = json!({ "name": "clara", "phone": "+4512345678" }))]
#[serde(deny_unknown_fields)]
pub struct UserAdd {
    /// An `accounts` identity; may be left out where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What the user signs in with.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Where codes are sent, with country code.
    #[serde(default, with = "exposed", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub phone: Option<Secret>,
    #[serde(default, with = "exposed", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub email: Option<Secret>,
    /// Without one there is no signing in by name and password.
    #[serde(default, with = "exposed", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub password: Option<Secret>,
    /// Whether the user may reset other users' second factors.
    #[serde(default)]
    pub can_edit_users: bool,
    /// The groups that the user is in, for the policy's rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// What changes about a user. What is left out stays; `null` is taken away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(example = json!({ "phone": "+4512345678", "groups": ["staff"] }))]
#[serde(deny_unknown_fields)]
pub struct UserSet {
    /// Where codes are sent, with country code.
    #[serde(default, with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub phone: Option<Option<Secret>>,
    #[serde(default, with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub email: Option<Option<Secret>>,
    #[serde(default, with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub password: Option<Option<Secret>>,
    /// Whether the user may reset other users' second factors; `null`: no.
    #[serde(default, with = "given_value", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<bool>")]
    pub can_edit_users: Option<bool>,
    /// All the groups that the user is in from now on.
    #[serde(default, with = "given_value", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub groups: Option<Vec<String>>,
}

/// A user. Numbers and addresses are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "User")]
pub struct UserLine {
    pub id: UserId,
    pub identity: String,
    pub name: String,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub has_password: bool,
    pub can_edit_users: bool,
    pub groups: Vec<String>,
    pub created_at: String,
}

async fn list(
    State(operator): State<Operator>,
    Checked(Query(asked)): Checked<Query<Part<i64>>>,
) -> Answer<Page<UserLine>> {
    let limit = asked.limit()?;
    let after = UserId(asked.after.unwrap_or_default());
    let users = operator.store.users_after(after, limit + 1).await?;
    let page = Page::of(users, limit, |user| user.id.0);
    Ok(Json(page.map(|user| line(&user))))
}

async fn add(
    State(operator): State<Operator>,
    caller: Caller,
    Body(user): Body<UserAdd>,
) -> Made<UserLine> {
    let identity = operator.accounts(user.identity.as_deref())?;
    if !is_usable_name(&user.name) {
        return Err(OperatorError::BadName(user.name));
    }
    let new = NewUser {
        realm: identity.clone(),
        name: user.name.clone(),
        phone: phone(user.phone.as_ref(), &PHONE)?,
        email: email(user.email)?,
        password_hash: operator.hashed(user.password).await?,
        can_edit_users: user.can_edit_users,
        groups: checked(user.groups)?,
    };
    let name = user.name;
    let Some(id) = operator
        .store
        .create_user(new, operator.clock.now())
        .await?
    else {
        return Err(OperatorError::NameTaken { identity, name });
    };
    operator.emit(caller, EventKind::Enrolled, Some(id), "user");
    let made = operator.user_of(id).await?;
    Ok((StatusCode::CREATED, Json(line(&made))))
}

async fn show(
    State(operator): State<Operator>,
    Checked(Path(user)): Checked<Path<String>>,
    Checked(Query(of)): Checked<Query<OfIdentity>>,
) -> Answer<UserLine> {
    let user = operator
        .find_user(&user, of.identity.as_deref(), Naming::Path)
        .await?;
    Ok(Json(line(&user)))
}

async fn set(
    State(operator): State<Operator>,
    caller: Caller,
    Checked(Path(user)): Checked<Path<String>>,
    Checked(Query(of)): Checked<Query<OfIdentity>>,
    Body(set): Body<UserSet>,
) -> Answer<UserLine> {
    let user = operator
        .find_user(&user, of.identity.as_deref(), Naming::Path)
        .await?;
    let detail = set.detail().ok_or(OperatorError::NoChange)?;
    if set.password.is_some() {
        operator.has_passwords(&user.realm)?;
    }
    if set.groups.is_some() && operator.takes_groups_from_tokens(&user.realm) {
        return Err(OperatorError::GroupsElsewhere(user.realm));
    }
    let concerns_sessions = set.password.is_some() || set.groups.is_some();
    let change = UserChange {
        phone: match set.phone {
            Some(number) => Some(phone(number.as_ref(), &PHONE)?),
            None => None,
        },
        email: set.email.map(email).transpose()?,
        password_hash: match set.password {
            Some(password) => Some(operator.hashed(password).await?),
            None => None,
        },
        can_edit_users: set.can_edit_users,
        groups: set.groups.map(checked).transpose()?,
    };
    let (store, now) = (&operator.store, operator.clock.now());
    if !store.change_user(user.id, change, now).await? {
        return Err(operator.not_plain(&user));
    }
    if concerns_sessions {
        operator.forget(Which::User(user.id));
    }
    operator.emit(caller, EventKind::Changed, Some(user.id), &detail);
    let changed = store.user(user.id).await?;
    Ok(Json(line(&changed.unwrap_or(user))))
}

async fn remove(
    State(operator): State<Operator>,
    caller: Caller,
    Checked(Path(user)): Checked<Path<String>>,
    Checked(Query(of)): Checked<Query<OfIdentity>>,
) -> Answer<Gone<UserId>> {
    let user = operator
        .find_user(&user, of.identity.as_deref(), Naming::Path)
        .await?;
    let (id, subjects) = (user.id, operator.subjects_of(&user));
    let now = operator.clock.now();
    if !operator.store.remove_user(id, &subjects, now).await? {
        return Err(operator.not_plain(&user));
    }
    operator.forget(Which::User(id));
    operator.emit(caller, EventKind::Removed, Some(id), "user");
    Ok(Json(Gone { id }))
}

async fn reset(
    State(operator): State<Operator>,
    caller: Caller,
    Checked(Path(user)): Checked<Path<String>>,
    Checked(Query(of)): Checked<Query<OfIdentity>>,
) -> Answer<UserLine> {
    let id = operator
        .find_user(&user, of.identity.as_deref(), Naming::Path)
        .await?
        .id;
    let (store, now) = (&*operator.store, operator.clock.now());
    enrol::reset_user(store, &operator.keys, id, now).await?;
    operator.forget(Which::User(id));
    operator.emit(caller, EventKind::Reset, Some(id), "second factor");
    Ok(Json(line(&operator.user_of(id).await?)))
}

/// Whether a user stands for a recipient of a share link, and goes with it.
pub(super) fn is_recipient(user: &User) -> bool {
    user.name.starts_with("share:")
}

impl UserSet {
    /// What changes, in words for the audit trail; `None`: nothing does.
    fn detail(&self) -> Option<String> {
        let named = [
            ("phone", self.phone.is_some()),
            ("email", self.email.is_some()),
            ("password", self.password.is_some()),
            ("can_edit_users", self.can_edit_users.is_some()),
            ("groups", self.groups.is_some()),
        ];
        let named = named.into_iter().filter(|(_, is_named)| *is_named);
        let names: Vec<_> = named.map(|(name, _)| name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

impl Operator {
    /// An error where passwords are verified elsewhere.
    fn has_passwords(&self, identity: &str) -> Result<(), OperatorError> {
        let config = self.config.load();
        match config.identities.get(identity) {
            Some(Identity::Accounts) => Ok(()),
            _ => Err(OperatorError::PasswordsElsewhere(identity.to_owned())),
        }
    }

    fn takes_groups_from_tokens(&self, identity: &str) -> bool {
        match self.config.load().identities.get(identity) {
            Some(Identity::Learn(learn)) => learn.groups.is_some(),
            Some(Identity::Jwt(jwt)) => jwt.claims.groups.is_some(),
            Some(Identity::Introspection(oauth)) => oauth.claims.groups.is_some(),
            Some(Identity::Accounts) | None => false,
        }
    }

    /// A user by number, as it is now.
    async fn user_of(&self, id: UserId) -> Result<User, OperatorError> {
        let user = self.store.user(id).await?;
        user.ok_or_else(|| OperatorError::NoSuchUser {
            user: id.to_string(),
            named: Naming::Path,
        })
    }

    /// Why a user who was found could not be changed: it stands for somebody, or has just gone.
    fn not_plain(&self, user: &User) -> OperatorError {
        if is_recipient(user) {
            OperatorError::ShareRecipient(user.id)
        } else {
            OperatorError::NoSuchUser {
                user: user.name.clone(),
                named: Naming::Path,
            }
        }
    }

    /// The hash of a password that can be one. Hashing takes long: it is done aside.
    async fn hashed(&self, password: Option<Secret>) -> Result<Option<Secret>, OperatorError> {
        let Some(password) = password else {
            return Ok(None);
        };
        match password.expose() {
            "" => return Err(OperatorError::BadPassword("empty: leave it out for none")),
            text if text.len() > PASSWORD_BYTES_MAX => {
                return Err(OperatorError::BadPassword(
                    "longer than 1024 bytes: is this the right one?",
                ));
            }
            text if text.contains(['\n', '\r', '\0']) => {
                return Err(OperatorError::BadPassword(
                    "more than one line: is this the right one?",
                ));
            }
            _ => {}
        }
        let entropy = Arc::clone(&self.entropy);
        let hashing = tokio::task::spawn_blocking(move || hash_password(&password, &*entropy));
        match hashing.await {
            Ok(hashed) => Ok(Some(hashed?)),
            Err(_) => Err(OperatorError::Hash(HashError::Unhashable)),
        }
    }

    /// The one user that is meant: by a name, an id (`12`), or surely an id (`id:12`). A row of digits
    /// may be an id or a name: if it is both, of different users, nobody is picked.
    pub(super) async fn find_user(
        &self,
        wanted: &str,
        identity: Option<&str>,
        named: Naming,
    ) -> Result<User, OperatorError> {
        let realms = self.identities(identity, named)?;
        let mut found = BTreeMap::new();
        let explicit = wanted.strip_prefix("id:");
        if let Ok(id) = explicit.unwrap_or(wanted).parse()
            && let Some(user) = self.store.user(UserId(id)).await?
            && (identity.is_none() || realms.contains(&user.realm))
        {
            found.insert(user.id, user);
        }
        if explicit.is_none() {
            for realm in realms {
                if let Some(user) = self.store.user_by_name(&realm, wanted).await? {
                    found.insert(user.id, user);
                }
            }
        }
        let candidates: Vec<String> = found
            .values()
            .map(|user| format!("{} ({} of {})", user.id, user.name, user.realm))
            .collect();
        match (found.pop_first(), found.is_empty()) {
            (Some((_, user)), true) => Ok(user),
            (Some(_), false) => Err(OperatorError::AmbiguousUser {
                user: wanted.to_owned(),
                candidates: candidates.join(", "),
                named,
            }),
            (None, _) => Err(OperatorError::NoSuchUser {
                user: wanted.to_owned(),
                named,
            }),
        }
    }
}

/// Groups whose names can be names.
fn checked(groups: Vec<String>) -> Result<Vec<String>, OperatorError> {
    if groups.len() > GROUPS_MAX {
        return Err(OperatorError::TooManyGroups);
    }
    match groups.iter().find(|name| !is_group(name)) {
        Some(bad) => Err(OperatorError::BadGroup(bad.clone())),
        None => Ok(groups),
    }
}

/// Names that are neither taken for ids nor for those of share links.
fn is_usable_name(name: &str) -> bool {
    (1..=256).contains(&name.chars().count())
        && !name.chars().any(char::is_control)
        && !name.chars().all(|c| c.is_ascii_digit())
        && !name.starts_with("share:")
        && !name.starts_with("id:")
}

fn line(user: &User) -> UserLine {
    UserLine {
        id: user.id,
        identity: user.realm.clone(),
        name: user.name.clone(),
        phone: user.phone.as_ref().map(Phone::masked),
        email: user.email.as_ref().map(masked_email),
        has_password: user.password_hash.is_some(),
        can_edit_users: user.can_edit_users,
        groups: user.groups.clone(),
        created_at: user.created_at.iso8601(),
    }
}
