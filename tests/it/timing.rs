//! What can be learned with a stopwatch: whether a user name exists.

use crate::support::{Gateway, PASSWORD, PHONE, Site, form_of, secret};
use serde_json::json;
use std::time::{Duration, Instant};

const ROUNDS: usize = 30;

/// How long the refusal of a password takes.
async fn refusal(gateway: &Gateway, name: &str) -> Duration {
    // As long as the right one, so that the length is no difference.
    let password = secret("b-long-enough-password");
    assert_eq!(password.len(), PASSWORD.len());
    let body = json!({"username": name, "password": password, "deviceId": "laptop"}).to_string();
    let request = gateway.http.post(gateway.url("/api/authtoken")).body(body);
    let asked = Instant::now();
    let answer = request.send().await.expect("answer");
    let took = asked.elapsed();
    assert_eq!(answer.status(), 401);
    took
}

/// What else the machine does only ever adds to a time: the shortest is what the work itself takes.
fn shortest(times: Vec<Duration>) -> f64 {
    times.into_iter().min().expect("a time").as_secs_f64()
}

/// The same on the sign-in page.
async fn refusal_on_page(
    gateway: &Gateway,
    (cookie, digest): &(String, String),
    name: &str,
) -> Duration {
    let password = secret("b-long-enough-password");
    let fields = [
        ("form", digest.as_str()),
        ("username", name),
        ("password", &password),
    ];
    let request = gateway.http.post(gateway.url(PAGE));
    let request = request.header("cookie", cookie).form(&fields);
    let asked = Instant::now();
    let answer = request.send().await.expect("answer");
    let took = asked.elapsed();
    assert_eq!(answer.status(), 401);
    took
}

const PAGE: &str = "/.vestibule/sign-in";

/// A browser that is shown the sign-in page: its cookie, and what its forms carry.
async fn browser(gateway: &Gateway) -> (String, String) {
    let page = gateway
        .http
        .get(gateway.url(PAGE))
        .send()
        .await
        .expect("answer");
    let cookie = page.headers()["set-cookie"].to_str().expect("text");
    let cookie = secret(cookie.split(';').next().expect("a pair"));
    (cookie, form_of(&page.text().await.expect("a page")))
}

#[tokio::test]
async fn the_page_refuses_as_slowly_whoever_exists() {
    let Site { gateway, .. } = Site::accounts_with(|setup| {
        setup.with("codes:", "lockout: {delay_every: 0, lock_at: 0}\ncodes:")
    })
    .await;
    gateway.add_user_with("anna", PASSWORD, &["--email", "anna@example.org"]);
    let browser = browser(&gateway).await;
    let names = ["anna", "otto", "anna@example.org", "otto@example.org"];
    let mut times = names.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (name, times) in names.iter().zip(&mut times) {
            times.push(refusal_on_page(&gateway, &browser, name).await);
        }
    }
    let [known, unknown, known_mail, unknown_mail] = times.map(shortest);
    for (known, unknown) in [(known, unknown), (known_mail, unknown_mail)] {
        let ratio = known / unknown;
        assert!((0.7..1.4).contains(&ratio), "{known} s against {unknown} s");
    }
}

#[tokio::test]
async fn a_name_that_exists_is_refused_as_slowly_as_one_that_does_not() {
    // No delay may come between.
    let Site { gateway, .. } = Site::accounts_with(|setup| {
        setup.with("codes:", "lockout: {delay_every: 0, lock_at: 0}\ncodes:")
    })
    .await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // Interleaved: what else the machine does slows both.
        known.push(refusal(&gateway, "anna").await);
        unknown.push(refusal(&gateway, "otto").await);
    }
    let (known, unknown) = (shortest(known), shortest(unknown));
    // Without the stand-in for a hash, a name that does not exist takes a tenth or less.
    let ratio = known / unknown;
    assert!((0.7..1.4).contains(&ratio), "{known} s against {unknown} s");
}
