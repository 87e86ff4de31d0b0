//! `GET|POST /.vestibule/challenge`.

mod guards;
mod look;

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
