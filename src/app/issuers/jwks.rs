//! An issuer's keys, fetched and kept fresh: in the background, and when a token names a new one.

use super::fetch::Client;
use crate::clock::{Clock, Timestamp};
use crate::gate::Unavailable;
use crate::identity::budget::Budget;
use crate::identity::jwt::KeySet;
use crate::observe::metrics::IssuerOutcome;
use arc_swap::ArcSwapOption;
use reqwest::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;

const ANSWER_BYTES_MAX: usize = 256 << 10;
/// An issuer may ask for its keys to be fetched more often than configured, but not more often than this.
const REFRESH_MIN: Duration = Duration::from_secs(30);
/// After a failure.
const RETRY: Duration = Duration::from_secs(15);
/// While the issuer is down, the last good keys go on for so long.
const STALE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Fetches beside those in the background: for tokens that name unknown keys, which anybody can make.
const EXTRA_MAX: u32 = 3;
const EXTRA_PER: Duration = Duration::from_secs(30);

/// Keys as they were fetched.
pub(super) struct Held {
    pub(super) keys: Arc<KeySet>,
    etag: Option<HeaderValue>,
    /// When the issuer last said so.
    confirmed_at: Timestamp,
    good_for: Duration,
}

/// The keys behind a URL.
pub(super) struct Fetched {
    source: Arc<Source>,
    /// Fetches in the background; ends with this.
    following: JoinHandle<()>,
}

struct Source {
    url: String,
    refresh: Duration,
    client: Client,
    clock: Arc<dyn Clock>,
    held: ArcSwapOption<Held>,
    /// One fetch at a time.
    turn: Arc<Mutex<()>>,
    extra: Budget,
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Fetched {
    /// Begins to fetch. Needs a tokio runtime.
    pub(super) fn start(
        url: String,
        refresh: Duration,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let source = Arc::new(Source {
            url,
            refresh,
            client,
            clock,
            held: ArcSwapOption::empty(),
            turn: Arc::default(),
            extra: Budget::new(EXTRA_MAX, EXTRA_PER),
        });
        // Taken before anybody else can: the first keys are waited for, not fetched twice.
        let turn = Arc::clone(&source.turn).try_lock_owned().ok();
        let following = tokio::spawn(Arc::clone(&source).follow(turn));
        Self { source, following }
    }

    /// The keys at hand. Waits for the first ones.
    pub(super) async fn current(&self) -> Result<Arc<Held>, Unavailable> {
        let source = &self.source;
        if let Some(held) = source.usable() {
            return Ok(held);
        }
        let _turn = source.turn.lock().await;
        if source.usable().is_none() && source.extra.take(source.clock.now()) {
            source.fetch().await?;
        }
        source.usable().ok_or(Unavailable)
    }

    /// Keys that are newer than these, if there are any or may be asked for now.
    pub(super) async fn newer_than(&self, held: &Arc<Held>) -> Option<Arc<Held>> {
        let source = &self.source;
        let _turn = source.turn.lock().await;
        let newer = || source.usable().filter(|now| !Arc::ptr_eq(now, held));
        if newer().is_none() && source.extra.take(source.clock.now()) {
            // Logged and counted; the keys at hand go on.
            let _ = source.fetch().await;
        }
        newer()
    }
}

impl Source {
    async fn follow(self: Arc<Self>, mut first: Option<OwnedMutexGuard<()>>) {
        loop {
            let turn = match first.take() {
                Some(turn) => turn,
                None => Arc::clone(&self.turn).lock_owned().await,
            };
            // Somebody may have fetched meanwhile.
            let fetched = match self.good_for() {
                Some(_) => Ok(()),
                None => self.fetch().await,
            };
            drop(turn);
            let retry = self.refresh.min(RETRY);
            let pause = fetched.ok().and_then(|()| self.good_for()).unwrap_or(retry);
            tokio::time::sleep(pause).await;
        }
    }

    /// How long the keys at hand need not be fetched again; `None`: they must be now.
    fn good_for(&self) -> Option<Duration> {
        let held = self.held.load_full()?;
        let age = Duration::from_secs(self.clock.now().secs_since(held.confirmed_at));
        held.good_for
            .checked_sub(age)
            .filter(|left| !left.is_zero())
    }

    fn usable(&self) -> Option<Arc<Held>> {
        let now = self.clock.now();
        self.held
            .load_full()
            .filter(|held| now < held.confirmed_at.after(STALE_MAX))
    }

    /// Fetches once. Its caller has the turn.
    async fn fetch(&self) -> Result<(), Unavailable> {
        let before = self.held.load_full();
        let mut request = self
            .client
            .http
            .get(&self.url)
            .header(ACCEPT, "application/jwk-set+json, application/json");
        if let Some(etag) = before.as_deref().and_then(|held| held.etag.clone()) {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = self.client.send(request).await?;
        let held = match (answer.status(), before) {
            (StatusCode::NOT_MODIFIED, Some(before)) => {
                self.client.answered(IssuerOutcome::Unchanged);
                Held {
                    keys: Arc::clone(&before.keys),
                    etag: before.etag.clone(),
                    confirmed_at: self.clock.now(),
                    good_for: good_for(answer.headers(), self.refresh),
                }
            }
            (StatusCode::OK, _) => self.read(answer).await?,
            (status, _) => return Err(self.client.unusable(&format!("its status is {status}"))),
        };
        self.held.store(Some(Arc::new(held)));
        Ok(())
    }

    async fn read(&self, answer: Response) -> Result<Held, Unavailable> {
        let etag = answer.headers().get(ETAG).cloned();
        let good_for = good_for(answer.headers(), self.refresh);
        let body = self.client.body(answer, ANSWER_BYTES_MAX).await?;
        let keys = KeySet::from_jwks(&body);
        let keys = keys.map_err(|error| self.client.unusable(&error.to_string()))?;
        self.client.answered(IssuerOutcome::Fetched);
        Ok(Held {
            keys: Arc::new(keys),
            etag,
            confirmed_at: self.clock.now(),
            good_for,
        })
    }
}

/// How long an answer is good (RFC 9111 section 5.2.2): as long as configured, or shorter if it says so.
fn good_for(headers: &HeaderMap, refresh: Duration) -> Duration {
    let shortest = REFRESH_MIN.min(refresh);
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let directives = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase());
    let spans = directives.filter_map(|directive| match directive.as_str() {
        "no-store" | "no-cache" => Some(shortest),
        _ => {
            let secs = directive.strip_prefix("max-age=")?.trim_matches('"');
            Some(Duration::from_secs(secs.parse().ok()?))
        }
    });
    spans.min().unwrap_or(refresh).clamp(shortest, refresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_can_shorten_the_time_but_not_to_nothing() {
        let refresh = Duration::from_secs(300);
        let secs = |lines: &[&'static str], refresh| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
            }
            good_for(&headers, refresh).as_secs()
        };
        assert_eq!(secs(&[], refresh), 300);
        assert_eq!(secs(&["public, max-age=120"], refresh), 120);
        assert_eq!(secs(&["Max-Age=\"120\""], refresh), 120);
        assert_eq!(secs(&["max-age=86400"], refresh), 300);
        assert_eq!(secs(&["max-age=0"], refresh), 30);
        assert_eq!(secs(&["max-age=120", "no-cache"], refresh), 30);
        assert_eq!(secs(&["max-age=-1"], refresh), 300);
        assert_eq!(secs(&["max-age=99999999999999999999"], refresh), 300);
        assert_eq!(secs(&["no-store"], Duration::from_secs(5)), 5);
    }
}
