//! Share links, the people they are for, and the devices they were opened on.

use super::{Stored, Token, async_trait};
use crate::clock::Timestamp;
use crate::digest::TokenDigest;
use crate::factor::phone::Phone;
use crate::id::{ShareId, UserId};
use crate::secret::Secret;

/// Where a person's codes can be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    pub phone: Option<Phone>,
    pub email: Option<Secret>,
}

/// One of the people whom a share link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The user who stands for this person and for nobody else.
    pub user: UserId,
    pub contact: Contact,
    /// The devices on which this person has opened it.
    pub devices: u32,
    /// When one of them was verified last.
    pub last_opened_at: Option<Timestamp>,
}

/// A share link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub id: ShareId,
    pub realm: String,
    /// A canonical path prefix ending in `/`.
    pub path: String,
    /// As they were named; at least one.
    pub recipients: Vec<Recipient>,
    /// On how many devices it can be opened.
    pub devices_max: Option<u32>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

impl Share {
    /// The devices on which it was opened, by anybody.
    #[must_use]
    pub fn devices(&self) -> u32 {
        self.recipients.iter().map(|one| one.devices).sum()
    }

    /// When a device was verified last.
    #[must_use]
    pub fn last_opened_at(&self) -> Option<Timestamp> {
        let times = self.recipients.iter().map(|one| one.last_opened_at);
        times.max().flatten()
    }

    /// Whether no other device can open it.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.devices_max.is_some_and(|max| self.devices() >= max)
    }
}

/// A share link to be made.
#[derive(Clone, Debug)]
pub struct NewShare {
    pub realm: String,
    /// Of the link.
    pub link: TokenDigest,
    pub path: String,
    /// At least one. Only the link of a single recipient is a token by itself, and only where devices
    /// are not counted: of several, nobody knows yet who opens it, and a link cannot tell devices apart.
    pub recipients: Vec<Contact>,
    pub devices_max: Option<u32>,
    pub expires_at: Option<Timestamp>,
}

/// Share links. A device counts when a code verifies it ([`super::Codes::attempt`]), or, where none is
/// asked for, with the token that it gets ([`Shares::open_share`]).
#[async_trait]
pub trait Shares: Send + Sync {
    /// Makes the share with a user for each recipient, in their order: `share:<id>` for a single
    /// one, who holds the link as a token (see [`NewShare::recipients`]), or `share:<id>/<n>`, from 1.
    /// One step.
    async fn create_share(&self, share: NewShare, now: Timestamp)
    -> Stored<(ShareId, Vec<UserId>)>;
    /// Shares that have not been revoked, by id.
    async fn shares(&self) -> Stored<Vec<Share>>;
    /// The live share of a link.
    async fn share_of_link(&self, link: TokenDigest, now: Timestamp) -> Stored<Option<Share>>;
    /// Puts a new token of a share, which opens its folder by itself. Where the share's devices are
    /// bounded it counts as one; `false`, and nothing is put: there is no room for another. One step.
    async fn open_share(&self, token: Token) -> Stored<bool>;
    /// Ends the share, all tokens issued from it and their sessions, with a line in the feed for each
    /// recipient, and removes these users, in one step. Returns who they were; none if there is no
    /// such share.
    async fn revoke_share(&self, id: ShareId, now: Timestamp) -> Stored<Vec<UserId>>;
}
