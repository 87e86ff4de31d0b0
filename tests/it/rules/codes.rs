//! Codes, on whichever dialect they are sent, typed and counted.

use super::*;

#[tokio::test]
async fn a_code_that_one_dialect_sent_verifies_on_each() {
    let Site { gateway, inbox, .. } = site().await;
    add_user(&gateway, "anna", &["--phone", PHONE]);
    for sender in &DIALECTS {
        for taker in &DIALECTS {
            let what = format!("{} to {}", sender.name, taker.name);
            let laptop = pair(&gateway, "anna", "laptop").await;
            let code = "123456";
            let early = status((taker.verify)(&gateway, &laptop, code)).await;
            assert_eq!(early, taker.never_sent, "{what}");
            let sent = status((sender.start)(&gateway, &laptop)).await;
            assert_eq!(sent, sender.right, "{what}");
            let code = inbox.code_for(PHONE);
            let tablet = pair(&gateway, "anna", "tablet").await;
            let foreign = status((taker.verify)(&gateway, &tablet, &code)).await;
            assert_eq!(foreign, taker.never_sent, "{what}: another pair's");
            let wrong = status((taker.verify)(&gateway, &laptop, &other_than(&code))).await;
            assert_eq!(wrong, taker.wrong, "{what}");
            let right = status((taker.verify)(&gateway, &laptop, &code)).await;
            assert_eq!(right, taker.right, "{what}");
            assert!(is_open(&gateway, &laptop).await && !is_open(&gateway, &tablet).await);
            for again in &DIALECTS {
                let used = status((again.verify)(&gateway, &laptop, &code)).await;
                assert_eq!(used, again.used, "{what}, again to {}", again.name);
            }
        }
    }
}

#[tokio::test]
async fn of_one_code_on_all_dialects_at_once_one_wins() {
    let Site { gateway, inbox, .. } = site().await;
    add_user(&gateway, "anna", &["--phone", PHONE]);
    let laptop = pair(&gateway, "anna", "laptop").await;
    assert_eq!(status((DIALECTS[0].start)(&gateway, &laptop)).await, 200);
    let code = inbox.code_for(PHONE);
    let mut tries = JoinSet::new();
    for number in 0..51 {
        let dialect = &DIALECTS[number % DIALECTS.len()];
        let request = (dialect.verify)(&gateway, &laptop, &code);
        tries.spawn(async move { (dialect, status(request).await) });
    }
    let mut winners = 0;
    for (dialect, status) in tries.join_all().await {
        if status == dialect.right {
            winners += 1;
        } else {
            assert_eq!(status, dialect.used, "{}", dialect.name);
        }
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn of_one_backup_code_spent_fifty_times_at_once_one_wins() {
    let Site { gateway, inbox, .. } = site().await;
    add_user(&gateway, "anna", &["--phone", PHONE]);
    let laptop = pair(&gateway, "anna", "laptop").await;
    gateway.verify(&inbox, &laptop.token, "laptop", PHONE).await;
    let code = backup_codes(&gateway, &laptop).await.remove(0);
    let mut tries = JoinSet::new();
    for _ in 0..50 {
        let thief = pair(&gateway, "anna", "thief").await;
        let path = "/authentication/twoFa/recover";
        let request = send(&gateway, &thief, "POST", path, &json!({"code": code}));
        tries.spawn(status(request));
    }
    let mut statuses: HashMap<u16, usize> = HashMap::new();
    for status in tries.join_all().await {
        *statuses.entry(status).or_default() += 1;
    }
    assert_eq!(statuses.remove(&200), Some(1), "{statuses:?}");
    // The others are wrong codes, and wrong codes cost a delay.
    assert!(
        statuses.keys().all(|status| [401, 429].contains(status)),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn an_authenticators_code_is_good_once_on_all_dialects() {
    for first in &DIALECTS {
        let Site { gateway, .. } = site().await;
        add_user(&gateway, "anna", &[]);
        let laptop = pair(&gateway, "anna", "laptop").await;
        enrol_app(&gateway, &laptop).await;
        let tablet = pair(&gateway, "anna", "tablet").await;
        let code = app_code(KEY, 1).await;
        let right = status((first.verify)(&gateway, &tablet, &code)).await;
        assert_eq!(right, first.right, "{}", first.name);
        for (dialect, device) in DIALECTS.iter().zip(["tablet", "laptop", "thief"]) {
            let other = pair(&gateway, "anna", device).await;
            let replayed = status((dialect.verify)(&gateway, &other, &code)).await;
            assert_eq!(
                replayed, dialect.wrong,
                "{}, then {}",
                first.name, dialect.name
            );
            assert!(!is_open(&gateway, &other).await);
        }
    }
}

#[tokio::test]
async fn wrong_codes_add_up_over_dialects_devices_and_sign_ins() {
    let Site { gateway, inbox, .. } = site().await;
    add_user(&gateway, "anna", &["--phone", PHONE]);
    let devices = ["laptop", "tablet", "phone", "watch", ""];
    let mut last = None;
    for (number, device) in devices.into_iter().enumerate() {
        let dialect = &DIALECTS[number % DIALECTS.len()];
        // Without a device of its own, the last one speaks for the one that signed in.
        let signed_in = if device.is_empty() { "fridge" } else { device };
        let token = pair(&gateway, "anna", signed_in).await.token;
        let pair = Pair { token, device };
        assert_eq!(
            status((dialect.start)(&gateway, &pair)).await,
            dialect.right
        );
        let code = inbox.code_for(PHONE);
        let wrong = status((dialect.verify)(&gateway, &pair, &other_than(&code))).await;
        assert_eq!(wrong, dialect.wrong, "{}", dialect.name);
        last = Some((pair, code));
    }
    let (known, code) = last.expect("a pair");
    let fresh = pair(&gateway, "anna", "new").await;
    for dialect in &DIALECTS {
        for request in [
            (dialect.verify)(&gateway, &known, &code),
            (dialect.verify)(&gateway, &fresh, &code),
            (dialect.start)(&gateway, &known),
            (dialect.start)(&gateway, &fresh),
        ] {
            let answer = request.send().await.expect("answer");
            assert_eq!(answer.status(), 429, "{}", dialect.name);
            let wait = answer.headers()["retry-after"].to_str().expect("text");
            let wait: u64 = wait.parse().expect("seconds");
            assert!((1..=30).contains(&wait), "{wait}");
        }
    }
    assert_eq!(inbox.messages().len(), devices.len());
    let path = "/authentication/twoFa/recover";
    let backup = send(&gateway, &fresh, "POST", path, &json!({"code": "12345678"}));
    assert_eq!(status(backup).await, 429, "backup codes wait as well");
}

#[tokio::test]
async fn a_lock_holds_on_every_dialect_until_a_backup_code() {
    let lockout = "lockout: {delay_every: 0, lock_at: 3}\nlimits:";
    let change = |setup: Setup| setup.with("limits:", lockout);
    let Site { gateway, inbox, .. } = site_with(change).await;
    add_user(&gateway, "anna", &["--phone", PHONE]);
    let laptop = pair(&gateway, "anna", "laptop").await;
    gateway.verify(&inbox, &laptop.token, "laptop", PHONE).await;
    let backup = backup_codes(&gateway, &laptop).await;
    let thief = pair(&gateway, "anna", "thief").await;
    assert_eq!(status((DIALECTS[0].start)(&gateway, &thief)).await, 200);
    let code = inbox.code_for(PHONE);
    for dialect in &DIALECTS {
        let wrong = status((dialect.verify)(&gateway, &thief, &other_than(&code))).await;
        assert_eq!(wrong, dialect.wrong, "{}", dialect.name);
    }
    let fresh = pair(&gateway, "anna", "fresh").await;
    for dialect in &DIALECTS {
        for request in [
            (dialect.verify)(&gateway, &thief, &code),
            (dialect.verify)(&gateway, &laptop, &code),
            (dialect.verify)(&gateway, &fresh, &code),
            (dialect.start)(&gateway, &fresh),
        ] {
            let answer = request.send().await.expect("answer");
            assert_eq!(answer.status(), 403, "{}", dialect.name);
            let text = answer.text().await.expect("text");
            assert!(text.contains("locked"), "{}: {text}", dialect.name);
        }
    }
    assert!(
        is_open(&gateway, &laptop).await,
        "what was verified before goes on"
    );
    let path = "/authentication/twoFa/recover";
    let freed = send(&gateway, &fresh, "POST", path, &json!({"code": backup[0]}));
    assert_eq!(status(freed).await, 200);
    assert!(is_open(&gateway, &fresh).await);
    let tablet = pair(&gateway, "anna", "tablet").await;
    assert_eq!(status((DIALECTS[1].start)(&gateway, &tablet)).await, 204);
    let code = inbox.code_for(PHONE);
    assert_eq!(
        status((DIALECTS[2].verify)(&gateway, &tablet, &code)).await,
        200
    );
}
