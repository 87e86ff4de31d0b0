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
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::proxy::Session;
use std::net::IpAddr;
use std::sync::Arc;

/// Whether the client's connection is under TLS.
pub(super) fn is_tls(session: &Session) -> bool {
    let digest = session.digest();
    digest.is_some_and(|digest| digest.ssl_digest.is_some())
}

/// Whose connection it is.
pub(super) fn address(session: &Session) -> Option<IpAddr> {
    match session.client_addr()? {
        PeerAddr::Inet(address) => Some(address.ip().to_canonical()),
        PeerAddr::Unix(_) => None,
    }
}

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
    let is_head = session.req_header().method == Method::HEAD;
    let is_bodiless = is_head
        || matches!(
            reply.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    let (header, body) = encode(reply, is_head)?;
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
pub(super) fn encode(reply: Reply, is_head: bool) -> pingora::Result<(ResponseHeader, Bytes)> {
    let (parts, body) = reply.into_parts();
    let mut header = ResponseHeader::build(parts.status, Some(parts.headers.len() + 4))?;
    for (name, value) in &parts.headers {
        if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING && *name != CONNECTION {
            header.append_header(name.clone(), value.clone())?;
        }
    }
    match parts.headers.get(CONTENT_LENGTH) {
        _ if parts.status == StatusCode::NO_CONTENT => {}
        // The length that GET would give; the body is left out already.
        Some(length) if is_head && body.is_empty() => {
            header.insert_header(CONTENT_LENGTH, length.clone())?;
        }
        _ => header.insert_header(CONTENT_LENGTH, body.len())?,
    }
    if !parts.headers.contains_key(CACHE_CONTROL) {
        header.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
    }
    Ok((header, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::body::{BadBody, collect};
    use crate::edge::harden::{BadHead, harden};
    use pingora::protocols::l4::stream::Stream;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// A client, and the request it has begun as the server sees it.
    async fn request(head: &str) -> (TcpStream, Session) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut session = Session::new_h1(Box::new(Stream::from(server)));
        client.write_all(head.as_bytes()).await.unwrap();
        assert!(session.downstream_session.read_request().await.unwrap());
        (client, session)
    }

    fn refusal() -> Reply {
        let mut reply = Reply::new(Bytes::from_static(b"{\"auth_required\":true}"));
        *reply.status_mut() = StatusCode::UNAUTHORIZED;
        let headers = reply.headers_mut();
        headers.insert("www-authenticate", HeaderValue::from_static("Bearer"));
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("9999"));
        reply
    }

    /// Answers and closes, as Pingora does; returns what is left of the connection.
    async fn answer(mut session: Session) -> bool {
        write(&mut session, refusal()).await.unwrap();
        let downstream = *session.downstream_session;
        matches!(downstream.finish().await, Ok(Some(_)))
    }

    async fn read_all(client: &mut TcpStream) -> String {
        let mut all = Vec::new();
        let read = client.read_to_end(&mut all);
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .unwrap()
            .unwrap();
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn an_answer_has_its_own_length_and_is_not_stored() {
        let (mut client, session) =
            request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(!answer(session).await);
        let text = read_all(&mut client).await.to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 401 "), "{text}");
        assert!(text.contains("\r\ncontent-length: 22\r\n"), "{text}");
        assert!(text.contains("\r\ncache-control: no-store\r\n"), "{text}");
        assert!(!text.contains("transfer-encoding"), "{text}");
        assert!(!text.contains("\r\nserver:"), "{text}");
        assert!(text.ends_with("\r\n\r\n{\"auth_required\":true}"), "{text}");
    }

    #[tokio::test]
    async fn head_is_answered_without_a_body() {
        let (mut client, session) =
            request("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        answer(session).await;
        let text = read_all(&mut client).await.to_ascii_lowercase();
        assert!(text.contains("\r\ncontent-length: 22\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }

    #[tokio::test]
    async fn head_keeps_the_length_of_a_body_that_is_left_out() {
        let (mut client, mut session) =
            request("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let mut reply = refusal();
        *reply.body_mut() = Bytes::new();
        write(&mut session, reply).await.unwrap();
        drop(session);
        let text = read_all(&mut client).await.to_ascii_lowercase();
        assert!(text.contains("\r\ncontent-length: 9999\r\n"), "{text}");
    }

    #[tokio::test]
    async fn a_client_that_uploads_50_mib_unasked_reads_its_refusal() {
        const SIZE: usize = 50 << 20;
        let head = format!("PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n");
        let (mut client, session) = request(&head).await;
        let server = tokio::spawn(answer(session));
        // All of it first, then the answer: the client that a reset would hurt most.
        let piece = vec![7u8; 1 << 20];
        for _ in 0..SIZE >> 20 {
            client.write_all(&piece).await.unwrap();
        }
        let text = read_all(&mut client).await;
        assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
        assert!(
            text.to_ascii_lowercase()
                .contains("\r\nconnection: close\r\n")
        );
        assert!(text.ends_with("{\"auth_required\":true}"), "{text}");
        assert!(!server.await.unwrap(), "the connection was kept");
    }

    #[tokio::test]
    async fn a_client_that_waits_to_be_asked_is_refused_at_once() {
        let (mut client, session) = request(
            "PUT /big HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        )
        .await;
        let server = tokio::spawn(answer(session));
        let mut first = [0; 12];
        client.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 401");
        // What it sends all the same is not the next request.
        drop(client);
        assert!(!server.await.unwrap(), "the connection was kept");
    }

    #[tokio::test]
    async fn a_small_body_is_read_so_that_the_connection_is_kept() {
        let (mut client, session) =
            request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        assert!(answer(session).await, "the connection was closed");
        let mut first = [0; 12];
        client.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 401");
    }

    #[tokio::test]
    async fn what_follows_an_unread_body_is_never_a_request() {
        let (mut client, session) = request(
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
        client.shutdown().await.unwrap();
        assert!(!answer(session).await, "the connection was kept");
        assert_eq!(read_all(&mut client).await.matches("HTTP/1.1").count(), 1);
    }

    #[tokio::test]
    async fn a_local_body_is_bounded_in_size_and_time() {
        let minute = Duration::from_secs(60);
        let collected = async |head: &str, limit| {
            let (mut client, mut session) = request(head).await;
            let body = collect(&mut session.downstream_session, 8, limit).await;
            drop(session);
            let mut seen = Vec::new();
            let _ = client.read_to_end(&mut seen).await;
            (body, String::from_utf8(seen).unwrap())
        };
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ";
        let (body, seen) = collected(&format!("{head}8\r\n\r\n12345678"), minute).await;
        assert_eq!((body, seen.as_str()), (Ok(Bytes::from("12345678")), ""));
        // Refused by the head alone, before the client is asked to go on.
        let expect = "\r\nExpect: 100-continue\r\n\r\n";
        let (body, seen) = collected(&format!("{head}9{expect}"), minute).await;
        assert_eq!((body, seen.as_str()), (Err(BadBody::TooLarge), ""));
        let (body, seen) = collected(&format!("{head}3{expect}123"), minute).await;
        assert_eq!(body, Ok(Bytes::from("123")));
        assert!(seen.starts_with("HTTP/1.1 100 Continue\r\n"), "{seen}");
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                       9\r\n123456789\r\n0\r\n\r\n";
        assert_eq!(collected(chunked, minute).await.0, Err(BadBody::TooLarge));
        let stalled = format!("{head}8\r\n\r\n123");
        let body = collected(&stalled, Duration::from_millis(50)).await.0;
        assert_eq!(body, Err(BadBody::TooSlow));
    }

    fn bounds() -> (
        crate::config::model::Timeouts,
        crate::config::model::Connections,
    ) {
        let timeouts = crate::config::model::Timeouts {
            head: Duration::from_secs(10),
            body: Duration::from_secs(61),
            keepalive: Duration::from_secs(75),
            write: Duration::from_secs(62),
            drain: Duration::from_secs(60),
        };
        let connections = crate::config::model::Connections {
            max: 10,
            per_address_max: 1_024,
            head_bytes_max: 1 << 16,
            headers_max: 4,
        };
        (timeouts, connections)
    }

    #[tokio::test]
    async fn every_request_gets_its_bounds_and_close_stays_close() {
        let (timeouts, connections) = bounds();
        let (_client, mut session) = request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let downstream = &mut session.downstream_session;
        assert_eq!(harden(downstream, &timeouts, &connections), Ok(()));
        assert_eq!(downstream.get_keepalive(), Some(75));
        assert_eq!(downstream.get_read_timeout(), Some(timeouts.body));
        assert_eq!(downstream.get_write_timeout(), Some(timeouts.write));
        assert!(downstream.get_total_drain_timeout().is_some());
        let (_client, mut session) = request("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        let downstream = &mut session.downstream_session;
        assert_eq!(harden(downstream, &timeouts, &connections), Ok(()));
        assert_eq!(downstream.get_keepalive(), None);
    }

    #[tokio::test]
    async fn headers_that_contradict_each_other_are_refused() {
        let (timeouts, connections) = bounds();
        for (head, why) in [
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
                BadHead::TwoLengths,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n",
                BadHead::TooManyHeaders,
            ),
        ] {
            let (_client, mut session) = request(head).await;
            let downstream = &mut session.downstream_session;
            assert_eq!(
                harden(downstream, &timeouts, &connections),
                Err(why),
                "{head}"
            );
        }
    }
}
