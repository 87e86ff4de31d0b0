//! The pages, as people meet them: walks in a real Chromium (`tests/browser`), on a phone's and a
//! desktop's screen, with every page judged by axe-core.

use crate::support::browser::Walk;
use crate::support::smtpd::Smtpd;
use crate::support::{Gateway, PASSWORD, PHONE, Setup, Site, json_of, secret};
use serde_json::json;

#[tokio::test]
async fn the_second_factor_is_passed_on_the_challenge_page() {
    let mails = Smtpd::start(&[]);
    let email = format!(
        "delivery:\n  email: {{smtp: \"smtp://127.0.0.1:{}\", from: files@files.example}}",
        mails.port
    );
    let site = Site::accounts_with(|setup| setup.with("delivery:", &email)).await;
    let more = ["--phone", PHONE, "--email", "anna@example.org"];
    site.gateway.add_user_with("anna", PASSWORD, &more);
    let token = site.gateway.sign_in("anna", PASSWORD, "laptop").await;
    Walk::new("challenge", &site)
        .fact("token", token)
        .fact("phone", PHONE)
        .mail(&mails)
        .answer("revoke", |_| {
            let done = site.gateway.cli(&["session", "revoke", "--user", "anna"]);
            json!(done.status.success())
        })
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passkeys_are_registered_used_and_removed() {
    let site = Site::accounts_with(|setup| setup).await;
    let gateway = &site.gateway;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "sync").await;
    let asks = || gateway.get("/hello.txt", &token, "sync");
    Walk::new("passkeys", &site)
        .fact("phone", PHONE)
        .fact("password", secret(PASSWORD))
        .answer("client", |_| json!(now(user_code(asks()))))
        .answer("is-in", |_| {
            let answer = now(asks().send()).expect("answer");
            json!(answer.status() == 200)
        })
        .run()
        .await;
}

#[tokio::test]
async fn a_browser_is_remembered_until_it_is_forgotten() {
    let site = Site::accounts_with(Setup::remembering).await;
    site.gateway.add_user("anna", PASSWORD, PHONE);
    Walk::new("remember", &site)
        .fact("phone", PHONE)
        .fact("password", secret(PASSWORD))
        .run()
        .await;
}

#[tokio::test]
async fn factors_are_set_up_by_message_and_mail_and_changed_by_whoever_passes_again() {
    let mails = Smtpd::start(&[]);
    let email = format!(
        "sudo: 6s\ndelivery:\n  email: {{smtp: \"smtp://127.0.0.1:{}\", from: files@files.example}}",
        mails.port
    );
    let site = Site::accounts_with(|setup| {
        setup.with("delivery:", &email).with(
            "dialects: [iogates]",
            "dialects: [iogates]\n    self_enrolment: true",
        )
    })
    .await;
    let mut walk = Walk::new("enrol", &site)
        .fact("password", secret(PASSWORD))
        .fact("sudo", 6)
        .mail(&mails);
    for (user, number) in [("nora", "+45 20 65 43 21"), ("otto", "+45 20 65 43 22")] {
        site.gateway.add_user_with(user, PASSWORD, &[]);
        let mail = format!("{user}@example.org");
        walk = walk.fact(user, json!({"user": user, "to": number, "mail": mail}));
    }
    walk.run().await;
}

/// What comes of it, for an answer of a walk.
fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

/// The code that a refused client is told.
async fn user_code(refused: reqwest::RequestBuilder) -> String {
    let answer = refused.send().await.expect("answer");
    assert_eq!(answer.status(), 401);
    let said: serde_json::Value = answer.json().await.expect("JSON");
    said["user_code"].as_str().expect("a code").to_owned()
}

#[tokio::test]
async fn a_program_without_a_page_is_let_in_or_refused() {
    let site = Site::accounts_with(|setup| setup.with("[bearer, ", "[bearer, basic, ")).await;
    let gateway = &site.gateway;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    let sync = || gateway.get("/hello.txt", &token, "sync");
    let mount = || {
        let request = gateway.http.get(gateway.url("/hello.txt"));
        request.basic_auth("anna", Some(PASSWORD))
    };
    let mut walk = Walk::new("device", &site).fact("phone", PHONE);
    for (name, client, is_network) in [
        ("sync", sync(), false),
        (
            "stranger",
            gateway.get("/hello.txt", &token, "stranger"),
            false,
        ),
        ("mount", mount(), true),
        ("other", gateway.get("/hello.txt", &token, "other"), false),
    ] {
        let code = user_code(client).await;
        walk = walk.fact(name, json!({"code": code, "network": is_network}));
    }
    walk.run().await;
    for (client, status) in [
        (sync(), 200),
        (mount(), 200),
        (gateway.get("/hello.txt", &token, "stranger"), 401),
    ] {
        assert_eq!(client.send().await.expect("answer").status(), status);
    }
}

#[tokio::test]
async fn whoever_hurries_is_told_to_wait() {
    let site =
        Site::accounts_with(|setup| setup.with("resend_after: 0s", "resend_after: 4s")).await;
    let mut people = Vec::new();
    for (name, phone) in [
        ("anna", PHONE),
        ("bo", "+4512345679"),
        ("cara", "+4512345670"),
    ] {
        site.gateway.add_user(name, PASSWORD, phone);
        let token = site.gateway.sign_in(name, PASSWORD, "laptop").await;
        people.push(json!({"token": token, "phone": phone}));
    }
    Walk::new("hurry", &site).fact("people", people).run().await;
}

#[tokio::test]
async fn what_goes_wrong_is_said_on_a_page() {
    let look = "portal: {name: Example Files, support: help@example.org}\n\
        lockout: {delay_every: 100, lock_at: 6}\ncodes:";
    let site = Site::accounts_with(|setup| setup.with("codes:", look)).await;
    let gateway = &site.gateway;
    let mut walk = Walk::new("mishaps", &site);
    for (name, phone) in [
        ("anna", PHONE),
        ("bo", "+4512345679"),
        ("cara", "+4512345670"),
    ] {
        gateway.add_user(name, PASSWORD, phone);
        let token = gateway.sign_in(name, PASSWORD, "laptop").await;
        walk = walk.fact(name, json!({"token": token, "phone": phone}));
    }
    gateway.add_user_with("nora", PASSWORD, &[]);
    let token = gateway.sign_in("nora", PASSWORD, "laptop").await;
    let share = [
        "share",
        "add",
        "--path",
        "/a/",
        "--phone",
        PHONE,
        "--expires",
        "2s",
        "--json",
    ];
    let share = gateway.cli_json(&share);
    let link = secret(share["token"].as_str().expect("token"));
    walk.fact("nora", json!({"token": token}))
        .fact("expired", format!("/share/{link}/"))
        .run()
        .await;
}

/// Everything of a link's address but the host.
fn link(gateway: &Gateway, more: &[&str]) -> (String, String) {
    let mut args = vec!["share", "add", "--path", "/docs/", "--json"];
    args.extend(more);
    let made = gateway.cli_json(&args);
    let token = secret(made["token"].as_str().expect("token"));
    (format!("/share/{token}"), made["id"].to_string())
}

#[tokio::test]
async fn a_share_link_is_opened_on_a_phone() {
    let mails = Smtpd::start(&[]);
    let email = format!(
        "delivery:\n  email: {{smtp: \"smtp://127.0.0.1:{}\", from: files@files.example}}",
        mails.port
    );
    let site = Site::accounts_with(|setup| setup.with("delivery:", &email)).await;
    let gateway = &site.gateway;
    let (one, _) = link(gateway, &["--phone", PHONE, "--expires", "7d"]);
    let both = "+4587654321,bob@example.org";
    let (several, id) = link(gateway, &["--phone", PHONE, "--recipient", both]);
    let (expired, _) = link(gateway, &["--phone", PHONE, "--expires", "1s"]);
    let (used_up, _) = link(gateway, &["--phone", "+4511111111", "--devices", "1"]);
    let (unreachable, _) = link(gateway, &[]);
    // An API's client has taken the one place.
    let body = json!({"URL": used_up, "deviceId": "phone"}).to_string();
    let opened = gateway.http.post(gateway.url("/api/authtoken")).body(body);
    let opened = json_of(opened).await;
    let token = secret(opened["token"].as_str().expect("token"));
    gateway
        .verify(&site.inbox, &token, "phone", "+4511111111")
        .await;
    Walk::new("share", &site)
        .fact("one", one)
        .fact("several", several)
        .fact("expired", expired)
        .fact("usedUp", used_up)
        .fact("unreachable", unreachable)
        .fact("phone", PHONE)
        .mail(&mails)
        .answer("revoke", |_| {
            json!(gateway.cli(&["share", "revoke", &id]).status.success())
        })
        .answer("referers", |_| {
            let seen = site.backend.seen().into_iter();
            let referers = seen.filter_map(|it| it.headers.get("referer").cloned());
            let text = |it: axum::http::HeaderValue| it.to_str().expect("text").to_owned();
            json!(referers.map(text).collect::<Vec<_>>())
        })
        .run()
        .await;
}

#[tokio::test]
async fn the_operators_look_and_long_names_keep_the_pages_readable() {
    let name = "Vereinigte Werkstätten für Dateiübertragungsdienstleistungen Niederösterreich";
    let user = "maximiliane-wilhelmine.freifrau-von-und-zu-hohenstein-wartenberg";
    let dir = tempfile::tempdir().expect("folder");
    let logo = dir.path().join("logo.svg");
    let drawing = r##"<svg xmlns="http://www.w3.org/2000/svg" width="240" height="80"><rect width="240" height="80" rx="12" fill="#0a6"/></svg>"##;
    std::fs::write(&logo, drawing).expect("logo");
    let look = format!(
        "portal: {{prefix: /our/door, name: {name}, logo: {}, support: https://help.example.org/a/rather/long/path?with=a-query-that-goes-on-and-on, \
         colors: {{light: {{accent: \"#ffdd00\", text: \"#f8f8f8\", background: \"#3a3a3a\", surface: \"#404040\"}}}}}}\ncodes:",
        logo.display()
    );
    let site = Site::accounts_with(|setup| setup.with("codes:", &look)).await;
    let email = format!("{}@sehr-lange-namen.example", &user[..40]);
    site.gateway
        .add_user_with(user, PASSWORD, &["--phone", PHONE, "--email", &email]);
    Walk::new("theme", &site)
        .fact("name", name)
        .fact("user", user)
        .fact("password", PASSWORD)
        .fact("phone", PHONE)
        .run()
        .await;
}
