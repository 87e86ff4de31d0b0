//! What is forwarded, what the upstream gets of it, and what never is.

use super::*;

#[tokio::test]
async fn only_a_verified_pair_is_forwarded() {
    let world = World::new(Identity::Accounts).await;
    let none = world.refused(401, "GET /a", &[]).await;
    assert!(value(&none, "www-authenticate").is_some(), "{none}");
    assert_eq!(value(&none, "cache-control"), Some("no-store"));
    assert_eq!(value(&none, "server"), None, "{none}");
    world
        .refused(401, "GET /a", &["Authorization: Bearer nobody"])
        .await;
    let new = world
        .refused(401, "GET /a", &["Authorization: Bearer new"])
        .await;
    assert!(new.contains("insufficient_user_authentication"), "{new}");
    world
        .refused(401, "GET /a", &[GOOD, "X-Device-Id: other"])
        .await;
    world
        .refused(503, "GET /a", &["Authorization: Bearer down"])
        .await;
    world.refused(403, "GET /dir/closed/a", &[GOOD]).await;
    world.forwarded("GET /a", &[GOOD]).await;
    world.forwarded("GET /a?token=good", &[]).await;
    world
        .forwarded("PROPFIND /a", &[GOOD, "X-Device-Id: phone"])
        .await;
    world.forwarded("GET /public/a", &[]).await;
}

#[tokio::test]
async fn the_upstream_gets_what_was_matched_and_who_asked() {
    let world = World::new(Identity::Accounts).await;
    let head = world
        .forwarded(
            "GET /x/../a//b%41?q=1&q=/../2",
            &[
                GOOD,
                "X-Device-Id: phone",
                "X-Vestibule-User: root",
                "X_Vestibule_User: root",
                "X-Forwarded-For: 10.9.8.7",
                "X-Api-Key: theirs",
                "Cookie: a=1; vestibule_device=phone",
            ],
        )
        .await;
    assert!(
        head.starts_with("GET /a/bA?q=1&q=/../2 HTTP/1.1\r\n"),
        "{head}"
    );
    for (name, expected) in [
        ("host", HOST),
        ("authorization", "Bearer good"),
        ("x-vestibule-user", "ann"),
        ("x-vestibule-factor", "sms"),
        ("x-vestibule-device", "label-of-phone"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", HOST),
        ("x-api-key", "ours"),
        ("cookie", "a=1"),
    ] {
        assert_eq!(value(&head, name), Some(expected), "{name} in {head}");
    }
    assert!(!head.contains("root") && !head.contains("theirs"), "{head}");
    let copy = world
        .forwarded(
            "MOVE /a",
            &[GOOD, "Destination: http://files.example.org/x/..//b%41"],
        )
        .await;
    assert_eq!(value(&copy, "destination"), Some("/bA"), "{copy}");
    let answer = world.ask("GET /a", &[GOOD], "").await;
    assert_eq!(value(&answer, "server"), Some("origin"));
    assert_eq!(value(&answer, "x-vestibule-user"), None, "{answer}");
    assert_eq!(value(&answer, "set-cookie"), None, "{answer}");
}

#[tokio::test]
async fn the_token_is_removed_where_the_route_says_so() {
    let world = World::with(Identity::Accounts, |config| {
        config.routes[0].forward.token = ForwardToken::Remove;
        config.upstreams.get_mut("files").unwrap().host = Some("inside".to_owned());
    })
    .await;
    let head = world.forwarded("GET /a?x=1&token=good", &[GOOD]).await;
    assert!(head.starts_with("GET /a?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains("good"), "{head}");
    assert_eq!(value(&head, "host"), Some("inside"));
    assert_eq!(value(&head, "x-forwarded-host"), Some(HOST));
}

#[tokio::test]
async fn credentials_that_nobody_looked_at_are_not_forwarded_beside_a_permit() {
    let world = World::new(Identity::Accounts).await;
    for other in ["Basic YW5uOnBhc3M=", "Bearer\tother", "Token other"] {
        let other = format!("Authorization: {other}");
        let head = world.forwarded("GET /a?token=good", &[&other]).await;
        assert_eq!(value(&head, "authorization"), None, "{head}");
        // Nobody was let through for a token there: it is the backend's own affair.
        let head = world.forwarded("GET /public/a", &[&other]).await;
        assert!(value(&head, "authorization").is_some(), "{head}");
    }
    let head = world.forwarded("GET /a", &[GOOD]).await;
    assert_eq!(value(&head, "authorization"), Some("Bearer good"));
}

#[tokio::test]
async fn a_share_link_opens_its_directory_and_nothing_else() {
    let world = World::new(Identity::Accounts).await;
    let head = world.forwarded("GET /share/share/a/b?q=1", &[]).await;
    assert!(head.starts_with("GET /dir/a/b?q=1 HTTP/1.1\r\n"), "{head}");
    let head = world.forwarded("GET /share/share/", &[]).await;
    assert!(head.starts_with("GET /dir/ HTTP/1.1\r\n"), "{head}");
    // The link itself is a page of ours.
    let allow = world.refused(405, "DELETE /share/share", &[]).await;
    assert_eq!(value(&allow, "allow"), Some("GET, HEAD, POST"));
    world
        .forwarded("GET /dir/a", &["Authorization: Bearer share"])
        .await;
    let out = world.ask("GET /share/share/../../a", &[], "").await;
    assert_ne!(status(&out), 200, "{out}");
    world
        .refused(403, "GET /a", &["Authorization: Bearer share"])
        .await;
    // The policy of what the link means holds, not only that of its spelling.
    world.refused(403, "GET /share/share/closed/a", &[]).await;
    world.refused(401, "GET /share/new/a", &[]).await;
    world.refused(401, "GET /share/nobody/a", &[]).await;
    world.refused(503, "GET /share/down/a", &[]).await;
    for copied in ["Destination: /share/share/b", "Destination: /dir/b"] {
        world.refused(403, "COPY /share/share/a", &[copied]).await;
    }
}

#[tokio::test]
async fn what_is_not_a_sites_own_is_not_forwarded() {
    let world = World::new(Identity::Accounts).await;
    world.refused(404, "GET /.vestibule/nothing", &[GOOD]).await;
    world.refused(404, "GET /.vestibule", &[GOOD]).await;
    world
        .refused(404, "GET /x/%2e%2e/%2evestibule/nothing", &[GOOD])
        .await;
    let trace = world.refused(405, "TRACE /a", &[GOOD]).await;
    assert!(value(&trace, "allow").is_some(), "{trace}");
    world.refused(400, "GET /a%2fb", &[GOOD]).await;
    world.refused(400, "GET /a\\b", &[GOOD]).await;
    world
        .refused(400, "GET /a", &[GOOD, "X-Device-Id: a", "X-Device-Id: b"])
        .await;
    let request = "GET /public/a HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&world.send(request).await), 404);
    let local = world.ask("GET /.vestibule/challenge", &[], "").await;
    assert_ne!(status(&local), 404, "{local}");
    let head = world.ask("HEAD /a", &[], "").await;
    assert_eq!(status(&head), 401);
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(world.origin.take(), Vec::<String>::new());
}
