//! Lists in parts, the keys, and the store behind all of it.

use super::*;

#[tokio::test]
async fn lists_come_in_parts_that_hold_every_item_once() {
    let operator = operator();
    for n in 0..7 {
        add(&operator, named(&format!("user{n}"))).await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let uri = format!("/v1/users?limit=3&after={after}");
        let page: Page<UserLine> = asked(&operator, "GET", &uri, ()).await.unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items.iter().map(|line| line.name.clone()));
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let all: Vec<_> = (0..7).map(|n| format!("user{n}")).collect();
    assert_eq!(seen, all);
    for limit in ["0", "1001"] {
        let uri = format!("/v1/users?limit={limit}");
        refused(
            asked::<Value>(&operator, "GET", &uri, ()).await,
            "query/limit",
        );
    }
    for (query, place) in [
        ("limit=x", "query/limit"),
        ("limit=-1", "query/limit"),
        ("unknown=1", "query/unknown"),
        ("limit=1&limit=2", "query/limit"),
        ("after=x", "query/after"),
    ] {
        let uri = format!("/v1/users?{query}");
        refused(asked::<Value>(&operator, "GET", &uri, ()).await, place);
    }
}

#[tokio::test]
async fn a_timed_store_answers_as_it_is_and_counts_its_verbs() {
    use crate::observe::metrics::Metrics;
    use crate::observe::timed::Timed;
    let metrics = Metrics::new().unwrap();
    let plain = operator();
    let timed = Operator {
        store: Arc::new(Timed::new(plain.store.clone(), metrics.clone())),
        ..plain.clone()
    };
    let id = add(&timed, named("anna")).await.unwrap();
    assert_eq!(
        timed.store.user(id).await.unwrap(),
        plain.store.user(id).await.unwrap()
    );
    let text = metrics.render().unwrap();
    for line in [
        r#"vestibule_store_seconds_count{verb="create_user"} 1"#,
        r#"vestibule_store_seconds_count{verb="user"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is missing from\n{text}");
    }
    let failed = text
        .lines()
        .filter(|it| it.starts_with("vestibule_store_errors_total{"));
    assert!(
        failed.clone().count() > 50,
        "every verb is counted from zero"
    );
    assert!(failed.into_iter().all(|it| it.ends_with(" 0")), "{text}");
}

#[tokio::test]
async fn keys_are_replaced_for_every_algorithm_of_the_config() {
    let operator = operator();
    let mut config = operator.config.load().as_ref().clone();
    config.routes[0].token_algorithm = crate::auth::ports::SigningAlgorithm::Rs256;
    operator.config.store(Arc::new(config));
    let rotate = async |how: Value| {
        let uri = "/v1/keys/rotate";
        let keys: Page<KeyLine> = asked(&operator, "POST", uri, how).await.unwrap();
        keys.items
    };
    let keys = rotate(json!({})).await;
    let names: Vec<_> = keys.iter().map(|key| key.algorithm.as_str()).collect();
    assert_eq!(names, ["EdDSA", "RS256"]);
    let later = NOW.after(Duration::from_secs(600));
    assert_eq!(keys[0].signs_from, later.iso8601());
    let longest = Duration::from_secs(30 * 86_400);
    assert_eq!(keys[0].others_end_at, later.after(longest).iso8601());
    let kept = operator.store.signing_keys(NOW).await.unwrap();
    let kids: Vec<_> = kept.iter().map(|key| key.kid.as_str()).collect();
    assert_eq!(kids, [keys[0].kid.as_str(), keys[1].kid.as_str()]);

    let now = rotate(json!({ "at_once": true })).await;
    assert_eq!(now[0].signs_from, NOW.iso8601());
}

#[tokio::test]
async fn sessions_come_newest_first_in_parts_and_before_asks_for_the_next() {
    let operator = operator();
    with_sessions(&operator).await;
    let all: Vec<_> = sessions(&operator, "")
        .await
        .iter()
        .map(|it| it.id)
        .collect();
    assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
    let part: Page<SessionLine> = asked(&operator, "GET", "/v1/sessions?limit=2", ())
        .await
        .unwrap();
    let next = part.next.unwrap();
    let rest = sessions(&operator, &format!("?limit=2&before={next}")).await;
    assert_eq!(rest.iter().map(|it| it.id).collect::<Vec<_>>(), all[2..]);
    let other = asked::<Value>(&operator, "GET", "/v1/sessions?after=1", ()).await;
    refused(other, "query/after");
}
