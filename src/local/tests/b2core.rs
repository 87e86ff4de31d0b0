//! What people read of B2Core's calls. What programs read is documented, and asked for in `tests/it/conformance`.

use super::*;

/// The newest message once there are `count`: mail to strangers goes out behind the answer.
async fn message(site: &Site, count: usize) -> String {
    for _ in 0..100 {
        if site.world().inbox.count() >= count {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(site.world().inbox.count(), count);
    site.world().inbox.last().1
}

#[tokio::test]
async fn codes_come_in_the_language_of_who_asks_for_them() {
    for (asked, by_phone, by_mail) in [
        (
            "de-AT, de;q=0.9",
            "ist Ihr Code für Files. Er gilt",
            "ist Ihr Code für Files.\n",
        ),
        (
            "da",
            "er din kode til Files. Den udløber",
            "er din kode til Files.\n",
        ),
        (
            "nl",
            "is your code for Files. It expires",
            "is your code for Files.\n",
        ),
    ] {
        let site = Site::with(World::new(), |route| route.dialects = vec![Dialect::B2Core]);
        let world = site.world();
        let ann = world.user("ann", "right", Some(PHONE)).await;
        let call = |method, path| site.call(method, path).header("accept-language", asked);
        let opened = call(Method::GET, "/api/v2/my/signin");
        let opened = site.answer(opened).await.json();
        let password = format!(
            r#"{{"uuid": {}, "username": "ann", "password": "right"}}"#,
            opened["uuid"]
        );
        let sent = call(Method::POST, "/api/v2/my/signin").json(&password);
        let sent = site.answer(sent).await;
        assert_eq!(sent.json()["workflow"], "2fa_sms_auth", "{}", sent.text());
        let text = message(&site, 1).await;
        assert!(text.contains(by_phone), "{text}");

        world.advance(60);
        let unauthorized = "/api/v2/my/2fa/unauthorized/challenge?email=ann@example.org";
        let opened = site.answer(call(Method::GET, unauthorized)).await;
        assert_eq!(opened.status(), 200, "{}", opened.text());
        let text = message(&site, 2).await;
        assert!(text.contains(by_mail), "{text}");

        world.advance(60);
        world.caller(ann, "d1").await;
        let own = call(Method::GET, "/api/v2/my/2fa/challenge").bearer("token-of-d1");
        let opened = site.answer(own).await;
        assert_eq!(opened.status(), 200, "{}", opened.text());
        let text = message(&site, 3).await;
        assert!(text.contains(by_mail), "{text}");
    }
}
