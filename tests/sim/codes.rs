//! Codes, asked for and typed, and the browsers in which they are remembered.

use super::*;

impl World {
    /// Who a gateway says the caller is; `None` where it does not know the token.
    pub(super) async fn caller(
        &mut self,
        node: usize,
        token: usize,
        device: Device,
    ) -> Option<Caller> {
        let keys = self.realm_keys(token);
        let known = &self.model.tokens[token];
        let question = Question {
            realm: self.realm_of(token),
            keys: &keys,
            demand: Requirement::Token.into(),
            presented: Some(Presented {
                token: &known.text,
                device,
            }),
            success_token: None,
            path: known.scope.unwrap_or("/"),
            destination: None,
            is_background: false,
        };
        let decision = self.nodes[node].gate.admit(&question).await;
        let is_live = self.model.is_live(token, self.now());
        let holder = match decision {
            Decision::Permit(permit) => match permit.grant() {
                Grant::Token(holder) | Grant::Session { holder, .. } => holder.clone(),
                Grant::Open => panic!("a token was asked for"),
            },
            Decision::Refuse(refusal) => {
                assert!(!is_live, "token {token}: {refusal:?}");
                return None;
            }
        };
        assert!(is_live, "token {token} has ended");
        let (now, pair) = (self.now(), self.model.pair(token, device));
        if let Some(session) = self.model.sessions.get_mut(&pair) {
            session.may_be_seen((node, device), now);
        }
        let (_, device) = pair;
        Some(Caller {
            holder,
            token: keys.token(&self.model.tokens[token].text),
            pair: keys.session(&self.model.tokens[token].text, device),
            device_label: None,
            standing: Standing::Token,
            self_enrolment: false,
            route: "files".to_owned(),
            address: ADDRESS,
            client: "rclone".to_owned(),
            words: Default::default(),
        })
    }

    pub(super) async fn start(&mut self) {
        let Some(token) = self.any_token() else {
            return;
        };
        let (node, device, now) = (self.dice.below(2), self.any_device(), self.now());
        let Some(caller) = self.caller(node, token, device).await else {
            return;
        };
        let refuses = match self.dice.below(10) {
            0 => Some(DeliveryError::NotAccepted),
            1 => Some(DeliveryError::BadRecipient),
            _ => None,
        };
        *self.provider.refuses.lock().unwrap() = refuses;
        *self.provider.code.lock().unwrap() = None;
        let got = self.auth.start(&caller, FactorKind::Sms).await;
        self.count("start", &got);
        let code = self.provider.code.lock().unwrap().take();
        let pair = self.model.pair(token, device);
        self.diary.note(format!("start {pair:?}: {got:?}"));

        let person = self.model.tokens[token].person;
        let phone = self.model.people[person].phone;
        assert_eq!(
            code.is_some(),
            got.is_ok(),
            "a code was sent, or it was not"
        );
        let Some(phone) = phone else {
            assert_eq!(got.err(), Some(StartError::NoRecipient));
            return;
        };
        if self
            .model
            .is_blocked(&[Whom::Person(person), Whom::Address], now)
        {
            assert!(matches!(got, Err(StartError::Blocked(_))), "{got:?}");
            return;
        }
        if !self.model.may_send(person, phone, now) {
            assert!(matches!(got, Err(StartError::TooMany { .. })), "{got:?}");
            return;
        }
        match refuses {
            Some(DeliveryError::BadRecipient) => {
                assert_eq!(got.err(), Some(StartError::RecipientRefused));
            }
            Some(_) => assert_eq!(got.err(), Some(StartError::NotSent)),
            None => {
                let ends_at = now + CODE_LIFETIME;
                assert_eq!(got.unwrap().expires_at.0 as u64, ends_at);
                self.model.sends.push((now, person, phone));
                let challenge = Challenge {
                    code: code.unwrap(),
                    left: CODE_ATTEMPTS,
                    ends_at,
                    is_pending: true,
                };
                if let Some(old) = self.model.challenges.insert(pair, challenge) {
                    self.model.old_codes.push(old.code);
                }
            }
        }
    }

    /// A code to try on a pair: mostly the right one.
    pub(super) fn code_for(&mut self, pair: Pair) -> String {
        let right = self.model.challenges.get(&pair).map(|it| it.code.clone());
        match (self.dice.below(10), right) {
            (0..5, Some(code)) => code,
            (5, Some(code)) => format!(" {}-{} ", &code[..3], &code[3..]),
            (6, _) if !self.model.old_codes.is_empty() => {
                let old = self.dice.below(self.model.old_codes.len());
                self.model.old_codes[old].clone()
            }
            (7, _) => "12345x".to_owned(),
            (8, _) => {
                let others: Vec<_> = self.model.challenges.values().collect();
                let code = others.first().map(|it| it.code.clone());
                code.unwrap_or_else(|| "000000".to_owned())
            }
            _ => format!("{:06}", self.dice.below(1_000_000)),
        }
    }

    /// Often the pair that was verified last, or its pauses would all be long; else half of the time one that
    /// was verified at some time.
    pub(super) fn pair_to_probe(&mut self) -> Option<(usize, Device)> {
        let focus = self.focus.filter(|_| self.dice.one_in(2));
        if let Some((token, device)) = focus {
            return Some((token, self.perhaps_unnamed(token, device)));
        }
        let mut verified: Vec<Pair> = self.model.sessions.keys().copied().collect();
        if !verified.is_empty() && self.dice.one_in(2) {
            verified.sort_unstable();
            let (token, device) = self.dice.pick(&verified);
            return Some((token, self.perhaps_unnamed(token, device)));
        }
        Some((self.any_token()?, self.any_device()))
    }

    /// Without a name, the device that the token was issued to is meant.
    pub(super) fn perhaps_unnamed(&mut self, token: usize, device: Device) -> Device {
        let is_issued = self.model.tokens[token].issued_to == device;
        device.filter(|_| !is_issued || self.dice.one_in(2))
    }

    /// A pair to try a code on: mostly one that was sent one.
    pub(super) fn pair_to_verify(&mut self) -> Option<(usize, Device)> {
        let now = self.now();
        let wants_pending = !self.dice.one_in(4);
        // Expired ones are many, and one is like the other.
        let wants_late = self.dice.one_in(10);
        let challenges = self.model.challenges.iter();
        let wanted = challenges
            .filter(|(_, it)| it.is_pending == wants_pending && (now >= it.ends_at) == wants_late);
        let mut pairs: Vec<Pair> = wanted.map(|(pair, _)| *pair).collect();
        pairs.sort_unstable();
        if !pairs.is_empty() && !self.dice.one_in(10) {
            let (token, device) = self.dice.pick(&pairs);
            return Some((token, self.perhaps_unnamed(token, device)));
        }
        Some((self.any_token()?, self.any_device()))
    }

    pub(super) async fn verify(&mut self) {
        let Some((token, device)) = self.pair_to_verify() else {
            return;
        };
        let (node, now) = (self.dice.below(2), self.now());
        let Some(caller) = self.caller(node, token, device).await else {
            return;
        };
        let pair = self.model.pair(token, device);
        let typed = self.code_for(pair);
        let secret = self.browser_to_remember(pair);
        let before = secret.as_ref().and_then(|_| self.browser_before());
        let becomes = Becomes {
            pair: caller.pair,
            device_label: None,
            remember: secret.clone().map(|secret| ToRemember {
                secret: Secret::new(secret),
                before: before.clone().map(Secret::new),
                remember: Remember::For(Duration::from_secs(REMEMBERED)),
            }),
        };
        let passing = self
            .auth
            .verify_on_page(&caller, (Accept::Factor, &typed), becomes);
        let got = passing.await;
        self.count("verify", &got);
        self.diary
            .note(format!("verify {pair:?} with {typed}: {got:?}"));

        let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
        let person = self.model.tokens[token].person;
        let is_blocked = self
            .model
            .is_blocked(&[Whom::Person(person), Whom::Address], now);
        let challenge = self.model.challenges.get_mut(&pair);
        if typed.contains('x') {
            assert_eq!(got.err(), Some(VerifyError::Malformed));
        } else if is_blocked {
            assert!(matches!(got, Err(VerifyError::Blocked(_))), "{got:?}");
        } else if let Some(challenge) = challenge {
            if !challenge.is_pending || now >= challenge.ends_at {
                assert_eq!(got.err(), Some(VerifyError::Gone));
            } else if challenge.code != digits {
                challenge.left -= 1;
                challenge.is_pending = challenge.left > 0;
                let left = Some(challenge.left);
                assert_eq!(got.err(), Some(VerifyError::Wrong { left }));
                self.model.failed(Whom::Person(person), now);
                self.model.failed(Whom::Address, now);
            } else {
                challenge.is_pending = false;
                let session = got.expect("the right code").session;
                self.verified(node, token, device, session);
                if let Some(secret) = secret {
                    self.remembered(secret, before, token);
                }
            }
        } else {
            assert_eq!(got.err(), Some(VerifyError::NeverSent));
        }
    }

    /// The new secret of a browser in which the box is ticked, now and then. A guest sees none.
    pub(super) fn browser_to_remember(&mut self, pair: Pair) -> Option<String> {
        let is_account = self.model.tokens[pair.0].scope.is_none();
        (is_account && self.dice.one_in(2)).then(|| format!("browser-{:x}", self.dice.roll()))
    }

    /// Which browser that is, if it was remembered before.
    pub(super) fn browser_before(&mut self) -> Option<String> {
        let count = self.model.browsers.len();
        (count > 0 && self.dice.one_in(3))
            .then(|| self.model.browsers[self.dice.below(count)].secret.clone())
    }

    pub(super) fn remembered(&mut self, secret: String, before: Option<String>, token: usize) {
        let now = self.now();
        self.diary
            .note(format!("remembered in {secret}, before {before:?}"));
        self.model
            .forget_browsers(|browser| Some(&browser.secret) == before.as_ref());
        self.model.browsers.push(Browser {
            secret,
            person: self.model.tokens[token].person,
            token,
            verified_at: now,
            used_at: now,
            is_known: Live::Yes,
        });
    }

    pub(super) fn verified(
        &mut self,
        node: usize,
        token: usize,
        device: Device,
        session: vestibule::gate::session::Session,
    ) {
        let (now, pair) = (self.now(), self.model.pair(token, device));
        let person = self.model.tokens[token].person;
        let ends_at = (now + LIFETIME).min(self.model.tokens[token].ends_at);
        assert_eq!(session.expires_at.0 as u64, ends_at);
        assert_eq!(session.holder.user, self.model.people[person].id);
        let keys = self.realm_keys(token);
        let text = &self.model.tokens[token].text;
        // As the endpoints do: under every key that a request of this pair looks up.
        for device in [pair.1, device] {
            let gate = &self.nodes[node].gate;
            gate.remember(keys.session(text, device), &session);
        }
        self.model.counts.remove(&Whom::Person(person));
        let known = Session::new(session.id, person, (now, ends_at), now);
        self.model.sessions.insert(pair, known);
        self.focus = Some(pair);
    }
}
