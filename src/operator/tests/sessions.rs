//! Sessions: listed, and revoked by all that can be said of them.

use super::*;
use crate::id::SessionId;

#[tokio::test]
async fn sessions_are_listed_and_ended_one_a_users_or_all() {
    let operator = operator();
    let [anna, bob] = with_sessions(&operator).await;
    assert_eq!(sessions(&operator, "").await.len(), 3);
    let of_anna = sessions(&operator, "?user=anna").await;
    assert_eq!(of_anna.len(), 2);
    assert!(
        of_anna
            .iter()
            .all(|line| line.user == anna && line.factor == "sms")
    );

    let one = format!("/v1/sessions/{}", of_anna[0].id);
    let gone: Gone<SessionId> = asked(&operator, "DELETE", &one, ()).await.unwrap();
    assert_eq!(gone.id, of_anna[0].id);
    assert_eq!(
        said(asked::<Value>(&operator, "DELETE", &one, ()).await),
        is(404, "no_such_session", "path/id")
    );
    for none in ["0", "-1", &i64::MAX.to_string(), &i64::MIN.to_string()] {
        let uri = format!("/v1/sessions/{none}");
        assert_eq!(
            status(asked::<Value>(&operator, "DELETE", &uri, ()).await),
            404
        );
    }
    assert_eq!(revoke(&operator, of_user("anna")).await.unwrap(), 1);
    let left = sessions(&operator, "").await;
    assert_eq!(left.iter().map(|line| line.user).collect::<Vec<_>>(), [bob]);
    let all = Revoke {
        all: true,
        ..Revoke::default()
    };
    assert_eq!(revoke(&operator, all).await.unwrap(), 1);
    assert_eq!(sessions(&operator, "").await, []);
    refused(revoke(&operator, Revoke::default()).await, "body");
}

#[tokio::test]
async fn sessions_end_by_device_however_it_is_named() {
    let operator = operator();
    with_sessions(&operator).await;
    let of_device = |device: &str, user: Option<&str>| Revoke {
        device: Some(device.to_owned()),
        user: user.map(str::to_owned),
        ..Revoke::default()
    };
    assert_eq!(sessions(&operator, "?device=device%201").await.len(), 1);
    assert_eq!(sessions(&operator, "?device=nothing").await.len(), 0);
    assert_eq!(
        status(revoke(&operator, of_device("device 1", Some("bob"))).await),
        404
    );
    assert_eq!(
        revoke(&operator, of_device("device 1", Some("anna")))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        status(revoke(&operator, of_device("device 1", None)).await),
        404
    );
    assert_eq!(sessions(&operator, "").await.len(), 2);

    // As its client calls itself: the label is made of that.
    let bob = sessions(&operator, "?user=bob").await[0].user;
    let label = operator.keys.device_label("Bob's laptop");
    let keys = operator.keys.realm("local");
    let session = NewSession {
        key: keys.session("t9", None),
        token: keys.token("t9"),
        user: bob,
        device_label: Some(label.clone()),
        whence: Whence {
            address: [192, 0, 2, 9].into(),
            client: String::new(),
        },
        instead_of: None,
        verified_at: NOW,
        expires_at: NOW.after(Duration::from_secs(60)),
    };
    verified(&operator, session).await;
    assert_eq!(
        sessions(&operator, &format!("?device={label}")).await.len(),
        1
    );
    assert_eq!(
        revoke(&operator, of_device("Bob's laptop", None))
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn a_token_ends_with_what_came_of_it_and_an_unknown_one_is_told() {
    let (operator, told) = listened_to();
    with_sessions(&operator).await;
    let of_token = |token: &str, identity: Option<&str>| Revoke {
        token: Some(Secret::new(token)),
        identity: identity.map(str::to_owned),
        ..Revoke::default()
    };
    assert_eq!(
        status(revoke(&operator, of_token("t1", Some("backend"))).await),
        404
    );
    refused(
        revoke(&operator, of_token("t1", Some("nowhere"))).await,
        "body/identity",
    );
    assert_eq!(revoke(&operator, of_token("t1", None)).await.unwrap(), 1);
    let digest = operator.keys.realm("local").token("t1");
    assert_eq!(operator.store.token(digest, NOW).await.unwrap(), None);
    let again = revoke(&operator, of_token("t1", None)).await.unwrap_err();
    assert!(!again.detail.contains("t1"), "{again:?}");
    assert_eq!(
        said::<()>(Err(again)),
        is(404, "no_such_token", "body/token")
    );

    let made = share(&operator, of("/docs/")).await.unwrap();
    let link = made.token.unwrap();
    let of_link = revoke(&operator, of_token(link.expose(), None))
        .await
        .unwrap_err();
    assert_eq!(of_link.status, 409);
    assert!(
        of_link
            .detail
            .contains(&format!("share revoke {}", made.share.id))
    );
    let told = told.0.lock().unwrap();
    assert!(
        told.iter()
            .all(|event| !event.detail.contains(link.expose()))
    );
}

#[tokio::test]
async fn two_choices_are_none() {
    let operator = operator();
    with_sessions(&operator).await;
    for two in [
        json!({ "all": true, "token": "t1" }),
        json!({ "user": "anna", "all": true }),
        json!({ "user": "anna", "token": "t1" }),
        json!({ "device": "x", "all": true }),
        json!({ "identity": "local" }),
    ] {
        let answer = asked::<Value>(&operator, "POST", "/v1/sessions/revoke", two).await;
        refused(answer, "body");
    }
    assert_eq!(sessions(&operator, "").await.len(), 3);
}

#[tokio::test]
async fn fifty_revocations_at_once_end_each_session_once() {
    let operator = operator();
    with_sessions(&operator).await;
    let racers: Vec<_> = (0..50)
        .map(|n| {
            let operator = operator.clone();
            let body = match n % 3 {
                0 => json!({ "user": "anna" }),
                1 => json!({ "device": "device 2" }),
                _ => json!({ "token": "t2" }),
            };
            tokio::spawn(async move { call(&operator, "POST", "/v1/sessions/revoke", body).await })
        })
        .collect();
    let mut ended = 0;
    for racer in racers {
        let (status, answer) = racer.await.unwrap();
        assert!(status == 200 || status == 404, "{status}: {answer}");
        ended += answer["revoked"].as_u64().unwrap_or(0);
    }
    assert_eq!(ended, 2, "both of anna's, neither twice");
    assert_eq!(sessions(&operator, "").await.len(), 1);
}

#[tokio::test]
async fn the_trail_says_whose_sessions_and_of_which_device() {
    let (operator, told) = listened_to();
    let [anna, bob] = with_sessions(&operator).await;
    let of_anna = sessions(&operator, "?user=anna").await;
    let one = format!("/v1/sessions/{}", of_anna[0].id);
    let _: Value = asked(&operator, "DELETE", &one, ()).await.unwrap();
    let of_device = Revoke {
        device: Some("device 3".to_owned()),
        ..Revoke::default()
    };
    revoke(&operator, of_device).await.unwrap();
    let told = told.0.lock().unwrap();
    let revoked = told.iter().filter(|it| it.kind == EventKind::Revoked);
    let revoked: Vec<_> = revoked.map(|it| (it.user, it.detail.clone())).collect();
    let by_number = format!("session {}, device device 2, by uid 1000", of_anna[0].id);
    let by_device = "sessions of device device 3: 1, by uid 1000".to_owned();
    assert_eq!(revoked, [(Some(anna), by_number), (Some(bob), by_device)]);
}

#[tokio::test]
async fn a_link_of_one_identity_spares_the_same_text_as_a_token_of_another() {
    let operator = operator();
    let made = share(&operator, of("/docs/")).await.unwrap();
    let link = made.token.unwrap();
    let bob = add(&operator, named("bob")).await.unwrap();
    let token = crate::auth::ports::Token {
        digest: operator.keys.realm("backend").token(link.expose()),
        user: bob,
        issued_pair: None,
        scope: None,
        share: None,
        born: None,
        issued_at: NOW,
        expires_at: None,
    };
    let digest = token.digest;
    operator.store.put_token(token).await.unwrap();
    let of_link = Revoke {
        token: Some(link),
        ..Revoke::default()
    };
    let refused = revoke(&operator, of_link).await;
    assert_eq!(said(refused), is(409, "share_link", "body/token"));
    let kept = operator.store.token(digest, NOW).await.unwrap();
    assert!(kept.is_some(), "nothing was done");
}
