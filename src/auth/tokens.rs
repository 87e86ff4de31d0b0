//! Vestibule's own tokens: signed access tokens and rotating refresh tokens.
//!
//! What makes one good is its digest in the store: the signature is for others, and is never looked
//! at here. A refresh token is stored as one, so that it never passes for an access token.

use super::failures::FailedAt;
use super::lockout::Blocked;
use super::ports::{
    Born, Issue, Refreshed, Rotation, SigningAlgorithm, StoreError, Stored, Token, Whence,
};
use super::sign_in::LOCKED_RETRY_SECS;
use super::{Auth, subject};
use crate::clock::Timestamp;
use crate::digest::{RealmKeys, SessionKey};
use crate::entropy;
use crate::event::{Event, EventKind};
use crate::gate::session::{Holder, Session};
use crate::id::UserId;
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use std::net::IpAddr;

/// What a refresh token looks like. It is opaque to its holder either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshForm {
    /// 256 random bits.
    Opaque,
    /// A signed JWT, for clients that were documented to get one.
    Jwt,
}

/// Whom tokens are issued to, and where.
#[derive(Clone, Copy, Debug)]
pub struct IssueTo<'a> {
    pub realm: &'a str,
    pub keys: &'a RealmKeys,
    /// The device that the access token is issued to.
    pub device: Option<&'a str>,
    pub algorithm: SigningAlgorithm,
    pub refresh: RefreshForm,
    /// The token that the new one stands for: the one that asked.
    pub stands_for: Option<&'a str>,
}

/// Tokens that are drawn and signed, and not stored: the deed belongs into the step that judges the
/// code.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub access: Secret,
    pub refresh: Secret,
    pub created_at: Timestamp,
    pub access_expires_at: Timestamp,
    pub refresh_expires_at: Timestamp,
    /// The pair of the access token and the device it is issued to.
    pub pair: SessionKey,
    pub issue: Issue,
}

/// Where a refresh token comes from, for the audit and the counters.
#[derive(Clone, Copy, Debug)]
pub struct RefreshedAt<'a> {
    pub route: &'a str,
    pub address: IpAddr,
    /// What the client calls itself.
    pub client: &'a str,
}

/// Why a refresh token was not exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// Unknown, expired, spent (then its family is over), or another device's.
    #[error("the refresh token is not good (any more): sign in again")]
    Invalid,
    /// Too many bad ones came from this address.
    #[error("too many failed tries")]
    TooMany { retry_after_secs: u64 },
    #[error("the store does not answer")]
    Unavailable,
}

impl From<Blocked> for RefreshError {
    fn from(blocked: Blocked) -> Self {
        Self::TooMany {
            retry_after_secs: match blocked {
                Blocked::Delayed { retry_after_secs } => retry_after_secs,
                Blocked::Locked => LOCKED_RETRY_SECS,
            },
        }
    }
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a refresh token could not be exchanged");
        Self::Unavailable
    }
}

/// New tokens for a refresh token.
#[derive(Clone, Debug)]
pub struct Exchanged {
    pub access: Secret,
    pub refresh: Secret,
    pub access_expires_at: Timestamp,
    pub pair: SessionKey,
    /// The session of the new pair, for the gate to remember.
    pub session: Option<Session>,
}

/// What an access token says.
#[derive(Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    /// The same, under the name that some clients know it by.
    id: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
    /// Whether the second factor was passed.
    authorized: bool,
    /// Whether it was passed a moment ago.
    sudo: bool,
}

/// What a refresh token says that is signed.
#[derive(Serialize)]
struct RefreshClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
    typ: &'static str,
}

/// What an access token says of its holder's second factor.
#[derive(Clone, Copy)]
struct Proof {
    authorized: bool,
    sudo: bool,
}

/// An access and a refresh token, signed.
struct Signed {
    access: Secret,
    refresh: Secret,
    access_expires_at: Timestamp,
    refresh_expires_at: Timestamp,
    pair: SessionKey,
}

/// The token that a new one stands for.
struct Root {
    token: Token,
    original: Secret,
}

fn ended() -> StoreError {
    StoreError::Unavailable("the token that asked has just ended".to_owned())
}

impl Auth {
    /// Draws an access and a refresh token for a holder. `is_verified`: what the access token says.
    ///
    /// They end with the token that they stand for, which must be live and the holder's.
    pub async fn draw(
        &self,
        to: &IssueTo<'_>,
        holder: &Holder,
        is_verified: bool,
    ) -> Result<Drawn, StoreError> {
        let now = self.clock.now();
        let root = match to.stands_for {
            Some(presented) => Some(self.root(to.keys, presented, holder, now).await?),
            None => None,
        };
        let root_token = root.as_ref().map(|root| &root.token);
        let family_ends_at = now.after(self.settings.load().sessions.lifetime);
        let family_ends_at = root_token
            .and_then(|token| token.expires_at)
            .map_or(family_ends_at, |end| end.min(family_ends_at));
        let proof = Proof {
            authorized: is_verified,
            sudo: is_verified,
        };
        let signed = self
            .signed(to, holder.user, proof, now, family_ends_at)
            .await?;
        let access = Token {
            digest: to.keys.token(signed.access.expose()),
            user: holder.user,
            issued_pair: Some(signed.pair),
            scope: root_token.and_then(|token| token.scope.clone()),
            share: root_token.and_then(|token| token.share),
            born: root.map(|root| Born {
                of: root.token.digest,
                original: root.original,
            }),
            issued_at: now,
            expires_at: Some(signed.access_expires_at),
        };
        Ok(Drawn {
            issue: Issue {
                access,
                refresh: self.keys.refresh(signed.refresh.expose()),
                refresh_expires_at: signed.refresh_expires_at,
                family_ends_at,
                device_label: to.device.map(|device| self.keys.device_label(device)),
            },
            access: signed.access,
            refresh: signed.refresh,
            created_at: now,
            access_expires_at: signed.access_expires_at,
            refresh_expires_at: signed.refresh_expires_at,
            pair: signed.pair,
        })
    }

    /// The presented token, or the one that it stands for: nothing stands for a token that stands for
    /// another.
    async fn root(
        &self,
        keys: &RealmKeys,
        presented: &str,
        holder: &Holder,
        now: Timestamp,
    ) -> Stored<Root> {
        let digest = keys.token(presented);
        let (token, known) = self.store.token(digest, now).await?.ok_or_else(ended)?;
        if token.user != holder.user {
            return Err(ended());
        }
        let Some(born) = &token.born else {
            let original = Secret::new(presented);
            return Ok(Root { token, original });
        };
        let terms = known.terms.as_ref();
        let original = terms
            .and_then(|terms| terms.original.as_ref())
            .and_then(|sealed| self.store.original(digest, sealed))
            .ok_or(StoreError::Damaged("original token"))?;
        let (token, _) = self.store.token(born.of, now).await?.ok_or_else(ended)?;
        Ok(Root { token, original })
    }

    /// Signs both tokens. Neither lives longer than until `ends_at`.
    async fn signed(
        &self,
        to: &IssueTo<'_>,
        user: UserId,
        proof: Proof,
        now: Timestamp,
        ends_at: Timestamp,
    ) -> Stored<Signed> {
        let tokens = self.settings.load().tokens.clone();
        let (iss, sub) = (tokens.issuer.as_str(), user.to_string());
        let access_expires_at = now.after(tokens.access_lifetime).min(ends_at);
        let refresh_expires_at = now.after(tokens.refresh_lifetime).min(ends_at);
        let access = AccessClaims {
            iss,
            sub: &sub,
            id: &sub,
            jti: self.jti()?,
            iat: now.0,
            exp: access_expires_at.0,
            authorized: proof.authorized,
            sudo: proof.sudo,
        };
        let access = self.signer.sign(to.algorithm, &access).await?;
        let refresh = match to.refresh {
            RefreshForm::Opaque => Secret::new(entropy::token(&*self.entropy).map_err(no_entropy)?),
            RefreshForm::Jwt => {
                let refresh = RefreshClaims {
                    iss,
                    sub: &sub,
                    jti: self.jti()?,
                    iat: now.0,
                    exp: refresh_expires_at.0,
                    typ: "refresh",
                };
                self.signer.sign(to.algorithm, &refresh).await?
            }
        };
        Ok(Signed {
            pair: to.keys.session(access.expose(), to.device),
            access,
            refresh,
            access_expires_at,
            refresh_expires_at,
        })
    }

    /// A number for one token: 128 random bits.
    pub(super) fn jti(&self) -> Stored<String> {
        let bytes = entropy::bytes::<16>(&*self.entropy).map_err(no_entropy)?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Exchanges a refresh token (RFC 6749 section 6): rotating, reuse ends the family (RFC 9700
    /// section 4.14.2). The device that it was issued to must ask; the new one has the form that `to`
    /// says.
    pub async fn refresh(
        &self,
        to: &IssueTo<'_>,
        at: RefreshedAt<'_>,
        refresh: &Secret,
    ) -> Result<Exchanged, RefreshError> {
        let address = subject::address(&self.keys, at.address);
        let now = self.clock.now();
        if let Some(blocked) = self.store.blocked(&[address], now).await? {
            return Err(blocked.into());
        }
        let old = self.keys.refresh(refresh.expose());
        let label = to.device.map(|device| self.keys.device_label(device));
        let family = self.store.family(old, now).await?;
        let family = family.filter(|it| it.realm == to.realm && it.device_label == label);
        let Some(family) = family else {
            return self.refused(at, None, "unknown refresh token").await;
        };
        let sudo = self.settings.load().sudo;
        let proof = Proof {
            authorized: family.verified_at.is_some(),
            sudo: family.verified_at.is_some_and(|it| now < it.after(sudo)),
        };
        let signed = self
            .signed(to, family.user, proof, now, family.ends_at)
            .await?;
        let rotation = Rotation {
            old,
            access: to.keys.token(signed.access.expose()),
            pair: signed.pair,
            access_expires_at: signed.access_expires_at,
            refresh: self.keys.refresh(signed.refresh.expose()),
            refresh_expires_at: signed.refresh_expires_at,
            whence: Whence {
                address: at.address,
                client: at.client.to_owned(),
            },
        };
        match self.store.rotate(rotation, now).await? {
            Refreshed::Yes(session) => Ok(Exchanged {
                access: signed.access,
                refresh: signed.refresh,
                access_expires_at: signed.access_expires_at,
                pair: signed.pair,
                session,
            }),
            Refreshed::Unknown => self.refused(at, None, "unknown refresh token").await,
            Refreshed::Reused => {
                self.emit_refresh(
                    at,
                    EventKind::Revoked,
                    Some(family.user),
                    "refresh token used twice",
                );
                self.refused(at, Some(family.user), "spent refresh token")
                    .await
            }
        }
    }

    /// Counts a bad refresh token against the address that it came from, as a wrong password is.
    async fn refused(
        &self,
        at: RefreshedAt<'_>,
        user: Option<UserId>,
        detail: &str,
    ) -> Result<Exchanged, RefreshError> {
        let lockout = self.settings.load().lockout;
        let failed = subject::counted_address(&self.keys, at.address, &lockout);
        let failed_at = FailedAt {
            route: at.route,
            address: at.address,
        };
        self.count_failure(&[failed], failed_at).await?;
        self.emit_refresh(at, EventKind::Refused, user, detail);
        Err(RefreshError::Invalid)
    }

    fn emit_refresh(
        &self,
        at: RefreshedAt<'_>,
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

fn no_entropy(error: entropy::NoEntropy) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests;
