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
mod tests;
