//! Vestibule's own tokens: signed access tokens and rotating refresh tokens.

use super::Auth;
use super::ports::{Algorithm, Issue, StoreError};
use crate::clock::Timestamp;
use crate::digest::{RealmKeys, SessionKey};
use crate::gate::session::{Holder, Session};
use crate::secret::Secret;

/// What a refresh token looks like. It is opaque to its holder either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshForm {
    /// 256 random bits.
    Opaque,
    /// A signed JWT, for clients that were documented to get one.
    Jwt,
}

/// Whom tokens are issued to, and where.
#[derive(Clone, Copy, Debug)]
pub struct IssueTo<'a> {
    pub realm: &'a str,
    pub keys: &'a RealmKeys,
    /// The device that the access token is issued to.
    pub device: Option<&'a str>,
    pub algorithm: Algorithm,
    pub refresh: RefreshForm,
    /// The token that the new one stands for: the one that asked.
    pub stands_for: Option<&'a str>,
}

/// Tokens that are drawn and signed, and not stored: the deed belongs into the step that judges the
/// code.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub access: Secret,
    pub refresh: Secret,
    pub created_at: Timestamp,
    pub access_expires_at: Timestamp,
    pub refresh_expires_at: Timestamp,
    /// The pair of the access token and the device it is issued to.
    pub pair: SessionKey,
    pub issue: Issue,
}

/// Why a refresh token was not exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// Unknown, expired, spent (then its family is over), or another device's.
    #[error("the refresh token is not good (any more): sign in again")]
    Invalid,
    #[error("the store does not answer")]
    Unavailable,
}

/// New tokens for a refresh token.
#[derive(Clone, Debug)]
pub struct Exchanged {
    pub access: Secret,
    pub refresh: Secret,
    pub access_expires_at: Timestamp,
    pub pair: SessionKey,
    /// The session of the new pair, for the gate to remember.
    pub session: Option<Session>,
}

impl Auth {
    /// Draws an access and a refresh token for a holder. `is_verified`: what the access token says.
    pub async fn draw(
        &self,
        _to: &IssueTo<'_>,
        _holder: &Holder,
        _is_verified: bool,
    ) -> Result<Drawn, StoreError> {
        todo!()
    }

    /// Exchanges a refresh token (RFC 6749 section 6): rotating, reuse ends the family.
    pub async fn refresh(
        &self,
        _to: &IssueTo<'_>,
        _refresh: &Secret,
    ) -> Result<Exchanged, RefreshError> {
        todo!()
    }
}
