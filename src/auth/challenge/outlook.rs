//! What somebody can be shown before anything is typed: by what they can pass, which code they
//! already have, whether they must wait. It reads, and changes nothing.

use crate::auth::lockout::Blocked;
use crate::auth::ports::{FactorKind, FactorSet, Purpose, StoreError};
use crate::auth::{Auth, Caller, subject};
use crate::clock::Timestamp;
use crate::digest::Binding;
use crate::id::UserId;
use std::net::IpAddr;

/// A caller's ways to pass, as they are now.
#[derive(Clone, Debug)]
pub struct Outlook {
    pub factors: FactorSet,
    /// There are backup codes, used ones among them perhaps.
    pub has_backup_codes: bool,
    /// A code that was sent to this pair and is still good.
    pub sent: Option<Sent>,
    pub blocked: Option<Blocked>,
}

/// A code that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub kind: FactorKind,
    /// `+45******78`
    pub masked_recipient: String,
    /// Until a new one may be asked for. Other limits may ask for more.
    pub resend_after_secs: u64,
}

impl Auth {
    /// The ways of this caller.
    pub async fn outlook(&self, caller: &Caller) -> Result<Outlook, StoreError> {
        let waits = (caller.pair.into(), Purpose::Verify);
        self.outlook_of(caller.holder.user, caller.address, waits)
            .await
    }

    /// The ways of a user who asks from this address, with the code that is waited for.
    pub(in crate::auth) async fn outlook_of(
        &self,
        user: UserId,
        address: IpAddr,
        waits: (Binding, Purpose),
    ) -> Result<Outlook, StoreError> {
        let subjects = [
            subject::user(&self.keys, user),
            subject::address(&self.keys, address),
        ];
        let blocked = self.store.blocked(&subjects, self.clock.now()).await?;
        let factors = self.factors(user).await?;
        Ok(Outlook {
            sent: self.sent_to(waits, &factors).await?,
            has_backup_codes: self.store.backup_salt(user).await?.is_some(),
            factors,
            blocked,
        })
    }

    /// How long nobody may ask for another code than the one that was sent and ends then.
    pub(in crate::auth) fn resend_after_secs(&self, expires_at: Timestamp) -> u64 {
        let settings = self.settings.load();
        let sent_at = expires_at.before(settings.codes.lifetime);
        let again_at = sent_at.after(settings.codes.resend_after);
        again_at.secs_since(self.clock.now())
    }

    async fn sent_to(
        &self,
        (bound_to, purpose): (Binding, Purpose),
        factors: &FactorSet,
    ) -> Result<Option<Sent>, StoreError> {
        let now = self.clock.now();
        let pending = self.store.pending(bound_to, purpose, now).await?;
        let Some(pending) = pending.filter(|pending| pending.has_code) else {
            return Ok(None);
        };
        let recipient = factors.of(pending.factor).and_then(|it| it.value.masked());
        Ok(recipient.map(|masked_recipient| Sent {
            kind: pending.factor,
            masked_recipient,
            resend_after_secs: self.resend_after_secs(pending.expires_at),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::challenge::{Accept, Typed, VerifyError};
    use crate::auth::fixture::World;

    const PHONE: &str = "+4512345678";

    async fn verify(world: &World, caller: &Caller, code: &str) -> Result<(), VerifyError> {
        let typed = Typed {
            code,
            accept: Accept::Factor,
            pair: caller.pair,
            device_label: None,
            issue: None,
        };
        world.auth.verify(caller, typed).await.map(|_| ())
    }

    #[tokio::test]
    async fn a_code_is_there_from_its_sending_to_its_end() {
        let world = World::new();
        let user = world.user("ann", "right", Some(PHONE)).await;
        let (phone, laptop) = (
            world.caller(user, "phone").await,
            world.caller(user, "laptop").await,
        );
        let sent = async |caller: &Caller| world.auth.outlook(caller).await.unwrap().sent;
        assert_eq!(sent(&phone).await, None);
        world.auth.start(&phone, FactorKind::Sms).await.unwrap();
        world.advance(10);
        let expected = Sent {
            kind: FactorKind::Sms,
            masked_recipient: "+45******78".to_owned(),
            resend_after_secs: 20,
        };
        assert_eq!(sent(&phone).await, Some(expected));
        assert_eq!(sent(&laptop).await, None, "another pair's");
        world.advance(60);
        assert_eq!(sent(&phone).await.unwrap().resend_after_secs, 0);
        verify(&world, &phone, &world.inbox.code()).await.unwrap();
        assert_eq!(sent(&phone).await, None, "used");
        world.auth.start(&phone, FactorKind::Sms).await.unwrap();
        world.advance(600);
        assert_eq!(sent(&phone).await, None, "expired");
    }

    #[tokio::test]
    async fn whoever_must_wait_is_told_before_they_type() {
        let world = World::new();
        let user = world.user("ann", "right", Some(PHONE)).await;
        let caller = world.caller(user, "phone").await;
        world.auth.start(&caller, FactorKind::Sms).await.unwrap();
        for _ in 0..5 {
            assert_eq!(world.auth.outlook(&caller).await.unwrap().blocked, None);
            let wrong = match world.inbox.code().as_str() {
                "000000" => "000001",
                _ => "000000",
            };
            verify(&world, &caller, wrong).await.unwrap_err();
        }
        let outlook = world.auth.outlook(&caller).await.unwrap();
        let delayed = Blocked::Delayed {
            retry_after_secs: 30,
        };
        assert_eq!(outlook.blocked, Some(delayed));
        assert_eq!(outlook.sent, None, "its tries are over");
        assert!(!outlook.has_backup_codes);
    }
}
