//! Start and verify a code.
//!
//! Both run to their end in a task of their own: a client that hangs up in the middle leaves no
//! place in the limits that nobody gives back, no code that was sent and not stored, and no wrong
//! code that was counted and not audited.

mod judge;
mod outlook;
mod send;
mod tries;

pub use outlook::{Outlook, Sent};
pub(super) use send::Message;

use super::browsers::ToRemember;
use super::lockout::{Blocked, LockoutPolicy};
use super::ports::{
    Attempt, Authority, Counted, Deeds, FactorKind, NewSession, Passed, Purpose, StoreError,
    Subjects, Try,
};
use super::subject::Who;
use super::tokens::{Drawn, IssueTo};
use super::{Asker, Auth, Caller, Standing, subject};
use crate::clock::Timestamp;
use crate::digest::SessionKey;
use crate::event::{Event, EventKind, Events};
use crate::gate::session::Session;
use crate::id::UserId;
use crate::steps;

/// A code is on its way.
#[derive(Clone, Debug)]
pub struct Started {
    pub sent_at: Timestamp,
    pub expires_at: Timestamp,
    /// `+45******78`
    pub masked_recipient: String,
}

/// Why no code was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The user has no such factor, or none that a code could be sent to.
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
    /// `left`: more tries on the code that was sent, if one was.
    #[error("the code is wrong")]
    Wrong { left: Option<u32> },
    /// A passkey's counter has not moved on.
    #[error("the passkey may have been copied")]
    Copied,
    #[error("the code has expired or was used")]
    Gone,
    #[error("no code was sent")]
    NeverSent,
    /// An enrolment that the caller may not confirm (any more).
    #[error("verify your second factor first")]
    Forbidden,
    /// Not evaluated: the share has been opened on all the devices it is good for.
    #[error("the share link has been opened on all the devices it is good for")]
    Full,
    #[error("too many wrong codes")]
    Blocked(Blocked),
    #[error("the store does not answer")]
    Unavailable,
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a code could not be sent");
        Self::Unavailable
    }
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a code could not be judged");
        Self::Unavailable
    }
}

/// What a typed code may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// The code that was sent to the pair, or one of the user's authenticator.
    Factor,
    /// That, or the code of the pair's pending enrolment.
    FactorOrEnrolment,
    /// The code of the pair's pending enrolment.
    Enrolment,
    /// A backup code.
    Backup,
}

/// A code that a caller typed.
#[derive(Clone, Debug)]
pub struct Typed<'a> {
    pub code: &'a str,
    pub accept: Accept,
    /// The pair that becomes verified: the caller's, except where a browser's device cookie changes.
    pub pair: SessionKey,
    pub device_label: Option<String>,
    /// Tokens that a right code issues.
    pub issue: Option<IssueTo<'a>>,
}

/// The pair that becomes verified: the caller's, except where a browser's device cookie changes.
#[derive(Clone, Debug)]
pub struct Becomes {
    pub pair: SessionKey,
    pub device_label: Option<String>,
    /// The browser that is remembered for it.
    pub remember: Option<ToRemember>,
}

/// A right code, and what came of it.
#[derive(Clone, Debug)]
pub struct Verified {
    pub passed: Passed,
    /// Of the pair, for the gate to remember.
    pub session: Session,
    /// The issued tokens, with the session of the access token.
    pub issued: Option<(Drawn, Session)>,
}

impl Auth {
    /// Sends a code of one of the user's factors to verify the caller's pair.
    pub async fn start(&self, caller: &Caller, kind: FactorKind) -> Result<Started, StartError> {
        self.start_for(caller, kind, false).await
    }

    /// The same; for a program that is not the browser in front of the user, the message says so.
    pub async fn start_for(
        &self,
        caller: &Caller,
        kind: FactorKind,
        is_for_program: bool,
    ) -> Result<Started, StartError> {
        let factors = self.factors(caller.holder.user).await?;
        let enrolled = factors.of(kind).ok_or(StartError::NoRecipient)?;
        let message = Message {
            is_for_program,
            words: caller.words,
            user: caller.holder.user,
            to: enrolled.value.clone(),
            bound_to: caller.pair.into(),
            purpose: Purpose::Verify,
            replaces_others: false,
        };
        self.send(caller.asker(&self.keys), message).await
    }

    /// Verifies a code that the caller typed, and with it the pair.
    pub async fn verify(&self, caller: &Caller, typed: Typed<'_>) -> Result<Verified, VerifyError> {
        let tries = self.tries(caller, typed.accept, typed.code).await?;
        let becomes = Becomes {
            pair: typed.pair,
            device_label: typed.device_label,
            remember: None,
        };
        self.verify_by(caller, tries, becomes, typed.issue.as_ref())
            .await
    }

    /// Verifies a code that the caller typed on a page, and with it what the caller's pair becomes.
    pub async fn verify_on_page(
        &self,
        caller: &Caller,
        (accept, code): (Accept, &str),
        becomes: Becomes,
    ) -> Result<Verified, VerifyError> {
        let tries = self.tries(caller, accept, code).await?;
        self.verify_by(caller, tries, becomes, None).await
    }

    /// Verifies the caller's pair by what it tries.
    pub(super) async fn verify_by(
        &self,
        caller: &Caller,
        tries: Vec<Try>,
        becomes: Becomes,
        issue: Option<&IssueTo<'_>>,
    ) -> Result<Verified, VerifyError> {
        let now = self.clock.now();
        let remember = becomes.remember.as_ref();
        let remember = remember.and_then(|new| self.new_browser(caller, new));
        let session = NewSession {
            key: becomes.pair,
            device_label: becomes.device_label,
            instead_of: (becomes.pair != caller.pair).then_some(caller.pair),
            ..self.session_of(caller).await?
        };
        let drawn = match issue {
            Some(to) => Some(self.draw(to, &caller.holder, true).await?),
            None => None,
        };
        let of_access = drawn.as_ref().map(|drawn| NewSession {
            key: drawn.pair,
            token: drawn.issue.access.digest,
            instead_of: None,
            expires_at: drawn.access_expires_at.min(session.expires_at),
            ..session.clone()
        });
        let attempt = Attempt {
            user: Some(caller.holder.user),
            tries,
            subjects: self.subjects(&caller.asker(&self.keys)),
            token: Some(caller.token),
            wizard: None,
            grant: None,
            authority: caller.confirms_by(self.settings.load().sends_mail),
            then: Deeds {
                issue: drawn.as_ref().map(|drawn| drawn.issue.clone()),
                sessions: [Some(session), of_access].into_iter().flatten().collect(),
                remember,
                ..Deeds::default()
            },
        };
        let passed = self.judge(caller.asker(&self.keys), attempt, now).await?;
        let mut sessions = passed.sessions.iter().cloned();
        let session = sessions.next().ok_or(VerifyError::Unavailable)?;
        let issued = drawn.zip(sessions.next());
        Ok(Verified {
            passed,
            session,
            issued,
        })
    }

    /// The session that a right code makes for the caller's pair. It does not outlive the token that
    /// it stands on: a share link has an end.
    pub(super) async fn session_of(&self, caller: &Caller) -> Result<NewSession, VerifyError> {
        let now = self.clock.now();
        let live = self.store.token(caller.token, now).await?;
        let (token, _) = live.ok_or(VerifyError::NeverSent)?;
        let longest = now.after(self.settings.load().sessions.lifetime);
        Ok(NewSession {
            key: caller.pair,
            token: caller.token,
            user: caller.holder.user,
            device_label: caller.device_label.clone(),
            whence: caller.whence(),
            instead_of: None,
            verified_at: now,
            expires_at: token.expires_at.map_or(longest, |end| end.min(longest)),
        })
    }

    /// Whom a wrong code counts against.
    pub(super) fn subjects(&self, asker: &Asker) -> Subjects {
        let lockout = self.settings.load().lockout;
        let is_user = |user: &UserId| asker.subject == subject::user(&self.keys, *user);
        Subjects {
            user: Counted {
                subject: asker.subject,
                policy: LockoutPolicy::for_user(&lockout),
                who: asker.user.filter(is_user).map(Who::User),
            },
            address: subject::counted_address(&self.keys, asker.address, &lockout),
        }
    }
}

impl Caller {
    /// Whether the caller may confirm an enrolment at all.
    pub(super) fn may_confirm(&self) -> bool {
        !self.is_guest() && (self.self_enrolment || self.standing >= Standing::Verified)
    }

    /// By what right.
    pub(super) fn confirms_by(&self, email_counts: bool) -> Authority {
        match self.standing {
            Standing::Token => Authority::First { email_counts },
            Standing::Verified | Standing::Sudo => Authority::Verified,
        }
    }
}

impl Asker {
    /// An event about this asker.
    pub(super) fn emit(&self, events: &dyn Events, kind: EventKind, detail: &str) {
        events.emit(Event {
            kind,
            user: self.user,
            route: self.route.clone(),
            address: Some(self.address),
            detail: detail.to_owned(),
            uid: None,
        });
    }
}

/// Runs `work` to its end even if the caller is dropped. `None` if it panicked or the runtime ends.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    tokio::spawn(steps::carried(work)).await.ok()
}

#[cfg(test)]
mod tests;
