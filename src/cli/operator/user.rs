//! Users, as operators make, list and reset them.

use super::command::{UserAdd, UserGroups, Whom};
use super::output::{GroupsLine, NewUser as NewUserAnswer, Output, UserLine};
use super::{Operator, OperatorError, email, masked_email, phone};
use crate::auth::enrol;
use crate::auth::ports::{NewUser, User, Which};
use crate::config::model::{GROUPS_MAX, Identity, is_group};
use crate::event::EventKind;
use crate::id::UserId;
use std::collections::BTreeMap;

impl Operator {
    pub(super) async fn user_add(&self, user: UserAdd) -> Result<Output, OperatorError> {
        let identity = self.accounts(user.identity.as_deref())?;
        if !is_usable_name(&user.name) {
            return Err(OperatorError::BadName(user.name));
        }
        let hash = user.password_hash;
        if hash
            .as_ref()
            .is_some_and(|hash| !hash.expose().starts_with("$argon2id$"))
        {
            return Err(OperatorError::BadHash);
        }
        let new = NewUser {
            realm: identity.clone(),
            name: user.name.clone(),
            phone: phone(user.phone.as_ref())?,
            email: email(user.email)?,
            password_hash: hash,
            can_edit_users: user.can_edit_users,
            groups: checked(user.groups)?,
        };
        let name = user.name;
        let Some(id) = self.store.create_user(new, self.clock.now()).await? else {
            return Err(OperatorError::UserExists { identity, name });
        };
        self.emit(EventKind::Enrolled, Some(id), "user".to_owned());
        Ok(Output::NewUser(NewUserAnswer { id, name, identity }))
    }

    pub(super) async fn user_list(&self) -> Result<Output, OperatorError> {
        let users = self.store.users().await?;
        Ok(Output::Users(users.iter().map(line).collect()))
    }

    pub(super) async fn user_reset(&self, whom: &Whom) -> Result<Output, OperatorError> {
        let id = self.find_user(whom).await?.id;
        enrol::reset_user(&*self.store, &self.keys, id, self.clock.now()).await?;
        self.forget(Which::User(id));
        self.emit(EventKind::Reset, Some(id), "second factor".to_owned());
        Ok(Output::UserReset { id })
    }

    pub(super) async fn user_groups(&self, asked: UserGroups) -> Result<Output, OperatorError> {
        let user = self.find_user(&asked.whom).await?;
        let Some(groups) = asked.set else {
            let (id, groups) = (user.id, user.groups);
            return Ok(Output::Groups(GroupsLine { id, groups }));
        };
        if self.takes_groups_from_tokens(&user.realm) {
            return Err(OperatorError::GroupsOfIssuer(user.realm));
        }
        let groups = checked(groups)?;
        let now = self.clock.now();
        if !self.store.set_groups(user.id, groups, now).await? {
            return Err(OperatorError::GroupsOfShare(user.name));
        }
        self.forget(Which::User(user.id));
        let set = self.store.user(user.id).await?;
        let groups = set.map(|set| set.groups).unwrap_or_default();
        let detail = format!("groups: {}", groups.join(", "));
        self.emit(EventKind::Regrouped, Some(user.id), detail);
        let id = user.id;
        Ok(Output::Groups(GroupsLine { id, groups }))
    }

    fn takes_groups_from_tokens(&self, identity: &str) -> bool {
        match self.config.load().identities.get(identity) {
            Some(Identity::Learn(learn)) => learn.groups.is_some(),
            Some(Identity::Jwt(jwt)) => jwt.claims.groups.is_some(),
            Some(Identity::Introspection(oauth)) => oauth.claims.groups.is_some(),
            Some(Identity::Accounts) | None => false,
        }
    }

    /// The one user that is meant. A row of digits may be an id or a name: if it is both, of
    /// different users, nobody is picked.
    pub(super) async fn find_user(&self, whom: &Whom) -> Result<User, OperatorError> {
        let config = self.config.load_full();
        let realms: Vec<&String> = match &whom.identity {
            Some(name) if config.identities.contains_key(name) => vec![name],
            Some(name) => return Err(OperatorError::NoSuchIdentity(name.clone())),
            None => config.identities.keys().collect(),
        };
        let mut found = BTreeMap::new();
        let explicit = whom.user.strip_prefix("id:");
        if let Ok(id) = explicit.unwrap_or(&whom.user).parse()
            && let Some(user) = self.store.user(UserId(id)).await?
            && (whom.identity.is_none() || realms.contains(&&user.realm))
        {
            found.insert(user.id, user);
        }
        if explicit.is_none() {
            for realm in realms {
                if let Some(user) = self.store.user_by_name(realm, &whom.user).await? {
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
            (Some(_), false) => Err(OperatorError::ManySuchUsers {
                user: whom.user.clone(),
                candidates: candidates.join(", "),
            }),
            (None, _) => Err(OperatorError::NoSuchUser(whom.user.clone())),
        }
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

fn line(user: &User) -> UserLine {
    UserLine {
        id: user.id,
        identity: user.realm.clone(),
        name: user.name.clone(),
        phone: user.phone.as_ref().map(crate::factor::phone::Phone::masked),
        email: user.email.as_ref().map(masked_email),
        has_password: user.password_hash.is_some(),
        can_edit_users: user.can_edit_users,
        groups: user.groups.clone(),
        created_at: user.created_at.iso8601(),
    }
}
