//! Plain downloads take a way of their own through the gateway (the lean lane); nobody can tell.
//!
//! A `Content-Length: 0` sends a request the other way, past Pingora, with the same meaning.

use crate::support::gateway::write_config;
use crate::support::nginx::Nginx;
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Setup, tls, wait_for};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

struct World {
    gateway: Gateway,
    nginx: Nginx,
    setup: Setup,
    token: String,
    _dir: tempfile::TempDir,
}

async fn world() -> World {
    let inbox = Inbox::start().await;
    let dir = tempfile::tempdir().expect("folder");
    let nginx = Nginx::start(dir.path()).await;
    tls::certificate(dir.path(), "files.test");
    let setup = Setup::accounts(nginx.address, inbox.address).with_tls(dir.path(), &["files.test"]);
    let gateway = Gateway::start(&setup);
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    // From now on the pair is known by heart.
    let warm = gateway.get("/ready.txt", &token, "laptop").send().await;
    assert_eq!(warm.expect("answer").status(), 200);
    World {
        gateway,
        nginx,
        setup,
        token,
        _dir: dir,
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl World {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.gateway.listeners[0]).expect("connect");
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).expect("timeout");
        stream
    }

    fn connect_tls(&self) -> Box<dyn Stream> {
        let tcp = TcpStream::connect(self.gateway.listeners[1]).expect("connect");
        tcp.set_read_timeout(Some(Duration::from_secs(30)))
            .expect("timeout");
        let config = tls::client_config();
        let name = "files.test".try_into().expect("name");
        let tls = rustls::ClientConnection::new(Arc::new(config), name).expect("TLS");
        Box::new(rustls::StreamOwned::new(tls, tcp))
    }

    fn request(&self, line: &str, more: &str) -> String {
        format!(
            "{line} HTTP/1.1\r\nHost: files\r\nAuthorization: Bearer {}\r\nX-Device-Id: laptop\r\n{more}\r\n",
            self.token
        )
    }
}

/// Reads one answer: its head without `Date`, in order, and as much body as it announces.
fn answer(stream: &mut dyn Stream, is_head: bool) -> (Vec<String>, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("head");
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).expect("text");
    let lines: Vec<String> = text.lines().map(str::to_ascii_lowercase).collect();
    let length = lines
        .iter()
        .find_map(|it| it.strip_prefix("content-length: "));
    let length = length.map_or(0, |it| it.parse().expect("length"));
    let bodiless = is_head || lines[0].contains(" 304 ");
    let mut body = vec![0; if bodiless { 0 } else { length }];
    stream.read_exact(&mut body).expect("body");
    let mut lines: Vec<String> = lines
        .into_iter()
        .filter(|it| !it.is_empty() && !it.starts_with("date: "))
        .collect();
    lines[1..].sort_unstable();
    (lines, body)
}

#[tokio::test]
async fn the_same_answers_come_by_either_way() {
    let world = world().await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(world.nginx.root.join("large.bin"), &large).expect("file");
    std::fs::create_dir(world.nginx.root.join("dir")).expect("folder");
    let mut streams: [Box<dyn Stream>; 2] = [Box::new(world.connect()), world.connect_tls()];
    for stream in &mut streams {
        for (line, more) in [
            ("GET /ready.txt", ""),
            ("HEAD /ready.txt", ""),
            ("GET /x/../ready.txt?q=%zz", ""),
            ("GET /large.bin", ""),
            ("GET /large.bin", "Range: bytes=1000-1999\r\n"),
            ("GET /large.bin", "Range: bytes=-5\r\n"),
            ("GET /large.bin", "Range: bytes=9999999-\r\n"),
            (
                "GET /ready.txt",
                "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
            ),
            ("GET /dir", ""),
            ("GET /dir/", ""),
            ("GET /nothing", ""),
            ("HEAD /nothing", ""),
            ("GET /closed/x", ""),
            ("GET /a%2Fb", ""),
        ] {
            let is_head = line.starts_with("HEAD");
            let ask = |stream: &mut Box<dyn Stream>, more: &str| {
                let request = world.request(line, more);
                stream.write_all(request.as_bytes()).expect("request");
                stream.flush().expect("flush");
                answer(stream.as_mut(), is_head)
            };
            let lean = ask(stream, more);
            let full = ask(stream, &format!("{more}Content-Length: 0\r\n"));
            assert_eq!(lean.0, full.0, "{line} {more}");
            assert!(lean.1 == full.1, "{line} {more}: bodies differ");
        }
    }
}

#[tokio::test]
async fn a_session_that_is_revoked_ends_on_kept_connections_too() {
    let world = world().await;
    let mut stream = world.connect();
    let request = world.request("GET /ready.txt", "");
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).expect("request");
        assert_eq!(answer(&mut stream, false).1, b"ready\n");
    }
    let output = world.gateway.cli(&["session", "revoke", "--all"]);
    assert!(output.status.success(), "{output:?}");
    stream.write_all(request.as_bytes()).expect("request");
    let (head, _) = answer(&mut stream, false);
    assert!(head[0].starts_with("http/1.1 401"), "{head:?}");
}

#[tokio::test]
async fn downloads_survive_a_reload_and_a_drain() {
    const SIZE: usize = 32 << 20;
    let mut world = world().await;
    let sent: Vec<u8> = (0..SIZE).map(|n| (n % 253) as u8).collect();
    std::fs::write(world.nginx.root.join("big.bin"), &sent).expect("file");
    let begin = |world: &World| {
        let mut stream = world.connect();
        let request = world.request("GET /big.bin", "");
        stream.write_all(request.as_bytes()).expect("request");
        let mut first = vec![0; 10_000];
        stream.read_exact(&mut first).expect("first bytes");
        (stream, first)
    };
    let finish = |(mut stream, mut all): (TcpStream, Vec<u8>)| {
        // After the reload or in the drain the connection may be closed behind the answer.
        let end = all
            .windows(4)
            .position(|it| it == b"\r\n\r\n")
            .expect("head")
            + 4;
        let mut rest = vec![0; SIZE - (all.len() - end)];
        stream.read_exact(&mut rest).expect("the rest");
        all.extend(rest);
        assert!(all[end..] == sent, "the file is not the same");
    };
    let download = begin(&world);
    write_config(
        world.gateway.dir.path(),
        &world.setup.clone().with("[/closed/]", "[/now-closed/]"),
    );
    world.gateway.signal("HUP");
    wait_for("the reload", Duration::from_secs(10), async || {
        let closed = world.gateway.get("/now-closed/x", &world.token, "laptop");
        (closed.send().await.expect("answer").status() == 403).then_some(())
    })
    .await;
    finish(download);

    let download = begin(&world);
    world.gateway.signal("TERM");
    let address = world.gateway.listeners[0];
    wait_for(
        "the listener to close",
        Duration::from_secs(10),
        async || TcpStream::connect(address).err(),
    )
    .await;
    finish(download);
    world.gateway.ends(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn clients_that_read_slowly_hold_little() {
    const CLIENTS: usize = 100;
    let world = world().await;
    std::fs::write(world.nginx.root.join("big.bin"), vec![7; 64 << 20]).expect("file");
    let held = || world.gateway.memory_kib("VmRSS");
    let before = held();
    let mut slow = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = world.connect();
        let request = world.request("GET /big.bin", "");
        stream.write_all(request.as_bytes()).expect("request");
        stream.read_exact(&mut [0; 1000]).expect("first bytes");
        slow.push(stream);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let each = held().saturating_sub(before) / CLIENTS as u64;
    assert!(each < 128, "a slow reader holds {each} KiB");
}
