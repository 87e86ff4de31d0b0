//! Enrol a factor, turn one off, make backup codes: what may weaken a user, and who may do it.

use super::challenge::{StartError, Started};
use super::ports::{Authority, Disable, FactorKind, FactorSet, FactorValue, StoreError};
use super::{Auth, Caller};
use crate::clock::Timestamp;
use crate::digest::Binding;
use crate::factor::phone::Phone;
use crate::factor::totp::TotpSecret;
use crate::id::UserId;
use crate::secret::Secret;

/// Why a factor is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// The user has a verified factor, and the caller's pair is not verified (recently enough).
    #[error("verify your second factor first")]
    NotVerified,
    /// The user has none, and the route does not let users enrol the first one by themselves.
    #[error("a second factor can only be set up by who runs this service")]
    NoSelfEnrolment,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the store does not answer")]
    Unavailable,
}

/// An enrolment that waits for its code.
#[derive(Clone, Debug)]
pub struct PendingEnrolment {
    pub value: FactorValue,
    pub expires_at: Timestamp,
}

impl Auth {
    /// The verified factors of a user that count on this gateway: an address does only where mail
    /// can be sent.
    pub async fn factors(&self, _user: UserId) -> Result<FactorSet, StoreError> {
        todo!()
    }

    /// By what right the caller may change factors now: a verified pair, or, as long as the user has
    /// no factor and the route allows it, the token alone. `sudo`: the pair must have been verified
    /// within that time.
    pub async fn authority(&self, _caller: &Caller, _sudo: bool) -> Result<Authority, EnrolError> {
        todo!()
    }

    /// A new authenticator secret, not stored.
    pub fn new_totp_secret(&self) -> Result<TotpSecret, EnrolError> {
        todo!()
    }

    /// Keeps an authenticator secret, or a number that no code goes to yet, as the pending enrolment
    /// of `bound_to`.
    pub async fn propose(
        &self,
        _caller: &Caller,
        _bound_to: Binding,
        _value: FactorValue,
        _replaces_others: bool,
        _sudo: bool,
    ) -> Result<Timestamp, EnrolError> {
        todo!()
    }

    /// Sends a code to a number (or address) that is to be enrolled, and makes it the pending
    /// enrolment of `bound_to`.
    pub async fn send_enrolment(
        &self,
        _caller: &Caller,
        _bound_to: Binding,
        _value: FactorValue,
        _replaces_others: bool,
        _sudo: bool,
    ) -> Result<Started, EnrolError> {
        todo!()
    }

    /// The pending enrolment of `bound_to`, of the caller's user.
    pub async fn pending_enrolment(
        &self,
        _user: UserId,
        _bound_to: Binding,
    ) -> Result<Option<PendingEnrolment>, StoreError> {
        todo!()
    }

    /// Turns factors off, with the audit. The authority must have been asked for. Returns whether
    /// any was on.
    pub async fn disable(
        &self,
        _caller: &Caller,
        _which: Disable,
        _sudo: bool,
    ) -> Result<bool, EnrolError> {
        todo!()
    }

    /// Makes ten new backup codes in place of the older ones: `dddd dddd`, to be shown once.
    pub async fn new_backup_codes(
        &self,
        _caller: &Caller,
        _sudo: bool,
    ) -> Result<Vec<Secret>, EnrolError> {
        todo!()
    }

    /// Resets the second factor of another user, and ends that user's sessions.
    pub async fn reset(&self, _caller: &Caller, _user: UserId) -> Result<(), EnrolError> {
        todo!()
    }

    /// What an authenticator app shows: the service and the user's name.
    #[must_use]
    pub fn totp_uri(&self, _secret: &TotpSecret, _name: &str) -> Secret {
        todo!()
    }
}

/// Silences what the skeleton does not use yet.
#[allow(dead_code)]
fn unused(_: FactorKind, _: Phone) {}
