//! Between Pingora and the local endpoints: a request in, a [`Reply`] out.
//!
//! Every answer that Vestibule gives itself is written by [`write`], so every one of them has an
//! exact length and reaches its client.

use super::body;
use crate::local::{Call, Reply};
use crate::request::RequestHead;
use crate::route::Route;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use std::sync::Arc;

/// A call without its body, which is read later.
pub(crate) fn call(head: &RequestHead<'_>, route: &Arc<Route>) -> Call {
    Call {
        method: head.method.clone(),
        path: head.path.clone().into_owned(),
        query: head.query.map(str::to_owned),
        host: head.host.clone().into_owned(),
        headers: head.headers.clone(),
        body: Bytes::new(),
        address: head.client.address,
        tls: head.client.tls,
        route: Arc::clone(route),
    }
}

/// Writes an answer of Vestibule's own, then sees to it that the client can read it.
pub(crate) async fn write(session: &mut Session, reply: Reply) -> pingora::Result<()> {
    body::swallow_small(&mut session.downstream_session).await;
    let is_unread = !session.is_body_done();
    let is_bodiless = session.req_header().method == Method::HEAD
        || matches!(
            reply.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    let (header, body) = encode(reply)?;
    session
        .write_response_header(Box::new(header), false)
        .await?;
    let body = (!is_bodiless && !body.is_empty()).then_some(body);
    session.write_response_body(body, true).await?;
    if is_unread {
        body::discard_rest(&mut session.downstream_session).await;
    }
    Ok(())
}

/// The header with the length of the body it announces, whoever made the reply.
fn encode(reply: Reply) -> pingora::Result<(ResponseHeader, Bytes)> {
    let (parts, body) = reply.into_parts();
    let mut header = ResponseHeader::build(parts.status, Some(parts.headers.len() + 4))?;
    for (name, value) in &parts.headers {
        if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING && *name != CONNECTION {
            header.append_header(name.clone(), value.clone())?;
        }
    }
    if parts.status != StatusCode::NO_CONTENT {
        header.insert_header(CONTENT_LENGTH, body.len())?;
    }
    if !parts.headers.contains_key(CACHE_CONTROL) {
        header.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
    }
    Ok((header, body))
}
