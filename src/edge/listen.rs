//! Connections: accept, shake hands, hand each request to Pingora, drain. Their sockets are of
//! [`super::sockets`].
//!
//! Pingora's own `Server` is not used: its handshake time, header time, session cache, connection
//! count and grace period cannot be set, and it cannot be started on port 0 for a test. The same
//! loop runs in production and in tests. A connection is driven request by request here
//! (`conn` reads and checks each head first); HTTP/2 is Pingora's from the preface on.
//!
//! It decides nothing about requests, and no byte reaches `app` before its head has been checked.

use super::conn::{About, Conn, HeadDeadlines, NoHead};
use super::lane::{Lane, Served};
use super::scan::HeadBounds;
use super::sockets::Sockets;
use super::tls::{Expiry, Loaded, ServerTls, TlsError};
use crate::auth::crowd::{Crowd, Seat};
use crate::auth::subject;
use crate::clock::Timestamp;
use crate::config::model::{self, Connections, Timeouts};
use crate::observe::metrics::{Metrics, Outcome};
use arc_swap::ArcSwap;
use ipnet::IpNet;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::tls::SslDigest;
use pingora::server::ShutdownWatch;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// The pause after an accept that failed, mostly because no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// RFC 9113 section 3.4.
const H2_PREFACE_BYTES: usize = 24;

/// Bound sockets with their certificates, not serving yet.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<Socket>,
    control: Control,
}

#[derive(Debug)]
struct Socket {
    listener: TcpListener,
    tls: Option<ServerTls>,
    forward_auth: bool,
}

/// What connections are handed to.
pub struct Apps<A> {
    pub clients: Arc<A>,
    /// Asked first, for each HTTP/1 request of a client.
    pub lane: Option<Lane>,
    /// On listeners with `forward_auth`.
    pub proxies: Arc<A>,
}

/// What may change, and be watched, while connections are served. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    shared: Arc<Shared>,
}

/// New settings that have been read and checked, not in use yet.
#[derive(Debug)]
pub struct Reload {
    control: Control,
    limits: Limits,
    certificates: Vec<(ServerTls, Loaded)>,
}

/// What clients may take and hold.
#[derive(Clone, Debug)]
pub struct Limits {
    pub timeouts: Timeouts,
    pub connections: Connections,
    /// Whom `connections.per_address_max` does not bind.
    pub trusted_proxies: Vec<IpNet>,
}

/// Why the gateway cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {address}: another program has this address and port")]
    InUse { address: SocketAddr },
    #[error(
        "cannot listen on {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE \
         (`AmbientCapabilities=` in the systemd unit)"
    )]
    NotAllowed { address: SocketAddr },
    #[error("cannot listen on {address}: this host does not have the address")]
    NoSuchAddress { address: SocketAddr },
    #[error("cannot listen on {address}: {source}")]
    Other {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("listener {address}: {source}")]
    Tls {
        address: SocketAddr,
        source: TlsError,
    },
}

/// Why new settings cannot be taken over. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(
        "the listeners' addresses, or which of them have TLS, cannot change while Vestibule runs: restart it"
    )]
    Listeners,
    #[error("listener {address}: {source}")]
    Tls {
        address: SocketAddr,
        source: TlsError,
    },
}

struct Shared {
    limits: ArcSwap<Limits>,
    /// As configured, with port 0 where that was asked for.
    listeners: Vec<(SocketAddr, Option<ServerTls>)>,
    open: AtomicUsize,
    /// By address; an IPv6 client counts as its /64, as it does for wrong passwords.
    crowd: Crowd<IpAddr>,
    /// Told when a connection ends, or when more of them may be open.
    room: Notify,
    metrics: Metrics,
}

/// One connection's place under `connections.max`.
struct Place {
    shared: Arc<Shared>,
    /// Its place under `connections.per_address_max`; a trusted proxy needs none.
    _seat: Option<Seat<IpAddr>>,
}

impl Listeners {
    /// Loads the certificates and takes or binds all addresses' sockets, or none. Call it inside a
    /// Tokio runtime.
    pub fn bind(
        listeners: &[model::Listener],
        passed: &mut Sockets,
        limits: Limits,
        metrics: Metrics,
        now: Timestamp,
    ) -> Result<Self, BindError> {
        let mut sockets = Vec::new();
        let mut configured = Vec::new();
        for listener in listeners {
            let address = listener.address;
            let tls = listener.tls.as_ref();
            let tls = tls
                .map(|tls| ServerTls::load(&tls.certificates, now))
                .transpose()
                .map_err(|source| BindError::Tls { address, source })?;
            let socket = passed
                .listen(address)
                .map_err(|error| BindError::new(address, error))?;
            sockets.push(Socket {
                listener: socket,
                tls: tls.clone(),
                forward_auth: listener.forward_auth,
            });
            configured.push((address, tls));
        }
        let shared = Arc::new(Shared {
            limits: ArcSwap::from_pointee(limits),
            listeners: configured,
            open: AtomicUsize::new(0),
            crowd: Crowd::default(),
            room: Notify::new(),
            metrics,
        });
        let control = Control { shared };
        Ok(Self { sockets, control })
    }

    /// The bound addresses in the configured order, with real ports.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets
            .iter()
            .map(|socket| socket.listener.local_addr())
            .collect()
    }

    /// A handle that outlives [`Self::serve`].
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Serves until `shutdown` turns true (or its sender is dropped), then until the last
    /// connection has ended or `timeouts.drain` is over. Idle connections close at once. Dropping
    /// the future drops all connections.
    pub async fn serve<A>(self, apps: Apps<A>, mut shutdown: ShutdownWatch)
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let mut loops = JoinSet::new();
        for socket in self.sockets {
            let (app, lane) = match socket.forward_auth {
                true => (&apps.proxies, None),
                false => (&apps.clients, apps.lane.clone()),
            };
            let acceptor = Acceptor {
                tls: socket.tls,
                app: Arc::clone(app),
                lane,
                shared: self.control.shared.clone(),
                shutdown: shutdown.clone(),
            };
            loops.spawn(acceptor.run(socket.listener));
        }
        // An error means that the sender is gone, which ends serving just the same.
        let _ = shutdown.wait_for(|stop| *stop).await;
        ServerApp::cleanup(apps.clients.as_ref()).await;
        ServerApp::cleanup(apps.proxies.as_ref()).await;
        while loops.join_next().await.is_some() {}
    }
}

impl Control {
    /// Connections that are served now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// When each listener's certificates end.
    #[must_use]
    pub fn expiries(&self) -> Vec<Expiry> {
        let tls = self
            .shared
            .listeners
            .iter()
            .filter_map(|(_, tls)| tls.as_ref());
        tls.flat_map(ServerTls::expiries).collect()
    }

    /// Reads and checks everything new, so that [`Reload::apply`] cannot fail.
    pub fn prepare(
        &self,
        listeners: &[model::Listener],
        limits: Limits,
        now: Timestamp,
    ) -> Result<Reload, ReloadError> {
        let running = &self.shared.listeners;
        if running.len() != listeners.len() {
            return Err(ReloadError::Listeners);
        }
        let mut certificates = Vec::new();
        for ((address, tls), listener) in running.iter().zip(listeners) {
            if *address != listener.address {
                return Err(ReloadError::Listeners);
            }
            match (tls, &listener.tls) {
                (None, None) => {}
                (Some(running), Some(new)) => {
                    let loaded = ServerTls::prepare(&new.certificates, now).map_err(|source| {
                        ReloadError::Tls {
                            address: *address,
                            source,
                        }
                    })?;
                    certificates.push((running.clone(), loaded));
                }
                (None, Some(_)) | (Some(_), None) => return Err(ReloadError::Listeners),
            }
        }
        Ok(Reload {
            control: self.clone(),
            limits,
            certificates,
        })
    }
}

impl Reload {
    /// New connections get the new settings; those that are up keep theirs.
    pub fn apply(self) {
        for (tls, loaded) in self.certificates {
            tls.replace(loaded);
        }
        self.control.shared.limits.store(Arc::new(self.limits));
        self.control.shared.room.notify_waiters();
    }
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { address },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { address },
            _ => Self::Other { address, source },
        }
    }
}

impl Shared {
    /// A place for `peer`, or `None` if it holds too many. Waits for one under `connections.max`,
    /// where those that wait count for their address.
    async fn place(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let seat = self.seat(peer)?;
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // Registered before the look, so that no news is missed between the two.
            room.as_mut().enable();
            let max = self.limits.load().connections.max;
            let taken = self
                .open
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                    (open < max).then_some(open + 1)
                });
            if let Ok(before) = taken {
                self.metrics.connections(gauge(before + 1));
                return Some(Place {
                    shared: self.clone(),
                    _seat: seat,
                });
            }
            room.await;
        }
    }

    /// The outer `None`: refused; the inner one: a trusted proxy.
    fn seat(&self, peer: IpAddr) -> Option<Option<Seat<IpAddr>>> {
        let limits = self.limits.load();
        let peer = peer.to_canonical();
        if limits.trusted_proxies.iter().any(|net| net.contains(&peer)) {
            return Some(None);
        }
        let max = limits.connections.per_address_max;
        let seat = self.crowd.seat(subject::network(peer), max);
        if seat.is_none() {
            self.metrics.connection_refused();
            tracing::debug!(%peer, "connection refused: connections.per_address_max");
        }
        seat.map(Some)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("limits", &self.limits)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = &self.shared;
        let before = shared.open.fetch_sub(1, Ordering::AcqRel);
        shared.metrics.connections(gauge(before.saturating_sub(1)));
        shared.room.notify_one();
    }
}

fn gauge(open: usize) -> i64 {
    i64::try_from(open).unwrap_or(i64::MAX)
}

/// What a listener's connections need.
struct Acceptor<A> {
    tls: Option<ServerTls>,
    app: Arc<A>,
    /// Asked first, for each HTTP/1 request.
    lane: Option<Lane>,
    shared: Arc<Shared>,
    shutdown: ShutdownWatch,
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
    async fn run(self, socket: TcpListener) {
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

#[cfg(test)]
mod tests {
    use super::super::h2;
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use bytes::Bytes;
    use pingora::http::ResponseHeader;
    use pingora::proxy::{HttpProxy, ProxyHttp, Session, http_proxy};
    use pingora::server::configuration::ServerConf;
    use rustls::pki_types::{CertificateDer, ServerName};
    use std::path::Path;
    use std::sync::atomic::AtomicUsize;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;
    use tokio::sync::{Semaphore, watch};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    /// Far above anything a passing test needs, even on a busy machine.
    const GENEROUS: Duration = Duration::from_secs(30);

    /// One application for whoever comes.
    fn alone<A>(app: Arc<A>) -> Apps<A> {
        Apps {
            clients: Arc::clone(&app),
            lane: None,
            proxies: app,
        }
    }

    /// Answers by itself, after one permit of `gate` for `/wait`.
    struct Answer {
        heads: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
    }

    #[async_trait::async_trait]
    impl ProxyHttp for Answer {
        type CTX = ();
        fn new_ctx(&self) {}

        async fn upstream_peer(
            &self,
            _session: &mut Session,
            _ctx: &mut (),
        ) -> pingora::Result<Box<pingora::upstreams::peer::HttpPeer>> {
            pingora::Error::e_explain(pingora::ErrorType::InternalError, "never asked")
        }

        async fn request_filter(
            &self,
            session: &mut Session,
            _ctx: &mut (),
        ) -> pingora::Result<bool> {
            self.heads.fetch_add(1, Ordering::SeqCst);
            let path = session.req_header().uri.path().to_owned();
            if path == "/wait" {
                self.gate.acquire().await.unwrap().forget();
            }
            let endless = path == "/endless";
            let body = Bytes::from(match path.as_str() {
                "/endless" => "x".repeat(1 << 16),
                "/peer" => format!(
                    "{} {}",
                    session.client_addr().unwrap(),
                    session.digest().unwrap().ssl_digest.is_some()
                ),
                "/body" => {
                    let mut len = 0;
                    while let Some(piece) = session.read_request_body().await? {
                        len += piece.len();
                    }
                    len.to_string()
                }
                _ => "hello".to_owned(),
            });
            let status = if path == "/refuse" { 401 } else { 200 };
            let mut head = ResponseHeader::build(status, None)?;
            if !endless {
                head.insert_header("Content-Length", body.len().to_string())?;
            }
            session.write_response_header(Box::new(head), false).await?;
            loop {
                session
                    .write_response_body(Some(body.clone()), !endless)
                    .await?;
                if !endless {
                    return Ok(true);
                }
            }
        }
    }

    fn limits() -> Limits {
        Limits {
            timeouts: Timeouts {
                head: Duration::from_secs(1),
                body: GENEROUS,
                keepalive: GENEROUS,
                write: Duration::from_secs(1),
                drain: GENEROUS,
            },
            connections: Connections {
                max: 64,
                per_address_max: 1_024,
                head_bytes_max: 1024,
                headers_max: 16,
            },
            trusted_proxies: Vec::new(),
        }
    }

    struct Edge {
        address: SocketAddr,
        control: Control,
        heads: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
        stop: watch::Sender<bool>,
        served: JoinHandle<()>,
    }

    impl Edge {
        fn start(limits: Limits) -> Self {
            Self::start_on(limits, None)
        }

        fn start_on(limits: Limits, tls: Option<model::Tls>) -> Self {
            let heads = Arc::new(AtomicUsize::new(0));
            let gate = Arc::new(Semaphore::new(0));
            let answer = Answer {
                heads: heads.clone(),
                gate: gate.clone(),
            };
            let mut app: HttpProxy<Answer> = http_proxy(&Arc::new(ServerConf::default()), answer);
            app.server_options = Some(h2::server_options(&limits.timeouts));
            app.h2_options = Some(h2::h2_options(&limits.connections));
            let listeners = Listeners::bind(
                &[listener(tls)],
                &mut Sockets::default(),
                limits,
                Metrics::new().unwrap(),
                now(),
            )
            .unwrap();
            let address = listeners.local_addrs().unwrap()[0];
            let control = listeners.control();
            let (stop, shutdown) = watch::channel(false);
            let served = tokio::spawn(listeners.serve(alone(Arc::new(app)), shutdown));
            Self {
                address,
                control,
                heads,
                gate,
                stop,
                served,
            }
        }

        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }

        /// Waits until so many connections are served.
        async fn until_open(&self, open: usize) {
            let reached = async {
                while self.control.open() != open {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(GENEROUS, reached).await.unwrap();
        }

        async fn until_heads(&self, heads: usize) {
            let reached = async {
                while self.heads.load(Ordering::SeqCst) < heads {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(GENEROUS, reached).await.unwrap();
        }

        async fn stopped(self) {
            tokio::time::timeout(GENEROUS, self.served)
                .await
                .unwrap()
                .unwrap();
        }
    }

    fn now() -> Timestamp {
        SystemClock.now()
    }

    fn listener(tls: Option<model::Tls>) -> model::Listener {
        model::Listener {
            address: "127.0.0.1:0".parse().unwrap(),
            tls,
            forward_auth: false,
        }
    }

    /// Sends and reads one answer with a `Content-Length`: its status and body.
    async fn ask<S>(stream: &mut S, request: &str) -> (u16, String)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        stream.write_all(request.as_bytes()).await.unwrap();
        answer(stream).await
    }

    async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> (u16, String) {
        let read = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let (_, rest) = head.split_once("content-length: ").unwrap();
            let len: usize = rest.split("\r\n").next().unwrap().parse().unwrap();
            let mut body = vec![0; len];
            stream.read_exact(&mut body).await.unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            (status, String::from_utf8(body).unwrap())
        };
        tokio::time::timeout(GENEROUS, read).await.unwrap()
    }

    /// The connection ends in order: an end of stream, not a reset, and nothing before it.
    async fn ended<S: AsyncRead + Unpin>(stream: &mut S) {
        let mut rest = Vec::new();
        tokio::time::timeout(GENEROUS, stream.read_to_end(&mut rest))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    async fn unanswered(stream: &mut TcpStream) {
        let early = tokio::time::timeout(Duration::from_millis(300), stream.read_u8()).await;
        assert!(early.is_err(), "served past the bound");
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[tokio::test]
    async fn small_answers_leave_at_once_and_lost_clients_are_noticed() {
        let listener = Sockets::default()
            .listen("127.0.0.1:0".parse().unwrap())
            .unwrap();
        let address = listener.local_addr().unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, peer) = accepted.unwrap();
        About::of(&stream, peer).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(
            tokio::net::TcpSocket::from_std_stream(stream.into_std().unwrap())
                .keepalive()
                .unwrap()
        );
    }

    #[tokio::test]
    async fn requests_follow_each_other_on_one_connection() {
        let edge = Edge::start(limits());
        let mut client = edge.connect().await;
        let local = client.local_addr().unwrap();
        let hello = (200, "hello".to_owned());
        assert_eq!(ask(&mut client, GET).await, hello);
        let peer = "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(
            ask(&mut client, peer).await,
            (200, format!("{local} false"))
        );
        let put = "PUT /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(ask(&mut client, put).await, (200, "3".to_owned()));
        // RFC 9112 section 2.2: an empty line before a request is to be ignored.
        assert_eq!(ask(&mut client, &format!("\r\n{GET}")).await, hello);
        assert_eq!(edge.control.open(), 1);
    }

    #[tokio::test]
    async fn pipelined_requests_are_answered_in_order() {
        let edge = Edge::start(limits());
        let mut client = edge.connect().await;
        let wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
        let peer = "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n";
        let both = format!("{wait}{peer}");
        client.write_all(both.as_bytes()).await.unwrap();
        edge.until_heads(1).await;
        // One more while the first is still being answered.
        client.write_all(GET.as_bytes()).await.unwrap();
        edge.gate.add_permits(1);
        assert_eq!(answer(&mut client).await.1, "hello");
        assert!(answer(&mut client).await.1.starts_with("127.0.0.1:"));
        assert_eq!(answer(&mut client).await.1, "hello");
    }

    #[tokio::test]
    async fn a_pipelined_head_is_checked_as_well() {
        let edge = Edge::start(limits());
        let mut client = edge.connect().await;
        let both = format!("{GET}GET /second HTTP/1.1\nHost: a\r\n\r\n");
        assert_eq!(ask(&mut client, &both).await.0, 200);
        assert_eq!(answer(&mut client).await.0, 400);
        ended(&mut client).await;
        assert_eq!(edge.heads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_follows_a_body_is_never_parsed_unchecked() {
        let edge = Edge::start(limits());
        let mut client = edge.connect().await;
        let smuggled = "PUT /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
                        GET /second HTTP/1.1\nHost: a\n\n";
        assert_eq!(ask(&mut client, smuggled).await, (200, "3".to_owned()));
        let mut rest = String::new();
        let _ = client.read_to_string(&mut rest).await;
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 400 "),
            "{rest}"
        );
        assert_eq!(edge.heads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_head_that_dribbles_gets_408() {
        let edge = Edge::start(limits());
        let (mut read, mut write) = edge.connect().await.into_split();
        // Each byte comes well within any timeout on a single read.
        let dribble = tokio::spawn(async move {
            for byte in GET.bytes().cycle().filter(|byte| *byte != b'\n') {
                if write.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert_eq!(answer(&mut read).await.0, 408);
        ended(&mut read).await;
        dribble.abort();
        assert_eq!(edge.heads.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn silence_is_closed_without_an_answer() {
        let edge = Edge::start(limits());
        ended(&mut edge.connect().await).await;
        let mut limits = limits();
        limits.timeouts.keepalive = Duration::from_millis(200);
        let edge = Edge::start(limits);
        let mut client = edge.connect().await;
        assert_eq!(ask(&mut client, GET).await.0, 200);
        ended(&mut client).await;
    }

    #[tokio::test]
    async fn heads_that_are_too_large_or_ambiguous_never_reach_the_app() {
        let edge = Edge::start(limits());
        let large = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n",
            "x".repeat(1024)
        );
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(17));
        let both = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        for (head, status) in [
            (large.as_str(), 431),
            (many.as_str(), 431),
            (both, 400),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ] {
            let mut client = edge.connect().await;
            assert_eq!(
                ask(&mut client, head).await,
                (status, String::new()),
                "{head:?}"
            );
            ended(&mut client).await;
        }
        assert_eq!(edge.heads.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_refused_upload_reads_its_answer() {
        let edge = Edge::start(limits());
        let mut client = edge.connect().await;
        let len = 16 << 20;
        let put = format!("PUT /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        client.write_all(put.as_bytes()).await.unwrap();
        // A client that only reads after it has sent everything.
        client.write_all(&vec![0; len]).await.unwrap();
        assert_eq!(answer(&mut client).await.0, 401);
        ended(&mut client).await;
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut() {
        let edge = Edge::start(limits());
        let mut client = edge.connect().await;
        let get = "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(get.as_bytes()).await.unwrap();
        edge.until_heads(1).await;
        edge.until_open(0).await;
    }

    #[tokio::test]
    async fn connections_past_the_bound_wait() {
        let mut limits = limits();
        limits.connections.max = 1;
        let edge = Edge::start(limits.clone());
        let mut first = edge.connect().await;
        assert_eq!(ask(&mut first, GET).await.0, 200);
        let mut second = edge.connect().await;
        second.write_all(GET.as_bytes()).await.unwrap();
        unanswered(&mut second).await;
        assert_eq!(edge.control.open(), 1);
        drop(first);
        assert_eq!(answer(&mut second).await.0, 200);
        // A reload makes room at once.
        let mut third = edge.connect().await;
        third.write_all(GET.as_bytes()).await.unwrap();
        unanswered(&mut third).await;
        limits.connections.max = 2;
        let reload = edge
            .control
            .prepare(&[listener(None)], limits, now())
            .unwrap();
        reload.apply();
        assert_eq!(answer(&mut third).await.0, 200);
        assert_eq!(edge.control.open(), 2);
    }

    #[tokio::test]
    async fn one_address_cannot_take_every_place() {
        let mut limits = limits();
        limits.connections.per_address_max = 2;
        let edge = Edge::start(limits.clone());
        let mut first = edge.connect().await;
        let mut second = edge.connect().await;
        assert_eq!(ask(&mut first, GET).await.0, 200);
        assert_eq!(ask(&mut second, GET).await.0, 200);
        ended(&mut edge.connect().await).await;
        // Another address of the same network still gets in.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut other = socket.connect(edge.address).await.unwrap();
        assert_eq!(ask(&mut other, GET).await.0, 200);
        assert_eq!(edge.control.open(), 3);
        // One that ends makes room for the next.
        drop(first);
        edge.until_open(2).await;
        let mut third = edge.connect().await;
        assert_eq!(ask(&mut third, GET).await.0, 200);
        ended(&mut edge.connect().await).await;
        // A trusted proxy speaks for many.
        limits.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        let listeners = [listener(None)];
        let reload = edge.control.prepare(&listeners, limits, now());
        reload.unwrap().apply();
        assert_eq!(ask(&mut edge.connect().await, GET).await.0, 200);
    }

    #[tokio::test]
    async fn an_idle_gateway_stops_at_once() {
        let edge = Edge::start(limits());
        let mut idle = edge.connect().await;
        assert_eq!(ask(&mut idle, GET).await.0, 200);
        edge.stop.send(true).unwrap();
        let stopped = Instant::now();
        edge.stopped().await;
        // Half the bound on idle connections and on draining would already be wrong.
        assert!(stopped.elapsed() < GENEROUS / 2);
        ended(&mut idle).await;
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered_before_the_end() {
        let edge = Edge::start(limits());
        let mut client = edge.connect().await;
        let wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(wait.as_bytes()).await.unwrap();
        edge.until_heads(1).await;
        edge.stop.send(true).unwrap();
        // New connections are refused, the old one goes on.
        let refused = async {
            while TcpStream::connect(edge.address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(GENEROUS, refused).await.unwrap();
        assert!(!edge.served.is_finished());
        edge.gate.add_permits(1);
        assert_eq!(answer(&mut client).await.0, 200);
        edge.stopped().await;
        ended(&mut client).await;
    }

    #[tokio::test]
    async fn a_request_on_its_way_when_the_gateway_stops_is_answered() {
        let edge = Edge::start(limits());
        let mut new = edge.connect().await;
        let mut kept = edge.connect().await;
        assert_eq!(ask(&mut kept, GET).await.0, 200);
        edge.until_open(2).await;
        edge.stop.send(true).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        for client in [&mut new, &mut kept] {
            assert_eq!(ask(client, GET).await.0, 200);
            ended(client).await;
        }
        edge.stopped().await;
    }

    #[tokio::test]
    async fn draining_is_bounded() {
        let mut limits = limits();
        limits.timeouts.drain = Duration::from_millis(200);
        let edge = Edge::start(limits);
        let mut client = edge.connect().await;
        let wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(wait.as_bytes()).await.unwrap();
        edge.until_heads(1).await;
        edge.stop.send(true).unwrap();
        edge.stopped().await;
        ended(&mut client).await;
    }

    struct Told(AtomicUsize);

    #[async_trait::async_trait]
    impl HttpServerApp for Told {
        async fn process_new_http(
            self: &Arc<Self>,
            _session: ServerSession,
            _shutdown: &ShutdownWatch,
        ) -> Option<pingora::apps::ReusedHttpStream> {
            None
        }

        async fn http_cleanup(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn the_app_is_told_of_the_end() {
        let listeners = Listeners::bind(
            &[listener(None)],
            &mut Sockets::default(),
            limits(),
            Metrics::new().unwrap(),
            now(),
        )
        .unwrap();
        let app = Arc::new(Told(AtomicUsize::new(0)));
        let (stop, shutdown) = watch::channel(false);
        let served = tokio::spawn(listeners.serve(alone(app.clone()), shutdown));
        // The end of whoever could say stop is an end as well.
        drop(stop);
        tokio::time::timeout(GENEROUS, served)
            .await
            .unwrap()
            .unwrap();
        // Once for clients, once for proxies.
        assert_eq!(app.0.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let listener = model::Listener {
            address,
            ..listener(None)
        };
        let bound = Listeners::bind(
            &[listener],
            &mut Sockets::default(),
            limits(),
            Metrics::new().unwrap(),
            now(),
        );
        let message = bound.unwrap_err().to_string();
        assert!(message.contains(&address.to_string()), "{message}");
        assert!(message.contains("another program"), "{message}");
    }

    #[tokio::test]
    async fn a_reload_that_moves_listeners_changes_nothing() {
        let edge = Edge::start(limits());
        let moved = model::Listener {
            address: "127.0.0.2:0".parse().unwrap(),
            ..listener(None)
        };
        for listeners in [vec![], vec![moved]] {
            let refused = edge.control.prepare(&listeners, limits(), now());
            assert!(matches!(refused, Err(ReloadError::Listeners)));
        }
        assert_eq!(ask(&mut edge.connect().await, GET).await.0, 200);
    }

    /// A self-signed certificate in `dir`, for the config and for a client that trusts it.
    fn certificate(dir: &Path, name: &str) -> (model::Certificate, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let file = name.replace('*', "any");
        let (cert, key) = (
            dir.join(format!("{file}.pem")),
            dir.join(format!("{file}.key")),
        );
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (model::Certificate { cert, key }, made.cert.der().clone())
    }

    fn client_config(
        trusted: &[&CertificateDer<'static>],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        for root in trusted {
            roots.add((*root).clone()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    type TlsClient = tokio_rustls::client::TlsStream<TcpStream>;

    async fn shake(edge: &Edge, name: &str, config: rustls::ClientConfig) -> io::Result<TlsClient> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, edge.connect().await)
            .await
    }

    #[tokio::test]
    async fn sni_picks_the_certificate_over_both_tls_versions() {
        let dir = tempfile::tempdir().unwrap();
        let (first, first_der) = certificate(dir.path(), "files.example.org");
        let (second, second_der) = certificate(dir.path(), "photos.example.org");
        let (third, third_der) = certificate(dir.path(), "*.share.example.org");
        let certificates = vec![first, second, third];
        let edge = Edge::start_on(limits(), Some(model::Tls { certificates }));
        assert_eq!(edge.control.expiries().len(), 3);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            for (name, expected) in [
                ("files.example.org", &first_der),
                ("photos.example.org", &second_der),
                ("PHOTOS.example.org", &second_der),
                ("a.share.example.org", &third_der),
            ] {
                // Trusts only this one: any other fails the handshake.
                let config = client_config(&[expected], &[version]);
                let mut client = shake(&edge, name, config).await.unwrap();
                assert_eq!(client.get_ref().1.protocol_version(), Some(version.version));
                let peer = "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n";
                assert!(ask(&mut client, peer).await.1.ends_with(" true"));
            }
            // A name that none has (a wildcard stands for one label) gets the first.
            let config = client_config(&[&first_der], &[version]);
            let error = shake(&edge, "b.a.share.example.org", config)
                .await
                .unwrap_err();
            assert!(error.to_string().contains("not valid for name"), "{error}");
        }
    }

    #[tokio::test]
    async fn http2_over_alpn() {
        let dir = tempfile::tempdir().unwrap();
        let (first, der) = certificate(dir.path(), "files.example.org");
        let certificates = vec![first];
        let edge = Edge::start_on(limits(), Some(model::Tls { certificates }));
        let mut config = client_config(&[&der], &[&rustls::version::TLS13]);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .resolve("files.example.org", edge.address)
            .build()
            .unwrap();
        let get = |path: &str| {
            client
                .get(format!("https://files.example.org{path}"))
                .send()
        };
        let answer = get("/peer").await.unwrap();
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert!(answer.text().await.unwrap().ends_with(" true"));
        let upload = client
            .put("https://files.example.org/body")
            .body(vec![0; 3 << 20])
            .send();
        assert_eq!(
            upload.await.unwrap().text().await.unwrap(),
            (3 << 20).to_string()
        );
        let large = client
            .get("https://files.example.org/")
            .header("a", "x".repeat(1024));
        assert_eq!(large.send().await.unwrap().status(), 431);
        let waiting = tokio::spawn(get("/wait"));
        edge.until_heads(3).await;
        edge.stop.send(true).unwrap();
        edge.gate.add_permits(1);
        assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
        edge.stopped().await;
    }

    #[tokio::test]
    async fn an_idle_http2_connection_does_not_hold_up_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (first, der) = certificate(dir.path(), "files.example.org");
        let certificates = vec![first];
        let edge = Edge::start_on(limits(), Some(model::Tls { certificates }));
        let mut config = client_config(&[&der], &[&rustls::version::TLS13]);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .resolve("files.example.org", edge.address)
            .build()
            .unwrap();
        let answer = client.get("https://files.example.org/").send().await;
        assert_eq!(answer.unwrap().text().await.unwrap(), "hello");
        let stopped = Instant::now();
        edge.stop.send(true).unwrap();
        edge.stopped().await;
        assert!(stopped.elapsed() < GENEROUS / 2);
    }

    #[tokio::test]
    async fn handshakes_and_prefaces_that_never_come_are_closed() {
        let dir = tempfile::tempdir().unwrap();
        let (first, der) = certificate(dir.path(), "files.example.org");
        let certificates = vec![first];
        let edge = Edge::start_on(limits(), Some(model::Tls { certificates }));
        ended(&mut edge.connect().await).await;
        let mut config = client_config(&[&der], &[&rustls::version::TLS13]);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let _client = shake(&edge, "files.example.org", config).await.unwrap();
        edge.until_open(1).await;
        edge.until_open(0).await;
    }

    #[tokio::test]
    async fn certificates_are_replaced_under_a_running_connection() {
        let dir = tempfile::tempdir().unwrap();
        let (first, old_der) = certificate(dir.path(), "files.example.org");
        let tls = model::Tls {
            certificates: vec![first.clone()],
        };
        let edge = Edge::start_on(limits(), Some(tls.clone()));
        let both = [&rustls::version::TLS12, &rustls::version::TLS13];
        let config = client_config(&[&old_der], &both);
        let mut old = shake(&edge, "files.example.org", config).await.unwrap();
        assert_eq!(ask(&mut old, GET).await.0, 200);

        let (_, new_der) = certificate(dir.path(), "files.example.org");
        let listeners = [listener(Some(tls.clone()))];
        let reload = edge.control.prepare(&listeners, limits(), now());
        reload.unwrap().apply();
        let config = client_config(&[&new_der], &both);
        let mut new = shake(&edge, "files.example.org", config).await.unwrap();
        assert_eq!(ask(&mut new, GET).await.0, 200);
        assert_eq!(ask(&mut old, GET).await.0, 200);

        // A bad file changes nothing.
        std::fs::write(&first.cert, "not a certificate").unwrap();
        let refused = edge.control.prepare(&listeners, limits(), now());
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("files.example.org.pem"), "{message}");
        let config = client_config(&[&new_der], &both);
        assert!(shake(&edge, "files.example.org", config).await.is_ok());
    }
}
