//! Clients that cannot show a page, and wait until a person lets them in (after RFC 8628).

use super::codes::Whence;
use super::{Stored, async_trait};
use crate::clock::Timestamp;
use crate::digest::{GrantDigest, SessionKey, TokenDigest};
use crate::id::UserId;
use crate::secret::Secret;

/// A pair that asks to be let in, and what a person recognises it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Of the user code.
    pub code: GrantDigest,
    pub pair: SessionKey,
    pub token: TokenDigest,
    pub user: UserId,
    /// The device's opaque label, if one was named.
    pub device_label: Option<String>,
    /// What asks, and from where. Sealed in the store.
    pub whence: Whence,
    /// What it asked for: host and route. The host is sealed in the store.
    pub host: String,
    pub route: String,
    pub asked_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What a client is told to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCode {
    /// As it was drawn, without the hyphen. Sealed in the store, so that the same one is told again.
    pub text: Secret,
    pub expires_at: Timestamp,
}

/// How many live grants a user can have.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub of_user: usize,
    /// Of those, from one network.
    pub of_network: usize,
}

/// Grants. What ends one is [`super::Codes::attempt`], which makes its session in the same step.
#[async_trait]
pub trait Grants: Send + Sync {
    /// The user code of the pair's grant that is live; else it makes this one, whose code is `text`.
    /// `None`: this pair was refused a while ago, or there is no room; nothing is made, nor is a
    /// transaction begun.
    async fn open_grant(
        &self,
        grant: Grant,
        text: Secret,
        room: Room,
        now: Timestamp,
    ) -> Stored<Option<UserCode>>;
    /// The live grant of a code, if its token is live and the user's own.
    async fn grant(&self, code: GrantDigest, now: Timestamp) -> Stored<Option<Grant>>;
    /// Refuses a live grant: its codes are void, and its pair gets no other one before `until`, or
    /// its end if that is sooner. `false` if it is not live.
    async fn refuse_grant(
        &self,
        code: GrantDigest,
        until: Timestamp,
        now: Timestamp,
    ) -> Stored<bool>;
}
