//! Connections as a client makes them, against an application that answers by itself.

mod requests;
mod stopping;
mod tls;

use super::super::conn::About;
use super::super::h2;
use super::*;
use crate::clock::{Clock, SystemClock};
use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{HttpProxy, ProxyHttp, Session, http_proxy};
use pingora::server::configuration::ServerConf;
use rustls::pki_types::{CertificateDer, ServerName};
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
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

    async fn request_filter(&self, session: &mut Session, _ctx: &mut ()) -> pingora::Result<bool> {
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
