//! Share links: made, listed, revoked, and the URL that opens one.

use super::*;

#[tokio::test]
async fn a_share_link_has_a_url_and_a_token_that_opens_only_its_path() {
    let operator = operator();
    let made = share(
        &operator,
        ShareAdd {
            lifetime_secs: Some(60),
            ..of("/photos/../docs")
        },
    )
    .await
    .unwrap();
    let token = made.token.as_ref().unwrap().expose();
    assert_eq!(token.len(), 43);
    assert_eq!(made.share.path, "/docs/");
    assert_eq!(
        made.url.as_ref().unwrap().expose(),
        format!("https://files.example.org:8443/share/{token}")
    );
    let digest = operator.keys.realm("local").token(token);
    let (stored, holder) = operator.store.token(digest, NOW).await.unwrap().unwrap();
    assert_eq!(stored.share, Some(made.share.id));
    assert_eq!(holder.scope(), Some("/docs/"));
    assert_eq!(stored.expires_at, Some(Timestamp(NOW.0 + 60)));

    let shares = shares(&operator).await;
    assert_eq!(shares.len(), 1);
    assert!(!serde_json::to_string(&shares).unwrap().contains(token));

    revoke_share(&operator, made.share.id).await.unwrap();
    assert_eq!(operator.store.token(digest, NOW).await.unwrap(), None);
    assert_eq!(status(revoke_share(&operator, made.share.id).await), 404);
}

fn to(phone: Option<&str>, email: Option<&str>) -> RecipientAdd {
    RecipientAdd {
        phone: phone.map(Secret::new),
        email: email.map(Secret::new),
    }
}

#[tokio::test]
async fn a_share_for_several_people_lists_each_and_none_twice() {
    let operator = operator();
    let people = vec![
        to(Some("+45 12 34 56 78"), Some("anna@Example.org")),
        to(None, Some("bo@example.org")),
    ];
    let made = share(
        &operator,
        ShareAdd {
            recipients: people,
            devices_max: Some(3),
            ..of("/docs/")
        },
    );
    let made = made.await.unwrap();
    let shares = shares(&operator).await;
    let [line] = &shares[..] else { panic!("one") };
    assert_eq!((line.devices, line.devices_max), (0, Some(3)));
    assert_eq!(line.recipients, made.share.recipients);
    let people = line
        .recipients
        .iter()
        .map(|it| (it.phone.as_deref(), it.email.as_deref()));
    let masked = [
        (Some("+45******78"), Some("a****a@example.org")),
        (None, Some("b****@example.org")),
    ];
    assert_eq!(people.collect::<Vec<_>>(), masked);
    let users: Vec<_> = made.share.recipients.iter().map(|it| it.user).collect();
    revoke_share(&operator, made.share.id).await.unwrap();
    for user in users {
        assert_eq!(operator.store.user(user).await.unwrap(), None);
    }
}

#[tokio::test]
async fn people_who_cannot_be_told_apart_or_reached_are_refused() {
    let operator = operator();
    let refused = async |recipients: Vec<RecipientAdd>, place: &str| {
        let new = ShareAdd {
            recipients,
            ..of("/docs/")
        };
        refused(
            share(&operator, new).await,
            &format!("body/recipients{place}"),
        )
    };
    let twice = vec![
        to(Some("+4512345678"), None),
        to(Some("+45 1234 5678"), None),
    ];
    let said = refused(twice, "/1/phone").await;
    assert!(
        said.contains("(+45******78): name each person once"),
        "{said}"
    );
    let twice = vec![
        to(None, Some("a@b.example")),
        to(Some("+4512345678"), Some("A@B.example")),
    ];
    assert!(
        refused(twice, "/1/email")
            .await
            .contains("same number or address")
    );
    assert!(
        refused(vec![to(Some("12345678"), None)], "/0/phone")
            .await
            .contains("phone number")
    );
    for address in ["anna", "a b@c.example", "\"x\"@c.example", "a@b@c.example"] {
        let said = refused(vec![to(None, Some(address))], "/0/email").await;
        assert!(
            said.contains("email address is not usable"),
            "{address}: {said}"
        );
    }
    let many = (0..21).map(|n| to(Some(&format!("+45123456{n:02}")), None));
    assert!(
        refused(many.collect(), "")
            .await
            .contains("20 people at most, not for 21")
    );
    assert!(operator.store.shares().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_share_that_no_route_would_open_is_refused() {
    let said = refused(share(&operator(), of("/a%2fb/")).await, "body/path");
    assert!(said.contains("cannot be shared"), "{said}");
}

#[tokio::test]
async fn a_shares_url_follows_the_config() {
    let operator = operator();
    let url = async || {
        let made = share(&operator, of("/a/")).await?;
        let token = made.token.unwrap();
        let url = made.url.unwrap().expose().to_owned();
        Ok::<_, Problem>(url.replace(token.expose(), "…"))
    };
    reconfigure(&operator, |config| {
        for listener in &mut config.listeners {
            listener.address.set_port(443);
        }
    });
    assert_eq!(url().await.unwrap(), "https://files.example.org/share/…");
    reconfigure(&operator, |config| {
        config.listeners = vec![listener("[::1]:80", false)];
        for route in &mut config.routes {
            route.hosts = vec!["*".to_owned()];
        }
    });
    assert_eq!(url().await.unwrap(), "http://[::1]/share/…");
    reconfigure(&operator, |config| {
        config.listeners = vec![listener("0.0.0.0:8080", false)];
    });
    assert_eq!(url().await.unwrap(), "http://localhost:8080/share/…");
    reconfigure(&operator, |config| {
        config.routes.retain(|route| route.identity == "backend");
    });
    refused(url().await, "config");
}

#[tokio::test]
async fn a_path_that_could_be_read_in_two_ways_is_not_shared() {
    let operator = operator();
    for path in ["docs", "/a\\b", "/a%00", ""] {
        refused(share(&operator, of(path)).await, "body/path");
    }
    assert!(operator.store.shares().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_share_that_was_made_is_answered_as_the_list_shows_it() {
    let operator = operator();
    let new =
        json!({ "path": "/docs", "devices_max": 2, "recipients": [{ "phone": "+4512345678" }] });
    let (status, mut made) = call(&operator, "POST", "/v1/shares", new).await;
    assert_eq!(status, 201, "{made}");
    let members = made.as_object_mut().unwrap();
    assert!(members.remove("url").unwrap().is_string());
    assert!(members.remove("token").unwrap().is_string());
    let (_, listed) = call(&operator, "GET", "/v1/shares", ()).await;
    assert_eq!(listed, json!({ "items": [made], "next": null }));

    let new = json!({ "path": "/docs", "recipients": [{ "phone": "+4512345678", "fax": "1" }] });
    let unknown = asked::<Value>(&operator, "POST", "/v1/shares", new).await;
    refused(unknown, "body/recipients/0/fax");
    let missing = asked::<Value>(&operator, "POST", "/v1/shares", json!({})).await;
    refused(missing, "body/path");
}

/// Whoever a link is for is asked by what the link says: it is taken from nobody but with the link.
#[tokio::test]
async fn a_recipient_keeps_its_factors() {
    let operator = operator();
    let made = share(
        &operator,
        ShareAdd {
            recipients: vec![to(Some("+4512345678"), Some("bo@example.org"))],
            ..of("/docs/")
        },
    );
    let user = made.await.unwrap().share.recipients[0].user;
    for factor in ["sms", "email", "totp"] {
        let uri = format!("/v1/users/id:{user}/factors/{factor}");
        let refused = asked::<Gone<String>>(&operator, "DELETE", &uri, ()).await;
        assert_eq!(said(refused), is(409, "share_recipient", "path/user"));
    }
    let kept = operator.store.factors(user).await.unwrap();
    assert_eq!(kept.enrolled.len(), 2, "{kept:?}");
}
