//! A random life, lived on both engines: the naive one says what the durable one must answer.
//!
//! A failure prints the seed; put it into [`SEEDS`] to live that life again.

use super::fixture::{Fixture, NOW, POLICY, REALM, WIDE, mail, proof, sms, totp, whence};
use crate::auth::lockout::LockoutPolicy;
use crate::auth::ports::{
    Advance, Answers, Attempt, AuditQuery, Authority, BackupCodes, ChangeQuery, Contact, Deeds,
    Disable, FactorKind, FactorValue, LearnedUser, NewBrowser, NewChallenge, NewPasskey,
    NewSession, NewShare, NewSuccess, Purpose, Recall, Seen, Stage, Try, UserChange, Which,
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
    Propose(UserId, &'static str, FactorKind, &'static str, bool),
    SendMail(Option<UserId>, &'static str, &'static str),
    Guess(Guess),
    TurnOff(UserId, Disable),
    Begin(UserId, &'static str, Purpose),
    Register(UserId, &'static str, &'static str, u32, bool),
    Answer(UserId, &'static str, PasskeyId, u32),
    Rename(UserId, PasskeyId, &'static str),
    Remember(
        UserId,
        &'static str,
        (&'static str, Option<&'static str>),
        Option<i64>,
    ),
    SignIn(UserId, &'static str, &'static str, Remember),
    Forget(UserId, BrowserId),
    DropToken(&'static str),
    GiveBackup(UserId, u8),
    OpenWizard(&'static str, Option<UserId>, bool),
    AdvanceWizard(&'static str, Stage, Stage, Option<FactorKind>),
    TakeWizard(&'static str),
    FinishWizard(&'static str),
    Spend(&'static str, Option<&'static str>),
    Reserve(UserId, &'static str, u32),
    Release(SendId),
    Revoke(Which),
    Group(UserId, &'static [&'static str]),
    Touch(SessionId, i64),
    Fail(UserId),
    Succeed(UserId),
    CreateShare(&'static str, Option<i64>, usize),
    RevokeShare(ShareId),
    Reset(UserId),
    Append(&'static str),
    Change(UserId, Option<&'static str>, bool),
    Remove(UserId),
    EndDevice(Option<UserId>),
    Purge,
}

/// An attempt with every try there is, and some of the deeds.
#[derive(Clone, Debug)]
struct Guess {
    user: Option<UserId>,
    token: &'static str,
    asks_with_token: bool,
    code: &'static str,
    challenge: ChallengeId,
    factor: FactorId,
    step: Option<i64>,
    /// Which of the tries are made, in a bit each.
    tries: u64,
    is_first: bool,
    wizard: Option<&'static str>,
    disable: Option<FactorKind>,
    success: Option<&'static str>,
}

const NAMES: [&str; 3] = ["ann", "bob", "cid"];
const TOKENS: [&str; 4] = ["t", "u", "v", "w"];
const CODES: [&str; 2] = ["111111", "222222"];
const PHONES: [&str; 2] = ["+4511111111", "+4622222222"];
const ADDRESSES: [&str; 2] = ["ann@example.org", "Bob@example.org"];
const WIZARDS: [&str; 2] = ["w1", "w2"];
const WITH_VALUE: [FactorKind; 3] = [FactorKind::Sms, FactorKind::Totp, FactorKind::Email];
const PASSKEYS: [&str; 3] = ["phone", "laptop", "key"];
const LENGTHS: [i64; 3] = [100, 5_000, 200_000];
const BROWSERS: [&str; 3] = ["kitchen", "desk", "library"];

fn step(dice: &mut Dice) -> Step {
    // Mostly the same people with the same tokens, or no code would ever be right.
    let (token, user) = dice.pick(&[("t", 1), ("u", 2), ("v", 3)]);
    let (token, user) = match dice.roll(8) {
        0 => (dice.pick(&TOKENS), dice.small_id()),
        _ => (token, user),
    };
    let (user, code) = (UserId(user), dice.pick(&CODES));
    let length = [None, Some(dice.pick(&LENGTHS))][usize::from(dice.roll(2) == 0)];
    let passkey = PasskeyId(dice.small_id());
    match dice.roll(86) {
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
        19 => Step::Revoke(match dice.roll(4) {
            0 => Which::All,
            1 => Which::User(user),
            2 => Which::UserBut(user, SessionId(dice.small_id())),
            _ => Which::Session(SessionId(dice.small_id())),
        }),
        20 if dice.roll(3) == 0 => Step::Group(user, dice.pick(&[&[], &["b", "a"], &["c"]])),
        20 => Step::Touch(SessionId(dice.small_id()), dice.pick(&LENGTHS)),
        21 => Step::Fail(user),
        22 if dice.roll(4) == 0 => Step::Succeed(user),
        23 => Step::CreateShare(token, length, 1 + usize::from(dice.roll(3) == 0)),
        24 => match dice.roll(7) {
            0 | 1 => Step::RevokeShare(ShareId(dice.small_id())),
            2 => Step::Reset(user),
            3 => {
                let number = [None, Some(dice.pick(&PHONES))][usize::from(dice.roll(2) == 0)];
                Step::Change(user, number, dice.roll(4) == 0)
            }
            4 if dice.roll(4) == 0 => Step::Remove(user),
            4 => Step::EndDevice([None, Some(user)][usize::from(dice.roll(2) == 0)]),
            _ => Step::Append(code),
        },
        25 => Step::Purge,
        26..=28 | 52..=56 => {
            let kind = dice.pick(&WITH_VALUE);
            Step::Propose(user, token, kind, code, dice.roll(3) == 0)
        }
        29 | 57..=59 | 73 => {
            let user = [None, Some(user)][usize::from(dice.roll(4) > 0)];
            Step::SendMail(user, token, code)
        }
        30..=37 | 46..=51 | 60..=63 => Step::Guess(guess(dice, user, token)),
        38 if dice.roll(3) == 0 => Step::TurnOff(user, Disable::All),
        38 if dice.roll(2) == 0 => {
            let own = Disable::Own {
                target: dice.pick(&FactorKind::ALL).into(),
                last_too: dice.roll(2) == 0,
                email_counts: dice.roll(2) == 0,
            };
            Step::TurnOff(user, own)
        }
        38 => Step::TurnOff(user, Disable::One(dice.pick(&FactorKind::ALL))),
        39 => Step::GiveBackup(user, u8::try_from(dice.roll(9)).unwrap()),
        40 => {
            let user = [None, Some(user)][usize::from(dice.roll(2) == 0)];
            Step::OpenWizard(dice.pick(&WIZARDS), user, dice.roll(2) == 0)
        }
        41 => {
            let kind = [None, Some(FactorKind::Totp)][usize::from(dice.roll(2) == 0)];
            let (from, to) = (dice.pick(&Stage::ALL), dice.pick(&Stage::ALL));
            Step::AdvanceWizard(dice.pick(&WIZARDS), from, to, kind)
        }
        42 if dice.roll(2) == 0 => Step::TakeWizard(dice.pick(&WIZARDS)),
        42 => Step::FinishWizard(dice.pick(&WIZARDS)),
        43..=45 => {
            let token = [None, Some(token)][usize::from(dice.roll(2) == 0)];
            Step::Spend(dice.pick(&CODES), token)
        }
        64..=66 => {
            let purpose = dice.pick(&[Purpose::Verify, Purpose::Enrol]);
            Step::Begin(user, token, purpose)
        }
        67..=69 => {
            let is_first = dice.roll(3) == 0;
            Step::Register(user, token, dice.pick(&PASSKEYS), count(dice), is_first)
        }
        70..=72 => Step::Answer(user, token, passkey, 2 * count(dice)),
        74 => {
            let own = Disable::Own {
                target: passkey.into(),
                last_too: dice.roll(2) == 0,
                email_counts: dice.roll(2) == 0,
            };
            Step::TurnOff(user, own)
        }
        75 => Step::Rename(user, passkey, dice.pick(&PASSKEYS)),
        76..=79 => {
            let before = [None, Some(dice.pick(&BROWSERS))][usize::from(dice.roll(3) == 0)];
            Step::Remember(user, token, (dice.pick(&BROWSERS), before), length)
        }
        80..=83 => {
            let short = Remember::For(Duration::from_secs(3_000));
            let remember = dice.pick(&[Remember::Forever, Remember::Forever, short]);
            Step::SignIn(user, token, dice.pick(&BROWSERS), remember)
        }
        84 if dice.roll(3) == 0 => Step::Forget(user, BrowserId(dice.small_id())),
        84 | 85 => Step::DropToken(token),
        _ => Step::Learn(dice.pick(&NAMES), Some(dice.pick(&PHONES))),
    }
}

/// A small count, often 0.
fn count(dice: &mut Dice) -> u32 {
    dice.pick(&[0, 0, 0, 1, 2, 3, 4])
}

fn guess(dice: &mut Dice, user: UserId, token: &'static str) -> Guess {
    let mut perhaps = |of: u64| dice.roll(of) == 0;
    let (is_nobody, has_step, has_wizard) = (perhaps(8), !perhaps(4), perhaps(8));
    let (has_disable, has_success, asks_with_token) = (perhaps(8), perhaps(2), perhaps(4));
    let is_first = perhaps(2);
    let step = 100 + dice.small_id();
    let kind = dice.pick(&FactorKind::ALL);
    Guess {
        user: (!is_nobody).then_some(user),
        token,
        asks_with_token,
        code: dice.pick(&[CODES[0], CODES[1], "999999"]),
        challenge: ChallengeId(i64::try_from(dice.roll(60)).unwrap()),
        factor: FactorId(i64::try_from(dice.roll(20)).unwrap()),
        step: has_step.then_some(step),
        tries: dice.pick(&[1, 2, 3, 4, 8, 16, 16, 20, 32, 63]),
        is_first,
        wizard: has_wizard.then(|| dice.pick(&WIZARDS)),
        disable: has_disable.then_some(kind),
        success: has_success.then(|| dice.pick(&CODES)),
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

/// The attempt of a guess. The authenticator and the pending enrolment are those that the store
/// tells of, as they would be in life, unless there is none.
async fn attempt_of(f: &Fixture, guess: Guess, now: Timestamp) -> Attempt {
    let bound_to = f.binding(guess.token);
    let pending = f.store.pending(bound_to, Purpose::Enrol, now).await;
    let challenge = pending.unwrap().map_or(guess.challenge, |it| it.id);
    let factors = f
        .store
        .factors(guess.user.unwrap_or(UserId(0)))
        .await
        .unwrap();
    let factor = factors.totp().map_or(guess.factor, |(id, _)| id);
    let code = f.backup_code(guess.code);
    let all = [
        f.sent(guess.token, Purpose::Enrol, guess.code),
        f.new_totp(guess.token, challenge, guess.step),
        f.sent(guess.token, Purpose::Verify, guess.code),
        f.sent(guess.token, Purpose::Confirm, guess.code),
        Try::Totp {
            factor,
            step: guess.step,
        },
        Try::Backup { code },
    ];
    let tries = (0..).zip(all).filter(|(n, _)| guess.tries >> n & 1 == 1);
    let tries = tries.map(|(_, one)| one).collect();
    let email_counts = guess.challenge.0 % 2 == 0;
    let mut attempt = f.bare(guess.user, tries);
    attempt.subjects.user.policy.delay_every = 3;
    attempt.subjects.user.policy.lock_at = 5;
    attempt.token = guess.asks_with_token.then(|| f.digest(guess.token));
    attempt.wizard = guess.wizard.map(|name| f.wizard_digest(name));
    if guess.is_first {
        attempt.authority = Authority::First { email_counts };
    }
    let success = guess.user.zip(guess.success);
    attempt.then = Deeds {
        disable: guess.disable,
        success: success.map(|(user, name)| NewSuccess {
            digest: f.keys.success(name),
            user,
            token: guess.asks_with_token.then(|| f.digest(guess.token)),
            expires_at: now.after(Duration::from_secs(20_000)),
        }),
        ..Deeds::default()
    };
    attempt
}

fn value_of(kind: FactorKind, code: &str) -> FactorValue {
    let nth = usize::from(code == CODES[0]);
    match kind {
        FactorKind::Sms => sms(PHONES[nth]),
        FactorKind::Totp => totp(code),
        FactorKind::Email => mail(ADDRESSES[nth]),
        FactorKind::Passkey => unreachable!("it has no value"),
    }
}

/// The ceremony that waits, as it would be found in life; else one that never was. Mostly it has just
/// begun.
async fn answers(
    f: &Fixture,
    (user, token): (UserId, &str),
    purpose: Purpose,
    is_new: bool,
    now: Timestamp,
) -> Answers {
    let bound_to = f.binding(token);
    if is_new {
        let mut ceremony = f.ceremony(user, token, purpose);
        ceremony.expires_at = now.after(Duration::from_secs(300));
        let _ = f.store.put_ceremony(ceremony).await;
    }
    let found = f.store.ceremony(bound_to, purpose, now).await.unwrap();
    let ceremony = found.map_or(CeremonyId(0), |found| found.id);
    Answers { bound_to, ceremony }
}

/// The steps about passkeys.
async fn take_passkey_step(f: &Fixture, step: Step, now: Timestamp) -> String {
    let tried = async |user, tries, is_first| {
        let mut attempt = f.bare(Some(user), tries);
        // Or their wrong answers would lock everybody for most of a life.
        for counted in [&mut attempt.subjects.user, &mut attempt.subjects.address] {
            counted.subject = f.keys.subject("of passkeys", "");
            counted.policy.delay_every = 0;
            counted.policy.lock_at = 100_000;
        }
        if is_first {
            attempt.authority = Authority::First { email_counts: true };
        }
        said(f.store.attempt(attempt, now).await)
    };
    match step {
        Step::Begin(user, token, purpose) => {
            let mut ceremony = f.ceremony(user, token, purpose);
            ceremony.expires_at = now.after(Duration::from_secs(300));
            said(f.store.put_ceremony(ceremony).await)
        }
        Step::Register(user, token, name, sign_count, is_first) => {
            let new = NewPasskey {
                sign_count,
                ..f.new_passkey(name)
            };
            let passkey = match sign_count {
                4 => Err(Unfit::OtherSite),
                _ => Ok(Box::new(new)),
            };
            let is_new = sign_count != 3;
            let answers = answers(f, (user, token), Purpose::Enrol, is_new, now).await;
            tried(user, vec![Try::NewPasskey { answers, passkey }], is_first).await
        }
        Step::Answer(user, token, id, sign_count) => {
            let is_new = sign_count != 3;
            let answers = answers(f, (user, token), Purpose::Verify, is_new, now).await;
            let factors = f.store.factors(user).await.unwrap();
            let own = factors.passkeys.last().filter(|_| sign_count > 1);
            let proof = proof(own.map_or(id, |own| own.id), sign_count);
            tried(user, vec![Try::Passkey { answers, proof }], false).await
        }
        Step::Rename(user, id, name) => said(f.store.rename_passkey(user, id, name).await),
        other => panic!("{other:?} is no such step"),
    }
}

/// The steps about browsers that are remembered.
async fn take_browser_step(f: &Fixture, step: Step, now: Timestamp) -> String {
    let long = now.after(Duration::from_secs(20_000));
    match step {
        Step::Remember(user, token, (secret, before), length) => {
            let mut challenge = f.challenge(user, token, CODES[0]);
            challenge.expires_at = long;
            let _ = f.store.put_challenge(challenge).await;
            let mut attempt = f.attempt(user, token, CODES[0]);
            for session in &mut attempt.then.sessions {
                session.verified_at = now;
                session.expires_at = long;
            }
            let until = |secs| now.after(Duration::from_secs(u64::try_from(secs).unwrap()));
            attempt.then.remember = Some(NewBrowser {
                digest: f.keys.browser(secret),
                instead_of: before.map(|before| f.keys.browser(before)),
                token: f.digest(token),
                whence: whence(),
                until: length.map(until),
            });
            said(f.store.attempt(attempt, now).await)
        }
        Step::SignIn(user, token, secret, remember) => {
            let mut token = f.token(user, token);
            token.issued_at = now;
            let recall = Recall {
                browser: f.keys.browser(secret),
                remember,
                session: NewSession {
                    key: f.pair("signed in"),
                    token: token.digest,
                    user,
                    expires_at: long,
                    ..f.new_session(user, "")
                },
            };
            said(f.store.put_token_in(token, recall, now).await)
        }
        Step::Forget(user, id) => said(f.store.forget_browser(user, id).await),
        Step::DropToken(token) => said(f.store.drop_token(f.digest(token), now).await),
        step => take_passkey_step(f, step, now).await,
    }
}

/// The steps about factors and wizards.
async fn take_factor_step(f: &Fixture, step: Step, now: Timestamp) -> String {
    let soon = now.after(Duration::from_secs(600));
    match step {
        Step::Propose(user, token, kind, code, replaces_others) => {
            let challenge = NewChallenge {
                replaces_others,
                attempts: 3,
                expires_at: soon,
                ..f.enrolment(user, token, value_of(kind, code), code)
            };
            said(f.store.put_challenge(challenge).await)
        }
        Step::SendMail(user, token, code) => {
            let challenge = NewChallenge {
                user,
                purpose: Purpose::Confirm,
                factor: FactorKind::Email,
                code: Some(f.code(f.binding(token), Purpose::Confirm, code)),
                attempts: 3,
                expires_at: soon,
                ..f.challenge(UserId(0), token, code)
            };
            said(f.store.put_challenge(challenge).await)
        }
        Step::Guess(guess) => {
            let attempt = attempt_of(f, guess, now).await;
            said(f.store.attempt(attempt, now).await)
        }
        Step::TurnOff(user, which) => said(f.store.disable(user, which, now).await),
        Step::GiveBackup(user, salt) => {
            let codes = BackupCodes {
                salt: [salt; 16],
                codes: CODES.map(|code| f.backup_code(code)).to_vec(),
            };
            said(f.store.put_backup_codes(user, codes, i64::MAX, now).await)
        }
        Step::OpenWizard(name, user, has_token) => {
            let mut wizard = f.wizard(name);
            wizard.user = user;
            wizard.token = has_token.then(|| f.digest(TOKENS[0]));
            wizard.expires_at = soon;
            let opener = f.address_subject();
            said(f.store.open_wizard(wizard, opener, now).await)
        }
        Step::AdvanceWizard(name, from, to, factor) => {
            let step = Advance {
                digest: f.wizard_digest(name),
                from,
                to,
                user: None,
                factor,
            };
            said(f.store.advance_wizard(step, now).await)
        }
        Step::TakeWizard(name) => said(f.store.take_wizard(f.wizard_digest(name), now).await),
        Step::FinishWizard(name) => {
            let digest = f.wizard_digest(name);
            said(f.store.finish_wizard(digest, Deeds::default(), now).await)
        }
        Step::Spend(name, token) => {
            let token = token.map(|token| f.digest(token));
            let digest = f.keys.success(name);
            said(f.store.spend_success(REALM, digest, token, now).await)
        }
        step => take_browser_step(f, step, now).await,
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
                email: number
                    .map(|number| Secret::new(ADDRESSES[usize::from(number == PHONES[0])])),
                groups: number.map(|number| vec![number.to_owned(), "learned".to_owned()]),
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
            attempt.subjects.user.policy = policy;
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
        Step::Group(user, groups) => {
            let groups = groups.iter().map(ToString::to_string).collect();
            said(f.set_groups(user, groups, now).await)
        }
        Step::Touch(id, secs) => {
            let seen = Seen {
                id,
                last_seen_at: later(secs),
                longest_pause_secs: u32::try_from(secs / 2).unwrap(),
            };
            said(f.store.touch(&[seen]).await)
        }
        Step::Fail(user) => {
            let subjects = [(f.user_subject(user), POLICY), (f.address_subject(), WIDE)];
            said(f.fail(subjects, now).await)
        }
        Step::Succeed(user) => {
            let subjects = [f.user_subject(user), f.address_subject()];
            said(f.store.succeeded(&subjects).await)
        }
        Step::CreateShare(token, length, recipients) => {
            let share = NewShare {
                realm: REALM.to_owned(),
                link: f.digest(token),
                path: format!("/{token}/"),
                recipients: PHONES[..recipients].iter().map(contact).collect(),
                devices_max: Some(2),
                expires_at: length.map(later),
            };
            said(f.store.create_share(share, now).await)
        }
        Step::RevokeShare(id) => said(f.store.revoke_share(id, now).await),
        Step::Reset(user) => said(f.store.reset_user(user, f.user_subject(user), now).await),
        Step::Change(user, number, ends) => {
            let change = UserChange {
                phone: Some(number.and_then(phone)),
                email: Some(number.map(|_| Secret::new(ADDRESSES[0]))),
                password_hash: ends.then_some(None),
                can_edit_users: Some(ends),
                groups: ends.then(Vec::new),
            };
            said(f.store.change_user(user, change, now).await)
        }
        Step::Remove(user) => {
            let subjects = [f.user_subject(user)];
            said(f.store.remove_user(user, &subjects, now).await)
        }
        Step::EndDevice(user) => {
            let labels = ["fedcba9876543210".to_owned()];
            said(f.store.revoke_devices(&labels, user, now).await)
        }
        Step::Append(detail) => said(f.store.append(&[(now, refused(detail))]).await),
        Step::Purge => said(f.store.purge(now).await),
        step => take_factor_step(f, step, now).await,
    }
}

/// A recipient of a share, reached by phone.
fn contact(number: &&str) -> Contact {
    Contact {
        phone: Phone::from_e164(number),
        email: None,
    }
}

/// What a factor stands on, which `Debug` does not tell.
fn plain(value: Option<&FactorValue>) -> String {
    match value {
        None => String::new(),
        Some(FactorValue::Sms(phone)) => phone.e164().to_owned(),
        Some(FactorValue::Totp(secret)) => format!("{:?}", secret.bytes()),
        Some(FactorValue::Email(address)) => address.expose().to_owned(),
    }
}

/// Everything the ports let one see.
async fn view(f: &Fixture, now: Timestamp) -> Vec<String> {
    let mut seen = vec![
        said(f.store.users_after(UserId(0), 1_000).await),
        said(f.store.shares().await),
        said(f.store.sessions(None, now).await),
        said(f.store.revocations_after(0).await),
        said(f.store.feed_head().await),
        said(f.store.search_audit(AuditQuery::newest(1_000)).await),
    ];
    for token in TOKENS {
        seen.push(said(f.store.token(f.digest(token), now).await));
        seen.push(said(f.store.share_of_link(f.digest(token), now).await));
        seen.push(said(f.store.session(f.pair(token), now).await));
        for purpose in Purpose::ALL {
            let pending = f.store.pending(f.binding(token), purpose, now).await;
            let secret = plain(
                pending
                    .as_ref()
                    .ok()
                    .and_then(|it| it.as_ref()?.value.as_ref()),
            );
            seen.push(format!("{} {secret}", said(pending)));
            let ceremony = f.store.ceremony(f.binding(token), purpose, now).await;
            seen.push(said(ceremony));
        }
    }
    for user in (0..8).map(UserId) {
        let subjects = [f.user_subject(user)];
        seen.push(said(f.store.blocked(&subjects, now).await));
        let factors = f.store.factors(user).await.unwrap();
        let values = factors.enrolled.iter().map(|one| plain(Some(&one.value)));
        seen.extend(values);
        let passkeys = factors.passkeys.iter();
        seen.extend(passkeys.map(|one| one.credential.expose().to_owned()));
        seen.push(format!("{factors:?}"));
        seen.push(said(f.store.backup_salt(user).await));
        seen.push(said(f.store.browsers(user, now).await));
        let query = ChangeQuery {
            kinds: FactorKind::ALL.to_vec(),
            is_enabled: None,
            from: None,
            to: None,
            newest_first: true,
            offset: 0,
            limit: 30,
        };
        seen.push(said(f.store.changes(user, query).await));
    }
    for wizard in WIZARDS {
        seen.push(said(f.store.wizard(f.wizard_digest(wizard), now).await));
    }
    for address in ADDRESSES {
        let found = f.store.user_by_email(REALM, address).await;
        seen.push(said(found.map(|user| user.map(|user| user.id))));
    }
    seen.push(said(f.store.lockouts(None, 100, now).await));
    let address = [f.address_subject()];
    seen.push(said(f.store.blocked(&address, now).await));
    seen
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
