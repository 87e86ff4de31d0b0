//! Pages of other origins, and WebSockets.

use super::*;

#[tokio::test]
async fn pages_of_allowed_origins_read_refusals_and_open_websockets() {
    let world = World::new(Identity::Accounts).await;
    let (app, evil) = (
        "Origin: https://app.example.org",
        "Origin: https://evil.example",
    );
    let wanted = "Access-Control-Request-Method: PUT";
    let preflight = world.refused(204, "OPTIONS /a", &[app, wanted]).await;
    assert_eq!(
        value(&preflight, "access-control-allow-methods"),
        Some("PUT")
    );
    world.refused(401, "OPTIONS /a", &[evil, wanted]).await;
    let refusal = world.refused(401, "GET /a", &[app]).await;
    let allowed = value(&refusal, "access-control-allow-origin");
    assert_eq!(allowed, Some("https://app.example.org"));
    let hidden = world.refused(401, "GET /a", &[evil]).await;
    assert_eq!(
        value(&hidden, "access-control-allow-origin"),
        None,
        "{hidden}"
    );
    let upgrade = ["Upgrade: websocket", GOOD, evil];
    world.refused(403, "GET /ws", &upgrade).await;
}

/// A request with the cookie of the sign-in page alone.
const SIGNED_IN: &str = "Cookie: vestibule_token=good";

#[tokio::test]
async fn a_foreign_page_changes_nothing_by_the_cookie_of_the_sign_in_page() {
    let world = World::with(Identity::Accounts, |config| {
        let route = &mut config.routes[0];
        route.credentials.push(CredentialSource::OwnCookie);
    })
    .await;
    let (same_site, cross_site) = ("Sec-Fetch-Site: same-site", "Sec-Fetch-Site: cross-site");
    let (own_site, own) = (
        "Sec-Fetch-Site: same-origin",
        &*format!("Origin: http://{HOST}"),
    );
    let (evil, app) = (
        "Origin: http://other.example.org",
        "Origin: https://app.example.org",
    );
    let null = "Origin: null";
    let port = &*format!("Origin: http://{HOST}:8080");
    for line in ["POST /a", "PUT /a", "DELETE /a", "MKCOL /a", "MOVE /a"] {
        for says in [
            &[same_site][..],
            &[cross_site],
            &[evil],
            &[port],
            &[null],
            &[own_site, same_site],
            &[own, evil],
            &[own, same_site],
            &[app, evil],
        ] {
            let headers = [&[SIGNED_IN, "Content-Length: 0"], says].concat();
            world.refused(403, line, &headers).await;
        }
    }
    let forwarded = async |line: &str, headers: &[&str]| {
        let answer = world.ask(line, headers, "").await;
        assert_eq!(world.origin.take().len(), 1, "{line} {headers:?}: {answer}");
    };
    for says in [
        &[][..],
        &[own],
        &[own_site],
        &[own_site, null],
        &["Sec-Fetch-Site: none"],
        &[app, cross_site],
    ] {
        let headers = [&[SIGNED_IN, "Content-Length: 0"], says].concat();
        forwarded("POST /a", &headers).await;
    }
    // It reads at most, and cannot read the answer.
    forwarded("GET /a", &[SIGNED_IN, cross_site, evil]).await;
    // Whoever knows the token is no page that has only a visitor.
    let known = [GOOD, SIGNED_IN, cross_site, evil, "Content-Length: 0"];
    forwarded("POST /a", &known).await;
}

#[tokio::test]
async fn a_websocket_goes_both_ways_and_may_be_silent() {
    let short = Duration::from_millis(200);
    let world = World::with(Identity::Accounts, |config| {
        config.timeouts.body = short;
        config.upstreams.get_mut("files").unwrap().timeouts.read = short;
    })
    .await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{GOOD}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nOrigin: http://{HOST}\r\n\r\n"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let head = read_head(&mut client).await.unwrap();
    assert_eq!(status(&head), 101, "{head}");
    assert_eq!(value(&head, "upgrade"), Some("websocket"), "{head}");
    // Longer than any other exchange may be silent.
    tokio::time::sleep(short * 4).await;
    client.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    let read = client.read_exact(&mut echo);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert_eq!(&echo, b"ping");
}
