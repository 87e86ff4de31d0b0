//! A user's own sessions: see them, end one, end all others.
//!
//! Where somebody was and with what is for the verified user alone, as soon as there is a factor to
//! verify; to end a session asks for sudo mode. A share link's user stands for its recipient alone,
//! so that whoever opens the link sees and ends the sessions of that recipient, and no others.

use super::ports::{SessionRow, StoreError, Which};
use super::{Auth, Caller, Standing};
use crate::event::EventKind;
use crate::id::SessionId;

/// Why sessions are not shown, or not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionsError {
    /// The user has a verified factor, and the caller's pair is not verified (recently enough).
    #[error("verify your second factor first")]
    NotVerified,
    /// The caller has no such session: it has ended, or was never one of this user's.
    #[error("this session has ended already")]
    NotFound,
    #[error("the store does not answer")]
    Unavailable,
}

impl From<StoreError> for SessionsError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the sessions of a user could not be looked after");
        Self::Unavailable
    }
}

/// A session of the caller's user.
#[derive(Clone, Debug)]
pub struct OwnSession {
    pub row: SessionRow,
    /// It is that of the caller's pair.
    pub is_current: bool,
}

impl Auth {
    /// The caller's live sessions, newest first.
    pub async fn own_sessions(&self, caller: &Caller) -> Result<Vec<OwnSession>, SessionsError> {
        self.may_look_after(caller, Standing::Verified).await?;
        let current = self.current_session(caller).await?;
        let rows = self.live_sessions(caller).await?.into_iter();
        let rows = rows.map(|row| OwnSession {
            is_current: Some(row.session.id) == current,
            row,
        });
        Ok(rows.collect())
    }

    /// Ends one of the caller's sessions; returns what the gate has to forget.
    pub async fn end_session(
        &self,
        caller: &Caller,
        id: SessionId,
    ) -> Result<Which, SessionsError> {
        self.may_look_after(caller, Standing::Sudo).await?;
        // A session's number never means another user's later.
        let own = self.live_sessions(caller).await?;
        if own.iter().all(|row| row.session.id != id) {
            return Err(SessionsError::NotFound);
        }
        let which = Which::Session(id);
        match self.store.revoke(which, self.clock.now()).await? {
            0 => Err(SessionsError::NotFound),
            _ => {
                self.tell(caller, &format!("session {id}, by its user"));
                Ok(which)
            }
        }
    }

    /// Ends all of the caller's sessions but that of the pair that asks; returns what the gate has to
    /// forget, and how many ended.
    pub async fn end_others(&self, caller: &Caller) -> Result<(Which, u64), SessionsError> {
        self.may_look_after(caller, Standing::Sudo).await?;
        let user = caller.holder.user;
        let which = match self.current_session(caller).await? {
            Some(current) => Which::UserBut(user, current),
            // Ended meanwhile: its right to end others has ended with it.
            None if self.has_factor(caller).await? => return Err(SessionsError::NotVerified),
            None => Which::User(user),
        };
        let ended = self.store.revoke(which, self.clock.now()).await?;
        if ended > 0 {
            self.tell(caller, "other sessions, by their user");
        }
        Ok((which, ended))
    }

    /// Whether the caller has shown enough. Who has no factor cannot show more than the token.
    pub(super) async fn may_look_after(
        &self,
        caller: &Caller,
        asked: Standing,
    ) -> Result<(), SessionsError> {
        if caller.standing >= asked || !self.has_factor(caller).await? {
            return Ok(());
        }
        Err(SessionsError::NotVerified)
    }

    async fn live_sessions(&self, caller: &Caller) -> Result<Vec<SessionRow>, StoreError> {
        let (now, idle) = (self.clock.now(), self.settings.load().sessions.idle);
        let mut rows = self.store.sessions(Some(caller.holder.user), now).await?;
        rows.retain(|row| row.session.is_live(now, idle));
        Ok(rows)
    }

    async fn current_session(&self, caller: &Caller) -> Result<Option<SessionId>, StoreError> {
        let session = self.store.session(caller.pair, self.clock.now()).await?;
        Ok(session.map(|session| session.id))
    }

    fn tell(&self, caller: &Caller, detail: &str) {
        let asker = caller.asker(&self.keys);
        asker.emit(&*self.events, EventKind::Revoked, detail);
    }
}

#[cfg(test)]
mod tests;
