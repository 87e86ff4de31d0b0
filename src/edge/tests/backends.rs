//! Backends that fail or are down.

use super::*;

#[tokio::test]
async fn a_backend_that_fails_is_told_of_as_a_problem() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let world = World::with(Identity::Accounts, |config| {
        config.upstreams.get_mut("files").unwrap().servers = vec![address];
    })
    .await;
    let answer = world.refused(502, "GET /a", &[GOOD]).await;
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert_eq!(value(&answer, "server"), None, "{answer}");

    let world = World::with(Identity::Accounts, |config| {
        let upstream = config.upstreams.get_mut("files").unwrap();
        upstream.timeouts.read = Duration::from_millis(200);
    })
    .await;
    let answer = world.ask("GET /silent", &[GOOD], "").await;
    assert_eq!(status(&answer), 504, "{answer}");

    let world = World::with(Identity::Accounts, |config| {
        let upstream = config.upstreams.get_mut("files").unwrap();
        upstream.servers = vec!["no-such-name.invalid:1".to_owned()];
    })
    .await;
    world.refused(503, "GET /a", &[GOOD]).await;
}

#[tokio::test]
async fn a_server_that_is_down_is_passed_over() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let world = World::with(Identity::Accounts, |config| {
        let upstream = config.upstreams.get_mut("files").unwrap();
        upstream.servers.insert(0, address);
    })
    .await;
    for _ in 0..4 {
        world.forwarded("GET /a", &[GOOD]).await;
    }
}
