//! Questions of other proxies: the same decision as if the request had come here itself.

use super::*;

const FORWARD_AUTH: &str = "/.vestibule/forward-auth";
const FOR: &str = "X-Forwarded-For: 192.0.2.7";

async fn world(identity: Identity, change: impl FnOnce(&mut model::Config)) -> World {
    World::with(identity, |config| {
        let mut listener = config.listeners[0].clone();
        listener.forward_auth = true;
        config.listeners.push(listener);
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.routes[0]
            .credentials
            .push(CredentialSource::OwnCookie);
        change(config);
    })
    .await
}

impl World {
    /// Sends one request to the listener for questions, and reads its whole answer.
    async fn question(&self, line: &str, headers: &[&str]) -> String {
        let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        self.send_to(self.asked.unwrap(), &request).await
    }

    /// Asks about `METHOD /target`, as Traefik and Caddy do.
    async fn may(&self, line: &str, headers: &[&str]) -> String {
        self.may_by(FORWARD_AUTH, line, headers).await
    }

    async fn may_by(&self, path: &str, line: &str, headers: &[&str]) -> String {
        let (method, target) = line.split_once(' ').unwrap();
        let asked = [
            "Host: 127.0.0.1:8081",
            FOR,
            &format!("X-Forwarded-Method: {method}"),
            &format!("X-Forwarded-Uri: {target}"),
            "X-Forwarded-Proto: http",
            &format!("X-Forwarded-Host: {HOST}"),
        ];
        let answer = self
            .question(&format!("GET {path}"), &[&asked, headers].concat())
            .await;
        assert_eq!(
            self.origin.take(),
            Vec::<String>::new(),
            "{line} was forwarded"
        );
        assert_eq!(
            value(&answer, "cache-control"),
            Some("no-store"),
            "{answer}"
        );
        answer
    }

    fn refused_for(&self, reason: &str) -> Option<u32> {
        let text = self.metrics.render().unwrap();
        let series = format!("vestibule_forward_auth_refused_total{{reason=\"{reason}\"}} ");
        text.lines()
            .find_map(|line| line.strip_prefix(&*series)?.parse().ok())
    }
}

const NEW: &str = "Authorization: Bearer new";
const SHARE: &str = "Authorization: Bearer share";

/// Requests of every kind, each as `METHOD /target` and headers.
const REQUESTS: &[(&str, &[&str])] = &[
    ("GET /a", &[]),
    ("GET /a", &[GOOD]),
    ("HEAD /a", &[GOOD]),
    ("PUT /a%20b", &[GOOD]),
    ("GET /a%7eb", &[GOOD]),
    ("GET /public/x", &[]),
    ("DELETE /public/x", &["Authorization: Bearer unknown"]),
    ("GET /dir/closed/x", &[GOOD]),
    ("GET /dir%2fclosed%2fx", &[GOOD]),
    ("GET /a%5cb", &[GOOD]),
    ("GET /a%252fb", &[GOOD]),
    ("GET /a%", &[GOOD]),
    ("GET /a\\b", &[GOOD]),
    ("GET /a;b/c", &[GOOD]),
    ("GET /a", &[NEW]),
    ("GET /a", &["Authorization: Bearer unknown"]),
    ("GET /a", &["Authorization: Bearer down"]),
    ("GET /a", &["Authorization: Bearer "]),
    ("GET /a?token=good", &[]),
    ("GET /a?token=good&token=new", &[]),
    ("GET /a?token=good", &[NEW]),
    ("GET /a?token=good", &[GOOD]),
    ("GET /a", &[GOOD, "X-Device-Id: phone"]),
    ("GET /a", &[GOOD, "X-Device-Id: other"]),
    ("GET /a?deviceId=phone", &[GOOD, "X-Device-Id: other"]),
    ("GET /a", &["Cookie: vestibule_token=good"]),
    (
        "GET /a",
        &["Cookie: vestibule_token=good; vestibule_token=new"],
    ),
    ("GET /a", &["Cookie: __Host-vestibule_token=good"]),
    (
        "PUT /a",
        &["Cookie: vestibule_token=good", "Sec-Fetch-Site: cross-site"],
    ),
    (
        "PUT /a",
        &[
            "Cookie: vestibule_token=good",
            "Origin: http://evil.example",
        ],
    ),
    (
        "PUT /a",
        &[
            "Cookie: vestibule_token=good",
            "Origin: http://files.example.org",
        ],
    ),
    ("GET /dir/x", &[SHARE]),
    ("GET /elsewhere", &[SHARE]),
    ("MOVE /dir/x", &[SHARE, "Destination: /dir/y"]),
    ("MOVE /dir/x", &[SHARE, "Destination: /elsewhere"]),
    (
        "COPY /a",
        &[GOOD, "Destination: http://files.example.org/b"],
    ),
    ("COPY /a", &[GOOD, "Destination: /dir/closed/x"]),
    (
        "COPY /a",
        &[GOOD, "Destination: http://other.example.org/x"],
    ),
    ("COPY /public/a", &["Destination: /a"]),
    ("GET /a", &[GOOD, "Service-Worker: script"]),
    (
        "GET /ws",
        &[GOOD, "Upgrade: websocket", "Origin: http://evil.example"],
    ),
    ("TRACE /a", &[GOOD]),
    ("GET /a", &["Sec-Fetch-Mode: navigate"]),
    ("GET /a?b=c", &[NEW, "Sec-Fetch-Mode: cors"]),
    (
        "GET /a?token=new",
        &["Sec-Fetch-Mode: navigate", "Accept: text/html"],
    ),
    ("GET /dir/closed/x", &["Accept: text/html"]),
    (
        "OPTIONS /a",
        &[
            "Origin: http://evil.example",
            "Access-Control-Request-Method: PUT",
        ],
    ),
];

/// What an answer says of the request: leave, or how it is refused.
fn gist(answer: &str, is_leave: bool) -> Vec<String> {
    if is_leave {
        return vec!["leave".to_owned()];
    }
    let header = |name: &str| value(answer, name).unwrap_or_default().to_owned();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    vec![
        status(answer).to_string(),
        // A whole URL for proxies, who may take a path for one of the server that they ask.
        header("location").replacen(&format!("http://{HOST}"), "", 1),
        header("www-authenticate"),
        header("allow"),
        body.len().to_string(),
    ]
}

#[tokio::test]
async fn the_answer_is_the_one_that_the_request_itself_would_get() {
    let world = world(Identity::Accounts, |_| {}).await;
    let mut differ = Vec::new();
    for (line, headers) in REQUESTS {
        let direct = world.ask(line, headers, "").await;
        let reached = world.origin.take().len() == 1;
        let asked = world.may(line, headers).await;
        let (direct, asked) = (gist(&direct, reached), gist(&asked, status(&asked) == 200));
        if direct != asked {
            differ.push(format!(
                "{line} {headers:?}: {direct:?}, and asked about {asked:?}"
            ));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}

#[tokio::test]
async fn every_proxys_way_to_ask_gets_the_same_answer() {
    let world = world(Identity::Accounts, |_| {}).await;
    let url = format!("X-Original-URL: http://{HOST}/a?b=c");
    let host = format!("Host: {HOST}");
    for (token, expected) in [(GOOD, 200), (NEW, 401)] {
        let asked = [
            world.may("PUT /a?b=c", &[token]).await,
            // nginx, as ingress-nginx and many examples have it.
            world
                .question(
                    &format!("GET {FORWARD_AUTH}"),
                    &[
                        "Host: vestibule",
                        FOR,
                        "X-Original-Method: PUT",
                        &url,
                        token,
                    ],
                )
                .await,
            // Envoy, with what else it sends.
            world
                .question(
                    &format!("PUT {FORWARD_AUTH}/a?b=c"),
                    &[
                        &host,
                        FOR,
                        "X-Forwarded-Proto: http",
                        "Content-Length: 0",
                        "X-Request-Id: 4a1d7a5e-9e0f-4f2c-8d7c-6b1b4b0c2a11",
                        "X-Envoy-Internal: true",
                        "X-Envoy-Expected-Rq-Timeout-Ms: 10000",
                        token,
                    ],
                )
                .await,
        ];
        for answer in asked {
            assert_eq!(status(&answer), expected, "{answer}");
        }
    }
    assert_eq!(world.origin.take(), Vec::<String>::new());
}

#[tokio::test]
async fn leave_comes_with_what_the_backend_is_to_be_told_and_nothing_of_the_clients() {
    let world = world(Identity::Accounts, |_| {}).await;
    let forged = [
        GOOD,
        "X-Device-Id: phone",
        "X-Vestibule-User: root",
        "X-Vestibule-Assertion: forged",
        "Forwarded: for=192.0.2.66",
        "X-Api-Key: theirs",
        "Cookie: a=b; vestibule_device=phone; c=d",
    ];
    let answer = world.may("GET /a", &forged).await;
    assert_eq!(status(&answer), 200, "{answer}");
    for (name, expected) in [
        ("x-vestibule-user", Some("ann")),
        ("x-vestibule-factor", Some("sms")),
        ("x-vestibule-device", Some("label-of-phone")),
        ("x-vestibule-assertion", None),
        ("forwarded", None),
        ("authorization", Some("Bearer good")),
        ("cookie", Some("a=b; c=d")),
        ("x-api-key", None),
        ("content-length", Some("0")),
        (
            "x-envoy-auth-headers-to-remove",
            Some("x-vestibule-assertion, forwarded, x-api-key"),
        ),
    ] {
        assert_eq!(value(&answer, name), expected, "{name}: {answer}");
    }
    assert!(value(&answer, "x-vestibule-verified-at").is_some());
    // Nobody was let through: nobody is named, and what nobody has looked at is not passed on.
    let open = world.may("GET /public/x", &forged).await;
    assert_eq!(status(&open), 200);
    assert_eq!(value(&open, "x-vestibule-user"), None);
    let gone = value(&open, "x-envoy-auth-headers-to-remove").unwrap();
    assert!(gone.contains("x-vestibule-user"), "{gone}");
    let by_cookie = [
        "Cookie: vestibule_token=good",
        "Authorization: Basic cm9vdDpyb290",
    ];
    let other = world.may("GET /a", &by_cookie).await;
    assert_eq!(
        (value(&other, "authorization"), value(&other, "cookie")),
        (None, None)
    );
    let gone = value(&other, "x-envoy-auth-headers-to-remove").unwrap();
    assert!(
        gone.contains("authorization") && gone.contains("cookie"),
        "{gone}"
    );
}

#[tokio::test]
async fn what_is_vestibules_own_is_not_for_a_backend() {
    let world = world(Identity::Accounts, |_| {}).await;
    let paths = [
        "/.vestibule",
        "/.vestibule/challenge",
        "/.vestibule/forward-auth",
        "/%2evestibule/x",
        "/api/authtoken",
        "/share/any-link",
    ];
    for path in paths {
        let answer = world.may(&format!("POST {path}"), &[GOOD]).await;
        assert_eq!(status(&answer), 403, "{path}: {answer}");
    }
    assert_eq!(world.refused_for("own_path"), Some(6));
    let app = "Origin: https://app.example.org";
    let preflight = [app, "Access-Control-Request-Method: PUT"];
    let answer = world.may("OPTIONS /a", &preflight).await;
    assert_eq!(status(&answer), 401, "an answer of 2xx would be leave");
    let allowed = value(&answer, "access-control-allow-origin");
    assert_eq!(allowed, Some("https://app.example.org"));
}

#[tokio::test]
async fn what_would_have_to_be_written_anew_is_refused() {
    let removing = |config: &mut model::Config| {
        config.routes[0].forward.token = ForwardToken::Remove;
    };
    let world = world(Identity::Accounts, removing).await;
    for (line, headers) in [
        ("GET /x/../a", &[GOOD][..]),
        ("GET /public/../public/x", &[]),
        ("GET /./a", &[GOOD]),
        ("GET //a", &[GOOD]),
        ("GET /share/share/x", &[]),
        ("GET /a?token=good", &[]),
        ("COPY /a", &[GOOD, "Destination: /public//../internal/x"]),
        (
            "COPY /a",
            &[GOOD, "Destination: https://files.example.org/./b"],
        ),
        (
            "COPY /a",
            &[GOOD, "Destination: https://files.example.org/%2e%2e/b"],
        ),
    ] {
        let answer = world.may(line, headers).await;
        assert_eq!(status(&answer), 400, "{line} {headers:?}: {answer}");
        assert_eq!(value(&answer, "x-vestibule-user"), None, "{line}");
    }
    assert_eq!(world.refused_for("rewritten"), Some(9));
    let plain = "Destination: https://files.example.org/a%20b";
    let answer = world.may("COPY /a", &[GOOD, plain]).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let cut_off = world.may("GET /public/x#/../../internal/x", &[]).await;
    assert_eq!(status(&cut_off), 400, "{cut_off}");
    for other in [
        "X-HTTP-Method-Override: DELETE",
        "X-Original-Path: /internal/x",
        "X-Forwarded-Client-Cert: By=root",
        "X_Vestibule_Factor: totp",
        "X~Vestibule~User: root",
        // Of what the upstream is sent in its own name.
        "X~Api~Key: theirs",
    ] {
        let answer = world.may("POST /a", &[GOOD, other]).await;
        assert_eq!(status(&answer), 400, "{other}: {answer}");
    }
    assert_eq!(world.refused_for("override"), Some(6));
}

#[tokio::test]
async fn a_watched_sign_in_is_never_let_through_unseen() {
    let world = world(learn(), |_| {}).await;
    let answer = world.may("POST /api/authtoken", &[]).await;
    assert_eq!(status(&answer), 403, "{answer}");
    assert_eq!(world.refused_for("sign_in"), Some(1));
    assert_eq!(status(&world.may("GET /a", &[GOOD]).await), 200);
}

#[tokio::test]
async fn only_a_proxy_that_is_trusted_may_ask_and_only_there() {
    let world = world(Identity::Accounts, |config| {
        config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    })
    .await;
    for _ in 0..3 {
        let answer = world.may("GET /a", &[GOOD]).await;
        assert_eq!(status(&answer), 403, "{answer}");
    }
    assert_eq!(world.refused_for("untrusted_peer"), Some(3));
    assert_eq!(world.refused_for("missing_header"), Some(0));
    let direct = world.ask(&format!("GET {FORWARD_AUTH}"), &[GOOD], "").await;
    assert_eq!(status(&direct), 404);
}

#[tokio::test]
async fn the_listener_for_questions_serves_nothing_else() {
    let world = world(Identity::Accounts, |_| {}).await;
    let host = format!("Host: {HOST}");
    for path in ["/a", "/public/x", "/.vestibule/challenge", "/"] {
        let answer = world
            .question(&format!("GET {path}"), &[&host, GOOD, FOR])
            .await;
        assert_eq!(status(&answer), 404, "{path}: {answer}");
    }
    assert_eq!(world.origin.take(), Vec::<String>::new());
    for path in [FORWARD_AUTH, "/.vestibule/forward-auth/a"] {
        let elsewhere = world.ask(&format!("GET {path}"), &[GOOD], "").await;
        assert_eq!(status(&elsewhere), 404, "{path}");
    }
}

#[tokio::test]
async fn a_question_that_leaves_something_out_or_contradicts_itself_is_refused_and_counted() {
    let world = world(Identity::Accounts, |_| {}).await;
    let asked = [
        "Host: 127.0.0.1:8081",
        FOR,
        "X-Forwarded-Method: GET",
        "X-Forwarded-Uri: /public/x",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: files.example.org",
    ];
    let line = format!("GET {FORWARD_AUTH}");
    assert_eq!(status(&world.question(&line, &asked).await), 200);
    for left_out in 1..asked.len() {
        let mut headers = asked.to_vec();
        let name = headers.remove(left_out);
        let answer = world.question(&line, &headers).await;
        assert_eq!(status(&answer), 400, "{name}: {answer}");
        let (name, _) = name.split_once(':').unwrap();
        assert!(answer.contains(name), "it says what is missing: {answer}");
    }
    assert_eq!(world.refused_for("missing_header"), Some(5));
    for more in [
        "X-Original-Method: DELETE",
        "X-Original-URI: /a",
        "X-Forwarded-Uri: /a",
        "X-Original-URL: https://files.example.org/public/x",
        "X-Forwarded-Host: other.example.org",
    ] {
        let answer = world.question(&line, &[&asked[..], &[more]].concat()).await;
        assert_eq!(status(&answer), 400, "{more}: {answer}");
    }
    assert_eq!(world.refused_for("conflicting_headers"), Some(5));
    let mut headers = asked.to_vec();
    headers[3] = "X-Forwarded-Uri: public/x";
    assert_eq!(status(&world.question(&line, &headers).await), 400);
    assert_eq!(world.refused_for("malformed_header"), Some(1));
}

#[tokio::test]
async fn a_redirect_is_a_401_for_who_asks_for_that() {
    let world = world(Identity::Accounts, |_| {}).await;
    let path = format!("{FORWARD_AUTH}?redirect=401");
    let navigates = "Sec-Fetch-Mode: navigate";
    let answer = world.may_by(&path, "GET /a", &[navigates]).await;
    assert_eq!(status(&answer), 401, "{answer}");
    let to = value(&answer, "location").unwrap();
    let page = format!("http://{HOST}/.vestibule/sign-in?return_to=/a");
    assert!(to.starts_with(&page), "{to}");
    assert!(value(&answer, "www-authenticate").is_some());
    let direct = world.may("GET /a", &[navigates]).await;
    assert_eq!(
        (status(&direct), value(&direct, "location")),
        (303, Some(to))
    );
    for (line, expected) in [
        ("GET /dir/closed/x", 403),
        ("GET /public/x", 200),
        ("GET /a%", 400),
    ] {
        let answer = world.may_by(&path, line, &[navigates]).await;
        assert_eq!(status(&answer), expected, "{line}: {answer}");
    }
}

#[tokio::test]
async fn questions_of_any_method_share_a_connection_and_their_bodies_are_thrown_away() {
    let world = world(Identity::Accounts, |_| {}).await;
    let about = |method: &str, more: &str| {
        format!(
            "{method} {FORWARD_AUTH}/a HTTP/1.1\r\nHost: {HOST}\r\n{FOR}\r\n{GOOD}\r\nX-Forwarded-Proto: http\r\n{more}\r\n"
        )
    };
    let connections = [
        vec![
            about("PUT", "Content-Length: 5\r\n") + "12345",
            about("HEAD", ""),
            about("PROPFIND", ""),
        ],
        vec![about("POST", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n"],
        vec![about(
            "GET",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        )],
    ];
    for requests in connections {
        let mut client = TcpStream::connect(world.asked.unwrap()).await.unwrap();
        for request in requests {
            client.write_all(request.as_bytes()).await.unwrap();
            let head = tokio::time::timeout(PATIENCE, read_head(&mut client));
            let head = head.await.unwrap();
            let head = head.unwrap_or_else(|| panic!("no answer: {request}"));
            assert_eq!(status(&head), 200, "{request}: {head}");
            assert_eq!(value(&head, "content-length"), Some("0"), "{head}");
        }
    }
    assert_eq!(world.origin.take(), Vec::<String>::new());
}
