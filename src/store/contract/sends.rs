//! The limits on sending.

use super::for_every_engine;
use crate::auth::ports::{Reserved, SendLimit, SendRequest};
use crate::id::UserId;
use crate::store::fixture::{Fixture, NOW, after, granted};
use std::sync::Arc;
use std::time::Duration;

for_every_engine![
    sends_are_limited_and_the_longest_wait_is_told,
    each_limit_counts_its_own,
    a_released_send_does_not_count,
    five_of_fifty_sends_are_granted,
];

async fn sends_are_limited_and_the_longest_wait_is_told(f: Fixture) {
    let request = f.send_request(f.user("ann").await);
    for at in [0, 30, 60, 90, 120] {
        assert_eq!(granted(&f, &request, after(at)).await, None, "at {at}");
        if at < 120 {
            let soon = granted(&f, &request, after(at + 10)).await;
            assert_eq!(soon, Some((SendLimit::Resend, 20)));
        }
    }
    // Five in the hour: the first of them leaves at 3600. Longer than the 29 s of the resend limit.
    let sixth = granted(&f, &request, after(121)).await;
    assert_eq!(sixth, Some((SendLimit::User, 3479)));
    let last_moment = granted(&f, &request, after(3599)).await;
    assert_eq!(last_moment, Some((SendLimit::User, 1)));
    assert_eq!(granted(&f, &request, after(3600)).await, None);
    let next = granted(&f, &request, after(3600)).await;
    assert_eq!(next, Some((SendLimit::Resend, 30)));
}

async fn each_limit_counts_its_own(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let mut first = f.send_request(ann);
    first.limits.resend_after = Duration::ZERO;
    first.limits.per_user_per_hour = 3;
    first.limits.per_number_per_hour = 2;
    first.limits.per_prefix_per_minute = 4;
    first.limits.per_gateway_per_minute = 5;
    let other_number = SendRequest {
        recipient: f.keys.recipient("+4599999999"),
        ..first.clone()
    };
    let other_user = SendRequest {
        user: bob,
        ..other_number.clone()
    };
    let abroad = SendRequest {
        user: UserId(77),
        recipient: f.keys.recipient("+461"),
        prefix: "46".to_owned(),
        ..first.clone()
    };
    assert_eq!(granted(&f, &first, NOW).await, None);
    assert_eq!(granted(&f, &first, NOW).await, None);
    assert_eq!(
        granted(&f, &first, NOW).await,
        Some((SendLimit::Number, 3600))
    );
    assert_eq!(granted(&f, &other_number, NOW).await, None);
    assert_eq!(
        granted(&f, &other_number, NOW).await,
        Some((SendLimit::User, 3600))
    );
    assert_eq!(granted(&f, &other_user, NOW).await, None);
    let fifth_here = SendRequest {
        user: UserId(78),
        recipient: f.keys.recipient("+451"),
        ..first.clone()
    };
    assert_eq!(
        granted(&f, &fifth_here, NOW).await,
        Some((SendLimit::Prefix, 60))
    );
    assert_eq!(granted(&f, &abroad, NOW).await, None);
    assert_eq!(
        granted(&f, &abroad, NOW).await,
        Some((SendLimit::Gateway, 60))
    );
    assert_eq!(granted(&f, &abroad, after(60)).await, None);
    let mut closed = abroad;
    closed.limits.per_prefix_per_minute = 0;
    assert_eq!(
        granted(&f, &closed, after(9999)).await,
        Some((SendLimit::Prefix, 60))
    );
}

async fn a_released_send_does_not_count(f: Fixture) {
    let request = f.send_request(f.user("ann").await);
    let Reserved::Yes(id) = f.store.reserve_send(request.clone(), NOW).await.unwrap() else {
        panic!("the first send is refused")
    };
    assert!(granted(&f, &request, NOW).await.is_some());
    f.store.release_send(id).await.unwrap();
    f.store.release_send(id).await.unwrap();
    assert_eq!(granted(&f, &request, NOW).await, None);
}

async fn five_of_fifty_sends_are_granted(f: Fixture) {
    let mut request = f.send_request(f.user("ann").await);
    request.limits.resend_after = Duration::ZERO;
    let f = Arc::new(f);
    let asked = (0..50).map(|_| {
        let (f, request) = (f.clone(), request.clone());
        tokio::spawn(async move { granted(&f, &request, NOW).await.is_none() })
    });
    let mut yes = 0;
    for asked in asked.collect::<Vec<_>>() {
        yes += usize::from(asked.await.unwrap());
    }
    assert_eq!(yes, 5);
}
