//! How long connections and answers last: kept, closed, left, silent, drained.

use super::*;

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
