//! The lean lane against Pingora's: the same odd requests and odd answers, through either.

use super::*;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

mod rules;

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

#[tokio::test]
async fn both_lanes_tell_the_upstream_the_same() {
    let close = "Connection: close\r\n";
    let ask = |line: &str, rest: &str| {
        format!("{line} HTTP/1.1\r\nHost: {HOST}\r\n{close}{rest}\r\n").into_bytes()
    };
    let good = format!("{GOOD}\r\n");
    let with = |rest: &str| format!("{GOOD}\r\n{rest}");
    let requests = [
        ask("GET /a", &good),
        ask("HEAD /a", &good),
        ask("GET /public/a?x=%zz&y", ""),
        ask("GET /a?token=good", ""),
        ask("GET /a?x=1&token=good&y=2", &good),
        ask("GET /x/../a//b%41/./c", &good),
        ask("GET /a%20b/%C3%B8", &good),
        ask("GET /\u{f8}?\u{f8}", &good),
        ask(
            "GET /a",
            &with("TE: trailers\r\nTrailer: X\r\nKeep-Alive: timeout=5\r\n"),
        ),
        ask(
            "GET /a",
            &with("Proxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\n"),
        ),
        ask(
            "GET /a",
            &with("HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
        ),
        ask(
            "GET /a",
            &with("X-Vestibule-User: root\r\nX_Vestibule_User: root\r\nX-Api-Key: x\r\n"),
        ),
        ask(
            "GET /a",
            &with("X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n"),
        ),
        ask(
            "GET /a",
            &with("Cookie: a=1; vestibule_device=phone; b=2\r\n"),
        ),
        ask("GET /a", &with("Cookie: a=1\r\nCookie: b=2\r\n")),
        ask("GET /a", &with("X-Device-Id: phone\r\n")),
        ask("GET /a", &with("Destination: /x/../b%41\r\n")),
        ask(
            "GET /a",
            &with("Range: bytes=1-2\r\nIf-None-Match: \"x\"\r\nAccept: text/event-stream\r\n"),
        ),
        ask(
            "GET /a",
            &with("X-Empty:\r\nX-Spaces:   a  b  \r\nX-Latin: caf\u{e9}\r\n"),
        ),
        ask("GET /a", &with("Accept: a\r\naccept: b\r\nACCEPT: c\r\n")),
        ask("GET /a", &with("Origin: https://app.example.org\r\n")),
        format!("GET /a HTTP/1.1\r\nhOsT: FILES.example.org.:8080\r\n{GOOD}\r\n{close}\r\n")
            .into_bytes(),
    ];
    let (lane, pingora) = both().await;
    for request in requests {
        let shown = String::from_utf8_lossy(&request).into_owned();
        let acts = [Hear, say(OK)];
        let (answer, heard) = lane.run(&request, &acts).await;
        let (expected_answer, expected) = pingora.run(&request, &acts).await;
        assert_eq!(expected.len(), 1, "{shown} was not forwarded");
        assert_eq!(heard.len(), 1, "the lane did not take {shown}");
        let (line, headers, _) = normal(heard[0].as_bytes());
        let (expected_line, expected_headers, _) = normal(expected[0].as_bytes());
        assert_eq!(line, expected_line, "{shown}");
        assert_eq!(headers, expected_headers, "{shown}");
        // Names keep the case in which they were sent.
        assert_eq!(sorted(&heard[0]), sorted(&expected[0]), "{shown}");
        assert_eq!(normal(&answer), normal(&expected_answer), "{shown}");
    }
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

#[tokio::test]
async fn what_is_not_simple_is_left_to_pingora() {
    let close = "Connection: close\r\n";
    let ask = |line: &str, rest: &str| format!("{line}\r\nHost: {HOST}\r\n{rest}\r\n");
    let good = format!("{GOOD}\r\n{close}");
    let with = |rest: &str| format!("{GOOD}\r\n{rest}");
    let requests = [
        ask("GET /a HTTP/1.0", &good),
        ask(
            "POST /a HTTP/1.1",
            &with("Connection: close\r\nContent-Length: 0\r\n"),
        ),
        ask("PROPFIND /a HTTP/1.1", &good),
        ask("OPTIONS * HTTP/1.1", &good),
        ask("GET http://files.example.org/a HTTP/1.1", &good),
        ask("GET //a HTTP/1.1", &good),
        ask("GET /a?q=<> HTTP/1.1", &good),
        ask("GET /a?q=\"{}|^`\\ HTTP/1.1", &good),
        ask(
            "GET /a HTTP/1.1",
            &with("Connection: close\r\nContent-Length: 0\r\n"),
        ),
        ask(
            "GET /a HTTP/1.1",
            &with("Connection: close\r\nExpect: 100-continue\r\n"),
        ),
        ask(
            "GET /a HTTP/1.1",
            &with("Connection: close, X-Device-Id\r\nX-Device-Id: x\r\n"),
        ),
        ask(
            "GET /a HTTP/1.1",
            &with("Connection: close\r\nConnection: close\r\n"),
        ),
        ask(
            "GET /a HTTP/1.1",
            &with("Connection: close\r\nHost: files.example.org\r\n"),
        ),
        ask(
            "GET /a HTTP/1.1",
            &with("Connection: close\r\nbad header\r\n"),
        ),
        // Refusals, and what is Vestibule's own.
        ask("GET /a HTTP/1.1", close),
        ask(
            "GET /a HTTP/1.1",
            &format!("Authorization: Bearer new\r\n{close}"),
        ),
        ask("GET /dir/closed/a HTTP/1.1", &good),
        ask("GET /a%2Fb HTTP/1.1", &good),
        ask("GET /.vestibule/x HTTP/1.1", &good),
        ask("GET /share/share/x HTTP/1.1", close),
        format!("GET /a HTTP/1.1\r\nHost: other.example\r\n{good}\r\n"),
        format!("GET /a HTTP/1.1\r\n{good}\r\n"),
    ];
    let (lane, pingora) = both().await;
    let through = Through::new(Ways::Both).await;
    for request in requests {
        let acts = [Hear, say(OK)];
        let (answer, heard) = lane.run(request.as_bytes(), &acts).await;
        assert_eq!(String::from_utf8_lossy(&answer), "", "{request}");
        assert_eq!(heard, Vec::<String>::new(), "{request}");
        let (answer, heard) = through.run(request.as_bytes(), &acts).await;
        let (expected, expected_heard) = pingora.run(request.as_bytes(), &acts).await;
        assert_eq!(normal(&answer), normal(&expected), "{request}");
        let seen =
            |heads: &[String]| -> Vec<_> { heads.iter().map(|it| normal(it.as_bytes())).collect() };
        assert_eq!(seen(&heard), seen(&expected_heard), "{request}");
    }
}

#[tokio::test]
async fn both_lanes_pass_on_the_same_answers() {
    let large = "x".repeat(300_000);
    let sized = format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{large}");
    let until_close = format!("HTTP/1.1 200 OK\r\n\r\n{large}");
    let chunk = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n{large}\r\n0\r\n\r\n"
    );
    let crumbs = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        "1\r\ny\r\n".repeat(3000)
    );
    let answers = [
        OK,
        "HTTP/1.1 200 Just Fine\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 299 \r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/9\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: vestibule_device=x\r\nSet-Cookie: b=2\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nX-Vestibule-User: root\r\nX_Vestibule_Device: x\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nTE: x\r\nProxy-Authenticate: x\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;a=\"b\"\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
        // Bytes behind the end are nobody's.
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
        &sized,
        &until_close,
        &chunk,
        &crumbs,
        // What is not an answer at all.
        "",
        "HTTP/1.1 2",
        "HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 20 OK\r\nContent-Length: 1\r\n\r\nx",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nxy",
    ];
    let (by_lane, by_pingora) = both().await;
    for answer in answers {
        for cut in [usize::MAX, 1, 17] {
            // Dribbling a large one would take its time and show nothing new.
            if cut != usize::MAX && answer.len() > 500 {
                continue;
            }
            let mut acts = vec![Hear];
            for piece in answer.as_bytes().chunks(cut) {
                acts.push(Say(piece.to_vec()));
                if cut != usize::MAX {
                    acts.push(Pause(0));
                }
            }
            let request = get("/a");
            let (lane, _) = by_lane.run(request.as_bytes(), &acts).await;
            let (pingora, _) = by_pingora.run(request.as_bytes(), &acts).await;
            let shown: String = answer.chars().take(200).collect();
            assert!(!lane.is_empty(), "{shown}");
            assert!(
                normal(&lane) == normal(&pingora),
                "cut at {cut}: {shown}\nlane: {}\npingora: {}",
                String::from_utf8_lossy(&lane[..lane.len().min(600)]),
                String::from_utf8_lossy(&pingora[..pingora.len().min(600)])
            );
        }
    }
}

/// Where the lane refuses what Pingora mends.
#[tokio::test]
async fn doubtful_answers_are_refused_and_told_of() {
    let (by_lane, by_pingora) = both().await;
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 9\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nA: \u{0}\r\nContent-Length: 5\r\n\r\nhello",
        &format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\nhello", "x".repeat(70_000)),
        &format!("HTTP/1.1 200 OK\r\n{}\r\nhello", "A: b\r\n".repeat(200)),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        &"HTTP/1.1 100 Continue\r\n\r\n".repeat(40),
    ] {
        let acts = [Hear, say(answer), Stay];
        let (text, heard) = by_lane.run(get("/a").as_bytes(), &acts).await;
        let text = String::from_utf8_lossy(&text);
        let shown: String = answer.chars().take(100).collect();
        assert_eq!(status(&text), 502, "{shown}: {text}");
        assert!(text.contains("application/problem+json"), "{text}");
        assert_eq!(value(&text, "connection"), Some("close"), "{text}");
        assert_eq!(heard.len(), 1, "{shown} was asked for twice");
    }
    // As Pingora's lane tells of it, byte for byte.
    let acts = [Hear, say("nonsense\r\n\r\n")];
    let (lane, _) = by_lane.run(get("/a").as_bytes(), &acts).await;
    let (pingora, _) = by_pingora.run(get("/a").as_bytes(), &acts).await;
    assert_eq!(normal(&lane), normal(&pingora));
    let head = get("/a").replace("GET", "HEAD");
    let (lane, _) = by_lane.run(head.as_bytes(), &acts).await;
    let (pingora, _) = by_pingora.run(head.as_bytes(), &acts).await;
    assert_eq!(normal(&lane), normal(&pingora));
}

#[tokio::test]
async fn interim_answers_are_not_the_answer() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\n";
    let acts = [
        Hear,
        say("HTTP/1.1 100 Continue\r\n\r\n"),
        say(early),
        say(OK),
    ];
    let through = Through::new(Ways::LaneOnly).await;
    let (lane, _) = through.run(get("/a").as_bytes(), &acts).await;
    let (first, headers, body) = normal(&lane);
    assert_eq!(first, "HTTP/1.1 200 OK");
    assert!(!headers.iter().any(|line| line.starts_with("link")));
    assert_eq!(body, b"hello");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_off_and_never_completed() {
    let through = Through::new(Ways::LaneOnly).await;
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "hello"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "hello!",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n0\r\n\r\n",
            "hello!",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
            "hello!",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            "hello!",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
            "!",
        ),
    ] {
        let keep = get("/a").replace("Connection: close\r\n", "");
        let acts = [Hear, say(answer)];
        let (lane, heard) = through.run(keep.as_bytes(), &acts).await;
        let (first, _, passed) = normal(&lane);
        assert_eq!(first, "HTTP/1.1 200 OK", "{answer}");
        assert_eq!(String::from_utf8_lossy(&passed), body, "{answer}");
        assert_eq!(heard.len(), 1, "{answer} was asked for twice");
    }
}

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

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let acts: Vec<Act> = (0..4).flat_map(|_| [Hear, say(OK)]).collect();
    let backend = backend(&acts).await;
    let world = world_before(Ways::LaneOnly, &backend).await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    for _ in 0..2 {
        client.write_all(keep("/a").as_bytes()).await.unwrap();
        let answer = answer_of(&mut client).await;
        assert_eq!(value(&answer, "connection"), Some("keep-alive"));
        assert!(answer.ends_with("hello"), "{answer}");
    }
    // Pipelined, the second in two pieces.
    let both = format!("{}{}", keep("/b"), get("/c"));
    let (front, back) = both.split_at(both.len() - 10);
    client.write_all(front.as_bytes()).await.unwrap();
    assert!(answer_of(&mut client).await.ends_with("hello"));
    client.write_all(back.as_bytes()).await.unwrap();
    let answer = answer_of(&mut client).await;
    assert_eq!(value(&answer, "connection"), Some("close"));
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(backend.taken.load(SeqCst), 1, "connections to the backend");
    let heard = backend.heard.lock().unwrap();
    assert!(heard[2].starts_with("GET /b ") && heard[3].starts_with("GET /c "));
}

#[tokio::test]
async fn a_connection_may_change_lanes_between_requests() {
    let world = World::new(Identity::Accounts).await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    for line in [
        "GET /a",
        "PROPFIND /b",
        "GET /c",
        "GET /d",
        "DELETE /e",
        "GET /f",
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: {HOST}\r\n{GOOD}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = answer_of(&mut client).await;
        assert_eq!(status(&answer), 200, "{line}: {answer}");
        assert_eq!(value(&answer, "connection"), Some("keep-alive"), "{line}");
    }
    assert_eq!(world.origin.take().len(), 6);
}

#[tokio::test]
async fn a_kept_connection_that_the_backend_closed_is_asked_again_once() {
    // Closed between the requests, and in the very moment of the second one.
    for second in [vec![Hear, say(OK)], vec![Hear, say(OK), Hear]] {
        let backend = Backend::start(vec![second, vec![Hear, say(OK), Stay]]).await;
        let world = world_before(Ways::LaneOnly, &backend).await;
        let mut client = TcpStream::connect(world.address).await.unwrap();
        for _ in 0..2 {
            client.write_all(keep("/a").as_bytes()).await.unwrap();
            assert!(answer_of(&mut client).await.ends_with("hello"));
        }
        assert_eq!(backend.taken.load(SeqCst), 2);
    }
    // A fresh connection that is closed is a failure, and asked no second time.
    let backend = backend(&[Hear]).await;
    let world = world_before(Ways::LaneOnly, &backend).await;
    let answer = send(&world, get("/a").as_bytes()).await;
    assert_eq!(status(&String::from_utf8_lossy(&answer)), 502);
    assert_eq!(backend.taken.load(SeqCst), 1);
    // So is one that breaks off after it began.
    let backend = Backend::start(vec![vec![Hear, say(OK), Hear, say("HTTP/1.1 2")]]).await;
    let world = world_before(Ways::LaneOnly, &backend).await;
    send(&world, get("/a").as_bytes()).await;
    let answer = send(&world, get("/a").as_bytes()).await;
    assert_eq!(status(&String::from_utf8_lossy(&answer)), 502);
    assert_eq!(backend.taken.load(SeqCst), 1);
}

#[tokio::test]
async fn a_doubtful_connection_is_not_used_again() {
    for (answer, request) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more",
            get("/a"),
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 5\r\n\r\nhello",
            get("/a"),
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            get("/a"),
        ),
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
            get("/a"),
        ),
        (
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            get("/a"),
        ),
        (OK, get("/a").replace("GET", "HEAD")),
    ] {
        let backend = backend(&[Hear, say(answer), Stay]).await;
        let world = world_before(Ways::LaneOnly, &backend).await;
        for n in 1..=2 {
            let text = send(&world, request.as_bytes()).await;
            assert!(
                [200, 204].contains(&status(&String::from_utf8_lossy(&text))),
                "{answer}"
            );
            // The head that is asked for only shows the body later.
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(backend.taken.load(SeqCst), n, "{answer} {request}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_exchange_at_once() {
    let endless = Say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nfirst".to_vec());
    for acts in [vec![Hear, Stay], vec![Hear, endless, Stay]] {
        let backend = backend(&acts).await;
        let server = backend.address.to_string();
        let world = World::by(Ways::LaneOnly, Identity::Accounts, |config| {
            config.upstreams.get_mut("files").unwrap().servers = vec![server];
        })
        .await;
        let mut client = TcpStream::connect(world.address).await.unwrap();
        client.write_all(keep("/a").as_bytes()).await.unwrap();
        if acts.len() > 2 {
            read_head(&mut client).await.unwrap();
        }
        while backend.heard.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(client);
        let left = async {
            while backend.ended.load(SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Far below `timeouts.read`, which is 30 s here.
        tokio::time::timeout(Duration::from_secs(5), left)
            .await
            .expect("the backend was read on");
    }
}

#[tokio::test]
async fn silence_ends_an_answer_but_no_event_stream() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
    let acts = [Hear, say(head), Pause(4000), say("data: 2\n\n")];
    let through = Through::new(Ways::LaneOnly).await;
    let (cut, _) = through.run(get("/a").as_bytes(), &acts).await;
    assert_eq!(normal(&cut).2, b"data: 1\n\n!");
    let events = get("/a").replace("\r\n\r\n", "\r\nAccept: text/event-stream\r\n\r\n");
    let backend = backend(&acts).await;
    let world = world_before(Ways::LaneOnly, &backend).await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    client.write_all(events.as_bytes()).await.unwrap();
    // The first event is there long before the second is said.
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: 1\n\n\r\n") {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(3500), client.read_exact(&mut byte));
        read.await.expect("the event was held back").unwrap();
        seen.push(byte[0]);
    }
    client.read_to_end(&mut seen).await.unwrap();
    assert_eq!(normal(&seen).2, b"data: 1\n\ndata: 2\n\n");
    // Before the head: a timeout, told of.
    let (late, _) = through.run(get("/a").as_bytes(), &[Hear, Stay]).await;
    assert_eq!(status(&String::from_utf8_lossy(&late)), 504);
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_the_backend_up_and_is_cut() {
    let mut acts = vec![
        Hear,
        say("HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n"),
    ];
    acts.extend((0..4096).map(|_| Say(vec![7; 1 << 16])));
    let backend = backend(&acts).await;
    let world = world_before(Ways::LaneOnly, &backend).await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    client.write_all(keep("/a").as_bytes()).await.unwrap();
    // 256 MiB do not fit into any socket: it ends because `timeouts.write` does.
    let ended = async {
        while backend.ended.load(SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("read on for nobody");
    let mut all = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, client.read_to_end(&mut all)).await;
    assert!(all.len() < 64 << 20, "{} bytes were read ahead", all.len());
}

#[tokio::test]
async fn a_drain_lets_the_answer_end_and_says_close() {
    let acts = [
        Hear,
        Pause(300),
        say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        Pause(100),
        say("hello"),
        Stay,
    ];
    let backend = backend(&acts).await;
    let world = world_before(Ways::LaneOnly, &backend).await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    client.write_all(keep("/a").as_bytes()).await.unwrap();
    while backend.heard.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.stop.send(true).unwrap();
    let answer = answer_of(&mut client).await;
    assert!(answer.ends_with("hello"), "{answer}");
    let end = tokio::time::timeout(Duration::from_secs(4), client.read(&mut [0])).await;
    assert_eq!(end.expect("it was kept open").unwrap(), 0);
}

/// The series that count requests, decisions and answers, without how long they took.
fn counts(world: &World) -> Vec<String> {
    let text = world.metrics.render().unwrap();
    let is_count = |line: &&str| {
        !line.starts_with('#')
            && (line.contains("requests_total")
                || line.contains("_seconds_count")
                || line.contains("upstream_errors"))
    };
    text.lines().filter(is_count).map(str::to_owned).collect()
}

#[tokio::test]
async fn both_lanes_count_the_same() {
    let (lane, pingora) = both().await;
    // A connection that is found closed later would count as a failure.
    let ok = OK.replace("Server: origin", "Connection: close");
    for through in [&lane, &pingora] {
        through.run(get("/a").as_bytes(), &[Hear, say(&ok)]).await;
        through
            .run(get("/public/a").as_bytes(), &[Hear, say(&ok)])
            .await;
        through
            .run(get("/a").as_bytes(), &[Hear, say("no\r\n\r\n")])
            .await;
        through.run(get("/a").as_bytes(), &[Hear]).await;
        through.run(get("/a").as_bytes(), &[Hear, Stay]).await;
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
        through.run(get("/a").as_bytes(), &[Hear, say(short)]).await;
    }
    let counted = counts(&lane.0);
    assert!(
        counted.iter().any(|line| line.contains("permitted")),
        "{counted:?}"
    );
    assert!(
        counted.iter().any(|line| line.contains("upstream_errors")),
        "{counted:?}"
    );
    assert_eq!(counted, counts(&pingora.0));
}

#[tokio::test]
async fn an_upstream_with_tls_is_not_for_the_lane() {
    let world = World::by(Ways::LaneOnly, Identity::Accounts, |config| {
        config.upstreams.get_mut("files").unwrap().tls = Some(model::UpstreamTls {
            server_name: "files.internal".to_owned(),
        });
    })
    .await;
    assert_eq!(send(&world, get("/a").as_bytes()).await, b"");
    let decided = counts(&world);
    assert!(
        !decided
            .iter()
            .any(|line| line.contains("gate_seconds_count") && !line.ends_with(" 0")),
        "decided for nothing: {decided:?}"
    );
}
