//! Identifiers as types of their own, so that a user's number is never taken for a session's.

use std::fmt;

macro_rules! integer_id {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

integer_id! {
    /// A user of one identity, as `user add` prints it.
    UserId,
    /// A verified (token, device) pair.
    SessionId,
    /// A share link.
    ShareId,
    /// One reserved place in the sending limits.
    SendId,
    /// One enrolment of a factor.
    FactorId,
    /// One challenge.
    ChallengeId,
    /// One line of the log of factor changes.
    ChangeId,
    /// A passkey of a user.
    PasskeyId,
    /// One registration of a passkey, or one question to a passkey.
    CeremonyId,
    /// A browser that is remembered for a user.
    BrowserId,
}
