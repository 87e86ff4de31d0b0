//! Connections: accept, shake hands, hand each request to Pingora, drain. Their sockets are of
//! [`super::sockets`].
//!
//! Pingora's own `Server` is not used: its handshake time, header time, session cache, connection
//! count and grace period cannot be set, and it cannot be started on port 0 for a test. The same
//! loop runs in production and in tests. A connection is driven request by request here
//! (`conn` reads and checks each head first); HTTP/2 is Pingora's from the preface on.
//!
//! It decides nothing about requests, and no byte reaches `app` before its head has been checked.

mod accept;
mod places;

use self::accept::Acceptor;
use self::places::Shared;
use super::lane::Lane;
use super::sockets::Sockets;
use super::tls::{Expiry, Loaded, ServerTls, TlsError};
use crate::auth::crowd::Crowd;
use crate::clock::Timestamp;
use crate::config::model::{self, Connections, Timeouts};
use crate::observe::metrics::Metrics;
use arc_swap::ArcSwap;
use ipnet::IpNet;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::server::ShutdownWatch;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

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

#[cfg(test)]
mod tests;
