//! The steps of a life, and how the dice choose them.

use super::*;

/// splitmix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()]
    }

    fn small_id(&mut self) -> i64 {
        i64::try_from(self.roll(6)).unwrap()
    }
}

/// A step, with everything it will say.
#[derive(Clone, Debug)]
pub(super) enum Step {
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
pub(super) struct Guess {
    pub(super) user: Option<UserId>,
    pub(super) token: &'static str,
    pub(super) asks_with_token: bool,
    pub(super) code: &'static str,
    pub(super) challenge: ChallengeId,
    pub(super) factor: FactorId,
    pub(super) step: Option<i64>,
    /// Which of the tries are made, in a bit each.
    pub(super) tries: u64,
    pub(super) is_first: bool,
    pub(super) wizard: Option<&'static str>,
    pub(super) disable: Option<FactorKind>,
    pub(super) success: Option<&'static str>,
}

const NAMES: [&str; 3] = ["ann", "bob", "cid"];
pub(super) const TOKENS: [&str; 4] = ["t", "u", "v", "w"];
pub(super) const CODES: [&str; 2] = ["111111", "222222"];
pub(super) const PHONES: [&str; 2] = ["+4511111111", "+4622222222"];
pub(super) const ADDRESSES: [&str; 2] = ["ann@example.org", "Bob@example.org"];
pub(super) const WIZARDS: [&str; 2] = ["w1", "w2"];
const WITH_VALUE: [FactorKind; 3] = [FactorKind::Sms, FactorKind::Totp, FactorKind::Email];
const PASSKEYS: [&str; 3] = ["phone", "laptop", "key"];
const LENGTHS: [i64; 3] = [100, 5_000, 200_000];
const BROWSERS: [&str; 3] = ["kitchen", "desk", "library"];

pub(super) fn step(dice: &mut Dice) -> Step {
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
