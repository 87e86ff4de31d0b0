//! What a typed code is: each of its tries is judged by itself, then all of them together.

use crate::auth::ports::{
    self, Answer, Answers, Attempt, FactorKind, FactorValue, NewPasskey, Pending, Proof, Purpose,
    Try,
};
use crate::clock::Timestamp;
use crate::digest::{Binding, CodeDigest};
use crate::gate::session::Factor;
use crate::id::{CeremonyId, ChallengeId, FactorId, UserId};
use crate::secret::Secret;

/// What the store holds of a challenge.
#[derive(Clone, Debug)]
pub(in crate::store) struct Challenge {
    pub(in crate::store) id: ChallengeId,
    pub(in crate::store) bound_to: Binding,
    pub(in crate::store) purpose: Purpose,
    pub(in crate::store) user: Option<UserId>,
    pub(in crate::store) factor: FactorKind,
    pub(in crate::store) code: Option<CodeDigest>,
    pub(in crate::store) value: Option<FactorValue>,
    pub(in crate::store) replaces_others: bool,
    /// Neither used nor void.
    pub(in crate::store) is_pending: bool,
    pub(in crate::store) attempts_left: u32,
    pub(in crate::store) expires_at: Timestamp,
}

impl Challenge {
    /// Whether a code may still be typed for it.
    pub(in crate::store) fn is_open(&self, now: Timestamp) -> bool {
        self.is_pending && self.attempts_left > 0 && now < self.expires_at
    }

    /// As the use cases see it.
    pub(in crate::store) fn into_pending(self) -> Pending {
        Pending {
            id: self.id,
            user: self.user,
            factor: self.factor,
            has_code: self.code.is_some(),
            value: self.value,
            replaces_others: self.replaces_others,
            expires_at: self.expires_at,
        }
    }

    fn wrong(self, was_sent: bool) -> Verdict {
        Verdict::Wrong(Some(Missed {
            left: self.attempts_left.saturating_sub(1),
            was_sent,
            challenge: self,
        }))
    }
}

/// How one try stands.
#[derive(Clone, Debug)]
pub(in crate::store) enum Verdict {
    /// There is nothing that it could be.
    Nothing,
    /// There was; `is_equal`: and it would have been right.
    Closed {
        is_equal: bool,
    },
    Wrong(Option<Missed>),
    /// A passkey's counter has not moved on.
    WentBack,
    Right(Right),
}

/// A challenge that a wrong code was compared with.
#[derive(Clone, Debug)]
pub(in crate::store) struct Missed {
    pub(in crate::store) challenge: Challenge,
    /// Tries left after this one.
    pub(in crate::store) left: u32,
    /// A code was sent for it, so that people may be told what is left.
    was_sent: bool,
}

/// A right code of a user.
#[derive(Clone, Debug)]
pub(in crate::store) struct Right {
    pub(in crate::store) user: UserId,
    pub(in crate::store) by: By,
}

/// What was right.
#[derive(Clone, Debug)]
pub(in crate::store) enum By {
    /// The code of a challenge; the time step, if an authenticator made it.
    Challenge(Box<Challenge>, Option<i64>),
    Totp(FactorId, i64),
    Backup(CodeDigest),
    Passkey(Box<Proof>),
    NewPasskey(Box<NewPasskey>),
}

/// What the store holds of a ceremony.
#[derive(Clone, Debug)]
pub(in crate::store) struct Ceremony {
    pub(in crate::store) id: CeremonyId,
    pub(in crate::store) user: UserId,
    pub(in crate::store) state: Secret,
    pub(in crate::store) expires_at: Timestamp,
}

impl Ceremony {
    /// Whether an answer is still awaited.
    pub(in crate::store) fn is_open(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// As the use cases see it.
    pub(in crate::store) fn into_pending(self) -> ports::Ceremony {
        ports::Ceremony {
            id: self.id,
            user: self.user,
            state: self.state,
        }
    }
}

impl Right {
    /// Whose code it was.
    pub(in crate::store) fn factor(&self) -> Factor {
        match &self.by {
            By::Challenge(challenge, _) => challenge.factor.factor(),
            By::Totp(..) => Factor::Totp,
            By::Backup(_) => Factor::BackupCode,
            By::Passkey(_) | By::NewPasskey(_) => Factor::Passkey,
        }
    }

    /// Whether it confirms an enrolment.
    pub(in crate::store) fn has_enrolled(&self) -> bool {
        match &self.by {
            By::Challenge(challenge, _) => challenge.purpose == Purpose::Enrol,
            By::NewPasskey(_) => true,
            By::Totp(..) | By::Backup(_) | By::Passkey(_) => false,
        }
    }

    /// The challenge that it answers.
    pub(in crate::store) fn challenge(&self) -> Option<&Challenge> {
        match &self.by {
            By::Challenge(challenge, _) => Some(challenge),
            By::Totp(..) | By::Backup(_) | By::Passkey(_) | By::NewPasskey(_) => None,
        }
    }
}

/// How an attempt that is not blocked stands.
#[derive(Clone, Debug)]
pub(in crate::store) enum Judged {
    NeverSent,
    Gone,
    /// With the challenges that lose a try, and what the answer says is left.
    Wrong {
        missed: Vec<Missed>,
        left: Option<u32>,
    },
    WentBack,
    Right(Right),
}

/// Whether an attempt tries backup codes alone: the way out of a lock.
pub(in crate::store) fn only_backup(attempt: &Attempt) -> bool {
    let is_backup = |one: &Try| matches!(one, Try::Backup { .. });
    !attempt.tries.is_empty() && attempt.tries.iter().all(is_backup)
}

/// Judges a [`Try::Sent`] by the challenge of its binding and purpose.
pub(in crate::store) fn judge_sent(
    user: Option<UserId>,
    challenge: Option<Challenge>,
    code: &CodeDigest,
    now: Timestamp,
) -> Verdict {
    let Some(challenge) = challenge.filter(|challenge| challenge.user == user) else {
        return Verdict::Nothing;
    };
    let is_equal = challenge.code.is_some_and(|sent| sent.ct_eq(code));
    match user {
        // Nobody's challenge looks like one that was sent, and no code is right for it.
        None if challenge.is_open(now) => challenge.wrong(true),
        None => Verdict::Closed { is_equal: false },
        Some(_) if !challenge.is_open(now) => Verdict::Closed { is_equal },
        Some(_) if challenge.code.is_none() => Verdict::Nothing,
        Some(user) if is_equal => Verdict::Right(Right {
            user,
            by: By::Challenge(Box::new(challenge), None),
        }),
        Some(_) => challenge.wrong(true),
    }
}

/// Judges a [`Try::NewTotp`] by the challenge of its binding. One that is not the challenge whose
/// secret the step was reckoned with is none.
pub(in crate::store) fn judge_new_totp(
    user: Option<UserId>,
    challenge: Option<Challenge>,
    id: ChallengeId,
    step: Option<i64>,
    now: Timestamp,
) -> Verdict {
    let is_meant = |challenge: &Challenge| {
        challenge.id == id && challenge.user == user && challenge.factor == FactorKind::Totp
    };
    let (Some(challenge), Some(user)) = (challenge.filter(is_meant), user) else {
        return Verdict::Nothing;
    };
    if !challenge.is_open(now) {
        return Verdict::Closed {
            is_equal: step.is_some(),
        };
    }
    if step.is_none() {
        return challenge.wrong(false);
    }
    Verdict::Right(Right {
        user,
        by: By::Challenge(Box::new(challenge), step),
    })
}

/// Judges a [`Try::Totp`]. `last_step`: of the user's factor of that number, if there is one, the
/// step of its last right code: no code is right twice, nor one older (RFC 6238 section 5.2).
pub(in crate::store) fn judge_totp(
    user: Option<UserId>,
    factor: FactorId,
    last_step: Option<Option<i64>>,
    step: Option<i64>,
) -> Verdict {
    let (Some(last_step), Some(user)) = (last_step, user) else {
        return Verdict::Nothing;
    };
    match step.filter(|step| last_step.is_none_or(|last| *step > last)) {
        Some(step) => Verdict::Right(Right {
            user,
            by: By::Totp(factor, step),
        }),
        None => Verdict::Wrong(None),
    }
}

/// Judges a [`Try::Backup`] by the user's codes that are not spent.
pub(in crate::store) fn judge_backup(
    user: Option<UserId>,
    unspent: &[CodeDigest],
    code: CodeDigest,
) -> Verdict {
    // All are compared, so that the time does not tell which one it is.
    let is_one = unspent
        .iter()
        .fold(false, |found, one| found | one.ct_eq(&code));
    match user.filter(|_| is_one) {
        Some(user) => Verdict::Right(Right {
            user,
            by: By::Backup(code),
        }),
        None => Verdict::Wrong(None),
    }
}

/// Judges a [`Try::Passkey`]. `last_count`: of the user's passkey of that number, if there is one, what
/// its authenticator had counted when it was last used (WebAuthn section 6.1.1).
pub(in crate::store) fn judge_passkey(
    user: Option<UserId>,
    ceremony: Option<&Ceremony>,
    (answers, proof): (Answers, &Answer<Proof>),
    last_count: Option<u32>,
    now: Timestamp,
) -> Verdict {
    let Some(user) = awaited(user, ceremony, answers, now) else {
        return closed(proof);
    };
    let (Ok(proof), Some(last)) = (proof, last_count) else {
        return Verdict::Wrong(None);
    };
    let does_count = proof.sign_count > 0 || last > 0;
    if does_count && proof.sign_count <= last {
        return Verdict::WentBack;
    }
    Verdict::Right(Right {
        user,
        by: By::Passkey(proof.clone()),
    })
}

/// Judges a [`Try::NewPasskey`]. `has_room`: the user may have one more. `is_known`: somebody has this
/// one.
pub(in crate::store) fn judge_new_passkey(
    user: Option<UserId>,
    ceremony: Option<&Ceremony>,
    (answers, passkey): (Answers, &Answer<NewPasskey>),
    (has_room, is_known): (bool, bool),
    now: Timestamp,
) -> Verdict {
    let Some(user) = awaited(user, ceremony, answers, now).filter(|_| has_room) else {
        return closed(passkey);
    };
    match passkey {
        Ok(passkey) if !is_known => Verdict::Right(Right {
            user,
            by: By::NewPasskey(passkey.clone()),
        }),
        _ => Verdict::Wrong(None),
    }
}

/// Whose the ceremony is, if it is the one that was answered, and its answer is awaited.
fn awaited(
    user: Option<UserId>,
    ceremony: Option<&Ceremony>,
    answers: Answers,
    now: Timestamp,
) -> Option<UserId> {
    let ceremony = ceremony.filter(|ceremony| ceremony.id == answers.ceremony)?;
    user.filter(|user| ceremony.user == *user && ceremony.is_open(now))
}

fn closed<T>(answer: &Answer<T>) -> Verdict {
    Verdict::Closed {
        is_equal: answer.is_ok(),
    }
}

/// Judges all tries of one code together: the first that is right counts; a code that would have
/// been right before is no guess.
pub(in crate::store) fn judge(verdicts: Vec<Verdict>) -> Judged {
    let (mut was_right, mut was_there, mut is_wrong) = (false, false, false);
    let mut missed = Vec::new();
    for verdict in verdicts {
        match verdict {
            Verdict::Right(right) => return Judged::Right(right),
            Verdict::WentBack => return Judged::WentBack,
            Verdict::Wrong(challenge) => {
                is_wrong = true;
                missed.extend(challenge);
            }
            Verdict::Closed { is_equal } => {
                was_there = true;
                was_right |= is_equal;
            }
            Verdict::Nothing => {}
        }
    }
    if was_right || was_there && !is_wrong {
        return Judged::Gone;
    }
    if !is_wrong {
        return Judged::NeverSent;
    }
    let sent = missed.iter().filter(|missed| missed.was_sent);
    let left = sent.map(|missed| missed.left).max();
    Judged::Wrong { missed, left }
}
