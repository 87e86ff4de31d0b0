//! Request bodies: bounded, refused, stalled.

use super::*;

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
