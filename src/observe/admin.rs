//! The operator's HTTP listener: `/metrics`, `/healthz`, `/readyz`. Reading only; no client of the
//! gateway should reach it, and nothing it says is secret.

use super::metrics::Metrics;
use crate::auth::ports::{StoreError, Upkeep};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest that the store may take to answer a ping.
const PING_MAX: Duration = Duration::from_secs(2);
/// The exposition format's version (prometheus.io, "Text-based format").
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether this process should get new requests.
pub struct Health {
    store: Arc<dyn Upkeep>,
    draining: AtomicBool,
}

/// Why it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    #[error("draining: this process is about to end")]
    Draining,
    #[error("the store does not answer")]
    Store,
}

impl Health {
    /// The health of a process over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Upkeep>) -> Self {
        Self {
            store,
            draining: AtomicBool::new(false),
        }
    }

    /// From now on this process is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether the store says anything at all in time: a process in which it does not may hang.
    pub async fn store_replies(&self) -> bool {
        self.ping().await.is_some()
    }

    /// What the store says to a ping; `None` if nothing in time.
    async fn ping(&self) -> Option<Result<(), StoreError>> {
        let reply = tokio::time::timeout(PING_MAX, self.store.ping()).await.ok();
        match &reply {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%error, "the store refused a ping"),
            None => tracing::warn!("the store did not answer a ping within 2 s"),
        }
        reply
    }

    /// Whether new requests may come.
    pub async fn ready(&self) -> Result<(), NotReady> {
        if self.draining.load(Ordering::SeqCst) {
            return Err(NotReady::Draining);
        }
        match self.ping().await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(NotReady::Store),
        }
    }
}

#[derive(Clone)]
struct Admin {
    metrics: Metrics,
    health: Arc<Health>,
}

/// The listener's three pages.
pub fn router(metrics: Metrics, health: Arc<Health>) -> Router {
    Router::new()
        .route("/metrics", get(exposition))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .with_state(Admin { metrics, health })
}

/// Serves [`router`] until `stop` is done.
pub async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
}

async fn exposition(State(admin): State<Admin>) -> Response {
    match admin.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, EXPOSITION)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn readiness(State(admin): State<Admin>) -> Response {
    match admin.health.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ports::Stored;
    use crate::clock::Timestamp;
    use crate::digest::SubjectDigest;
    use crate::id::UserId;

    struct Engine {
        up: AtomicBool,
    }

    #[async_trait::async_trait]
    impl Upkeep for Engine {
        async fn ping(&self) -> Stored<()> {
            if self.up.load(Ordering::SeqCst) {
                Ok(())
            } else {
                Err(StoreError::Unavailable("disk on fire".to_owned()))
            }
        }
        async fn purge(&self, _now: Timestamp) -> Stored<u64> {
            Ok(0)
        }
        async fn reset_user(&self, _: UserId, _: SubjectDigest, _: Timestamp) -> Stored<()> {
            Ok(())
        }
    }

    async fn get(base: &str, path: &str) -> (u16, String, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let answer = reqwest::get(format!("{base}{path}")).await.unwrap();
        let status = answer.status().as_u16();
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (status, kind, answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn pages_say_how_the_process_is() {
        let engine = Arc::new(Engine {
            up: AtomicBool::new(true),
        });
        let health = Arc::new(Health::new(Arc::clone(&engine) as _));
        let router = router(Metrics::new().unwrap(), Arc::clone(&health));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, router, async {
            let _ = stopped.await;
        }));

        let (status, kind, text) = get(&base, "/metrics").await;
        assert_eq!((status, kind.as_str()), (200, EXPOSITION));
        assert!(text.contains("vestibule_build_info{"));
        assert_eq!(get(&base, "/healthz").await.2, "ok\n");
        assert_eq!(get(&base, "/readyz").await.0, 200);

        engine.up.store(false, Ordering::SeqCst);
        let (status, _, why) = get(&base, "/readyz").await;
        assert_eq!((status, why.as_str()), (503, "the store does not answer\n"));
        assert_eq!(get(&base, "/healthz").await.0, 200);

        engine.up.store(true, Ordering::SeqCst);
        health.drain();
        let (status, _, why) = get(&base, "/readyz").await;
        assert_eq!(status, 503);
        assert!(why.starts_with("draining"));

        drop(stop);
        server.await.unwrap().unwrap();
    }
}
