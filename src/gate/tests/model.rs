//! The gate against a naive model, over random lives of three tokens on three devices.

use super::*;
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
    Request {
        token: usize,
        device: usize,
        path: usize,
        requirement: Requirement,
    },
    Advance(i64),
    Down(bool),
    Idle(u64),
    Sweep,
    LoseTrust,
}

fn requirement() -> impl Strategy<Value = Requirement> {
    prop_oneof![
        6 => Just(TWO_FACTOR),
        2 => (1u64..400).prop_map(|secs| Requirement::TwoFactor {
            within: Some(Duration::from_secs(secs))
        }),
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
        20 => (token, device, path, requirement()).prop_map(
            |(token, device, path, requirement)| Step::Request { token, device, path, requirement }
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
        let seen: HashMap<_, _> = self.gate.take_seen().into_iter().collect();
        let mut sessions = self.script.sessions.lock().unwrap();
        for session in sessions.values_mut() {
            if let Some(at) = seen.get(&session.id) {
                session.last_seen_at = session.last_seen_at.max(*at);
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
        requirement: Requirement,
    ) -> &'static str {
        match requirement {
            Requirement::Nothing => return "open",
            Requirement::Deny => return "denied",
            _ => {}
        }
        if !self.known[token] {
            return "unknown";
        }
        if !in_scope(SCOPES[token], PATHS[path]) {
            return "scope";
        }
        let now = world.now();
        let key = world.key(TOKENS[token], DEVICES[device].or(ISSUED_TO[token]));
        let sessions = world.script.sessions.lock().unwrap();
        let live = sessions.get(&key).filter(|session| {
            now.0 < session.expires_at.0 && now.0 < session.last_seen_at.0 + self.idle
        });
        match (requirement, live) {
            (Requirement::Token, _) => "token or session",
            (_, None) => "second factor",
            (Requirement::SuccessToken, Some(_)) => "success token",
            (Requirement::TwoFactor { within }, Some(session)) => {
                let age = now.secs_since(session.verified_at);
                match within.is_none_or(|within| age <= within.as_secs()) {
                    true => "session",
                    false => "fresh second factor",
                }
            }
            _ => unreachable!(),
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
            Refusal::SecondFactorRequired { fresh: false, .. } => "second factor",
            Refusal::SecondFactorRequired { fresh: true, .. } => "fresh second factor",
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
            // A pair that is verified again keeps its session's number.
            let held = world
                .script
                .sessions
                .lock()
                .unwrap()
                .get(&key)
                .map(|held| held.id.0);
            let id = held.unwrap_or(model.last_id + 1);
            model.last_id = model.last_id.max(id);
            let mut session = world.session(id, TOKENS[token], device, user_of(token));
            session.holder = holder(user_of(token), SCOPES[token]);
            let mut sessions = world.script.sessions.lock().unwrap();
            sessions.insert(key, session.clone());
            drop(sessions);
            if remembered {
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
        Step::Request {
            token,
            device,
            path,
            requirement,
        } => return request(world, model, (token, device, path), requirement).await,
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
    model: &Model,
    (token, device, path): (usize, usize, usize),
    requirement: Requirement,
) -> Result<(), TestCaseError> {
    let mut question = world.asks(TOKENS[token], DEVICES[device]);
    (question.path, question.requirement) = (PATHS[path], requirement);
    let expected = model.expects(world, (token, device, path), requirement);
    let decision = world.decide(&question).await;
    world.flush();
    let answered = word(&decision);
    let is_right = match (expected, answered) {
        ("token or session", "token" | "session") => true,
        // Whom memory does not know is refused while the store is down.
        (_, "unavailable") => model.is_down && !["open", "denied"].contains(&expected),
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
        };
        for step in &steps {
            runtime.block_on(play(&world, &mut model, step))?;
        }
    }
}
