//! What can be learned with a stopwatch: whether a user name exists.

use crate::support::{Gateway, PASSWORD, PHONE, Site, secret};
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

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
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
    let (known, unknown) = (median(known), median(unknown));
    // Without the stand-in for a hash, a name that does not exist takes a tenth or less.
    let ratio = known / unknown;
    assert!((0.7..1.4).contains(&ratio), "{known} s against {unknown} s");
}
