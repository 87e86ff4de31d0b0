//! Browsers that are remembered: in one of them, a user who signs in anew is not asked for the second
//! factor again.

use super::{NewSession, Stored, Token, Whence, async_trait};
use crate::clock::Timestamp;
use crate::config::model::Remember;
use crate::digest::{BrowserDigest, TokenDigest};
use crate::gate::session::{Factor, Session};
use crate::id::{BrowserId, UserId};
use std::time::Duration;

/// How long a browser keeps a cookie at most (RFC 6265bis section 5.5): one that was not used for so
/// long is not remembered by anybody.
pub const COOKIE_LIFETIME_MAX: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// A browser that is to be remembered for the user of an attempt, with the factor that is passed by it.
#[derive(Clone, Debug)]
pub struct NewBrowser {
    /// Of a secret that is new with each of these.
    pub digest: BrowserDigest,
    /// Of the secret that the browser had before: those who are remembered by that one go on by this.
    pub instead_of: Option<BrowserDigest>,
    /// By which the user is signed in there.
    pub token: TokenDigest,
    pub whence: Whence,
    /// `None`: no end.
    pub until: Option<Timestamp>,
}

/// Where somebody signs in who may be remembered there.
#[derive(Clone, Debug)]
pub struct Recall {
    pub browser: BrowserDigest,
    /// As it is where they sign in: what was promised before lasts no longer.
    pub remember: Remember,
    /// The session of the new token's pair, but for when it was verified: that is when the factor was
    /// passed, and it ends when the browser is not remembered any more.
    pub session: NewSession,
}

/// A browser that is remembered for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Browser {
    pub id: BrowserId,
    pub digest: BrowserDigest,
    /// What was passed in it, and when.
    pub factor: Factor,
    pub verified_at: Timestamp,
    /// Where and what it was then.
    pub whence: Whence,
    /// `None`: no end.
    pub until: Option<Timestamp>,
}

/// Browsers that are remembered. They come to be by [`super::Deeds::remember`], and are forgotten when
/// - the factor that was passed in them is replaced or turned off (of passkeys: any of the user's),
/// - the user is reset, or the user's sessions are revoked: all of them, or all but one (then the browser
///   of that one stays),
/// - the session of the token by which the user is signed in there is revoked.
///
/// They outlive a sign-out.
#[async_trait]
pub trait Browsers: Send + Sync {
    /// Stores a new token, as [`super::Tokens::put_token`] does, and, if that browser is remembered for the
    /// token's user, the session of its pair with it.
    async fn put_token_in(
        &self,
        token: Token,
        recall: Recall,
        now: Timestamp,
    ) -> Stored<Option<Session>>;
    /// Those of a user, the newest first.
    async fn browsers(&self, user: UserId, now: Timestamp) -> Stored<Vec<Browser>>;
    /// Forgets one of a user's; returns whether there was such a one.
    async fn forget_browser(&self, user: UserId, id: BrowserId) -> Stored<bool>;
}
