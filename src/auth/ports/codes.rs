//! Challenges, the limits on sending them, and the one step that judges a code and does what it is
//! good for.

use super::browsers::NewBrowser;
use super::factors::{FactorKind, FactorValue};
use super::passkeys::{Answer, Answers, NewPasskey, Proof};
use super::{Stored, Subjects, Token, async_trait};
use crate::auth::lockout::Blocked;
use crate::clock::Timestamp;
use crate::digest::{
    Binding, CodeDigest, GrantDigest, RecipientDigest, RefreshDigest, SessionKey, SuccessDigest,
    TokenDigest, WizardDigest,
};
use crate::gate::session::{Factor, Session};
use crate::id::{CeremonyId, ChallengeId, FactorId, SendId, UserId};
use std::net::IpAddr;
use std::time::Duration;

/// A place in the sending limits, asked for before a code is sent.
#[derive(Clone, Debug)]
pub struct SendRequest {
    pub user: UserId,
    /// Of a number or an email address.
    pub recipient: RecipientDigest,
    /// What the limit by prefix counts: the country calling code of a number (`45`), `email` for mail.
    pub prefix: String,
    pub limits: SendLimits,
}

/// How much may be sent.
#[derive(Clone, Copy, Debug)]
pub struct SendLimits {
    pub resend_after: Duration,
    pub per_user_per_hour: u32,
    pub per_number_per_hour: u32,
    pub per_gateway_per_minute: u32,
    pub per_prefix_per_minute: u32,
}

/// The answer to a [`SendRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    Yes(SendId),
    /// Over a limit; the first moment at which it might be granted is that far off.
    No {
        limit: SendLimit,
        retry_after_secs: u64,
    },
}

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendLimit {
    Resend,
    User,
    Number,
    Gateway,
    Prefix,
}

/// What a code is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To verify a pair, or to end a sign-in.
    Verify,
    /// To confirm a factor that is being enrolled.
    Enrol,
    /// To turn a factor off.
    Disable,
    /// To confirm one operation: it leads to a success token.
    Confirm,
    /// To let a client in that cannot show a page.
    Grant,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 5] = [
        Self::Verify,
        Self::Enrol,
        Self::Disable,
        Self::Confirm,
        Self::Grant,
    ];

    /// The name in the store and in the code's digest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Enrol => "enrol",
            Self::Disable => "disable",
            Self::Confirm => "confirm",
            Self::Grant => "grant",
        }
    }

    /// The purpose of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// A challenge to be made: the one of its binding and purpose, in place of an earlier one.
#[derive(Clone, Debug)]
pub struct NewChallenge {
    pub bound_to: Binding,
    pub purpose: Purpose,
    /// `None`: it stands for nobody, and no code is right (an address that no user has).
    pub user: Option<UserId>,
    pub factor: FactorKind,
    /// `None`: no code was sent. An authenticator's are never sent; a new phone's may be asked for
    /// later.
    pub code: Option<CodeDigest>,
    /// With [`Purpose::Enrol`]: what a right code confirms.
    pub value: Option<FactorValue>,
    /// With [`Purpose::Enrol`]: whether the user's other factors are turned off in the same step.
    pub replaces_others: bool,
    pub attempts: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A challenge that is neither used, void nor expired.
#[derive(Clone, Debug)]
pub struct Pending {
    /// A new one for each [`NewChallenge`].
    pub id: ChallengeId,
    pub user: Option<UserId>,
    pub factor: FactorKind,
    /// Whether a code was sent.
    pub has_code: bool,
    pub value: Option<FactorValue>,
    pub replaces_others: bool,
    pub expires_at: Timestamp,
}

/// One thing that a typed code may be.
#[derive(Clone, Debug)]
pub enum Try {
    /// The code that was sent for the challenge of this binding and purpose.
    Sent {
        bound_to: Binding,
        purpose: Purpose,
        code: CodeDigest,
    },
    /// A code of the authenticator that this challenge (of [`Purpose::Enrol`]) is about.
    NewTotp {
        bound_to: Binding,
        challenge: ChallengeId,
        /// The time step (RFC 6238's T) whose code it is; `None`: of none.
        step: Option<i64>,
    },
    /// A code of the user's authenticator. Right only if the step is later than the last one.
    Totp { factor: FactorId, step: Option<i64> },
    /// A backup code, hashed under the salt of the user's set.
    Backup { code: CodeDigest },
    /// The answer of one of the user's passkeys to a ceremony of [`Purpose::Verify`].
    Passkey {
        answers: Answers,
        proof: Answer<Proof>,
    },
    /// A new passkey, as the answer to a ceremony of [`Purpose::Enrol`].
    NewPasskey {
        answers: Answers,
        passkey: Answer<NewPasskey>,
    },
}

impl Try {
    /// The ceremony that ends with this try, whether it is right or wrong.
    #[must_use]
    pub fn ceremony(&self) -> Option<CeremonyId> {
        match self {
            Self::Passkey { answers, .. } | Self::NewPasskey { answers, .. } => {
                Some(answers.ceremony)
            }
            Self::Sent { .. } | Self::NewTotp { .. } | Self::Totp { .. } | Self::Backup { .. } => {
                None
            }
        }
    }
}

/// One try of a typed code: everything the atomic step needs to judge it and to act on it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// `None`: nobody's (see [`NewChallenge::user`]).
    pub user: Option<UserId>,
    /// What it may be; the first that it is counts.
    pub tries: Vec<Try>,
    /// Failures count against these; any of them may be delayed or locked. A lock (not a delay) of
    /// the user is passed over for a [`Try::Backup`] alone, and a right one ends it.
    pub subjects: Subjects,
    /// The token that asks: it must be live and the user's own.
    pub token: Option<TokenDigest>,
    /// Must be open, and is over if the code is right.
    pub wizard: Option<WizardDigest>,
    /// Must be live and the user's own, and is over if the code is right.
    pub grant: Option<GrantDigest>,
    /// By what right an enrolment is confirmed.
    pub authority: Authority,
    /// Done in the same step if the code is right.
    pub then: Deeds,
}

/// By what right a user's factors are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// By the token alone: only as long as the user has no verified factor. `email_counts`: whether
    /// an address from the operator or the profile is one here (mail can be sent).
    First { email_counts: bool },
    /// By a session that is itself verified.
    Verified,
}

/// What is done once a code is right.
#[derive(Clone, Debug, Default)]
pub struct Deeds {
    /// Tokens to be issued.
    pub issue: Option<Issue>,
    /// Sessions to be made, each under a number of its own, all of the factor whose code was right;
    /// an older session of a key ends, with a line in the feed. The token of each must be stored or
    /// be the one that is issued here. A key may differ from the pair that asked (a browser's device
    /// changes at verification). The first is of the device that asked: if its token is a share's, the
    /// device counts among those that have opened it.
    pub sessions: Vec<NewSession>,
    /// A factor to be turned off.
    pub disable: Option<FactorKind>,
    /// A success token to be issued.
    pub success: Option<NewSuccess>,
    /// A browser to be remembered for the user, if the factor whose code was right can be
    /// ([`Factor::can_be_remembered`]).
    pub remember: Option<NewBrowser>,
}

/// What a person recognises a session by. Sealed in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whence {
    /// Where it was verified, or renewed by a refresh token, from.
    pub address: IpAddr,
    /// What the client calls itself, in a few words ([`crate::identity::client`]); may be empty.
    pub client: String,
}

/// A session to be made. What it opens is what its token opens.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub key: SessionKey,
    pub token: TokenDigest,
    pub user: UserId,
    /// The device's opaque label, for people.
    pub device_label: Option<String>,
    pub whence: Whence,
    /// The pair of the same token whose session ends for it: a browser's device changes at
    /// verification, and nobody is to go on with the old one.
    pub instead_of: Option<SessionKey>,
    pub verified_at: Timestamp,
    pub expires_at: Timestamp,
}

/// An access token of Vestibule's own, and the refresh token that begins its family.
#[derive(Clone, Debug)]
pub struct Issue {
    pub access: Token,
    pub refresh: RefreshDigest,
    pub refresh_expires_at: Timestamp,
    /// Nothing of the family lives longer.
    pub family_ends_at: Timestamp,
    /// The opaque label of the device that the tokens are issued to; a refresh must come from it.
    pub device_label: Option<String>,
}

/// A success token to be issued.
#[derive(Clone, Debug)]
pub struct NewSuccess {
    pub digest: SuccessDigest,
    pub user: UserId,
    /// The token that it is good with; `None`: only in a request that has none.
    pub token: Option<TokenDigest>,
    pub expires_at: Timestamp,
}

/// What became of an [`Attempt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// The code was right and is spent, the deeds are done, the counters of the user are at zero.
    Right(Passed),
    /// The code was wrong; it has been counted once. `left`: more tries on the challenge that was
    /// sent (0: it is now void), if it was about one.
    Wrong { left: Option<u32> },
    /// A passkey's answer was right, but its counter has not moved on: somebody may have a copy of it.
    /// Counted like a wrong code.
    WentBack,
    /// It was the code of a challenge that is expired, void or used, there is nothing else that it
    /// could be, or the token or wizard is over. Not counted.
    Gone,
    /// There is nothing that it could be. Not counted.
    NeverSent,
    /// It was right for an enrolment that the authority does not cover (any more). Not counted; the
    /// enrolment is void.
    Forbidden,
    /// Not evaluated.
    Blocked(Blocked),
    /// Not evaluated: the share of the first session has been opened on as many devices as it may be,
    /// and this is none of them.
    Full,
}

/// What a right code was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    pub factor: Factor,
    /// It confirmed an enrolment.
    pub has_enrolled: bool,
    /// In the order of [`Deeds::sessions`].
    pub sessions: Vec<Session>,
    pub backup_codes_left: u32,
}

/// Challenges and what they lead to.
#[async_trait]
pub trait Codes: Send + Sync {
    /// Counts and reserves in one step.
    async fn reserve_send(&self, request: SendRequest, now: Timestamp) -> Stored<Reserved>;
    /// Gives a place back: no provider accepted the message.
    async fn release_send(&self, id: SendId) -> Stored<()>;
    /// Makes this the one pending challenge of its binding and purpose.
    async fn put_challenge(&self, challenge: NewChallenge) -> Stored<ChallengeId>;
    /// The pending challenge of a binding and purpose.
    async fn pending(
        &self,
        bound_to: Binding,
        purpose: Purpose,
        now: Timestamp,
    ) -> Stored<Option<Pending>>;
    /// Judges a code and does what it is good for, in one step.
    async fn attempt(&self, attempt: Attempt, now: Timestamp) -> Stored<Attempted>;
}
