//! Whole requests, by both lanes: accept loop, phases, gate and a real backend on sockets of their own.

mod lane;

use super::h2::{h2_options, server_options};
use super::listen::{Apps, Limits, Listeners};
use super::proxy::{Gateway, Snapshot, build};
use super::sockets::Sockets;
use super::stall::Watched;
use super::watch::{Exchange, Learner};
use crate::auth::fixture;
use crate::clock::{Clock, SystemClock};
use crate::config::model::{
    self, CredentialSource, ForwardToken, Identity, People, Requirement, Rule,
};
use crate::digest::{DigestKeys, SessionKey};
use crate::gate::session::{Factor, Holder, Session, Terms};
use crate::gate::{Gate, Known, Unavailable, Witness};
use crate::id::{SessionId, UserId};
use crate::local::Local;
use crate::observe::metrics::Metrics;
use crate::secret::{Sealed, Secret};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{HeaderName, Method};
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

mod backends;
mod bodies;
mod forward_auth;
mod forwarding;
mod origins;
mod sign_in;

const HOST: &str = "files.example.org";
const PATIENCE: Duration = Duration::from_secs(20);

fn keys() -> DigestKeys {
    DigestKeys::derive(&[3; 32])
}

/// `good`, `share` and `born` are verified on any device they name, `new` is not, `down` breaks the store. `born`
/// stands for a token that cannot be opened.
struct Names;

fn holder(token: &str) -> Holder {
    Holder {
        user: UserId(1),
        name: "ann".into(),
        terms: Terms::of(
            (token == "share").then_some("/dir/"),
            (token == "born").then(|| Sealed([7; 32].into())),
            Vec::new(),
        ),
    }
}

#[async_trait]
impl Witness for Names {
    async fn holder(&self, _realm: &str, token: &str) -> Result<Known, Unavailable> {
        match token {
            "good" | "share" | "born" | "new" => Ok(Known::Yes {
                fresh_for: None,
                holder: holder(token),
                issued_pair: None,
            }),
            "down" => Err(Unavailable),
            _ => Ok(Known::No),
        }
    }

    async fn session(&self, key: SessionKey) -> Result<Option<Session>, Unavailable> {
        let now = SystemClock.now();
        let token = ["good", "share", "born"].into_iter().find(|token| {
            [None, Some("phone")]
                .iter()
                .any(|device| keys().realm("id").session(token, *device) == key)
        });
        Ok(token.map(|token| Session {
            id: SessionId(1),
            holder: holder(token),
            factor: Factor::Sms,
            verified_at: now,
            expires_at: now.after(Duration::from_secs(3600)),
            last_seen_at: now,
            longest_pause_secs: 0,
        }))
    }

    async fn spend_success(
        &self,
        _realm: &str,
        _success: &str,
        _token: Option<&str>,
    ) -> Result<Option<Holder>, Unavailable> {
        Ok(None)
    }
}

#[derive(Default)]
struct Learned(Mutex<Vec<Exchange>>);

impl Learner for Learned {
    fn learned(&self, exchange: Exchange) {
        self.0.lock().unwrap().push(exchange);
    }

    fn refused(&self, _guess: crate::auth::backend::Guess) {}
}

/// A backend that writes down every request as it came.
#[derive(Clone, Default)]
struct Origin(Arc<Mutex<Vec<String>>>);

impl Origin {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(origin.clone().serve(stream));
            }
        });
        address
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some(head) = read_head(&mut stream).await else {
            return;
        };
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.0.lock().unwrap().push(head.clone());
        match path.as_str() {
            // Answers whole, without looking at the body, and stays.
            "/early" => {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    .await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
            "/silent" => {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
            "/ws" => {
                let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                let mut frame = [0; 4];
                stream.read_exact(&mut frame).await.unwrap();
                stream.write_all(&frame).await.unwrap();
            }
            "/api/authtoken" => {
                let _ = read_body(&mut stream, &head).await;
                let body = "{\"token\":\"fresh\"}";
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                     {:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            _ => {
                let body = read_body(&mut stream, &head).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\nServer: origin\r\n\
                     X-Vestibule-User: root\r\nSet-Cookie: vestibule_device=fixed\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.write_all(&body).await;
            }
        }
    }

    /// What reached the backend since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// A body of a known length; others are not read.
async fn read_body(stream: &mut TcpStream, head: &str) -> Vec<u8> {
    let length = value(head, "content-length").and_then(|value| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = stream.read_exact(&mut body).await;
    body
}

/// The value of a header in a head's text.
fn value<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Which way requests may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ways {
    /// As in production: the lane first, then Pingora's.
    Both,
    PingoraOnly,
    /// What the lane does not take is closed without an answer.
    LaneOnly,
}

/// In Pingora's place: answers nothing.
struct Nobody;

#[async_trait]
impl HttpServerApp for Nobody {
    async fn process_new_http(
        self: &Arc<Self>,
        _session: ServerSession,
        _shutdown: &watch::Receiver<bool>,
    ) -> Option<ReusedHttpStream> {
        None
    }
}

/// A running gateway in front of an [`Origin`].
struct World {
    address: SocketAddr,
    /// A second listener, where a test has one.
    asked: Option<SocketAddr>,
    origin: Origin,
    learned: Arc<Learned>,
    app: Arc<Watched>,
    metrics: Metrics,
    stop: watch::Sender<bool>,
}

fn config(identity: Identity, server: String) -> model::Config {
    let settings = fixture::World::new().auth.settings.load_full();
    let mut config = model::Config {
        listeners: vec![model::Listener {
            address: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            forward_auth: false,
        }],
        timeouts: model::Timeouts {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            keepalive: Duration::from_secs(75),
            write: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        },
        connections: model::Connections {
            max: 100,
            per_address_max: 1_024,
            head_bytes_max: 1 << 16,
            headers_max: 100,
        },
        admin: model::Admin {
            address: None,
            socket: None,
        },
        trusted_proxies: Vec::new(),
        store: model::Store {
            engine: model::StoreEngine::Memory,
            key: Secret::new(""),
        },
        sessions: settings.sessions,
        codes: settings.codes,
        limits: settings.limits.clone(),
        lockout: settings.lockout,
        sudo: Duration::from_secs(600),
        tokens: model::Tokens {
            issuer: "https://files.example.org".to_owned(),
            algorithm: model::SigningAlgorithm::EdDsa,
            access_lifetime: Duration::from_secs(600),
            refresh_lifetime: Duration::from_secs(600),
        },
        delivery: model::Delivery::default(),
        identities: BTreeMap::from([("id".to_owned(), identity.clone())]),
        upstreams: BTreeMap::new(),
        routes: vec![super::head::tests::route(identity, Vec::new()).config],
        portal: model::Portal::default(),
        traces: None,
        log: model::Log {
            json: false,
            level: "info".to_owned(),
        },
        threads: 2,
    };
    config
        .upstreams
        .insert("files".to_owned(), upstream(server));
    let route = &mut config.routes[0];
    route.identity = "id".to_owned();
    route.credentials = vec![
        CredentialSource::Bearer,
        CredentialSource::Query("token".to_owned()),
        CredentialSource::Path("/share/".to_owned()),
    ];
    let rule = |methods: &[Method], path: &str, require| Rule {
        methods: methods.to_vec(),
        paths: vec![path.to_owned()],
        ..Rule::of(require)
    };
    route.rules = vec![
        rule(&[], "/public/", Requirement::Nothing),
        rule(&[], "/early", Requirement::Nothing),
        rule(&[], "/dir/closed/", Requirement::Deny),
    ];
    config
}

fn upstream(server: String) -> model::Upstream {
    model::Upstream {
        servers: vec![server],
        tls: None,
        timeouts: model::UpstreamTimeouts {
            connect: Duration::from_secs(3),
            read: Duration::from_secs(30),
            write: Duration::from_secs(30),
            idle: Duration::from_secs(30),
        },
        headers: vec![(HeaderName::from_static("x-api-key"), Secret::new("ours"))],
        host: None,
    }
}

fn learn() -> Identity {
    Identity::Learn(model::Learn {
        endpoint: "/api/authtoken".to_owned(),
        token: "/token".to_owned(),
        user: "/user".to_owned(),
        phone: None,
        email: None,
        groups: None,
        probe: None,
        lifetime: None,
    })
}

impl World {
    async fn new(identity: Identity) -> Self {
        Self::with(identity, |_| {}).await
    }

    async fn with(identity: Identity, change: impl FnOnce(&mut model::Config)) -> Self {
        Self::by(Ways::Both, identity, change).await
    }

    async fn by(ways: Ways, identity: Identity, change: impl FnOnce(&mut model::Config)) -> Self {
        let origin = Origin::default();
        let mut config = config(identity, origin.start().await.to_string());
        change(&mut config);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let witness: Arc<dyn Witness> = Arc::new(Names);
        let idle = Duration::from_secs(3600);
        let gate = Arc::new(Gate::new(
            Arc::clone(&witness),
            Arc::clone(&clock),
            100,
            idle,
        ));
        // The lane takes only those whom memory knows.
        let known = [
            ("good", None),
            ("good", Some("phone")),
            ("share", None),
            ("born", None),
        ];
        for (token, device) in known {
            let key = keys().realm("id").session(token, device);
            let session = Names.session(key).await.unwrap().unwrap();
            gate.remember(key, &session);
        }
        let learned = Arc::new(Learned::default());
        let metrics = Metrics::new().unwrap();
        let gateway = Gateway {
            snapshots: Arc::new(ArcSwap::from_pointee(Snapshot::new(
                config.clone(),
                &keys(),
                None,
            ))),
            gate: Arc::clone(&gate),
            local: Arc::new(Local {
                auth: fixture::World::new().auth,
                gate,
                witness,
            }),
            learner: Arc::clone(&learned) as _,
            device_label: Box::new(|device| format!("label-of-{device}")),
            clock,
            metrics: metrics.clone(),
        };
        let mut options = server_options(&config.timeouts);
        // For the tests that speak HTTP/2 without TLS straight to the app.
        options.h2c = true;
        let mut apps = build(gateway, h2_options(&config.connections), options);
        let app = Arc::clone(&apps.clients);
        let limits = Limits {
            trusted_proxies: config.trusted_proxies.clone(),
            timeouts: config.timeouts.clone(),
            connections: config.connections.clone(),
        };
        let listeners = Listeners::bind(
            &config.listeners,
            &mut Sockets::default(),
            limits,
            metrics.clone(),
            SystemClock.now(),
        )
        .unwrap();
        let addresses = listeners.local_addrs().unwrap();
        let (stop, stopped) = watch::channel(false);
        match ways {
            Ways::Both => drop(tokio::spawn(listeners.serve(apps, stopped))),
            Ways::PingoraOnly => {
                apps.lane = None;
                tokio::spawn(listeners.serve(apps, stopped));
            }
            Ways::LaneOnly => {
                let nobody = Apps {
                    clients: Arc::new(Nobody),
                    lane: apps.lane,
                    proxies: Arc::new(Nobody),
                };
                tokio::spawn(listeners.serve(nobody, stopped));
            }
        }
        Self {
            address: addresses[0],
            asked: addresses.get(1).copied(),
            origin,
            learned,
            app,
            metrics,
            stop,
        }
    }

    /// Sends one request with `Connection: close` and reads its whole answer.
    async fn ask(&self, line: &str, headers: &[&str], body: &str) -> String {
        let mut request = format!("{line} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.send(&format!("{request}\r\n{body}")).await
    }

    async fn send(&self, request: &str) -> String {
        self.send_to(self.address, request).await
    }

    async fn send_to(&self, address: SocketAddr, request: &str) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = client.read_to_end(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn forwarded(&self, line: &str, headers: &[&str]) -> String {
        let answer = self.ask(line, headers, "").await;
        assert_eq!(status(&answer), 200, "{answer}");
        let mut seen = self.origin.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    async fn refused(&self, expected: u16, line: &str, headers: &[&str]) -> String {
        let answer = self.ask(line, headers, "").await;
        assert_eq!(status(&answer), expected, "{line}: {answer}");
        assert_eq!(
            self.origin.take(),
            Vec::<String>::new(),
            "{line} was forwarded"
        );
        answer
    }
}

fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).unwrap_or_default();
    code.parse().unwrap_or(0)
}

const GOOD: &str = "Authorization: Bearer good";
