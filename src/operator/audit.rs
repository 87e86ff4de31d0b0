//! The audit trail, as operators search and follow it.
//!
//! Who follows reads the store's lines in their order, each once, and can go on later where it was: a
//! reader costs a small queue, whatever it does. One that does not read is let go, with a last line.

use super::code::Code;
use super::problem::{Naming, OperatorError, Problem};
use super::table::{Endpoint, Resource, endpoint, shape};
use super::users::OF_USER;
use super::wire::{Answer, Checked, limit};
use super::{Operator, Page};
use crate::auth::ports::{AuditLine, AuditQuery, User};
use crate::clock::Timestamp;
use crate::event::EventKind;
use crate::id::UserId;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Extension, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, routing};
use http_body::Frame;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Readers who follow at the same time.
const FOLLOWERS_MAX: usize = 16;
/// Lines that wait for a reader.
const QUEUE_LINES: usize = 256;
/// How long a reader may leave a full queue.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the store is looked at for new events.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Lines that are fetched at once.
const FETCH_LINES: u32 = 200;
/// One event on each line.
const NDJSON: &str = "application/x-ndjson";

pub(super) const RESOURCE: Resource = Resource {
    tag: "Audit",
    about: "What has happened, by whom and from where; the operators' own doings too.",
    endpoints: &[
        Endpoint {
            query: Some(shape::<Search>),
            errors: OF_USER,
            ..endpoint(
                "GET",
                "/v1/audit",
                "Events, newest first.",
                || routing::get(search),
                shape::<Page<AuditEntry>>,
            )
        },
        Endpoint {
            query: Some(shape::<Follow>),
            kind: NDJSON,
            errors: &[Code::TooManyFollowers],
            ..endpoint(
                "GET",
                "/v1/audit/stream",
                "Events as they happen, one JSON object a line, until the reader leaves. A reader who is too slow, a \
                 store that is down and a gateway that stops end it with a problem as the last line; `after` with the \
                 last `id` goes on where it was.",
                || routing::get(follow),
                shape::<AuditEntry>,
            )
        },
    ],
};

/// Which events.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// Only about this user: a name, a number (of somebody who was removed, too), or `id:` and a number.
    user: Option<String>,
    /// Tells namesakes apart.
    identity: Option<String>,
    /// Only of this kind.
    kind: Option<EventKind>,
    /// Only from this moment on (RFC 3339).
    since: Option<String>,
    /// Only before this moment (RFC 3339).
    until: Option<String>,
    /// Only from this client's address.
    address: Option<String>,
    /// How many at most: 1 to 1000, else 100.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only those with a number below this one: `next` of the part before.
    before: Option<i64>,
}

/// Where to begin.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Follow {
    /// Those with a number above this one; else those that happen from now on.
    after: Option<i64>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Event")]
pub struct AuditEntry {
    /// Strictly rising, never used again.
    pub id: i64,
    pub at: String,
    pub kind: EventKind,
    /// Whom it is about: the number, and, for as long as there is such a user, the name and the identity that it is
    /// of.
    pub user: Option<UserId>,
    pub name: Option<String>,
    pub identity: Option<String>,
    /// The route's name, or `operator`.
    pub route: String,
    pub address: Option<String>,
    pub detail: String,
}

async fn search(
    State(operator): State<Operator>,
    Checked(Query(asked)): Checked<Query<Search>>,
) -> Answer<Page<AuditEntry>> {
    let limit = limit(asked.limit)?;
    let user = match &asked.user {
        Some(user) => Some(operator.once_user(user, asked.identity.as_deref()).await?),
        None => None,
    };
    let address = asked.address.as_ref().map(|text| {
        let wrong = |_| OperatorError::NotAnAddress {
            place: "query/address",
            text: text.clone(),
        };
        text.parse::<IpAddr>().map_err(wrong)
    });
    let query = AuditQuery {
        user,
        kind: asked.kind,
        address: address.transpose()?,
        since: moment(asked.since.as_deref(), "query/since")?,
        until: moment(asked.until.as_deref(), "query/until")?,
        before: asked.before,
        limit: limit + 1,
    };
    let lines = operator.store.search_audit(query).await?;
    let page = Page::of(lines, limit, |line| line.id);
    let Page { items, next } = page;
    let items = operator.entries(&items).await?;
    Ok(Json(Page { items, next }))
}

impl Operator {
    /// The number of a user who may have been removed.
    async fn once_user(
        &self,
        wanted: &str,
        identity: Option<&str>,
    ) -> Result<UserId, OperatorError> {
        match self.find_user(wanted, identity, Naming::Query).await {
            Ok(user) => Ok(user.id),
            Err(unknown @ OperatorError::NoSuchUser { .. }) => {
                let number = wanted.strip_prefix("id:").unwrap_or(wanted).parse();
                number.map(UserId).map_err(|_| unknown)
            }
            Err(error) => Err(error),
        }
    }

    /// Lines of the trail with the names of those whom they are about.
    async fn entries(&self, lines: &[AuditLine]) -> Result<Vec<AuditEntry>, OperatorError> {
        let people = self.people(lines.iter().filter_map(|line| line.event.user));
        let people = people.await?;
        let name = |line: &AuditLine| people.get(&line.event.user?);
        Ok(lines.iter().map(|line| entry(line, name(line))).collect())
    }
}

fn moment(text: Option<&str>, place: &'static str) -> Result<Option<Timestamp>, OperatorError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let read = Timestamp::from_iso8601(text);
    let wrong = || OperatorError::NotAMoment {
        place,
        text: text.to_owned(),
    };
    read.map(Some).ok_or_else(wrong)
}

fn entry(line: &AuditLine, user: Option<&User>) -> AuditEntry {
    let event = &line.event;
    AuditEntry {
        id: line.id,
        at: line.at.iso8601(),
        kind: event.kind,
        user: event.user,
        name: user.map(|user| user.name.clone()),
        identity: user.map(|user| user.realm.clone()),
        route: event.route.clone(),
        address: event.address.map(|address| address.to_string()),
        detail: event.detail.clone(),
    }
}

/// Room for those who follow.
#[derive(Clone)]
pub(super) struct Followers(Arc<Semaphore>);

impl Default for Followers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FOLLOWERS_MAX)))
    }
}

/// Whether whoever serves the API is about to end: the sender is gone then.
#[derive(Clone)]
pub struct Stopping(pub watch::Receiver<()>);

async fn follow(
    State(operator): State<Operator>,
    Extension(followers): Extension<Followers>,
    stopping: Option<Extension<Stopping>>,
    Checked(Query(from)): Checked<Query<Follow>>,
) -> Result<Response, OperatorError> {
    let seat = followers.0.try_acquire_owned();
    let seat = seat.map_err(|_| OperatorError::TooManyFollowers { max: FOLLOWERS_MAX })?;
    let after = match from.after {
        Some(after) => after,
        None => operator.store.audit_head().await?,
    };
    let (queue, lines) = mpsc::channel(QUEUE_LINES);
    // Until the last line is there, the reader must not find the end.
    let end = queue.clone();
    let last = Arc::new(OnceLock::new());
    let follower = Follower {
        operator,
        after,
        queue,
        _seat: seat,
    };
    let (said, stopping) = (Arc::clone(&last), stopping.map(|Extension(it)| it.0));
    tokio::spawn(async move {
        if let Some(why) = follower.run(stopping).await {
            let _ = said.set(json_line(&Problem::from(&why)));
        }
        drop(end);
    });
    let body = Body::new(Lines { lines, last });
    Ok(([(header::CONTENT_TYPE, NDJSON)], body).into_response())
}

/// What reads the store for one who follows.
struct Follower {
    operator: Operator,
    after: i64,
    queue: mpsc::Sender<Bytes>,
    _seat: OwnedSemaphorePermit,
}

impl Follower {
    /// Why it has ended; `None`: the reader has left.
    async fn run(mut self, stopping: Option<watch::Receiver<()>>) -> Option<OperatorError> {
        let queue = self.queue.clone();
        tokio::select! {
            why = self.feed() => why,
            () = queue.closed() => None,
            () = stopped(stopping) => Some(OperatorError::Stopping),
        }
    }

    async fn next(&self) -> Result<Vec<AuditEntry>, OperatorError> {
        let store = &self.operator.store;
        let lines = store.audit_after(self.after, FETCH_LINES).await?;
        self.operator.entries(&lines).await
    }

    async fn feed(&mut self) -> Option<OperatorError> {
        loop {
            let entries = match self.next().await {
                Ok(entries) => entries,
                Err(error) => return Some(error),
            };
            if entries.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            for entry in &entries {
                let sent = self.queue.send_timeout(json_line(entry), PATIENCE);
                match sent.await {
                    Ok(()) => self.after = entry.id,
                    Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                        return Some(OperatorError::TooSlow { after: self.after });
                    }
                    Err(mpsc::error::SendTimeoutError::Closed(_)) => return None,
                }
            }
        }
    }
}

async fn stopped(stopping: Option<watch::Receiver<()>>) {
    match stopping {
        Some(mut stopping) => while stopping.changed().await.is_ok() {},
        None => std::future::pending().await,
    }
}

fn json_line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

/// The lines for a reader, and the last one.
struct Lines {
    lines: mpsc::Receiver<Bytes>,
    last: Arc<OnceLock<Bytes>>,
}

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = std::task::ready!(self.lines.poll_recv(context));
        let next = next.or_else(|| {
            // Said once: the next question finds another cell, which stays empty.
            std::mem::take(&mut self.last).get().cloned()
        });
        Poll::Ready(next.map(|line| Ok(Frame::data(line))))
    }
}
