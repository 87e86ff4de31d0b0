//! The gate's own answers.

use super::*;
use crate::gate::Refusal;
use crate::gate::session::Holder;
use crate::id::UserId;
use crate::local::refusal;

fn holder() -> Holder {
    Holder {
        user: UserId(1),
        name: "ann".into(),
        terms: None,
    }
}

fn second_factor(fresh: bool) -> Refusal {
    Refusal::SecondFactorRequired {
        holder: holder(),
        max_age_secs: fresh.then_some(600),
    }
}

fn ask(site: &Site, refused: &Refusal, call: &Call) -> Answer {
    let reply = refusal::reply(refused, &call.head(), &site.route, &["sms"], "Files", None);
    assert_eq!(reply.headers()["cache-control"], "no-store");
    Answer(reply)
}

#[test]
fn an_api_client_is_told_how_to_go_on() {
    let site = Site::new();
    let call = site
        .call(Method::PUT, "/a%20b/c?x=1&y=2")
        .bearer("secret-token");
    let answer = ask(&site, &second_factor(false), &call);
    assert_eq!(answer.status(), 401);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"files\", error=\"insufficient_user_authentication\"")
    );
    assert!(!answer.text().contains("secret-token"));
    insta::assert_json_snapshot!(answer.json(), @r#"
    {
      "auth_required": true,
      "challenge_url": "/api/apiauth/twofactorsms/{token}",
      "detail": "Ask for a code at challenge_url and send it to verify_url, or open portal_url in a browser.",
      "methods": [
        "sms"
      ],
      "portal_url": "https://files.example.org/.vestibule/challenge?return_to=/a%2520b/c%3Fx%3D1%26y%3D2",
      "status": 401,
      "title": "A second factor is needed",
      "type": "about:blank",
      "verify_url": "/api/apiauth/twofactorsms/{token}"
    }
    "#);
    let fresh = ask(&site, &second_factor(true), &call).json();
    assert_eq!(
        fresh["challenge_url"],
        "/api/apiauth/twofactorsms/{token}?fresh=true"
    );
    assert_eq!(fresh["verify_url"], "/api/apiauth/twofactorsms/{token}");
}

#[test]
fn the_pages_address_is_the_one_the_client_used() {
    let site = Site::new();
    let mut call = site.call(Method::GET, "/");
    call.tls = false;
    call.headers
        .insert(HOST, HeaderValue::from_static("Files.Example.org:8080"));
    let portal = |call: &Call| {
        let body = ask(&site, &second_factor(false), call).json();
        body["portal_url"].as_str().unwrap().to_owned()
    };
    assert!(portal(&call).starts_with("http://files.example.org:8080/.vestibule/"));
    call.headers
        .insert(HOST, HeaderValue::from_static("internal:9000"));
    assert!(portal(&call).starts_with("http://files.example.org/.vestibule/"));
}

#[test]
fn a_route_without_a_dialect_has_the_page_alone() {
    let site = Site::with(World::new(), |config| config.dialects.clear());
    let body = ask(&site, &second_factor(false), &site.call(Method::GET, "/")).json();
    assert!(body.get("challenge_url").is_none() && body.get("verify_url").is_none());
    assert!(body.get("portal_url").is_some());
}

#[test]
fn every_refusal_has_its_status_and_says_no_more_than_it_must() {
    let site = Site::new();
    let call = site.call(Method::GET, "/x");
    let success_token = Refusal::SuccessTokenRequired {
        holder: Some(holder()),
    };
    for (refused, status, challenge) in [
        (Refusal::NoToken, 401, Some("Bearer realm=\"files\"")),
        (
            Refusal::UnknownToken,
            401,
            Some("Bearer realm=\"files\", error=\"invalid_token\""),
        ),
        (
            success_token.clone(),
            401,
            Some("Bearer realm=\"files\", error=\"insufficient_user_authentication\""),
        ),
        (Refusal::Denied, 403, None),
        (Refusal::OutOfScope, 403, None),
        (Refusal::Unavailable, 503, None),
    ] {
        let answer = ask(&site, &refused, &call);
        assert_eq!(answer.status(), status, "{refused:?}");
        assert_eq!(answer.header("www-authenticate"), challenge, "{refused:?}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
        let body = answer.json();
        assert_eq!(body["status"], status);
        let steps_up = refused == success_token;
        assert_eq!(body.get("auth_required").is_some(), steps_up, "{refused:?}");
        assert_eq!(body.get("success_token_required").is_some(), steps_up);
        assert_eq!(body.get("methods").is_some(), steps_up);
    }
}

#[test]
fn a_browser_is_led_to_the_page_and_back() {
    let site = Site::new();
    let call = site
        .call(Method::GET, "/share/link/a?b=c&d")
        .header("sec-fetch-mode", "navigate");
    let answer = ask(&site, &second_factor(false), &call);
    assert_eq!(answer.status(), 303);
    assert_eq!(
        answer.header("location"),
        Some("/.vestibule/challenge?return_to=/share/link/a%3Fb%3Dc%26d")
    );
    let elsewhere = site
        .call(Method::GET, "/a?token=ended")
        .header("sec-fetch-mode", "navigate");
    for refused in [
        // The link has ended: whoever has it has no account to sign in with.
        Refusal::UnknownToken,
        Refusal::Denied,
        Refusal::OutOfScope,
        Refusal::Unavailable,
    ] {
        let answer = ask(&site, &refused, &elsewhere);
        assert!(matches!(answer.status(), 401 | 403 | 503));
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(answer.header("content-security-policy").is_some());
        assert_eq!(
            answer.header("www-authenticate").is_some(),
            answer.status() == 401
        );
    }
}

#[test]
fn a_guest_whose_share_is_over_is_told_so() {
    let site = Site::new();
    let call = |value: &str| {
        site.call(Method::GET, "/dir/a")
            .header("sec-fetch-mode", "navigate")
            .header("cookie", &format!("__Host-vestibule_token={value}"))
    };
    let over = ask(&site, &Refusal::UnknownToken, &call("guest-abc"));
    assert_eq!(over.status(), 401);
    assert!(
        over.text().contains("This link does not work"),
        "{}",
        over.text()
    );
    let account = ask(&site, &Refusal::UnknownToken, &call("abc"));
    assert_eq!(account.status(), 303, "to the sign-in");
}

#[test]
fn below_a_link_that_is_no_token_a_browser_is_led_to_the_links_page() {
    let site = Site::new();
    let call = |target: &str| site.call(Method::GET, target);
    let unknown = Refusal::UnknownToken;
    for below in ["/share/link/", "/share/link/a/b?c=d"] {
        let navigation = call(below).header("sec-fetch-mode", "navigate");
        let answer = ask(&site, &unknown, &navigation);
        assert_eq!(answer.status(), 303, "{below}");
        assert_eq!(answer.header("location"), Some("/share/link"));
        assert_eq!(ask(&site, &unknown, &call(below)).status(), 401, "an API");
    }
    let without = call("/share/?token=ended").header("sec-fetch-mode", "navigate");
    assert_eq!(ask(&site, &unknown, &without).status(), 401);
}

#[test]
fn a_browser_without_a_token_is_led_to_the_sign_in_where_there_is_one() {
    let mut site = Site::new();
    let navigate = |site: &Site, target: &str| {
        let call = site.call(Method::GET, target);
        call.header("sec-fetch-mode", "navigate")
    };
    let ended = navigate(&site, "/a?b=c").header("cookie", "__Host-vestibule_token=ended");
    let page = Some("/.vestibule/sign-in?return_to=/a%3Fb%3Dc");
    for (refused, call) in [
        (Refusal::NoToken, navigate(&site, "/a?b=c")),
        (Refusal::UnknownToken, ended),
    ] {
        let answer = ask(&site, &refused, &call);
        assert_eq!((answer.status(), answer.header("location")), (303, page));
    }
    let api = ask(&site, &Refusal::NoToken, &site.call(Method::GET, "/a"));
    assert_eq!(api.status(), 401);

    let elsewhere = Route {
        config: site.route.config.clone(),
        keys: site.route.keys.clone(),
        identity: learned(),
        portal: Arc::default(),
    };
    site.route = Arc::new(elsewhere);
    let answer = ask(&site, &Refusal::NoToken, &navigate(&site, "/a"));
    assert_eq!(answer.status(), 401);
    assert!(answer.text().contains("Open the link that you were sent"));
}

#[test]
fn a_problem_is_a_page_where_a_browser_meets_it() {
    let site = Site::new();
    let portal = model::Portal {
        support: Some(model::Support::Text("Call 1234.".to_owned())),
        ..model::Portal::default()
    };
    let mut route = Route {
        config: site.route.config.clone(),
        keys: site.route.keys.clone(),
        identity: Identity::Accounts,
        portal: Arc::new(portal.clone()),
    };
    route.config.name = "secret-name".to_owned();
    let mut headers = HeaderMap::new();
    headers.insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
    headers.insert("accept-language", HeaderValue::from_static("de"));
    let get = Method::GET;
    for status in [400, 403, 404, 405, 408, 413, 431, 500, 502, 503, 504] {
        let status = http::StatusCode::from_u16(status).unwrap();
        let mut problem = refusal::problem(status, "Internal", "of no use to people");
        problem
            .headers_mut()
            .insert("allow", HeaderValue::from_static("GET"));
        let placed = Some((&route, "Files"));
        let page = refusal::page(&problem, (&get, &headers), placed, &portal);
        let page = Answer(page.unwrap());
        assert_eq!(page.status(), status.as_u16());
        let kind = page.header("content-type");
        assert_eq!(kind, Some("text/html; charset=utf-8"));
        assert_eq!(page.0.headers().get_all("content-type").iter().count(), 1);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("allow"), Some("GET"));
        assert!(page.header("content-security-policy").is_some());
        for part in ["<html lang=\"de\">", "Call 1234.", "Files", "style.css"] {
            assert!(page.text().contains(part), "{status}: {part}");
        }
        assert!(!page.text().contains("of no use"));
        // Without a route, nothing says whose host this is.
        let page = refusal::page(&problem, (&get, &headers), None, &portal);
        let page = Answer(page.unwrap());
        for part in ["Call 1234.", "Files", "/.vestibule/", "secret-name"] {
            assert!(!page.text().contains(part), "{status}: {part}");
        }
        assert!(page.text().contains("<html lang=\"de\">"));
        for (method, headers) in [
            (Method::GET, HeaderMap::new()),
            (Method::HEAD, headers.clone()),
        ] {
            let page = refusal::page(&problem, (&method, &headers), placed, &portal);
            assert!(page.is_none(), "{method}");
        }
    }
    let json = crate::local::iogates::message(http::StatusCode::NOT_FOUND, "no");
    let placed = Some((&route, "Files"));
    assert!(refusal::page(&json, (&get, &headers), placed, &portal).is_none());
}

#[test]
fn a_name_in_utf_8_makes_the_way_back_too() {
    let site = Site::new();
    let call = site
        .call(Method::GET, "/\u{e6}ble")
        .header("sec-fetch-mode", "navigate");
    let answer = ask(&site, &second_factor(false), &call);
    assert_eq!(
        answer.header("location"),
        Some("/.vestibule/challenge?return_to=/%25C3%25A6ble")
    );
}

#[test]
fn an_upload_is_never_redirected() {
    let site = Site::new();
    for call in [
        site.call(Method::PUT, "/x").header("accept", "text/html"),
        site.call(Method::GET, "/x")
            .header("accept", "application/json"),
        site.call(Method::GET, "/x")
            .header("accept", "text/html")
            .header("x-requested-with", "XMLHttpRequest"),
        site.call(Method::GET, "/x")
            .header("sec-fetch-mode", "cors"),
    ] {
        let answer = ask(&site, &second_factor(false), &call);
        assert_eq!(answer.status(), 401, "{call:?}");
    }
}

#[test]
fn a_problem_is_a_problem_json() {
    let answer = Answer(refusal::problem(
        http::StatusCode::NOT_FOUND,
        "No such host",
        "Nothing is served here.",
    ));
    assert_eq!(answer.status(), 404);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        answer.json(),
        serde_json::json!({
            "type": "about:blank",
            "title": "No such host",
            "status": 404,
            "detail": "Nothing is served here.",
        })
    );
}

#[test]
fn a_client_that_is_no_browser_is_asked_for_a_password() {
    let site = Site::with(World::new(), |config| {
        config.credentials.push(CredentialSource::Basic);
    });
    let asks = |call: &Call| {
        let reply = refusal::reply(
            &Refusal::NoToken,
            &call.head(),
            &site.route,
            &[],
            "Files",
            None,
        );
        if reply.headers().contains_key("location") {
            return false;
        }
        let challenges = reply.headers().get_all("www-authenticate").iter();
        let challenges: Vec<_> = challenges.map(|one| one.to_str().unwrap()).collect();
        assert_eq!(challenges.last(), Some(&"Bearer realm=\"files\""));
        match challenges[..] {
            [basic, _] => {
                assert_eq!(basic, "Basic realm=\"files\", charset=\"UTF-8\"");
                true
            }
            _ => false,
        }
    };
    for method in ["GET", "PUT", "OPTIONS", "PROPFIND"] {
        let call = site.call(method.parse().unwrap(), "/a");
        assert!(asks(&call), "{method}");
        for (name, value) in [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-mode", "cors"),
            ("x-requested-with", "XMLHttpRequest"),
        ] {
            let mut call = call.clone();
            call.headers.insert(name, HeaderValue::from_static(value));
            assert!(!asks(&call), "{method} {name}: {value}");
        }
    }
    let mut page = site.call(Method::GET, "/a");
    page.headers
        .insert("accept", HeaderValue::from_static("text/html"));
    assert!(!asks(&page));
}

#[test]
fn a_wrong_password_is_called_so() {
    let site = Site::with(World::new(), |config| {
        config.credentials.push(CredentialSource::Basic);
    });
    let mut call = site.call(Method::GET, "/a");
    let sent = HeaderValue::from_static("Basic YTpi");
    call.headers.insert("authorization", sent);
    let answer = ask(&site, &Refusal::UnknownToken, &call);
    assert_eq!(answer.status(), 401);
    assert!(
        answer.text().contains("password is wrong"),
        "{}",
        answer.text()
    );
    let wait = Refusal::TooManyTries {
        retry_after_secs: 30,
    };
    let answer = ask(&site, &wait, &call);
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert_eq!(answer.header("www-authenticate"), None);
}
