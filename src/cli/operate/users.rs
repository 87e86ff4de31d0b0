//! `user` and `factor`.

use super::{Nothing, USERS, operate};
use crate::cli::args::{self, OneUser, OutputForm};
use crate::cli::client;
use crate::cli::error::CliError;
use crate::cli::secrets::read_password;
use crate::cli::tables;
use crate::id::UserId;
use crate::operator::factors::Factors;
use crate::operator::users::{UserAdd, UserLine, UserSet};
use crate::operator::{Gone, Page};
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
                let made: UserLine = api.send(Method::POST, USERS, &[], &user).await?;
                output.show(&made, |made| format!("{}\n", made.id))
            })
        }
        args::User::List { output } => operate(config, async |api| {
            let users: Page<UserLine> = api.all(USERS, &[]).await?;
            output.show(&users, |users| tables::users(&users.items))
        }),
        args::User::Show { user, output } => operate(config, async |api| {
            let (path, query) = user.place("");
            let user: UserLine = api.get(&path, &query).await?;
            output.show(&user, |user| tables::users(std::slice::from_ref(user)))
        }),
        args::User::Set { user, set, output } => change(config, user, *set, output),
        args::User::Remove { user, output } => operate(config, async |api| {
            let (path, query) = user.place("");
            let gone: Gone<UserId> = api.send(Method::DELETE, &path, &query, &Nothing {}).await?;
            output.show(&gone, |Gone { id }| {
                format!("user {id}: removed, with factors, tokens and sessions\n")
            })
        }),
        args::User::Reset2fa { user, output } => operate(config, async |api| {
            let (path, query) = user.place("/reset-2fa");
            let reset: UserLine = api.send(Method::POST, &path, &query, &Nothing {}).await?;
            output.show(&reset, |UserLine { id, .. }| {
                format!("user {id}: second factor reset, lockouts cleared, sessions revoked\n")
            })
        }),
    }
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
        groups: (set.no_groups || !set.group.is_empty()).then_some(set.group),
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
            let gone: Gone<String> = api.send(Method::DELETE, &path, &query, &Nothing {}).await?;
            output.show(&gone, |Gone { id }| format!("factor {id}: removed\n"))
        }),
    }
}
