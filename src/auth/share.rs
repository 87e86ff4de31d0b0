//! Share links: whom one is for, and the exchange of it for a token of that person's own.
//!
//! A link is known to whoever it was passed on to, so it opens nothing: the token that is exchanged for it
//! is of one recipient, is limited to the share's folder, ends with the share, and waits for a code that
//! only this recipient gets.

use super::challenge::{Message, StartError, Started};
use super::failures::FailedAt;
use super::ports::{FactorKind, Purpose, Recipient, Share};
use super::sign_in::{Grant, SignInContext, SignInError, SignedIn};
use super::{Asker, Auth, subject};
use crate::digest::SubjectDigest;
use crate::entropy;
use crate::event::EventKind;
use crate::id::ShareId;
use crate::identity::budget::Budgets;
use crate::secret::Secret;
use crate::words::Words;
use std::time::Duration;

/// What the tokens of guests begin with: of one that is not known any more, it can still be told that a
/// share is over.
pub const GUEST_PREFIX: &str = "guest-";

/// Tokens that one network gets for one link in a minute without a code.
const EXCHANGES_PER_MINUTE: u32 = 60;

/// What is left of them.
#[derive(Debug)]
pub struct Exchanges(Budgets<(ShareId, SubjectDigest)>);

impl Default for Exchanges {
    fn default() -> Self {
        Self(Budgets::new(EXCHANGES_PER_MINUTE, Duration::from_secs(60)))
    }
}

/// What follows the exchange of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// The folder asks for a code: who types it is counted.
    Code,
    /// The token opens the folder: its device is counted at once, where devices are.
    Nothing,
}

/// Why a link is not exchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenShareError {
    #[error("this share link has no such recipient")]
    NoSuchRecipient,
    /// A client that cannot ask which of them it is cannot open it.
    #[error("this share link is for several people")]
    SeveralRecipients,
    /// It was opened on as many devices as it may be.
    #[error("this share link has been opened on all the devices it is good for")]
    Full,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    SignIn(#[from] SignInError),
}

impl Auth {
    /// The share of a link. Unknown, expired and revoked ones get the same answer, and count against
    /// the address. The context's device is not looked at.
    pub async fn find_share(
        &self,
        at: SignInContext<'_>,
        link: &Secret,
    ) -> Result<Share, SignInError> {
        let address = subject::address(&self.keys, at.address);
        self.not_blocked(&[address]).await?;
        let digest = at.keys.token(link.expose());
        let now = self.clock.now();
        if let Some(share) = self.store.share_of_link(digest, now).await? {
            return Ok(share);
        }
        let lockout = self.settings.load().lockout;
        let failed = subject::counted_address(&self.keys, at.address, &lockout);
        let (route, from) = (at.route, at.address);
        let failed_at = FailedAt {
            route,
            address: from,
        };
        self.count_failure(&[failed], failed_at).await?;
        self.emit_sign_in(at, EventKind::Refused, None, "unknown share");
        Err(SignInError::Wrong)
    }

    /// Exchanges the link of a single recipient for a token: for clients that cannot ask who opens it.
    pub async fn open_share(
        &self,
        at: SignInContext<'_>,
        link: &Secret,
        follows: impl FnOnce(&Share) -> Follows,
    ) -> Result<SignedIn, OpenShareError> {
        let share = self.find_share(at, link).await?;
        let follows = follows(&share);
        match &share.recipients[..] {
            [recipient] => self.open_share_as(at, &share, recipient, follows).await,
            _ => Err(OpenShareError::SeveralRecipients),
        }
    }

    /// Exchanges a link for a token of one of its recipients.
    pub async fn open_share_as(
        &self,
        at: SignInContext<'_>,
        share: &Share,
        recipient: &Recipient,
        follows: Follows,
    ) -> Result<SignedIn, OpenShareError> {
        let network = subject::address(&self.keys, at.address);
        let taken = self.exchanges.0.take((share.id, network), self.clock.now());
        taken.map_err(|retry_after_secs| SignInError::TooMany { retry_after_secs })?;
        let token = self.new_token()?;
        self.exchange(at, share, recipient, (token, follows)).await
    }

    /// The same, and sends the recipient (the `nth`, from 0) the code that the token waits for. Nothing
    /// is issued where no code could be sent: what a stranger can have for the asking costs nothing.
    pub async fn ask_recipient(
        &self,
        at: SignInContext<'_>,
        share: &Share,
        nth: usize,
        (kind, words): (FactorKind, Words),
    ) -> Result<(SignedIn, Started), OpenShareError> {
        let recipient = share.recipients.get(nth);
        let recipient = recipient.ok_or(OpenShareError::NoSuchRecipient)?;
        if share.is_used_up() {
            return Err(OpenShareError::Full);
        }
        let factors = self.factors(recipient.user).await;
        let factors = factors.map_err(SignInError::from)?;
        let enrolled = factors.of(kind).ok_or(StartError::NoRecipient)?;
        let token = self.new_token()?;
        let message = Message {
            is_for_program: false,
            words,
            user: recipient.user,
            to: enrolled.value.clone(),
            bound_to: at.keys.session(token.expose(), at.device).into(),
            purpose: Purpose::Verify,
            replaces_others: false,
        };
        let asker = Asker {
            user: Some(recipient.user),
            subject: subject::user(&self.keys, recipient.user),
            route: at.route.to_owned(),
            address: at.address,
        };
        let started = self.send(asker, message).await?;
        let token = (token, Follows::Code);
        let signed_in = self.exchange(at, share, recipient, token).await?;
        Ok((signed_in, started))
    }

    async fn exchange(
        &self,
        at: SignInContext<'_>,
        share: &Share,
        recipient: &Recipient,
        (token, follows): (Secret, Follows),
    ) -> Result<SignedIn, OpenShareError> {
        let user = self.store.user(recipient.user).await;
        let user = user.map_err(SignInError::from)?;
        // Revoked just now.
        let user = user.ok_or(SignInError::Wrong)?;
        let grant = Grant {
            scope: Some(share.path.clone()),
            share: Some(share.id),
            expires_at: share.expires_at,
        };
        let new = self.token_for(at, &token, &user, grant);
        let put = match follows {
            Follows::Code => self.store.put_token(new).await.map(|()| true),
            Follows::Nothing => self.store.open_share(new).await,
        };
        if !put.map_err(SignInError::from)? {
            return Err(OpenShareError::Full);
        }
        self.emit_sign_in(at, EventKind::SignedIn, Some(user.id), "share");
        Ok(SignedIn {
            token,
            user,
            expires_at: share.expires_at,
            session: None,
        })
    }

    fn new_token(&self) -> Result<Secret, SignInError> {
        let token = entropy::token(&*self.entropy).map_err(|_| SignInError::Unavailable)?;
        Ok(Secret::new(format!("{GUEST_PREFIX}{token}")))
    }
}

#[cfg(test)]
mod tests;
