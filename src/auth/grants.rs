//! Lets clients in that cannot show a page: they are told a user code, and a person who opens the
//! page passes the second factor for them there (after RFC 8628).
//!
//! What is let in is the pair that was refused, and nothing else: neither the browser nor anybody who
//! knows the user code gets a session by it. Codes are sent to the grant's user and bound to the grant.
//! An unknown, an expired and a used user code are never told apart, and guessing them is throttled.

use super::challenge::{Accept, Message, Outlook, StartError, Started, VerifyError};
use super::failures::FailedAt;
use super::ports::{
    Attempt, Authority, Deeds, FactorKind, Grant, NewSession, Passed, Purpose, Room, StoreError,
    Try, User, UserCode, Whence,
};
use super::sign_in::SignInError;
use super::{Asker, Auth, subject};
use crate::digest::{SessionKey, TokenDigest};
use crate::entropy::{self, Entropy, NoEntropy};
use crate::event::EventKind;
use crate::factor::one_time;
use crate::id::UserId;
use crate::identity::budget::Budget;
use crate::secret::Secret;
use crate::words::Words;
use std::net::IpAddr;
use std::time::Duration;

/// Letters that are easy to type and spell no word (RFC 8628 section 6.1): 34.5 bits in eight of them.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const CODE_LETTERS: usize = 8;
/// How long a client can be let in under one code.
const LIFETIME: Duration = Duration::from_mins(10);
/// Clients of one user that wait at once. More are told no code instead of pushing another out: a
/// code that was shown stays good, and what a stolen token can have written is bounded.
/// Whoever has the user's password must not take all of the room from one place.
const ROOM: Room = Room {
    of_user: 20,
    of_network: 10,
};
/// How long a client that was refused is told no other code. Not longer: a thief of its token is told
/// the same codes, and could refuse them in its owner's place.
const REFUSED_FOR: Duration = Duration::from_mins(2);
/// Wrong user codes in a second, from everybody together, after which none is looked up.
const MISSES_PER_SECOND: u32 = 20;
/// What somebody over that is told to wait.
const BUSY_RETRY_SECS: u64 = 1;

/// What bounds the guessing of user codes from many addresses.
#[derive(Debug)]
pub struct LookUps(Budget);

impl Default for LookUps {
    fn default() -> Self {
        Self(Budget::new(MISSES_PER_SECOND, Duration::from_secs(1)))
    }
}

/// A pair that was refused, and what a person is to recognise it by.
#[derive(Clone, Debug)]
pub struct Refused<'a> {
    pub user: UserId,
    pub token: TokenDigest,
    pub pair: SessionKey,
    pub device_label: Option<String>,
    pub whence: Whence,
    pub host: &'a str,
    pub route: &'a str,
}

/// Why there is no grant to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Unknown, expired, refused or used: never said which.
    #[error("no client waits under this code")]
    Unknown,
    #[error("too many wrong codes")]
    TooMany { retry_after_secs: u64 },
    #[error("the store does not answer")]
    Unavailable,
}

impl From<StoreError> for GrantError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a user code could not be looked up");
        Self::Unavailable
    }
}

impl From<SignInError> for GrantError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::TooMany { retry_after_secs } => Self::TooMany { retry_after_secs },
            SignInError::Wrong | SignInError::Closed => Self::Unknown,
            SignInError::Unavailable => Self::Unavailable,
        }
    }
}

/// A user code as people read it: `WDJB-MJHT`.
#[must_use]
pub fn readable(code: &str) -> String {
    match code.split_at_checked(CODE_LETTERS / 2) {
        Some((first, second)) => format!("{first}-{second}"),
        None => code.to_owned(),
    }
}

/// A user code as it was drawn, however it was typed; `None` if it can be none.
fn normalise(typed: &str) -> Option<String> {
    let is_sign = |c: &char| !c.is_whitespace() && *c != '-';
    let code: String = typed
        .chars()
        .filter(is_sign)
        .map(|c| c.to_ascii_uppercase())
        .take(CODE_LETTERS + 1)
        .collect();
    let is_letter = |byte: u8| LETTERS.contains(&byte);
    (code.len() == CODE_LETTERS && code.bytes().all(is_letter)).then_some(code)
}

/// Each letter uniform: bytes of 240 and above are thrown away (rejection sampling).
fn draw(entropy: &dyn Entropy) -> Result<String, NoEntropy> {
    let mut code = String::with_capacity(CODE_LETTERS);
    while code.len() < CODE_LETTERS {
        for byte in entropy::bytes::<16>(entropy)? {
            let letter = LETTERS.get(usize::from(byte % 20));
            if let Some(letter) = letter.filter(|_| byte < 240 && code.len() < CODE_LETTERS) {
                code.push(char::from(*letter));
            }
        }
    }
    Ok(code)
}

impl Auth {
    /// The user code under which a refused pair can be let in: the same one while it lives. `None` if
    /// there is none for it now; the refusal must not fail on it.
    pub async fn offer_grant(&self, refused: Refused<'_>) -> Option<UserCode> {
        let now = self.clock.now();
        let text = draw(&*self.entropy).ok()?;
        let grant = Grant {
            code: self.keys.grant(&text),
            pair: refused.pair,
            token: refused.token,
            user: refused.user,
            device_label: refused.device_label,
            whence: refused.whence,
            host: refused.host.to_owned(),
            route: refused.route.to_owned(),
            asked_at: now,
            expires_at: now.after(LIFETIME),
        };
        let opened = self
            .store
            .open_grant(grant, Secret::new(text), ROOM, now)
            .await;
        opened.unwrap_or_else(|error| {
            tracing::error!(%error, "a client was refused without a user code");
            None
        })
    }

    /// The client that waits under a code, and the user who can let it in. Wrong codes count against
    /// the address they come from.
    pub async fn waiting_client(
        &self,
        realm: &str,
        typed: &str,
        from: IpAddr,
    ) -> Result<(Grant, User), GrantError> {
        let Some(code) = normalise(typed) else {
            return Err(GrantError::Unknown);
        };
        let now = self.clock.now();
        let address = subject::address(&self.keys, from);
        self.not_blocked(&[address]).await?;
        if !self.look_ups.0.is_left(now) {
            return Err(GrantError::TooMany {
                retry_after_secs: BUSY_RETRY_SECS,
            });
        }
        if let Some(grant) = self.store.grant(self.keys.grant(&code), now).await?
            && let Some(user) = self.store.user(grant.user).await?
            && user.realm == realm
        {
            return Ok((grant, user));
        }
        self.look_ups.0.take(now);
        let lockout = self.settings.load().lockout;
        let failed = subject::counted_address(&self.keys, from, &lockout);
        let failed_at = FailedAt {
            route: "-",
            address: from,
        };
        self.count_failure(&[failed], failed_at).await?;
        Err(GrantError::Unknown)
    }

    /// How the client can be let in, as somebody at this address is shown it.
    pub async fn outlook_for_grant(
        &self,
        grant: &Grant,
        from: IpAddr,
    ) -> Result<Outlook, StoreError> {
        let waits = (grant.code.into(), Purpose::Grant);
        self.outlook_of(grant.user, from, waits).await
    }

    /// Sends a code by which the grant's user can let the client in.
    pub async fn send_for_grant(
        &self,
        grant: &Grant,
        kind: FactorKind,
        (from, words): (IpAddr, Words),
    ) -> Result<Started, StartError> {
        let factors = self.factors(grant.user).await?;
        let enrolled = factors.of(kind).ok_or(StartError::NoRecipient)?;
        let message = Message {
            is_for_program: true,
            words,
            user: grant.user,
            to: enrolled.value.clone(),
            bound_to: grant.code.into(),
            purpose: Purpose::Grant,
            replaces_others: false,
        };
        self.send(self.grant_asker(grant, from), message).await
    }

    /// Lets the client in, if its user's second factor is passed: once. What was typed is taken as
    /// [`Accept::Backup`] or [`Accept::Factor`] says; nothing is enrolled here.
    pub async fn approve_grant(
        &self,
        grant: &Grant,
        typed: (Accept, &str),
        from: IpAddr,
    ) -> Result<Passed, VerifyError> {
        let tries = self.tries_of(grant, typed, from).await?;
        self.approve_by(grant, tries, from).await
    }

    /// The same by what its user tries.
    pub(super) async fn approve_by(
        &self,
        grant: &Grant,
        tries: Vec<Try>,
        from: IpAddr,
    ) -> Result<Passed, VerifyError> {
        let now = self.clock.now();
        let live = self.store.token(grant.token, now).await?;
        let (token, _) = live.ok_or(VerifyError::Gone)?;
        let longest = now.after(self.settings.load().sessions.lifetime);
        let session = NewSession {
            key: grant.pair,
            token: grant.token,
            user: grant.user,
            device_label: grant.device_label.clone(),
            whence: grant.whence.clone(),
            instead_of: None,
            verified_at: now,
            expires_at: token.expires_at.map_or(longest, |end| end.min(longest)),
        };
        let asker = self.grant_asker(grant, from);
        let attempt = Attempt {
            user: Some(grant.user),
            tries,
            subjects: self.subjects(&asker),
            token: Some(grant.token),
            wizard: None,
            grant: Some(grant.code),
            authority: Authority::Verified,
            then: Deeds {
                sessions: vec![session],
                ..Deeds::default()
            },
        };
        self.judge(asker, attempt, now).await
    }

    async fn tries_of(
        &self,
        grant: &Grant,
        (accept, code): (Accept, &str),
        from: IpAddr,
    ) -> Result<Vec<Try>, VerifyError> {
        if accept == Accept::Backup {
            return Ok(vec![self.try_backup(grant.user, from, code).await?]);
        }
        let code = one_time::normalise(code).ok_or(VerifyError::Malformed)?;
        let sent = self.try_sent(grant.code.into(), Purpose::Grant, &code);
        let app = self.try_totp(grant.user, &code).await?;
        Ok([Some(sent), app].into_iter().flatten().collect())
    }

    /// The person at the page has not started this client: it is not let in, and gets no other code
    /// for a while. Whether it was still waiting.
    pub async fn refuse_grant(&self, grant: &Grant, from: IpAddr) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let until = now.after(REFUSED_FOR);
        let is_refused = self.store.refuse_grant(grant.code, until, now).await?;
        if is_refused {
            let asker = self.grant_asker(grant, from);
            asker.emit(&*self.events, EventKind::Refused, "client not recognised");
        }
        Ok(is_refused)
    }

    fn grant_asker(&self, grant: &Grant, from: IpAddr) -> Asker {
        Asker {
            user: Some(grant.user),
            subject: subject::user(&self.keys, grant.user),
            route: grant.route.clone(),
            address: from,
        }
    }
}

#[cfg(test)]
mod tests;
