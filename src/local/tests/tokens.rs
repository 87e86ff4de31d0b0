//! `/.vestibule/jwks.json` and `/.vestibule/token`.

use super::*;

const JWKS: &str = "/.vestibule/jwks.json";
const TOKEN: &str = "/.vestibule/token";
const GRANT: &str = "grant_type=refresh_token&refresh_token=no-such-token";

async fn post(site: &Site, body: &str) -> Answer {
    site.answer(site.call(Method::POST, TOKEN).form(body)).await
}

#[tokio::test]
async fn the_keys_are_there_before_anything_is_signed() {
    let site = Site::new();
    let answer = site.answer(site.call(Method::GET, JWKS)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/jwk-set+json")
    );
    let keys = answer.json();
    let [key] = &keys["keys"].as_array().unwrap()[..] else {
        panic!("{keys}")
    };
    assert_eq!(
        (&key["kty"], &key["crv"]),
        (&"OKP".into(), &"Ed25519".into())
    );
    assert!(key.get("d").is_none());
    let again = site.answer(site.call(Method::GET, JWKS)).await;
    assert_eq!(again.json(), keys);
}

#[tokio::test]
async fn what_is_down_is_said_to_be_down() {
    let site = Site::new();
    for (verb, call) in [
        ("signing_keys", site.call(Method::GET, JWKS)),
        ("blocked", site.call(Method::POST, TOKEN).form(GRANT)),
        ("family", site.call(Method::POST, TOKEN).form(GRANT)),
        ("failed", site.call(Method::POST, TOKEN).form(GRANT)),
    ] {
        site.world().store.break_verb(Some(verb));
        let answer = site.answer(call).await;
        assert_eq!(answer.status(), 503, "{verb}: {}", answer.text());
        assert!(answer.header("retry-after").is_some(), "{verb}");
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
    }
}

#[tokio::test]
async fn guesses_are_told_to_wait() {
    let site = Site::new();
    for _ in 0..50 {
        let answer = post(&site, GRANT).await;
        assert_eq!(
            (answer.status(), &answer.json()["error"]),
            (400, &"invalid_grant".into())
        );
    }
    let answer = post(&site, GRANT).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.header("retry-after"), Some("30"));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_name() {
    let site = Site::new();
    for (body, named) in [
        ("{\"grant_type\":", "JSON"),
        (
            "grant_type=refresh_token&refresh_token=a&refresh_token=b",
            "`refresh_token`",
        ),
        ("grant_type=refresh_token", "`refresh_token`"),
        ("refresh_token=a", "`grant_type`"),
    ] {
        let answer = post(&site, body).await;
        assert_eq!(answer.status(), 400, "{body}");
        let said = answer.json();
        assert_eq!(said["error"], "invalid_request", "{body}");
        assert!(
            said["error_description"].as_str().unwrap().contains(named),
            "{said}"
        );
    }
    let answer = site.answer(site.call(Method::GET, TOKEN)).await;
    assert_eq!(
        (answer.status(), answer.header("allow")),
        (405, Some("POST"))
    );
}
