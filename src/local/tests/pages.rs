//! `/.vestibule/sign-in` and `/.vestibule/sign-out`.

use super::*;
use crate::auth::fixture::START;
use crate::auth::ports::Users as _;
use crate::event::EventKind;

const SIGN_IN: &str = "/.vestibule/sign-in?return_to=/docs/a%3Fb%3Dc";
const SIGN_OUT: &str = "/.vestibule/sign-out";

async fn site() -> Site {
    let site = Site::new();
    site.world().user("ann", "right", Some(PHONE)).await;
    site
}

/// A form as the page that was shown to this device sends it.
fn post(site: &Site, target: &str, cookies: &str, form: &str) -> Call {
    let device = cookies
        .split("vestibule_device=")
        .nth(1)
        .unwrap_or_default();
    let device = device.split(';').next().unwrap();
    let call = site.call(Method::POST, target).header("cookie", cookies);
    site.filled_in(call, device, form)
}

const DEVICE: &str = "__Host-vestibule_device=first";

fn sign_in(site: &Site, name: &str, password: &str) -> Call {
    post(
        site,
        SIGN_IN,
        DEVICE,
        &format!("username={name}&password={password}"),
    )
}

/// The cookies that an answer sets, by their names.
fn cookies(answer: &Answer) -> Vec<(String, String)> {
    let all = answer.0.headers().get_all("set-cookie").iter();
    all.map(|line| {
        let line = line.to_str().unwrap();
        let (name, rest) = line.split_once('=').unwrap();
        let (value, rest) = rest.split_once(';').unwrap();
        assert!(rest.contains("; HttpOnly; SameSite=Lax; Secure"), "{line}");
        assert!(rest.starts_with(" Path=/;"), "{line}");
        (name.to_owned(), value.to_owned())
    })
    .collect()
}

/// What the browser sends from then on.
fn jar(answer: &Answer) -> String {
    let all = cookies(answer).into_iter();
    let all: Vec<_> = all.map(|(name, value)| format!("{name}={value}")).collect();
    all.join("; ")
}

fn token(jar: &str) -> &str {
    let rest = jar.split("vestibule_token=").nth(1).unwrap();
    rest.split(';').next().unwrap()
}

async fn is_token(site: &Site, token: &str) -> bool {
    let digest = site.route.keys.token(token);
    let now = site.world().clock.now();
    site.world()
        .store
        .token(digest, now)
        .await
        .unwrap()
        .is_some()
}

#[tokio::test]
async fn a_person_signs_in_passes_the_second_factor_and_signs_out() {
    let site = site().await;
    let page = site.answer(site.call(Method::GET, SIGN_IN)).await;
    assert_eq!(page.status(), 200);
    for part in [
        "autocomplete=\"username\"",
        "autocomplete=\"current-password\"",
        "action=\"/.vestibule/sign-in?return_to=/docs/a%3Fb%3Dc\"",
        "<label for=\"username\">Name or email address</label>",
    ] {
        assert!(page.text().contains(part), "{part}");
    }
    let device = jar(&page);
    let form = "username=ann&password=right";
    let done = site.answer(post(&site, SIGN_IN, &device, form)).await;
    assert_eq!(done.status(), 303, "{}", done.text());
    let challenge = "/.vestibule/challenge?return_to=/docs/a%3Fb%3Dc";
    assert_eq!(done.header("location"), Some(challenge));
    let signed_in = jar(&done);
    assert!(
        !signed_in.contains(device.as_str()),
        "the device is a new one"
    );

    let send = "action=send&factor=sms";
    let sent = site.answer(post(&site, challenge, &signed_in, send)).await;
    assert_eq!(sent.status(), 303, "{}", sent.text());
    let form = format!("action=verify&code={}", site.world().inbox.code());
    let verified = site.answer(post(&site, challenge, &signed_in, &form)).await;
    assert_eq!(verified.header("location"), Some("/docs/a?b=c"));
    let [(_, device)] = &cookies(&verified)[..] else {
        panic!("one cookie");
    };
    let token = token(&signed_in).to_owned();
    assert!(site.is_open(&token, Some(device)).await);

    let jar = format!("__Host-vestibule_device={device}; __Host-vestibule_token={token}");
    let again = site.call(Method::GET, SIGN_IN).header("cookie", &jar);
    let again = site.answer(again).await;
    assert_eq!(again.header("location"), Some("/docs/a?b=c"), "straight on");

    let page = site.call(Method::GET, SIGN_OUT).header("cookie", &jar);
    let page = site.answer(page).await;
    assert!(
        page.text()
            .contains("<button type=\"submit\">Sign out</button>")
    );
    assert!(is_token(&site, &token).await, "looking ends nothing");
    site.world().events.take();
    let out = site.answer(post(&site, SIGN_OUT, &jar, "")).await;
    assert_eq!(
        (out.status(), out.header("location")),
        (303, Some(SIGN_OUT))
    );
    assert_eq!(out.header("clear-site-data"), Some("\"cache\""));
    let lines: Vec<_> = out.0.headers().get_all("set-cookie").iter().collect();
    assert_eq!(lines.len(), 2);
    for (line, name) in lines.iter().zip(["device", "token"]) {
        let line = line.to_str().unwrap();
        assert!(
            line.starts_with(&format!("__Host-vestibule_{name}=; ")),
            "{line}"
        );
        assert!(line.contains("Max-Age=0;"), "{line}");
    }
    assert!(!is_token(&site, &token).await);
    assert!(!site.is_open(&token, Some(device)).await);
    assert_eq!(site.world().store.live_sessions(START).await.unwrap(), 0);
    let told = (EventKind::SignedOut, "page".to_owned());
    assert_eq!(site.world().events.take(), [told]);
    let page = site.answer(site.call(Method::GET, SIGN_OUT)).await;
    assert!(page.text().contains("You are signed out"));
    assert!(!page.text().contains("<form"));
}

#[tokio::test]
async fn a_mail_address_signs_in_too() {
    let site = site().await;
    for name in ["ann%40example.org", "Ann%40Example.ORG", "+ann+"] {
        let done = site.answer(sign_in(&site, name, "right")).await;
        assert_eq!(done.status(), 303, "{name}: {}", done.text());
    }
    // An address that two share tells nobody apart, and a name wins over an address.
    site.world().user("ann@example.org", "other", None).await;
    let wrong = site
        .answer(sign_in(&site, "ann%40example.org", "right"))
        .await;
    assert_eq!(wrong.status(), 401);
    let named = site
        .answer(sign_in(&site, "ann%40example.org", "other"))
        .await;
    assert_eq!(named.status(), 303);
}

#[tokio::test]
async fn nobody_is_told_who_exists() {
    let site = site().await;
    site.world().share("link", None, None).await;
    let mut said = Vec::new();
    for (name, password) in [
        ("ann", "wrong"),
        ("bob", "wrong"),
        ("bob%40example.org", "wrong"),
        ("share%3A1", "wrong"),
        ("guest%40example.org", "wrong"),
    ] {
        let answer = site.answer(sign_in(&site, name, password)).await;
        assert_eq!(answer.status(), 401);
        assert!(answer.header("www-authenticate").is_some());
        assert_eq!(answer.header("set-cookie"), None);
        assert!(!answer.text().contains("value=\"wrong\""));
        let typed = percent_encoding::percent_decode_str(name)
            .decode_utf8()
            .unwrap();
        said.push(
            answer
                .text()
                .replace(&format!("value=\"{typed}\""), "value=\"\""),
        );
    }
    assert!(said[0].contains("The name or the password is wrong"));
    assert!(said.iter().all(|text| *text == said[0]));
}

#[tokio::test]
async fn wrong_passwords_cost_a_delay_that_is_said() {
    let site = site().await;
    for _ in 0..5 {
        let wrong = site.answer(sign_in(&site, "ann", "wrong")).await;
        assert_eq!(wrong.status(), 401);
    }
    let late = site.answer(sign_in(&site, "ann", "right")).await;
    assert_eq!(late.status(), 429);
    assert_eq!(late.header("retry-after"), Some("30"));
    assert!(late.text().contains("Wait 30 seconds and try again"));
    assert!(late.text().contains("value=\"ann\""));
    assert!(!late.text().contains("right"));
    site.world().advance(31);
    let right = site.answer(sign_in(&site, "ann", "right")).await;
    assert_eq!(right.status(), 303);
    site.world().store.break_verb(Some("user_by_name"));
    let down = site.answer(sign_in(&site, "ann", "right")).await;
    assert_eq!(down.status(), 503);
    assert!(down.text().contains("Try again in 5 seconds"));
}

#[tokio::test]
async fn an_incomplete_form_is_shown_again() {
    let site = site().await;
    for (name, password) in [("", ""), ("ann", ""), ("", "right"), ("+", "right")] {
        let answer = site.answer(sign_in(&site, name, password)).await;
        assert_eq!(answer.status(), 400);
        assert!(answer.text().contains("role=\"alert\""));
    }
    let markup = site.answer(sign_in(&site, "%22%3E%3Cscript%3E", "x")).await;
    assert!(!markup.text().contains("\"><script>"));
}

#[tokio::test]
async fn another_page_cannot_sign_anybody_in_or_out() {
    let site = site().await;
    let done = site.answer(sign_in(&site, "ann", "right")).await;
    let own = jar(&done);
    for target in [SIGN_IN, SIGN_OUT] {
        let form = "username=ann&password=right";
        let whole = post(&site, target, &own, form);
        let with = |name: &'static str, value: &str| {
            let mut call = whole.clone();
            call.headers.remove(name);
            call.header(name, value)
        };
        let mut other_browser = whole.clone();
        other_browser.body = post(&site, target, DEVICE, form).body;
        let mut no_digest = whole.clone();
        no_digest.body = Bytes::from(form);
        for call in [
            with("origin", "https://evil.example"),
            with("origin", "null"),
            with("sec-fetch-site", "cross-site"),
            with("sec-fetch-site", "same-site"),
            other_browser,
            no_digest,
        ] {
            let answer = site.answer(call).await;
            assert_eq!(answer.status(), 403, "{target}");
            assert_eq!(answer.header("set-cookie"), None);
        }
        let mut no_cookie = whole.clone();
        no_cookie.headers.remove("cookie");
        assert_eq!(site.answer(no_cookie).await.status(), 400, "{target}");
    }
    assert!(is_token(&site, token(&own)).await);
}

#[tokio::test]
async fn the_way_on_is_on_this_host_and_asks_what_it_must() {
    let site = Site::with(World::new(), |config| {
        let rule = |path: &str, require| model::Rule {
            paths: vec![path.to_owned()],
            ..model::Rule::of(require)
        };
        config.rules = vec![
            rule("/open/", Requirement::Nothing),
            rule("/token/", Requirement::Token),
        ];
    });
    site.world().user("ann", "right", Some(PHONE)).await;
    let challenge = |path: &str| format!("/.vestibule/challenge?return_to={path}");
    for (return_to, location) in [
        ("/token/a%3Fb", "/token/a?b".to_owned()),
        ("/open/a", "/open/a".to_owned()),
        ("/docs/", challenge("/docs/")),
        ("/token/../docs/", challenge("/docs/")),
        ("/docs/..%2Ftoken/a", "/token/a".to_owned()),
        ("//evil.example/", challenge("/")),
        ("/%5Cevil.example", challenge("/")),
        ("%2F%2Fevil.example", challenge("/")),
        ("/%09/evil.example", challenge("/")),
        ("https://evil.example/", challenge("/")),
        ("https:evil.example", challenge("/")),
        ("javascript:alert(1)", challenge("/")),
        ("/a%0d%0aSet-Cookie:x", challenge("/")),
        ("", challenge("/")),
        ("/x&return_to=/y", challenge("/")),
        // A page that ends something is only shown.
        ("/.vestibule/sign-out", "/.vestibule/sign-out".to_owned()),
    ] {
        let target = format!("/.vestibule/sign-in?return_to={return_to}");
        let call = post(&site, &target, DEVICE, "username=ann&password=right");
        let done = site.answer(call).await;
        assert_eq!(done.status(), 303, "{return_to}");
        assert_eq!(done.header("location"), Some(&*location), "{return_to}");
    }
}

#[tokio::test]
async fn what_was_planted_is_worth_nothing_after_the_sign_in() {
    let site = site().await;
    let planted = "__Host-vestibule_device=planted; __Host-vestibule_token=planted";
    let form = "username=ann&password=right";
    let done = site.answer(post(&site, SIGN_IN, planted, form)).await;
    let signed_in = jar(&done);
    assert!(!signed_in.contains("planted"));
    let new = token(&signed_in);
    let digest = site.route.keys.token(new);
    let (stored, _) = site
        .world()
        .store
        .token(digest, START)
        .await
        .unwrap()
        .unwrap();
    let pair = |device: &str| Some(site.route.keys.session(new, Some(device)));
    assert_ne!(stored.issued_pair, pair("planted"));
    let lifetime = site.world().auth.settings.load().sessions.lifetime;
    assert_eq!(stored.expires_at, Some(START.after(lifetime)));

    // Whoever signs in next in this browser ends what was there.
    site.world().user("bob", "bobs", None).await;
    let form = "username=bob&password=bobs";
    let bob = site.answer(post(&site, SIGN_IN, &signed_in, form)).await;
    assert_eq!(bob.status(), 303);
    assert!(!is_token(&site, new).await);
    assert!(is_token(&site, token(&jar(&bob))).await);
}

#[tokio::test]
async fn a_link_in_the_browsers_cookie_is_no_account_and_survives_the_sign_out() {
    let site = site().await;
    site.world().share("link", Some(PHONE), None).await;
    let jar = format!("{DEVICE}; __Host-vestibule_token=link");
    let page = site.call(Method::GET, SIGN_IN).header("cookie", &jar);
    assert_eq!(site.answer(page).await.status(), 200, "sign in first");
    let out = site.answer(post(&site, SIGN_OUT, &jar, "")).await;
    assert_eq!(out.status(), 303);
    assert!(is_token(&site, "link").await, "others have the link too");
}

#[tokio::test]
async fn a_browser_full_of_odd_cookies_gets_out_of_it() {
    let site = site().await;
    for odd in [
        "__Host-vestibule_token=a; __Host-vestibule_token=b",
        "__Host-vestibule_token=a b",
        "__Host-vestibule_token=",
        "__Host-vestibule_token=unknown; IOGATES=other",
        "IOGATES=a; IOGATES=b",
    ] {
        let jar = format!("{DEVICE}; {odd}");
        for target in [SIGN_IN, SIGN_OUT] {
            let page = site.call(Method::GET, target).header("cookie", &jar);
            let page = page.bearer("another");
            assert_eq!(site.answer(page).await.status(), 200, "{target}: {odd}");
        }
        let out = site.answer(post(&site, SIGN_OUT, &jar, "")).await;
        assert_eq!(out.status(), 303, "{odd}");
        assert_eq!(cookies(&out).len(), 2);
        let form = "username=ann&password=right";
        let done = site.answer(post(&site, SIGN_IN, &jar, form)).await;
        assert_eq!(done.status(), 303, "{odd}");
    }
}

#[tokio::test]
async fn a_sign_out_that_cannot_be_written_says_so_and_keeps_the_cookies() {
    let site = site().await;
    let done = site.answer(sign_in(&site, "ann", "right")).await;
    let own = jar(&done);
    site.world().store.break_verb(Some("drop_token"));
    let out = site.answer(post(&site, SIGN_OUT, &own, "")).await;
    assert_eq!(out.status(), 503);
    assert_eq!(out.header("set-cookie"), None, "to be tried again");
    site.world().store.break_verb(None);
    assert!(is_token(&site, token(&own)).await);
}

#[test]
fn only_routes_with_accounts_have_a_sign_in() {
    let site = Site::new();
    let route = Route {
        config: site.route.config.clone(),
        keys: site.route.keys.clone(),
        identity: learned(),
        portal: Arc::default(),
    };
    for path in ["/.vestibule/sign-in", SIGN_OUT] {
        assert!(table::find(&site.route, path).is_some());
        assert!(table::find(&route, path).is_none());
    }
}

#[tokio::test]
async fn strangers_are_led_to_the_sign_in_and_links_have_no_account() {
    let site = site().await;
    let page = |cookies: &str| {
        let call = site.call(Method::GET, "/.vestibule/account?a=b");
        call.header("cookie", cookies)
    };
    for stranger in [DEVICE, "__Host-vestibule_token=unknown"] {
        let answer = site.answer(page(stranger)).await;
        assert_eq!(answer.status(), 303, "{stranger}");
        let sign_in = "/.vestibule/sign-in?return_to=/.vestibule/account%3Fa%3Db";
        assert_eq!(answer.header("location"), Some(sign_in));
    }
    site.world().share("link", Some(PHONE), None).await;
    for way in ["__Host-vestibule_token=link", "IOGATES=link"] {
        let answer = site.answer(page(way)).await;
        assert_eq!(answer.status(), 403, "{way}");
        assert!(answer.text().contains("This link has no account"));
        let end = post(
            &site,
            "/.vestibule/account",
            &format!("{DEVICE}; {way}"),
            "action=end-others",
        );
        assert_eq!(site.answer(end).await.status(), 403, "{way}");
    }
    let signed_in = site.answer(sign_in(&site, "ann", "right")).await;
    let jar = jar(&signed_in);
    let remove = post(&site, "/.vestibule/account", &jar, "action=remove&kind=sms");
    let answer = site.answer(remove).await;
    assert_ne!(answer.status(), 200, "a password alone changes nothing");
    let user = site.world().store.user_by_name(REALM, "ann").await.unwrap();
    let factors = site.world().auth.factors(user.unwrap().id).await.unwrap();
    assert!(factors.phone().is_some());
}
