//! `GET|POST /.vestibule/challenge`.

use super::*;
use crate::auth::DeliveryError;
use crate::auth::fixture::START;

const PAGE: &str = "/.vestibule/challenge?return_to=/share/link/a%3Fb%3Dc";

/// A site that sends no mail, with a share link for one number.
async fn site() -> Site {
    let site = Site::new();
    site.world().set(|settings| settings.sends_mail = false);
    site.world().share("link", Some(PHONE), None).await;
    site
}

fn get(site: &Site) -> Call {
    site.call(Method::GET, PAGE)
}

fn post(site: &Site, device: &str, form: &str) -> Call {
    let call = with_cookie(site.call(Method::POST, PAGE), device);
    site.filled_in(call, device, form)
}

fn with_cookie(call: Call, device: &str) -> Call {
    call.header("cookie", &format!("__Host-vestibule_device={device}"))
}

/// The form as the page that was shown to this device sends it.
fn with_digest(site: &Site, device: &str, form: &str) -> String {
    format!("{form}&form={}", site.world().auth.keys.form(device).text())
}

/// The device that an answer's cookie names.
fn device(answer: &Answer) -> Option<&str> {
    let cookie = answer.header("set-cookie")?;
    cookie.split(';').next()?.split_once('=').map(|(_, it)| it)
}

#[tokio::test]
async fn a_person_passes_the_second_factor() {
    let site = site().await;
    let page = site.answer(get(&site)).await;
    assert_eq!(page.status(), 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().contains("We send a code to +45******78"));
    assert!(!page.text().contains(PHONE));
    assert_eq!(site.world().inbox.count(), 0, "looking sends nothing");
    let first = device(&page).unwrap().to_owned();
    assert_eq!(first.len(), 43);
    let cookie = page.header("set-cookie").unwrap();
    assert_eq!(
        cookie,
        format!(
            "__Host-vestibule_device={first}; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax; Secure"
        )
    );

    let sent = site
        .answer(post(&site, &first, "action=send&factor=sms"))
        .await;
    assert_eq!((sent.status(), sent.header("location")), (303, Some(PAGE)));
    assert_eq!(sent.header("set-cookie"), None);
    let sent = site.answer(with_cookie(get(&site), &first)).await;
    assert!(
        sent.text()
            .contains("a text message with a code to +45******78")
    );
    assert!(sent.text().contains("data-seconds=\"30\""));
    for part in [
        "autocomplete=\"one-time-code\"",
        "inputmode=\"numeric\"",
        "<label for=\"code\">",
        "<html lang=\"en\">",
        "<main id=\"main\"",
        "href=\"#main\"",
        "action=\"/.vestibule/challenge?return_to=/share/link/a%3Fb%3Dc\"",
    ] {
        assert!(sent.text().contains(part), "{part}");
    }
    assert_eq!(site.world().inbox.count(), 1);

    let form = format!("action=verify&code={}", site.world().inbox.code());
    let done = site.answer(post(&site, &first, &form)).await;
    assert_eq!(done.status(), 303, "{}", done.text());
    assert_eq!(done.header("location"), Some("/share/link/a?b=c"));
    let second = device(&done).unwrap();
    assert_ne!(first, second, "it changes at verification");
    assert!(site.is_open("link", Some(second)).await);
    assert!(!site.is_open("link", Some(&first)).await);
}

#[tokio::test]
async fn a_person_chooses_where_the_code_goes() {
    let site = Site::new();
    let (_, user) = site.world().share("link", Some(PHONE), None).await;
    let page = site.answer(get(&site)).await;
    for part in [
        "Choose how you want to give it",
        "We send a code to +45******78",
        "We send a code to g****t@example.org",
        "name=\"factor\" value=\"email\"",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.text().contains("name=\"code\""), "none was sent yet");
    let by_mail = post(&site, "abc", "action=send&factor=email");
    assert_eq!(site.answer(by_mail).await.status(), 303);
    let sent = site.answer(with_cookie(get(&site), "abc")).await;
    let told = "an email with a code to g****t@example.org";
    assert!(sent.text().contains(told));
    let other = site.call(Method::GET, &format!("{PAGE}&by=other"));
    let other = site.answer(with_cookie(other, "abc")).await;
    assert!(!other.text().contains(told) && other.text().contains("+45******78"));
    assert_eq!(site.world().inbox.last().0, "guest@example.org");
    let unknown = post(&site, "abc", "action=send&factor=fax");
    assert_eq!(site.answer(unknown).await.status(), 400);
    let app = post(&site, "abc", "action=send&factor=totp");
    assert_eq!(site.answer(app).await.status(), 400, "there is none");
    let form = format!("action=verify&code={}", site.world().inbox.code());
    let done = site.answer(post(&site, "abc", &form)).await;
    assert_eq!(done.status(), 303);
    let second = device(&done).unwrap();
    let pair = site.route.keys.session("link", Some(second));
    let session = site.world().store.session(pair, START).await.unwrap();
    let session = session.unwrap();
    assert_eq!(session.holder.user, user);
    assert_eq!(session.factor.as_str(), "email");
}

#[tokio::test]
async fn an_apps_code_needs_no_sending() {
    let site = Site::new();
    let world = site.world();
    world.set(|settings| settings.sends_mail = false);
    let (_, user) = world.share("link", None, None).await;
    let secret = world.authenticator(user).await;
    let page = site.answer(get(&site)).await;
    assert!(page.text().contains("Open your authenticator app"));
    assert!(page.text().contains("name=\"code\""));
    assert!(!page.text().contains("value=\"send\""), "nothing to send");
    let form = format!("action=verify&code={}", secret.code_at(START));
    let done = site.answer(post(&site, "abc", &form)).await;
    assert_eq!(done.status(), 303, "{}", done.text());
    assert_eq!(world.inbox.count(), 0);
    let again = site.answer(post(&site, "abc", &form)).await;
    assert_eq!(again.status(), 401);
    assert!(again.text().contains("next one in your app"));
}

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
async fn a_verified_browser_goes_on_unless_a_newer_factor_is_asked_for() {
    let site = site().await;
    let send = post(&site, "abc", "action=send&factor=sms");
    site.answer(send).await;
    let form = format!("action=verify&code={}", site.world().inbox.code());
    let done = site.answer(post(&site, "abc", &form)).await;
    let cookie = format!("__Host-vestibule_device={}", device(&done).unwrap());
    let again = site.answer(get(&site).header("cookie", &cookie)).await;
    assert_eq!(again.status(), 303);
    assert_eq!(again.header("location"), Some("/share/link/a?b=c"));
    let fresh = site.call(Method::GET, &format!("{PAGE}&fresh=true"));
    let fresh = site.answer(fresh.header("cookie", &cookie)).await;
    assert_eq!(fresh.status(), 200);
    let action = "action=\"/.vestibule/challenge?return_to=/share/link/a%3Fb%3Dc&#38;fresh=true\"";
    assert!(fresh.text().contains(action), "{}", fresh.text());
}

#[tokio::test]
async fn a_page_speaks_the_browsers_language() {
    let site = site().await;
    for (asked, tag, title) in [
        ("de-AT, en;q=0.5", "de", "Bestätigen Sie, dass Sie es sind"),
        ("da", "da", "Bekræft, at det er dig"),
        ("es-MX", "es", "Confirme que es usted"),
        ("fr", "fr", "Confirmez que c’est bien vous"),
        ("nl", "en", "Confirm that it is you"),
    ] {
        let page = site
            .answer(get(&site).header("accept-language", asked))
            .await;
        assert!(page.text().contains(&format!("<html lang=\"{tag}\">")));
        assert!(
            page.text().contains(&format!("<h1>{title}</h1>")),
            "{asked}"
        );
        assert!(!page.text().contains("{$") && !page.text().contains("{ $"));
    }
}

#[tokio::test]
async fn a_message_is_in_the_language_of_the_page_that_asks_for_it() {
    for (asked, says) in [
        (
            "da, en;q=0.5",
            " er din kode til Files. Den udløber om 10 minutter.",
        ),
        ("es", " es su clave para Files. Caduca en 10 minutos."),
        ("nl", " is your code for Files. It expires in 10 minutes."),
    ] {
        let site = site().await;
        let send = post(&site, "abc", "action=send&factor=sms");
        let sent = site.answer(send.header("accept-language", asked)).await;
        assert_eq!(sent.status(), 303, "{}", sent.text());
        let (_, text) = site.world().inbox.last();
        assert!(text.ends_with(says), "{text}");
    }
}

#[tokio::test]
async fn the_look_is_served_to_everybody() {
    let site = site().await;
    let ask = |name: &str| site.call(Method::GET, &format!("/.vestibule/assets/{name}"));
    let answer = async |call: Call| {
        let endpoint = table::find(&site.route, &call.path).unwrap();
        Answer(site.local.answer(endpoint, call).await)
    };
    for (name, kind) in [
        ("style.css", "text/css; charset=utf-8"),
        ("theme.css", "text/css; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
    ] {
        let first = answer(ask(name)).await;
        assert_eq!(
            (first.status(), first.header("content-type")),
            (200, Some(kind))
        );
        assert_eq!(first.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(first.header("cache-control"), Some("public, max-age=300"));
        assert_eq!(first.header("set-cookie"), None);
        let tag = first.header("etag").unwrap();
        for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = answer(ask(name).header("if-none-match", &known)).await;
            assert_eq!((again.status(), again.text()), (304, ""), "{known}");
            assert_eq!(again.header("etag"), Some(tag));
        }
        let other = answer(ask(name).header("if-none-match", "\"x\"")).await;
        assert_eq!(other.status(), 200);
    }
    for missing in ["logo", "other", "style.css%2F..", "..%2Fbase.html"] {
        assert_eq!(answer(ask(missing)).await.status(), 404, "{missing}");
    }
}

#[tokio::test]
async fn the_operators_look_is_on_the_page() {
    let mut site = site().await;
    site.world()
        .set(|settings| settings.service_name = "Example & Sons".to_owned());
    let color = |text| model::Color::parse(text).unwrap();
    let mut portal = model::Portal {
        prefix: "/door".to_owned(),
        name: None,
        logo: Some(model::Logo {
            kind: model::LogoKind::Svg,
            bytes: b"<svg/>".to_vec(),
        }),
        support: Some(model::Support::Mail("help@example.org".to_owned())),
        colors: model::Colors::default(),
    };
    portal.colors.light.accent = color("#ffff00");
    site.route = Arc::new(Route {
        config: site.route.config.clone(),
        keys: site.route.keys.clone(),
        identity: Identity::Accounts,
        portal: Arc::new(portal),
    });
    assert!(table::find(&site.route, "/.vestibule/challenge").is_none());
    let page = "/door/challenge?return_to=/share/link/";
    let page = site.answer(site.call(Method::GET, page)).await;
    for part in [
        "– Example &#38; Sons</title>",
        "src=\"/door/assets/logo\"",
        "href=\"/door/assets/theme.css\"",
        "<a href=\"mailto:help@example.org\" rel=\"noreferrer\">help@example.org</a>",
        "action=\"/door/challenge?return_to=/share/link/\"",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.text().contains(".vestibule/"));
    let asset = async |name: &str| {
        let call = site.call(Method::GET, &format!("/door/assets/{name}"));
        let endpoint = table::find(&site.route, &call.path).unwrap();
        Answer(site.local.answer(endpoint, call).await)
    };
    let theme = asset("theme.css").await;
    assert!(theme.text().contains("--act: #ffff00; --on-act: #000000;"));
    let logo = asset("logo").await;
    assert_eq!(logo.header("content-type"), Some("image/svg+xml"));
    assert_eq!(logo.text(), "<svg/>");
    let policy = logo.header("content-security-policy").unwrap();
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"));
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
async fn a_device_that_the_address_names_stays() {
    let site = site().await;
    let page = "/.vestibule/challenge?return_to=/share/link/%3FdeviceId%3Dapp";
    let shown = site.answer(site.call(Method::GET, page)).await;
    assert_eq!(shown.header("set-cookie"), None);
    let call = |form: &str| {
        let form = with_digest(&site, "app", form);
        site.call(Method::POST, page).form(&form)
    };
    site.answer(call("action=send&factor=sms")).await;
    let form = format!("action=verify&code={}", site.world().inbox.code());
    let done = site.answer(call(&form)).await;
    assert_eq!(done.status(), 303);
    assert_eq!(done.header("location"), Some("/share/link/?deviceId=app"));
    assert_eq!(done.header("set-cookie"), None);
    assert!(site.is_open("link", Some("app")).await);
}

#[tokio::test]
async fn strangers_see_a_page_that_says_so() {
    let mut site = site().await;
    for target in [
        "/.vestibule/challenge",
        "/.vestibule/challenge?return_to=/x",
    ] {
        let answer = site.answer(site.call(Method::GET, target)).await;
        assert_eq!(answer.status(), 303, "{target}");
        let to = answer.header("location").unwrap();
        assert!(to.starts_with("/.vestibule/sign-in?return_to="), "{to}");
    }
    let link = "/.vestibule/challenge?return_to=/share/unknown/";
    assert_eq!(
        site.answer(site.call(Method::GET, link)).await.status(),
        401
    );
    site.route = Arc::new(Route {
        config: site.route.config.clone(),
        keys: site.route.keys.clone(),
        identity: learned(),
        portal: Arc::default(),
    });
    for target in [
        "/.vestibule/challenge",
        "/.vestibule/challenge?return_to=/x",
        link,
    ] {
        let answer = site.answer(site.call(Method::GET, target)).await;
        assert_eq!(answer.status(), 401, "{target}");
        assert!(answer.header("www-authenticate").is_some());
        assert_eq!(answer.header("set-cookie"), None);
        assert!(answer.text().contains("<html"));
    }
    let two = get(&site).header("cookie", "IOGATES=other");
    assert_eq!(site.answer(two).await.status(), 400);
    let twice = get(&site).header(
        "cookie",
        "__Host-vestibule_device=a; __Host-vestibule_device=b",
    );
    assert_eq!(site.answer(twice).await.status(), 400);
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

#[tokio::test]
async fn what_goes_wrong_is_said_on_the_page() {
    let site = site().await;
    let send = || post(&site, "abc", "action=send&factor=sms");
    let verify = |code: &str| post(&site, "abc", &format!("action=verify&code={code}"));
    let check = |answer: &Answer, status: u16, part: &str| {
        assert_eq!(answer.status(), status, "{}", answer.text());
        assert!(answer.text().contains("role=\"alert\""));
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
        assert_eq!(
            answer.header("retry-after").is_some(),
            matches!(status, 429 | 503)
        );
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        assert_eq!(answer.header("set-cookie"), None);
    };
    site.world()
        .inbox
        .fail_with(Some(DeliveryError::NotAccepted));
    check(&site.answer(send()).await, 503, "could not be sent");
    site.world().inbox.fail_with(None);
    check(
        &site.answer(verify("123456")).await,
        404,
        "No code has been sent",
    );
    assert_eq!(site.answer(send()).await.status(), 303);
    check(&site.answer(send()).await, 429, "Wait 30 seconds");
    let code = site.world().inbox.code();
    let wrong = site.world().inbox.wrong_code();
    check(&site.answer(verify("abc")).await, 400, "digits");
    check(&site.answer(verify("")).await, 400, "digits");
    for left in ["4 tries are", "3 tries are", "2 tries are", "One try is"] {
        check(&site.answer(verify(&wrong)).await, 401, left);
    }
    check(&site.answer(verify(&wrong)).await, 429, "Wait 30 seconds");
    check(&site.answer(verify(&code)).await, 429, "Wait 30 seconds");
    let page = site.answer(with_cookie(get(&site), "abc")).await;
    check(&page, 429, "Wait 30 seconds");
    site.world().advance(31);
    check(&site.answer(verify(&code)).await, 403, "has expired");
    site.world().set(|settings| {
        settings.sends_mail = false;
        settings.lockout.lock_at = 6;
    });
    site.answer(send()).await;
    let wrong = site.world().inbox.wrong_code();
    check(&site.answer(verify(&wrong)).await, 403, "locked");
    check(&site.answer(send()).await, 403, "locked");
    let page = site.answer(with_cookie(get(&site), "abc")).await;
    check(&page, 403, "locked");
    assert!(!page.text().contains("<form"), "nothing to be tried");
    site.world().store.break_verb(Some("attempt"));
    check(
        &site.answer(verify(&wrong)).await,
        503,
        "Try again in 5 seconds",
    );
    site.world().store.break_verb(Some("factors"));
    assert_eq!(site.answer(get(&site)).await.status(), 503);
    site.world().store.break_verb(Some("token"));
    assert_eq!(site.answer(get(&site)).await.status(), 503);
}

#[tokio::test]
async fn without_a_number_the_page_says_whom_to_ask() {
    let site = Site::new();
    site.world().set(|settings| settings.sends_mail = false);
    site.world().share("link", None, None).await;
    let page = site.answer(get(&site)).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().contains("nothing that we could send one to"));
    assert!(!page.text().contains("<form"));
    let sent = site
        .answer(post(&site, "abc", "action=send&factor=sms"))
        .await;
    assert_eq!(sent.status(), 400);
}

#[tokio::test]
async fn head_shows_what_get_shows() {
    let site = site().await;
    let mut call = get(&site).header("cookie", "__Host-vestibule_device=abc");
    let page = site.answer(call.clone()).await;
    call.method = Method::HEAD;
    let head = site.answer(call).await;
    assert_eq!((head.status(), head.text()), (page.status(), page.text()));
}

#[tokio::test]
async fn whoever_lets_a_named_device_in_is_told_so() {
    let site = site().await;
    let told = "This confirms the program or device that this link came from";
    let own = site.answer(with_cookie(get(&site), "abc")).await;
    assert!(!own.text().contains(told));
    let page = "/.vestibule/challenge?return_to=/share/link/%3FdeviceId%3Dapp";
    let named = site.answer(site.call(Method::GET, page)).await;
    assert!(named.text().contains(told), "{}", named.text());
    let form = with_digest(&site, "app", "action=send&factor=sms");
    let sent = site.answer(site.call(Method::POST, page).form(&form)).await;
    assert_eq!(sent.status(), 303, "{}", sent.text());
    let text = site.world().inbox.last().1;
    assert!(text.contains("lets a program in"), "{text}");
    let typing = site.answer(site.call(Method::GET, page)).await;
    assert!(typing.text().contains("name=\"code\""));
    assert!(typing.text().contains(told));
}
