//! Whole requests, by both lanes: accept loop, phases, gate and a real backend on sockets of their own.

mod lane;

use super::h2::{h2_options, server_options};
use super::listen::{Limits, Listeners};
use super::proxy::{Gateway, Snapshot, build};
use super::stall::Watched;
use super::watch::{Exchange, Learner};
use crate::auth::fixture;
use crate::clock::{Clock, SystemClock};
use crate::config::model::{self, CredentialSource, ForwardToken, Identity, Requirement, Rule};
use crate::digest::{DigestKeys, SessionKey};
use crate::gate::session::{Factor, Holder, Session};
use crate::gate::{Gate, Known, Unavailable, Witness};
use crate::id::{SessionId, UserId};
use crate::local::Local;
use crate::observe::metrics::Metrics;
use crate::secret::Secret;
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

const HOST: &str = "files.example.org";
const PATIENCE: Duration = Duration::from_secs(20);

fn keys() -> DigestKeys {
    DigestKeys::derive(&[3; 32])
}

/// `good` and `share` are verified on any device they name, `new` is not, `down` breaks the store.
struct Names;

fn holder(token: &str) -> Holder {
    Holder {
        user: UserId(1),
        name: "ann".into(),
        scope: (token == "share").then(|| "/dir/".into()),
    }
}

#[async_trait]
impl Witness for Names {
    async fn holder(&self, _realm: &str, token: &str) -> Result<Known, Unavailable> {
        match token {
            "good" | "share" | "new" => Ok(Known::Yes {
                holder: holder(token),
                issued_pair: None,
            }),
            "down" => Err(Unavailable),
            _ => Ok(Known::No),
        }
    }

    async fn session(&self, key: SessionKey) -> Result<Option<Session>, Unavailable> {
        let now = SystemClock.now();
        let token = ["good", "share"].into_iter().find(|token| {
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
        }))
    }
}

#[derive(Default)]
struct Learned(Mutex<Vec<Exchange>>);

impl Learner for Learned {
    fn learned(&self, exchange: Exchange) {
        self.0.lock().unwrap().push(exchange);
    }

    fn refused(&self, _route: &str, _address: std::net::IpAddr) {}
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
        delivery: model::Delivery::default(),
        identities: BTreeMap::from([("id".to_owned(), identity.clone())]),
        upstreams: BTreeMap::new(),
        routes: vec![super::head::tests::route(identity, Vec::new()).config],
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
        require,
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
        for (token, device) in [("good", None), ("good", Some("phone")), ("share", None)] {
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
        let (app, lane) = build(gateway, h2_options(&config.connections), options);
        let limits = Limits {
            timeouts: config.timeouts.clone(),
            connections: config.connections.clone(),
        };
        let listeners = Listeners::bind(
            &config.listeners,
            limits,
            metrics.clone(),
            SystemClock.now(),
        )
        .unwrap();
        let address = listeners.local_addrs().unwrap()[0];
        let (stop, stopped) = watch::channel(false);
        match ways {
            Ways::Both => drop(tokio::spawn(listeners.serve(
                Arc::clone(&app),
                Some(lane),
                stopped,
            ))),
            Ways::PingoraOnly => {
                tokio::spawn(listeners.serve(Arc::clone(&app), None, stopped));
            }
            Ways::LaneOnly => {
                tokio::spawn(listeners.serve(Arc::new(Nobody), Some(lane), stopped));
            }
        }
        Self {
            address,
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
        let mut client = TcpStream::connect(self.address).await.unwrap();
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

#[tokio::test]
async fn only_a_verified_pair_is_forwarded() {
    let world = World::new(Identity::Accounts).await;
    let none = world.refused(401, "GET /a", &[]).await;
    assert!(value(&none, "www-authenticate").is_some(), "{none}");
    assert_eq!(value(&none, "cache-control"), Some("no-store"));
    assert_eq!(value(&none, "server"), None, "{none}");
    world
        .refused(401, "GET /a", &["Authorization: Bearer nobody"])
        .await;
    let new = world
        .refused(401, "GET /a", &["Authorization: Bearer new"])
        .await;
    assert!(new.contains("insufficient_user_authentication"), "{new}");
    world
        .refused(401, "GET /a", &[GOOD, "X-Device-Id: other"])
        .await;
    world
        .refused(503, "GET /a", &["Authorization: Bearer down"])
        .await;
    world.refused(403, "GET /dir/closed/a", &[GOOD]).await;
    world.forwarded("GET /a", &[GOOD]).await;
    world.forwarded("GET /a?token=good", &[]).await;
    world
        .forwarded("PROPFIND /a", &[GOOD, "X-Device-Id: phone"])
        .await;
    world.forwarded("GET /public/a", &[]).await;
}

#[tokio::test]
async fn the_upstream_gets_what_was_matched_and_who_asked() {
    let world = World::new(Identity::Accounts).await;
    let head = world
        .forwarded(
            "GET /x/../a//b%41?q=1&q=/../2",
            &[
                GOOD,
                "X-Device-Id: phone",
                "X-Vestibule-User: root",
                "X_Vestibule_User: root",
                "X-Forwarded-For: 10.9.8.7",
                "X-Api-Key: theirs",
                "Cookie: a=1; vestibule_device=phone",
            ],
        )
        .await;
    assert!(
        head.starts_with("GET /a/bA?q=1&q=/../2 HTTP/1.1\r\n"),
        "{head}"
    );
    for (name, expected) in [
        ("host", HOST),
        ("authorization", "Bearer good"),
        ("x-vestibule-user", "ann"),
        ("x-vestibule-factor", "sms"),
        ("x-vestibule-device", "label-of-phone"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", HOST),
        ("x-api-key", "ours"),
        ("cookie", "a=1"),
    ] {
        assert_eq!(value(&head, name), Some(expected), "{name} in {head}");
    }
    assert!(!head.contains("root") && !head.contains("theirs"), "{head}");
    let copy = world
        .forwarded(
            "MOVE /a",
            &[GOOD, "Destination: http://files.example.org/x/..//b%41"],
        )
        .await;
    assert_eq!(value(&copy, "destination"), Some("/bA"), "{copy}");
    let answer = world.ask("GET /a", &[GOOD], "").await;
    assert_eq!(value(&answer, "server"), Some("origin"));
    assert_eq!(value(&answer, "x-vestibule-user"), None, "{answer}");
    assert_eq!(value(&answer, "set-cookie"), None, "{answer}");
}

#[tokio::test]
async fn the_token_is_removed_where_the_route_says_so() {
    let world = World::with(Identity::Accounts, |config| {
        config.routes[0].forward.token = ForwardToken::Remove;
        config.upstreams.get_mut("files").unwrap().host = Some("inside".to_owned());
    })
    .await;
    let head = world.forwarded("GET /a?x=1&token=good", &[GOOD]).await;
    assert!(head.starts_with("GET /a?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains("good"), "{head}");
    assert_eq!(value(&head, "host"), Some("inside"));
    assert_eq!(value(&head, "x-forwarded-host"), Some(HOST));
}

#[tokio::test]
async fn credentials_that_nobody_looked_at_are_not_forwarded_beside_a_permit() {
    let world = World::new(Identity::Accounts).await;
    for other in ["Basic YW5uOnBhc3M=", "Bearer\tother", "Token other"] {
        let other = format!("Authorization: {other}");
        let head = world.forwarded("GET /a?token=good", &[&other]).await;
        assert_eq!(value(&head, "authorization"), None, "{head}");
        // Nobody was let through for a token there: it is the backend's own affair.
        let head = world.forwarded("GET /public/a", &[&other]).await;
        assert!(value(&head, "authorization").is_some(), "{head}");
    }
    let head = world.forwarded("GET /a", &[GOOD]).await;
    assert_eq!(value(&head, "authorization"), Some("Bearer good"));
}

#[tokio::test]
async fn a_share_link_opens_its_directory_and_nothing_else() {
    let world = World::new(Identity::Accounts).await;
    let head = world.forwarded("GET /share/share/a/b?q=1", &[]).await;
    assert!(head.starts_with("GET /dir/a/b?q=1 HTTP/1.1\r\n"), "{head}");
    let head = world.forwarded("GET /share/share", &[]).await;
    assert!(head.starts_with("GET /dir/ HTTP/1.1\r\n"), "{head}");
    world
        .forwarded("GET /dir/a", &["Authorization: Bearer share"])
        .await;
    let out = world.ask("GET /share/share/../../a", &[], "").await;
    assert_ne!(status(&out), 200, "{out}");
    world
        .refused(403, "GET /a", &["Authorization: Bearer share"])
        .await;
    // The policy of what the link means holds, not only that of its spelling.
    world.refused(403, "GET /share/share/closed/a", &[]).await;
    world.refused(401, "GET /share/new/a", &[]).await;
    world.refused(401, "GET /share/nobody/a", &[]).await;
    world.refused(503, "GET /share/down/a", &[]).await;
    for copied in ["Destination: /share/share/b", "Destination: /dir/b"] {
        world.refused(403, "COPY /share/share/a", &[copied]).await;
    }
}

#[tokio::test]
async fn what_is_not_a_sites_own_is_not_forwarded() {
    let world = World::new(Identity::Accounts).await;
    world.refused(404, "GET /.vestibule/nothing", &[GOOD]).await;
    world.refused(404, "GET /.vestibule", &[GOOD]).await;
    world
        .refused(404, "GET /x/%2e%2e/%2evestibule/nothing", &[GOOD])
        .await;
    let trace = world.refused(405, "TRACE /a", &[GOOD]).await;
    assert!(value(&trace, "allow").is_some(), "{trace}");
    world.refused(400, "GET /a%2fb", &[GOOD]).await;
    world.refused(400, "GET /a\\b", &[GOOD]).await;
    world
        .refused(400, "GET /a", &[GOOD, "X-Device-Id: a", "X-Device-Id: b"])
        .await;
    let request = "GET /public/a HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&world.send(request).await), 404);
    let local = world.ask("GET /.vestibule/challenge", &[], "").await;
    assert_ne!(status(&local), 404, "{local}");
    let head = world.ask("HEAD /a", &[], "").await;
    assert_eq!(status(&head), 401);
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(world.origin.take(), Vec::<String>::new());
}

#[tokio::test]
async fn pages_of_allowed_origins_read_refusals_and_open_websockets() {
    let world = World::new(Identity::Accounts).await;
    let (app, evil) = (
        "Origin: https://app.example.org",
        "Origin: https://evil.example",
    );
    let wanted = "Access-Control-Request-Method: PUT";
    let preflight = world.refused(204, "OPTIONS /a", &[app, wanted]).await;
    assert_eq!(
        value(&preflight, "access-control-allow-methods"),
        Some("PUT")
    );
    world.refused(401, "OPTIONS /a", &[evil, wanted]).await;
    let refusal = world.refused(401, "GET /a", &[app]).await;
    let allowed = value(&refusal, "access-control-allow-origin");
    assert_eq!(allowed, Some("https://app.example.org"));
    let hidden = world.refused(401, "GET /a", &[evil]).await;
    assert_eq!(
        value(&hidden, "access-control-allow-origin"),
        None,
        "{hidden}"
    );
    let upgrade = ["Upgrade: websocket", GOOD, evil];
    world.refused(403, "GET /ws", &upgrade).await;
}

#[tokio::test]
async fn a_websocket_goes_both_ways_and_may_be_silent() {
    let short = Duration::from_millis(200);
    let world = World::with(Identity::Accounts, |config| {
        config.timeouts.body = short;
        config.upstreams.get_mut("files").unwrap().timeouts.read = short;
    })
    .await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{GOOD}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nOrigin: https://{HOST}\r\n\r\n"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let head = read_head(&mut client).await.unwrap();
    assert_eq!(status(&head), 101, "{head}");
    assert_eq!(value(&head, "upgrade"), Some("websocket"), "{head}");
    // Longer than any other exchange may be silent.
    tokio::time::sleep(short * 4).await;
    client.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    let read = client.read_exact(&mut echo);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert_eq!(&echo, b"ping");
}

#[tokio::test]
async fn a_sign_in_goes_through_unchanged_and_is_learned() {
    let world = World::new(learn()).await;
    let headers = ["Content-Type: application/json", "Accept-Encoding: gzip"];
    let answer = world
        .ask("POST /api/authtoken", &headers, "{\"username\":\"ann\"}")
        .await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("{\"token\":\"fresh\"}"), "{answer}");
    let head = world.origin.take().remove(0);
    assert_eq!(value(&head, "accept-encoding"), None, "{head}");
    assert_eq!(value(&head, "x-vestibule-user"), None, "{head}");
    let learned = world.learned.0.lock().unwrap().clone();
    assert_eq!(learned.len(), 1);
    assert_eq!(&learned[0].request_body[..], b"{\"username\":\"ann\"}");
    assert_eq!(&learned[0].response_body[..], b"{\"token\":\"fresh\"}");
    assert_eq!(learned[0].realm, "id");
    world.refused(401, "GET /api/authtoken", &[]).await;
}

#[tokio::test]
async fn policy_deny_holds_for_the_sign_in_too() {
    let world = World::with(learn(), |config| {
        config.routes[0].rules.insert(
            0,
            Rule {
                methods: Vec::new(),
                paths: vec!["/api/authtoken".to_owned()],
                require: Requirement::Deny,
            },
        );
    })
    .await;
    world.refused(403, "POST /api/authtoken", &[]).await;
}

#[tokio::test]
async fn bodies_are_forwarded_whole_and_bounded() {
    let world = World::with(Identity::Accounts, |config| {
        config.routes[0].body_bytes_max = Some(8);
    })
    .await;
    let answer = world.ask("PUT /a", &[GOOD], "12345678").await;
    assert!(answer.ends_with("\r\n\r\n12345678"), "{answer}");
    world.origin.take();
    let answer = world.ask("PUT /a", &[GOOD], "123456789").await;
    assert_eq!(status(&answer), 413, "{answer}");
    assert_eq!(world.origin.take(), Vec::<String>::new());
    // Not announced: it ends at the byte that is too much.
    let chunked = format!(
        "PUT /a HTTP/1.1\r\nHost: {HOST}\r\n{GOOD}\r\nTransfer-Encoding: chunked\r\n\r\n\
         9\r\n123456789\r\n0\r\n\r\n"
    );
    let answer = world.send(&chunked).await;
    assert_eq!(status(&answer), 413, "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    let large = "x".repeat((64 << 10) + 1);
    let answer = world.ask("POST /api/authtoken", &[], &large).await;
    assert_eq!(status(&answer), 413);
}

#[tokio::test]
async fn a_large_upload_without_a_permit_reads_its_refusal() {
    const SIZE: usize = 50 << 20;
    let world = World::new(Identity::Accounts).await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    let head = format!("PUT /big HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {SIZE}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![7u8; 1 << 20];
    for _ in 0..SIZE >> 20 {
        client.write_all(&piece).await.unwrap();
    }
    let mut answer = String::new();
    let read = client.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert_eq!(status(&answer), 401, "{answer}");
    assert!(answer.ends_with('}'), "{answer}");
    assert_eq!(world.origin.take(), Vec::<String>::new());
}

#[tokio::test]
async fn a_backend_that_fails_is_told_of_as_a_problem() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let world = World::with(Identity::Accounts, |config| {
        config.upstreams.get_mut("files").unwrap().servers = vec![address];
    })
    .await;
    let answer = world.refused(502, "GET /a", &[GOOD]).await;
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert_eq!(value(&answer, "server"), None, "{answer}");

    let world = World::with(Identity::Accounts, |config| {
        let upstream = config.upstreams.get_mut("files").unwrap();
        upstream.timeouts.read = Duration::from_millis(200);
    })
    .await;
    let answer = world.ask("GET /silent", &[GOOD], "").await;
    assert_eq!(status(&answer), 504, "{answer}");

    let world = World::with(Identity::Accounts, |config| {
        let upstream = config.upstreams.get_mut("files").unwrap();
        upstream.servers = vec!["no-such-name.invalid:1".to_owned()];
    })
    .await;
    world.refused(503, "GET /a", &[GOOD]).await;
}

#[tokio::test]
async fn a_server_that_is_down_is_passed_over() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let world = World::with(Identity::Accounts, |config| {
        let upstream = config.upstreams.get_mut("files").unwrap();
        upstream.servers.insert(0, address);
    })
    .await;
    for _ in 0..4 {
        world.forwarded("GET /a", &[GOOD]).await;
    }
}

#[tokio::test]
async fn a_stalled_http1_body_is_ended() {
    let world = World::with(Identity::Accounts, |config| {
        config.timeouts.body = Duration::from_millis(300);
    })
    .await;
    let head = format!("PUT /a HTTP/1.1\r\nHost: {HOST}\r\n{GOOD}\r\nContent-Length: 9\r\n\r\n123");
    let answer = world.send(&head).await;
    assert_eq!(status(&answer), 408, "{answer}");
}

/// An HTTP/2 frame: type, flags, stream 1.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

/// A POST in HPACK (RFC 7541) without any compression.
fn post(path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(&[0x01, u8::try_from(HOST.len()).unwrap()]);
    block.extend_from_slice(HOST.as_bytes());
    block
}

#[tokio::test]
async fn a_stalled_http2_body_is_reset_even_after_the_answer() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    let world = World::with(Identity::Accounts, |config| {
        config.timeouts.body = Duration::from_millis(200);
        config.upstreams.get_mut("files").unwrap().timeouts.write = Duration::from_millis(200);
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    let app = Arc::clone(&world.app);
    tokio::spawn(async move {
        use pingora::apps::ServerApp as _;
        use pingora::protocols::l4::{socket, stream::Stream};
        use std::os::fd::AsRawFd as _;
        let digest = pingora::protocols::SocketDigest::from_raw_fd(server.as_raw_fd());
        digest
            .peer_addr
            .set(Some(socket::SocketAddr::Inet(peer)))
            .unwrap();
        let mut stream = Stream::from(server);
        pingora::protocols::GetSocketDigest::set_socket_digest(&mut stream, digest);
        let (_stop, stopped) = watch::channel(false);
        app.process_new(Box::new(stream), &stopped).await;
    });
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    opening.extend(frame(4, 0, 0, &[]));
    // END_HEADERS, and no END_STREAM: a body should follow, and never does.
    opening.extend(frame(HEADERS, 4, 1, &post("/early")));
    client.write_all(&opening).await.unwrap();
    let mut answered = false;
    let reset = async {
        loop {
            let mut head = [0; 9];
            client.read_exact(&mut head).await.unwrap();
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            client.read_exact(&mut payload).await.unwrap();
            match head[3] {
                HEADERS => answered = true,
                RST_STREAM => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, reset)
        .await
        .expect("the stream was held open");
    assert!(answered, "the upstream's answer came first");
    assert_eq!(world.origin.take().len(), 1);
}
