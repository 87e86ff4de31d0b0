//! Malformed, oversized, slow and cut-off requests: answered as they should be, never forwarded.

use crate::support::iogates::Backend;
use crate::support::{Gateway, Site};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Sends bytes as they are and returns all that comes back until the connection ends or is idle.
fn send(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("timeout");
    stream.write_all(bytes).expect("send");
    read_answer(&mut stream)
}

fn read_answer(stream: &mut TcpStream) -> String {
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(n) => all.extend_from_slice(&chunk[..n]),
        }
        // One whole head is enough to judge by.
        if all.windows(4).any(|it| it == b"\r\n\r\n") {
            break;
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split_whitespace().nth(1).unwrap_or("closed")
}

/// Everything is open: what is refused here is refused for its form alone.
async fn open_gateway(change: &[(&str, &str)]) -> (Gateway, Backend) {
    let site = Site::accounts_with(|setup| {
        let open = setup.with("require: two_factor", "require: none");
        change
            .iter()
            .fold(open, |setup, (from, to)| setup.with(from, to))
    })
    .await;
    (site.gateway, site.backend)
}

// The backend answers on another thread while this one blocks on its socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_requests_are_400_and_never_forwarded() {
    let (gateway, backend) = open_gateway(&[]).await;
    let requests: &[(&str, &str)] = &[
        ("encoded slash", "GET /a%2Fb HTTP/1.1\r\nHost: f\r\n\r\n"),
        (
            "encoded backslash",
            "GET /a%5cb HTTP/1.1\r\nHost: f\r\n\r\n",
        ),
        ("backslash", "GET /a\\..\\b HTTP/1.1\r\nHost: f\r\n\r\n"),
        ("encoded NUL", "GET /a%00b HTTP/1.1\r\nHost: f\r\n\r\n"),
        ("encoded newline", "GET /a%0ab HTTP/1.1\r\nHost: f\r\n\r\n"),
        (
            "double encoding",
            "GET /a/%252e%252e/b HTTP/1.1\r\nHost: f\r\n\r\n",
        ),
        (
            "path parameter in a dot segment",
            "GET /a/..;/b HTTP/1.1\r\nHost: f\r\n\r\n",
        ),
        ("bad escape", "GET /a%zz HTTP/1.1\r\nHost: f\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: f\r\nHost: g\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        (
            "host and target differ",
            "GET http://other/ HTTP/1.1\r\nHost: f\r\n\r\n",
        ),
        ("bad host", "GET / HTTP/1.1\r\nHost: f/../g\r\n\r\n"),
        (
            "length and chunked",
            "POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        ),
        (
            "folded header",
            "GET / HTTP/1.1\r\nHost: f\r\nX-A: b\r\n c\r\n\r\n",
        ),
        ("bare line feeds", "GET / HTTP/1.1\nHost: f\n\n"),
        (
            "destination elsewhere",
            "COPY /a HTTP/1.1\r\nHost: f\r\nDestination: http://other/b\r\n\r\n",
        ),
        (
            "destination with a trick",
            "COPY /a HTTP/1.1\r\nHost: f\r\nDestination: /b/%2e%2e%2f%2e%2e/c\r\n\r\n",
        ),
        ("not HTTP", "\u{1}\u{2}\u{3}\r\n\r\n"),
    ];
    for (what, request) in requests {
        let answer = send(gateway.listeners[0], request.as_bytes());
        assert_eq!(status(&answer), "400", "{what}: {answer:?}");
    }
    // RFC 9112 section 6.1: a transfer coding that is not understood.
    let odd = b"POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status(&send(gateway.listeners[0], odd)), "501");
    assert!(backend.seen().is_empty(), "forwarded: {:?}", backend.seen());
}

// The backend answers on another thread while this one blocks on its socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_matched_is_what_is_forwarded() {
    let (gateway, backend) = open_gateway(&[]).await;
    let pairs = [
        ("/a/./b//c/../d", "/a/b/d"),
        ("/%61%2d%7E", "/a-~"),
        ("/caf%c3%a9?q=%2F", "/caf%C3%A9?q=%2F"),
        ("/../../etc", "/etc"),
    ];
    for (sent, forwarded) in pairs {
        let answer = send(
            gateway.listeners[0],
            format!("GET {sent} HTTP/1.1\r\nHost: F.:80\r\n\r\n").as_bytes(),
        );
        assert_eq!(status(&answer), "200", "{sent}");
        assert_eq!(
            backend.seen().last().expect("seen").target,
            forwarded,
            "{sent}"
        );
    }
    // The policy sees the canonical path too.
    let closed = send(
        gateway.listeners[0],
        b"GET /open/..//%63losed/x HTTP/1.1\r\nHost: f\r\n\r\n",
    );
    assert_eq!(status(&closed), "403");
}

// The backend answers on another thread while this one blocks on its socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_requests_are_refused() {
    let (gateway, backend) = open_gateway(&[(
        "    phone_region: DK",
        "    phone_region: DK\n    body_bytes_max: 1024",
    )])
    .await;
    let many = "X-A: b\r\n".repeat(300);
    let answer = send(
        gateway.listeners[0],
        format!("GET / HTTP/1.1\r\nHost: f\r\n{many}\r\n").as_bytes(),
    );
    assert_eq!(status(&answer), "431", "300 headers: {answer:?}");
    let long = "x".repeat(100_000);
    let answer = send(
        gateway.listeners[0],
        format!("GET / HTTP/1.1\r\nHost: f\r\nX-A: {long}\r\n\r\n").as_bytes(),
    );
    assert_eq!(status(&answer), "431", "a 100 KB header");
    let body = gateway
        .http
        .post(gateway.url("/api/authtoken"))
        .body("a".repeat(100_000))
        .send();
    assert_eq!(
        body.await.expect("answer").status(),
        413,
        "a 100 KB body to a local endpoint"
    );
    assert!(backend.seen().is_empty());
    let body = gateway
        .http
        .put(gateway.url("/big"))
        .body("a".repeat(2_000))
        .send();
    assert_eq!(
        body.await.expect("answer").status(),
        413,
        "over the route's bound"
    );
}

// The backend answers on another thread while this one blocks on its socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_cut_off_requests_end() {
    let (gateway, backend) = open_gateway(&[("head: 10s, body: 60s", "head: 1s, body: 1s")]).await;
    // One byte now and then: every read is quick, the head as a whole is not.
    let mut slow = TcpStream::connect(gateway.listeners[0]).expect("connect");
    slow.set_read_timeout(Some(Duration::from_secs(10)))
        .expect("timeout");
    let started = std::time::Instant::now();
    for byte in
        b"GET /slow HTTP/1.1\r\nHost: f\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".iter()
    {
        if slow.write_all(&[*byte]).is_err() || started.elapsed() > Duration::from_secs(2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let answer = read_answer(&mut slow);
    assert!(matches!(status(&answer), "408" | "closed"), "{answer:?}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "the head's deadline is total"
    );

    // A body that stops: the request ends, and the connection with it.
    let answer = send(
        gateway.listeners[0],
        b"POST /api/authtoken HTTP/1.1\r\nHost: f\r\nContent-Length: 10\r\n\r\nabc",
    );
    assert_eq!(status(&answer), "408", "{answer:?}");

    // A head that ends in the middle.
    let mut cut = TcpStream::connect(gateway.listeners[0]).expect("connect");
    cut.set_read_timeout(Some(Duration::from_secs(5)))
        .expect("timeout");
    cut.write_all(b"GET /cut HTTP/1.1\r\nHo").expect("send");
    cut.shutdown(Shutdown::Write).expect("shutdown");
    assert_ne!(status(&read_answer(&mut cut)), "200");
    assert!(backend.seen().is_empty(), "forwarded: {:?}", backend.seen());
}

// The backend answers on another thread while this one blocks on its socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_behind_a_refused_body_are_never_a_request() {
    let Site {
        backend, gateway, ..
    } = Site::accounts().await;
    let smuggled = "GET /public/smuggled HTTP/1.1\r\nHost: f\r\n\r\n";
    let request = format!(
        "POST /x HTTP/1.1\r\nHost: f\r\nContent-Length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    );
    assert_eq!(
        status(&send(gateway.listeners[0], request.as_bytes())),
        "401"
    );
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn no_local_endpoint_takes_a_100_kb_body() {
    let (gateway, backend) = open_gateway(&[(
        "dialects: [iogates]",
        "dialects: [iogates, ziik, b2core, conduit]",
    )])
    .await;
    for endpoint in vestibule::local::table::ENDPOINTS {
        let path = endpoint.path.replace("{token}", "some-token");
        let answer = gateway
            .http
            .post(gateway.url(&path))
            .body("a".repeat(100_000))
            .send()
            .await
            .expect("answer");
        assert_eq!(answer.status(), 413, "{path}");
    }
    assert!(backend.seen().is_empty());
}
