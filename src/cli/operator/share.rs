//! Share links, as operators make, list and end them, and the URL under which one is opened.

use super::command::{RecipientAdd, ShareAdd};
use super::output::{NewShare as NewShareAnswer, Output, RecipientLine, ShareLine};
use super::{Operator, OperatorError, iso, masked_email, phone};
use crate::auth::ports::{Contact, NewShare, Recipient, Share, Which};
use crate::auth::subject;
use crate::clock::Timestamp;
use crate::config::model::{Config, CredentialSource, Listener};
use crate::entropy;
use crate::event::EventKind;
use crate::factor::email::EmailAddress;
use crate::factor::phone::Phone;
use crate::id::ShareId;
use crate::request::{self, Malformed};
use crate::secret::Secret;
use std::collections::HashSet;
use std::time::Duration;

/// People whom one link is for: the page that asks which of them opens it shows all.
const RECIPIENTS_MAX: usize = 20;

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
            link: self.keys.realm(&identity).token(token.expose()),
            path: path.clone(),
            recipients: contacts(share.recipients)?,
            devices_max: share.devices_max,
            expires_at: share.lifetime_secs.map(ends),
        };
        let contacts = new.recipients.clone();
        let expires_at = iso(new.expires_at);
        let (id, users) = self.store.create_share(new, now).await?;
        for user in &users {
            self.emit(EventKind::Enrolled, Some(*user), format!("share {id}"));
        }
        let recipients = users.into_iter().zip(contacts).map(|(user, contact)| {
            recipient_line(&Recipient {
                user,
                contact,
                devices: 0,
                last_opened_at: None,
            })
        });
        Ok(Output::NewShare(NewShareAnswer {
            id,
            identity,
            path,
            recipients: recipients.collect(),
            devices_max: share.devices_max,
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
        let users = self.store.revoke_share(id, self.clock.now()).await?;
        if users.is_empty() {
            return Err(OperatorError::NoSuchShare(id));
        }
        for user in users {
            self.forget(Which::User(user));
            self.emit(EventKind::Revoked, Some(user), format!("share {id}"));
        }
        Ok(Output::ShareRevoked { id })
    }
}

/// The people whom a link is for, none of them twice. A link for nobody in particular has one recipient
/// who cannot be reached.
fn contacts(recipients: Vec<RecipientAdd>) -> Result<Vec<Contact>, OperatorError> {
    let named = recipients.len();
    if named > RECIPIENTS_MAX {
        let max = RECIPIENTS_MAX;
        return Err(OperatorError::TooManyRecipients { named, max });
    }
    let mut seen = HashSet::new();
    let mut contacts = Vec::with_capacity(named.max(1));
    for one in recipients {
        let contact = Contact {
            phone: phone(one.phone.as_ref())?,
            email: one.email.as_ref().map(mail_address).transpose()?,
        };
        if let Some(phone) = &contact.phone
            && !seen.insert(phone.e164().to_owned())
        {
            return Err(OperatorError::SameRecipient(phone.masked()));
        }
        if let Some(email) = &contact.email
            && !seen.insert(subject::mailbox(email.expose()))
        {
            return Err(OperatorError::SameRecipient(masked_email(email)));
        }
        contacts.push(contact);
    }
    if contacts.is_empty() {
        contacts.push(Contact::default());
    }
    Ok(contacts)
}

/// An address that can be sent to: nobody but the link's page would ever find out that it cannot.
fn mail_address(raw: &Secret) -> Result<Secret, OperatorError> {
    let address = EmailAddress::parse(raw.expose()).map_err(|_| OperatorError::Email)?;
    Ok(Secret::new(address.as_str()))
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
        identity: share.realm.clone(),
        path: share.path.clone(),
        recipients: share.recipients.iter().map(recipient_line).collect(),
        devices: share.devices(),
        devices_max: share.devices_max,
        last_opened_at: iso(share.last_opened_at()),
        created_at: share.created_at.iso8601(),
        expires_at: iso(share.expires_at),
        expired: share.expires_at.is_some_and(|end| end <= now),
    }
}

fn recipient_line(one: &Recipient) -> RecipientLine {
    RecipientLine {
        user: one.user,
        phone: one.contact.phone.as_ref().map(Phone::masked),
        email: one.contact.email.as_ref().map(masked_email),
        devices: one.devices,
        last_opened_at: iso(one.last_opened_at),
    }
}
