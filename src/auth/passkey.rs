//! Passkeys: register one, verify a pair by one, name them. To remove one is [`Auth::disable`].
//!
//! Both ceremonies have two steps. The first puts a question for the browser and stores what its
//! answer will be judged by, bound to the asking pair. The second judges the answer: what it proves
//! by itself here, whether it still counts in the store's one step ([`super::ports::Codes::attempt`]),
//! like a typed code. An answer ends its ceremony, right or wrong.
//!
//! A passkey is for one host (WebAuthn's RP ID): it is offered on that host alone. For what protects a
//! user it counts on every route of the identity.

use super::challenge::{Becomes, Verified, VerifyError};
use super::enrol::EnrolError;
use super::lockout::Blocked;
use super::ports::{
    Answer, Answers, Grant, NewCeremony, NewPasskey, Passed, Passkey, Proof, Purpose, StoreError,
    Try,
};
use super::{Auth, Caller, subject};
use crate::digest::{Binding, SubjectDigest};
use crate::factor::passkey::{self, Account, Begun, CEREMONY_LIFETIME, OF_USER_MAX, Site};
use crate::id::{PasskeyId, UserId};
use crate::identity::budget::Budgets;
use crate::secret::Secret;
use serde_json::Value;
use std::net::IpAddr;

/// Ceremonies that one network begins for one user while the first of them can wait for its answer:
/// they push each other out of the store, and who has the token alone is not to push out its owner's.
const CEREMONIES_MAX: u32 = 30;

/// What is left of them.
#[derive(Debug)]
pub struct Ceremonies(Budgets<(UserId, SubjectDigest)>);

impl Default for Ceremonies {
    fn default() -> Self {
        Self(Budgets::new(CEREMONIES_MAX, CEREMONY_LIFETIME))
    }
}

/// Why a passkey is not registered, asked for or taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// The host is an address, or is reached without HTTPS.
    #[error("browsers have no passkeys for this address")]
    NotHere,
    /// The user has none for this host.
    #[error("you have no passkey for this address")]
    None,
    #[error("you have as many passkeys as there may be")]
    TooMany,
    #[error("passkeys were asked for too often")]
    TooOften { retry_after_secs: u64 },
    #[error("the name has no characters, or too many")]
    BadName,
    #[error("there is no such passkey")]
    NoSuchPasskey,
    #[error("too many wrong codes")]
    Blocked(Blocked),
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error("the store does not answer")]
    Unavailable,
}

impl From<StoreError> for PasskeyError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a passkey could not be asked for or taken");
        Self::Unavailable
    }
}

/// Whose passkey is asked for, from where, and what its answer is bound to.
#[derive(Clone, Copy)]
struct Asking {
    user: UserId,
    address: IpAddr,
    bound_to: Binding,
}

impl Asking {
    /// A caller's, for the pair that asks.
    fn of(caller: &Caller) -> Self {
        Self {
            user: caller.holder.user,
            address: caller.address,
            bound_to: caller.pair.into(),
        }
    }

    /// That of a waiting client's user, who is at a page.
    fn about(grant: &Grant, from: IpAddr) -> Self {
        Self {
            user: grant.user,
            address: from,
            bound_to: grant.code.into(),
        }
    }
}

impl Auth {
    /// Asks for a new passkey: what the browser is to be told (`{"publicKey": …}`). `sudo`: as in
    /// [`Auth::may_enrol`].
    pub async fn ask_new_passkey(
        &self,
        caller: &Caller,
        site: Site<'_>,
        sudo: bool,
    ) -> Result<Value, PasskeyError> {
        self.may_enrol(caller, sudo).await?;
        let passkeys = self.passkeys(caller.holder.user).await?;
        if passkeys.len() >= OF_USER_MAX {
            return Err(PasskeyError::TooMany);
        }
        let account = Account {
            handle: &self.keys.user_handle(caller.holder.user.0),
            name: &caller.holder.name,
        };
        let known = credentials(&passkeys, site.host);
        let begun = site.register(account, &known);
        let begun = begun.filter(|_| site.has_passkeys());
        self.begin(Asking::of(caller), Purpose::Enrol, begun).await
    }

    /// Takes a new passkey, the JSON of a `PublicKeyCredential`, under a name. The caller's pair is
    /// verified by it.
    pub async fn take_new_passkey(
        &self,
        caller: &Caller,
        site: Site<'_>,
        answer: &Value,
        name: &str,
        becomes: Becomes,
    ) -> Result<Verified, PasskeyError> {
        let name = passkey::name(name).ok_or(PasskeyError::BadName)?;
        if !caller.may_confirm() {
            return Err(VerifyError::Forbidden.into());
        }
        let realm = self.realm_of(caller).await?;
        let (answers, state) = self.begun(Asking::of(caller), Purpose::Enrol).await?;
        let passkey: Answer<NewPasskey> = site.registered(answer, &state).map(|new| {
            Box::new(NewPasskey {
                digest: self.keys.passkey(&realm, &new.id),
                host: site.host.to_owned(),
                name,
                credential: new.credential,
                sign_count: new.sign_count,
            })
        });
        let tries = vec![Try::NewPasskey { answers, passkey }];
        Ok(self.verify_by(caller, tries, becomes, None).await?)
    }

    /// Asks for one of the passkeys that the caller's user has for this host: what the browser is to
    /// be told (`{"publicKey": …}`).
    pub async fn ask_passkey(
        &self,
        caller: &Caller,
        site: Site<'_>,
    ) -> Result<Value, PasskeyError> {
        self.ask_for(Asking::of(caller), site).await
    }

    /// The same of the user of a client that waits, at a page that lets it in. Its answer is bound to that
    /// client's user code.
    pub async fn ask_passkey_for_grant(
        &self,
        grant: &Grant,
        site: Site<'_>,
        from: IpAddr,
    ) -> Result<Value, PasskeyError> {
        self.ask_for(Asking::about(grant, from), site).await
    }

    async fn ask_for(&self, asking: Asking, site: Site<'_>) -> Result<Value, PasskeyError> {
        let subjects = [
            subject::user(&self.keys, asking.user),
            subject::address(&self.keys, asking.address),
        ];
        let blocked = self.store.blocked(&subjects, self.clock.now()).await?;
        if let Some(blocked) = blocked {
            return Err(PasskeyError::Blocked(blocked));
        }
        let passkeys = self.passkeys(asking.user).await?;
        let known = credentials(&passkeys, site.host);
        if known.is_empty() {
            return Err(PasskeyError::None);
        }
        let begun = site.ask(&known).filter(|_| site.has_passkeys());
        self.begin(asking, Purpose::Verify, begun).await
    }

    /// Verifies the caller's pair by the answer of a passkey, the JSON of a `PublicKeyCredential`.
    pub async fn verify_passkey(
        &self,
        caller: &Caller,
        site: Site<'_>,
        answer: &Value,
        becomes: Becomes,
    ) -> Result<Verified, PasskeyError> {
        let tries = vec![self.try_passkey(Asking::of(caller), site, answer).await?];
        Ok(self.verify_by(caller, tries, becomes, None).await?)
    }

    /// Lets a client in by the answer of one of its user's passkeys, once.
    pub async fn approve_grant_by_passkey(
        &self,
        grant: &Grant,
        site: Site<'_>,
        answer: &Value,
        from: IpAddr,
    ) -> Result<Passed, PasskeyError> {
        let asking = Asking::about(grant, from);
        let tries = vec![self.try_passkey(asking, site, answer).await?];
        Ok(self.approve_by(grant, tries, from).await?)
    }

    async fn try_passkey(
        &self,
        asking: Asking,
        site: Site<'_>,
        answer: &Value,
    ) -> Result<Try, PasskeyError> {
        let (answers, state) = self.begun(asking, Purpose::Verify).await?;
        let passkeys = self.passkeys(asking.user).await?;
        let known = of_host(&passkeys, site.host).map(|one| (one.id, &one.credential));
        let handle = self.keys.user_handle(asking.user.0);
        let proof: Answer<Proof> = site.answered(answer, &state, &handle, known).map(|right| {
            Box::new(Proof {
                passkey: right.passkey,
                credential: right.credential,
                sign_count: right.sign_count,
            })
        });
        Ok(Try::Passkey { answers, proof })
    }

    /// Gives one of the caller's passkeys another name. `sudo`: as in [`Auth::may_enrol`].
    pub async fn rename_passkey(
        &self,
        caller: &Caller,
        id: PasskeyId,
        name: &str,
        sudo: bool,
    ) -> Result<(), PasskeyError> {
        self.may_enrol(caller, sudo).await?;
        let name = passkey::name(name).ok_or(PasskeyError::BadName)?;
        let user = caller.holder.user;
        match self.store.rename_passkey(user, id, &name).await? {
            true => Ok(()),
            false => Err(PasskeyError::NoSuchPasskey),
        }
    }

    async fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>, StoreError> {
        let factors = self.store.factors(user).await?;
        Ok(factors.passkeys)
    }

    async fn realm_of(&self, caller: &Caller) -> Result<String, PasskeyError> {
        let user = self.store.user(caller.holder.user).await?;
        Ok(user.ok_or(VerifyError::NeverSent)?.realm)
    }

    async fn begin(
        &self,
        asking: Asking,
        purpose: Purpose,
        begun: Option<Begun>,
    ) -> Result<Value, PasskeyError> {
        let begun = begun.ok_or(PasskeyError::NotHere)?;
        let network = subject::address(&self.keys, asking.address);
        let whose = (asking.user, network);
        let taken = self.ceremonies.0.take(whose, self.clock.now());
        taken.map_err(|retry_after_secs| PasskeyError::TooOften { retry_after_secs })?;
        let ceremony = NewCeremony {
            bound_to: asking.bound_to,
            purpose,
            user: asking.user,
            state: begun.state,
            expires_at: self.clock.now().after(CEREMONY_LIFETIME),
        };
        self.store.put_ceremony(ceremony).await?;
        Ok(begun.options)
    }

    /// The ceremony that is to be answered.
    async fn begun(
        &self,
        asking: Asking,
        purpose: Purpose,
    ) -> Result<(Answers, Secret), PasskeyError> {
        let bound_to = asking.bound_to;
        let now = self.clock.now();
        let found = self.store.ceremony(bound_to, purpose, now).await?;
        let own = found.filter(|ceremony| ceremony.user == asking.user);
        let own = own.ok_or(VerifyError::Gone)?;
        let ceremony = own.id;
        Ok((Answers { bound_to, ceremony }, own.state))
    }
}

fn of_host<'p>(passkeys: &'p [Passkey], host: &'p str) -> impl Iterator<Item = &'p Passkey> {
    passkeys.iter().filter(move |one| one.host == host)
}

fn credentials<'p>(passkeys: &'p [Passkey], host: &'p str) -> Vec<&'p Secret> {
    let own = of_host(passkeys, host);
    own.map(|one| &one.credential).collect()
}

#[cfg(test)]
mod tests;
