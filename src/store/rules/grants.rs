//! What a grant shows, as one text to be sealed.

use crate::auth::ports::Grant;
use crate::secret::Secret;
use std::net::IpAddr;

/// The parts of a grant that only its page and its client are told.
pub(in crate::store) struct Shown {
    pub(in crate::store) code: Secret,
    pub(in crate::store) address: IpAddr,
    pub(in crate::store) host: String,
    pub(in crate::store) client: String,
}

impl Shown {
    pub(in crate::store) fn of(grant: &Grant, code: &Secret) -> Self {
        Self {
            code: code.clone(),
            address: grant.whence.address,
            host: grant.host.clone(),
            client: grant.whence.client.clone(),
        }
    }

    /// A line for each part. The last may hold anything.
    pub(in crate::store) fn text(&self) -> Secret {
        let Self {
            code,
            address,
            host,
            client,
        } = self;
        Secret::new(format!("{}\n{address}\n{host}\n{client}", code.expose()))
    }

    /// What [`Shown::text`] has written.
    pub(in crate::store) fn read(text: &str) -> Option<Self> {
        let mut lines = text.splitn(4, '\n');
        Some(Self {
            code: Secret::new(lines.next()?),
            address: lines.next()?.parse().ok()?,
            host: lines.next()?.to_owned(),
            client: lines.next()?.to_owned(),
        })
    }
}
