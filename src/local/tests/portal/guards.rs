//! What foreign pages, other browsers and scripts cannot do with the page.

use super::*;

#[tokio::test]
async fn the_answer_lets_nothing_in_from_elsewhere() {
    let site = site().await;
    let page = site.answer(get(&site)).await;
    let policy = page.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{part}");
    }
    assert_eq!(page.header("referrer-policy"), Some("strict-origin"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(!policy.contains("unsafe") && !policy.contains("http"));
    for loose in [
        "<style", "<script>", "http://", "https://", "style=", " onclick",
    ] {
        assert!(!page.text().contains(loose), "{loose}");
    }
}

#[tokio::test]
async fn a_form_of_another_browser_is_not_taken() {
    let site = site().await;
    let form = |form: &str| {
        site.call(Method::POST, PAGE)
            .header("cookie", "__Host-vestibule_device=abc")
            .header("origin", "https://files.example.org")
            .form(form)
    };
    let other = with_digest(&site, "other", "action=send&factor=sms");
    for foreign in [
        "action=send&factor=sms",
        "action=send&form=",
        "action=send&form=abc",
        &other,
    ] {
        let answer = site.answer(form(foreign)).await;
        assert_eq!(answer.status(), 403, "{foreign}");
        assert!(answer.text().contains("reload the page"));
    }
    assert_eq!(site.world().inbox.count(), 0);
    let page = site
        .answer(get(&site).header("cookie", "__Host-vestibule_device=abc"))
        .await;
    let digest = site.world().auth.keys.form("abc").text();
    assert!(
        page.text()
            .contains(&format!("name=\"form\" value=\"{digest}\""))
    );
}

#[tokio::test]
async fn a_plain_listener_has_a_plain_cookie() {
    let site = site().await;
    let mut call = get(&site);
    call.tls = false;
    let page = site.answer(call).await;
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.starts_with("vestibule_device="), "{cookie}");
    assert!(!cookie.contains("Secure"));
    let known = get(&site).header("cookie", "__Host-vestibule_device=abc");
    assert_eq!(site.answer(known).await.header("set-cookie"), None);
}

#[tokio::test]
async fn a_foreign_page_cannot_send_the_form() {
    let site = site().await;
    let with = |name: &'static str, value: &str| {
        let mut call = post(&site, "abc", "action=send&factor=sms");
        call.headers.remove("origin");
        call.headers.remove("sec-fetch-site");
        call.header(name, value)
    };
    for call in [
        with("origin", "https://evil.example"),
        with("origin", "https://files.example.org.evil.example"),
        with("origin", "https://files.example.org:8443"),
        with("origin", "http://files.example.org"),
        with("origin", "null"),
        with("sec-fetch-site", "cross-site"),
        with("sec-fetch-site", "same-site"),
        with("sec-fetch-site", "same-origin").header("origin", "https://evil.example"),
    ] {
        let answer = site.answer(call.clone()).await;
        assert_eq!(answer.status(), 403, "{:?}", call.headers);
    }
    assert_eq!(site.world().inbox.count(), 0);
    let own = with("origin", "https://files.example.org");
    assert_eq!(site.answer(own).await.status(), 303);
}

#[tokio::test]
async fn a_script_of_this_origin_reads_no_page_and_sends_no_form() {
    let site = site().await;
    for mode in ["cors", "same-origin", "no-cors", "websocket", ""] {
        let scripted = |call: Call| call.header("sec-fetch-mode", mode);
        for page in [PAGE, "/.vestibule/account", "/.vestibule/backup-codes"] {
            let call = with_cookie(site.call(Method::GET, page), "abc");
            let call = call.header("sec-fetch-site", "same-origin");
            let answer = site.answer(scripted(call)).await;
            assert_eq!(answer.status(), 403, "{mode} {page}");
            assert!(!answer.text().contains("name=\"form\""), "{mode} {page}");
            assert_eq!(answer.header("set-cookie"), None);
        }
        let sends = scripted(post(&site, "abc", "action=send&factor=sms"));
        assert_eq!(site.answer(sends).await.status(), 403, "{mode}");
    }
    assert_eq!(site.world().inbox.count(), 0);
    let two = get(&site).header("sec-fetch-mode", "navigate");
    let two = two.header("sec-fetch-mode", "cors");
    assert_eq!(site.answer(two).await.status(), 403);

    // Our own script has been given the form's value by the page that it is of.
    let asks = |form: &str| {
        let call = site.call(Method::POST, PAGE).form(form);
        with_cookie(call, "abc").header("sec-fetch-mode", "cors")
    };
    let known = asks(&with_digest(&site, "abc", "action=ask-passkey"));
    let answer = site.answer(known).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let guessed = asks("action=ask-passkey&form=guessed");
    assert_eq!(site.answer(guessed).await.status(), 403);
}

#[tokio::test]
async fn a_page_is_out_of_reach_for_the_page_that_opened_it() {
    let site = site().await;
    let opened = get(&site).header("sec-fetch-mode", "navigate");
    let page = site.answer(opened).await;
    assert_eq!(page.status(), 200);
    let opener = page.header("cross-origin-opener-policy");
    assert_eq!(opener, Some("same-origin"));
    let embedder = page.header("cross-origin-embedder-policy");
    assert_eq!(embedder, Some("require-corp"));
    let sends = post(&site, "abc", "action=send&factor=sms");
    let sent = site
        .answer(sends.header("sec-fetch-mode", "navigate"))
        .await;
    assert_eq!(sent.status(), 303);
}

#[tokio::test]
async fn the_way_back_is_on_this_host() {
    let site = site().await;
    let world = site.world();
    world.user("ann", "right", Some("+4512345679")).await;
    let token = site.token("d1").await;
    for (return_to, location) in [
        ("//evil.example/", "/"),
        ("/%5Cevil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/a%0d%0aSet-Cookie:x", "/"),
        ("", "/"),
        ("/a/../b//c%3Fd", "/b/c?d"),
        ("/x&return_to=/y", "/"),
    ] {
        let target = format!("/.vestibule/challenge?return_to={return_to}");
        let call = |form: &str| {
            site.call(Method::POST, &target)
                .header(
                    "cookie",
                    &format!("IOGATES={token}; __Host-vestibule_device=abc"),
                )
                .form(&with_digest(&site, "abc", form))
        };
        world.advance(3600);
        let sent = site.answer(call("action=send&factor=sms")).await;
        assert_eq!(sent.status(), 303, "{}", sent.text());
        let form = format!("action=verify&code={}", world.inbox.code());
        let done = site.answer(call(&form)).await;
        assert_eq!(done.status(), 303, "{return_to}");
        assert_eq!(done.header("location"), Some(location), "{return_to}");
    }
}

#[tokio::test]
async fn a_form_needs_the_cookie_and_an_action() {
    let site = site().await;
    let bare = site.call(Method::POST, PAGE).form("action=send&factor=sms");
    assert_eq!(site.answer(bare).await.status(), 400);
    for form in [
        "",
        "action=",
        "action=other",
        "action=send&action=verify",
        "action=send",
        "action=send&factor=",
        "{",
    ] {
        let answer = site.answer(post(&site, "abc", form)).await;
        assert_eq!(answer.status(), 400, "{form}");
    }
    assert_eq!(site.world().inbox.count(), 0);
}
