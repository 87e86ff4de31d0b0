//! Traces, as a collector gets them: the tree of a request, what is in it and what never is, who may
//! ask for one, and a collector that is not there.

use crate::support::collector::{Collector, Tree, attribute};
use crate::support::gateway::write_config;
use crate::support::{PASSWORD, PHONE, Setup, Site, free_port, secret, wait_for};
use std::time::{Duration, Instant};

/// What a client says of itself; a trace it had no business to join.
const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const SENT_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const KEY: &str = "Bearer collector-key-5f1c9a";

/// What may stand in a span.
const ATTRIBUTES: [&str; 17] = [
    "vestibule.forwarded_by",
    "http.request.method",
    "http.response.status_code",
    "network.protocol.version",
    "http.request.body.size",
    "http.response.body.size",
    "vestibule.outcome",
    "url.scheme",
    "http.route",
    "server.address",
    "server.port",
    "error.type",
    "vestibule.upstream",
    "vestibule.provider",
    "db.operation.name",
    "service.name",
    "service.version",
];

fn traced(setup: Setup, url: &str, more: &str) -> Setup {
    setup.with(
        "store: {url",
        &format!("traces: {{otlp: \"{url}\"{more}}}\nstore: {{url"),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn site(collector: &Collector, more: &str) -> Site {
    let url = collector.url();
    Site::accounts_with(|setup| traced(setup, &url, more)).await
}

/// The traceparent of the last request that reached the backend.
fn told(site: &Site) -> Option<String> {
    let seen = site.backend.seen().pop().expect("seen");
    assert!(seen.headers.get_all("traceparent").iter().count() <= 1);
    let told = seen.headers.get("traceparent")?;
    Some(told.to_str().expect("text").to_owned())
}

/// Asks for what everybody may have.
async fn ask(site: &Site) {
    let answer = site.gateway.http.get(site.gateway.url("/public/a")).send();
    assert_eq!(answer.await.expect("answer").status(), 200);
}

/// The value of a metric without regard to which line of several it is in.
async fn spans_that(site: &Site, outcome: &str) -> u64 {
    let admin = site.gateway.admin.expect("admin");
    let text = site.gateway.http.get(format!("http://{admin}/metrics"));
    let text = text
        .send()
        .await
        .expect("answer")
        .text()
        .await
        .expect("text");
    let line = format!("vestibule_spans_total{{outcome=\"{outcome}\"}} ");
    let value = text.lines().find_map(|it| it.strip_prefix(&line));
    value.expect("the metric").parse().expect("a number")
}

#[tokio::test]
async fn a_request_is_a_tree_of_spans_and_no_secret_is_in_it() {
    let collector = Collector::start().await;
    let key = secret(KEY);
    let more = format!(", sample: 1, service_name: door, headers: {{authorization: \"{key}\"}}");
    let site = site(&collector, &more).await;
    let gateway = &site.gateway;
    gateway.add_user("secretive-anna", PASSWORD, PHONE);
    let token = gateway.sign_in("secretive-anna", PASSWORD, "laptop").await;
    let start = format!("/api/apiauth/twofactorsms/{token}");
    let started = gateway.get(&start, &token, "laptop").send().await;
    assert_eq!(started.expect("answer").status(), 200);
    // Both the challenge and its answer are GETs of this endpoint: the first one is looked at here.
    let challenge = collector.tree("GET files").await;
    assert_eq!(challenge.child("send sms").kind, 3, "{challenge:?}");
    let code = site.inbox.code_for(PHONE);
    let verified = gateway
        .get(&start, &token, "laptop")
        .query(&[("authcode", &code)]);
    assert_eq!(verified.send().await.expect("answer").status(), 200);

    // The lean lane, and Pingora's.
    let read = gateway
        .get("/private/plan.txt?x=1", &token, "laptop")
        .header("traceparent", SENT);
    let read = read.header("tracestate", "theirs=1");
    assert_eq!(read.send().await.expect("answer").status(), 200);
    let parent = told(&site).expect("traceparent");
    let (_, no_state) = (&parent, site.backend.seen().pop().expect("seen"));
    assert!(!no_state.headers.contains_key("tracestate"));
    let tree = wait_for("the read", Duration::from_secs(20), async || {
        let tree = collector.tree("GET files").await;
        tree.names().contains(&"upstream").then_some(tree)
    })
    .await;
    is_forwarded(&tree, &parent, "GET", "permitted");
    let write = gateway
        .http
        .put(gateway.url("/private/plan.txt"))
        .bearer_auth(&token);
    let write = write.header("x-device-id", "laptop").body("four");
    assert_eq!(write.send().await.expect("answer").status(), 200);
    let tree = collector.tree("PUT files").await;
    is_forwarded(
        &tree,
        &told(&site).expect("traceparent"),
        "PUT",
        "permitted",
    );
    let of = |key| attribute(&tree.root.attributes, key);
    assert_eq!(of("http.request.body.size").as_deref(), Some("4"));

    let refused = gateway
        .http
        .delete(gateway.url("/private/plan.txt"))
        .send()
        .await;
    assert_eq!(refused.expect("answer").status(), 401);
    let tree = collector.tree("DELETE files").await;
    assert_eq!(tree.names(), ["gate"]);
    let of = |key| attribute(&tree.root.attributes, key);
    assert_eq!(of("vestibule.outcome").as_deref(), Some("unauthenticated"));
    assert_eq!(
        tree.root.status.as_ref().map(|it| it.code),
        Some(0),
        "a client's fault"
    );
    for name in [
        "twofactorsms",
        "plan.txt",
        "secretive",
        "4512345678",
        "127.0.0.1:",
        "x=1",
    ] {
        let all = format!("{:?}", collector.spans());
        assert!(!all.contains(name), "{name} in {all}");
    }
    nothing_else_is_told(&collector, &[&token, &code, PASSWORD, &key]);
    let (headers, request) = collector.received().pop().expect("a message");
    assert_eq!(headers["authorization"], key.as_str());
    let resource = request.resource_spans[0]
        .resource
        .clone()
        .expect("resource");
    assert_eq!(
        attribute(&resource.attributes, "service.name").as_deref(),
        Some("door")
    );
}

/// A span for the request with the gate and the upstream below it, one after the other.
fn is_forwarded(tree: &Tree, parent: &str, method: &str, outcome: &str) {
    let Tree { root, .. } = tree;
    let (gate, upstream) = (tree.child("gate"), tree.child("upstream"));
    assert_eq!(
        (root.kind, gate.kind, upstream.kind),
        (2, 1, 3),
        "server, internal, client"
    );
    assert!(
        root.parent_span_id.is_empty(),
        "a client is nobody's parent"
    );
    let expected = format!("00-{}-{}-01", hex(&root.trace_id), hex(&upstream.span_id));
    assert_eq!(
        parent, expected,
        "the upstream hangs below the span that waits for it"
    );
    assert_ne!(hex(&root.trace_id), SENT_TRACE);
    let of = |key| attribute(&root.attributes, key);
    assert_eq!(of("http.request.method").as_deref(), Some(method));
    assert_eq!(of("http.response.status_code").as_deref(), Some("200"));
    assert_eq!(of("http.route").as_deref(), Some("files"));
    assert_eq!(of("server.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(of("url.scheme").as_deref(), Some("http"));
    assert_eq!(of("vestibule.outcome").as_deref(), Some(outcome));
    let of = |key| attribute(&upstream.attributes, key);
    assert_eq!(of("http.response.status_code").as_deref(), Some("200"));
    assert_eq!(of("vestibule.upstream").as_deref(), Some("files"));
    assert!(of("server.port").is_some());
    for child in [gate, upstream] {
        assert_eq!(child.trace_id, root.trace_id);
        assert!(root.start_time_unix_nano <= child.start_time_unix_nano);
        assert!(child.start_time_unix_nano <= child.end_time_unix_nano);
        assert!(child.end_time_unix_nano <= root.end_time_unix_nano);
    }
    assert!(gate.end_time_unix_nano <= upstream.end_time_unix_nano);
    let now = std::time::UNIX_EPOCH.elapsed().expect("time");
    let began = Duration::from_nanos(root.start_time_unix_nano);
    assert!(
        now.saturating_sub(began) < Duration::from_secs(120),
        "{began:?}"
    );
}

/// Every attribute is one of the list, and the secrets are in no byte of what was sent.
fn nothing_else_is_told(collector: &Collector, secrets: &[&str]) {
    for span in collector.spans() {
        for one in &span.attributes {
            assert!(ATTRIBUTES.contains(&one.key.as_str()), "{}", one.key);
        }
    }
    for (_, request) in collector.received() {
        let sent = prost::Message::encode_to_vec(&request);
        for secret in secrets {
            let is_there = sent.windows(secret.len()).any(|it| it == secret.as_bytes());
            assert!(!is_there, "a secret is in a span");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_which_trace_and_whether_it_is_kept() {
    let collector = Collector::start().await;
    let url = collector.url();
    let site = Site::accounts_with(|setup| {
        let setup = setup.with(
            "store: {url",
            "trusted_proxies: [127.0.0.1/32]\nstore: {url",
        );
        traced(setup, &url, ", sample: 0")
    })
    .await;
    let ask = async |traceparent: Option<&str>, state: &str| {
        let mut request = site.gateway.http.get(site.gateway.url("/public/a"));
        if let Some(traceparent) = traceparent {
            request = request
                .header("traceparent", traceparent)
                .header("tracestate", state);
        }
        let answer = request.send().await.expect("answer");
        assert_eq!(answer.status(), 200);
        told(&site).expect("traceparent")
    };
    // Nobody has asked for this one, and of those none are kept; the upstream must not choose anew.
    let quiet = ask(None, "").await;
    assert!(
        quiet.ends_with("-00") && !quiet.contains(SENT_TRACE),
        "{quiet}"
    );
    let unsampled = SENT.replace("-01", "-00");
    let passed = ask(Some(&unsampled), "").await;
    assert!(
        passed.starts_with(&unsampled[..36]) && passed.ends_with("-00"),
        "{passed}"
    );
    // What is no traceparent is none.
    let anew = ask(Some("00-nonsense"), "").await;
    assert!(anew.ends_with("-00"), "{anew}");

    let sampled = ask(Some(SENT), "theirs=1").await;
    assert!(
        sampled.starts_with(&SENT[..36]) && sampled.ends_with("-01"),
        "{sampled}"
    );
    assert_ne!(sampled, SENT, "a span of its own");
    let seen = site.backend.seen().pop().expect("seen");
    assert_eq!(seen.headers["tracestate"], "theirs=1");
    let tree = collector.tree("GET files").await;
    assert_eq!(hex(&tree.root.trace_id), SENT_TRACE);
    assert_eq!(hex(&tree.root.parent_span_id), "00f067aa0ba902b7");
    let upstream = tree.child("upstream");
    assert_eq!(&sampled[36..52], hex(&upstream.span_id));
    let roots = collector.spans().into_iter().filter(|span| span.kind == 2);
    assert_eq!(roots.count(), 1, "only the one that was asked for");
}

#[tokio::test]
async fn a_proxy_that_asks_gets_a_span_for_its_question_and_keeps_its_own_trace() {
    let collector = Collector::start().await;
    let url = collector.url();
    let site = Site::accounts_with(|setup| {
        let asked = "  - {address: \"127.0.0.1:0\", forward_auth: true}\n";
        let setup = setup
            .with("timeouts: {head", &format!("{asked}timeouts: {{head"))
            .with(
                "store: {url",
                "trusted_proxies: [127.0.0.1/32]\nstore: {url",
            );
        traced(setup, &url, ", sample: 0")
    })
    .await;
    let [here, asked] = site.gateway.listeners[..] else {
        panic!("two listeners")
    };
    let question = format!("http://{asked}/.vestibule/forward-auth");
    let question = site.gateway.http.get(question);
    let question = question
        .header("x-forwarded-method", "PROPFIND")
        .header("x-forwarded-proto", "http")
        .header("x-forwarded-host", here.to_string())
        .header("x-forwarded-uri", "/public/a?x=1")
        .header("x-forwarded-for", "203.0.113.9")
        .header("traceparent", SENT)
        .header("tracestate", "theirs=1");
    let answer = question.send().await.expect("answer");
    assert_eq!(answer.status(), 200);
    let headers = format!("{:?}", answer.headers());
    assert!(!headers.contains("trace"), "{headers}");
    let tree = collector.tree("PROPFIND files").await;
    assert_eq!(tree.names(), ["gate"]);
    assert_eq!(hex(&tree.root.trace_id), SENT_TRACE);
    let of = |key| attribute(&tree.root.attributes, key);
    assert_eq!(of("vestibule.forwarded_by").as_deref(), Some("proxy"));
    nothing_else_is_told(&collector, &["public", "203.0.113.9"]);
}

#[tokio::test]
async fn without_traces_nothing_is_added_and_a_reload_begins_and_ends_them() {
    let collector = Collector::start().await;
    let site = Site::accounts().await;
    let ask = async |traceparent: Option<&str>| {
        let mut request = site.gateway.http.get(site.gateway.url("/public/a"));
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent);
        }
        assert_eq!(request.send().await.expect("answer").status(), 200);
        told(&site)
    };
    assert_eq!(ask(None).await, None);
    assert_eq!(
        ask(Some(SENT)).await.as_deref(),
        Some(SENT),
        "it is the backend's affair"
    );
    let on = traced(site.setup.clone(), &collector.url(), ", sample: 1");
    write_config(site.gateway.dir.path(), &on);
    site.gateway.signal("HUP");
    let limit = Duration::from_secs(20);
    wait_for("traces", limit, async || ask(None).await).await;
    collector.tree("GET files").await;
    write_config(site.gateway.dir.path(), &site.setup);
    site.gateway.signal("HUP");
    wait_for("no traces", limit, async || {
        ask(None).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_end_of_the_process_flushes_what_has_not_been_sent() {
    let collector = Collector::start().await;
    let mut site = site(&collector, ", sample: 1").await;
    ask(&site).await;
    // Sooner than a batch is sent by itself.
    site.gateway.signal("TERM");
    site.gateway.ends(Duration::from_secs(20)).await;
    let names: Vec<_> = collector
        .spans()
        .into_iter()
        .map(|span| span.name)
        .collect();
    assert!(names.contains(&"GET files".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_collector_that_is_gone_holds_nothing_up_and_what_is_lost_is_counted() {
    // Nobody listens there.
    let url = format!("http://127.0.0.1:{}/v1/traces", free_port());
    let mut site = Site::accounts_with(|setup| traced(setup, &url, ", sample: 1")).await;
    let began = Instant::now();
    for _ in 0..200 {
        ask(&site).await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "200 requests took {took:?}");
    // Three tries, then the batch is given up.
    wait_for("lost spans", Duration::from_secs(30), async || {
        (spans_that(&site, "failed").await > 0).then_some(())
    })
    .await;
    assert_eq!(spans_that(&site, "exported").await, 0);
    ask(&site).await;
    let began = Instant::now();
    site.gateway.signal("TERM");
    site.gateway.ends(Duration::from_secs(20)).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_collector_that_hangs_fills_a_bounded_queue_and_no_more() {
    // Connections wait in the kernel's queue, and nobody ever answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("socket");
    let url = format!("http://{}/v1/traces", silent.local_addr().expect("address"));
    let site = Site::accounts_with(|setup| traced(setup, &url, ", sample: 1")).await;
    // More than the queue and a batch hold, while the first batch waits for an answer.
    let url = site.gateway.url("/public/a");
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (http, url) = (site.gateway.http.clone(), url.clone());
            tokio::spawn(async move {
                for _ in 0..700 {
                    let answer = http.get(&url).send().await.expect("answer");
                    assert_eq!(answer.status(), 200);
                }
            })
        })
        .collect();
    for one in asking {
        one.await.expect("requests");
    }
    let limit = Duration::from_secs(20);
    wait_for("dropped spans", limit, async || {
        (spans_that(&site, "dropped").await > 0).then_some(())
    })
    .await;
    assert_eq!(spans_that(&site, "exported").await, 0);
}

#[tokio::test]
async fn what_a_collector_refuses_is_counted_and_asked_again_only_where_that_may_help() {
    let collector = Collector::start().await;
    let site = site(&collector, ", sample: 1").await;
    let ask = || ask(&site);
    let comes_to = async |outcome: &str, wanted: u64| {
        wait_for(outcome, Duration::from_secs(20), async || {
            (spans_that(&site, outcome).await == wanted).then_some(())
        })
        .await;
    };
    collector.answer_with(400);
    ask().await;
    comes_to("failed", 3).await;
    // It comes back before the tries are over.
    collector.answer_with(503);
    ask().await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    collector.answer_with(200);
    comes_to("exported", 3).await;
    assert_eq!(spans_that(&site, "failed").await, 3);
    collector.reject(2);
    ask().await;
    comes_to("failed", 5).await;
    comes_to("exported", 4).await;
}
