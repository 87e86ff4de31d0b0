//! What ends at once when the gateway stops, and what is answered before.

use super::*;

#[tokio::test]
async fn an_idle_gateway_stops_at_once() {
    let edge = Edge::start(limits());
    let mut idle = edge.connect().await;
    assert_eq!(ask(&mut idle, GET).await.0, 200);
    edge.stop.send(true).unwrap();
    let stopped = Instant::now();
    edge.stopped().await;
    // Half the bound on idle connections and on draining would already be wrong.
    assert!(stopped.elapsed() < GENEROUS / 2);
    ended(&mut idle).await;
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_end() {
    let edge = Edge::start(limits());
    let mut client = edge.connect().await;
    let wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(wait.as_bytes()).await.unwrap();
    edge.until_heads(1).await;
    edge.stop.send(true).unwrap();
    // New connections are refused, the old one goes on.
    let refused = async {
        while TcpStream::connect(edge.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(GENEROUS, refused).await.unwrap();
    assert!(!edge.served.is_finished());
    edge.gate.add_permits(1);
    assert_eq!(answer(&mut client).await.0, 200);
    edge.stopped().await;
    ended(&mut client).await;
}

#[tokio::test]
async fn a_request_on_its_way_when_the_gateway_stops_is_answered() {
    let edge = Edge::start(limits());
    let mut new = edge.connect().await;
    let mut kept = edge.connect().await;
    assert_eq!(ask(&mut kept, GET).await.0, 200);
    edge.until_open(2).await;
    edge.stop.send(true).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for client in [&mut new, &mut kept] {
        assert_eq!(ask(client, GET).await.0, 200);
        ended(client).await;
    }
    edge.stopped().await;
}

#[tokio::test]
async fn draining_is_bounded() {
    let mut limits = limits();
    limits.timeouts.drain = Duration::from_millis(200);
    let edge = Edge::start(limits);
    let mut client = edge.connect().await;
    let wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(wait.as_bytes()).await.unwrap();
    edge.until_heads(1).await;
    edge.stop.send(true).unwrap();
    edge.stopped().await;
    ended(&mut client).await;
}

struct Told(AtomicUsize);

#[async_trait::async_trait]
impl HttpServerApp for Told {
    async fn process_new_http(
        self: &Arc<Self>,
        _session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<pingora::apps::ReusedHttpStream> {
        None
    }

    async fn http_cleanup(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_app_is_told_of_the_end() {
    let listeners = Listeners::bind(
        &[listener(None)],
        &mut Sockets::default(),
        limits(),
        Metrics::new().unwrap(),
        now(),
    )
    .unwrap();
    let app = Arc::new(Told(AtomicUsize::new(0)));
    let (stop, shutdown) = watch::channel(false);
    let served = tokio::spawn(listeners.serve(alone(app.clone()), shutdown));
    // The end of whoever could say stop is an end as well.
    drop(stop);
    tokio::time::timeout(GENEROUS, served)
        .await
        .unwrap()
        .unwrap();
    // Once for clients, once for proxies.
    assert_eq!(app.0.load(Ordering::SeqCst), 2);
}
