//! How the values of options are read.

use crate::clock::Timestamp;
use crate::event::EventKind;
use crate::id::{SessionId, ShareId};
use std::time::Duration;

/// A whole number and one of `s`, `m`, `h`, `d`, `w`.
pub(in crate::cli) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time span: write 30m, 12h, 7d or 2w");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let secs: u64 = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3_600,
        Some("d") => 86_400,
        Some("w") => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    match count.checked_mul(secs) {
        Some(secs) if secs > 0 => Ok(Duration::from_secs(secs)),
        _ => Err(wrong()),
    }
}

/// A moment, as it is written behind `--since`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum When {
    /// So long ago.
    Ago(Duration),
    At(Timestamp),
}

impl When {
    pub(in crate::cli) fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now.before(span),
            Self::At(at) => at,
        }
    }
}

/// A time span before now, or a moment of RFC 3339.
pub(super) fn when(text: &str) -> Result<When, String> {
    if let Some(at) = Timestamp::from_iso8601(text) {
        return Ok(When::At(at));
    }
    span(text).map(When::Ago).map_err(|_| {
        format!("`{text}` is no moment: write 30m, 12h, 7d or 2w (ago), or 2026-11-22T03:21:34Z")
    })
}

pub(super) fn event_kind(text: &str) -> Result<EventKind, String> {
    let mut all = EventKind::ALL.into_iter();
    all.find(|kind| kind.as_str() == text).ok_or_else(|| {
        let names = EventKind::ALL.map(EventKind::as_str);
        format!("there are no such events: use one of {}", names.join(", "))
    })
}

/// One of the people whom a share link is for, as written behind `--recipient`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Recipient {
    pub(in crate::cli) phone: Option<String>,
    pub(in crate::cli) email: Option<String>,
}

/// A number, an address, or both with a comma between them.
pub(super) fn recipient(text: &str) -> Result<Recipient, String> {
    let wrong =
        || format!("`{text}` is not a number and an address: write +4512345678,anna@example.org");
    let (mut phone, mut email) = (None, None);
    for part in text.split(',').map(str::trim) {
        let place = if part.contains('@') {
            &mut email
        } else {
            &mut phone
        };
        if part.is_empty() || place.replace(part.to_owned()).is_some() {
            return Err(wrong());
        }
    }
    Ok(Recipient { phone, email })
}

pub(super) fn share_id(text: &str) -> Result<ShareId, &'static str> {
    let wrong = "not a share's number: `vestibule share list` shows them";
    text.parse().map(ShareId).map_err(|_| wrong)
}

pub(super) fn session_id(text: &str) -> Result<SessionId, &'static str> {
    let wrong = "not a session's number: `vestibule session list` shows them";
    text.parse().map(SessionId).map_err(|_| wrong)
}
