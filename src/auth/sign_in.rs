//! Sign-in with Vestibule's own accounts and share links.

use super::Auth;
use crate::clock::Timestamp;
use crate::digest::RealmKeys;
use crate::secret::Secret;
use std::net::IpAddr;

/// A token was issued.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub token: Secret,
    pub user: super::ports::User,
    pub expires_at: Option<Timestamp>,
}

/// Why no token was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// Unknown name, wrong password, unknown or expired share: never said which.
    #[error("wrong user name, password or share URL")]
    Wrong,
    #[error("too many failed tries")]
    TooMany { retry_after_secs: u64 },
    #[error("the store does not answer")]
    Unavailable,
}

/// Where a sign-in comes from and goes to.
#[derive(Clone, Copy, Debug)]
pub struct SignInContext<'a> {
    /// The identity's name.
    pub realm: &'a str,
    pub keys: &'a RealmKeys,
    /// The device the token is issued to.
    pub device: &'a str,
    pub route: &'a str,
    pub address: IpAddr,
}

impl Auth {
    /// Checks a password and issues a token to the device.
    pub async fn sign_in(
        &self,
        at: SignInContext<'_>,
        name: &str,
        password: &Secret,
    ) -> Result<SignedIn, SignInError> {
        let _ = (at, name, password);
        todo!()
    }

    /// Exchanges a share token for a token of its own, limited to the share's path.
    pub async fn open_share(
        &self,
        at: SignInContext<'_>,
        share_token: &Secret,
    ) -> Result<SignedIn, SignInError> {
        let _ = (at, share_token);
        todo!()
    }
}
