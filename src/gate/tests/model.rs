//! The gate against a naive model, over random lives of three tokens on three devices.

use super::*;
use crate::config::model::{People, Rule};
use crate::policy::tests::{route, target};
use proptest::prelude::*;

const TOKENS: [&str; 3] = ["one", "two", "three"];
const DEVICES: [Option<&str>; 3] = [None, Some("phone"), Some("laptop")];
/// Token `n` was issued to this device.
const ISSUED_TO: [Option<&str>; 3] = [None, Some("phone"), Some("laptop")];
const SCOPES: [Option<&str>; 3] = [None, None, Some("/a/")];
const PATHS: [&str; 3] = ["/a/b", "/x", "/a"];

#[derive(Clone, Debug)]
enum Step {
    Issue(usize),
    /// The token is revoked together with its sessions.
    End(usize),
    Verify {
        token: usize,
        device: usize,
        remembered: bool,
    },
    RevokeUser(i64),
    RevokeSession(usize),
    RevokeAll,
    /// The first user joins the group, or leaves it.
    Join(bool),
    Request {
        token: usize,
        device: usize,
        path: usize,
        asked: AskedOf,
    },
    Advance(i64),
    Down(bool),
    Idle(u64),
    Sweep,
    LoseTrust,
}

/// Of whom the path asks a requirement. Of others than the group, it asks a token.
#[derive(Clone, Copy, Debug)]
enum AskedOf {
    All(Requirement),
    Group(Requirement),
}

fn asked() -> impl Strategy<Value = AskedOf> {
    prop_oneof![
        4 => requirement().prop_map(AskedOf::All),
        1 => requirement().prop_map(AskedOf::Group),
    ]
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let span = || prop::option::weighted(0.7, (1u64..400).prop_map(Duration::from_secs));
    prop_oneof![
        6 => Just(TWO_FACTOR),
        4 => (span(), span())
            .prop_map(|(within, max_idle)| Requirement::TwoFactor { within, max_idle }),
        2 => Just(Requirement::Token),
        1 => Just(Requirement::SuccessToken),
        1 => Just(Requirement::Nothing),
        1 => Just(Requirement::Deny),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let (token, device, path) = (0..3usize, 0..3usize, 0..3usize);
    prop_oneof![
        3 => token.clone().prop_map(Step::Issue),
        1 => token.clone().prop_map(Step::End),
        5 => (token.clone(), device.clone(), any::<bool>())
            .prop_map(|(token, device, remembered)| Step::Verify { token, device, remembered }),
        1 => (0..2i64).prop_map(Step::RevokeUser),
        1 => any::<prop::sample::Index>().prop_map(|nth| Step::RevokeSession(nth.index(1_000))),
        1 => Just(Step::RevokeAll),
        1 => any::<bool>().prop_map(Step::Join),
        20 => (token, device, path, asked()).prop_map(
            |(token, device, path, asked)| Step::Request { token, device, path, asked }
        ),
        4 => (0..600i64).prop_map(Step::Advance),
        1 => any::<bool>().prop_map(Step::Down),
        1 => (300u64..1_500).prop_map(Step::Idle),
        1 => Just(Step::Sweep),
        1 => Just(Step::LoseTrust),
    ]
}

/// The naive model: sessions in a list, everything judged anew each time.
struct Model {
    known: [bool; 3],
    idle: i64,
    is_down: bool,
    last_id: i64,
    is_member: bool,
    /// Of each session, by its key.
    pauses: HashMap<SessionKey, Pauses>,
}

/// The longest pause of a session, as far as it can be said without looking into the gate: it need not
/// look at a session where a token is enough, nor can it while the store is down; and each device knows
/// its own requests for sure. So the pause may seem longer to it than it was, and never shorter.
#[derive(Clone, Debug)]
struct Pauses {
    /// If every request was seen.
    at_least: Pause,
    /// By device; if only those were seen that must be.
    at_most: [Pause; 3],
    /// Memory may still go by the session that the pair had before.
    is_overtaken: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    last: i64,
    longest: i64,
}

impl Pause {
    fn from(now: Timestamp) -> Self {
        Self {
            last: now.0,
            longest: 0,
        }
    }

    fn up_to(self, now: Timestamp) -> Self {
        Self {
            last: now.0,
            longest: self.longest.max(now.0 - self.last),
        }
    }
}

impl Pauses {
    /// At a request of a device: from this to that many seconds.
    fn bounds(&self, device: usize, now: Timestamp) -> (i64, i64) {
        let mut at_most = self.at_most;
        at_most[device] = at_most[device].up_to(now);
        let longest = at_most.map(|it| it.longest).into_iter().max();
        (self.at_least.up_to(now).longest, longest.unwrap_or(0))
    }

    fn see(&mut self, device: usize, is_certain: bool, now: Timestamp) {
        self.at_least = self.at_least.up_to(now);
        if is_certain && !self.is_overtaken {
            self.at_most[device] = self.at_most[device].up_to(now);
        }
    }
}

fn user_of(token: usize) -> UserId {
    UserId(i64::from(token == 2))
}

impl World {
    fn model_revoke(&self, goes: impl Fn(&Session) -> bool) {
        let mut sessions = self.script.sessions.lock().unwrap();
        sessions.retain(|_, session| !goes(session));
    }

    /// What the store knows must not depend on what memory evicts.
    fn flush(&self) {
        let seen = self.gate.take_seen();
        let mut sessions = self.script.sessions.lock().unwrap();
        for session in sessions.values_mut() {
            // A pair that was seen under several keys is in there several times.
            for seen in seen.iter().filter(|it| it.id == session.id) {
                session.last_seen_at = session.last_seen_at.max(seen.last_seen_at);
                let longest = session.longest_pause_secs.max(seen.longest_pause_secs);
                session.longest_pause_secs = longest;
            }
        }
    }
}

impl Model {
    /// What the gate must answer, in a word; `None` where the path is open.
    fn expects(
        &self,
        world: &World,
        (token, device, path): (usize, usize, usize),
        asked: AskedOf,
    ) -> &'static str {
        match asked {
            AskedOf::All(Requirement::Nothing) => return "open",
            AskedOf::All(Requirement::Deny) => return "denied",
            _ => {}
        }
        if !self.known[token] {
            return "unknown";
        }
        if !in_scope(SCOPES[token], PATHS[path]) {
            return "scope";
        }
        let requirement = match asked {
            AskedOf::All(requirement) => requirement,
            // A link's holder is in no group.
            AskedOf::Group(requirement) if self.is_member && token != 2 => requirement,
            AskedOf::Group(_) => Requirement::Token,
        };
        match (requirement, self.live(world, (token, device))) {
            (Requirement::Deny, _) => "denied",
            (Requirement::Token | Requirement::Nothing, _) => "token or session",
            (_, None) => "second factor",
            (Requirement::SuccessToken, Some(_)) => "success token",
            (requirement @ Requirement::TwoFactor { .. }, Some((key, verified_at))) => {
                self.expects_of_session(world, (key, device), verified_at, requirement)
            }
        }
    }

    /// The live session of a pair: its key, and when it was verified.
    fn live(
        &self,
        world: &World,
        (token, device): (usize, usize),
    ) -> Option<(SessionKey, Timestamp)> {
        let now = world.now();
        let key = world.key(TOKENS[token], DEVICES[device].or(ISSUED_TO[token]));
        let sessions = world.script.sessions.lock().unwrap();
        let live = sessions.get(&key).filter(|session| {
            now.0 < session.expires_at.0 && now.0 < session.last_seen_at.0 + self.idle
        });
        live.map(|session| (key, session.verified_at))
    }

    fn expects_of_session(
        &self,
        world: &World,
        (key, device): (SessionKey, usize),
        verified_at: Timestamp,
        requirement: Requirement,
    ) -> &'static str {
        let Requirement::TwoFactor { within, max_idle } = requirement else {
            unreachable!()
        };
        let now = world.now();
        let (at_least, at_most) = self.pauses[&key].bounds(device, now);
        let exceeds = |secs: i64| max_idle.is_some_and(|max| secs > max.as_secs() as i64);
        let is_old = within.is_some_and(|most| now.secs_since(verified_at) > most.as_secs());
        match (is_old || exceeds(at_least), exceeds(at_most)) {
            (true, _) => "fresh second factor",
            (false, true) => "session or fresh second factor",
            (false, false) => "session",
        }
    }
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Permit(permit) => match permit.grant() {
            Grant::Open => "open",
            Grant::Token(_) => "token",
            Grant::Session { .. } => "session",
        },
        Decision::Refuse(refusal) => match refusal {
            Refusal::NoToken => "no token",
            Refusal::UnknownToken => "unknown",
            Refusal::SecondFactorRequired {
                max_age_secs: None, ..
            } => "second factor",
            Refusal::SecondFactorRequired { .. } => "fresh second factor",
            Refusal::SuccessTokenRequired { .. } => "success token",
            Refusal::Denied => "denied",
            Refusal::OutOfScope => "scope",
            Refusal::TooManyTries { .. } => "too many tries",
            Refusal::Unavailable => "unavailable",
        },
    }
}

async fn play(world: &World, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    match *step {
        Step::Issue(token) => {
            world.holds(
                TOKENS[token],
                user_of(token),
                SCOPES[token],
                ISSUED_TO[token],
            );
            model.known[token] = true;
            if token != 2 && model.is_member {
                let mut holders = world.script.holders.lock().unwrap();
                holders.get_mut(TOKENS[token]).unwrap().0 = member(user_of(token), &["staff"]);
            }
            world.gate.token_issued(world.keys.token(TOKENS[token]));
        }
        Step::End(token) => {
            world.script.holders.lock().unwrap().remove(TOKENS[token]);
            model.known[token] = false;
            let user = user_of(token);
            world.model_revoke(|session| session.holder.user == user);
            world.gate.forget(Which::User(user));
        }
        Step::Verify {
            token,
            device,
            remembered,
        } if model.known[token] => {
            let device = DEVICES[device].or(ISSUED_TO[token]);
            let key = world.key(TOKENS[token], device);
            // A pair that is verified again has a new session, and the old one ends.
            let held = world.script.sessions.lock().unwrap().get(&key).cloned();
            model.last_id += 1;
            let mut session = world.session(model.last_id, TOKENS[token], device, user_of(token));
            session.holder = world.script.holders.lock().unwrap()[TOKENS[token]]
                .0
                .clone();
            let pauses = Pauses {
                at_least: Pause::from(world.now()),
                at_most: [Pause::from(world.now()); 3],
                is_overtaken: held.is_some() && !remembered,
            };
            model.pauses.insert(key, pauses);
            let mut sessions = world.script.sessions.lock().unwrap();
            sessions.insert(key, session.clone());
            drop(sessions);
            if remembered {
                if let Some(held) = held {
                    world.gate.forget(Which::Session(held.id));
                }
                world.gate.remember(key, &session);
            }
        }
        Step::Verify { .. } => {}
        Step::RevokeUser(user) => {
            world.model_revoke(|session| session.holder.user == UserId(user));
            world.gate.forget(Which::User(UserId(user)));
        }
        Step::RevokeSession(nth) => {
            let id = SessionId(1 + nth as i64 % model.last_id.max(1));
            world.model_revoke(|session| session.id == id);
            world.gate.forget(Which::Session(id));
        }
        Step::RevokeAll => {
            world.model_revoke(|_| true);
            world.gate.forget(Which::All);
        }
        Step::Join(is_member) => {
            model.is_member = is_member;
            for token in [0, 1] {
                if let Some((held, _)) = world.script.holders.lock().unwrap().get_mut(TOKENS[token])
                {
                    *held = member(user_of(token), if is_member { &["staff"] } else { &[] });
                }
            }
            world.gate.forget(Which::User(user_of(0)));
        }
        Step::Request {
            token,
            device,
            path,
            asked,
        } => return request(world, model, (token, device, path), asked).await,
        Step::Advance(secs) => world.clock.advance(secs),
        Step::Down(is_down) => {
            model.is_down = is_down;
            world.script.down.store(is_down, Ordering::SeqCst);
        }
        Step::Idle(secs) => {
            model.idle = secs as i64;
            world.gate.set_idle(Duration::from_secs(secs));
        }
        Step::Sweep => {
            let (entries, _) = world.gate.sweep();
            prop_assert!(entries <= 4);
        }
        Step::LoseTrust => world.gate.forget(Which::All),
    }
    Ok(())
}

async fn request(
    world: &World,
    model: &mut Model,
    (token, device, path): (usize, usize, usize),
    asked: AskedOf,
) -> Result<(), TestCaseError> {
    let mut question = world.asks(TOKENS[token], DEVICES[device]);
    let (AskedOf::All(requirement) | AskedOf::Group(requirement)) = asked;
    let mut route = route(vec![Rule {
        people: People::Groups(vec!["staff".to_owned()]),
        ..Rule::of(requirement)
    }]);
    route.require = Requirement::Token;
    question.path = PATHS[path];
    question.demand = match asked {
        AskedOf::All(_) => requirement.into(),
        AskedOf::Group(_) => crate::policy::required(target(&route, question.path)),
    };
    let expected = model.expects(world, (token, device, path), asked);
    let live = model.live(world, (token, device));
    let decision = world.decide(&question).await;
    world.flush();
    if let Some((key, _)) = live.filter(|_| model.known[token]) {
        let looks = match asked {
            AskedOf::All(Requirement::TwoFactor { .. } | Requirement::SuccessToken) => true,
            AskedOf::All(_) => false,
            AskedOf::Group(_) => true,
        };
        let is_certain = looks && !model.is_down;
        let pauses = model.pauses.get_mut(&key).expect("of a session");
        pauses.see(device, is_certain, world.now());
    }
    let answered = word(&decision);
    let is_right = match (expected, answered) {
        ("token or session", "token" | "session") => true,
        ("session or fresh second factor", "session" | "fresh second factor") => true,
        // Whom memory does not know is refused while the store is down.
        (_, "unavailable") => {
            let is_settled = matches!(
                asked,
                AskedOf::All(Requirement::Nothing | Requirement::Deny)
            );
            model.is_down && !is_settled
        }
        _ => answered == expected,
    };
    prop_assert!(is_right, "expected {expected}, got {answered}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_gate_agrees_with_the_naive_model(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // So little room that eviction is at work all the time.
        let world = World::with_room_for(4);
        let mut model = Model {
            known: [false; 3],
            idle: IDLE.as_secs() as i64,
            is_down: false,
            last_id: 0,
            is_member: false,
            pauses: HashMap::new(),
        };
        for step in &steps {
            runtime.block_on(play(&world, &mut model, step))?;
        }
    }
}
