//! Odd answers, those that break off, and what becomes of their connections.

use super::*;

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
