//! What both lanes tell the upstream, pass on, and count: the same. What is not simple is Pingora's.

use super::*;

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
