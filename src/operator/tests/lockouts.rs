//! Lockouts: who they are of, and cleared.

use super::*;
use crate::operator::factors::Factors;
use crate::operator::lockouts::{LockoutKind, LockoutLine, LockoutsCleared};

async fn lockouts(operator: &Operator) -> Vec<LockoutLine> {
    let page: Page<LockoutLine> = asked(operator, "GET", "/v1/lockouts", ()).await.unwrap();
    page.items
}

#[tokio::test]
async fn who_is_locked_out_is_named_and_cleared_without_a_reset() {
    let operator = operator();
    let anna = UserAdd {
        phone: Some(Secret::new("+4512345678")),
        email: Some(Secret::new("anna@example.org")),
        ..named("anna")
    };
    let anna = add(&operator, anna).await.unwrap();
    let account = |name: &str| Who::Account {
        realm: "local".to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(lockouts(&operator).await, []);
    locked(&operator, Who::User(anna)).await;
    locked(&operator, account("anna")).await;
    locked(&operator, account("anna@example.org")).await;
    locked(&operator, account("nobody")).await;
    locked(&operator, Who::Network([192, 0, 2, 1].into())).await;
    // Counted by its digest alone.
    use crate::auth::ports::Counted;
    use crate::auth::subject;
    let Counted { policy, .. } = Who::User(anna).counted(
        &operator.keys,
        crate::auth::lockout::LockoutPolicy {
            delay_every: 1,
            first_delay: Duration::from_secs(30),
            max_delay: Duration::from_secs(30),
            lock_at: 0,
        },
    );
    let mailbox = Counted {
        subject: subject::unauthorized(&operator.keys, "local", "anna@example.org"),
        policy,
        who: None,
    };
    operator.store.failed(&[mailbox], NOW).await.unwrap();

    let all = lockouts(&operator).await;
    let kinds = |all: &[LockoutLine]| {
        let mut kinds: Vec<_> = all.iter().map(|line| line.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds
    };
    assert_eq!(
        kinds(&all),
        [
            "account", "account", "account", "address", "mailbox", "user"
        ]
    );
    let mailbox = all.iter().find(|line| line.kind == LockoutKind::Mailbox);
    let mailbox = mailbox.unwrap();
    assert_eq!(
        (mailbox.user, mailbox.failures, mailbox.locked),
        (Some(anna), 1, false)
    );
    assert_eq!(
        mailbox.delayed_until,
        Some(NOW.after(Duration::from_secs(30)).iso8601())
    );

    let of_user = all
        .iter()
        .find(|line| line.kind == LockoutKind::User)
        .unwrap();
    let named = (
        of_user.user,
        of_user.name.as_deref(),
        of_user.identity.as_deref(),
    );
    assert_eq!(named, (Some(anna), Some("anna"), Some("local")));
    let typed = all.iter().filter(|line| line.kind == LockoutKind::Account);
    let mut typed: Vec<_> = typed
        .map(|it| (it.name.as_deref().unwrap(), it.user))
        .collect();
    typed.sort_unstable();
    let hers = Some(anna);
    assert_eq!(
        typed,
        [("anna", hers), ("anna@example.org", hers), ("nobody", None)]
    );

    let clear = async |whose: Value| {
        let uri = "/v1/lockouts/clear";
        let done = asked::<LockoutsCleared>(&operator, "POST", uri, whose).await;
        done.map(|it| it.cleared)
    };
    assert_eq!(clear(json!({ "user": "anna" })).await.unwrap(), 4);
    assert_eq!(clear(json!({ "user": "anna" })).await.unwrap(), 0);
    assert_eq!(kinds(&lockouts(&operator).await), ["account", "address"]);
    let factors: Factors = asked(&operator, "GET", "/v1/users/anna/factors", ())
        .await
        .unwrap();
    assert_eq!(factors.page.items.len(), 2, "factors stay");
    assert_eq!(clear(json!({ "address": "192.0.2.1" })).await.unwrap(), 1);
    let [left] = &lockouts(&operator).await[..] else {
        panic!("one")
    };
    assert_eq!(left.name.as_deref(), Some("nobody"));
    let one = async |id: &str| {
        let uri = format!("/v1/lockouts/{id}");
        asked::<Gone<String>>(&operator, "DELETE", &uri, ()).await
    };
    assert_eq!(one(&left.id).await.unwrap().id, left.id);
    for gone in [left.id.as_str(), "zz", "0123456789abcdeg"] {
        assert_eq!(said(one(gone).await), is(404, "no_such_lockout", "path/id"));
    }
    refused(clear(json!({})).await, "body");
    refused(clear(json!({ "address": "here" })).await, "body/address");
    let both = json!({ "user": "anna", "address": "192.0.2.1" });
    refused(clear(both).await, "body");
    let nobody = clear(json!({ "user": "nobody" })).await;
    assert_eq!(said(nobody), is(404, "no_such_user", "body/user"));
    let cursor = asked::<Value>(&operator, "GET", "/v1/lockouts?after=zz", ()).await;
    refused(cursor, "query/after");
    assert_eq!(lockouts(&operator).await, []);
}

#[tokio::test]
async fn the_trail_says_whose_lockout_was_cleared() {
    let (operator, told) = listened_to();
    let anna = add(&operator, named("anna")).await.unwrap();
    let of_name = Who::Account {
        realm: "local".to_owned(),
        name: "ANNA".to_owned(),
    };
    let all = [
        Who::User(anna),
        of_name,
        Who::Network([192, 0, 2, 1].into()),
    ];
    for who in all {
        locked(&operator, who).await;
        let id = lockouts(&operator).await.remove(0).id;
        let uri = format!("/v1/lockouts/{id}");
        let _: Value = asked(&operator, "DELETE", &uri, ()).await.unwrap();
    }
    let told = told.0.lock().unwrap();
    let cleared = told.iter().filter(|it| it.kind == EventKind::Cleared);
    let said: Vec<_> = cleared
        .map(|it| (it.user, it.address, it.detail.split('(').nth(1).unwrap()))
        .collect();
    let address = Some([192, 0, 2, 1].into());
    assert_eq!(
        said,
        [
            (Some(anna), None, "user), by uid 1000"),
            (Some(anna), None, "account), by uid 1000"),
            (None, address, "address), by uid 1000"),
        ]
    );
}
