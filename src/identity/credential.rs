//! Finds the token of a request in the places its route names (RFC 6750 for `bearer`).

use crate::config::model::CredentialSource;
use crate::request::RequestHead;
use std::borrow::Cow;

/// Two different tokens in one request, or a malformed one: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredential {
    #[error("the request carries two different tokens: send one")]
    Conflict,
    #[error("the token is malformed")]
    Malformed,
}

/// The one token of the request; `None` if there is none in any of the places.
pub fn find<'h>(
    sources: &[CredentialSource],
    head: &'h RequestHead<'_>,
) -> Result<Option<Cow<'h, str>>, BadCredential> {
    let _ = (sources, head);
    todo!()
}
