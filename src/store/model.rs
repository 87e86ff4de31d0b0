//! A random life, lived on both engines: the naive one says what the durable one must answer.
//!
//! A failure prints the seed; put it into [`SEEDS`] to live that life again.

mod steps;
mod take;
mod view;

use self::steps::*;
use self::take::take;
use self::view::view;
use super::fixture::{Fixture, NOW, POLICY, REALM, WIDE, mail, proof, sms, totp, whence};
use crate::auth::lockout::LockoutPolicy;
use crate::auth::ports::{
    Advance, Answers, Attempt, AuditQuery, Authority, BackupCodes, ChangeQuery, Contact, Deeds,
    Disable, FactorKind, FactorValue, LearnedUser, NewBrowser, NewChallenge, NewPasskey,
    NewSession, NewShare, NewSuccess, Purpose, Recall, Said, Seen, Stage, Try, UserChange, Which,
};
use crate::clock::Timestamp;
use crate::config::model::Remember;
use crate::entropy::{self, OsEntropy};
use crate::event::{Event, EventKind};
use crate::factor::passkey::Unfit;
use crate::factor::phone::Phone;
use crate::id::{
    BrowserId, CeremonyId, ChallengeId, FactorId, PasskeyId, SendId, SessionId, ShareId, UserId,
};
use crate::secret::Secret;
use std::fmt::Debug;
use std::time::Duration;

const SEEDS: [u64; 5] = [2, 3, 4, 8, 9];
const STEPS: u32 = 1_500;
/// Steps between two full looks at both.
const LOOK_EVERY: u32 = 5;

/// What a verb answered; of errors only that there was one.
fn said<T: Debug, E>(answer: Result<T, E>) -> String {
    answer.map_or_else(|_| "an error".to_owned(), |answer| format!("{answer:?}"))
}

/// Answers that a life must have heard to prove anything.
const TELLING: [&str; 13] = [
    "has_enrolled: true",
    "factor: Totp, has_enrolled: false",
    "factor: BackupCode",
    "factor: Email, has_enrolled: false",
    "factor: Passkey, has_enrolled: true",
    "factor: Passkey, has_enrolled: false",
    "WentBack",
    "Forbidden",
    "Gone",
    "Wrong { left: None }",
    "Blocked(Locked)",
    "Some(Holder",
    "Some(Session",
];

/// Lives with this seed; returns how often each of [`TELLING`] was heard.
async fn live(seed: u64) -> [usize; TELLING.len()] {
    let mut heard = [0; TELLING.len()];
    let sqlite = Fixture::sqlite().await;
    let mut memory = Fixture::memory().await;
    memory.keys = sqlite.keys.clone();
    let mut dice = Dice(seed);
    let mut now = NOW;
    for n in 0..STEPS {
        let pause = dice.pick(&[0, 0, 0, 0, 1, 1, 7, 40, 300]);
        now = now.after(Duration::from_secs(pause));
        if dice.roll(40) == 0 {
            let days = dice.pick(&[1, 1, 1, 8, 40, 100, 500]);
            now = now.after(Duration::from_secs(days * 24 * 3600));
        }
        let step = step(&mut dice);
        let expected = take(&memory, step.clone(), now).await;
        let actual = take(&sqlite, step.clone(), now).await;
        for (heard, telling) in heard.iter_mut().zip(TELLING) {
            *heard += usize::from(actual.contains(telling));
        }
        assert_eq!(
            actual, expected,
            "seed {seed}, step {n}: {step:?} at {now:?}"
        );
        if n.is_multiple_of(LOOK_EVERY) {
            let (expected, actual) = (view(&memory, now).await, view(&sqlite, now).await);
            assert_eq!(
                actual, expected,
                "seed {seed}, after step {n}: {step:?} at {now:?}"
            );
        }
    }
    heard
}

#[tokio::test]
async fn both_engines_lead_the_same_life() {
    let mut heard = [0; TELLING.len()];
    for seed in SEEDS {
        let more = live(seed).await;
        heard
            .iter_mut()
            .zip(more)
            .for_each(|(all, more)| *all += more);
    }
    let least = heard.iter().min();
    assert!(least >= Some(&3), "{TELLING:?}: {heard:?}");
}

#[tokio::test]
async fn both_engines_lead_a_new_life() {
    let seed = entropy::bytes::<8>(&OsEntropy).unwrap();
    live(u64::from_le_bytes(seed)).await;
}
