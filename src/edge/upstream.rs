//! Where permitted requests go: servers in turn, resolved beforehand, the broken ones skipped.
//!
//! Nothing here asks a name server while a request waits, and nothing gives out a peer without a
//! [`Permit`]. Certificates of TLS upstreams are always verified against their name.

use super::lane::pool::Pool;
use super::upgrade::UpgradeConnect;
use crate::clock::Timestamp;
use crate::config::model;
use crate::gate::Permit;
use crate::observe::metrics::ServerState;
use arc_swap::ArcSwap;
use pingora::protocols::ALPN;
use pingora::protocols::l4::ext::TcpKeepalive;
use pingora::upstreams::peer::HttpPeer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;

/// How often names are asked for again.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// How often servers are asked for a connection.
pub const CHECK_EVERY: Duration = Duration::from_secs(15);
/// How long one name may take; the others do not wait for it.
const RESOLVE_MAX: Duration = Duration::from_secs(10);
/// How long a server that could not be reached is left alone while others are there.
const SKIP: Duration = Duration::from_secs(5);

/// All upstreams of one config, by name.
#[derive(Debug)]
pub struct Upstreams(BTreeMap<String, Arc<Upstream>>);

/// One upstream, ready to be asked.
#[derive(Debug)]
pub(crate) struct Upstream {
    name: String,
    config: model::Upstream,
    targets: ArcSwap<Vec<Arc<Target>>>,
    next: AtomicUsize,
    /// Counts upgrades from 1; 0 is everybody else's group of connections.
    upgrades: AtomicU64,
}

/// One address of one server.
#[derive(Debug)]
pub(crate) struct Target {
    /// As configured, `host:port`.
    server: String,
    pub(super) address: SocketAddr,
    peer: HttpPeer,
    /// Connections that the lane keeps; Pingora has its own.
    pub(super) pool: Arc<Pool>,
    /// Not to be used before this time, unless nothing else is there.
    skipped_until: AtomicI64,
}

/// How an exchange flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    /// A request and its answer, neither silent for longer than the config allows.
    #[default]
    Bounded,
    /// An event stream: the answer may be silent for as long as it likes.
    Events,
    /// A WebSocket: both sides may.
    Upgrade,
}

/// No address of any server is known (yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no address is known for any server of the upstream")]
pub(crate) struct NoServer;

impl Upstreams {
    /// Literal addresses are ready at once; names after [`Self::resolve`]. What `previous` had
    /// found is kept until then, so that a reload during a name server's outage breaks nothing.
    #[must_use]
    pub fn new(config: &model::Config, previous: Option<&Self>) -> Self {
        let build = |(name, upstream): (&String, &model::Upstream)| {
            let previous = previous.and_then(|previous| previous.0.get(name));
            (
                name.clone(),
                Arc::new(Upstream::new(name, upstream, previous.map(Arc::as_ref))),
            )
        };
        Self(config.upstreams.iter().map(build).collect())
    }

    /// Asks for every name once. Returns the servers (`upstream: host:port`) that have no address.
    pub async fn resolve(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for upstream in self.0.values() {
            missing.extend(upstream.resolve().await);
        }
        missing
    }

    /// Asks every server for a connection, which is closed at once: all at the same time, none for
    /// longer than its `timeouts.connect`. A server is up if one of its addresses takes it.
    pub async fn check(&self) -> Vec<ServerState> {
        let mut asked = Vec::new();
        for upstream in self.0.values() {
            for server in &upstream.config.servers {
                let (upstream, server) = (Arc::clone(upstream), server.clone());
                asked.push(tokio::spawn(async move { upstream.check(server).await }));
            }
        }
        let mut found = Vec::new();
        for one in asked {
            found.extend(one.await);
        }
        found
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.0.get(name)
    }
}

impl Upstream {
    fn new(name: &str, config: &model::Upstream, previous: Option<&Self>) -> Self {
        let mut targets = Vec::new();
        for server in &config.servers {
            if let Ok(address) = server.parse() {
                targets.push(Arc::new(Target::new(server, address, config)));
            } else if let Some(previous) = previous {
                for known in previous.targets.load().iter() {
                    if known.server == *server {
                        targets.push(Arc::new(Target::new(server, known.address, config)));
                    }
                }
            }
        }
        Self {
            name: name.to_owned(),
            config: config.clone(),
            targets: ArcSwap::from_pointee(targets),
            next: AtomicUsize::new(0),
            upgrades: AtomicU64::new(1),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn config(&self) -> &model::Upstream {
        &self.config
    }

    /// How many addresses a request may try.
    pub(crate) fn size(&self) -> usize {
        self.targets.load().len()
    }

    /// The next server in turn, for a request that has its permit.
    pub(crate) fn peer(
        &self,
        _permit: &Permit,
        now: Timestamp,
        flow: Flow,
    ) -> Result<Box<HttpPeer>, NoServer> {
        self.choose(now, flow)
    }

    /// The same for the lane, which connects by itself.
    pub(super) fn target(&self, _permit: &Permit, now: Timestamp) -> Result<Arc<Target>, NoServer> {
        self.in_turn(now)
    }

    /// Whether the servers are asked without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.config.tls.is_none()
    }

    fn in_turn(&self, now: Timestamp) -> Result<Arc<Target>, NoServer> {
        let targets = self.targets.load();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = || {
            let start = turn.checked_rem(targets.len()).unwrap_or(0);
            targets.iter().skip(start).chain(targets.iter().take(start))
        };
        let is_usable =
            |target: &&Arc<Target>| target.skipped_until.load(Ordering::Relaxed) <= now.0;
        let target = in_turn().find(is_usable).or_else(|| in_turn().next());
        target.map(Arc::clone).ok_or(NoServer)
    }

    fn choose(&self, now: Timestamp, flow: Flow) -> Result<Box<HttpPeer>, NoServer> {
        let mut peer = Box::new(self.in_turn(now)?.peer.clone());
        if flow != Flow::Bounded {
            peer.options.read_timeout = None;
        }
        if flow == Flow::Upgrade {
            let timeout = self.config.timeouts.connect;
            peer.options.custom_l4 = Some(Arc::new(UpgradeConnect { timeout }));
            // A group of its own: such a connection is neither taken from the pool nor found there.
            peer.group_key = self.upgrades.fetch_add(1, Ordering::Relaxed);
        }
        Ok(peer)
    }

    /// A server could not be reached: the others first, for a while.
    pub(crate) fn skip(&self, server: &SocketAddr, now: Timestamp) {
        for target in self.targets.load().iter() {
            if target.address == *server {
                target
                    .skipped_until
                    .store(now.after(SKIP).0, Ordering::Relaxed);
            }
        }
    }

    async fn check(&self, server: String) -> ServerState {
        let limit = self.config.timeouts.connect;
        let mut is_up = false;
        for target in self.targets.load_full().iter() {
            if target.server == server && !is_up {
                let connecting = TcpStream::connect(target.address);
                is_up = matches!(tokio::time::timeout(limit, connecting).await, Ok(Ok(_)));
            }
        }
        ServerState {
            upstream: self.name.clone(),
            server,
            is_up,
        }
    }

    async fn resolve(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for server in &self.config.servers {
            let addresses = lookup(server).await;
            let known = self.targets.load();
            let known: Vec<SocketAddr> = known
                .iter()
                .filter(|target| target.server == *server)
                .map(|target| target.address)
                .collect();
            // The last good answer stands until there is a better one.
            let addresses = if addresses.is_empty() {
                known
            } else {
                addresses
            };
            if addresses.is_empty() {
                missing.push(format!("{}: {server}", self.name));
            }
            found.extend(addresses.into_iter().map(|address| (server, address)));
        }
        let targets = self.targets.load();
        let known = targets
            .iter()
            .map(|target| (&target.server, target.address));
        if !known.eq(found.iter().copied()) {
            let fresh = found
                .iter()
                .map(|(server, address)| Target::new(server, *address, &self.config))
                .map(Arc::new);
            self.targets.store(Arc::new(fresh.collect()));
        }
        missing
    }
}

/// Every address of `host:port`, in one order however the name server shuffles them.
async fn lookup(server: &str) -> Vec<SocketAddr> {
    if let Ok(literal) = server.parse() {
        return vec![literal];
    }
    let Ok(Ok(found)) = tokio::time::timeout(RESOLVE_MAX, tokio::net::lookup_host(server)).await
    else {
        return Vec::new();
    };
    let mut addresses: Vec<SocketAddr> = found.collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

impl Target {
    fn new(server: &str, address: SocketAddr, config: &model::Upstream) -> Self {
        let (tls, name) = match &config.tls {
            Some(tls) => (true, tls.server_name.clone()),
            None => (false, String::new()),
        };
        // From an address, not a name: this neither asks a name server nor fails.
        let mut peer = HttpPeer::new(address, tls, name);
        let timeouts = &config.timeouts;
        let options = &mut peer.options;
        options.connection_timeout = Some(timeouts.connect);
        options.total_connection_timeout = Some(timeouts.connect.saturating_mul(2));
        options.read_timeout = Some(timeouts.read);
        options.write_timeout = Some(timeouts.write);
        options.idle_timeout = Some(timeouts.idle);
        options.alpn = ALPN::H1;
        // A backend that went away without a word ends a silent WebSocket too.
        options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_secs(60),
            interval: Duration::from_secs(15),
            count: 4,
            user_timeout: Duration::ZERO,
        });
        Self {
            server: server.to_owned(),
            address,
            peer,
            pool: Arc::new(Pool::new(timeouts.idle)),
            skipped_until: AtomicI64::new(i64::MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn config(servers: &[&str], tls: bool) -> model::Upstream {
        model::Upstream {
            servers: servers.iter().map(ToString::to_string).collect(),
            tls: tls.then(|| model::UpstreamTls {
                server_name: "files.internal".to_owned(),
            }),
            timeouts: model::UpstreamTimeouts {
                connect: Duration::from_secs(3),
                read: Duration::from_secs(60),
                write: Duration::from_secs(61),
                idle: Duration::from_secs(62),
            },
            headers: Vec::new(),
            host: None,
        }
    }

    /// The next server and what its peer is like, without the permit that only the gate can make.
    fn next(upstream: &Upstream, now: Timestamp) -> Result<String, NoServer> {
        let peer = upstream.choose(now, Flow::Bounded)?;
        Ok(peer._address.to_string())
    }

    #[test]
    fn servers_take_turns_and_broken_ones_are_left_alone_for_a_while() {
        let upstream = Upstream::new(
            "files",
            &config(&["127.0.0.1:1", "127.0.0.1:2"], false),
            None,
        );
        let turns: Vec<_> = (0..4).map(|_| next(&upstream, NOW).unwrap()).collect();
        assert_eq!(
            turns,
            ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:1", "127.0.0.1:2"]
        );
        let first = upstream.in_turn(NOW).unwrap();
        upstream.skip(&first.address, NOW);
        for _ in 0..4 {
            assert_eq!(next(&upstream, NOW).unwrap(), "127.0.0.1:2");
        }
        let second = upstream.in_turn(NOW).unwrap();
        upstream.skip(&second.address, NOW);
        assert!(
            next(&upstream, NOW).is_ok(),
            "a broken server is better than none"
        );
        let later: Vec<_> = (0..2)
            .map(|_| next(&upstream, NOW.after(SKIP)).unwrap())
            .collect();
        assert_ne!(later[0], later[1]);
    }

    #[test]
    fn peers_have_every_bound_and_verify_certificates() {
        let upstream = Upstream::new("files", &config(&["127.0.0.1:1"], true), None);
        let peer = upstream.choose(NOW, Flow::Bounded).unwrap();
        assert!(peer.is_tls());
        assert_eq!(peer.sni, "files.internal");
        assert!(peer.options.verify_cert && peer.options.verify_hostname);
        assert_eq!(
            peer.options.connection_timeout,
            Some(Duration::from_secs(3))
        );
        assert_eq!(peer.options.read_timeout, Some(Duration::from_secs(60)));
        assert_eq!(peer.options.write_timeout, Some(Duration::from_secs(61)));
        assert_eq!(peer.options.idle_timeout, Some(Duration::from_secs(62)));
        let streaming = upstream.choose(NOW, Flow::Events).unwrap();
        assert_eq!(streaming.options.read_timeout, None);
        assert_eq!(
            streaming.options.write_timeout,
            Some(Duration::from_secs(61))
        );
    }

    #[tokio::test]
    async fn names_are_resolved_beforehand_and_the_last_good_answer_stands() {
        let upstream = Upstream::new("files", &config(&["localhost:5000"], false), None);
        assert_eq!(next(&upstream, NOW), Err(NoServer));
        assert_eq!(upstream.resolve().await, Vec::<String>::new());
        assert!(next(&upstream, NOW).unwrap().ends_with(":5000"));
        // A reload keeps what was found, without asking anyone.
        let reloaded = Upstream::new(
            "files",
            &config(&["localhost:5000"], false),
            Some(&upstream),
        );
        assert!(next(&reloaded, NOW).is_ok());
        let elsewhere = Upstream::new(
            "files",
            &config(&["localhost:6000"], false),
            Some(&upstream),
        );
        assert_eq!(next(&elsewhere, NOW), Err(NoServer));
    }

    #[tokio::test]
    async fn a_server_is_up_while_one_of_its_addresses_takes_a_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let nowhere = "no-such-name.invalid:1";
        let upstream = Upstream::new("files", &config(&[&here, nowhere], false), None);
        let upstreams = Upstreams([("files".to_owned(), Arc::new(upstream))].into());
        let state = |server: &str, is_up| ServerState {
            upstream: "files".to_owned(),
            server: server.to_owned(),
            is_up,
        };
        assert_eq!(
            upstreams.check().await,
            [state(&here, true), state(nowhere, false)]
        );
        drop(listener);
        assert_eq!(
            upstreams.check().await,
            [state(&here, false), state(nowhere, false)]
        );
    }

    #[tokio::test]
    async fn a_name_that_nobody_knows_is_reported() {
        let upstream = Upstream::new("files", &config(&["no-such-name.invalid:1"], false), None);
        assert_eq!(upstream.resolve().await, ["files: no-such-name.invalid:1"]);
        assert_eq!(next(&upstream, NOW), Err(NoServer));
    }
}
