//! Users whose only second factor is a passkey, as clients without a browser meet them.

use super::*;
use crate::auth::challenge::Becomes;
use crate::auth::grants::Refused;
use crate::auth::ports::Whence;
use crate::auth::{Caller, Standing};
use crate::factor::passkey;
use crate::factor::passkey::soft::Soft;

/// Bob with a passkey and nothing else; his token on device d1, which is not verified.
async fn of_bob_with_passkey() -> (Site, String) {
    let (site, token) = Site::of_bob().await;
    let world = site.world();
    let bob = world.auth.store.user_by_name(REALM, "bob").await.unwrap();
    let caller = Caller {
        standing: Standing::Sudo,
        ..world.caller(bob.unwrap().id, "d2").await
    };
    let place = passkey::Site {
        host: HOST_NAME,
        origin: "https://files.example.org",
        service: "Files",
    };
    let asked = world.auth.ask_new_passkey(&caller, place, true).await;
    let answer = Soft::new(place.origin).create(&asked.unwrap());
    let becomes = Becomes {
        pair: caller.pair,
        device_label: None,
        remember: None,
    };
    let taken = world
        .auth
        .take_new_passkey(&caller, place, &answer, "Phone", becomes);
    taken.await.unwrap();
    (site, token)
}

#[tokio::test]
async fn no_dialect_takes_a_passkey_for_no_factor() {
    let (site, token) = of_bob_with_passkey().await;
    let two_factor = format!("/api/apiauth/twofactorsms/{token}");
    for (method, path) in [
        (Method::GET, two_factor.as_str()),
        (Method::POST, "/api/two-factor/send-verification"),
        (Method::POST, "/authentication/twoFa/authorize"),
    ] {
        let answer = site.answer(site.call(method, path).bearer(&token)).await;
        assert!(answer.status() >= 400, "{path}: {}", answer.text());
        let says = answer.text().contains("portal_url");
        assert!(says, "{path}: {}", answer.text());
    }
    // Nor may the token alone set another factor up, though the route lets users enrol the first.
    for (method, path, body) in [
        (
            Method::PATCH,
            "/api/two-factor",
            r#"{"method":"sms","phone_prefix":45,"phone":12345678}"#,
        ),
        (
            Method::PUT,
            "/authentication/twoFa/enable",
            r#"{"method":"authenticator"}"#,
        ),
    ] {
        let call = site.call(method, path).bearer(&token).json(body);
        let answer = site.answer(call).await;
        assert!(
            matches!(answer.status(), 401 | 403),
            "{path}: {}",
            answer.text()
        );
    }
    let bob = site.world().auth.store.user_by_name(REALM, "bob").await;
    let bob = bob.unwrap().unwrap().id;
    assert_eq!(site.local.methods(bob).await, ["passkey"]);
}

/// The page of a program that asks from an address with bob's token; its first answer, and how it answers
/// a request for what the browser is to ask the passkey.
async fn program_page(site: &Site, from: &str) -> (Answer, Answer) {
    let world = site.world();
    let keys = world.auth.keys.realm(REALM);
    let bob = world.auth.store.user_by_name(REALM, "bob").await;
    let refused = Refused {
        user: bob.unwrap().unwrap().id,
        token: keys.token("token-of-d1"),
        pair: keys.session("token-of-d1", Some("nas")),
        device_label: None,
        whence: Whence {
            address: from.parse().unwrap(),
            client: "rclone".to_owned(),
        },
        host: HOST_NAME,
        route: "files",
    };
    let code = world.auth.offer_grant(refused).await.unwrap();
    let page = format!("/.vestibule/device?code={}", code.text.expose());
    let cookie = |call: Call| call.header("cookie", "__Host-vestibule_device=abc");
    let shown = site.answer(cookie(site.call(Method::GET, &page))).await;
    let form = world.auth.keys.form("abc");
    let form = format!("action=ask-passkey&form={}", form.text());
    let asked = cookie(site.call(Method::POST, &page).form(&form));
    let asked = site.answer(asked.header("sec-fetch-mode", "cors")).await;
    (shown, asked)
}

#[tokio::test]
async fn a_link_of_somebody_elsewhere_asks_for_no_passkey() {
    let (site, _) = of_bob_with_passkey().await;
    let (shown, asked) = program_page(&site, "198.51.100.7").await;
    assert_eq!(shown.status(), 200);
    assert!(!shown.text().contains("ask-passkey"), "{}", shown.text());
    assert!(shown.text().contains("only lets in programs"));
    assert_eq!(asked.status(), 400, "{}", asked.text());
    assert!(!asked.text().contains("publicKey"), "{}", asked.text());

    let (site, _) = of_bob_with_passkey().await;
    let (shown, asked) = program_page(&site, "192.0.2.1").await;
    assert!(shown.text().contains("ask-passkey"), "{}", shown.text());
    assert_eq!(asked.status(), 200, "{}", asked.text());
}
