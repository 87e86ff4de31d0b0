//! The commands that are over when they return: arguments in, a request to the operator's API, the
//! answer out.

use super::args::{self, OutputForm};
use super::client::{self, Client};
use super::error::CliError;
use super::{say, tables, upkeep};
use crate::config::{self, Files};
use crate::entropy::{self, OsEntropy};
use crate::operator::groups::{GroupsLine, GroupsPut};
use crate::operator::keys::{KeyLine, Rotate};
use crate::operator::sessions::{Revoke, SessionLine, SessionsRevoked};
use crate::operator::shares::{NewShareLine, RecipientAdd, ShareAdd, ShareLine, ShareRevoked};
use crate::operator::users::{NewUserLine, UserAdd, UserLine, UserReset};
use crate::secret::Secret;
use base64::Engine as _;
use http::Method;
use serde::Serialize;
use std::io::Read as _;
use std::path::Path;
use zeroize::Zeroizing;

const USERS: &str = "/v1/users";
const SESSIONS: &str = "/v1/sessions";
const SHARES: &str = "/v1/shares";
const ROTATE: &str = "/v1/keys/rotate";

/// The body of a request that says all by its path.
#[derive(Serialize)]
struct Nothing {}

/// Longer ones are a mistake (the wrong file); argon2 would take them.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// `check`: silence is golden, but an operator wants to read that all is well.
pub(super) fn check(path: &Path, without_files: bool) -> Result<(), CliError> {
    let files = if without_files {
        Files::MayBeMissing
    } else {
        Files::MustExist
    };
    for warning in config::check(path, files)? {
        eprintln!("warning: {warning}");
    }
    say(&format!("{}: no errors\n", path.display()));
    Ok(())
}

pub(super) fn schema() -> Result<(), CliError> {
    say(&config::schema());
    Ok(())
}

pub(super) fn key(config: &Path, command: args::Key) -> Result<(), CliError> {
    match command {
        args::Key::Generate => generate_key(),
        args::Key::Rotate { now, output } => operate(config, async |api| {
            let how = Rotate { at_once: now };
            let keys: Vec<KeyLine> = api.send(Method::POST, ROTATE, &[], &how).await?;
            output.show(&keys, |keys| tables::keys(keys))
        }),
        args::Key::Replace {
            new_key_file,
            output,
        } => upkeep::replace_key(config, &new_key_file, output),
    }
}

fn generate_key() -> Result<(), CliError> {
    say(&new_key()?);
    Ok(())
}

/// A store key as its file holds it.
pub(super) fn new_key() -> Result<Zeroizing<String>, CliError> {
    let key = Zeroizing::new(entropy::bytes::<32>(&OsEntropy)?);
    let text = base64::engine::general_purpose::STANDARD.encode(*key) + "\n";
    Ok(Zeroizing::new(text))
}

pub(super) fn user(config: &Path, command: args::User) -> Result<(), CliError> {
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
            let is_shown = group.is_empty() && !none;
            let set = GroupsPut { groups: group };
            operate(config, async |api| {
                let path = client::of(USERS, &user);
                let query = [("identity", identity.identity)];
                let line = if is_shown {
                    let user: UserLine = api.get(&path, &query).await?;
                    let (id, groups) = (user.id, user.groups);
                    GroupsLine { id, groups }
                } else {
                    let path = path + "/groups";
                    api.send(Method::PUT, &path, &query, &set).await?
                };
                output.show(&line, |line| tables::groups(&line.groups))
            })
        }
        args::User::List { output } => operate(config, async |api| {
            let users: Vec<UserLine> = api.all(USERS, &[]).await?;
            output.show(&users, |users| tables::users(users))
        }),
        args::User::Reset2fa {
            user,
            identity,
            output,
        } => operate(config, async |api| {
            let path = client::of(USERS, &user) + "/reset-2fa";
            let query = [("identity", identity.identity)];
            let reset: UserReset = api.send(Method::POST, &path, &query, &Nothing {}).await?;
            output.show(&reset, |UserReset { id }| {
                format!("user {id}: second factor reset, locks lifted, sessions ended\n")
            })
        }),
    }
}

pub(super) fn share(config: &Path, command: args::Share) -> Result<(), CliError> {
    match command {
        args::Share::Add {
            path,
            phone,
            email,
            recipient,
            devices,
            expires,
            identity,
            output,
        } => {
            let share = ShareAdd {
                identity: identity.identity,
                path,
                recipients: recipients(phone, email, recipient),
                devices_max: devices,
                lifetime_secs: expires.map(|span| span.as_secs()),
            };
            operate(config, async |api| {
                let made: NewShareLine = api.send(Method::POST, SHARES, &[], &share).await?;
                output.show(&made, tables::new_share)
            })
        }
        args::Share::List { output } => operate(config, async |api| {
            let shares: Vec<ShareLine> = api.all(SHARES, &[]).await?;
            output.show(&shares, |shares| tables::shares(shares))
        }),
        args::Share::Revoke { id, output } => operate(config, async |api| {
            let path = client::of(SHARES, &id.to_string());
            let ended: ShareRevoked = api.send(Method::DELETE, &path, &[], &Nothing {}).await?;
            output.show(&ended, |ended| {
                format!("share {}: ended, with its sessions\n", ended.id)
            })
        }),
    }
}

/// Whom a link is for: a number and an address, one of each, are one person's; of more, each is another's.
fn recipients(
    mut phones: Vec<String>,
    mut emails: Vec<String>,
    more: Vec<args::Recipient>,
) -> Vec<RecipientAdd> {
    let is_one = phones.len() == 1 && emails.len() == 1 && more.is_empty();
    let one = is_one.then(|| args::Recipient {
        phone: phones.pop(),
        email: emails.pop(),
    });
    let phones = phones.into_iter().map(|phone| args::Recipient {
        phone: Some(phone),
        email: None,
    });
    let emails = emails.into_iter().map(|email| args::Recipient {
        phone: None,
        email: Some(email),
    });
    one.into_iter()
        .chain(phones)
        .chain(emails)
        .chain(more)
        .map(|it| RecipientAdd {
            phone: it.phone.map(Secret::new),
            email: it.email.map(Secret::new),
        })
        .collect()
}

pub(super) fn session(config: &Path, command: args::Session) -> Result<(), CliError> {
    match command {
        args::Session::List {
            user,
            identity,
            output,
        } => operate(config, async |api| {
            let query = [("user", user), ("identity", identity.identity)];
            let sessions: Vec<SessionLine> = api.all(SESSIONS, &query).await?;
            output.show(&sessions, |sessions| tables::sessions(sessions))
        }),
        args::Session::Revoke {
            which,
            identity,
            output,
        } => operate(config, async |api| {
            let ended: SessionsRevoked = match which.id {
                Some(id) => {
                    let path = client::of(SESSIONS, &id.to_string());
                    api.send(Method::DELETE, &path, &[], &Nothing {}).await?
                }
                None => {
                    let revoke = Revoke {
                        user: which.user,
                        all: which.all,
                        identity: identity.identity,
                    };
                    let path = format!("{SESSIONS}/revoke");
                    api.send(Method::POST, &path, &[], &revoke).await?
                }
            };
            output.show(&ended, |ended| {
                format!("{} sessions ended\n", ended.sessions)
            })
        }),
    }
}

/// Does a command that speaks to the operator's API, and prints what it returns.
fn operate(
    config: &Path,
    work: impl AsyncFnOnce(&Client) -> Result<String, CliError>,
) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    let text = runtime.block_on(async {
        let api = Client::open(config).await?;
        let done = work(&api).await;
        api.close().await?;
        done
    })?;
    say(&text);
    Ok(())
}

impl OutputForm {
    /// An answer as it is printed.
    pub(super) fn show<T: Serialize>(
        self,
        answer: &T,
        for_people: impl FnOnce(&T) -> String,
    ) -> Result<String, CliError> {
        if self.json {
            // Over a value, whose members are sorted.
            return Ok(serde_json::to_value(answer)?.to_string() + "\n");
        }
        Ok(for_people(answer))
    }
}

/// The first line of a file, or of standard input for `-`.
fn read_password(file: &Path) -> Result<Secret, CliError> {
    let fail = |cause: std::io::Error| CliError::PasswordFile {
        path: file.to_owned(),
        cause: cause.to_string(),
    };
    let mut text = Zeroizing::new(String::new());
    let limit = u64::try_from(PASSWORD_BYTES_MAX).unwrap_or(u64::MAX) + 2;
    if file == Path::new("-") {
        std::io::stdin().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text))
    }
    .map_err(fail)?;
    password_of(&text)
}

fn password_of(text: &str) -> Result<Secret, CliError> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line {
        "" => Err(CliError::BadPassword(
            "empty: leave --password-file out for a user without one",
        )),
        line if line.len() > PASSWORD_BYTES_MAX => Err(CliError::BadPassword(
            "longer than 1024 bytes: is this the right file?",
        )),
        line if line.contains(['\n', '\r', '\0']) => Err(CliError::BadPassword(
            "more than one line: is this the right file?",
        )),
        line => Ok(Secret::new(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_as_it_stands() {
        let password = |text: &str| {
            password_of(text)
                .map(|secret| secret.expose().to_owned())
                .ok()
        };
        assert_eq!(password("hunter2\n").as_deref(), Some("hunter2"));
        assert_eq!(password(" hunter 2 \r\n").as_deref(), Some(" hunter 2 "));
        let longest = "x".repeat(1_024);
        assert_eq!(password(&longest), Some(longest.clone()));
        for wrong in ["", "\n", "a\nb", "a\0b"] {
            assert_eq!(password(wrong), None, "{wrong:?}");
        }
        assert_eq!(password(&(longest + "x")), None);
    }

    #[test]
    fn a_password_file_is_read_and_a_missing_one_is_named() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("pw");
        std::fs::write(&file, "secret words\n").unwrap();
        assert_eq!(read_password(&file).unwrap().expose(), "secret words");
        let missing = read_password(&tmp.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
