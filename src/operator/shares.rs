//! Share links, as operators make, list and end them, and the URL under which one is opened.

use super::code::Code;
use super::problem::{OperatorError, Place};
use super::table::{Endpoint, Resource, endpoint, shape};
use super::wire::{Answer, Body, Checked, Made, Part, exposed, number};
use super::{Caller, Gone, Operator, Page, iso, masked_email, phone};
use crate::auth::ports::{Contact, NewShare, Recipient, Share, Which};
use crate::auth::subject;
use crate::clock::Timestamp;
use crate::config::model::{Config, CredentialSource, Listener};
use crate::entropy;
use crate::event::EventKind;
use crate::factor::email::EmailAddress;
use crate::factor::phone::Phone;
use crate::id::{ShareId, UserId};
use crate::request::{self, Malformed};
use crate::secret::Secret;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Json, routing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

/// People whom one link is for: the page that asks which of them opens it shows all.
const RECIPIENTS_MAX: usize = 20;

pub(super) const RESOURCE: Resource = Resource {
    tag: "Shares",
    about: "Links to a folder, for people without an account.",
    endpoints: &[
        Endpoint {
            query: Some(shape::<Part<i64>>),
            ..endpoint(
                "GET",
                "/v1/shares",
                "Links that have not been revoked, by number.",
                || routing::get(list),
                shape::<Page<ShareLine>>,
            )
        },
        Endpoint {
            body: Some(shape::<ShareAdd>),
            status: 201,
            errors: &[
                Code::NoSuchIdentity,
                Code::AmbiguousIdentity,
                Code::KeptElsewhere,
                Code::NotConfigured,
                Code::NoEntropy,
            ],
            ..endpoint(
                "POST",
                "/v1/shares",
                "Make a link. Its token is in this answer and in no other.",
                || routing::post(add),
                shape::<NewShareLine>,
            )
        },
        Endpoint {
            errors: &[Code::NoSuchShare, Code::Invalid],
            ..endpoint(
                "DELETE",
                "/v1/shares/{id}",
                "Revoke a link and the sessions that came from it.",
                || routing::delete(revoke),
                shape::<Gone<ShareId>>,
            )
        },
    ],
};

/// A share link to be made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(example = json!({ "path": "/photos/", "recipients": [{ "phone": "+4512345678" }] }))]
#[serde(deny_unknown_fields)]
pub struct ShareAdd {
    /// An `accounts` identity; may be left out where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// As in the share's URLs: `/photos/`.
    #[schemars(regex(pattern = "^/"))]
    pub path: String,
    /// Whom it is for; nobody: whoever has it opens what asks for no second factor.
    #[serde(default)]
    pub recipients: Vec<RecipientAdd>,
    /// On how many devices it can be opened, at least 1; `null`: on any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub devices_max: Option<u32>,
    /// `null`: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub lifetime_secs: Option<u64>,
}

/// One of the people whom a share link is for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecipientAdd {
    /// With its country code.
    #[serde(default, with = "exposed", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub phone: Option<Secret>,
    #[serde(default, with = "exposed", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub email: Option<Secret>,
}

/// A share link has been made; the only time its token is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NewShare")]
pub struct NewShareLine {
    #[serde(flatten)]
    pub share: ShareLine,
    #[serde(with = "exposed")]
    #[schemars(with = "Option<String>")]
    pub url: Option<Secret>,
    #[serde(with = "exposed")]
    #[schemars(with = "Option<String>")]
    pub token: Option<Secret>,
}

/// A share link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Share")]
pub struct ShareLine {
    pub id: ShareId,
    pub identity: String,
    pub path: String,
    pub recipients: Vec<RecipientLine>,
    /// On how many devices it was opened.
    pub devices: u32,
    pub devices_max: Option<u32>,
    pub last_opened_at: Option<String>,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub expired: bool,
}

/// One of the people whom a share link is for. Numbers and addresses are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Recipient")]
pub struct RecipientLine {
    pub user: UserId,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub devices: u32,
    pub last_opened_at: Option<String>,
}

async fn add(
    State(operator): State<Operator>,
    caller: Caller,
    Body(share): Body<ShareAdd>,
) -> Made<NewShareLine> {
    let identity = operator.accounts(share.identity.as_deref())?;
    let config = operator.config.load_full();
    let base = base_url(&config, &identity)
        .ok_or_else(|| OperatorError::NoShareRoute(identity.clone()))?;
    let token = Secret::new(entropy::token(&*operator.entropy)?);
    let new = operator.new_share(&config, identity.clone(), share, &token)?;
    let now = operator.clock.now();
    let (id, users) = operator.store.create_share(new.clone(), now).await?;
    for user in &users {
        operator.emit(
            caller,
            EventKind::Enrolled,
            Some(*user),
            &format!("share {id}"),
        );
    }
    let made = NewShareLine {
        share: line(&just_made(id, users, new, now), now),
        url: Some(Secret::new(base + token.expose())),
        token: Some(token),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

async fn list(
    State(operator): State<Operator>,
    Checked(Query(asked)): Checked<Query<Part<i64>>>,
) -> Answer<Page<ShareLine>> {
    let (limit, now) = (asked.limit()?, operator.clock.now());
    let mut shares = operator.store.shares().await?;
    shares.retain(|share| asked.after.is_none_or(|it| share.id.0 > it));
    shares.truncate(limit as usize + 1);
    let page = Page::of(shares, limit, |share| share.id.0);
    Ok(Json(page.map(|share| line(&share, now))))
}

async fn revoke(
    State(operator): State<Operator>,
    caller: Caller,
    Checked(Path(id)): Checked<Path<String>>,
) -> Answer<Gone<ShareId>> {
    let id = ShareId(number(&id)?);
    let users = operator
        .store
        .revoke_share(id, operator.clock.now())
        .await?;
    if users.is_empty() {
        return Err(OperatorError::NoSuchShare(id));
    }
    for user in users {
        operator.forget(Which::User(user));
        operator.emit(
            caller,
            EventKind::Revoked,
            Some(user),
            &format!("share {id}"),
        );
    }
    Ok(Json(Gone { id }))
}

impl Operator {
    /// What is asked for, as the store takes it.
    fn new_share(
        &self,
        config: &Config,
        identity: String,
        share: ShareAdd,
        token: &Secret,
    ) -> Result<NewShare, OperatorError> {
        if share.devices_max == Some(0) {
            return Err(OperatorError::NoDevices);
        }
        if share.lifetime_secs == Some(0) {
            return Err(OperatorError::NoLifetime);
        }
        let mut of_identity = config.routes.iter().filter(|it| it.identity == identity);
        let path = directory(&share.path, of_identity.any(|it| it.encoded_slashes))?;
        let ends = |secs| self.clock.now().after(Duration::from_secs(secs));
        Ok(NewShare {
            link: self.keys.realm(&identity).token(token.expose()),
            realm: identity,
            path,
            recipients: contacts(share.recipients)?,
            devices_max: share.devices_max,
            expires_at: share.lifetime_secs.map(ends),
        })
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
    for (index, one) in recipients.into_iter().enumerate() {
        let at = |field: &str| Place::from(format!("body/recipients/{index}/{field}"));
        let mail = one.email.as_ref();
        let contact = Contact {
            phone: phone(one.phone.as_ref(), &at("phone"))?,
            email: mail.map(|it| mail_address(it, at("email"))).transpose()?,
        };
        if let Some(phone) = &contact.phone
            && !seen.insert(phone.e164().to_owned())
        {
            let (place, shown) = (at("phone"), phone.masked());
            return Err(OperatorError::SameRecipient { place, shown });
        }
        if let Some(email) = &contact.email
            && !seen.insert(subject::mailbox(email.expose()))
        {
            let (place, shown) = (at("email"), masked_email(email));
            return Err(OperatorError::SameRecipient { place, shown });
        }
        contacts.push(contact);
    }
    if contacts.is_empty() {
        contacts.push(Contact::default());
    }
    Ok(contacts)
}

/// An address that can be sent to: nobody but the link's page would ever find out that it cannot.
fn mail_address(raw: &Secret, place: Place) -> Result<Secret, OperatorError> {
    let address = EmailAddress::parse(raw.expose()).map_err(|_| OperatorError::Email { place })?;
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

/// A share as the store has it from now on.
fn just_made(id: ShareId, users: Vec<UserId>, new: NewShare, now: Timestamp) -> Share {
    let recipients = users.into_iter().zip(new.recipients);
    let recipients = recipients.map(|(user, contact)| Recipient {
        user,
        contact,
        devices: 0,
        last_opened_at: None,
    });
    Share {
        id,
        realm: new.realm,
        path: new.path,
        recipients: recipients.collect(),
        devices_max: new.devices_max,
        created_at: now,
        expires_at: new.expires_at,
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
