//! Users: made, found, changed, reset and removed.

use super::*;
use crate::auth::ports::{LearnedUser, Said};
use crate::config::model::GROUPS_MAX;
use crate::operator::users::UserSet;

#[tokio::test]
async fn a_user_is_made_and_listed_without_what_is_private() {
    let operator = operator();
    let id = add(
        &operator,
        UserAdd {
            phone: Some(Secret::new("+4520123456")),
            email: Some(Secret::new("anna@example.org")),
            password: Some(Secret::new("correct horse")),
            can_edit_users: true,
            ..named("anna")
        },
    )
    .await
    .unwrap();
    let stored = operator.store.user(id).await.unwrap().unwrap();
    assert_eq!(
        (stored.name.as_str(), stored.realm.as_str()),
        ("anna", "local")
    );
    assert_eq!(stored.phone.unwrap().e164(), "+4520123456");

    let line = list(&operator).await.remove(0);
    assert_eq!(line.phone.as_deref(), Some("+45******56"));
    assert_eq!(line.email.as_deref(), Some("a****a@example.org"));
    assert!(line.has_password && line.can_edit_users);

    let hash = stored.password_hash.unwrap();
    assert!(hash.expose().starts_with("$argon2id$"));
    let again = add(&operator, named("anna")).await.unwrap_err();
    assert_eq!((again.status, again.is_usage()), (409, false));
    assert_eq!(said::<()>(Err(again)), is(409, "name_taken", "body/name"));
}

#[tokio::test]
async fn what_cannot_be_a_user_is_refused() {
    let operator = operator();
    let text = |text: &str| Some(Secret::new(text));
    for name in ["", "12", "share:1", "id:3", "a\nb", &"x".repeat(257)] {
        refused(add(&operator, named(name)).await, "body/name");
    }
    for phone in ["20123456", "+4512", "words"] {
        let user = UserAdd {
            phone: text(phone),
            ..named("anna")
        };
        refused(add(&operator, user).await, "body/phone");
    }
    for email in ["anna", "@example.org", "anna@", "a@b@c", "a b@c"] {
        let user = UserAdd {
            email: text(email),
            ..named("anna")
        };
        refused(add(&operator, user).await, "body/email");
    }
    for password in ["", "two\nlines", &"x".repeat(1_025)] {
        let user = UserAdd {
            password: text(password),
            ..named("anna")
        };
        refused(add(&operator, user).await, "body/password");
    }
    assert_eq!(list(&operator).await, []);
}

#[tokio::test]
async fn the_identity_is_the_only_accounts_one_or_the_one_that_is_named() {
    let operator = operator();
    let of = |identity: &str| UserAdd {
        identity: Some(identity.to_owned()),
        ..named("anna")
    };
    let learned = refused(add(&operator, of("backend")).await, "body/identity");
    assert!(learned.contains("from elsewhere"), "{learned}");
    let unknown = refused(add(&operator, of("nowhere")).await, "body/identity");
    assert!(unknown.contains("no identity `nowhere`"), "{unknown}");

    reconfigure(&operator, |config| {
        config
            .identities
            .insert("more".to_owned(), Identity::Accounts);
    });
    let either = refused(add(&operator, named("anna")).await, "body/identity");
    assert_eq!(
        either,
        "the config has several `accounts` identities (local, more): name the `identity`"
    );
    add(&operator, of("more")).await.unwrap();

    reconfigure(&operator, |config| {
        config.identities.retain(|name, _| name == "backend");
    });
    refused(add(&operator, named("anna")).await, "config");
}

#[tokio::test]
async fn a_user_is_found_by_id_or_name_and_never_guessed() {
    let operator = operator();
    let anna = add(&operator, named("anna")).await.unwrap();
    let id_of_anna = anna.to_string();
    let digits = learned(&operator, &id_of_anna).await;
    let find = async |user: &str| {
        let found = operator.find_user(user, None, Naming::Path).await;
        found.map(|user| user.id)
    };

    assert_eq!(find("anna").await.unwrap(), anna);
    assert_eq!(find(&format!("id:{anna}")).await.unwrap(), anna);
    assert_eq!(find(&format!("id:{digits}")).await.unwrap(), digits);
    let either = find(&id_of_anna).await.unwrap_err();
    assert!(
        matches!(either, OperatorError::AmbiguousUser { .. }),
        "{either}"
    );
    assert!(matches!(
        find("bob").await,
        Err(OperatorError::NoSuchUser { .. })
    ));

    let namesake = learned(&operator, "anna").await;
    assert!(matches!(
        find("anna").await,
        Err(OperatorError::AmbiguousUser { .. })
    ));
    let of_backend = operator
        .find_user("anna", Some("backend"), Naming::Path)
        .await;
    assert_eq!(of_backend.unwrap().id, namesake);
    let of_other = format!("id:{anna}");
    assert!(
        operator
            .find_user(&of_other, Some("backend"), Naming::Path)
            .await
            .is_err()
    );
    let shown: UserLine = asked(&operator, "GET", "/v1/users/anna?identity=backend", ())
        .await
        .unwrap();
    assert_eq!(shown.id, namesake);
    let of = async |uri: &str| said(asked::<Value>(&operator, "GET", uri, ()).await);
    let ambiguous = is(422, "ambiguous_user", "path/user");
    assert_eq!(of("/v1/users/anna").await, ambiguous);
    let nobody = is(404, "no_such_user", "path/user");
    assert_eq!(of("/v1/users/bob").await, nobody);
    let nowhere = is(422, "no_such_identity", "query/identity");
    assert_eq!(of("/v1/users/bob?identity=nowhere").await, nowhere);
    let in_query = is(404, "no_such_user", "query/user");
    assert_eq!(of("/v1/sessions?user=bob").await, in_query);
}

/// A user of `backend`, which has said nothing but the name.
async fn learned(operator: &Operator, name: &str) -> UserId {
    let learned = LearnedUser {
        realm: "backend".to_owned(),
        name: name.to_owned(),
        phone: None,
        email: None,
        groups: None,
        said: Said::NOTHING,
    };
    operator.store.learn_user(learned, NOW).await.unwrap()
}

async fn set(operator: &Operator, user: &str, set: Value) -> Result<UserLine, Problem> {
    asked(operator, "PATCH", &format!("/v1/users/{user}"), set).await
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let operator = operator();
    let [anna, bob] = with_sessions(&operator).await;
    let line = set(
        &operator,
        "anna",
        json!({ "phone": "+4512345678", "email": "a@b.example" }),
    )
    .await;
    assert_eq!(line.unwrap().phone.as_deref(), Some("+45******78"));
    assert_eq!(sessions(&operator, "").await.len(), 3, "sessions go on");
    let line = set(
        &operator,
        "anna",
        json!({ "phone": null, "can_edit_users": true }),
    )
    .await
    .unwrap();
    assert_eq!((line.phone, line.can_edit_users), (None, true));
    assert_eq!(line.email.as_deref(), Some("****@b.example"));
    // What is named with `null` is taken away, here as elsewhere.
    let line = set(&operator, "anna", json!({ "can_edit_users": null }));
    let line = line.await.unwrap();
    assert!(!line.can_edit_users, "{line:?}");

    let line = set(&operator, "anna", json!({ "password": "correct horse" }))
        .await
        .unwrap();
    assert!(line.has_password);
    let left = sessions(&operator, "").await;
    assert_eq!(left.iter().map(|line| line.user).collect::<Vec<_>>(), [bob]);
    let stored = operator.store.user(anna).await.unwrap().unwrap();
    assert!(
        stored
            .password_hash
            .unwrap()
            .expose()
            .starts_with("$argon2id$")
    );

    refused(set(&operator, "anna", json!({})).await, "body");
    refused(
        set(&operator, "anna", json!({ "phone": "12" })).await,
        "body/phone",
    );
    refused(
        set(&operator, "anna", json!({ "password": "" })).await,
        "body/password",
    );
    refused(
        set(&operator, "anna", json!({ "can_edit_users": null, "x": 1 })).await,
        "body/x",
    );
    assert_eq!(
        status(set(&operator, "carl", json!({ "phone": null })).await),
        404
    );
    learned(&operator, "dora").await;
    let elsewhere = set(&operator, "dora", json!({ "password": "correct horse" })).await;
    assert!(refused(elsewhere, "body/password").contains("has its passwords elsewhere"));
}

#[test]
fn what_the_command_line_sends_is_what_it_means() {
    let secret = |text: &str| Some(Some(Secret::new(text)));
    let set = UserSet {
        phone: secret("+4512345678"),
        email: Some(None),
        ..UserSet::default()
    };
    let text = serde_json::to_string(&set).unwrap();
    assert_eq!(text, r#"{"phone":"+4512345678","email":null}"#);
    let back: UserSet = serde_json::from_str(&text).unwrap();
    assert_eq!(back.phone.unwrap().unwrap().expose(), "+4512345678");
    assert!(matches!((back.email, back.password), (Some(None), None)));
    assert!(!format!("{set:?}").contains("1234"));
}

#[tokio::test]
async fn a_reset_ends_that_users_sessions_and_nobody_elses() {
    let operator = operator();
    let [anna, bob] = with_sessions(&operator).await;
    let reset: UserLine = asked(&operator, "POST", "/v1/users/anna/reset-2fa", json!({}))
        .await
        .unwrap();
    assert_eq!(reset.id, anna);
    let left = sessions(&operator, "").await;
    assert_eq!(left.iter().map(|line| line.user).collect::<Vec<_>>(), [bob]);
}

#[tokio::test]
async fn a_recipient_goes_with_its_share_alone() {
    let operator = operator();
    let made = share(&operator, of("/docs/")).await.unwrap();
    let user = format!("/v1/users/{}", made.share.recipients[0].user);
    let gone = asked::<Value>(&operator, "DELETE", &user, ())
        .await
        .unwrap_err();
    assert_eq!(gone.status, 409);
    assert!(gone.detail.contains("vestibule share"), "{gone:?}");
    let changed = asked::<Value>(&operator, "PATCH", &user, json!({ "phone": null })).await;
    assert_eq!(status(changed), 409);
    assert_eq!(shares(&operator).await.len(), 1);
}

#[tokio::test]
async fn a_user_who_was_made_is_answered_as_get_shows_it() {
    let operator = operator();
    let new = json!({ "name": "anna", "phone": "+4512345678", "groups": ["b", "a"] });
    let (status, made) = call(&operator, "POST", "/v1/users", new).await;
    assert_eq!((status, &made["groups"]), (201, &json!(["a", "b"])));
    assert_eq!(call(&operator, "GET", "/v1/users/anna", ()).await.1, made);
    let set = call(
        &operator,
        "PATCH",
        "/v1/users/anna",
        json!({ "groups": null }),
    )
    .await;
    assert_eq!(set.1["groups"], json!([]));
    let reset = call(&operator, "POST", "/v1/users/anna/reset-2fa", json!({})).await;
    assert_eq!((reset.0, &reset.1), (200, &set.1));
}

#[tokio::test]
async fn groups_change_with_the_rest_and_end_no_session() {
    let (operator, told) = listened_to();
    let [anna, _] = with_sessions(&operator).await;
    let change = json!({ "groups": ["staff", "admins", "staff"], "phone": "+4512345678" });
    let line = set(&operator, "anna", change).await.unwrap();
    assert_eq!(line.groups, ["admins", "staff"]);
    assert_eq!(sessions(&operator, "").await.len(), 3);
    {
        let told = told.0.lock().unwrap();
        let last = told.last().unwrap();
        assert_eq!((last.kind, last.user), (EventKind::Changed, Some(anna)));
        assert!(last.detail.starts_with("phone, groups,"), "{last:?}");
    }
    let none = set(&operator, "anna", json!({ "groups": [] })).await;
    assert_eq!(none.unwrap().groups, [""; 0]);
    for wrong in [json!({ "groups": [""] }), json!({ "groups": ["a\nb"] })] {
        refused(set(&operator, "anna", wrong).await, "body/groups");
    }
    let many: Vec<_> = (0..=GROUPS_MAX).map(|n| format!("g{n}")).collect();
    refused(
        set(&operator, "anna", json!({ "groups": many })).await,
        "body/groups",
    );
    let typed = set(&operator, "anna", json!({ "groups": ["a", 7] })).await;
    refused(typed, "body/groups/1");

    reconfigure(&operator, |config| {
        if let Some(Identity::Learn(learn)) = config.identities.get_mut("backend") {
            learn.groups = Some("/groups".to_owned());
        }
    });
    learned(&operator, "dora").await;
    let elsewhere = set(&operator, "dora", json!({ "groups": ["staff"] })).await;
    assert_eq!(said(elsewhere), is(422, "kept_elsewhere", "body/groups"));
}
