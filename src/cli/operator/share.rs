//! Share links, as operators make, list and end them, and the URL under which one is opened.

use super::command::ShareAdd;
use super::output::{NewShare as NewShareAnswer, Output, ShareLine};
use super::{Operator, OperatorError, email, iso, masked_email, phone};
use crate::auth::ports::{NewShare, Share, Which};
use crate::clock::Timestamp;
use crate::config::model::{Config, CredentialSource, Listener};
use crate::entropy;
use crate::event::EventKind;
use crate::id::ShareId;
use crate::request::{self, Malformed};
use crate::secret::Secret;
use std::time::Duration;

impl Operator {
    pub(super) async fn share_add(&self, share: ShareAdd) -> Result<Output, OperatorError> {
        let identity = self.accounts(share.identity.as_deref())?;
        let base = base_url(&self.config.load(), &identity)
            .ok_or_else(|| OperatorError::NoShareRoute(identity.clone()))?;
        let config = self.config.load();
        let mut of_identity = config.routes.iter().filter(|it| it.identity == identity);
        let path = directory(&share.path, of_identity.any(|it| it.encoded_slashes))?;
        let token = Secret::new(entropy::token(&*self.entropy)?);
        let now = self.clock.now();
        let ends = |secs| now.after(Duration::from_secs(secs));
        let new = NewShare {
            realm: identity.clone(),
            token: self.keys.realm(&identity).token(token.expose()),
            path: path.clone(),
            phone: phone(share.phone.as_ref())?,
            email: email(share.email)?,
            expires_at: share.lifetime_secs.map(ends),
        };
        let expires_at = iso(new.expires_at);
        let (id, user) = self.store.create_share(new, now).await?;
        self.emit(EventKind::Enrolled, Some(user), format!("share {id}"));
        Ok(Output::NewShare(NewShareAnswer {
            id,
            user,
            identity,
            path,
            url: Some(Secret::new(base + token.expose())),
            token: Some(token),
            expires_at,
        }))
    }

    pub(super) async fn share_list(&self) -> Result<Output, OperatorError> {
        let now = self.clock.now();
        let shares = self.store.shares().await?;
        let lines = shares.iter().map(|share| line(share, now)).collect();
        Ok(Output::Shares(lines))
    }

    pub(super) async fn share_revoke(&self, id: ShareId) -> Result<Output, OperatorError> {
        let shares = self.store.shares().await?;
        let user = shares
            .iter()
            .find(|share| share.id == id)
            .map(|share| share.user);
        if !self.store.revoke_share(id, self.clock.now()).await? {
            return Err(OperatorError::NoSuchShare(id));
        }
        if let Some(user) = user {
            self.forget(Which::User(user));
        }
        self.emit(EventKind::Revoked, user, format!("share {id}"));
        Ok(Output::ShareRevoked { id })
    }
}

/// The canonical prefix of what lies at and below `path`. One with an encoded slash would open
/// nothing where no route keeps those.
fn directory(path: &str, keeps_encoded_slashes: bool) -> Result<String, OperatorError> {
    if !path.starts_with('/') {
        return Err(OperatorError::NotAPath(path.to_owned()));
    }
    let bad = |cause| OperatorError::BadPath {
        path: path.to_owned(),
        cause,
    };
    let (canonical, has_encoded_slash) = request::canonical_path(path).map_err(bad)?;
    if has_encoded_slash && !keeps_encoded_slashes {
        return Err(bad(Malformed::EncodedSlash));
    }
    let mut path = canonical.into_owned();
    if !path.ends_with('/') {
        path.push('/');
    }
    Ok(path)
}

/// Everything of a share's URL but its token: from the first route of the identity that takes a
/// token from its path, over the first TLS listener or else the first.
fn base_url(config: &Config, identity: &str) -> Option<String> {
    let of_identity = config
        .routes
        .iter()
        .filter(|route| route.identity == identity);
    let (route, prefix) = of_identity
        .flat_map(|route| route.credentials.iter().map(move |from| (route, from)))
        .find_map(|(route, from)| match from {
            CredentialSource::Path(prefix) => Some((route, prefix)),
            _ => None,
        })?;
    let for_clients = || {
        config
            .listeners
            .iter()
            .filter(|listener| !listener.forward_auth)
    };
    let listener = for_clients()
        .find(|listener| listener.tls.is_some())
        .or_else(|| for_clients().next())?;
    let named = route.hosts.iter().find(|host| !host.contains('*'));
    let host = named.cloned().unwrap_or_else(|| host_of(listener));
    let (scheme, default_port) = match listener.tls {
        Some(_) => ("https", 443),
        None => ("http", 80),
    };
    Some(match listener.address.port() {
        port if port == default_port => format!("{scheme}://{host}{prefix}"),
        port => format!("{scheme}://{host}:{port}{prefix}"),
    })
}

/// A host for routes that name none: the listener's address, or this machine where it is every address.
fn host_of(listener: &Listener) -> String {
    match listener.address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn line(share: &Share, now: Timestamp) -> ShareLine {
    ShareLine {
        id: share.id,
        user: share.user,
        identity: share.realm.clone(),
        path: share.path.clone(),
        phone: share
            .phone
            .as_ref()
            .map(crate::factor::phone::Phone::masked),
        email: share.email.as_ref().map(masked_email),
        created_at: share.created_at.iso8601(),
        expires_at: iso(share.expires_at),
        expired: share.expires_at.is_some_and(|end| end <= now),
    }
}
