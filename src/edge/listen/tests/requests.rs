//! Requests on a connection: one after the other, half a head, silence, too much, a client that takes nothing.

use super::*;

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let edge = Edge::start(limits());
    let mut client = edge.connect().await;
    let local = client.local_addr().unwrap();
    let hello = (200, "hello".to_owned());
    assert_eq!(ask(&mut client, GET).await, hello);
    let peer = "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(
        ask(&mut client, peer).await,
        (200, format!("{local} false"))
    );
    let put = "PUT /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(ask(&mut client, put).await, (200, "3".to_owned()));
    // RFC 9112 section 2.2: an empty line before a request is to be ignored.
    assert_eq!(ask(&mut client, &format!("\r\n{GET}")).await, hello);
    assert_eq!(edge.control.open(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let edge = Edge::start(limits());
    let mut client = edge.connect().await;
    let wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    let peer = "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n";
    let both = format!("{wait}{peer}");
    client.write_all(both.as_bytes()).await.unwrap();
    edge.until_heads(1).await;
    // One more while the first is still being answered.
    client.write_all(GET.as_bytes()).await.unwrap();
    edge.gate.add_permits(1);
    assert_eq!(answer(&mut client).await.1, "hello");
    assert!(answer(&mut client).await.1.starts_with("127.0.0.1:"));
    assert_eq!(answer(&mut client).await.1, "hello");
}

#[tokio::test]
async fn a_pipelined_head_is_checked_as_well() {
    let edge = Edge::start(limits());
    let mut client = edge.connect().await;
    let both = format!("{GET}GET /second HTTP/1.1\nHost: a\r\n\r\n");
    assert_eq!(ask(&mut client, &both).await.0, 200);
    assert_eq!(answer(&mut client).await.0, 400);
    ended(&mut client).await;
    assert_eq!(edge.heads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_follows_a_body_is_never_parsed_unchecked() {
    let edge = Edge::start(limits());
    let mut client = edge.connect().await;
    let smuggled = "PUT /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
                    GET /second HTTP/1.1\nHost: a\n\n";
    assert_eq!(ask(&mut client, smuggled).await, (200, "3".to_owned()));
    let mut rest = String::new();
    let _ = client.read_to_string(&mut rest).await;
    assert!(
        rest.is_empty() || rest.starts_with("HTTP/1.1 400 "),
        "{rest}"
    );
    assert_eq!(edge.heads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_head_that_dribbles_gets_408() {
    let edge = Edge::start(limits());
    let (mut read, mut write) = edge.connect().await.into_split();
    // Each byte comes well within any timeout on a single read.
    let dribble = tokio::spawn(async move {
        for byte in GET.bytes().cycle().filter(|byte| *byte != b'\n') {
            if write.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(answer(&mut read).await.0, 408);
    ended(&mut read).await;
    dribble.abort();
    assert_eq!(edge.heads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn silence_is_closed_without_an_answer() {
    let edge = Edge::start(limits());
    ended(&mut edge.connect().await).await;
    let mut limits = limits();
    limits.timeouts.keepalive = Duration::from_millis(200);
    let edge = Edge::start(limits);
    let mut client = edge.connect().await;
    assert_eq!(ask(&mut client, GET).await.0, 200);
    ended(&mut client).await;
}

#[tokio::test]
async fn heads_that_are_too_large_or_ambiguous_never_reach_the_app() {
    let edge = Edge::start(limits());
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n",
        "x".repeat(1024)
    );
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(17));
    let both = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for (head, status) in [
        (large.as_str(), 431),
        (many.as_str(), 431),
        (both, 400),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ] {
        let mut client = edge.connect().await;
        assert_eq!(
            ask(&mut client, head).await,
            (status, String::new()),
            "{head:?}"
        );
        ended(&mut client).await;
    }
    assert_eq!(edge.heads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_refused_upload_reads_its_answer() {
    let edge = Edge::start(limits());
    let mut client = edge.connect().await;
    let len = 16 << 20;
    let put = format!("PUT /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
    client.write_all(put.as_bytes()).await.unwrap();
    // A client that only reads after it has sent everything.
    client.write_all(&vec![0; len]).await.unwrap();
    assert_eq!(answer(&mut client).await.0, 401);
    ended(&mut client).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut() {
    let edge = Edge::start(limits());
    let mut client = edge.connect().await;
    let get = "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(get.as_bytes()).await.unwrap();
    edge.until_heads(1).await;
    edge.until_open(0).await;
}
