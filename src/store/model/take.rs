//! Takes a step on one engine, and tells what it answered.

use super::*;

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

pub(super) async fn take(f: &Fixture, step: Step, now: Timestamp) -> String {
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
                // Of one number it is an old word.
                said: Said {
                    at: match number == Some(PHONES[0]) {
                        true => now.before(Duration::from_secs(60)),
                        false => now,
                    },
                    by: number.map(|number| f.digest(number)),
                },
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
