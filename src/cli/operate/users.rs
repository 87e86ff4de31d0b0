//! `user` and `factor`.

use super::{Nothing, USERS, operate};
use crate::cli::args::{self, OneUser, OutputForm};
use crate::cli::client;
use crate::cli::error::CliError;
use crate::cli::secrets::read_password;
use crate::cli::tables;
use crate::operator::factors::{FactorRemoved, Factors};
use crate::operator::groups::{GroupsLine, GroupsPut};
use crate::operator::users::{NewUserLine, UserAdd, UserLine, UserRemoved, UserReset, UserSet};
use crate::secret::Secret;
use http::Method;
use std::path::Path;

pub(in crate::cli) fn user(config: &Path, command: args::User) -> Result<(), CliError> {
    match command {
        args::User::Add {
            name,
            phone,
            email,
            password_file,
            can_edit_users,
            group,
            identity,
            output,
        } => {
            let user = UserAdd {
                identity: identity.identity,
                name,
                phone: phone.map(Secret::new),
                email: email.map(Secret::new),
                password: password_file.map(|file| read_password(&file)).transpose()?,
                can_edit_users,
                groups: group,
            };
            operate(config, async |api| {
                let made: NewUserLine = api.send(Method::POST, USERS, &[], &user).await?;
                output.show(&made, |made| format!("{}\n", made.id))
            })
        }
        args::User::Groups {
            user,
            group,
            none,
            identity,
            output,
        } => {
            let user = OneUser {
                name: user,
                identity,
            };
            // With nothing said, they are shown.
            let set = (none || !group.is_empty()).then_some(GroupsPut { groups: group });
            groups(config, user, set, output)
        }
        args::User::List { output } => operate(config, async |api| {
            let users: Vec<UserLine> = api.all(USERS, &[]).await?;
            output.show(&users, |users| tables::users(users))
        }),
        args::User::Show { user, output } => operate(config, async |api| {
            let (path, query) = user.place("");
            let user: UserLine = api.get(&path, &query).await?;
            output.show(&user, |user| tables::users(std::slice::from_ref(user)))
        }),
        args::User::Set { user, set, output } => change(config, user, *set, output),
        args::User::Remove { user, output } => operate(config, async |api| {
            let (path, query) = user.place("");
            let gone: UserRemoved = api.send(Method::DELETE, &path, &query, &Nothing {}).await?;
            output.show(&gone, |UserRemoved { id }| {
                format!("user {id}: removed, with factors, tokens and sessions\n")
            })
        }),
        args::User::Reset2fa { user, output } => operate(config, async |api| {
            let (path, query) = user.place("/reset-2fa");
            let reset: UserReset = api.send(Method::POST, &path, &query, &Nothing {}).await?;
            output.show(&reset, |UserReset { id }| {
                format!("user {id}: second factor reset, locks lifted, sessions ended\n")
            })
        }),
    }
}

fn groups(
    config: &Path,
    user: OneUser,
    set: Option<GroupsPut>,
    output: OutputForm,
) -> Result<(), CliError> {
    operate(config, async |api| {
        let line = match set {
            None => {
                let (path, query) = user.place("");
                let user: UserLine = api.get(&path, &query).await?;
                let (id, groups) = (user.id, user.groups);
                GroupsLine { id, groups }
            }
            Some(set) => {
                let (path, query) = user.place("/groups");
                api.send(Method::PUT, &path, &query, &set).await?
            }
        };
        output.show(&line, |line| tables::groups(&line.groups))
    })
}

fn change(
    config: &Path,
    user: OneUser,
    set: args::UserSet,
    output: OutputForm,
) -> Result<(), CliError> {
    let password = set.password_file.map(|file| read_password(&file));
    let set = UserSet {
        phone: named(set.phone.map(Secret::new), set.no_phone),
        email: named(set.email.map(Secret::new), set.no_email),
        password: named(password.transpose()?, set.no_password),
        can_edit_users: set.can_edit_users,
    };
    operate(config, async |api| {
        let (path, query) = user.place("");
        let user: UserLine = api.send(Method::PATCH, &path, &query, &set).await?;
        output.show(&user, |user| tables::users(std::slice::from_ref(user)))
    })
}

/// What changes: to another value, or to none.
fn named(value: Option<Secret>, none: bool) -> Option<Option<Secret>> {
    (value.is_some() || none).then_some(value)
}

pub(in crate::cli) fn factor(config: &Path, command: args::Factor) -> Result<(), CliError> {
    match command {
        args::Factor::List { user, output } => operate(config, async |api| {
            let (path, query) = user.place("/factors");
            let factors: Factors = api.get(&path, &query).await?;
            output.show(&factors, tables::factors)
        }),
        args::Factor::Remove {
            user,
            factor,
            output,
        } => operate(config, async |api| {
            let (path, query) = user.place("/factors");
            let path = client::of(&path, &factor);
            let gone: FactorRemoved = api.send(Method::DELETE, &path, &query, &Nothing {}).await?;
            output.show(&gone, |gone| {
                format!("user {}: {} turned off\n", gone.user, gone.factor)
            })
        }),
    }
}
