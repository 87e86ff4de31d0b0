//! `POST /api/authtoken`.

use super::*;
use crate::auth::fixture::{Dry, START};
use crate::auth::ports::Tokens as _;

async fn site() -> Site {
    let site = Site::new();
    site.world().user("ann", "right", Some(PHONE)).await;
    site
}

fn post(site: &Site) -> Call {
    site.call(Method::POST, "/api/authtoken")
}

#[tokio::test]
async fn a_password_gives_the_documented_answer() {
    let site = site().await;
    let body = r#"{"username":"ann","password":"right","deviceId":"d1","URL":null,"more":[1]}"#;
    let answer = site.answer(post(&site).json(body)).await;
    assert_eq!(answer.status(), 200);
    let mut body = answer.json();
    let token = body["token"].take();
    let token = token.as_str().unwrap();
    let digest = site.route.keys.token(token);
    let stored = site.world().store.token(digest, START).await.unwrap();
    let pair = site.route.keys.session(token, Some("d1"));
    assert_eq!(stored.unwrap().0.issued_pair, Some(pair));
    insta::assert_json_snapshot!(body, @r#"
    {
      "available_storage": 9007199254740991,
      "max_file_size": 0,
      "profile": {
        "accountname": "Files",
        "address": null,
        "email": "ann@example.org",
        "expires": null,
        "logo": "",
        "mobile": null,
        "realname": "ann",
        "status": "Active",
        "username": "ann"
      },
      "token": null
    }
    "#);
}

#[tokio::test]
async fn the_body_is_read_whatever_its_type_says() {
    let site = site().await;
    let json = r#"{"username":"ann","password":"right","deviceId":"d1"}"#;
    let form = "username=ann&password=right&deviceId=d1&URL=";
    for call in [
        post(&site).form(json),
        post(&site).form(&format!(" \r\n{json}\n")),
        post(&site).form(form),
        post(&site)
            .header("x-device-id", "d1")
            .form("username=ann&password=right"),
        site.call(Method::POST, "/api/authtoken?deviceId=d1")
            .json(r#"{"username":"ann","password":"right"}"#),
        post(&site).json(r#"{"username":"ann","password":"right","deviceId":17}"#),
    ] {
        let shown = format!("{call:?}");
        let answer = site.answer(call).await;
        assert_eq!(answer.status(), 200, "{shown}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_a_bad_request() {
    let site = site().await;
    let good = r#""username":"ann","password":"right""#;
    for body in [
        String::new(),
        format!("{{{good}}}"),
        format!(r#"{{{good},"deviceId":"d1",}}"#),
        format!(r#"{{{good},"deviceId":"d1""#),
        format!(r#"{{{good},"deviceId":"d1"}} x"#),
        format!(r#"{{{good},"deviceId":""}}"#),
        format!(r#"{{{good},"deviceId":null}}"#),
        format!(r#"{{{good},"deviceId":["d1"]}}"#),
        format!(r#"{{{good},"deviceId":"d1","deviceId":"d2"}}"#),
        format!(r#"{{{good},"username":"bob","deviceId":"d1"}}"#),
        format!(r#"{{{good},"deviceId":"d1","URL":"/share/x"}}"#),
        r#"{"username":"ann","deviceId":"d1"}"#.to_owned(),
        r#"{"password":"right","deviceId":"d1"}"#.to_owned(),
        r#"{"username":null,"password":"","URL":"","deviceId":"d1"}"#.to_owned(),
        r#"{"username":{"a":1},"password":"right","deviceId":"d1"}"#.to_owned(),
        r#"["username"]"#.to_owned(),
        "not json".to_owned(),
        "true".to_owned(),
    ] {
        let answer = site.answer(post(&site).json(&body)).await;
        assert_eq!(answer.status(), 400, "{body}");
        answer.is_error(400);
    }
    let mut call = post(&site).form("");
    call.body = Bytes::from_static(b"username=\xff");
    site.answer(call).await.is_error(400);
    let twice = post(&site).header("x-device-id", "d2");
    let body = format!(r#"{{{good},"deviceId":"d1"}}"#);
    site.answer(twice.json(&body)).await.is_error(400);
}

#[tokio::test]
async fn the_answer_to_a_wrong_sign_in_never_says_what_was_wrong() {
    let site = site().await;
    let mut answers = Vec::new();
    for body in [
        "username=ann&password=wrong&deviceId=d1",
        "username=nobody&password=right&deviceId=d1",
        "URL=/share/unknown&deviceId=d1",
        "URL=https://evil.example/share/link&deviceId=d1",
        "URL=nonsense&deviceId=d1",
    ] {
        let answer = site.answer(post(&site).form(body)).await;
        answer.is_error(401);
        answers.push(answer.text().to_owned());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn too_many_tries_have_to_wait() {
    let site = site().await;
    let body = "username=ann&password=wrong&deviceId=d1";
    for _ in 0..5 {
        site.answer(post(&site).form(body)).await.is_error(401);
    }
    let answer = site.answer(post(&site).form(body)).await;
    answer.is_error(429);
    assert_eq!(answer.header("retry-after"), Some("30"));
}

#[tokio::test]
async fn without_store_or_entropy_nobody_signs_in() {
    let body = "username=ann&password=right&deviceId=d1";
    let down = site().await;
    down.world().store.break_verb(Some("user_by_name"));
    let answer = down.answer(post(&down).form(body)).await;
    answer.is_error(503);

    let dry = Site::with(World::with_entropy(Arc::new(Dry)), |_| {});
    dry.world().user("ann", "right", None).await;
    dry.answer(post(&dry).form(body)).await.is_error(503);
}

#[tokio::test]
async fn a_share_url_gives_a_token_whole_or_as_a_path() {
    let site = site().await;
    let end = START.after(Duration::from_secs(3600));
    site.world().share("link", Some(PHONE), Some(end)).await;
    for url in [
        "https://files.example.org/share/link",
        "https://FILES.example.org:8443/share/link/sub/file.txt?x=1",
        "/share/link",
        "/share/l%69nk/",
        "/x/../share//link",
    ] {
        let body = format!(r#"{{"URL":"{url}","username":null,"password":null,"deviceId":"d1"}}"#);
        let answer = site.answer(post(&site).json(&body)).await;
        assert_eq!(answer.status(), 200, "{url}: {}", answer.text());
        let profile = &answer.json()["profile"];
        assert_eq!(profile["expires"], end.iso8601());
        assert_eq!(profile["email"], "", "a link does not show whose it is");
    }
    for url in [
        "/other/link",
        "//evil.example/share/link",
        "/share/",
        "/share/link%252Fx",
    ] {
        let body = format!("URL={url}&deviceId=d1");
        let answer = site.answer(post(&site).form(&body)).await;
        assert_eq!(answer.status(), 401, "{url}");
    }
}

#[tokio::test]
async fn a_token_that_was_unknown_is_known_from_its_sign_in_on() {
    let site = site().await;
    let token = site.token("d1").await;
    let path = format!("/api/apiauth/twofactorsms/{token}");
    let answer = site
        .answer(site.call(Method::GET, &path).bearer(&token))
        .await;
    assert_eq!(answer.status(), 200);
}
