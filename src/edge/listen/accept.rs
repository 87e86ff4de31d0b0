//! One socket's connections: accept, shake hands, and hand over one request after the other, each head
//! checked before. Ends them when the gateway stops.

use super::Limits;
use super::places::{Place, Shared};
use crate::edge::conn::{About, Conn, HeadDeadlines, NoHead};
use crate::edge::lane::{Lane, Served};
use crate::edge::scan::HeadBounds;
use crate::edge::tls::ServerTls;
use crate::observe::metrics::Outcome;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::tls::SslDigest;
use pingora::server::ShutdownWatch;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The pause after an accept that failed, mostly because no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// RFC 9113 section 3.4.
const H2_PREFACE_BYTES: usize = 24;

/// What a listener's connections need.
pub(super) struct Acceptor<A> {
    pub(super) tls: Option<ServerTls>,
    pub(super) app: Arc<A>,
    /// Asked first, for each HTTP/1 request.
    pub(super) lane: Option<Lane>,
    pub(super) shared: Arc<Shared>,
    pub(super) shutdown: ShutdownWatch,
}

impl<A> Clone for Acceptor<A> {
    fn clone(&self) -> Self {
        Self {
            tls: self.tls.clone(),
            app: self.app.clone(),
            lane: self.lane.clone(),
            shared: self.shared.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}

impl<A> Acceptor<A>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    pub(super) async fn run(self, socket: TcpListener) {
        let mut connections = JoinSet::new();
        let mut shutdown = self.shutdown.clone();
        'accepting: loop {
            // Polled to its end: dropping it may drop a connection that waits for its place.
            let mut next = std::pin::pin!(self.accept(&socket));
            let (stream, peer, place) = loop {
                tokio::select! {
                    biased;
                    _ = shutdown.wait_for(|stop| *stop) => break 'accepting,
                    Some(ended) = connections.join_next(), if !connections.is_empty() => report(ended),
                    accepted = &mut next => break accepted,
                }
            };
            connections.spawn(self.clone().connection(stream, peer, place));
        }
        drop(socket);
        let drain = self.shared.limits.load().timeouts.drain;
        let all_ended = async {
            while let Some(ended) = connections.join_next().await {
                report(ended);
            }
        };
        if tokio::time::timeout(drain, all_ended).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "timeouts.drain is over: connections are cut"
            );
            connections.shutdown().await;
        }
    }

    /// The next connection, once there is a place for it. Until then it and those behind it wait.
    async fn accept(&self, socket: &TcpListener) -> (TcpStream, SocketAddr, Place) {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    if let Some(place) = self.shared.place(peer.ip()).await {
                        return (stream, peer, place);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::error!(%error, "a connection cannot be accepted; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr, _place: Place) {
        let limits = self.shared.limits.load_full();
        let Ok(mut about) = About::of(&stream, peer) else {
            return;
        };
        let Some(tls) = &self.tls else {
            let conn = Conn::new(stream, about, limits.timeouts.write);
            return self.http1(Box::new(conn), &limits).await;
        };
        // Boxed: a plain or idle connection should not carry the room of a handshake.
        let handshake = Box::pin(tls.acceptor().accept(stream));
        let stream = match tokio::time::timeout(limits.timeouts.head, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => return tracing::debug!(%peer, "TLS handshake took longer than timeouts.head"),
        };
        let (_, session) = stream.get_ref();
        let cipher = session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str());
        let version = session
            .protocol_version()
            .and_then(|version| version.as_str());
        let (cipher, version) = (cipher.unwrap_or_default(), version.unwrap_or_default());
        about.tls = Some(Arc::new(SslDigest::new(
            cipher,
            version,
            None,
            None,
            Vec::new(),
        )));
        about.is_h2 = session.alpn_protocol() == Some(b"h2");
        let is_h2 = about.is_h2;
        let conn = Box::new(Conn::new(stream, about, limits.timeouts.write));
        if is_h2 {
            self.http2(conn, &limits).await;
        } else {
            self.http1(conn, &limits).await;
        }
    }

    /// One request after the other, each head checked before `app` sees it.
    async fn http1<S>(&self, mut conn: Box<Conn<S>>, limits: &Limits)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
    {
        let timeouts = &limits.timeouts;
        let bounds = HeadBounds {
            bytes_max: limits.connections.head_bytes_max,
            headers_max: limits.connections.headers_max,
        };
        let mut shutdown = self.shutdown.clone();
        let mut first_byte = timeouts.head;
        let mut kept: Option<HttpPersistentSettings> = None;
        loop {
            let deadlines = HeadDeadlines::from_now(first_byte, timeouts.head);
            match conn.read_head(deadlines, bounds, &mut shutdown).await {
                Ok(()) => {}
                Err(NoHead::Closed) => return,
                Err(NoHead::Bad(bad)) => {
                    let (status, _) = bad.status();
                    tracing::debug!(peer = %conn.peer(), status, why = %bad, "request refused");
                    self.shared
                        .metrics
                        .request("-", Outcome::BadRequest, status);
                    return conn.refuse(bad).await;
                }
            }
            if let Some(lane) = &self.lane {
                match lane.serve(&mut conn, &shutdown).await {
                    Served::Not => {}
                    Served::Kept => {
                        first_byte = timeouts.keepalive;
                        continue;
                    }
                    Served::Ended => return,
                }
            }
            let mut session = ServerSession::new_http1(conn);
            if let Some(kept) = kept.take() {
                kept.apply_to_session(&mut session);
            }
            // The head is in memory: this only bounds a parser that would still ask for more.
            session.set_keepalive(Some(timeouts.head.as_secs().max(1)));
            session.set_read_timeout(Some(timeouts.body));
            let Some(ended) = self.app.process_new_http(session, &shutdown).await else {
                return;
            };
            let (stream, settings) = ended.consume();
            kept = settings;
            first_byte = timeouts.keepalive;
            conn = match stream.into_any().downcast() {
                Ok(conn) => conn,
                Err(_) => return,
            };
        }
    }

    async fn http2<S>(&self, mut conn: Box<Conn<S>>, limits: &Limits)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
    {
        // Pingora would wait for the preface without an end.
        let deadlines = HeadDeadlines::from_now(limits.timeouts.head, limits.timeouts.head);
        let preface = conn.await_bytes(H2_PREFACE_BYTES);
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            biased;
            came = tokio::time::timeout(limits.timeouts.head, preface) => {
                if !matches!(came, Ok(Ok(()))) {
                    return;
                }
            }
            () = deadlines.stopped(&mut shutdown) => return,
        }
        ServerApp::process_new(&self.app, conn, &self.shutdown).await;
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
