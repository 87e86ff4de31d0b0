//! Clients that wait until a person lets them in.

use super::Memory;
use super::state::State;
use crate::auth::ports::{Grant, Grants, Room, Stored, UserCode};
use crate::auth::subject::network;
use crate::clock::Timestamp;
use crate::digest::{Binding, GrantDigest};
use crate::id::UserId;
use crate::secret::Secret;
use async_trait::async_trait;

/// A grant with the code itself.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) grant: Grant,
    text: Secret,
    is_refused: bool,
}

impl State {
    fn waiting(&self, code: GrantDigest, now: Timestamp) -> Option<&Waiting> {
        let waiting = self.grants.get(&code)?;
        (!waiting.is_refused && waiting.grant.expires_at > now).then_some(waiting)
    }

    /// Whether the grant is live, and this user's.
    pub(super) fn is_granting(
        &self,
        code: GrantDigest,
        user: Option<UserId>,
        now: Timestamp,
    ) -> bool {
        let waiting = self.waiting(code, now);
        waiting.is_some_and(|waiting| Some(waiting.grant.user) == user)
    }
}

#[async_trait]
impl Grants for Memory {
    async fn open_grant(
        &self,
        grant: Grant,
        text: Secret,
        room: Room,
        now: Timestamp,
    ) -> Stored<Option<UserCode>> {
        let mut state = self.lock()?;
        state.must_exist(Some(grant.user))?;
        let live =
            |waiting: &&Waiting| waiting.grant.user == grant.user && waiting.grant.expires_at > now;
        let of_user = state.grants.values().filter(live);
        let of_pair = of_user.clone().find(|one| one.grant.pair == grant.pair);
        if let Some(waiting) = of_pair {
            return Ok((!waiting.is_refused).then(|| UserCode {
                text: waiting.text.clone(),
                expires_at: waiting.grant.expires_at,
            }));
        }
        let is_near =
            |one: &&Waiting| network(one.grant.whence.address) == network(grant.whence.address);
        let of_network = of_user.clone().filter(is_near).count();
        if of_user.count() >= room.of_user || of_network >= room.of_network {
            return Ok(None);
        }
        let told = UserCode {
            text: text.clone(),
            expires_at: grant.expires_at,
        };
        state.grants.retain(|_, one| one.grant.pair != grant.pair);
        let waiting = Waiting {
            text,
            is_refused: false,
            grant,
        };
        state.grants.insert(waiting.grant.code, waiting);
        Ok(Some(told))
    }

    async fn grant(&self, code: GrantDigest, now: Timestamp) -> Stored<Option<Grant>> {
        let state = self.lock()?;
        let Some(waiting) = state.waiting(code, now) else {
            return Ok(None);
        };
        let live = state.live_token(waiting.grant.token, now);
        let is_own = live.is_some_and(|(token, _)| token.user == waiting.grant.user);
        Ok(is_own.then(|| waiting.grant.clone()))
    }

    async fn refuse_grant(
        &self,
        code: GrantDigest,
        until: Timestamp,
        now: Timestamp,
    ) -> Stored<bool> {
        let mut state = self.lock()?;
        if state.waiting(code, now).is_none() {
            return Ok(false);
        }
        if let Some(waiting) = state.grants.get_mut(&code) {
            waiting.is_refused = true;
            waiting.grant.expires_at = waiting.grant.expires_at.min(until);
        }
        let bound_to = Binding::from(code);
        state.challenges.retain(|(other, _), _| *other != bound_to);
        Ok(true)
    }
}
