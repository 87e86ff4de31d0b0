//! How people come in: at a sign-in, at the backend, by a link.

use super::*;

impl World {
    pub(super) async fn add_person(&mut self) {
        let number = self.model.people.len();
        let (name, password) = (format!("user{number}"), format!("password{number}"));
        let phone = (!self.dice.one_in(6)).then(|| self.dice.pick(&PHONES));
        let new = NewUser {
            realm: ACCOUNTS.to_owned(),
            name: name.clone(),
            phone: phone.and_then(Phone::from_e164),
            email: None,
            password_hash: Some(cheap_hash(&password)),
            can_edit_users: false,
            groups: Vec::new(),
        };
        let id = self.auth.store.create_user(new, self.clock.now()).await;
        self.model.people.push(Person {
            id: id.unwrap().unwrap(),
            realm: ACCOUNTS,
            name,
            password: Some(password),
            phone,
        });
        self.diary.note(format!("person {number} with {phone:?}"));
    }

    pub(super) async fn sign_in(&mut self) {
        let with_password = |person: &&Person| person.password.is_some();
        let count = self.model.people.iter().filter(with_password).count();
        if count == 0 {
            return;
        }
        let nth = self.dice.below(count);
        let (number, person) = (self.model.people.iter().enumerate())
            .filter(|(_, person)| person.password.is_some())
            .nth(nth)
            .unwrap();
        let (name, mut password) = (person.name.clone(), person.password.clone().unwrap());
        let is_right = !self.dice.one_in(3);
        if !is_right {
            password.push('!');
        }
        let (now, device) = (self.now(), self.dice.pick(&DEVICES));
        let keys = self.keys.realm(ACCOUNTS);
        let at = self.sign_in_context(&keys, device);
        let got = self
            .auth
            .sign_in(at, &name, &Secret::new(password), |_| {
                Requirement::TWO_FACTOR
            })
            .await;
        self.count("sign in", &got);
        self.diary.note(format!(
            "{name} signs in on {device}: {is_right}: {:?}",
            got.as_ref().err()
        ));

        let account = || Whom::Account(name.clone());
        if self.model.is_blocked(&[account(), Whom::Address], now) {
            assert!(matches!(got, Err(SignInError::TooMany { .. })), "{got:?}");
        } else if is_right {
            let token = got.expect("a right password").token.expose().to_owned();
            self.model.counts.remove(&account());
            self.model.tokens.push(Token {
                text: token,
                person: number,
                issued_to: Some(device),
                scope: None,
                link: None,
                ends_at: u64::MAX,
            });
        } else {
            assert_eq!(got.err(), Some(SignInError::Wrong));
            self.model.failed(account(), now);
            self.model.failed(Whom::Address, now);
        }
    }

    /// A sign-in with the right password in a browser that was remembered at some time.
    pub(super) async fn sign_in_on_page(&mut self) {
        if self.model.browsers.is_empty() {
            return;
        }
        // Mostly the newest: of the others, most are forgotten.
        let count = self.model.browsers.len();
        let from = match self.dice.one_in(3) {
            true => 0,
            false => count.saturating_sub(3),
        };
        let nth = from + self.dice.below(count - from);
        let secret = self.model.browsers[nth].secret.clone();
        let person = match self.dice.one_in(6) {
            true => self.dice.below(self.model.people.len()),
            false => self.model.browsers[nth].person,
        };
        let Some(password) = self.model.people[person].password.clone() else {
            return;
        };
        let (name, now) = (self.model.people[person].name.clone(), self.now());
        let known = KnownBrowser {
            secret: Secret::new(secret.clone()),
            remember: Remember::For(Duration::from_secs(REMEMBERED)),
            whence: Whence {
                address: ADDRESS,
                client: "Firefox on Linux".to_owned(),
            },
        };
        let (keys, device) = (self.keys.realm(ACCOUNTS), self.dice.pick(&DEVICES));
        let at = self.sign_in_context(&keys, device);
        let password = Secret::new(password);
        let asks = |_: &_| Requirement::TWO_FACTOR;
        let signing_in = self
            .auth
            .sign_in_on_page(at, &name, &password, Some(&known), asks);
        let got = signing_in.await;
        let account = || Whom::Account(name.clone());
        if self.model.is_blocked(&[account(), Whom::Address], now) {
            assert!(matches!(got, Err(SignInError::TooMany { .. })), "{got:?}");
            return;
        }
        let got = got.expect("a right password");
        let is_in = got.session.is_some();
        self.count("remembered", &is_in);
        self.diary
            .note(format!("{name} signs in on {device} in {secret}: {is_in}"));
        self.model.counts.remove(&account());
        let token = self.model.tokens.len();
        self.model.tokens.push(Token {
            text: got.token.expose().to_owned(),
            person,
            issued_to: Some(device),
            scope: None,
            link: None,
            ends_at: now + LIFETIME,
        });
        let browsers = self.model.browsers.iter_mut();
        let mut its = browsers.filter(|it| it.secret == secret && it.person == person);
        let browser = its.next().filter(|it| {
            let cookie = it.used_at + COOKIE_LIFETIME_MAX.as_secs();
            now < it.verified_at + REMEMBERED && now < cookie && it.is_known != Live::No
        });
        let Some(browser) = browser else {
            assert!(!is_in, "nobody remembers that browser");
            return;
        };
        assert!(
            is_in || browser.is_known == Live::Either,
            "it is remembered"
        );
        let Some(session) = got.session else {
            browser.is_known = Live::No;
            return;
        };
        browser.is_known = Live::Yes;
        (browser.token, browser.used_at) = (token, now);
        let ends_at = browser.verified_at + REMEMBERED;
        let times = (browser.verified_at, ends_at.min(now + LIFETIME));
        let said = (session.verified_at.0 as u64, session.expires_at.0 as u64);
        assert_eq!(said, times);
        let session = Session::new(session.id, person, times, now);
        self.model.sessions.insert((token, Some(device)), session);
    }

    /// A sign-in at the backend, watched by one of the gateways.
    pub(super) async fn learn(&mut self) {
        let name = format!("learned{}", self.dice.below(3));
        let phone = (!self.dice.one_in(3)).then(|| self.dice.pick(&PHONES));
        let device = (!self.dice.one_in(3)).then(|| self.dice.pick(&DEVICES));
        let lifetime = self.dice.one_in(2).then_some(2 * DAY);
        let text = format!("backend-{:x}", self.dice.roll());
        let node = self.dice.below(2);
        let learned = LearnedToken {
            realm: BACKEND.to_owned(),
            token: Secret::new(text.clone()),
            user: name.clone(),
            is_typed: false,
            phone: phone.and_then(Phone::from_e164),
            email: None,
            groups: None,
            said_at: None,
            device: device.map(str::to_owned),
            expires_at: lifetime.map(|secs| self.clock.now().after(Duration::from_secs(secs))),
        };
        self.nodes[node].witness.learned(learned).await.unwrap();
        self.diary.note(format!(
            "{name} signs in at the backend on {device:?}, {phone:?}"
        ));
        let known = self.model.people.iter().position(|it| it.name == name);
        let person = match known {
            Some(person) => {
                let person_phone = &mut self.model.people[person].phone;
                *person_phone = phone.or(*person_phone);
                person
            }
            None => {
                let user = self.auth.store.user_by_name(BACKEND, &name).await;
                self.model.people.push(Person {
                    id: user.unwrap().unwrap().id,
                    realm: BACKEND,
                    name,
                    password: None,
                    phone,
                });
                self.model.people.len() - 1
            }
        };
        let ends_at = lifetime.map_or(u64::MAX, |lifetime| self.now() + lifetime);
        self.model.tokens.push(Token {
            text,
            person,
            issued_to: device,
            scope: None,
            link: None,
            ends_at,
        });
    }

    pub(super) async fn add_link(&mut self) {
        let text = format!("share-{:x}", self.dice.roll());
        let scope = self.dice.pick(&SCOPES);
        let phone = (!self.dice.one_in(4)).then(|| self.dice.pick(&PHONES));
        let ends_at = match self.dice.one_in(2) {
            true => self.now() + 3 * DAY,
            false => u64::MAX,
        };
        let new = NewShare {
            realm: ACCOUNTS.to_owned(),
            link: self.keys.realm(ACCOUNTS).token(&text),
            path: scope.to_owned(),
            recipients: vec![Contact {
                phone: phone.and_then(Phone::from_e164),
                email: None,
            }],
            devices_max: None,
            expires_at: i64::try_from(ends_at).ok().map(Timestamp),
        };
        let made = self.auth.store.create_share(new, self.clock.now()).await;
        let (id, users) = made.unwrap();
        let user = users[0];
        let (person, link) = (self.model.people.len(), self.model.links.len());
        self.model.people.push(Person {
            id: user,
            realm: ACCOUNTS,
            name: format!("share:{id}"),
            password: None,
            phone,
        });
        self.model.links.push(Link {
            id,
            token: text.clone(),
            person,
            revoked: false,
        });
        self.diary
            .note(format!("link {link} to {scope} with {phone:?}"));
        self.model.tokens.push(Token {
            text,
            person,
            issued_to: None,
            scope: Some(scope),
            link: Some(link),
            ends_at,
        });
    }

    pub(super) async fn open_link(&mut self) {
        if self.model.links.is_empty() {
            return;
        }
        let link = self.dice.below(self.model.links.len());
        let share = (self.model.tokens.iter())
            .position(|it| it.text == self.model.links[link].token)
            .unwrap();
        let (now, device) = (self.now(), self.dice.pick(&DEVICES));
        let keys = self.keys.realm(ACCOUNTS);
        let at = self.sign_in_context(&keys, device);
        let text = Secret::new(self.model.links[link].token.clone());
        let got = self.auth.open_share(at, &text, |_| Follows::Code).await;
        self.count("open link", &got);
        self.diary
            .note(format!("link {link} on {device}: {:?}", got.as_ref().err()));
        if self.model.is_blocked(&[Whom::Address], now) {
            assert!(
                matches!(
                    got,
                    Err(OpenShareError::SignIn(SignInError::TooMany { .. }))
                ),
                "{got:?}"
            );
        } else if self.model.is_live(share, now) {
            let token = got.expect("a live link").token.expose().to_owned();
            let share = &self.model.tokens[share];
            let (scope, ends_at) = (share.scope, share.ends_at);
            self.model.tokens.push(Token {
                text: token,
                person: self.model.links[link].person,
                issued_to: Some(device),
                scope,
                link: Some(link),
                ends_at,
            });
        } else {
            assert_eq!(got.err(), Some(SignInError::Wrong.into()));
            self.model.failed(Whom::Address, now);
        }
    }
}
