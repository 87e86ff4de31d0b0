//! How long a second factor holds: what polls keeps no session alive, and a browser that is remembered is
//! not asked again, over restarts and however often it signs in at once.

use crate::support::person::{Browser, location};
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Setup, Site, status};
use reqwest::Method;
use std::time::{Duration, Instant};

const SIGN_IN: &str = "/.vestibule/sign-in?return_to=/docs/a";
const CHALLENGE: &str = "/.vestibule/challenge?return_to=/docs/a";

#[tokio::test]
async fn what_polls_is_let_through_and_keeps_no_session_alive() {
    let site = Site::accounts_with(|setup| {
        setup
            .with("codes:", "sessions: {idle: 3s}\ncodes:")
            .with(
                "require: two_factor",
                "require: two_factor\n    background: [{paths: [/api/poll]}, {paths: [/news/], methods: [GET]}]",
            )
    })
    .await;
    let gateway = &site.gateway;
    let mut tokens = Vec::new();
    for (name, phone) in [("anna", PHONE), ("bo", "+4512345679")] {
        gateway.add_user(name, PASSWORD, phone);
        let token = gateway.sign_in(name, PASSWORD, "app").await;
        gateway.verify(&site.inbox, &token, "app", phone).await;
        tokens.push(token);
    }
    let verified = Instant::now();
    // A GET takes the lean lane, one with a body Pingora's, and both know the session.
    let poll = |token: &str, method: Method| {
        let request = gateway.http.request(method, gateway.url("/api/poll"));
        let request = request.bearer_auth(token).header("x-device-id", "app");
        request.body("since=1")
    };
    let get = |path: &str, token: &str| gateway.get(path, token, "app");
    let [anna, bo] = &tokens[..] else {
        panic!("two")
    };
    let mut polled = 0;
    while verified.elapsed() < Duration::from_millis(4_600) {
        let statuses = [
            status(get("/api/poll", anna)).await,
            status(get("/news/today", anna)).await,
            status(poll(anna, Method::GET)).await,
            status(poll(anna, Method::POST)).await,
        ];
        if verified.elapsed() < Duration::from_millis(1_800) {
            assert_eq!(statuses, [200; 4], "after {:?}", verified.elapsed());
            polled += 1;
        }
        // Whoever does more than that goes on.
        assert_eq!(status(get("/file", bo)).await, 200);
        assert_eq!(status(get("/api/poll", bo)).await, 200);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert!(polled > 0);
    for path in ["/api/poll", "/news/today", "/file"] {
        assert_eq!(status(get(path, anna)).await, 401, "{path}");
    }
    assert_eq!(status(get("/file", bo)).await, 200);
    // By another method it is use, as everywhere else.
    let news = gateway.http.post(gateway.url("/news/today"));
    let news = news.bearer_auth(bo).header("x-device-id", "app");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(status(news.try_clone().expect("a request")).await, 200);
    }
}

/// Accounts on a route that remembers browsers, with anna.
async fn site() -> Site {
    let site = Site::accounts_with(Setup::remembering).await;
    site.gateway.add_user("anna", PASSWORD, PHONE);
    site
}

async fn signs_in(browser: &mut Browser) -> String {
    let fields = [("username", "anna"), ("password", PASSWORD)];
    location(&browser.fill(SIGN_IN, &fields).await)
}

/// Passes the second factor with the box ticked.
async fn is_remembered(browser: &mut Browser, inbox: &Inbox) {
    assert_eq!(signs_in(browser).await, CHALLENGE);
    let fields = [("action", "send"), ("factor", "sms")];
    browser.fill(CHALLENGE, &fields).await;
    let code = inbox.code_for(PHONE);
    let fields = [("action", "verify"), ("code", &code), ("remember", "yes")];
    let passed = browser.fill(CHALLENGE, &fields).await;
    assert_eq!(location(&passed), "/docs/a");
    assert!(browser.cookie("vestibule_browser").is_some());
}

#[tokio::test]
async fn a_browser_is_remembered_over_a_restart_and_a_kill_until_the_operator_resets() {
    let site = site().await;
    let inbox = site.inbox;
    let mut gateway = site.gateway;
    let mut kept = {
        let mut browser = Browser::new(&gateway);
        is_remembered(&mut browser, &inbox).await;
        browser.cookies
    };
    for is_killed in [true, false] {
        if !is_killed {
            gateway.signal("TERM");
            gateway.child.wait().expect("wait");
        }
        gateway = Gateway::start_in(gateway.kill(), &site.setup);
        let mut browser = Browser::new(&gateway);
        browser.cookies = kept;
        browser.fill("/.vestibule/sign-out", &[]).await;
        assert_eq!(browser.cookie("vestibule_token"), None);
        assert_eq!(signs_in(&mut browser).await, "/docs/a");
        assert_eq!(browser.get("/docs/a").await.status(), 200);
        kept = browser.cookies;
    }
    // The backend never sees it.
    for seen in site.backend.seen() {
        assert!(!format!("{:?}", seen.headers).contains("vestibule_"));
    }
    let reset = gateway.cli(&["user", "reset-2fa", "anna"]);
    assert!(reset.status.success());
    let mut browser = Browser::new(&gateway);
    browser.cookies = kept;
    let led = location(&browser.get("/docs/a").await);
    assert_eq!(led, CHALLENGE, "its session has ended");
    browser.fill("/.vestibule/sign-out", &[]).await;
    assert_eq!(signs_in(&mut browser).await, CHALLENGE);
}

#[tokio::test]
async fn fifty_tabs_sign_in_at_once_and_a_revocation_has_the_last_word() {
    let site = site().await;
    let gateway = &site.gateway;
    let mut browser = Browser::new(gateway);
    is_remembered(&mut browser, &site.inbox).await;
    browser.fill("/.vestibule/sign-out", &[]).await;
    let mut tabs: Vec<_> = (0..50)
        .map(|_| {
            let mut tab = Browser::new(gateway);
            tab.cookies.clone_from(&browser.cookies);
            tab
        })
        .collect();
    let led = futures_util::future::join_all(tabs.iter_mut().map(signs_in)).await;
    assert_eq!(led, vec!["/docs/a"; 50]);
    for tab in &mut tabs {
        assert_eq!(tab.get("/docs/a").await.status(), 200);
    }
    let sessions = gateway.cli_list(&["session", "list", "--user", "anna", "--json"]);
    assert_eq!(sessions.len(), 50);
    let revoked = gateway.cli(&["session", "revoke", "--user", "anna"]);
    assert!(revoked.status.success());
    let mut tab = Browser::new(gateway);
    tab.cookies.clone_from(&browser.cookies);
    assert_eq!(signs_in(&mut tab).await, CHALLENGE);
}

#[tokio::test]
async fn whoever_stole_the_browser_with_its_token_is_asked_again_once_that_is_revoked() {
    let Site { gateway, inbox, .. } = site().await;
    let mut browser = Browser::new(&gateway);
    is_remembered(&mut browser, &inbox).await;
    let token = browser.cookie("vestibule_token").expect("a token");
    let file = gateway.dir.path().join("stolen");
    std::fs::write(&file, token).expect("file");
    let file = file.to_str().expect("text");
    let ended = gateway.cli_json(&["session", "revoke", "--token-file", file, "--json"]);
    assert!(ended["revoked"].as_u64() >= Some(1), "{ended}");
    assert_eq!(signs_in(&mut browser).await, CHALLENGE);
}
