//! Sign-in with Vestibule's own accounts.

use super::browsers::KnownBrowser;
use super::failures::FailedAt;
use super::lockout::{Blocked, LockoutPolicy};
use super::ports::{StoreError, Token, User};
use super::subject::Who;
use super::{Auth, subject};
use crate::clock::Timestamp;
use crate::config::model::Requirement;
use crate::digest::{RealmKeys, SubjectDigest};
use crate::entropy;
use crate::event::{Event, EventKind};
use crate::gate::session::Session;
use crate::id::{SessionId, UserId};
use crate::identity::accounts;
use crate::secret::Secret;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What a client is told to wait where only an operator can end the wait.
pub(super) const LOCKED_RETRY_SECS: u64 = 3600;

/// A token was issued.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub token: Secret,
    pub user: super::ports::User,
    pub expires_at: Option<Timestamp>,
    /// Of its pair, if the browser is remembered for the user.
    pub session: Option<Session>,
}

/// Why no token was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// Unknown name, wrong password, unknown or expired share: never said which.
    #[error("wrong user name, password or share URL")]
    Wrong,
    /// The password was right, but every path of the route is closed to this user.
    #[error("closed to this user")]
    Closed,
    #[error("too many failed tries")]
    TooMany { retry_after_secs: u64 },
    #[error("the store does not answer")]
    Unavailable,
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a sign-in could not be judged");
        Self::Unavailable
    }
}

/// Where a sign-in comes from and goes to.
#[derive(Clone, Copy, Debug)]
pub struct SignInContext<'a> {
    /// The identity's name.
    pub realm: &'a str,
    pub keys: &'a RealmKeys,
    /// The device that a token is issued to, where one is to be.
    pub device: Option<&'a str>,
    pub route: &'a str,
    pub address: IpAddr,
}

/// What a new token opens, and how long.
#[derive(Default)]
pub(super) struct Grant {
    pub(super) scope: Option<String>,
    pub(super) share: Option<crate::id::ShareId>,
    pub(super) expires_at: Option<Timestamp>,
}

impl Auth {
    /// Checks a password and issues a token to the device.
    ///
    /// A name that does not exist costs the same time and gets the same answers and delays as one
    /// that does. `most` says what the route asks of the user at the most.
    pub async fn sign_in(
        &self,
        at: SignInContext<'_>,
        name: &str,
        password: &Secret,
        most: impl FnOnce(&User) -> Requirement,
    ) -> Result<SignedIn, SignInError> {
        let user = self.store.user_by_name(at.realm, name).await?;
        let user = self.judge_password(at, name, user, password).await?;
        self.is_open(at, &user, most(&user))?;
        self.issue(at, user, Grant::default(), "password").await
    }

    /// Signs in on a page: with a name or an email address, whichever it is. The token lives no longer than
    /// a session, since nobody asks for it again once a browser has lost it. In a browser that is
    /// remembered for this user, the pair is verified at once.
    pub async fn sign_in_on_page(
        &self,
        at: SignInContext<'_>,
        typed: &str,
        password: &Secret,
        browser: Option<&KnownBrowser>,
        most: impl FnOnce(&User) -> Requirement,
    ) -> Result<SignedIn, SignInError> {
        let (counted, user) = self.account_of(at.realm, typed).await?;
        let user = self.judge_password(at, &counted, user, password).await?;
        self.is_open(at, &user, most(&user))?;
        let lifetime = self.settings.load().sessions.lifetime;
        let grant = Grant {
            expires_at: Some(self.clock.now().after(lifetime)),
            ..Grant::default()
        };
        match browser {
            Some(browser) => self.issue_in(at, user, grant, browser).await,
            None => self.issue(at, user, grant, "password").await,
        }
    }

    /// Issues a token to a browser that may be remembered.
    async fn issue_in(
        &self,
        at: SignInContext<'_>,
        user: User,
        grant: Grant,
        browser: &KnownBrowser,
    ) -> Result<SignedIn, SignInError> {
        let token = entropy::token(&*self.entropy).map_err(|_| SignInError::Unavailable)?;
        let (token, expires_at) = (Secret::new(token), grant.expires_at);
        let new = self.token_for(at, &token, &user, grant);
        let recall = self.recall(&new, browser, at.device);
        let recall = recall.ok_or(SignInError::Unavailable)?;
        let now = self.clock.now();
        let session = self.store.put_token_in(new, recall, now).await?;
        let detail = match session {
            Some(_) => "password in a remembered browser",
            None => "password",
        };
        self.emit_sign_in(at, EventKind::SignedIn, Some(user.id), detail);
        Ok(SignedIn {
            token,
            user,
            expires_at,
            session,
        })
    }

    /// Ends what [`Auth::sign_in_on_page`] has begun: the token with its sessions, which it returns for
    /// the gate to forget. A share link itself is everybody's who has it, and stays.
    pub async fn sign_out(
        &self,
        at: SignInContext<'_>,
        token: &str,
    ) -> Result<Vec<SessionId>, StoreError> {
        let (digest, now) = (at.keys.token(token), self.clock.now());
        let found = self.store.token(digest, now).await?;
        let Some((token, holder)) = found.filter(|(token, _)| !token.is_link()) else {
            return Ok(Vec::new());
        };
        let ended = self.store.drop_token(token.digest, now).await?;
        self.emit_sign_in(at, EventKind::SignedOut, Some(holder.user), "page");
        Ok(ended)
    }

    /// The account of a name or email address, and what its wrong passwords are counted under.
    pub(super) async fn account_of(
        &self,
        realm: &str,
        typed: &str,
    ) -> Result<(String, Option<User>), StoreError> {
        let by_name = self.store.user_by_name(realm, typed).await?;
        // Asked even where the name was found: or the time would tell one from the other.
        if typed.contains('@') {
            let by_email = self.store.user_by_email(realm, typed).await?;
            return Ok((subject::mailbox(typed), by_name.or(by_email)));
        }
        Ok((typed.to_owned(), by_name))
    }

    /// Checks the password of whoever `name` (a user's name, or an email address) has found. Wrong ones
    /// count against what was typed: an address that shared the count of its user's name would tell
    /// whose it is.
    pub(super) async fn judge_password(
        &self,
        at: SignInContext<'_>,
        name: &str,
        user: Option<User>,
        password: &Secret,
    ) -> Result<User, SignInError> {
        let account = subject::account(&self.keys, at.realm, name);
        let address = subject::address(&self.keys, at.address);
        let subjects = [account, address];
        self.not_blocked(&subjects).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let (right, _place) = self.check_password(&subjects, password, hash).await?;
        let Some(user) = user.filter(|_| right) else {
            let lockout = self.settings.load().lockout;
            let typed = Who::Account {
                realm: at.realm.to_owned(),
                name: name.to_owned(),
            };
            let failed = [
                typed.counted(&self.keys, LockoutPolicy::for_account(&lockout)),
                subject::counted_address(&self.keys, at.address, &lockout),
            ];
            let (route, address) = (at.route, at.address);
            self.count_failure(&failed, FailedAt { route, address })
                .await?;
            self.emit_sign_in(at, EventKind::Refused, None, "wrong password");
            return Err(SignInError::Wrong);
        };
        self.store.succeeded(&[account]).await?;
        Ok(user)
    }

    /// Refuses whoever the route is closed to, after the password: a stranger must not learn that.
    pub(super) fn is_open(
        &self,
        at: SignInContext<'_>,
        user: &User,
        most: Requirement,
    ) -> Result<(), SignInError> {
        if most != Requirement::Deny {
            return Ok(());
        }
        self.emit_sign_in(at, EventKind::Refused, Some(user.id), "closed to the user");
        Err(SignInError::Closed)
    }

    /// Hashes off the I/O threads, no more at once than `hashing` has places. The place comes back
    /// with the answer, to be kept until a failure has been counted.
    pub(super) async fn check_password(
        &self,
        subjects: &[SubjectDigest],
        password: &Secret,
        hash: Option<Secret>,
    ) -> Result<(bool, OwnedSemaphorePermit), SignInError> {
        let place = Arc::clone(&self.hashing).acquire_owned().await;
        let place = place.map_err(|_| SignInError::Unavailable)?;
        // Again, now that it is this one's turn: of a thousand guesses sent at once, those that
        // waited must meet the delay which the first ones earned.
        self.not_blocked(subjects).await?;
        let password = password.clone();
        tokio::task::spawn_blocking(move || {
            // In here, the place is kept until the work is done even if the client hangs up.
            let right = accounts::verify_password(&password, hash.as_ref());
            (right, place)
        })
        .await
        .map_err(|_| SignInError::Unavailable)
    }

    pub(super) async fn not_blocked(&self, subjects: &[SubjectDigest]) -> Result<(), SignInError> {
        let blocked = self.store.blocked(subjects, self.clock.now()).await?;
        blocked.map_or(Ok(()), |blocked| {
            Err(SignInError::TooMany {
                retry_after_secs: match blocked {
                    Blocked::Delayed { retry_after_secs } => retry_after_secs,
                    Blocked::Locked => LOCKED_RETRY_SECS,
                },
            })
        })
    }

    async fn issue(
        &self,
        at: SignInContext<'_>,
        user: User,
        grant: Grant,
        detail: &str,
    ) -> Result<SignedIn, SignInError> {
        let token = entropy::token(&*self.entropy).map_err(|_| SignInError::Unavailable)?;
        let (token, expires_at) = (Secret::new(token), grant.expires_at);
        let new = self.token_for(at, &token, &user, grant);
        self.store.put_token(new).await?;
        self.emit_sign_in(at, EventKind::SignedIn, Some(user.id), detail);
        Ok(SignedIn {
            token,
            user,
            expires_at,
            session: None,
        })
    }

    /// A token of this text, as the store gets it.
    pub(super) fn token_for(
        &self,
        at: SignInContext<'_>,
        token: &Secret,
        user: &User,
        grant: Grant,
    ) -> Token {
        Token {
            digest: at.keys.token(token.expose()),
            user: user.id,
            issued_pair: at
                .device
                .map(|device| at.keys.session(token.expose(), Some(device))),
            scope: grant.scope,
            share: grant.share,
            born: None,
            issued_at: self.clock.now(),
            expires_at: grant.expires_at,
        }
    }

    pub(super) fn emit_sign_in(
        &self,
        at: SignInContext<'_>,
        kind: EventKind,
        user: Option<UserId>,
        detail: &str,
    ) {
        self.events.emit(Event {
            kind,
            user,
            route: at.route.to_owned(),
            address: Some(at.address),
            detail: detail.to_owned(),
            uid: None,
        });
    }
}

#[cfg(test)]
mod tests;
