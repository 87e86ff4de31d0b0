//! The audit trail: searched, and followed by readers who leave, who are slow, and who are too many.

use super::*;
use crate::operator::audit::{AuditEntry, Stopping};
use axum::body::HttpBody as _;
use axum::extract::Extension;
use std::pin::Pin;
use tokio::sync::watch;

fn event(n: usize) -> (Timestamp, Event) {
    let kinds = EventKind::ALL;
    let event = Event {
        kind: kinds[n % kinds.len()],
        user: Some(UserId((n % 3) as i64)),
        route: "files".to_owned(),
        address: Some([192, 0, 2, (n % 5) as u8].into()),
        detail: format!("event {n}"),
    };
    (Timestamp(NOW.0 + n as i64), event)
}

async fn happened(operator: &Operator, which: std::ops::Range<usize>) {
    let events: Vec<_> = which.map(event).collect();
    operator.store.append(&events).await.unwrap();
}

async fn search(operator: &Operator, query: &str) -> Result<Page<AuditEntry>, Problem> {
    asked(operator, "GET", &format!("/v1/audit?{query}"), ()).await
}

fn numbers(entries: &[AuditEntry]) -> Vec<usize> {
    let details = entries.iter().map(|entry| entry.detail.as_str());
    let numbers = details.map(|it| it.strip_prefix("event ").unwrap().parse().unwrap());
    numbers.collect()
}

#[tokio::test]
async fn events_are_searched_newest_first_and_in_parts() {
    let operator = operator();
    let anna = add(&operator, named("anna")).await.unwrap();
    assert_eq!(anna, UserId(1));
    happened(&operator, 0..40).await;
    let (mut seen, mut before) = (Vec::new(), String::new());
    loop {
        let page = search(&operator, &format!("limit=7{before}"))
            .await
            .unwrap();
        seen.extend(numbers(&page.items));
        match page.next {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
        // What happens meanwhile moves nothing.
        happened(&operator, 90..91).await;
    }
    assert_eq!(seen, (0..40).rev().collect::<Vec<_>>());

    let of_anna = search(&operator, "user=anna").await.unwrap();
    let names = |entry: &AuditEntry| (entry.user, entry.name.clone(), entry.identity.clone());
    let named = (
        Some(anna),
        Some("anna".to_owned()),
        Some("local".to_owned()),
    );
    assert!(of_anna.items.iter().all(|entry| names(entry) == named));
    assert_eq!(numbers(&of_anna.items).len(), 13);
    let gone = search(&operator, "user=id:2&limit=1").await.unwrap();
    assert_eq!(gone.items[0].user, Some(UserId(2)), "nobody is 2 any more");
    assert_eq!(gone.items[0].name, None);
    let kind = search(&operator, "kind=verified&address=192.0.2.3")
        .await
        .unwrap();
    assert_eq!(numbers(&kind.items), [3]);
    let (since, until) = (event(10).0.iso8601(), event(12).0.iso8601());
    let window = format!(
        "since={}&until={}",
        since.replace('+', "%2B"),
        until.replace('+', "%2B")
    );
    let window = search(&operator, &window).await.unwrap();
    assert_eq!(numbers(&window.items), [11, 10]);

    assert_eq!(status(search(&operator, "user=bob").await), 404);
    refused(search(&operator, "address=here").await, "query/address");
    refused(search(&operator, "since=yesterday").await, "query/since");
    refused(search(&operator, "until=tomorrow").await, "query/until");
    refused(search(&operator, "kind=nonsense").await, "query/kind");
    refused(search(&operator, "before=x").await, "query/before");
    refused(search(&operator, "after=1").await, "query/after");
}

/// A reader of the stream.
struct Reader(Body, Vec<u8>);

impl Reader {
    async fn open(router: &Router, query: &str) -> (u16, Self) {
        let uri = format!("/v1/audit/stream{query}");
        let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, Self(answer.into_body(), Vec::new()))
    }

    /// The next line; `None`: the end.
    async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.1.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.1.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let body = &mut self.0;
            let next = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
            let next = tokio::time::timeout(Duration::from_secs(30), next);
            let frame = next.await.expect("nothing came for 30 s")?;
            self.1.extend(frame.unwrap().into_data().unwrap());
        }
    }

    async fn details(&mut self, count: usize) -> Vec<String> {
        let mut details = Vec::new();
        for _ in 0..count {
            let line = self.line().await.unwrap();
            details.push(line["detail"].as_str().unwrap().to_owned());
        }
        details
    }
}

fn said(which: std::ops::Range<usize>) -> Vec<String> {
    which.map(|n| format!("event {n}")).collect()
}

#[tokio::test]
async fn a_reader_gets_each_event_once_and_goes_on_where_it_was() {
    let operator = operator();
    happened(&operator, 0..3).await;
    let router = router(operator.clone());
    let (status, mut from_now) = Reader::open(&router, "").await;
    assert_eq!(status, 200);
    let (_, mut from_one) = Reader::open(&router, "?after=1").await;
    happened(&operator, 3..500).await;
    assert_eq!(from_one.details(499).await, said(1..500));
    assert_eq!(from_now.details(2).await, said(3..5));
    let last = from_now.line().await.unwrap()["id"].as_i64().unwrap();
    drop(from_now);
    let (_, mut again) = Reader::open(&router, &format!("?after={last}")).await;
    assert_eq!(again.details(3).await, said(6..9));
}

#[tokio::test]
async fn a_reader_who_does_not_read_is_let_go_with_a_last_line() {
    let operator = operator();
    happened(&operator, 0..400).await;
    let (_, mut reader) = Reader::open(&router(operator.clone()), "?after=0").await;
    // Longer than it may leave its queue full.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut lines = Vec::new();
    while let Some(line) = reader.line().await {
        lines.push(line);
    }
    let last = lines.pop().unwrap();
    assert!(lines.len() < 400, "bounded: {}", lines.len());
    assert_eq!(last["status"], 408, "{last}");
    let after = lines.last().unwrap()["id"].as_i64().unwrap();
    let detail = last["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("after={after}")), "{detail}");
}

#[tokio::test]
async fn readers_have_a_bound_and_make_room_when_they_leave() {
    let operator = operator();
    let router = router(operator.clone());
    let mut readers = Vec::new();
    for _ in 0..16 {
        let (status, reader) = Reader::open(&router, "").await;
        assert_eq!(status, 200);
        readers.push(reader);
    }
    assert_eq!(Reader::open(&router, "").await.0, 429);
    readers.pop();
    let mut status = 429;
    for _ in 0..200 {
        status = Reader::open(&router, "").await.0;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_gateway_that_stops_says_so_and_waits_for_no_reader() {
    let (serving, stopping) = watch::channel(());
    let router = router(operator()).layer(Extension(Stopping(stopping)));
    let (_, mut reader) = Reader::open(&router, "").await;
    drop(serving);
    let last = reader.line().await.unwrap();
    assert_eq!(last["status"], 503, "{last}");
    assert!(reader.line().await.is_none());
}

#[tokio::test]
async fn a_store_that_is_down_ends_the_stream_and_is_told() {
    let operator = operator();
    let store = Arc::new(Memory::default());
    let operator = Operator {
        store: Arc::clone(&store) as _,
        ..operator
    };
    let (_, mut reader) = Reader::open(&router(operator.clone()), "").await;
    store.break_off();
    assert_eq!(reader.line().await.unwrap()["status"], 503);
    assert_eq!(Reader::open(&router(operator), "").await.0, 503);
}

#[tokio::test]
async fn what_an_operator_does_is_in_the_trail_with_the_uid() {
    let (operator, told) = listened_to();
    let [anna, _] = with_sessions(&operator).await;
    let set = json!({ "phone": "+4512345678" });
    let _: Value = asked(&operator, "PATCH", "/v1/users/anna", set)
        .await
        .unwrap();
    locked(&operator, Who::User(anna)).await;
    let whose = json!({ "user": "anna" });
    let _: Value = asked(&operator, "POST", "/v1/lockouts/clear", whose)
        .await
        .unwrap();
    let _: Value = asked(&operator, "DELETE", "/v1/users/anna/factors/sms", ())
        .await
        .unwrap();
    revoke(&operator, of_user("anna")).await.unwrap();
    let _: Value = asked(&operator, "POST", "/v1/users/anna/reset-2fa", json!({}))
        .await
        .unwrap();
    let _: Value = asked(&operator, "DELETE", "/v1/users/anna", ())
        .await
        .unwrap();
    let told = told.0.lock().unwrap();
    let of_anna = told.iter().filter(|event| event.user == Some(anna));
    let said: Vec<_> = of_anna
        .map(|event| format!("{} {}", event.kind.as_str(), event.detail))
        .collect();
    insta::assert_debug_snapshot!(said);
    assert!(told.iter().all(|event| event.route == "operator"));
}
