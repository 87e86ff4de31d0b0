//! What a typed code may be.

use super::{Accept, VerifyError};
use crate::auth::lockout::Blocked;
use crate::auth::ports::{FactorValue, Purpose, StoreError, Try};
use crate::auth::{Auth, Caller, subject};
use crate::digest::{Binding, CodeDigest};
use crate::factor::{backup, one_time};
use crate::id::UserId;
use crate::secret::Secret;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Stands in for the salt of a user without backup codes, so that the time does not tell whether
/// there are any.
const NO_SALT: [u8; 16] = *b"no backup codes.";

impl Auth {
    pub(super) async fn tries(
        &self,
        caller: &Caller,
        accept: Accept,
        typed: &str,
    ) -> Result<Vec<Try>, VerifyError> {
        let (enrolment, factor) = match accept {
            Accept::Backup => {
                return Ok(vec![
                    self.try_backup(caller.holder.user, caller.address, typed)
                        .await?,
                ]);
            }
            Accept::Enrolment if !caller.may_confirm() => return Err(VerifyError::Forbidden),
            Accept::Enrolment => (true, false),
            Accept::FactorOrEnrolment => (caller.may_confirm(), true),
            Accept::Factor => (false, true),
        };
        let code = one_time::normalise(typed).ok_or(VerifyError::Malformed)?;
        let bound_to = Binding::from(caller.pair);
        let mut tries = Vec::new();
        if enrolment {
            tries.push(self.try_enrolment(bound_to, &code).await?);
        }
        if factor {
            tries.push(self.try_sent(bound_to, Purpose::Verify, &code));
            tries.extend(self.try_totp(caller.holder.user, &code).await?);
        }
        Ok(tries)
    }

    /// The code may be the one that was sent.
    pub(in crate::auth) fn try_sent(
        &self,
        bound_to: Binding,
        purpose: Purpose,
        code: &Secret,
    ) -> Try {
        Try::Sent {
            bound_to,
            purpose,
            code: self.keys.code(bound_to, purpose.as_str(), code.expose()),
        }
    }

    /// The code may be one of the user's authenticator, if there is one.
    pub(in crate::auth) async fn try_totp(
        &self,
        user: UserId,
        code: &Secret,
    ) -> Result<Option<Try>, StoreError> {
        let factors = self.store.factors(user).await?;
        let window = self.settings.load().codes.totp_window;
        Ok(factors.totp().map(|(factor, secret)| Try::Totp {
            factor,
            step: secret.step_of(code.expose(), self.clock.now(), window),
        }))
    }

    /// The code may be that of a pending enrolment.
    pub(in crate::auth) async fn try_enrolment(
        &self,
        bound_to: Binding,
        code: &Secret,
    ) -> Result<Try, StoreError> {
        let now = self.clock.now();
        let window = self.settings.load().codes.totp_window;
        let pending = self.store.pending(bound_to, Purpose::Enrol, now).await?;
        Ok(match pending.map(|pending| (pending.id, pending.value)) {
            Some((challenge, Some(FactorValue::Totp(secret)))) => Try::NewTotp {
                bound_to,
                challenge,
                step: secret.step_of(code.expose(), now, window),
            },
            // Also where nothing is pending: it may have expired, which the store tells apart from
            // what never was.
            _ => self.try_sent(bound_to, Purpose::Enrol, code),
        })
    }

    /// The code may be one of the user's backup codes. It is hashed whether there are any or not,
    /// but never while the user or the address has to wait.
    pub(in crate::auth) async fn try_backup(
        &self,
        user: UserId,
        address: IpAddr,
        typed: &str,
    ) -> Result<Try, VerifyError> {
        let code = backup::normalise(typed).ok_or(VerifyError::Malformed)?;
        self.not_delayed(user, address).await?;
        let salt = self.store.backup_salt(user).await?;
        let place = self.place_to_hash().await.ok_or(VerifyError::Unavailable)?;
        // Again, now that it is this one's turn: of a thousand guesses sent at once, those that
        // waited must meet the delay which the first ones earned.
        self.not_delayed(user, address).await?;
        let digests = self.hash_backup(vec![code], salt.unwrap_or(NO_SALT), place);
        let digest = digests.await.and_then(|digests| digests.first().copied());
        let code = digest.ok_or(VerifyError::Unavailable)?;
        Ok(Try::Backup { code })
    }

    /// A lock does not count: a backup code is the way out of it.
    async fn not_delayed(&self, user: UserId, address: IpAddr) -> Result<(), VerifyError> {
        let subjects = [
            subject::user(&self.keys, user),
            subject::address(&self.keys, address),
        ];
        let delayed = self.store.delayed(&subjects, self.clock.now()).await?;
        delayed.map_or(Ok(()), |retry_after_secs| {
            Err(VerifyError::Blocked(Blocked::Delayed { retry_after_secs }))
        })
    }

    /// A place among the hashes at work. `None` if the gateway ends.
    pub(in crate::auth) async fn place_to_hash(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.hashing).acquire_owned().await.ok()
    }

    /// The stored forms of backup codes, reckoned off the I/O threads. `None` if memory is short.
    pub(in crate::auth) async fn hash_backup(
        &self,
        codes: Vec<Secret>,
        salt: [u8; 16],
        place: OwnedSemaphorePermit,
    ) -> Option<Vec<CodeDigest>> {
        let pepper = *self.keys.backup_pepper();
        let hashed = tokio::task::spawn_blocking(move || {
            // In here, the place is kept until the work is done even if the client hangs up.
            let _place = place;
            let digests = codes
                .iter()
                .map(|code| backup::digest(code, &salt, &pepper));
            digests.collect()
        });
        hashed.await.ok()?
    }
}
