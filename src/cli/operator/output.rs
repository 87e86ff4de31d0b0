//! The answers to an operator, for people ([`fmt::Display`]) and for programs ([`Output::json`]).
//! Numbers and addresses are masked; the one secret is a new share link's token.

use super::command::exposed;
use crate::id::{SessionId, ShareId, UserId};
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "answer", rename_all = "kebab-case")]
pub enum Output {
    NewUser(NewUser),
    Users(Vec<UserLine>),
    UserReset { id: UserId },
    Groups(GroupsLine),
    NewShare(NewShare),
    Shares(Vec<ShareLine>),
    ShareRevoked { id: ShareId },
    Sessions(Vec<SessionLine>),
    SessionsRevoked { sessions: u64 },
    KeysRotated(Vec<KeyLine>),
}

/// A user has been made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewUser {
    pub id: UserId,
    pub name: String,
    pub identity: String,
}

/// A user, as `user list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLine {
    pub id: UserId,
    pub identity: String,
    pub name: String,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub has_password: bool,
    pub can_edit_users: bool,
    #[serde(default)]
    pub groups: Vec<String>,
    pub created_at: String,
}

/// The groups of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsLine {
    pub id: UserId,
    pub groups: Vec<String>,
}

/// A share link has been made; the only time its token is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewShare {
    pub id: ShareId,
    pub identity: String,
    pub path: String,
    pub recipients: Vec<RecipientLine>,
    pub devices_max: Option<u32>,
    #[serde(with = "exposed")]
    pub url: Option<Secret>,
    #[serde(with = "exposed")]
    pub token: Option<Secret>,
    pub expires_at: Option<String>,
}

/// A share link, as `share list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareLine {
    pub id: ShareId,
    pub identity: String,
    pub path: String,
    pub recipients: Vec<RecipientLine>,
    /// On how many it was opened.
    pub devices: u32,
    pub devices_max: Option<u32>,
    pub last_opened_at: Option<String>,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub expired: bool,
}

/// One of the people whom a share link is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientLine {
    pub user: UserId,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub devices: u32,
    pub last_opened_at: Option<String>,
}

/// A session, as `session list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLine {
    pub id: SessionId,
    pub user: UserId,
    pub name: String,
    pub identity: String,
    pub device: Option<String>,
    /// What the client calls itself, and where it was verified from.
    pub client: Option<String>,
    pub address: Option<String>,
    pub path: Option<String>,
    pub factor: String,
    pub verified_at: String,
    pub last_seen_at: String,
    pub expires_at: String,
}

/// A key that tokens are signed with, as `key rotate` has made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLine {
    pub kid: String,
    pub algorithm: String,
    pub signs_from: String,
    /// Until when the keys before it stay published.
    pub others_end_at: String,
}

impl Output {
    /// What `--json` prints: the answer without the socket's wrapping.
    pub fn json(&self) -> serde_json::Result<String> {
        let mut wrapped = serde_json::to_value(self)?;
        let answer = wrapped.get_mut("answer").map(serde_json::Value::take);
        serde_json::to_string(&answer)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewUser(user) => writeln!(f, "{}", user.id),
            Self::UserReset { id } => writeln!(
                f,
                "user {id}: second factor reset, locks lifted, sessions ended"
            ),
            Self::Groups(line) => {
                let groups = line.groups.iter();
                let plain = groups.map(|name| name.replace(char::is_control, "\u{fffd}") + "\n");
                f.write_str(&plain.collect::<String>())
            }
            Self::NewShare(share) => {
                let shown = |secret: &Option<Secret>| {
                    secret
                        .as_ref()
                        .map_or(String::new(), |s| s.expose().to_owned())
                };
                writeln!(f, "share {}", share.id)?;
                writeln!(f, "url    {}", shown(&share.url))?;
                writeln!(f, "token  {}", shown(&share.token))?;
                writeln!(f, "for    {}", people(&share.recipients))?;
                writeln!(f, "ends   {}", or(share.expires_at.as_deref(), "never"))
            }
            Self::ShareRevoked { id } => writeln!(f, "share {id}: ended, with its sessions"),
            Self::KeysRotated(keys) => {
                let head = ["KEY", "ALGORITHM", "SIGNS FROM", "OLD ONES PUBLISHED UNTIL"];
                table(f, head, keys.iter().map(key_cells))
            }
            Self::SessionsRevoked { sessions } => writeln!(f, "{sessions} sessions ended"),
            Self::Users(users) => {
                let head = [
                    "ID", "IDENTITY", "NAME", "PHONE", "EMAIL", "PASSWORD", "EDITS", "GROUPS",
                    "SINCE",
                ];
                table(f, head, users.iter().map(user_cells))
            }
            Self::Shares(shares) => {
                let head = [
                    "ID", "IDENTITY", "PATH", "FOR", "OPENED", "LAST", "SINCE", "ENDS",
                ];
                table(f, head, shares.iter().map(share_cells))
            }
            Self::Sessions(sessions) => {
                let head = [
                    "ID", "USER", "NAME", "IDENTITY", "DEVICE", "CLIENT", "ADDRESS", "FACTOR",
                    "VERIFIED", "SEEN", "ENDS",
                ];
                table(f, head, sessions.iter().map(session_cells))
            }
        }
    }
}

fn user_cells(user: &UserLine) -> [String; 9] {
    let yes = |yes: bool| if yes { "yes" } else { "-" }.to_owned();
    [
        user.id.to_string(),
        user.identity.clone(),
        user.name.clone(),
        or(user.phone.as_deref(), "-"),
        or(user.email.as_deref(), "-"),
        yes(user.has_password),
        yes(user.can_edit_users),
        match user.groups.is_empty() {
            true => "-".to_owned(),
            false => user.groups.join(", "),
        },
        user.created_at.clone(),
    ]
}

fn share_cells(share: &ShareLine) -> [String; 8] {
    let ends = or(share.expires_at.as_deref(), "never");
    [
        share.id.to_string(),
        share.identity.clone(),
        share.path.clone(),
        people(&share.recipients),
        match share.devices_max {
            Some(max) => format!("{} of {max}", share.devices),
            None => share.devices.to_string(),
        },
        or(share.last_opened_at.as_deref(), "-"),
        share.created_at.clone(),
        if share.expired {
            ends + " (over)"
        } else {
            ends
        },
    ]
}

/// `+45******78 / a****@example.org, +45******79`
fn people(recipients: &[RecipientLine]) -> String {
    let one = |it: &RecipientLine| {
        let ways: Vec<&str> = [&it.phone, &it.email]
            .into_iter()
            .filter_map(|way| way.as_deref())
            .collect();
        ways.join(" / ")
    };
    let all: Vec<String> = recipients
        .iter()
        .map(one)
        .filter(|it| !it.is_empty())
        .collect();
    match all.is_empty() {
        true => "-".to_owned(),
        false => all.join(", "),
    }
}

fn session_cells(session: &SessionLine) -> [String; 11] {
    [
        session.id.to_string(),
        session.user.to_string(),
        session.name.clone(),
        session.identity.clone(),
        or(session.device.as_deref(), "-"),
        or(named(session.client.as_deref()), "-"),
        or(session.address.as_deref(), "-"),
        session.factor.clone(),
        session.verified_at.clone(),
        session.last_seen_at.clone(),
        session.expires_at.clone(),
    ]
}

fn key_cells(key: &KeyLine) -> [String; 4] {
    [
        key.kid.clone(),
        key.algorithm.clone(),
        key.signs_from.clone(),
        key.others_end_at.clone(),
    ]
}

/// A client that said nothing has no name.
fn named(client: Option<&str>) -> Option<&str> {
    client.filter(|name| !name.is_empty())
}

fn or(text: Option<&str>, otherwise: &str) -> String {
    text.unwrap_or(otherwise).to_owned()
}

/// Columns as wide as their widest cell. Control characters become `�`: names come from upstreams,
/// and a terminal obeys escape sequences.
fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let plain = |cell: String| cell.replace(char::is_control, "\u{fffd}");
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned))
        .chain(rows.map(|row| row.map(plain)))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_bare_answer() {
        let output = Output::NewUser(NewUser {
            id: UserId(1),
            name: "anna".to_owned(),
            identity: "local".to_owned(),
        });
        assert_eq!(
            output.json().unwrap(),
            r#"{"id":1,"identity":"local","name":"anna"}"#
        );
        assert_eq!(Output::Shares(Vec::new()).json().unwrap(), "[]");
        assert_eq!(output.to_string(), "1\n");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let line = UserLine {
            id: UserId(7),
            identity: "backend".to_owned(),
            name: "a\u{1b}[2Jb".to_owned(),
            phone: None,
            email: None,
            has_password: false,
            can_edit_users: false,
            groups: Vec::new(),
            created_at: "2026-11-22T03:21:34+00:00".to_owned(),
        };
        let text = Output::Users(vec![line]).to_string();
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.starts_with("ID  IDENTITY  NAME"), "{text}");
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_token_is_masked_in_debug() {
        let share = NewShare {
            id: ShareId(1),
            identity: "local".to_owned(),
            path: "/a/".to_owned(),
            recipients: Vec::new(),
            devices_max: None,
            url: Some(Secret::new("https://files.example.org/share/t0ken")),
            token: Some(Secret::new("t0ken")),
            expires_at: None,
        };
        assert!(!format!("{share:?}").contains("t0ken"));
        assert!(
            Output::NewShare(share)
                .to_string()
                .contains("/share/t0ken\n")
        );
    }
}
