//! The commands that are over when they return: arguments in, one [`Command`] to the gateway or the
//! store, the answer out.

use super::args::{self, Identity, OutputForm};
use super::error::CliError;
use super::operator::command::{
    Command, RecipientAdd, Revoke, ShareAdd, UserAdd, UserGroups, Whom,
};
use super::{client, say};
use crate::config::{self, Files};
use crate::entropy::{self, OsEntropy};
use crate::identity::accounts::hash_password;
use crate::secret::Secret;
use base64::Engine as _;
use std::io::Read as _;
use std::path::Path;
use zeroize::Zeroizing;

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
        args::Key::Rotate { now, output } => {
            let command = Command::KeyRotate { at_once: now };
            operate(config, command, output)
        }
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
    let (command, output) = match command {
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
            let password = password_file.map(|file| read_password(&file)).transpose()?;
            let hash = |password: Secret| hash_password(&password, &OsEntropy);
            let user = UserAdd {
                identity: identity.identity,
                name,
                phone: phone.map(Secret::new),
                email: email.map(Secret::new),
                password_hash: password.map(hash).transpose()?,
                can_edit_users,
                groups: group,
            };
            (Command::UserAdd(user), output)
        }
        args::User::Groups {
            user,
            group,
            none,
            identity,
            output,
        } => {
            let is_shown = group.is_empty() && !none;
            let groups = UserGroups {
                whom: whom(user, identity),
                set: (!is_shown).then_some(group),
            };
            (Command::UserGroups(groups), output)
        }
        args::User::List { output } => (Command::UserList, output),
        args::User::Reset2fa {
            user,
            identity,
            output,
        } => (Command::UserReset(whom(user, identity)), output),
    };
    operate(config, command, output)
}

pub(super) fn share(config: &Path, command: args::Share) -> Result<(), CliError> {
    let (command, output) = match command {
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
            (Command::ShareAdd(share), output)
        }
        args::Share::List { output } => (Command::ShareList, output),
        args::Share::Revoke { id, output } => (Command::ShareRevoke(id), output),
    };
    operate(config, command, output)
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
    let (command, output) = match command {
        args::Session::List {
            user,
            identity,
            output,
        } => {
            let user = user.map(|user| whom(user, identity));
            (Command::SessionList(user), output)
        }
        args::Session::Revoke {
            which,
            identity,
            output,
        } => {
            let which = match (which.user, which.id) {
                (Some(user), _) => Revoke::User(whom(user, identity)),
                (None, Some(id)) => Revoke::Id(id),
                // The parser lets exactly one of the three through.
                (None, None) => Revoke::All,
            };
            (Command::SessionRevoke(which), output)
        }
    };
    operate(config, command, output)
}

fn whom(user: String, identity: Identity) -> Whom {
    Whom {
        user,
        identity: identity.identity,
    }
}

fn operate(config: &Path, command: Command, form: OutputForm) -> Result<(), CliError> {
    let config = config::load(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    let output = runtime.block_on(client::dispatch(config, command))?;
    if form.json {
        say(&(output.json()? + "\n"));
    } else {
        say(&output.to_string());
    }
    Ok(())
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
