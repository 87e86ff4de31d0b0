//! A name and a password with every request (RFC 7617): verified where the account is, here or by
//! its backend, and then taken for a while as any other token is.
//!
//! What the store gets is the digest of the header under the identity's key, never the password. A
//! wrong password costs what it costs at sign-in. One that was tried before is no new guess: a client
//! that goes on sending an old password must not lock its owner out.

use super::ports::{LearnedUser, Said, Token};
use super::sign_in::{SignInContext, SignInError};
use super::{Auth, subject};
use crate::clock::Timestamp;
use crate::digest::{SubjectDigest, TokenDigest};
use crate::event::EventKind;
use crate::gate::Unavailable;
use crate::gate::flight::Flights;
use crate::id::UserId;
use crate::identity::basic::{Checked, Login, Recalled};
use crate::identity::witness::{Probe, Probes};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// Different credentials that are looked at at once; more are told to come back.
const FLIGHTS_MAX: usize = 1_024;
/// What they are told to wait.
const BUSY_RETRY_SECS: u64 = 1;

/// What is known of names and passwords, and whom to ask about those of backends.
pub struct Passwords {
    checked: Arc<Checked>,
    backends: ArcSwap<Probes>,
    /// By token and client: one that may not try must not answer for another.
    under_way: Flights<(TokenDigest, SubjectDigest), Result<(), SignInError>>,
}

impl Passwords {
    /// `checked` is what the gate's witness goes by, too.
    #[must_use]
    pub fn new(checked: Arc<Checked>) -> Self {
        Self {
            checked,
            backends: ArcSwap::default(),
            under_way: Flights::new(FLIGHTS_MAX),
        }
    }

    /// The backends from now on, by identity; those without one have their accounts here.
    pub fn set_backends(&self, backends: Probes) {
        self.backends.store(Arc::new(backends));
    }
}

impl Auth {
    /// Makes sure that a name and a password are right, if that was not found out a while ago; the
    /// gate knows the token then.
    pub async fn admit_basic(&self, at: SignInContext<'_>, token: &str) -> Result<(), SignInError> {
        let digest = at.keys.token(token);
        match self.passwords.checked.recall(&digest, self.clock.now()) {
            Recalled::Right => return Ok(()),
            Recalled::Wrong => return Err(SignInError::Wrong),
            Recalled::Ask { .. } => {}
        }
        let asked = (digest, subject::address(&self.keys, at.address));
        let under_way = &self.passwords.under_way;
        let judged = under_way.share(asked, || self.judge_basic(at, token, digest));
        judged.await.unwrap_or(Err(SignInError::TooMany {
            retry_after_secs: BUSY_RETRY_SECS,
        }))
    }

    async fn judge_basic(
        &self,
        at: SignInContext<'_>,
        token: &str,
        digest: TokenDigest,
    ) -> Result<(), SignInError> {
        let Some(login) = Login::of(token) else {
            return Err(SignInError::Wrong);
        };
        let now = self.clock.now();
        // Another client's flight may just have ended.
        let was_tried = match self.passwords.checked.recall(&digest, now) {
            Recalled::Right => return Ok(()),
            Recalled::Wrong => return Err(SignInError::Wrong),
            Recalled::Ask { is_repeated } => is_repeated,
        };
        let found = self.store.token(digest, now).await?;
        let is_guess = found.is_none() && !was_tried;
        let backend = self.passwords.backends.load().get(at.realm).cloned();
        let judged = match backend {
            Some(probe) => self.ask_backend(at, &*probe, token, &login, is_guess).await,
            None => self.ask_accounts(at, &login, is_guess).await,
        };
        if judged == Err(SignInError::Wrong) {
            self.passwords.checked.was_wrong(digest, now);
        }
        let user = judged?;
        let held_until = found
            .filter(|(token, _)| token.user == user)
            .and_then(|(token, _)| token.expires_at);
        self.keep_basic(at, digest, user, held_until, now).await?;
        self.passwords.checked.was_right(digest, now);
        Ok(())
    }

    /// A password of one of Vestibule's own accounts, under the user's name or email address.
    async fn ask_accounts(
        &self,
        at: SignInContext<'_>,
        login: &Login,
        is_guess: bool,
    ) -> Result<UserId, SignInError> {
        let (typed, user) = self.account_of(at.realm, &login.user).await?;
        if is_guess {
            let judged = self.judge_password(at, &typed, user, &login.password).await;
            return judged.map(|user| user.id);
        }
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let (is_right, _place) = self.check_password(&[], &login.password, hash).await?;
        let user = user.filter(|_| is_right).ok_or(SignInError::Wrong)?;
        Ok(user.id)
    }

    /// A password of a backend's account.
    async fn ask_backend(
        &self,
        at: SignInContext<'_>,
        backend: &dyn Probe,
        token: &str,
        login: &Login,
        is_guess: bool,
    ) -> Result<UserId, SignInError> {
        let names = [login.user.clone()];
        let guess = match is_guess {
            true => {
                let may = self.may_try_backend(at.realm, &names, at.route, at.address);
                Some(may.await?)
            }
            false => None,
        };
        let learned = match backend.probe(at.realm, token).await {
            Ok(Some(learned)) => learned,
            Ok(None) => {
                if let Some(guess) = guess {
                    self.backend_refused(guess).await?;
                }
                return Err(SignInError::Wrong);
            }
            Err(Unavailable) => return Err(SignInError::Unavailable),
        };
        if let Some(guess) = guess {
            self.backend_accepted(guess).await?;
        }
        // Another row of the same account would be somebody without a second factor.
        let known = match learned.is_typed {
            true => self.store.user_in_any_case(at.realm, &learned.user).await?,
            false => None,
        };
        let now = self.clock.now();
        let user = LearnedUser {
            realm: at.realm.to_owned(),
            name: known.map_or(learned.user, |user| user.name),
            phone: learned.phone,
            email: learned.email,
            groups: learned.groups,
            said: Said {
                at: learned.said_at.unwrap_or(now),
                by: None,
            },
        };
        Ok(self.store.learn_user(user, now).await?)
    }

    /// Stores the token, for as long as a session can last: it is renewed while it is used.
    async fn keep_basic(
        &self,
        at: SignInContext<'_>,
        digest: TokenDigest,
        user: UserId,
        held_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), SignInError> {
        let lifetime = self.settings.load().sessions.lifetime;
        // A session that is made today ends with its token at the latest.
        if held_until.is_some_and(|end| end >= now.after(lifetime)) {
            return Ok(());
        }
        let token = Token {
            digest,
            user,
            issued_pair: None,
            scope: None,
            share: None,
            born: None,
            issued_at: now,
            expires_at: Some(now.after(lifetime.saturating_mul(2))),
        };
        self.store.put_token(token).await?;
        if held_until.is_none() {
            self.emit_sign_in(at, EventKind::SignedIn, Some(user), "basic");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
