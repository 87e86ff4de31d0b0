//! What a browser's own doings count for: polling that is no use of a session, and how long a browser
//! is remembered in which a second factor was passed.

use crate::clock::Timestamp;
use std::time::Duration;

/// Requests that do not count as use of a session: they are let through by it, and do not keep it from
/// idling out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Background {
    /// Empty: every method.
    pub methods: Vec<http::Method>,
    /// Never empty. As those of a [`super::Rule`].
    pub paths: Vec<String>,
    /// Where it stands in the config.
    pub line: usize,
}

/// Whether a browser in which a user has passed the second factor is asked for it again when the same
/// user signs in there anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// Always.
    Never,
    /// Once so long has gone by since the factor was passed.
    For(Duration),
    /// Not as long as the browser keeps its cookie.
    Forever,
}

impl Remember {
    /// When a factor that was passed at `verified_at` is asked for again; `None`: at no time.
    #[must_use]
    pub fn ends_at(self, verified_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Never => Some(verified_at),
            Self::For(span) => Some(verified_at.after(span)),
            Self::Forever => None,
        }
    }
}
