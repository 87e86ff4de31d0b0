//! The lean lane against Pingora's: the same odd requests and odd answers, through either.

mod connections;
mod doubt;
mod rules;
mod same;

use super::*;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

/// What an upstream does with one connection after the other, whatever it is asked. The last part is
/// played again for all that follow.
type Script = Vec<Vec<Act>>;

#[derive(Clone)]
enum Act {
    /// Reads a head; its text is kept.
    Hear,
    Say(Vec<u8>),
    Pause(u64),
    /// Holds the connection until the other side closes it.
    Stay,
}

use Act::{Hear, Pause, Say, Stay};

fn say(text: &str) -> Act {
    Say(text.as_bytes().to_vec())
}

struct Backend {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    heard: Arc<Mutex<Vec<String>>>,
    /// Connections taken, and of these, those that have ended.
    taken: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Backend {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::new(Mutex::new(script)),
            heard: Arc::default(),
            taken: Arc::default(),
            ended: Arc::default(),
        };
        let (script, heard) = (Arc::clone(&backend.script), Arc::clone(&backend.heard));
        let (taken, ended) = (Arc::clone(&backend.taken), Arc::clone(&backend.ended));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let turn = taken.fetch_add(1, SeqCst);
                let acts = {
                    let script = script.lock().unwrap();
                    script[turn.min(script.len() - 1)].clone()
                };
                let (heard, ended) = (Arc::clone(&heard), Arc::clone(&ended));
                tokio::spawn(async move {
                    play(stream, acts, heard).await;
                    ended.fetch_add(1, SeqCst);
                });
            }
        });
        backend
    }
}

async fn play(mut stream: TcpStream, acts: Vec<Act>, heard: Arc<Mutex<Vec<String>>>) {
    for act in acts {
        match act {
            Hear => {
                let Some(head) = read_head(&mut stream).await else {
                    return;
                };
                heard.lock().unwrap().push(head);
            }
            Say(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Pause(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Stay => {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    }
}

async fn backend(acts: &[Act]) -> Backend {
    Backend::start(vec![acts.to_vec()]).await
}

async fn world_before(ways: Ways, backend: &Backend) -> World {
    world_with(ways, backend, Identity::Accounts, |_| {}).await
}

async fn world_with(
    ways: Ways,
    backend: &Backend,
    identity: Identity,
    change: impl FnOnce(&mut model::Config),
) -> World {
    let server = backend.address.to_string();
    World::by(ways, identity, |config| {
        let upstream = config.upstreams.get_mut("files").unwrap();
        upstream.servers = vec![server];
        upstream.timeouts.read = Duration::from_millis(600);
        config.timeouts.write = Duration::from_millis(600);
        change(config);
    })
    .await
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{GOOD}\r\nConnection: close\r\n\r\n")
}

/// Sends bytes and reads everything until the other side closes, cut or not.
async fn send(world: &World, request: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect(world.address).await.unwrap();
    client.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = client.read_to_end(&mut answer);
    let _ = tokio::time::timeout(PATIENCE, read).await.unwrap();
    answer
}

/// A message as another reader of it must see it: its first line, its headers whatever their order and case, its body
/// without the chunked coding.
fn normal(message: &[u8]) -> (String, Vec<String>, Vec<u8>) {
    let text = String::from_utf8_lossy(message).into_owned();
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return (text, Vec::new(), Vec::new());
    };
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    // The lane always speaks HTTP/1.1.
    let first = first.replace("HTTP/1.0 ", "HTTP/1.1 ");
    let mut headers: Vec<String> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            format!("{}: {value}", name.to_ascii_lowercase())
        })
        .filter(|line| !is_of_the_second(line))
        .collect();
    headers.sort_unstable();
    let body = message[head.len() + 4..].to_vec();
    let is_chunked = headers
        .iter()
        .any(|line| line == "transfer-encoding: chunked");
    let body = if is_chunked { unchunked(&body) } else { body };
    (first, headers, body)
}

/// Whether a header says when something was done.
fn is_of_the_second(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.starts_with("date: ") || line.starts_with("x-vestibule-verified-at: ")
}

fn sorted(head: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = head
        .lines()
        .filter(|line| !is_of_the_second(line))
        .collect();
    lines.sort_unstable();
    lines
}

/// The body of complete chunks, and `!` where the coding breaks off.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let Some(at) = rest.windows(2).position(|two| two == b"\r\n") else {
            body.push(b'!');
            return body;
        };
        let size = std::str::from_utf8(&rest[..at]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[at + 2..];
        if size == 0 {
            assert_eq!(rest, b"\r\n", "something follows the last chunk");
            return body;
        }
        body.extend_from_slice(&rest[..size]);
        assert_eq!(&rest[size..size + 2], b"\r\n");
        rest = &rest[size + 2..];
    }
}

/// A gateway with one way through, and what is behind it.
struct Through(World, Backend);

impl Through {
    async fn new(ways: Ways) -> Self {
        let backend = backend(&[]).await;
        Self(world_before(ways, &backend).await, backend)
    }

    /// What becomes of one request and one answer: the client's view, and the upstream's.
    async fn run(&self, request: &[u8], acts: &[Act]) -> (Vec<u8>, Vec<String>) {
        let Self(world, backend) = self;
        *backend.script.lock().unwrap() = vec![acts.to_vec()];
        let answer = send(world, request).await;
        (answer, std::mem::take(&mut *backend.heard.lock().unwrap()))
    }
}

async fn both() -> (Through, Through) {
    let pingora = Through::new(Ways::PingoraOnly).await;
    (Through::new(Ways::LaneOnly).await, pingora)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: origin\r\n\r\nhello";

/// Reads one answer of a known length.
async fn answer_of(client: &mut TcpStream) -> String {
    let head = tokio::time::timeout(PATIENCE, read_head(client)).await;
    let mut head = head.unwrap().expect("an answer");
    let body = read_body(client, &head).await;
    head.push_str(std::str::from_utf8(&body).unwrap());
    head
}

fn keep(path: &str) -> String {
    get(path).replace("Connection: close\r\n", "")
}
