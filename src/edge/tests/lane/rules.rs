//! What the configuration says of headers and tokens holds in either lane; what needs more than memory
//! takes Pingora's.

use super::*;

type Change = fn(&mut model::Config);

/// The same site by each way.
struct Site {
    lane: Through,
    pingora: Through,
    /// As in production.
    both: Through,
}

impl Site {
    async fn new(change: Change) -> Self {
        Self::of(&Identity::Accounts, change).await
    }

    async fn of(identity: &Identity, change: Change) -> Self {
        let through = async |ways| {
            let backend = backend(&[]).await;
            let world = world_with(ways, &backend, identity.clone(), change).await;
            Through(world, backend)
        };
        Self {
            lane: through(Ways::LaneOnly).await,
            pingora: through(Ways::PingoraOnly).await,
            both: through(Ways::Both).await,
        }
    }

    /// The lane takes it, and both sides see what they would see by Pingora's: the client's view and the upstream's.
    async fn same(&self, request: &str, acts: &[Act]) -> (String, String) {
        let (answer, heard) = self.lane.run(request.as_bytes(), acts).await;
        let (expected_answer, expected) = self.pingora.run(request.as_bytes(), acts).await;
        assert_eq!(
            expected.len(),
            1,
            "not forwarded: {request}{}",
            String::from_utf8_lossy(&expected_answer)
        );
        assert_eq!(heard.len(), 1, "the lane did not take {request}");
        assert_eq!(sorted(&heard[0]), sorted(&expected[0]), "{request}");
        assert_eq!(normal(&answer), normal(&expected_answer), "{request}");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        (answer, heard.into_iter().next().unwrap())
    }

    /// The lane leaves it alone. What becomes of it in production: the answer, and what the upstream heard.
    async fn left(&self, request: &str) -> (String, Option<String>) {
        let acts = [Hear, say(OK)];
        let (answer, heard) = self.lane.run(request.as_bytes(), &acts).await;
        assert_eq!(String::from_utf8_lossy(&answer), "", "{request}");
        assert_eq!(heard, Vec::<String>::new(), "{request}");
        let (by_pingora, by_pingora_heard) = self.pingora.run(request.as_bytes(), &acts).await;
        let (answer, mut heard) = self.both.run(request.as_bytes(), &acts).await;
        assert_eq!(normal(&answer), normal(&by_pingora), "{request}");
        assert_eq!(heard.len(), by_pingora_heard.len(), "{request}");
        (String::from_utf8_lossy(&answer).into_owned(), heard.pop())
    }
}

fn ask(path: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{lines}\r\n")
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_alike() {
    let site = Site::new(|config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let acts = [Hear, say(OK)];
    for (lines, client, proto) in [
        (&["X-Forwarded-For: 192.0.2.9"][..], "192.0.2.9", "http"),
        (
            &["X-Forwarded-For: 192.0.2.9, 127.0.0.1"],
            "192.0.2.9",
            "http",
        ),
        (
            &["X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 192.0.2.9"],
            "192.0.2.9",
            "http",
        ),
        (
            &["X-Forwarded-For: 2001:db8::1", "X-Forwarded-Proto: https"],
            "2001:db8::1",
            "https",
        ),
        (
            &["Forwarded: for=192.0.2.9", "X-Real-IP: 192.0.2.9"],
            "127.0.0.1",
            "http",
        ),
    ] {
        let lines = [lines, &[GOOD]].concat();
        let (_, heard) = site.same(&ask("/a", &lines), &acts).await;
        assert_eq!(value(&heard, "x-forwarded-for"), Some(client), "{heard}");
        assert_eq!(value(&heard, "x-forwarded-proto"), Some(proto), "{heard}");
        assert_eq!(heard.to_ascii_lowercase().matches("forwarded").count(), 3);
        assert_eq!(value(&heard, "x-real-ip"), None, "{heard}");
    }
    let named = format!(
        "GET /a HTTP/1.1\r\nHost: inner\r\nX-Forwarded-Host: {HOST}\r\n{GOOD}\r\nConnection: close\r\n\r\n"
    );
    let (_, heard) = site.same(&named, &acts).await;
    assert_eq!(value(&heard, "x-forwarded-host"), Some(HOST), "{heard}");
    for bad in [
        "X-Forwarded-For: nobody",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Host: a@b",
        "X-Forwarded-Host: other.example",
    ] {
        let (_, heard) = site.left(&ask("/a", &[bad, GOOD])).await;
        assert_eq!(heard, None, "{bad}");
    }
}

#[tokio::test]
async fn nothing_forged_goes_up_by_either() {
    let site = Site::new(|_| {}).await;
    let forged = [
        "X-Vestibule-User: forged",
        "X_Vestibule_User: forged",
        "x.vestibule.user: forged",
        "X-Vestibule-Factor: forged",
        "X-Vestibule-Verified-At: forged",
        "X-Vestibule-Device: forged",
        "X-Vestibule-Assertion: forged",
        "X-Vestibule_Assertion: forged",
        "X-Forwarded-For: forged",
        "X_Forwarded_Host: forged",
        "X-Forwarded-Prefix: forged",
        "Forwarded: for=forged",
        "X-Real-IP: forged",
        "Remote-User: forged",
        "X-Auth-Request-Email: forged",
        "X-Original-URL: /forged",
        "X-HTTP-Method-Override: forged",
        "Proxy: forged",
        "X-Api-Key: forged",
        "X_Api_Key: forged",
    ];
    // A success token is spent by the rule that asks for one, and goes up nowhere.
    let success = "X-2FA-Success-Token: 3929dfe8-161a-428c-9c71-fde728fe7285";
    let acts = [Hear, say(OK)];
    for line in forged.into_iter().chain([success]) {
        for (path, token) in [("/a", GOOD), ("/public/a", "Accept: */*")] {
            let (_, heard) = site.same(&ask(path, &[line, token]), &acts).await;
            let said = heard.to_ascii_lowercase();
            assert!(!said.contains("forged"), "{line}: {heard}");
            assert!(!said.contains("success") && !said.contains("3929dfe8"));
            assert_eq!(value(&heard, "x-api-key"), Some("ours"), "{heard}");
        }
    }
    // The underscored spelling is dropped as well.
    let spelled = "X_2FA_Success_Token: 3929dfe8-161a-428c-9c71-fde728fe7285";
    let (_, heard) = site.same(&ask("/a", &[spelled, GOOD]), &acts).await;
    assert!(!heard.contains("3929dfe8"), "{heard}");
    for bad in [&["X-2FA-Success-Token: x"][..], &[success, success]] {
        let (answer, heard) = site.left(&ask("/a", &[bad, &[GOOD]].concat())).await;
        assert_eq!((status(&answer), heard), (400, None));
    }
}

#[tokio::test]
async fn a_token_that_is_not_forwarded_is_taken_out_alike() {
    let site = Site::new(|config| {
        let route = &mut config.routes[0];
        route.forward.token = ForwardToken::Remove;
        route
            .credentials
            .push(CredentialSource::Cookie("IOGATES".to_owned()));
    })
    .await;
    let acts = [Hear, say(OK)];
    for (path, lines) in [
        ("/a", &[GOOD][..]),
        ("/a?token=good", &[]),
        ("/a?x=1&token=good&y=%zz", &[]),
        ("/a?x=1&%74oken=good", &[GOOD]),
        ("/a", &["Cookie: a=1; IOGATES=good; b=2"]),
        ("/a", &["Cookie: a=1", "Cookie: IOGATES=good"]),
        (
            "/a",
            &[
                "Cookie: IOGATES=good; vestibule_device=phone; __Host-vestibule_device=good",
                GOOD,
            ],
        ),
        // Not looked at, so not sent: a backend could prefer it.
        (
            "/a",
            &["Cookie: IOGATES=good", "Authorization: Basic Z29vZA=="],
        ),
        // Nobody was let through for it, and it is taken out all the same.
        ("/public/a?token=good", &[GOOD, "Cookie: IOGATES=good"]),
    ] {
        let (_, heard) = site.same(&ask(path, lines), &acts).await;
        for secret in ["good", "vestibule_device", "Z29vZA"] {
            assert!(!heard.contains(secret), "{path} {lines:?}: {heard}");
        }
    }
}

#[tokio::test]
async fn our_own_cookies_let_in_and_go_up_by_neither() {
    let site = Site::new(|config| {
        config.routes[0]
            .credentials
            .push(CredentialSource::OwnCookie);
    })
    .await;
    let acts = [Hear, say(OK)];
    for lines in [
        &["Cookie: vestibule_token=good"][..],
        &["Cookie: a=1; vestibule_token=good; __Host-vestibule_token=good; b=2"],
        &[
            "Cookie: a=1",
            "Cookie: vestibule_token=good; vestibule_device=phone",
        ],
        // Whatever else brings a token wins, and the cookie still stays here.
        &["Cookie: vestibule_token=other; a=1", GOOD],
    ] {
        let (_, heard) = site.same(&ask("/a", lines), &acts).await;
        assert!(!heard.contains("vestibule_"), "{lines:?}: {heard}");
        assert_eq!(value(&heard, "x-vestibule-user"), Some("ann"), "{heard}");
        let others = value(&heard, "cookie");
        assert_eq!(others.is_some(), lines.concat().contains("a=1"), "{heard}");
    }
    let setting = "HTTP/1.1 200 OK\r\nSet-Cookie: vestibule_token=fixed\r\n\
        Set-Cookie: __Host-vestibule_token=fixed; Path=/; Secure\r\nContent-Length: 0\r\n\r\n";
    let (answer, _) = site.same(&ask("/a", &[GOOD]), &[Hear, say(setting)]).await;
    assert!(!answer.contains("fixed"), "{answer}");
    for cookie in [
        "Cookie: __Host-vestibule_token=good",
        "Cookie: vestibule_token=unknown",
    ] {
        let (answer, heard) = site.left(&ask("/a", &[cookie])).await;
        assert_eq!((status(&answer), heard), (401, None), "{cookie}");
    }
    for cookie in [
        "vestibule_token=good; vestibule_token=good",
        "vestibule_token=a b",
    ] {
        let cookie = format!("Cookie: {cookie}");
        let (answer, heard) = site.left(&ask("/a", &[&cookie])).await;
        assert_eq!((status(&answer), heard), (400, None), "{cookie}");
    }
}

#[tokio::test]
async fn a_browser_is_told_of_a_failure_on_a_page_by_either() {
    let site = Site::new(|config| {
        config.routes[0]
            .credentials
            .push(CredentialSource::OwnCookie);
    })
    .await;
    let own = "Cookie: vestibule_token=good";
    let (navigates, french) = ("Sec-Fetch-Mode: navigate", "Accept-Language: fr");
    let app = "Origin: https://app.example.org";
    let request = ask("/a", &[own, navigates, french, app]);
    let (failed, _) = site.same(&request, &[Hear]).await;
    assert_eq!(status(&failed), 502, "{failed}");
    assert!(failed.contains("Le serveur est injoignable"), "{failed}");
    assert!(failed.contains("/.vestibule/assets/style.css"), "{failed}");
    // Nobody else's script reads a page.
    assert_eq!(value(&failed, "access-control-allow-origin"), None);
    let (failed, _) = site.same(&ask("/a", &[own, french]), &[Hear]).await;
    assert!(failed.contains("application/problem+json"), "{failed}");
}

#[tokio::test]
async fn pages_of_other_origins_see_the_same() {
    let site = Site::new(|_| {}).await;
    let own = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://theirs.example\r\n\
        Vary: Origin\r\nAccess-Control-Expose-Headers: ETag\r\nContent-Length: 0\r\n\r\n";
    let (app, evil) = (
        "Origin: https://app.example.org",
        "Origin: https://evil.example",
    );
    for (origin, exposed) in [(app, Some("https://app.example.org")), (evil, None)] {
        let request = ask("/a", &[origin, GOOD]);
        let (answer, heard) = site.same(&request, &[Hear, say(own)]).await;
        // The backend's answer is the backend's to show.
        let shown = value(&answer, "access-control-allow-origin");
        assert_eq!(shown, Some("https://theirs.example"), "{answer}");
        assert!(heard.contains(origin), "{heard}");
        let (failed, _) = site.same(&request, &[Hear]).await;
        assert_eq!(status(&failed), 502, "{failed}");
        let shown = value(&failed, "access-control-allow-origin");
        assert_eq!(shown, exposed, "{failed}");
        let (refused, heard) = site.left(&ask("/a", &[origin])).await;
        assert_eq!((status(&refused), heard), (401, None));
        let shown = value(&refused, "access-control-allow-origin");
        assert_eq!(shown, exposed, "{refused}");
    }
}

#[tokio::test]
async fn what_is_signed_goes_up_by_pingoras_lane_alone() {
    let site = Site::new(|config| config.routes[0].forward.assertion = true).await;
    let forged = ["X-Vestibule-Assertion: forged", GOOD];
    let (answer, heard) = site.left(&ask("/a", &forged)).await;
    let heard = heard.expect(&answer);
    let signed = value(&heard, "x-vestibule-assertion").expect(&heard);
    assert!(signed.starts_with("ey") && !heard.contains("forged"));
    // Nothing is signed about nobody, and the lane need not know that.
    let (_, heard) = site.left(&ask("/public/a", &forged[..1])).await;
    assert!(!heard.unwrap().contains("ssertion"));

    let site = Site::new(|config| config.routes[0].forward.token = ForwardToken::Vestibule).await;
    for line in [GOOD, "Authorization: bearer good"] {
        let (answer, heard) = site.left(&ask("/a", &[line])).await;
        let heard = heard.expect(&answer);
        let signed = value(&heard, "authorization").expect(&heard);
        assert!(
            signed.starts_with("Bearer ey") && !heard.contains("good"),
            "{heard}"
        );
    }
}

#[tokio::test]
async fn what_is_sealed_is_not_opened_by_the_lane_nor_sent_as_it_came() {
    for token in [ForwardToken::Original, ForwardToken::Remove] {
        let site = match token {
            ForwardToken::Remove => {
                Site::new(|config| config.routes[0].forward.token = ForwardToken::Remove).await
            }
            _ => Site::new(|_| {}).await,
        };
        for (path, lines) in [
            ("/a", &["Authorization: Bearer born"][..]),
            ("/a?token=born", &[]),
        ] {
            let (answer, heard) = site.left(&ask(path, lines)).await;
            match heard {
                // It cannot be opened.
                None => assert_eq!(status(&answer), 503, "{answer}"),
                Some(heard) => assert!(
                    token == ForwardToken::Remove && !heard.contains("born"),
                    "{heard}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn what_is_spent_or_counted_is_left_to_pingora() {
    let site = Site::new(|config| {
        config.routes[0].rules.push(Rule {
            paths: vec!["/once/".to_owned()],
            ..Rule::of(Requirement::SuccessToken)
        });
    })
    .await;
    let success = "X-2FA-Success-Token: 3929dfe8-161a-428c-9c71-fde728fe7285";
    for lines in [&[GOOD, success][..], &[GOOD], &[success], &[]] {
        let (answer, heard) = site.left(&ask("/once/a", lines)).await;
        assert!(matches!(status(&answer), 401 | 403), "{answer}");
        assert_eq!(heard, None, "{lines:?}");
    }
    let site = Site::of(&learn(), |_| {}).await;
    for framing in [
        "Content-Length: 2\r\n\r\n{}",
        "Content-Length: 0\r\n\r\n",
        "\r\n",
    ] {
        let sign_in = format!(
            "POST /api/authtoken HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{framing}"
        );
        let (answer, heard) = site.left(&sign_in).await;
        assert!(heard.is_some(), "{answer}");
    }
}

#[tokio::test]
async fn a_service_worker_is_installed_only_where_the_route_lets_it() {
    let asks = ask("/sw.js", &[GOOD, "Service-Worker: script"]);
    let refusing = Site::new(|_| {}).await;
    let (answer, heard) = refusing.left(&asks).await;
    assert_eq!(status(&answer), 403, "{answer}");
    assert!(answer.contains("service_workers: allow"), "{answer}");
    assert_eq!(heard, None);
    let allowing = Site::new(|config| config.routes[0].service_workers = true).await;
    let (answer, _) = allowing.same(&asks, &[Hear, say(OK)]).await;
    assert_eq!(status(&answer), 200, "{answer}");
}
