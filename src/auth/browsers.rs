//! Browsers that are remembered: whoever has passed the second factor in one, and asked for it there, is
//! not asked again when they sign in there anew, for as long as the route says.
//!
//! What proves a browser is a secret of 256 bits in a cookie of its own, never a name that a client gives
//! itself. It proves nothing without the password, and stays the same at each sign-in: two tabs may sign in at
//! once, and whoever has copied it and knows the password is in either way. It is new whenever a factor is
//! passed and remembered, so that one which somebody has planted is worth nothing. The session that comes
//! of it is as old as that factor: what asks for a recent one asks again.
//!
//! Wrong codes lock a user's codes, and no browser: that would let a stranger who knows the password lock out
//! the one person who has shown more.

use super::ports::{Browser, NewBrowser, NewSession, Recall, Token, Whence};
use super::sessions::SessionsError;
use super::{Auth, Caller, Standing};
use crate::config::model::Remember;
use crate::event::EventKind;
use crate::id::BrowserId;
use crate::secret::Secret;

/// A browser in which somebody signs in.
#[derive(Clone, Debug)]
pub struct KnownBrowser {
    /// What its cookie says.
    pub secret: Secret,
    /// What the route says of browsers.
    pub remember: Remember,
    pub whence: Whence,
}

/// A browser that is to be remembered.
#[derive(Clone, Debug)]
pub struct ToRemember {
    /// Never used before.
    pub secret: Secret,
    /// What its cookie said until now.
    pub before: Option<Secret>,
    /// What the route says of browsers.
    pub remember: Remember,
}

/// A browser that is remembered for the caller.
#[derive(Clone, Debug)]
pub struct OwnBrowser {
    pub browser: Browser,
    /// It is the one that asks.
    pub is_current: bool,
}

impl Auth {
    /// What the store is told of a new token in a browser.
    pub(super) fn recall(
        &self,
        token: &Token,
        from: &KnownBrowser,
        device: Option<&str>,
    ) -> Option<Recall> {
        let now = self.clock.now();
        let longest = now.after(self.settings.load().sessions.lifetime);
        Some(Recall {
            browser: self.keys.browser(from.secret.expose()),
            remember: from.remember,
            session: NewSession {
                key: token.issued_pair?,
                token: token.digest,
                user: token.user,
                device_label: device.map(|device| self.keys.device_label(device)),
                whence: from.whence.clone(),
                instead_of: None,
                verified_at: now,
                expires_at: token.expires_at.map_or(longest, |end| end.min(longest)),
            },
        })
    }

    /// What the store is told of a browser that is to be remembered. Nobody is who came by a share link:
    /// there is no sign-in that it could be for.
    pub(super) fn new_browser(&self, caller: &Caller, new: &ToRemember) -> Option<NewBrowser> {
        let is_ever = new.remember != Remember::Never && !caller.is_guest();
        let before = new.before.as_ref();
        is_ever.then(|| NewBrowser {
            digest: self.keys.browser(new.secret.expose()),
            instead_of: before.map(|secret| self.keys.browser(secret.expose())),
            token: caller.token,
            whence: caller.whence(),
            until: new.remember.ends_at(self.clock.now()),
        })
    }

    /// The browsers that are remembered for the caller, the newest first. `secret`: what the cookie of the
    /// browser that asks says.
    pub async fn own_browsers(
        &self,
        caller: &Caller,
        secret: Option<&str>,
    ) -> Result<Vec<OwnBrowser>, SessionsError> {
        self.may_look_after(caller, Standing::Verified).await?;
        let current = secret.map(|secret| self.keys.browser(secret));
        let user = caller.holder.user;
        let browsers = self.store.browsers(user, self.clock.now()).await?;
        let own = browsers.into_iter().map(|browser| OwnBrowser {
            is_current: Some(browser.digest) == current,
            browser,
        });
        Ok(own.collect())
    }

    /// Forgets one of them: the next sign-in there is asked for the second factor.
    pub async fn forget_browser(
        &self,
        caller: &Caller,
        id: BrowserId,
    ) -> Result<(), SessionsError> {
        self.may_look_after(caller, Standing::Sudo).await?;
        match self.store.forget_browser(caller.holder.user, id).await? {
            false => Err(SessionsError::NotFound),
            true => {
                let asker = caller.asker(&self.keys);
                let detail = format!("remembered browser {id}, by its user");
                asker.emit(&*self.events, EventKind::Revoked, &detail);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
