//! A random life, lived on both engines: the naive one says what the durable one must answer.
//!
//! A failure prints the seed; put it into [`SEEDS`] to live that life again.

use super::fixture::{Fixture, NOW, POLICY, REALM, WIDE};
use crate::auth::lockout::LockoutPolicy;
use crate::auth::ports::{LearnedUser, NewShare, Which};
use crate::clock::Timestamp;
use crate::entropy::{self, OsEntropy};
use crate::event::{Event, EventKind};
use crate::factor::phone::Phone;
use crate::id::{SendId, SessionId, ShareId, UserId};
use crate::secret::Secret;
use std::fmt::Debug;
use std::time::Duration;

const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];
const STEPS: u32 = 600;
/// Steps between two full looks at both.
const LOOK_EVERY: u32 = 5;

/// splitmix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()]
    }

    fn small_id(&mut self) -> i64 {
        i64::try_from(self.roll(6)).unwrap()
    }
}

/// A step, with everything it will say.
#[derive(Clone, Debug)]
enum Step {
    Create(&'static str),
    Learn(&'static str, Option<&'static str>),
    PutToken(UserId, &'static str, Option<i64>, Option<ShareId>),
    SendCode(UserId, &'static str, &'static str),
    Attempt(UserId, &'static str, &'static str, LockoutPolicy),
    Reserve(UserId, &'static str, u32),
    Release(SendId),
    Revoke(Which),
    Touch(SessionId, i64),
    Fail(UserId),
    Succeed(UserId),
    CreateShare(&'static str, Option<i64>),
    RevokeShare(ShareId),
    Reset(UserId),
    Append(&'static str),
    Purge,
}

const NAMES: [&str; 3] = ["ann", "bob", "cid"];
const TOKENS: [&str; 4] = ["t", "u", "v", "w"];
const CODES: [&str; 2] = ["111111", "222222"];
const PHONES: [&str; 2] = ["+4511111111", "+4622222222"];
const LENGTHS: [i64; 3] = [100, 5_000, 200_000];

fn step(dice: &mut Dice) -> Step {
    // Mostly the same people with the same tokens, or no code would ever be right.
    let (token, user) = dice.pick(&[("t", 1), ("u", 2), ("v", 3)]);
    let (token, user) = match dice.roll(8) {
        0 => (dice.pick(&TOKENS), dice.small_id()),
        _ => (token, user),
    };
    let (user, code) = (UserId(user), dice.pick(&CODES));
    let length = [None, Some(dice.pick(&LENGTHS))][usize::from(dice.roll(2) == 0)];
    match dice.roll(26) {
        0 => Step::Create(dice.pick(&NAMES)),
        1 | 2 => Step::Learn(dice.pick(&NAMES), None),
        3 | 4 => Step::PutToken(user, token, length, None),
        5 => Step::PutToken(user, token, length, Some(ShareId(dice.small_id()))),
        6..=9 => Step::SendCode(user, token, code),
        10..=15 => {
            let mut policy = POLICY;
            policy.delay_every = 2;
            policy.lock_at = 7;
            Step::Attempt(user, token, code, policy)
        }
        16 | 17 => Step::Reserve(user, dice.pick(&PHONES), 2),
        18 => Step::Release(SendId(dice.small_id())),
        19 => Step::Revoke(match dice.roll(3) {
            0 => Which::All,
            1 => Which::User(user),
            _ => Which::Session(SessionId(dice.small_id())),
        }),
        20 => Step::Touch(SessionId(dice.small_id()), dice.pick(&LENGTHS)),
        21 => Step::Fail(user),
        22 if dice.roll(4) == 0 => Step::Succeed(user),
        23 => Step::CreateShare(token, length),
        24 => match dice.roll(5) {
            0 | 1 => Step::RevokeShare(ShareId(dice.small_id())),
            2 => Step::Reset(user),
            _ => Step::Append(code),
        },
        25 => Step::Purge,
        _ => Step::Learn(dice.pick(&NAMES), Some(dice.pick(&PHONES))),
    }
}

/// What a verb answered; of errors only that there was one.
fn said<T: Debug, E>(answer: Result<T, E>) -> String {
    answer.map_or_else(|_| "an error".to_owned(), |answer| format!("{answer:?}"))
}

fn refused(detail: &str) -> Event {
    Event {
        kind: EventKind::Refused,
        user: None,
        route: "files".to_owned(),
        address: None,
        detail: detail.to_owned(),
    }
}

async fn take(f: &Fixture, step: Step, now: Timestamp) -> String {
    let later = |secs| now.after(Duration::from_secs(u64::try_from(secs).unwrap()));
    let phone = |phone: &str| Phone::from_e164(phone);
    match step {
        Step::Create(name) => said(f.store.create_user(f.new_user(name), now).await),
        Step::Learn(name, number) => {
            let learned = LearnedUser {
                realm: REALM.to_owned(),
                name: name.to_owned(),
                phone: number.and_then(phone),
                email: number.map(Secret::new),
            };
            said(f.store.learn_user(learned, now).await)
        }
        Step::PutToken(user, token, length, share) => {
            let mut token = f.token(user, token);
            token.expires_at = length.map(later);
            token.issued_at = now;
            token.scope = share.map(|share| format!("/{share}/"));
            token.share = share;
            said(f.store.put_token(token).await)
        }
        Step::SendCode(user, token, code) => {
            let mut challenge = f.challenge(user, token, code);
            challenge.attempts = 4;
            challenge.expires_at = later(600);
            said(f.store.put_challenge(challenge).await)
        }
        Step::Attempt(user, token, code, policy) => {
            let mut attempt = f.attempt(user, token, code);
            attempt.subjects.user.1 = policy;
            for session in &mut attempt.then.sessions {
                session.verified_at = now;
                session.expires_at = later(20_000);
            }
            said(f.store.attempt(attempt, now).await)
        }
        Step::Reserve(user, number, max) => {
            let mut request = f.send_request(user);
            request.recipient = f.keys.recipient(number);
            number[1..3].clone_into(&mut request.prefix);
            request.limits.per_user_per_hour = max;
            request.limits.per_prefix_per_minute = max;
            said(f.store.reserve_send(request, now).await)
        }
        Step::Release(id) => said(f.store.release_send(id).await),
        Step::Revoke(which) => said(f.store.revoke(which, now).await),
        Step::Touch(id, secs) => said(f.store.touch(&[(id, later(secs))]).await),
        Step::Fail(user) => {
            let subjects = [(f.user_subject(user), POLICY), (f.address_subject(), WIDE)];
            said(f.store.failed(&subjects, now).await)
        }
        Step::Succeed(user) => {
            let subjects = [f.user_subject(user), f.address_subject()];
            said(f.store.succeeded(&subjects).await)
        }
        Step::CreateShare(token, length) => {
            let share = NewShare {
                realm: REALM.to_owned(),
                token: f.digest(token),
                path: format!("/{token}/"),
                phone: phone(PHONES[0]),
                email: None,
                expires_at: length.map(later),
            };
            said(f.store.create_share(share, now).await)
        }
        Step::RevokeShare(id) => said(f.store.revoke_share(id, now).await),
        Step::Reset(user) => said(f.store.reset_user(user, f.user_subject(user), now).await),
        Step::Append(detail) => said(f.store.append(&[(now, refused(detail))]).await),
        Step::Purge => said(f.store.purge(now).await),
    }
}

/// Everything the ports let one see.
async fn view(f: &Fixture, now: Timestamp) -> Vec<String> {
    let mut seen = vec![
        said(f.store.users().await),
        said(f.store.shares().await),
        said(f.store.sessions(None, now).await),
        said(f.store.revocations_after(0).await),
        said(f.store.feed_head().await),
        said(f.store.recent(1_000).await),
    ];
    for token in TOKENS {
        seen.push(said(f.store.token(f.digest(token), now).await));
        seen.push(said(f.store.session(f.pair(token), now).await));
    }
    for user in (0..8).map(UserId) {
        let subjects = [f.user_subject(user)];
        seen.push(said(f.store.blocked(&subjects, now).await));
    }
    let address = [f.address_subject()];
    seen.push(said(f.store.blocked(&address, now).await));
    seen
}

async fn live(seed: u64) {
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
}

#[tokio::test]
async fn both_engines_lead_the_same_life() {
    for seed in SEEDS {
        live(seed).await;
    }
}

#[tokio::test]
async fn both_engines_lead_a_new_life() {
    let seed = entropy::bytes::<8>(&OsEntropy).unwrap();
    live(u64::from_le_bytes(seed)).await;
}
