//! Start and verify a one-time code.

use super::lockout::Blocked;
use super::{Auth, Caller};
use crate::clock::Timestamp;
use crate::digest::SessionKey;
use crate::gate::session::Session;

/// A code is on its way.
#[derive(Clone, Debug)]
pub struct Started {
    pub expires_at: Timestamp,
    /// `+45******78`
    pub masked_recipient: String,
}

/// Why no code was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error("no phone number is known for this user")]
    NoRecipient,
    #[error("codes cannot be sent to this number")]
    RecipientRefused,
    #[error("wait before asking for another code")]
    TooMany { retry_after_secs: u64 },
    #[error("too many wrong codes")]
    Blocked(Blocked),
    #[error("the code could not be sent")]
    NotSent,
    #[error("the store does not answer")]
    Unavailable,
}

/// Why a code did not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("the code is not a row of digits")]
    Malformed,
    #[error("the code is wrong")]
    Wrong { left: u32 },
    #[error("the code has expired or was used")]
    Gone,
    #[error("no code was sent")]
    NeverSent,
    #[error("too many wrong codes")]
    Blocked(Blocked),
    #[error("the store does not answer")]
    Unavailable,
}

impl Auth {
    /// Sends one SMS code to the caller's user and makes it the pair's pending challenge.
    pub async fn start_sms(&self, caller: &Caller) -> Result<Started, StartError> {
        let _ = caller;
        todo!()
    }

    /// Verifies a code of the caller's pending challenge. `session_key` is the pair that becomes
    /// verified: the caller's, except where a browser's device cookie changes.
    pub async fn verify(
        &self,
        caller: &Caller,
        code: &str,
        session_key: SessionKey,
        session_device_label: Option<String>,
    ) -> Result<Session, VerifyError> {
        let _ = (caller, code, session_key, session_device_label);
        todo!()
    }
}
