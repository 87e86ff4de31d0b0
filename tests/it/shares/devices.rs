//! On which devices a link opens its folder, and how many they may be.

use super::*;

#[tokio::test]
async fn what_was_given_in_exchange_is_one_devices_and_one_folders() {
    let site = Site::accounts().await;
    let (link, _) = link(&site.gateway, &["--phone", PHONE]);
    let mut phone = Browser::new(&site.gateway);
    let sent = phone.press(&link, "0", "sms").await;
    // Before the code is typed, it opens nothing.
    let early = phone.fetch("/docs/plan.txt").await;
    assert_eq!(early.status, 401);
    assert!(
        early.text.contains("insufficient") || early.text.contains("second factor"),
        "{}",
        early.text
    );
    let code = site.inbox.code_for(PHONE);
    assert_eq!(phone.confirm(&sent.location, &code).await.status, 303);

    // Taken along to another device, as a bearer or in a cookie, it has to be verified there.
    let token = phone.token();
    let stolen = site
        .gateway
        .get("/docs/plan.txt", &token, "laptop")
        .send()
        .await;
    assert_eq!(stolen.expect("answer").status(), 401);
    let mut thief = Browser::new(&site.gateway);
    thief
        .cookies
        .insert("vestibule_token".to_owned(), token.clone());
    assert_eq!(thief.fetch("/docs/plan.txt").await.status, 401);
    // It is no link, and opens no other.
    assert_eq!(
        Browser::new(&site.gateway)
            .get(&format!("/share/{token}"))
            .await
            .status,
        404
    );
    // Nor anything beside its folder, nor what an account has.
    for path in ["/", "/hello.txt", "/docs/../hello.txt", "/docs%2f../x"] {
        let answer = phone.fetch(path).await;
        assert!(
            matches!(answer.status, 400 | 403),
            "{path}: {}",
            answer.status
        );
    }
    assert!(site.backend.seen().is_empty());
    // The same code, once more and by somebody else.
    let mut other = Browser::new(&site.gateway);
    let sent = other.press(&link, "0", "sms").await;
    let again = other.confirm(&sent.location, &code).await;
    let newest = site.inbox.code_for(PHONE);
    if newest != code {
        assert_eq!(again.status, 401, "{}", again.text);
    }
}

#[tokio::test]
async fn a_link_opens_on_as_many_devices_as_it_may() {
    let site = Site::accounts().await;
    let (link, id) = link(
        &site.gateway,
        &["--phone", PHONE, "--phone", BOB, "--devices", "1"],
    );
    let (mut first, mut late) = (Browser::new(&site.gateway), Browser::new(&site.gateway));
    let to_code = late.press(&link, "1", "sms").await.location;
    let lates = site.inbox.code_for(BOB);
    first.press(&link, "0", "sms").await;
    let code = site.inbox.code_for(PHONE);
    assert_eq!(first.confirm(&to_code, &code).await.status, 303);
    let refused = late.confirm(&to_code, &lates).await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.text.contains("opened on as many devices"),
        "{}",
        refused.text
    );
    let used_up = Browser::new(&site.gateway).get(&link).await;
    assert_eq!(used_up.status, 403);
    assert!(used_up.text.contains("This link is used up"));
    assert_eq!(first.get(&link).await.location, "/docs/");
    assert_eq!(listed(&site.gateway, id)["devices"], 1);
    let list = site.gateway.cli(&["share", "list"]);
    let list = String::from_utf8(list.stdout).expect("text");
    assert!(list.contains("1 of 1"), "{list}");
}

/// A folder with a part that asks for a token alone, and only here for less than its whole does.
fn with_a_lax_part(setup: Setup) -> Setup {
    setup.with(
        "    rules:\n",
        "    rules:\n      - {paths: [/docs/lax/], require: token}\n      - {methods: [PUT], paths: [/docs/], require: token}\n",
    )
}

#[tokio::test]
async fn no_part_of_a_folder_opens_on_more_devices_than_the_link_does() {
    let site = Site::accounts_with(with_a_lax_part).await;
    let gateway = &site.gateway;
    let (link, id) = link(gateway, &["--phone", PHONE, "--devices", "1"]);
    let exchange = async |device: &str| {
        let body = json!({"URL": link, "deviceId": device});
        let url = gateway.url("/api/authtoken");
        let answer = gateway.http.post(url).json(&body).send().await;
        let answer = answer.expect("answer");
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.expect("JSON");
        secret(body["token"].as_str().expect("token"))
    };
    let lax = async |method: reqwest::Method, path: &str, token: &str, device: &str| {
        let request = gateway.http.request(method, gateway.url(path));
        let request = request.bearer_auth(token).header("x-device-id", device);
        request.send().await.expect("answer").status().as_u16()
    };
    // Neither the link nor what is given for it opens a part of the folder before a code.
    let of_link = link.trim_start_matches("/share/");
    let (first, second) = (exchange("first").await, exchange("second").await);
    for (token, status) in [(of_link, 401), (first.as_str(), 401), (&second, 401)] {
        for (method, path) in [("GET", "/docs/lax/a"), ("PUT", "/docs/a")] {
            let method = method.parse().expect("method");
            assert_eq!(lax(method, path, token, "first").await, status, "{path}");
        }
    }
    let mut browser = Browser::new(gateway);
    let to_code = browser.press(&link, "0", "sms").await.location;
    let refused = browser.get("/docs/lax/a").await;
    assert_eq!(
        (refused.status, refused.location.as_str()),
        (303, "/.vestibule/challenge?return_to=/docs/lax/a")
    );
    assert_eq!(listed(gateway, id)["devices"], 0);

    // The code counts, and its device is in wherever a token is enough.
    let code = site.inbox.code_for(PHONE);
    assert_eq!(browser.confirm(&to_code, &code).await.status, 303);
    assert_eq!(browser.get("/docs/lax/a").await.status, 200);
    assert_eq!(listed(gateway, id)["devices"], 1);
    gateway.cli(&["session", "revoke", "--all"]);
    wait_for("the end", LIMIT, async || {
        (browser.get("/docs/a").await.status == 303).then_some(())
    })
    .await;
    assert_eq!(browser.get("/docs/lax/a").await.status, 200);
    // Whoever comes later is in no part of it.
    for token in [&first, &second] {
        assert_eq!(
            lax(reqwest::Method::GET, "/docs/lax/a", token, "first").await,
            401
        );
    }
    assert_eq!(listed(gateway, id)["devices"], 1);
}
