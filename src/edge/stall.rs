//! Ends HTTP/2 requests whose body has stopped coming: Pingora has no timeout for them. Ends what a
//! request has opened when it may not go on (`tunnel`).
//!
//! An HTTP/1 body has `set_read_timeout`. An HTTP/2 body that stalls after the upstream has
//! answered would hold its stream and its upstream connection for ever, and nothing in Pingora's
//! phases runs while nothing happens. So the request runs beside a watchdog that drops it.

use super::proxy::Phases;
use super::tunnel;
use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

tokio::task_local! {
    /// The pulse of the request that this task serves, for [`Pulse::current`].
    static PULSE: Arc<Pulse>;
}

/// When the body of one request must go on.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Option<Deadline>>);

#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Instant,
    pause_max: Duration,
}

impl Pulse {
    /// The pulse that is watched over this request; `None` for HTTP/1.
    pub(crate) fn current() -> Option<Arc<Self>> {
        PULSE.try_with(Arc::clone).ok()
    }

    /// From now on the body may pause for this long.
    pub(crate) fn start(&self, pause_max: Duration) {
        self.set(Some(Deadline {
            at: Instant::now() + pause_max,
            pause_max,
        }));
    }

    /// A piece has come.
    pub(crate) fn beat(&self) {
        if let Some(Deadline { pause_max, .. }) = self.get() {
            self.start(pause_max);
        }
    }

    /// The body is whole.
    pub(crate) fn stop(&self) {
        self.set(None);
    }

    /// Returns when the body has paused for too long.
    async fn stalled(&self) {
        loop {
            let now = Instant::now();
            let wait = match self.get() {
                Some(deadline) if deadline.at <= now => return,
                Some(deadline) => deadline.at - now,
                None => Duration::from_secs(1),
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn get(&self) -> Option<Deadline> {
        self.0.lock().map_or(None, |deadline| *deadline)
    }

    fn set(&self, deadline: Option<Deadline>) {
        if let Ok(mut current) = self.0.lock() {
            *current = deadline;
        }
    }
}

/// The proxy with its watchdog: what connections are handed to.
pub struct Watched(Arc<HttpProxy<Phases>>);

impl Watched {
    /// Watches over the requests of `proxy`.
    pub(crate) fn new(proxy: Arc<HttpProxy<Phases>>) -> Self {
        Self(proxy)
    }
}

#[async_trait]
impl HttpServerApp for Watched {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let may_stall = session.is_http2() && !session.is_body_done();
        let request = tunnel::while_allowed(self.0.process_new_http(session, shutdown));
        let request = async { request.await.flatten() };
        if !may_stall {
            return request.await;
        }
        let pulse = Arc::new(Pulse::default());
        tokio::select! {
            reused = PULSE.scope(Arc::clone(&pulse), request) => reused,
            () = pulse.stalled() => {
                tracing::info!("an HTTP/2 request body stalled: its stream is reset");
                None
            }
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.0.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.0.server_options()
    }

    async fn http_cleanup(&self) {
        self.0.http_cleanup().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(200);
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_body_that_pauses_too_long_has_stalled() {
        let pulse = Arc::new(Pulse::default());
        pulse.start(PAUSE);
        tokio::time::timeout(PATIENCE, pulse.stalled())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_body_that_goes_on_or_is_whole_has_not() {
        let pulse = Pulse::default();
        pulse.start(PATIENCE);
        let began = pulse.get().unwrap().at;
        pulse.beat();
        assert!(pulse.get().unwrap().at >= began);
        pulse.stop();
        pulse.beat();
        assert!(pulse.get().is_none(), "a beat after the end starts nothing");
        assert!(tokio::time::timeout(PAUSE, pulse.stalled()).await.is_err());
    }

    #[tokio::test]
    async fn a_request_finds_its_own_pulse() {
        assert!(Pulse::current().is_none());
        let pulse = Arc::new(Pulse::default());
        let found = PULSE
            .scope(Arc::clone(&pulse), async { Pulse::current() })
            .await;
        assert!(Arc::ptr_eq(&found.unwrap(), &pulse));
    }
}
