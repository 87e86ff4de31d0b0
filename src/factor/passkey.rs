//! Passkeys (WebAuthn Level 2 and 3) as a second factor: what is asked of a browser, and whether its
//! answer is right. The checks of section 7 are those of `webauthn-rs-core`; here is what they are
//! made with, always the same:
//!
//! - the user must be verified by the authenticator (a PIN, a finger), at registration and after;
//! - no attestation: nobody is asked which make of authenticator it is;
//! - a discoverable credential is preferred, so that a browser may offer it by itself;
//! - what says that it cannot be backed up must go on saying so, and the other way round.
//!
//! Pure, but for the challenge, which the library draws by itself (32 bytes of the system's
//! generator). Whether the counter moved on, whose passkey it is and that a ceremony has one answer
//! is the store's to judge.

use crate::id::PasskeyId;
use crate::secret::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use url::Url;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{
    AttestationConveyancePreference, AuthenticationState, Credential, PublicKeyCredential,
    RegisterPublicKeyCredential, RegistrationState, ResidentKeyRequirement, UserVerificationPolicy,
};

/// How long a ceremony waits for its answer: what WebAuthn recommends where users are verified.
pub const CEREMONY_LIFETIME: Duration = Duration::from_secs(300);
/// Passkeys of one user.
pub const OF_USER_MAX: usize = 20;
/// Characters of a passkey's name.
pub const NAME_MAX: usize = 60;

/// Where a passkey is for: the host (WebAuthn's RP ID), under the origin by which its clients reach
/// it (`https://files.example.org:8443`).
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    pub host: &'a str,
    pub origin: &'a str,
    /// What the service is called, for people.
    pub service: &'a str,
}

/// Whom a passkey is for.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Says nothing of who it is.
    pub handle: &'a [u8],
    /// As people know it.
    pub name: &'a str,
}

/// A ceremony: what the browser is asked, and what its answer will be judged by.
#[derive(Debug)]
pub struct Begun {
    /// `{"publicKey": …}`, as `PublicKeyCredential.parse…OptionsFromJSON` reads it.
    pub options: Value,
    pub state: Secret,
}

/// A new passkey.
#[derive(Debug)]
pub struct Registered {
    /// The authenticator's identifier for it.
    pub id: Vec<u8>,
    pub credential: Secret,
    pub sign_count: u32,
}

/// A right answer, as far as it can be judged without a store.
#[derive(Debug)]
pub struct Answered {
    pub passkey: PasskeyId,
    pub credential: Secret,
    pub sign_count: u32,
}

/// Why an answer is none: a few fixed words, for the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unfit {
    #[error("unreadable")]
    Unreadable,
    #[error("of another ceremony")]
    OtherCeremony,
    #[error("of another site")]
    OtherSite,
    #[error("user not verified")]
    NotVerified,
    #[error("unknown passkey")]
    Unknown,
    #[error("of another user")]
    OtherUser,
    #[error("backup eligibility changed")]
    BackupChanged,
    #[error("bad signature")]
    BadSignature,
    #[error("not supported")]
    NotSupported,
}

impl From<WebauthnError> for Unfit {
    fn from(error: WebauthnError) -> Self {
        use WebauthnError as Error;
        match error {
            Error::MismatchedChallenge | Error::InvalidClientDataType => Self::OtherCeremony,
            Error::InvalidRPOrigin | Error::InvalidRPIDHash | Error::CredentialCrossOrigin => {
                Self::OtherSite
            }
            Error::UserNotVerified | Error::UserNotPresent => Self::NotVerified,
            Error::CredentialNotFound => Self::Unknown,
            Error::CredentialBackupEligibilityInconsistent
            | Error::CredentialMayNotBeHardwareBound => Self::BackupChanged,
            Error::AuthenticationFailure => Self::BadSignature,
            Error::AttestationNotSupported
            | Error::CredentialAlteredAlgFromRequest
            | Error::CredentialExcludedFromRequest
            | Error::CredentialInsecureCryptography
            | Error::COSEKeyInvalidAlgorithm => Self::NotSupported,
            _ => Self::Unreadable,
        }
    }
}

impl Site<'_> {
    /// Whether browsers have passkeys here: under the name of a host, over HTTPS or on the machine
    /// itself (`localhost`).
    #[must_use]
    pub fn has_passkeys(&self) -> bool {
        let is_local = self.host == "localhost" || self.host.ends_with(".localhost");
        self.relying_party()
            .is_some_and(|_| is_local || self.origin.starts_with("https://"))
    }

    /// `None` where there can be no passkey.
    fn relying_party(&self) -> Option<WebauthnCore> {
        let origin = Url::parse(self.origin).ok()?;
        // An IP address is no domain, and has none.
        let is_of_host = origin.domain() == Some(self.host);
        is_of_host.then(|| {
            WebauthnCore::new_unsafe_experts_only(
                self.service,
                self.host,
                vec![origin],
                CEREMONY_LIFETIME,
                Some(false),
                Some(false),
            )
        })
    }

    /// Asks for a new passkey, on an authenticator that has none of `known`. `None` where there can
    /// be none.
    #[must_use]
    pub fn register(&self, account: Account<'_>, known: &[&Secret]) -> Option<Begun> {
        let party = self.relying_party()?;
        let known = known.iter().filter_map(|known| read::<Credential>(known));
        let known = known.map(|known| known.cred_id).collect();
        let asked = party
            .new_challenge_register_builder(account.handle, account.name, account.name)
            .ok()?
            .attestation(AttestationConveyancePreference::None)
            .user_verification_policy(UserVerificationPolicy::Required)
            .reject_synchronised_authenticators(false)
            .exclude_credentials(Some(known));
        let (mut options, state) = party.generate_challenge_register(asked).ok()?;
        if let Some(selection) = &mut options.public_key.authenticator_selection {
            // The library knows none between `required`, which old security keys cannot do, and
            // `discouraged`.
            selection.resident_key = Some(ResidentKeyRequirement::Preferred);
        }
        begun(&options, &state)
    }

    /// Judges the answer to [`Site::register`]: the JSON of a `PublicKeyCredential`.
    pub fn registered(&self, answer: &Value, state: &Secret) -> Result<Registered, Unfit> {
        let party = self.relying_party().ok_or(Unfit::OtherSite)?;
        let state: RegistrationState = read(state).ok_or(Unfit::Unreadable)?;
        let answer: RegisterPublicKeyCredential = parse(answer)?;
        let mut credential = party.register_credential(&answer, &state, None)?;
        // Kept beside it: see `answered`.
        let sign_count = std::mem::take(&mut credential.counter);
        Ok(Registered {
            id: credential.cred_id.clone(),
            credential: write(&credential).ok_or(Unfit::Unreadable)?,
            sign_count,
        })
    }

    /// Asks for one of the user's passkeys. `None` where there can be none.
    #[must_use]
    pub fn ask(&self, known: &[&Secret]) -> Option<Begun> {
        let party = self.relying_party()?;
        let known: Vec<_> = known.iter().filter_map(|known| read(known)).collect();
        let required = Some(UserVerificationPolicy::Required);
        let asked = party
            .new_challenge_authenticate_builder(known, required)
            .ok()?
            .allow_backup_eligible_upgrade(false);
        let (options, mut state) = party.generate_challenge_authenticate(asked).ok()?;
        // The answer is judged by the passkeys that the user has then.
        state.set_allowed_credentials(Vec::new());
        begun(&options, &state)
    }

    /// Judges the answer to [`Site::ask`]: the JSON of a `PublicKeyCredential`, by the passkeys that
    /// the user with this handle has here.
    pub fn answered<'p>(
        &self,
        answer: &Value,
        state: &Secret,
        handle: &[u8],
        known: impl IntoIterator<Item = (PasskeyId, &'p Secret)>,
    ) -> Result<Answered, Unfit> {
        let party = self.relying_party().ok_or(Unfit::OtherSite)?;
        let state: AuthenticationState = read(state).ok_or(Unfit::Unreadable)?;
        let answer: PublicKeyCredential = parse(answer)?;
        let said = answer.get_user_unique_id().filter(|said| !said.is_empty());
        if said.is_some_and(|said| said != handle) {
            return Err(Unfit::OtherUser);
        }
        if is_cross_origin(&answer.response.client_data_json) {
            return Err(Unfit::OtherSite);
        }
        let mut known = known.into_iter().filter_map(|(id, known)| {
            let known = read::<Credential>(known)?;
            (known.cred_id == answer.get_credential_id()).then_some((id, known))
        });
        let (passkey, mut credential) = known.next().ok_or(Unfit::Unknown)?;
        // Its counter is 0, which lets the library pass every other one on: the store compares it with
        // the last one, in the step that lets only one of several answers win.
        let result = party.authenticate_single_credential(&answer, &state, &credential)?;
        credential.backup_state = result.backup_state();
        Ok(Answered {
            passkey,
            credential: write(&credential).ok_or(Unfit::Unreadable)?,
            sign_count: result.counter(),
        })
    }
}

/// What a user may call a passkey: 1 to [`NAME_MAX`] characters, no control characters, no space
/// around them.
#[must_use]
pub fn name(typed: &str) -> Option<String> {
    let name = typed.trim();
    let is_name = (1..=NAME_MAX).contains(&name.chars().count());
    (is_name && !name.contains(char::is_control)).then(|| name.to_owned())
}

/// Whether the page that asked was framed by another site's. The library asks this of registrations
/// alone.
fn is_cross_origin(client_data: &[u8]) -> bool {
    let data: Option<Value> = serde_json::from_slice(client_data).ok();
    data.is_none_or(|data| data.get("crossOrigin") == Some(&Value::Bool(true)))
}

fn begun(options: &impl Serialize, state: &impl Serialize) -> Option<Begun> {
    Some(Begun {
        options: serde_json::to_value(options).ok()?,
        state: write(state)?,
    })
}

fn parse<T: DeserializeOwned>(answer: &Value) -> Result<T, Unfit> {
    T::deserialize(answer).map_err(|_| Unfit::Unreadable)
}

fn read<T: DeserializeOwned>(written: &Secret) -> Option<T> {
    serde_json::from_str(written.expose()).ok()
}

fn write(value: &impl Serialize) -> Option<Secret> {
    serde_json::to_string(value).ok().map(Secret::new)
}

#[cfg(test)]
pub(crate) mod soft;
#[cfg(test)]
mod tests;
