//! Many at once, and the power cut: single-use things work once, acknowledged things stay.

use crate::support::{Gateway, PASSWORD, PHONE, Site, form_of, status};
use std::collections::HashMap;
use tokio::task::JoinSet;

fn challenge_path(token: &str) -> String {
    format!("/api/apiauth/twofactorsms/{token}")
}

#[tokio::test]
async fn of_fifty_parallel_verifies_of_one_code_one_wins() {
    let Site { gateway, inbox, .. } = Site::accounts().await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    let path = challenge_path(&token);
    assert_eq!(status(gateway.get(&path, &token, "laptop")).await, 200);
    let code = inbox.code_for(PHONE);

    let mut tries = JoinSet::new();
    for _ in 0..50 {
        let request = gateway
            .get(&path, &token, "laptop")
            .query(&[("authcode", &code)]);
        tries.spawn(async move { request.send().await.expect("answer").status().as_u16() });
    }
    let mut statuses: HashMap<u16, usize> = HashMap::new();
    for status in tries.join_all().await {
        *statuses.entry(status).or_default() += 1;
    }
    assert_eq!(statuses, HashMap::from([(200, 1), (403, 49)]));
}

/// The device cookie that an answer sets, as it is sent back.
fn cookie(answer: &reqwest::Response) -> Option<String> {
    let cookie = answer.headers().get("set-cookie")?;
    let cookie = cookie.to_str().expect("text").split(';').next();
    Some(crate::support::secret(cookie.expect("a cookie")))
}

#[tokio::test]
async fn of_fifty_parallel_verifies_on_the_page_one_wins() {
    let Site { gateway, inbox, .. } = Site::accounts().await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    let page = gateway.url("/.vestibule/challenge?return_to=/file");
    let shown = gateway.http.get(&page).bearer_auth(&token).send().await;
    let shown = shown.expect("answer");
    let browser = cookie(&shown).expect("a cookie");
    let digest = form_of(&shown.text().await.expect("a page"));
    let post = |form: String| {
        gateway
            .http
            .post(&page)
            .bearer_auth(&token)
            .header("cookie", &browser)
            .body(format!("{form}&form={digest}"))
    };
    let sent = post("action=send&factor=sms".to_owned())
        .send()
        .await
        .expect("answer");
    assert_eq!(sent.status(), 303);
    let code = inbox.code_for(PHONE);

    let mut tries = JoinSet::new();
    for _ in 0..50 {
        let request = post(format!("action=verify&code={code}"));
        tries.spawn(async move { request.send().await.expect("answer") });
    }
    let answers = tries.join_all().await;
    let mut statuses: HashMap<u16, usize> = HashMap::new();
    for answer in &answers {
        *statuses.entry(answer.status().as_u16()).or_default() += 1;
    }
    assert_eq!(statuses, HashMap::from([(303, 1), (403, 49)]));
    let verified: Vec<String> = answers.iter().filter_map(cookie).collect();
    assert_eq!(verified.len(), 1, "only the winner gets a new device");
    for (cookie, status) in [(&verified[0], 200), (&browser, 401)] {
        let file = gateway.http.get(gateway.url("/file")).bearer_auth(&token);
        let file = file.header("cookie", cookie).send().await.expect("answer");
        assert_eq!(file.status(), status);
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_verifications_loses_nothing_and_accepts_nothing_twice() {
    const USERS: usize = 12;
    let Site {
        gateway,
        inbox,
        setup,
        ..
    } = Site::accounts().await;
    let mut people = Vec::new();
    for n in 0..USERS {
        let (name, phone) = (format!("user{n}"), format!("+4512345{n:03}"));
        gateway.add_user(&name, PASSWORD, &phone);
        let token = gateway.sign_in(&name, PASSWORD, "laptop").await;
        let started = gateway
            .get(&challenge_path(&token), &token, "laptop")
            .send()
            .await
            .expect("answer");
        assert_eq!(started.status(), 200);
        people.push((token, inbox.code_for(&phone)));
    }
    // All verify at once; the process dies as soon as the third answer is in.
    let (acknowledge, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let mut tries = JoinSet::new();
    for (n, (token, code)) in people.iter().cloned().enumerate() {
        let request = gateway
            .get(&challenge_path(&token), &token, "laptop")
            .query(&[("authcode", code)]);
        let acknowledge = acknowledge.clone();
        tries.spawn(async move {
            if request.send().await.is_ok_and(|it| it.status() == 200) {
                acknowledge.send(n).expect("channel");
            }
        });
    }
    drop(acknowledge);
    let mut verified = Vec::new();
    while verified.len() < 3 {
        verified.push(acknowledged.recv().await.expect("three answers"));
    }
    let dir = gateway.kill();
    while let Some(n) = acknowledged.recv().await {
        verified.push(n);
    }

    let gateway = Gateway::start_in(dir, &setup);
    for (n, (token, code)) in people.iter().enumerate() {
        let open = gateway
            .get("/file", token, "laptop")
            .send()
            .await
            .expect("answer")
            .status();
        if verified.contains(&n) {
            assert_eq!(open, 200, "user {n} was told yes before the kill");
        }
        let again = gateway
            .get(&challenge_path(token), token, "laptop")
            .query(&[("authcode", code)]);
        let again = again.send().await.expect("answer").status();
        // A code whose session is there is spent; one that was never judged is still good, once.
        assert_eq!(again, if open == 200 { 403 } else { 200 }, "user {n}");
    }
}

#[tokio::test]
async fn sessions_and_learned_tokens_survive_a_restart() {
    use crate::support::iogates;
    // Without the probe, so that only what was learned can answer after the restart.
    let Site {
        gateway,
        inbox,
        setup,
        ..
    } = Site::learn_with(|setup| setup.with(", probe: /api/profile", "")).await;
    let verified = gateway
        .sign_in(iogates::USER, iogates::PASSWORD, "one")
        .await;
    gateway
        .verify(&inbox, &verified, "one", iogates::PHONE)
        .await;
    let unverified = gateway
        .sign_in(iogates::USER, iogates::PASSWORD, "two")
        .await;
    let probe = gateway
        .get("/half/x", &unverified, "two")
        .send()
        .await
        .expect("answer");
    assert_eq!(probe.status(), 200, "known before the restart");

    let gateway = Gateway::start_in(gateway.kill(), &setup);
    assert_eq!(status(gateway.get("/file", &verified, "one")).await, 200);
    assert_eq!(
        status(gateway.get("/half/x", &unverified, "two")).await,
        200
    );
    assert_eq!(status(gateway.get("/file", &unverified, "two")).await, 401);
}
