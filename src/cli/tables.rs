//! The answers of the operator's API as people read them: tables and sentences. Numbers and addresses
//! come masked; the one secret is a new share link's token.

use super::shown::plain;
use crate::operator::audit::AuditEntry;
use crate::operator::factors::{FactorLine, Factors};
use crate::operator::keys::KeyLine;
use crate::operator::lockouts::LockoutLine;
use crate::operator::sessions::SessionLine;
use crate::operator::shares::{NewShareLine, RecipientLine, ShareLine};
use crate::operator::users::UserLine;
use crate::secret::Secret;

pub(super) fn users(users: &[UserLine]) -> String {
    let head = [
        "ID", "IDENTITY", "NAME", "PHONE", "EMAIL", "PASSWORD", "EDITS", "GROUPS", "SINCE",
    ];
    table(head, users.iter().map(user_cells))
}

pub(super) fn factors(factors: &Factors) -> String {
    let head = ["ID", "TO", "BY", "LABEL", "HOST", "SINCE", "USED"];
    let left = factors.backup_codes_left;
    let table = table(head, factors.page.items.iter().map(factor_cells));
    format!("{table}backup codes left: {left}\n")
}

pub(super) fn lockouts(lockouts: &[LockoutLine]) -> String {
    let head = [
        "ID",
        "KIND",
        "USER",
        "NAME",
        "IDENTITY",
        "WRONG",
        "LOCKED",
        "DELAYED UNTIL",
    ];
    table(head, lockouts.iter().map(lockout_cells))
}

pub(super) fn events(events: &[AuditEntry]) -> String {
    let head = [
        "ID", "AT", "KIND", "USER", "NAME", "ROUTE", "ADDRESS", "DETAIL",
    ];
    table(head, events.iter().map(event_cells))
}

/// One event on a line of its own.
pub(super) fn event(event: &AuditEntry) -> String {
    plain(&event_cells(event).join("  ")) + "\n"
}

pub(super) fn shares(shares: &[ShareLine]) -> String {
    let head = [
        "ID", "IDENTITY", "PATH", "FOR", "OPENED", "LAST", "SINCE", "ENDS",
    ];
    table(head, shares.iter().map(share_cells))
}

pub(super) fn sessions(sessions: &[SessionLine]) -> String {
    let head = [
        "ID", "USER", "NAME", "IDENTITY", "DEVICE", "CLIENT", "ADDRESS", "FACTOR", "VERIFIED",
        "SEEN", "ENDS",
    ];
    table(head, sessions.iter().map(session_cells))
}

pub(super) fn keys(keys: &[KeyLine]) -> String {
    let head = ["KEY", "ALGORITHM", "SIGNS FROM", "OLD ONES PUBLISHED UNTIL"];
    table(head, keys.iter().map(key_cells))
}

pub(super) fn new_share(share: &NewShareLine) -> String {
    let shown = |secret: &Option<Secret>| {
        let text = secret.as_ref().map(Secret::expose);
        text.unwrap_or_default().to_owned()
    };
    format!(
        "share {}\nurl    {}\ntoken  {}\nfor    {}\nends   {}\n",
        share.share.id,
        shown(&share.url),
        shown(&share.token),
        people(&share.share.recipients),
        or(share.share.expires_at.as_deref(), "never"),
    )
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

fn factor_cells(factor: &FactorLine) -> [String; 7] {
    [
        factor.id.clone(),
        or(factor.to.as_deref(), "-"),
        if factor.enrolled { "user" } else { "operator" }.to_owned(),
        or(factor.label.as_deref(), "-"),
        or(factor.host.as_deref(), "-"),
        or(factor.created_at.as_deref(), "-"),
        or(factor.last_used_at.as_deref(), "-"),
    ]
}

fn lockout_cells(lockout: &LockoutLine) -> [String; 8] {
    let user = lockout.user.map(|user| user.to_string());
    let name = lockout.name.as_deref().or(lockout.address.as_deref());
    [
        lockout.id.clone(),
        lockout.kind.as_str().to_owned(),
        or(user.as_deref(), "-"),
        or(name, "-"),
        or(lockout.identity.as_deref(), "-"),
        lockout.failures.to_string(),
        if lockout.locked { "yes" } else { "-" }.to_owned(),
        or(lockout.delayed_until.as_deref(), "-"),
    ]
}

fn event_cells(event: &AuditEntry) -> [String; 8] {
    let user = event.user.map(|user| user.to_string());
    [
        event.id.to_string(),
        event.at.clone(),
        event.kind.as_str().to_owned(),
        or(user.as_deref(), "-"),
        or(event.name.as_deref(), "-"),
        event.route.clone(),
        or(event.address.as_deref(), "-"),
        event.detail.clone(),
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

/// Columns as wide as their widest cell.
fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned))
        .chain(rows.map(|row| row.map(|cell| plain(&cell))))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ShareId, UserId};

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
        let text = users(&[line]);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.starts_with("ID  IDENTITY  NAME"), "{text}");
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_token_is_masked_in_debug() {
        let share = NewShareLine {
            share: ShareLine {
                id: ShareId(1),
                identity: "local".to_owned(),
                path: "/a/".to_owned(),
                recipients: Vec::new(),
                devices: 0,
                devices_max: None,
                last_opened_at: None,
                created_at: "2026-11-22T03:21:34+00:00".to_owned(),
                expires_at: None,
                expired: false,
            },
            url: Some(Secret::new("https://files.example.org/share/t0ken")),
            token: Some(Secret::new("t0ken")),
        };
        assert!(!format!("{share:?}").contains("t0ken"));
        assert!(new_share(&share).contains("/share/t0ken\n"));
    }
}
