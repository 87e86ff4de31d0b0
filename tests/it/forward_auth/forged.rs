//! What a client says in the words of others, and odd paths: it comes to nothing behind any proxy.

use super::*;

/// What a client must not say to any backend: another address, another request, another user. The gateway itself drops them
/// all (`src/edge/headers.rs`), and so must each of the proxies.
const FORGED: [&str; 44] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "x-cluster-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-original-method",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "proxy",
    "remote-user",
    "remote-groups",
    "remote-email",
    "remote-name",
    "x-remote-user",
    "x-remote-groups",
    "x-webauth-user",
    "x-auth-request-user",
    "x-auth-request-groups",
    "x-auth-request-email",
    "x-forwarded-user",
    "x-forwarded-groups",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-vestibule-user",
    "x-vestibule-device",
    "x-vestibule-factor",
    "x-vestibule-verified-at",
    "x-vestibule-assertion",
];

/// Whether a request brings to the file server what none must, whoever sends it.
fn is_forgery(seen: &Seen) -> bool {
    seen.headers.iter().any(|(name, value)| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_odd = !name.as_str().bytes().all(is_name) || name == "x-2fa-success-token";
        is_odd || value.is_empty() || value.as_bytes().windows(4).any(|it| it == b"root")
    })
}

/// Whether everybody may have it, as it is written.
fn is_public(seen: &Seen) -> bool {
    let target = &seen.target;
    target.starts_with("/public/") && !["..", "%", "\\", "#"].iter().any(|it| target.contains(it))
}

pub(super) async fn what_a_client_forges_comes_to_nothing(kind: Kind) {
    let world = World::start(kind).await;
    let token = world.verified().await;
    world.backend.forget();
    names_that_are_not_the_clients_are_dropped(&world, &token).await;
    what_the_proxy_says_is_not_the_clients_to_take_away(&world, &token).await;
    nobody_asks_in_the_words_of_a_proxy(&world).await;
    odd_paths_lead_nowhere_else(&world).await;
    one_hosts_rules_open_no_other_hosts_files(&world).await;
    only_websockets_change_the_protocol(&world, &token).await;
}

async fn names_that_are_not_the_clients_are_dropped(world: &World, token: &str) {
    let spelled = |separator: &str| {
        let names = FORGED.iter().filter(|name| name.contains('-'));
        let names: Vec<String> = names.map(|name| name.replace('-', separator)).collect();
        names
    };
    let plain = FORGED.iter().map(|name| (*name).to_owned()).collect();
    for names in [plain, spelled("_"), spelled(".")] {
        let headers: Vec<_> = names.iter().map(|name| (&**name, "root")).collect();
        let request = world.by(token, "GET /docs/a");
        let code = "00000000-0000-4000-8000-000000000000";
        let request = request.header("x-2fa-success-token", code);
        let (seen, _) = world.passed(with(request, &headers)).await;
        assert_eq!(seen.headers["x-vestibule-user"], "anna");
        assert!(!is_forgery(&seen), "{seen:?}");
        let open = with(world.request("GET /public/x"), &headers);
        let (seen, _) = world.passed(open).await;
        let is_told = seen.headers.contains_key("x-vestibule-user");
        assert!(!is_told && !is_forgery(&seen), "{seen:?}");
    }
    names_that_no_list_has_do_not_pass(world, token).await;
    // An Authorization that nobody has looked at.
    let unseen = world
        .request("GET /docs/a")
        .header("authorization", "Digest username=root");
    world.refused(unseen, 401).await;
}

/// A proxy drops them by a pattern, or has the question refused.
async fn names_that_no_list_has_do_not_pass(world: &World, token: &str) {
    let unlisted = [
        "x-auth-request-roles",
        "x-forwarded-client-cert",
        "x-forwarded-roles",
        "x-forwarded-path",
        "x-original-path",
        "x-vestibule-roles",
    ];
    let spelled = |sign: char| {
        let names = ["x-vestibule-user", "x-forwarded-for", "x-original-url"];
        names.map(|name| name.replace('-', &sign.to_string()))
    };
    let spelled = "!#$%&'*+^`|~".chars().flat_map(spelled);
    for name in unlisted.map(str::to_owned).into_iter().chain(spelled) {
        for request in [
            world.by(token, "GET /docs/a"),
            world.request("GET /public/x"),
        ] {
            let answer = request.header(&name, "root").send().await;
            let status = answer.expect("answer").status().as_u16();
            // 502: the gateway itself would forward it, and has no file server here.
            assert!(matches!(status, 200 | 400 | 502), "{name}: {status}");
            let seen = world.backend.forget();
            assert_eq!(seen.len(), usize::from(status == 200), "{name}: {status}");
            assert!(!seen.iter().any(is_forgery), "{name}: {seen:?}");
        }
    }
}

/// What `Connection` names ends at the next proxy (RFC 9110 section 7.6.1): a client could have it end there what the proxy
/// itself has said.
async fn what_the_proxy_says_is_not_the_clients_to_take_away(world: &World, token: &str) {
    let told = [
        "x-vestibule-user",
        "x-vestibule-assertion",
        "x-forwarded-for",
        "x-forwarded-proto",
    ];
    let request = world.proxy.http1().get(world.proxy.url("/docs/a"));
    let request = request.bearer_auth(token).header("x-device-id", DEVICE);
    let request = request.header("connection", format!("close, {}", told.join(", ")));
    let status = request.send().await.expect("answer").status().as_u16();
    let seen = world.backend.forget();
    assert_eq!(seen.len(), usize::from(status == 200), "{status}");
    for seen in &seen {
        for name in told {
            assert!(seen.headers.contains_key(name), "{name}: {seen:?}");
        }
        names_no_header_of_this_request(seen);
    }
    // Nor beside the one word that must pass, or the file server's own proxy would take them away.
    let upgrade = ["-H", "Upgrade: websocket", "-H", "Connection: Upgrade"];
    for more in [&[][..], &upgrade] {
        let named = [
            "--http1.1",
            "-H",
            "Connection: X-Forwarded-For, Authorization",
            "-H",
            "Connection: X-Vestibule-User, Keep-Alive",
        ];
        let code = world.curl_with("/public/x", &[&named, more].concat()).await;
        let seen = world.backend.forget();
        assert!(matches!(code, 200 | 400), "{code}");
        assert_eq!(seen.len(), usize::from(code == 200), "{code}: {seen:?}");
        seen.iter().for_each(names_no_header_of_this_request);
    }
    // Left out of the question, and forwarded.
    let copy = reqwest::Method::from_bytes(b"COPY").expect("method");
    let request = world
        .proxy
        .http1()
        .request(copy, world.proxy.url("/public/a"));
    let request = request.bearer_auth(token).header("x-device-id", DEVICE);
    let request = request.header("destination", world.proxy.url("/internal/b"));
    let request = request.header("connection", "close, destination");
    request.send().await.expect("answer");
    let seen = world.backend.forget();
    let is_told = |seen: &Seen| seen.headers.contains_key("destination");
    assert!(!seen.iter().any(is_told), "{seen:?}");
    let upgrade = [
        "--http1.1",
        "-X",
        "COPY",
        "-H",
        "Destination: /internal/b",
        "-H",
        "Upgrade: websocket",
        "-H",
        "Connection: Upgrade, Destination",
    ];
    world.curl_with("/public/a", &upgrade).await;
    let seen = world.backend.forget();
    assert!(!seen.iter().any(is_told), "{seen:?}");
}

fn names_no_header_of_this_request(seen: &Seen) {
    for value in seen.headers.get_all("connection") {
        let words = value.to_str().expect("text").to_ascii_lowercase();
        for word in words.split(',').map(str::trim) {
            let is_plain = matches!(word, "close" | "keep-alive" | "upgrade");
            assert!(is_plain, "{word}: {seen:?}");
        }
    }
}

async fn nobody_asks_in_the_words_of_a_proxy(world: &World) {
    let url = world.proxy.url("/public/x");
    for words in [
        &[("x-forwarded-uri", "/public/x")][..],
        &[("x-original-url", &*url), ("x-original-method", "GET")],
        &[("x-original-uri", "/public/x")],
        &[
            ("x-forwarded-method", "OPTIONS"),
            ("x-forwarded-uri", "/public/x"),
        ],
        &[("x-rewrite-url", "/public/x")],
        &[("x-forwarded-host", "other.example.org")],
        &[
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "http"),
        ],
    ] {
        for line in ["GET /docs/a", "DELETE /docs/a", "GET /internal/x"] {
            let request = with(world.request(line), words);
            let status = request.send().await.expect("answer").status().as_u16();
            let is_refused = matches!(status, 400 | 401 | 403);
            assert!(is_refused, "{line} {words:?}: {status}");
            let seen = world.backend.forget();
            assert!(seen.is_empty(), "{line} {words:?}: {seen:?}");
        }
    }
}

/// The same paths, spelled otherwise. A proxy may write them in their plain form first: that is asked about then, and
/// forwarded.
async fn odd_paths_lead_nowhere_else(world: &World) {
    for target in [
        "/public/../docs/a",
        "/public/%2e%2e/docs/a",
        "/public/..%2fdocs/a",
        "/public/x/..;/../docs/a",
        "/public/x#/../../docs/a",
        "/.vestibule/../docs/a",
        "/api/apiauth/..%2f..%2fdocs/a",
        "/api/apiauth/../../docs/a",
        "//docs/a",
        "/docs%2fa",
        "/%64ocs/a",
        "/docs/a?/public/x",
        "/docs\\a",
        "/docs;/public/a",
    ] {
        let code = world.curl(target).await;
        let seen = world.backend.forget();
        assert!(seen.iter().all(is_public), "{target}: {seen:?}");
        // 0: HAProxy ends the connection.
        let is_refused = matches!(code, 0 | 400 | 401 | 403 | 404 | 502);
        assert!(
            is_refused != (code == 200 && seen.len() == 1),
            "{target}: {code}"
        );
    }
    assert_eq!(world.curl("/public/x").await, 200, "curl works");
    world.backend.forget();
}

/// Judged by one host's rules, forwarded to another's files.
async fn one_hosts_rules_open_no_other_hosts_files(world: &World) {
    let whole = world.proxy.url("/docs/a");
    let other = ["--http1.1", "-H", "Host: other.example.org"];
    let first_line = [&other[..], &["--request-target", &whole]].concat();
    for more in [&other[..], &first_line] {
        let code = world.curl_with("/docs/a", more).await;
        let is_refused = matches!(code, 200 | 400 | 401 | 403 | 404 | 421);
        assert!(is_refused, "{more:?}: {code}");
        let seen = world.backend.forget();
        assert!(seen.is_empty(), "{more:?}: {seen:?}");
    }
}

async fn only_websockets_change_the_protocol(world: &World, token: &str) {
    // In HTTP/2 the client would go on unasked, whatever else it says that it would like.
    let h2c = [
        "--http1.1",
        "-H",
        "Connection: Upgrade, HTTP2-Settings",
        "-H",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "-H",
        "Upgrade: h2c",
    ];
    let websocket = ["-H", "Upgrade: websocket"];
    let after = [&h2c[..], &websocket].concat();
    let before = [&websocket[..], &h2c].concat();
    for headers in [&h2c[..], &after, &before] {
        let code = world.curl_with("/public/x", headers).await;
        assert!(matches!(code, 200 | 400 | 403), "{headers:?}: {code}");
        let seen = world.backend.forget();
        assert_eq!(seen.len(), usize::from(code == 200), "{seen:?}");
        for seen in &seen {
            let mut upgrades = seen.headers.get_all("upgrade").iter();
            assert!(upgrades.all(|it| it == "websocket"), "{seen:?}");
            assert!(!seen.headers.contains_key("http2-settings"), "{seen:?}");
        }
    }
    assert_eq!(world.curl_with("/public/x", &h2c).await, 200);
    world.backend.forget();
    // A WebSocket that a page of elsewhere opens.
    let upgrade = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let open = |origin: &str| {
        let request = world.proxy.http1().get(world.proxy.url("/docs/a"));
        let request = request.bearer_auth(token).header("x-device-id", DEVICE);
        with(request, &upgrade).header("origin", origin)
    };
    world.refused(open("https://evil.example"), 403).await;
    let (seen, _) = world.passed(open(&world.proxy.base)).await;
    assert_eq!(seen.headers["upgrade"], "websocket");
}
