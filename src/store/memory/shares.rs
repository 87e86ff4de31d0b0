//! Share links.

use super::Memory;
use super::state::{State, next};
use crate::auth::ports::{
    Contact, NewSession, NewShare, NewUser, Recipient, Said, Share, Shares, StoreError, Stored,
    Token, Which,
};
use crate::clock::Timestamp;
use crate::digest::TokenDigest;
use crate::id::{ShareId, UserId};
use crate::store::rules;
use async_trait::async_trait;
use std::collections::HashMap;

#[derive(Debug)]
pub(super) struct KeptShare {
    pub(super) new: NewShare,
    /// Of the recipients, in their order.
    pub(super) users: Vec<UserId>,
    created_at: Timestamp,
    /// Who opened it on a device, and when that was verified last.
    devices: HashMap<[u8; 32], (UserId, Timestamp)>,
}

impl KeptShare {
    fn has_room(&self, device: [u8; 32]) -> bool {
        let (count, max) = (self.devices.len(), self.new.devices_max);
        self.devices.contains_key(&device) || max.is_none_or(|max| count < max as usize)
    }
}

impl State {
    fn share(&self, id: ShareId, kept: &KeptShare) -> Share {
        let recipient = |user: &UserId| {
            let found = self.users.get(user)?;
            let of_user = kept.devices.values().filter(|(opener, _)| opener == user);
            Some(Recipient {
                user: *user,
                contact: Contact {
                    phone: found.phone.clone(),
                    email: found.email.clone(),
                },
                devices: u32::try_from(of_user.clone().count()).unwrap_or(u32::MAX),
                last_opened_at: of_user.map(|(_, at)| *at).max(),
            })
        };
        Share {
            id,
            realm: kept.new.realm.clone(),
            path: kept.new.path.clone(),
            recipients: kept.users.iter().filter_map(recipient).collect(),
            devices_max: kept.new.devices_max,
            created_at: kept.created_at,
            expires_at: kept.new.expires_at,
        }
    }

    /// The share and the device that a session opens it on, if its token is a share's.
    fn share_device(&self, new: &NewSession) -> Option<(ShareId, [u8; 32])> {
        let token = self.tokens.get(&new.token)?;
        let id = token.share?;
        let link = self.shares.get(&id)?.new.link;
        let born_of = token.born.as_ref().map(|born| born.of);
        let device = rules::share_device(new.token, born_of, Some(link), new.key);
        Some((id, device))
    }

    /// Whether the device of this session may open its share: it is known, or there is room for one
    /// more.
    pub(super) fn has_room(&self, new: &NewSession) -> bool {
        let Some((id, device)) = self.share_device(new) else {
            return true;
        };
        let kept = self.shares.get(&id);
        kept.is_none_or(|kept| kept.has_room(device))
    }

    /// Whether this is the token of a device that was counted.
    pub(super) fn is_counted(&self, share: ShareId, token: TokenDigest) -> bool {
        let kept = self.shares.get(&share);
        kept.is_some_and(|kept| kept.devices.contains_key(&token.0))
    }

    /// Whether the token's share opens on so many devices, and the token's is not among them.
    pub(super) fn is_uncounted(&self, token: &Token) -> bool {
        let root = token.born.as_ref().map_or(token.digest, |born| born.of);
        let kept = token.share.and_then(|share| self.shares.get(&share));
        kept.is_some_and(|kept| {
            kept.new.devices_max.is_some() && !kept.devices.contains_key(&root.0)
        })
    }

    /// Counts the device of a session that has just been verified, if its token is a share's.
    pub(super) fn opened(&mut self, new: &NewSession, now: Timestamp) {
        let Some((id, device)) = self.share_device(new) else {
            return;
        };
        if let Some(kept) = self.shares.get_mut(&id) {
            let of_device = kept.devices.entry(device).or_insert((new.user, now));
            of_device.1 = now;
        }
    }
}

#[async_trait]
impl Shares for Memory {
    async fn create_share(
        &self,
        share: NewShare,
        now: Timestamp,
    ) -> Stored<(ShareId, Vec<UserId>)> {
        let mut state = self.lock()?;
        let recipients = share.recipients.len();
        let is_taken = state.shares.values().any(|it| it.new.link == share.link);
        if recipients == 0 || is_taken {
            return Err(StoreError::Damaged("share"));
        }
        let id = ShareId(next(&mut state.last.share));
        let users: Vec<_> = (share.recipients.iter().enumerate())
            .map(|(n, contact)| {
                let user = NewUser {
                    realm: share.realm.clone(),
                    name: rules::share_user(id, n, recipients),
                    phone: contact.phone.clone(),
                    email: contact.email.clone(),
                    password_hash: None,
                    can_edit_users: false,
                    groups: Vec::new(),
                };
                state.insert_user(user, Said::NOTHING, now)
            })
            .collect();
        if let ([user], None) = (&users[..], share.devices_max) {
            state.put_token(Token {
                digest: share.link,
                user: *user,
                issued_pair: None,
                scope: Some(share.path.clone()),
                share: Some(id),
                born: None,
                issued_at: now,
                expires_at: share.expires_at,
            });
        }
        let kept = KeptShare {
            new: share,
            users: users.clone(),
            created_at: now,
            devices: HashMap::new(),
        };
        state.shares.insert(id, kept);
        Ok((id, users))
    }

    async fn shares(&self) -> Stored<Vec<Share>> {
        let state = self.lock()?;
        let kept = state.shares.iter();
        Ok(kept.map(|(id, kept)| state.share(*id, kept)).collect())
    }

    async fn share_of_link(&self, link: TokenDigest, now: Timestamp) -> Stored<Option<Share>> {
        let state = self.lock()?;
        let is_live = |kept: &KeptShare| kept.new.expires_at.is_none_or(|end| end > now);
        let mut kept = state.shares.iter();
        let found = kept.find(|(_, kept)| kept.new.link == link && is_live(kept));
        Ok(found.map(|(id, kept)| state.share(*id, kept)))
    }

    async fn open_share(&self, token: Token) -> Stored<bool> {
        let mut state = self.lock()?;
        let kept = token.share.and_then(|share| state.shares.get_mut(&share));
        let kept = kept.ok_or(StoreError::Damaged("share"))?;
        let device = token.digest.0;
        if kept.new.devices_max.is_some() {
            if !kept.has_room(device) {
                return Ok(false);
            }
            kept.devices.insert(device, (token.user, token.issued_at));
        }
        state.put_token(token);
        Ok(true)
    }

    async fn revoke_share(&self, id: ShareId, now: Timestamp) -> Stored<Vec<UserId>> {
        let mut state = self.lock()?;
        let Some(share) = state.shares.remove(&id) else {
            return Ok(Vec::new());
        };
        for user in &share.users {
            state.end(Which::User(*user), now);
            state.end_families_of(*user, now);
            // A recipient goes with the share: nothing else would ever remove that phone number.
            state.forget_user(*user);
            state.tokens.retain(|_, token| token.user != *user);
            state.users.remove(user);
        }
        Ok(share.users)
    }
}
