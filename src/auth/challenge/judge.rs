//! One attempt, with its audit.

use super::{VerifyError, to_its_end};
use crate::auth::failures::{FailedAt, tell_if_delayed};
use crate::auth::lockout::Blocked;
use crate::auth::ports::{Attempt, Attempted, FactorKind, Passed, Store, Try};
use crate::auth::{Asker, Auth};
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use crate::event::{EventKind, Events};
use crate::gate::session::Factor;
use crate::id::UserId;
use std::sync::Arc;

impl Auth {
    /// Judges an attempt, with its audit, even if the client hangs up.
    pub(in crate::auth) async fn judge(
        &self,
        asker: Asker,
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<Passed, VerifyError> {
        let judge = Judge {
            store: Arc::clone(&self.store),
            events: Arc::clone(&self.events),
            asker,
        };
        to_its_end(judge.run(attempt, now))
            .await
            .unwrap_or(Err(VerifyError::Unavailable))
    }
}

/// One attempt and its audit, with everything it needs, so that it can outlive its request.
struct Judge {
    store: Arc<dyn Store>,
    events: Arc<dyn Events>,
    asker: Asker,
}

impl Judge {
    async fn run(self, attempt: Attempt, now: Timestamp) -> Result<Passed, VerifyError> {
        let (user, address) = (
            attempt.subjects.user.subject,
            attempt.subjects.address.subject,
        );
        let meant = self.meant(&attempt.tries, now).await;
        // Backup codes are judged in the locked state too, which is then no news.
        let was_locked = self.is_locked(user, now).await;
        let disabled = attempt.then.disable;
        let is_for_client = attempt.grant.is_some();
        let is_to_remember = attempt.then.remember.is_some();
        let usual = usual_of(&attempt);
        let wrong = wrong_of(&attempt.tries);
        match self.store.attempt(attempt, now).await? {
            Attempted::Right(passed) => {
                self.passed(&passed, disabled, (is_for_client, is_to_remember));
                Ok(passed)
            }
            Attempted::Wrong { left } => {
                self.refused(meant, &wrong);
                self.perhaps_locked(was_locked, user, now).await;
                self.perhaps_delayed(address, now).await;
                Err(VerifyError::Wrong { left })
            }
            Attempted::WentBack => {
                self.refused(meant, "wrong: counter went back");
                self.perhaps_locked(was_locked, user, now).await;
                self.perhaps_delayed(address, now).await;
                Err(VerifyError::Copied)
            }
            Attempted::Gone => {
                let gone = match usual {
                    Some(user) => self.usual(user).await,
                    None => meant,
                };
                self.refused(gone, "expired");
                Err(VerifyError::Gone)
            }
            Attempted::Forbidden => {
                self.refused(meant, "enrolment not allowed");
                Err(VerifyError::Forbidden)
            }
            Attempted::Full => {
                self.refused(meant, "no device left");
                Err(VerifyError::Full)
            }
            Attempted::NeverSent => Err(VerifyError::NeverSent),
            Attempted::Blocked(blocked) => Err(VerifyError::Blocked(blocked)),
        }
    }

    fn passed(
        &self,
        passed: &Passed,
        disabled: Option<FactorKind>,
        (is_for_client, is_to_remember): (bool, bool),
    ) {
        let emit = |kind, detail: &str| self.asker.emit(&*self.events, kind, detail);
        let factor = passed.factor.as_str();
        if passed.has_enrolled {
            emit(EventKind::Enrolled, factor);
        }
        let what_for = match is_for_client {
            true => " for a client",
            false if is_to_remember && passed.factor.can_be_remembered() => " and remembered",
            false => "",
        };
        emit(EventKind::Verified, &format!("{factor}{what_for}"));
        if let Some(disabled) = disabled {
            emit(EventKind::Disabled, disabled.as_str());
        }
    }

    /// An event whose detail begins with the factor's name: by it the metrics tell the methods
    /// apart.
    fn refused(&self, factor: Option<Factor>, what: &str) {
        let detail = match factor {
            Some(factor) => format!("{} {what}", factor.as_str()),
            None => what.to_owned(),
        };
        self.asker.emit(&*self.events, EventKind::Refused, &detail);
    }

    /// The factor that a code is taken for if it is wrong: that of the challenge which waits for
    /// one, else what else it may be. For the audit alone, so that no answer is none.
    async fn meant(&self, tries: &[Try], now: Timestamp) -> Option<Factor> {
        for one in tries {
            match one {
                Try::Sent {
                    bound_to, purpose, ..
                } => {
                    let pending = self.store.pending(*bound_to, *purpose, now).await;
                    if let Ok(Some(pending)) = pending {
                        return Some(pending.factor.factor());
                    }
                }
                Try::NewTotp { .. } | Try::Totp { .. } => return Some(Factor::Totp),
                Try::Backup { .. } => return Some(Factor::BackupCode),
                Try::Passkey { .. } | Try::NewPasskey { .. } => return Some(Factor::Passkey),
            }
        }
        None
    }

    /// The factor that codes are usually sent by. Of a challenge that is over, the store tells
    /// nothing any more.
    async fn usual(&self, user: UserId) -> Option<Factor> {
        let factors = self.store.factors(user).await.ok()?;
        let mut kinds = factors.enrolled.iter().map(|one| one.value.kind());
        kinds
            .find(|kind| *kind != FactorKind::Totp)
            .map(FactorKind::factor)
    }

    async fn perhaps_locked(&self, was_locked: bool, user: SubjectDigest, now: Timestamp) {
        if !was_locked && self.is_locked(user, now).await {
            self.asker
                .emit(&*self.events, EventKind::Locked, "wrong codes");
        }
    }

    async fn perhaps_delayed(&self, address: SubjectDigest, now: Timestamp) {
        let failed_at = FailedAt {
            route: &self.asker.route,
            address: self.asker.address,
        };
        tell_if_delayed(&*self.store, &*self.events, address, failed_at, now).await;
    }

    async fn is_locked(&self, user: SubjectDigest, now: Timestamp) -> bool {
        matches!(
            self.store.blocked(&[user], now).await,
            Ok(Some(Blocked::Locked))
        )
    }
}

/// What the audit says of a wrong code, or of a passkey's answer: why it is none.
fn wrong_of(tries: &[Try]) -> String {
    let unfit = tries.iter().find_map(|one| match one {
        Try::Passkey { proof, .. } => proof.as_ref().err(),
        Try::NewPasskey { passkey, .. } => passkey.as_ref().err(),
        Try::Sent { .. } | Try::NewTotp { .. } | Try::Totp { .. } | Try::Backup { .. } => None,
    });
    unfit.map_or_else(
        || "wrong code".to_owned(),
        |unfit| format!("wrong: {unfit}"),
    )
}

/// Whose usual factor stands for the challenge, if it is one that a code was sent for.
fn usual_of(attempt: &Attempt) -> Option<UserId> {
    let is_sent = |one: &Try| matches!(one, Try::Sent { .. });
    // Asked for nobody too: the time does not tell whether a challenge is anybody's.
    let user = attempt.user.unwrap_or(UserId(0));
    attempt.tries.iter().any(is_sent).then_some(user)
}
