//! What ends, and what the gates say of it afterwards.

use super::*;

impl World {
    pub(super) async fn revoke(&mut self) {
        let mut pairs: Vec<Pair> = self.model.sessions.keys().copied().collect();
        pairs.sort_unstable();
        if pairs.is_empty() {
            return;
        }
        let pair = self.dice.pick(&pairs);
        let session = &self.model.sessions[&pair];
        let (id, person, ends_at) = (session.id, session.person, session.ends_at);
        let which = match self.dice.below(8) {
            0 => Which::All,
            1..3 => Which::User(self.model.people[person].id),
            3 => Which::UserBut(self.model.people[person].id, id),
            _ => Which::Session(id),
        };
        self.auth
            .store
            .revoke(which, self.clock.now())
            .await
            .unwrap();
        self.diary.note(format!("revoke {which:?}"));
        if matches!(which, Which::UserBut(..)) && self.now() >= ends_at {
            // Nobody acts by a session that has ended.
            return;
        }
        match which {
            Which::All => self.model.forget_browsers(|_| true),
            Which::User(_) | Which::UserBut(..) => self
                .model
                .forget_browsers(|browser| browser.person == person),
            Which::Session(_) => self.model.forget_browser_of(pair, self.now()),
        }
        self.model.end_sessions(|session| match which {
            Which::All => true,
            Which::User(_) => session.person == person,
            Which::Session(_) => session.id == id,
            Which::UserBut(..) => session.person == person && session.id != id,
        });
    }

    pub(super) async fn revoke_link(&mut self) {
        if self.model.links.is_empty() {
            return;
        }
        let nth = self.dice.below(self.model.links.len());
        let link = &mut self.model.links[nth];
        let (id, person, was_there) = (link.id, link.person, !link.revoked);
        link.revoked = true;
        let done = self.auth.store.revoke_share(id, self.clock.now()).await;
        self.diary.note(format!("revoke link {nth}"));
        assert_eq!(!done.unwrap().is_empty(), was_there);
        self.model.end_sessions(|session| session.person == person);
        let tokens = &self.model.tokens;
        let challenges = &mut self.model.challenges;
        challenges.retain(|(token, _), _| tokens[*token].person != person);
    }

    pub(super) async fn reset(&mut self) {
        if self.model.people.is_empty() {
            return;
        }
        // Mostly somebody who has a code to lose.
        let person = match self.pair_to_verify() {
            Some((token, _)) if !self.dice.one_in(4) => self.model.tokens[token].person,
            _ => self.dice.below(self.model.people.len()),
        };
        let id = self.model.people[person].id;
        let subject = subject::user(&self.keys, id);
        let now = self.clock.now();
        self.auth.store.reset_user(id, subject, now).await.unwrap();
        self.diary.note(format!("reset person {person}"));
        self.model.end_sessions(|session| session.person == person);
        self.model
            .forget_browsers(|browser| browser.person == person);
        self.model.counts.remove(&Whom::Person(person));
        for (pair, challenge) in &mut self.model.challenges {
            if self.model.tokens[pair.0].person == person {
                challenge.is_pending = false;
            }
        }
    }

    /// Both gateways end and start again; what is in the store is all they have.
    pub(super) async fn restart(&mut self) {
        self.diary.note("restart".to_owned());
        if matches!(self.engine, Engine::Sqlite(_)) {
            let (store, keys) = open(&self.engine, &self.entropy).await;
            self.keys = keys;
            let (clock, entropy) = (&self.clock, &self.entropy);
            self.auth = auth(store, &self.keys, clock, entropy, &self.provider);
        }
        self.start_nodes().await;
    }

    pub(super) async fn upkeep(&mut self) {
        let now = self.now();
        self.auth.store.purge(self.clock.now()).await.unwrap();
        for node in &self.nodes {
            node.gate.sweep();
        }
        self.diary.note("upkeep".to_owned());
        let challenges = &mut self.model.challenges;
        challenges.retain(|_, challenge| challenge.ends_at >= now - 30 * DAY);
        let counts = &mut self.model.counts;
        counts.retain(|_, count| count.locked || count.touched_at >= now - 90 * DAY);
    }

    pub(super) fn pass_time(&mut self) {
        let span = match self.dice.below(20) {
            0..10 => SECOND * (1 + self.dice.below(45) as u64),
            10..16 => MINUTE * (1 + self.dice.below(15) as u64),
            16..19 => 10 * MINUTE * (1 + self.dice.below(60) as u64),
            _ => self
                .dice
                .pick(&[HOUR, 5 * HOUR, DAY, 4 * DAY, 11 * DAY, 40 * DAY]),
        };
        self.clock.advance(Duration::from_secs(span));
        self.is_away = self.dice.one_in(3);
        self.diary.note(format!("{span} s pass"));
    }

    // ---- what runs beside the requests

    pub(super) async fn catch_up(&mut self) {
        for node in &mut self.nodes {
            for line in self.auth.store.revocations_after(node.feed).await.unwrap() {
                node.gate.forget(line.which);
                node.feed = node.feed.max(line.seq);
            }
        }
    }

    pub(super) async fn save_seen(&self) {
        for node in &self.nodes {
            let seen = node.gate.take_seen();
            if !seen.is_empty() {
                self.auth.store.touch(&seen).await.unwrap();
            }
        }
    }

    // ---- the comparison

    pub(super) async fn probe(&mut self, token: usize, device: Device) {
        let (node, path) = (self.dice.below(2), self.dice.pick(&PATHS));
        let within = [None, None, Some(5 * MINUTE)];
        let max_idle = [None, Some(30), Some(2 * MINUTE), Some(2 * HOUR)];
        let requirement = match self.dice.below(4) {
            0 => Requirement::Token,
            _ => Requirement::TwoFactor {
                within: self.dice.pick(&within).map(Duration::from_secs),
                max_idle: self.dice.pick(&max_idle).map(Duration::from_secs),
            },
        };
        let is_background = self.is_away || self.dice.one_in(8);
        let keys = self.realm_keys(token);
        let question = Question {
            realm: self.realm_of(token),
            keys: &keys,
            demand: requirement.into(),
            presented: Some(Presented {
                token: &self.model.tokens[token].text,
                device,
            }),
            success_token: None,
            path,
            destination: None,
            is_background,
        };
        let gate = &self.nodes[node].gate;
        let decision = match gate.check(&question) {
            Checked::Decided(decision) => decision,
            Checked::Ask => gate.admit(&question).await,
        };
        let pair = self.model.pair(token, device);
        let got = Answer::of(&decision);
        let expected = self.expected((node, device), pair, requirement, path);
        assert!(
            expected.contains(&got),
            "gate {node}, token {token}, {device:?}, {requirement:?}, {path}, {is_background}: {got:?} \
             is not one of {expected:?}"
        );
        if let Decision::Permit(permit) = &decision
            && let Grant::Token(holder) | Grant::Session { holder, .. } = permit.grant()
        {
            self.is_of(token, holder);
        }
        let view = (!is_background).then_some((node, device));
        self.seen(view, pair, requirement, got);
        let asked = match requirement {
            Requirement::Token => "token",
            Requirement::TwoFactor {
                within: None,
                max_idle: Some(_),
            } => "idle",
            _ => "session",
        };
        self.count(asked, &got);
        if expected.len() > 1 {
            self.count("unsure", &got);
        }
    }

    pub(super) fn is_of(&self, token: usize, holder: &Holder) {
        let token = &self.model.tokens[token];
        let person = &self.model.people[token.person];
        assert_eq!((holder.user, &*holder.name), (person.id, &*person.name));
        assert_eq!(holder.scope(), token.scope);
    }

    /// The answers that the model allows: one, but where it cannot know when a session was seen.
    pub(super) fn expected(
        &self,
        view: View,
        pair: Pair,
        requirement: Requirement,
        path: &str,
    ) -> Vec<Answer> {
        let now = self.now();
        if !self.model.is_live(pair.0, now) {
            return vec![Answer::UnknownToken];
        }
        if !in_scope(self.model.tokens[pair.0].scope, path) {
            return vec![Answer::OutOfScope];
        }
        let Requirement::TwoFactor { within, max_idle } = requirement else {
            return vec![Answer::Permit];
        };
        let with_session = || {
            let session = &self.model.sessions[&pair];
            let age = now - session.verified_at;
            let (least, most) = session.pause_now(view, now);
            let meets = |pause| max_idle.is_none_or(|max_idle| pause <= max_idle.as_secs());
            let is_recent = within.is_none_or(|within| age <= within.as_secs());
            match (is_recent && meets(least), meets(most)) {
                (false, _) => vec![Answer::NotFresh],
                (true, true) => vec![Answer::Permit],
                (true, false) => vec![Answer::Permit, Answer::NotFresh],
            }
        };
        match self.model.session(pair, now) {
            Live::Yes => with_session(),
            Live::No => vec![Answer::NotVerified],
            Live::Either => [with_session(), vec![Answer::NotVerified]].concat(),
        }
    }

    /// Follows what the question did to the session's last-seen time. What is no use of it was seen by no
    /// view.
    pub(super) fn seen(
        &mut self,
        view: Option<View>,
        pair: Pair,
        requirement: Requirement,
        got: Answer,
    ) {
        let (now, live) = (self.now(), self.model.session(pair, self.now()));
        let needs_session = matches!(requirement, Requirement::TwoFactor { .. });
        let Some(session) = self.model.sessions.get_mut(&pair) else {
            return;
        };
        match (live, got, view) {
            (Live::No, ..) | (_, Answer::UnknownToken, _) => {}
            (Live::Either, Answer::NotVerified, _) => session.seen.1 = session.seen.0,
            (.., None) => {}
            (Live::Either, Answer::OutOfScope, Some(view)) => session.may_be_seen(view, now),
            (.., Some(view)) if needs_session => session.is_seen(view, now),
            (.., Some(view)) => session.may_be_seen(view, now),
        }
    }
}
