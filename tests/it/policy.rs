//! Rules with a clock, and rules that look at who asks from where.

use crate::support::issuer::Issuer;
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Site, secret, wait_for};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;

/// The rules of the usual site, with these before them.
async fn site(rules: &str) -> Site {
    Site::accounts_with(|setup| setup.with("    rules:\n", &format!("    rules:\n{rules}"))).await
}

/// A user who has signed in on a laptop.
async fn signed_in(gateway: &Gateway, name: &str, more: &[&str]) -> String {
    let more = [&["--phone", PHONE], more].concat();
    gateway.add_user_with(name, PASSWORD, &more);
    gateway.sign_in(name, PASSWORD, "laptop").await
}

async fn get(gateway: &Gateway, path: &str, token: &str) -> Response {
    let asked = gateway.get(path, token, "laptop").send().await;
    asked.expect("answer")
}

async fn status(gateway: &Gateway, path: &str, token: &str) -> u16 {
    get(gateway, path, token).await.status().as_u16()
}

/// How fifty requests at once are answered.
async fn fifty(gateway: &Gateway, path: &str, token: &str) -> Vec<u16> {
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let request = gateway.get(path, token, "laptop");
        asking.spawn(async move { request.send().await.expect("answer").status().as_u16() });
    }
    asking.join_all().await
}

/// Asks for a code at the address that a refusal names, and sends it.
async fn pass_again(gateway: &Gateway, inbox: &Inbox, refused: &Value, token: &str) {
    let challenge = refused["challenge_url"].as_str().expect("challenge_url");
    let challenge = challenge.replace("{token}", token);
    let started = get(gateway, &challenge, token).await;
    let started: Value = started.json().await.expect("JSON");
    assert_eq!(started["auth_required"], true, "{started}");
    let code = inbox.code_for(PHONE);
    let verify = refused["verify_url"].as_str().expect("verify_url");
    let verify = verify.replace("{token}", token);
    let sent = gateway.get(&verify, token, "laptop");
    let verified = sent.query(&[("authcode", code)]).send().await;
    assert_eq!(verified.expect("answer").status(), 200);
}

async fn sleep(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

#[tokio::test]
async fn a_path_asks_for_a_code_of_the_last_seconds() {
    let Site { gateway, inbox, .. } =
        site("      - {paths: [/fresh/], require: two_factor, within: 3s}\n").await;
    let token = signed_in(&gateway, "anna", &[]).await;
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    assert_eq!(status(&gateway, "/fresh/a", &token).await, 200);
    sleep(4).await;
    assert_eq!(status(&gateway, "/other", &token).await, 200);
    let refused = get(&gateway, "/fresh/a", &token).await;
    assert_eq!(refused.status(), 401);
    let said = refused.headers()["www-authenticate"]
        .to_str()
        .expect("text");
    assert!(
        said.contains("error=\"insufficient_user_authentication\""),
        "{said}"
    );
    assert!(said.ends_with("max_age=\"3\""), "{said}");
    let refused: Value = refused.json().await.expect("JSON");
    let challenge = refused["challenge_url"].as_str().expect("challenge_url");
    assert!(challenge.ends_with("?fresh=true"), "{refused}");
    let portal = refused["portal_url"].as_str().expect("portal_url");
    assert!(portal.contains("fresh=true"), "{refused}");
    // Without it, a verified pair is not asked.
    let start = format!("/api/apiauth/twofactorsms/{token}");
    let started: Value = get(&gateway, &start, &token)
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(started["auth_required"], false);
    pass_again(&gateway, &inbox, &refused, &token).await;
    assert_eq!(status(&gateway, "/fresh/a", &token).await, 200);
}

#[tokio::test]
async fn whoever_was_away_is_asked_again_however_they_come_back() {
    let site = site("      - {paths: [/busy/], require: two_factor, max_idle: 3s}\n").await;
    let Site { gateway, inbox, .. } = &site;
    let token = signed_in(gateway, "anna", &[]).await;
    gateway.verify(inbox, &token, "laptop", PHONE).await;
    for _ in 0..3 {
        sleep(2).await;
        assert_eq!(status(gateway, "/busy/a", &token).await, 200, "in use");
    }
    sleep(5).await;
    // Something harmless first, then again and again, and many at once.
    assert_eq!(status(gateway, "/other", &token).await, 200);
    for _ in 0..3 {
        assert_eq!(status(gateway, "/busy/a", &token).await, 401);
    }
    let answers = fifty(gateway, "/busy/a", &token).await;
    assert!(answers.iter().all(|it| *it == 401), "{answers:?}");
    assert_eq!(status(gateway, "/other", &token).await, 200);

    // A gateway that crashes, and one that stops, forget none of it.
    let Site {
        gateway,
        inbox,
        setup,
        ..
    } = site;
    let gateway = Gateway::start_in(gateway.kill(), &setup);
    assert_eq!(status(&gateway, "/other", &token).await, 200);
    let refused = get(&gateway, "/busy/a", &token).await;
    assert_eq!(refused.status(), 401);
    let refused: Value = refused.json().await.expect("JSON");
    pass_again(&gateway, &inbox, &refused, &token).await;
    assert_eq!(status(&gateway, "/busy/a", &token).await, 200);
}

#[tokio::test]
async fn a_group_is_asked_for_more_from_the_moment_that_somebody_joins_it() {
    let Site { gateway, inbox, .. } = site(
        "      - {groups: [staff], paths: [/in/], require: two_factor}\n      - {groups: [barred], require: deny}\n      - {paths: [/in/], require: none}\n",
    )
    .await;
    let (anna, bob) = (
        signed_in(&gateway, "anna", &[]).await,
        signed_in(&gateway, "bob", &["--group", "guests"]).await,
    );
    // Nobody gets in for being unknown.
    let nobody = gateway.http.get(gateway.url("/in/a")).send().await;
    assert_eq!(nobody.expect("answer").status(), 401);
    assert_eq!(status(&gateway, "/in/a", "no-such-token").await, 401);
    assert_eq!(status(&gateway, "/in/a", &anna).await, 200);
    assert_eq!(status(&gateway, "/in/a", &bob).await, 200);

    let set = gateway.cli_json(&["user", "set", "anna", "--group", "staff", "--json"]);
    assert_eq!(set["groups"], json!(["staff"]));
    let answers = fifty(&gateway, "/in/a", &anna).await;
    assert!(answers.iter().all(|it| *it == 401), "{answers:?}");
    assert_eq!(status(&gateway, "/in/a", &bob).await, 200);
    let moved = |to: &str| {
        let method = reqwest::Method::from_bytes(b"MOVE").expect("method");
        let request = gateway.http.request(method, gateway.url("/half/a"));
        request
            .bearer_auth(&anna)
            .header("x-device-id", "laptop")
            .header("destination", to)
    };
    let answer = moved("/in/b").send().await.expect("answer");
    assert_eq!(answer.status(), 401);

    gateway.verify(&inbox, &anna, "laptop", PHONE).await;
    assert_eq!(status(&gateway, "/in/a", &anna).await, 200);
    // A hot session is judged by the new groups within a second, and goes on.
    gateway.cli_json(&["user", "set", "anna", "--group", "barred", "--json"]);
    sleep(1).await;
    let answers = fifty(&gateway, "/half/a", &anna).await;
    assert!(answers.iter().all(|it| *it == 403), "{answers:?}");
    let shown = gateway.cli_json(&["user", "show", "anna", "--json"]);
    assert_eq!(shown["groups"], json!(["barred"]));
    gateway.cli_json(&["user", "set", "anna", "--no-groups", "--json"]);
    sleep(1).await;
    assert_eq!(
        status(&gateway, "/other", &anna).await,
        200,
        "still verified"
    );
}

#[tokio::test]
async fn whether_a_code_is_asked_for_is_said_to_each_by_their_own_rules() {
    let Site { gateway, .. } = Site::accounts_with(|setup| {
        setup
            .with(
                "    rules:\n",
                "    rules:\n      - {groups: [staff], require: two_factor}\n",
            )
            .with("    require: two_factor\n", "    require: token\n")
    })
    .await;
    for (name, group, asked) in [("anna", "staff", true), ("bob", "guests", false)] {
        let token = signed_in(&gateway, name, &["--group", group]).await;
        let path = format!("/api/apiauth/twofactorsms/{token}");
        let started: Value = get(&gateway, &path, &token)
            .await
            .json()
            .await
            .expect("JSON");
        assert_eq!(started["auth_required"], asked, "{name} {started}");
        let wanted = if asked { 401 } else { 200 };
        assert_eq!(status(&gateway, "/x", &token).await, wanted);
    }
    // Who comes by a link is in no group.
    let share = gateway.cli_json(&[
        "share", "add", "--path", "/docs/", "--phone", PHONE, "--json",
    ]);
    secret(share["token"].as_str().expect("token"));
    let body = json!({"URL": share["url"], "deviceId": "phone"}).to_string();
    let answer = gateway
        .http
        .post(gateway.url("/api/authtoken"))
        .body(body)
        .send()
        .await;
    let answer: Value = answer.expect("answer").json().await.expect("JSON");
    let token = secret(answer["token"].as_str().expect("token"));
    let opened = gateway.get("/docs/plan.txt", &token, "phone").send().await;
    assert_eq!(opened.expect("answer").status(), 200);
}

/// Of whom no code is asked, no endpoint of any dialect says that one is, and to whom all is closed none lets
/// them in: however many ask at once, while somebody is moved from the one to the other.
#[tokio::test]
async fn fifty_at_once_are_told_the_same_by_every_dialect() {
    let Site { gateway, inbox, .. } = Site::accounts_with(|setup| {
        let rules = "    rules:\n      - {groups: [staff], require: token}\n      - {groups: [barred], require: deny}\n";
        setup
            .with("    rules:\n", rules)
            .with("[iogates]", "[iogates, ziik, b2core, conduit]")
    })
    .await;
    let anna = signed_in(&gateway, "anna", &["--group", "staff"]).await;
    let bob = signed_in(&gateway, "bob", &["--group", "guests"]).await;
    let started = format!("/api/apiauth/twofactorsms/{anna}");
    let authorize = "/authentication/twoFa/authorize";
    for (method, path, body, wanted) in [
        ("GET", started.as_str(), "", "\"auth_required\":false"),
        ("POST", authorize, "", "2FA disabled"),
        ("GET", "/x", "", ""),
    ] {
        for (status, text) in fifty_of(&gateway, (method, path, body), &anna).await {
            assert_eq!(status, 200, "{path}: {text}");
            assert!(text.contains(wanted), "{path}: {text}");
        }
    }
    assert_eq!(b2core(&gateway, "anna").await, 202);
    assert!(inbox.messages().is_empty(), "nobody was sent a code");
    // Nothing of this is a session.
    let sessions = gateway.cli_list(&["session", "list", "--json"]);
    assert!(sessions.is_empty(), "{sessions:?}");
    assert_eq!(b2core(&gateway, "bob").await, 200);
    assert_eq!(inbox.messages().len(), 1, "bob is asked");

    let asking = fifty_of(&gateway, ("POST", authorize, ""), &anna);
    let (answers, _) = tokio::join!(asking, async {
        gateway.cli_json(&["user", "set", "anna", "--group", "barred", "--json"])
    });
    for (status, text) in answers {
        assert!(matches!(status, 200 | 403), "{status} {text}");
        assert!(!text.contains("method"), "{text}");
    }
    for (method, path, body) in [
        ("GET", started.as_str(), ""),
        ("POST", authorize, ""),
        ("POST", "/api/two-factor/send-verification", ""),
        ("GET", "/api/two-factor", ""),
        (
            "POST",
            "/authentication/twoFa/verify",
            "{\"code\":\"123456\"}",
        ),
        ("GET", "/api/v2/my/2fa/challenge", ""),
        ("GET", "/half/a", ""),
    ] {
        for (status, text) in fifty_of(&gateway, (method, path, body), &anna).await {
            assert_eq!(status, 403, "{path}: {text}");
        }
    }
    assert_eq!(b2core(&gateway, "anna").await, 403);
    let body = json!({"username": "anna", "password": PASSWORD, "deviceId": "d"}).to_string();
    for (status, text) in fifty_of(&gateway, ("POST", "/api/authtoken", &body), "").await {
        assert_eq!(status, 403, "{text}");
    }
    assert_eq!(inbox.messages().len(), 1);
    // Who is barred is told so only after the password.
    let wrong = body.replace(PASSWORD, "wrong");
    let told = fifty_of(&gateway, ("POST", "/api/authtoken", &wrong), "").await;
    assert!(
        told.iter().all(|(status, _)| matches!(status, 401 | 429)),
        "{told:?}"
    );
    assert_eq!(status(&gateway, "/x", &bob).await, 401);
}

/// How fifty calls at once are answered; without a token where that is empty.
async fn fifty_of(
    gateway: &Gateway,
    (method, path, body): (&str, &str, &str),
    token: &str,
) -> Vec<(u16, String)> {
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let method = method.parse().expect("a method");
        let mut request = gateway.http.request(method, gateway.url(path));
        if !token.is_empty() {
            request = request.bearer_auth(token).header("x-device-id", "laptop");
        }
        let request = request.body(body.to_owned());
        asking.spawn(async move {
            let answer = request.send().await.expect("answer");
            (answer.status().as_u16(), answer.text().await.expect("text"))
        });
    }
    asking.join_all().await
}

/// The status of B2Core's password step.
async fn b2core(gateway: &Gateway, name: &str) -> u16 {
    let url = gateway.url("/api/v2/my/signin");
    let opened = gateway.http.get(&url).send().await.expect("answer");
    let opened: Value = opened.json().await.expect("JSON");
    let body = json!({"uuid": opened["uuid"], "username": name, "password": PASSWORD});
    let answer = gateway.http.post(&url).json(&body).send().await;
    let answer = answer.expect("answer");
    let status = answer.status().as_u16();
    let told: Value = answer.json().await.expect("JSON");
    for token in ["accessToken", "refreshToken"] {
        if let Some(text) = told["data"][token]["token"].as_str() {
            secret(text);
        }
    }
    status
}

#[tokio::test]
async fn an_issuers_groups_are_those_of_its_latest_word() {
    let issuer = Issuer::start().await;
    issuer.add_key("a", "EdDSA");
    let identity = issuer
        .jwt()
        .replace("email: email}", "email: email, groups: groups}");
    let Site { gateway, .. } = Site::accounts_with(|setup| {
        setup.with("{accounts: {}}", &identity).with(
            "    rules:\n",
            "    rules:\n      - {groups: [staff], paths: [/half/], require: deny}\n",
        )
    })
    .await;
    let token = |groups: Value| {
        let mut claims = issuer.claims("anna", PHONE);
        if !groups.is_null() {
            claims["groups"] = groups;
        }
        secret(&issuer.sign("a", &claims))
    };
    for (groups, wanted) in [
        (json!(["guests"]), 200),
        (json!(["guests", "staff"]), 403),
        (json!("staff"), 403),
        // A token that says nothing of groups takes nobody out of one.
        (Value::Null, 403),
        (json!([]), 200),
        (json!({"staff": true}), 401),
        (json!(["staff", 1]), 401),
    ] {
        let token = token(groups.clone());
        assert_eq!(
            status(&gateway, "/half/a", &token).await,
            wanted,
            "{groups}"
        );
    }
    let set = gateway.cli(&["user", "set", "anna", "--group", "staff"]);
    assert_eq!(set.status.code(), Some(2));
    let said = String::from_utf8_lossy(&set.stderr).into_owned();
    assert!(said.contains("takes groups from its tokens"), "{said}");
}

/// An older token takes its user neither out of a group nor to another number, whoever is asked about it.
#[tokio::test]
async fn what_an_older_token_says_of_its_user_is_over() {
    let (old_phone, new_phone) = (PHONE, "+4587654321");
    let issuer = Issuer::start().await;
    issuer.add_key("a", "EdDSA");
    for (kind, identity) in [
        ("signed", issuer.jwt()),
        ("asked", issuer.introspection("1s")),
        (
            "live",
            issuer
                .introspection("1s")
                .replace("audience:", "live: true, audience:"),
        ),
    ] {
        let identity = identity
            .replace("email: email}", "email: email, groups: groups}")
            .replace(
                "phone: phone_number}",
                "phone: phone_number, groups: groups}",
            );
        let Site { gateway, inbox, .. } = Site::accounts_with(|setup| {
            setup.with("{accounts: {}}", &identity).with(
                "    rules:\n",
                "    rules:\n      - {groups: [barred], paths: [/half/], require: deny}\n",
            )
        })
        .await;
        let token = |ago: u64, phone: &str, groups: Value| {
            let mut claims = issuer.claims("anna", phone);
            claims["iat"] = json!(claims["iat"].as_u64().expect("iat") - ago);
            claims["groups"] = groups;
            claims["username"] = json!("anna");
            claims["active"] = json!(true);
            let token = secret(&issuer.sign("a", &claims));
            issuer.says(&token, claims);
            token
        };
        let newer = token(10, new_phone, json!(["barred"]));
        let older = token(1_000, old_phone, json!([]));
        assert_eq!(status(&gateway, "/half/a", &newer).await, 403, "{kind}");
        // The next second, and the answers are not those of a moment ago.
        sleep(2).await;
        let is_live = kind == "live";
        let wanted = if is_live { 200 } else { 403 };
        assert_eq!(status(&gateway, "/half/a", &older).await, wanted, "{kind}");
        let start = format!("/api/apiauth/twofactorsms/{older}");
        let started = get(&gateway, &start, &older).await;
        assert_eq!(started.status(), 200, "{kind}");
        let wanted = if is_live { old_phone } else { new_phone };
        let to = wait_for("a code", Duration::from_secs(5), async || {
            inbox.messages().pop().map(|(to, _)| to)
        })
        .await;
        assert_eq!(to, wanted, "{kind}");
    }
}

#[tokio::test]
async fn a_network_is_where_trusted_proxies_say_that_the_client_is() {
    let Site { gateway, .. } = Site::accounts_with(|setup| {
        let rule = "    rules:\n      - {networks: [10.0.0.0/8, \"fd00::/8\"], require: token}\n";
        setup
            .with("    rules:\n", rule)
            .with("store:", "trusted_proxies: [127.0.0.1/32]\nstore:")
    })
    .await;
    gateway.add_user_with("anna", PASSWORD, &["--phone", PHONE]);
    let account = json!({"username": "anna", "password": PASSWORD, "deviceId": "laptop"});
    let sign_in = || {
        let request = gateway.http.post(gateway.url("/api/authtoken"));
        request.body(account.to_string())
    };
    let somewhere = sign_in().header("x-forwarded-for", "192.0.2.1");
    let answer = somewhere.send().await.expect("answer");
    let answer: Value = answer.json().await.expect("JSON");
    let token = secret(answer["token"].as_str().expect("token"));
    for (from, wanted) in [
        ("10.1.2.3", 200),
        ("::ffff:10.1.2.3", 200),
        ("fd12::3", 200),
        ("192.0.2.1", 401),
        ("10.1.2.3, 192.0.2.1", 401),
        ("::ffff:192.0.2.1", 401),
        ("11.0.0.1", 401),
    ] {
        let request = gateway
            .get("/x", &token, "laptop")
            .header("x-forwarded-for", from);
        let answer = request.send().await.expect("answer");
        assert_eq!(answer.status().as_u16(), wanted, "{from}");
    }
    let start = format!("/api/apiauth/twofactorsms/{token}");
    for unsaid in [
        gateway.get("/x", &token, "laptop"),
        gateway.get(&start, &token, "laptop"),
        gateway.http.get(gateway.url("/.vestibule/sign-in")),
        sign_in(),
    ] {
        let answer = unsaid.send().await.expect("answer");
        let status = answer.status();
        let body = answer.text().await.expect("text");
        assert_eq!(status, 400, "{body}");
        assert!(body.contains("send X-Forwarded-For"), "{body}");
    }
    // What is the same for everybody is there for a backend on the proxy's machine.
    let keys = gateway.http.get(gateway.url("/.vestibule/jwks.json"));
    assert_ne!(keys.send().await.expect("answer").status(), 400);
}

#[tokio::test]
async fn a_browser_is_led_to_a_new_code_and_back() {
    let Site { gateway, inbox, .. } =
        site("      - {paths: [/fresh/], require: two_factor, assurance: aal2, within: 1s}\n")
            .await;
    let token = signed_in(&gateway, "anna", &[]).await;
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    sleep(2).await;
    let request = gateway.http.get(gateway.url("/fresh/a"));
    let request = request.header("cookie", format!("IOGATES={token}"));
    let request = request
        .header("accept", "text/html")
        .header("x-device-id", "laptop");
    let answer = request.send().await.expect("answer");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let location = answer.headers()["location"].to_str().expect("text");
    assert!(
        location.contains("return_to=/fresh/a") && location.contains("fresh=true"),
        "{location}"
    );
}

#[tokio::test]
async fn explain_says_the_rule_and_why() {
    let Site { gateway, .. } =
        site("      - {groups: [staff], paths: [/in/], require: two_factor, assurance: aal2}\n")
            .await;
    gateway.add_user_with("anna", PASSWORD, &["--phone", PHONE, "--group", "staff"]);
    let explained = |more: &[&str]| {
        let line = [
            "explain",
            "--url",
            "http://files.example.org/%69n/a",
            "--json",
        ];
        gateway.cli_json(&[&line, more].concat())
    };
    let of_anna = explained(&["--user", "anna"]);
    assert_eq!(of_anna["path"], "/in/a");
    assert_eq!(of_anna["who"]["groups"], json!(["staff"]), "{of_anna}");
    let asks = json!({"require": "two_factor", "within_secs": 86_400, "max_idle_secs": 3_600});
    assert_eq!(of_anna["asks"], asks);
    assert_eq!(of_anna["readings"][0]["decided_by"], "rule");
    let of_other = explained(&["--group", "guests"]);
    assert_eq!(of_other["asks"]["require"], "two_factor");
    assert_eq!(of_other["asks"]["within_secs"], Value::Null);
    assert_eq!(of_other["readings"][0]["decided_by"], "route");
    let of_nobody = explained(&[]);
    assert_eq!(of_nobody["asks"], Value::Null);
    assert_eq!(of_nobody["readings"][0]["decided_by"], "who asks");
    let unknown = explained(&["--user", "zoe"]);
    let from = unknown["who"]["groups_from"].as_str().unwrap_or_default();
    assert!(from.contains("there is no user `zoe`"), "{unknown}");
    assert_eq!(unknown["asks"], Value::Null);
    let url = ["explain", "--url", "http://a.b/in/a", "--user", "zoe"];
    for json in [false, true] {
        let line = [&url[..], if json { &["--json"] } else { &[] }].concat();
        let told = gateway.cli(&line);
        let warned = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(
            warned.contains("rules for groups are not judged"),
            "{warned}"
        );
        assert!(told.status.success());
        let is_json = serde_json::from_str::<Value>(&warned).is_ok();
        assert_eq!(is_json, json, "{warned}");
    }

    let text = gateway.cli(&["explain", "--url", "http://a.b/in/a", "--user", "anna"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for line in [
        "read as      a.b /in/a",
        "matches",
        "1h",
        "no longer ago than 1d",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let malformed = gateway.cli_json(&["explain", "--url", "http://a.b/a%2", "--json"]);
    assert_eq!(malformed["settled"]["status"], 400, "{malformed}");
    for wrong in [
        &["explain", "--url", "a.b/x"][..],
        &["explain", "--url", "http://a.b/", "--method", "get"],
        &["explain"],
        &["explain", "--url", "http://a.b/", "--address", "ten"],
    ] {
        let said = gateway.cli(wrong);
        assert_eq!(said.status.code(), Some(2), "{wrong:?}");
        assert!(
            said.stdout.is_empty() && !said.stderr.is_empty(),
            "{wrong:?}"
        );
    }
    let said = gateway.cli(&["explain", "--url", "a.b/x", "--json"]);
    let said: Value = serde_json::from_slice(&said.stderr).expect("JSON");
    assert!(
        said["error"]
            .as_str()
            .unwrap_or_default()
            .contains("is not a URL"),
        "{said}"
    );
}
