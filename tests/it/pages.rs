//! Vestibule's own pages from outside: who signs in there reaches the files, and nobody else does.

use crate::support::person::{Browser, location};
use crate::support::{PASSWORD, PHONE, Site, form_of, secret};
use std::collections::HashSet;
use tokio::task::JoinSet;

#[tokio::test]
async fn whoever_signs_in_on_the_page_reaches_the_files_until_they_sign_out() {
    let site = Site::accounts().await;
    let gateway = &site.gateway;
    gateway.add_user("anna", PASSWORD, PHONE);
    let mut browser = Browser::new(gateway);
    let refused = browser.get("/docs/a?b=c").await;
    let sign_in = "/.vestibule/sign-in?return_to=/docs/a%3Fb%3Dc";
    assert_eq!(location(&refused), sign_in);
    let file = browser.comes_in(&site.inbox, sign_in).await;
    assert_eq!(
        (file.status().as_u16(), file.url().path()),
        (200, "/docs/a")
    );
    for lane in 0..4 {
        assert_eq!(browser.get("/docs/a").await.status(), 200, "{lane}");
    }
    for seen in site.backend.seen() {
        let seen = format!("{} {} {:?}", seen.method, seen.target, seen.headers);
        assert!(!seen.contains("vestibule_"), "{seen}");
        let token = browser.cookie("vestibule_token").expect("a token");
        assert!(!seen.contains(token), "{seen}");
    }

    // Another token in the request is the one that counts, here that of a link which is not known.
    let link = browser.get("/share/unknown-link/").await;
    let page = browser.get(&location(&link)).await;
    assert_eq!(
        (page.status().as_u16(), page.url().path()),
        (404, "/share/unknown-link")
    );

    let kept = browser.cookies.clone();
    let out = browser.fill("/.vestibule/sign-out", &[]).await;
    assert_eq!(location(&out), "/.vestibule/sign-out");
    assert_eq!(browser.cookie("vestibule_token"), None);
    let done = browser.get("/.vestibule/sign-out").await;
    assert!(
        done.text()
            .await
            .expect("a page")
            .contains("You are signed out")
    );
    // What was copied before is worth nothing either.
    let mut thief = Browser::new(gateway);
    thief.cookies = kept;
    let refused = thief.get("/docs/a").await;
    assert!(location(&refused).starts_with("/.vestibule/sign-in?"));
}

#[tokio::test]
async fn the_prefix_moves_everything_that_is_ours_and_nothing_else() {
    let site = Site::accounts_with(|setup| {
        setup.with(
            "routes:",
            "portal: {prefix: /door/in, name: Example}\nroutes:",
        )
    })
    .await;
    let gateway = &site.gateway;
    gateway.add_user("anna", PASSWORD, PHONE);
    let mut browser = Browser::new(gateway);
    let sign_in = location(&browser.get("/docs/a").await);
    assert_eq!(sign_in, "/door/in/sign-in?return_to=/docs/a");
    let file = browser.comes_in(&site.inbox, &sign_in).await;
    assert_eq!(
        (file.status().as_u16(), file.url().path()),
        (200, "/docs/a")
    );
    for path in [
        "jwks.json",
        "openapi.json",
        "assets/style.css",
        "assets/theme.css",
    ] {
        let answer = browser.get(&format!("/door/in/{path}")).await;
        assert_eq!(answer.status(), 200, "{path}");
    }
    let described = browser.get("/door/in/openapi.json").await;
    let described = described.text().await.expect("a document");
    assert!(described.contains("\"/door/in/token\""));
    assert!(!described.contains("\"/.vestibule"));

    let before = site.backend.seen().len();
    for own in [
        "/door/in",
        "/door/in/",
        "/door/in/x",
        "/door//in/x",
        "/door/./in/challenge/x",
    ] {
        let answer = browser.get(own).await;
        assert_eq!(answer.status(), 404, "{own}");
        let page = answer.text().await.expect("a page");
        assert!(page.contains("There is nothing at this address"), "{page}");
    }
    assert_eq!(site.backend.seen().len(), before, "nothing was forwarded");
    // These are others' paths now, and asked about like them.
    for others in ["/.vestibule/challenge", "/door/inside", "/door/In/sign-in"] {
        let stranger = Browser::new(gateway).get(others).await;
        assert!(
            location(&stranger).starts_with("/door/in/sign-in?"),
            "{others}"
        );
        assert_eq!(browser.get(others).await.status(), 200, "{others}");
    }
}

#[tokio::test]
async fn a_browser_reads_in_its_language_what_went_wrong() {
    let site = Site::accounts_with(|setup| {
        let with = "portal: {support: help@example.org}\nroutes:";
        setup
            .with("routes:", with)
            .with("hosts: [\"*\"]", "hosts: [127.0.0.1]")
    })
    .await;
    let gateway = &site.gateway;
    let ask = |method: reqwest::Method, path: &str| {
        let request = gateway.http.request(method, gateway.url(path));
        request
            .header("accept-language", "da")
            .header("sec-fetch-mode", "navigate")
    };
    let put = reqwest::Method::PUT;
    for (request, status, part) in [
        (
            ask(reqwest::Method::GET, "/.vestibule/none"),
            404,
            "Her er ikke noget",
        ),
        (
            ask(put, "/.vestibule/sign-in"),
            405,
            "Adressen tager ikke imod det",
        ),
        (
            ask(reqwest::Method::GET, "/a%2Fb"),
            400,
            "Det kan ikke læses",
        ),
        (
            ask(reqwest::Method::GET, "/a")
                .header("cookie", "vestibule_token=a; vestibule_token=b"),
            400,
            "slet dette websteds cookies",
        ),
    ] {
        let answer = request.send().await.expect("answer");
        assert_eq!(answer.status(), status, "{part}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let page = answer.text().await.expect("a page");
        for part in [part, "<html lang=\"da\">", "help@example.org"] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
    let elsewhere = ask(reqwest::Method::GET, "/").header("host", "other.example");
    let elsewhere = elsewhere.send().await.expect("answer");
    assert_eq!(elsewhere.status(), 404);
    let page = elsewhere.text().await.expect("a page");
    assert!(page.contains("Dette websted findes ikke her"), "{page}");
    assert!(!page.contains("help@example.org"), "it names nobody");
    let api = gateway.http.get(gateway.url("/.vestibule/none"));
    let api = api.send().await.expect("answer");
    assert_eq!(api.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn fifty_sign_ins_at_once_are_fifty_tokens_without_a_second_factor() {
    let site = Site::accounts().await;
    let gateway = &site.gateway;
    gateway.add_user("anna", PASSWORD, PHONE);
    let mut browser = Browser::new(gateway);
    let path = "/.vestibule/sign-in?return_to=/docs/a";
    let page = browser.get(path).await.text().await.expect("a page");
    let digest = form_of(&page);
    let device = browser.cookie("vestibule_device").expect("a device");
    let fields = [
        ("form", digest.as_str()),
        ("username", "anna"),
        ("password", PASSWORD),
    ];
    let request = gateway.http.post(gateway.url(path)).form(&fields);
    let request = request.header("cookie", format!("vestibule_device={device}"));
    let mut tries = JoinSet::new();
    for _ in 0..50 {
        let request = request.try_clone().expect("a form");
        tries.spawn(async move { request.send().await.expect("answer") });
    }
    let mut tokens = HashSet::new();
    for answer in tries.join_all().await {
        // Guesses under way are bounded: who is over the bound is told to wait.
        let status = answer.status().as_u16();
        assert!([303, 429, 503].contains(&status), "{status}");
        let mut lines = answer.headers().get_all("set-cookie").iter();
        let token = lines.find_map(|line| {
            let rest = line.to_str().ok()?.strip_prefix("vestibule_token=")?;
            rest.split(';').next()
        });
        assert_eq!(token.is_some(), status == 303);
        tokens.extend(token.map(secret));
        assert_eq!(answer.headers().contains_key("location"), status == 303);
    }
    assert!(!tokens.is_empty(), "somebody is signed in");
    for token in &tokens {
        let request = gateway.http.get(gateway.url("/docs/a"));
        let request = request.header("cookie", format!("vestibule_token={token}"));
        assert_eq!(request.send().await.expect("answer").status(), 401);
    }
}

#[tokio::test]
async fn fifty_sign_outs_at_once_end_one_token_and_all_say_so() {
    let site = Site::accounts().await;
    let gateway = &site.gateway;
    gateway.add_user("anna", PASSWORD, PHONE);
    let mut browser = Browser::new(gateway);
    let sign_in = "/.vestibule/sign-in?return_to=/docs/a";
    let file = browser.comes_in(&site.inbox, sign_in).await;
    assert_eq!(file.status(), 200);
    let out = "/.vestibule/sign-out";
    let page = browser.get(out).await.text().await.expect("a page");
    let digest = form_of(&page);
    let jar: Vec<_> = browser
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let request = gateway.http.post(gateway.url(out));
    let request = request
        .form(&[("form", digest.as_str())])
        .header("cookie", jar.join("; "));
    let mut tries = JoinSet::new();
    for _ in 0..50 {
        let request = request.try_clone().expect("a form");
        tries.spawn(async move { request.send().await.expect("answer") });
    }
    for answer in tries.join_all().await {
        assert_eq!(location(&answer), out);
    }
    assert!(location(&browser.get("/docs/a").await).starts_with("/.vestibule/sign-in?"));
    let left = gateway.cli_list(&["session", "list", "--json"]);
    assert!(left.is_empty(), "{left:?}");
}
