//! How a command reaches the operator's API: over the admin socket where a gateway runs, else in this
//! process, over the store. What is asked and answered is the same.

use super::error::CliError;
use super::socket;
use crate::auth::signing::Signer;
use crate::clock::SystemClock;
use crate::config;
use crate::config::model::{Config, StoreEngine};
use crate::entropy::OsEntropy;
use crate::observe::audit::Audit;
use crate::observe::metrics::Metrics;
use crate::operator::wire::LIMIT_MAX;
use crate::operator::{self, Caller, Operator, Page};
use crate::store;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use http::{Method, Request, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

/// The longest that the running gateway may take for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// The longest that an answer without an end is read.
const FOLLOWED_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Bytes of an answer: a thousand items of a list have room.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Someone who answers the operator's API.
pub(super) struct Client(Transport);

enum Transport {
    Gateway {
        http: reqwest::Client,
        socket: PathBuf,
    },
    Here {
        router: Box<Router>,
        /// To be waited for, where it is this command's own.
        audit: Option<Audit>,
    },
}

/// Parameters of a query; those without a value are left out.
pub(super) type Query<'a> = [(&'a str, Option<String>)];

impl Client {
    /// Finds the running gateway, for which none of the config's secrets is read, or opens the store.
    pub(super) async fn open(path: &Path) -> Result<Self, CliError> {
        match config::admin(path)?.socket {
            Some(socket) if is_answered(&socket)? => Self::of_gateway(&socket),
            _ => Self::of_store(config::load(path)?).await,
        }
    }

    /// Speaks to the gateway behind a socket.
    pub(super) fn of_gateway(socket: &Path) -> Result<Self, CliError> {
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .timeout(ANSWER_MAX)
            .build()
            .map_err(|error| CliError::Here(error.to_string()))?;
        Ok(Self(Transport::Gateway {
            http,
            socket: socket.to_owned(),
        }))
    }

    async fn of_store(config: Config) -> Result<Self, CliError> {
        if matches!(config.store.engine, StoreEngine::Memory) {
            return Err(CliError::MemoryStore);
        }
        let engine = &config.store.engine;
        let (store, keys) = store::open(engine, &config.store.key, Arc::new(OsEntropy)).await?;
        let metrics = Metrics::new()?;
        let audit = Audit::start(store.clone(), Arc::new(SystemClock), metrics);
        let signer = Signer::new(
            Arc::clone(&store) as _,
            Arc::new(SystemClock),
            Arc::new(OsEntropy),
        );
        let operator = Operator {
            store,
            signer: Arc::new(signer),
            keys,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            events: Arc::new(audit.clone()),
            config: Arc::new(ArcSwap::from_pointee(config)),
            gate: None,
            metrics: None,
        };
        Ok(Self(Transport::Here {
            router: Box::new(operator::router(operator)),
            audit: Some(audit),
        }))
    }

    /// Speaks to a gateway of this very process.
    pub(super) fn of_this_process(operator: Operator) -> Self {
        Self(Transport::Here {
            router: Box::new(operator::router(operator)),
            audit: None,
        })
    }

    /// Waits until what was done is in the audit trail.
    pub(super) async fn close(self) -> Result<(), CliError> {
        if let Transport::Here {
            audit: Some(audit), ..
        } = &self.0
        {
            audit.flush().await?;
        }
        Ok(())
    }

    /// Asks for one thing.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query<'_>,
    ) -> Result<T, CliError> {
        let uri = uri(path, query);
        self.ask(Method::GET, &uri, Vec::new()).await
    }

    /// Asks for a whole list, however many parts it comes in.
    pub(super) async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query<'_>,
    ) -> Result<Page<T>, CliError> {
        self.walk(path, query, "after", u32::MAX).await
    }

    /// The same of a list whose newest come first, up to so many items.
    pub(super) async fn newest<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query<'_>,
        max: u32,
    ) -> Result<Page<T>, CliError> {
        self.walk(path, query, "before", max).await
    }

    /// Asks for a list up to so many items; `cursor` is the parameter that asks for the next part.
    async fn walk<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query<'_>,
        cursor: &str,
        max: u32,
    ) -> Result<Page<T>, CliError> {
        let (mut all, mut next, mut left) = (Vec::new(), None, max);
        loop {
            let mut query = query.to_vec();
            query.push(("limit", Some(left.min(LIMIT_MAX).to_string())));
            query.push((cursor, next));
            let page: Page<T> = self.get(path, &query).await?;
            left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
            all.extend(page.items);
            next = page.next;
            if next.is_none() || left == 0 {
                return Ok(Page { items: all, next });
            }
        }
    }

    /// Hands out the lines of an answer without an end, until `each` has had enough. An answer that
    /// does end says why in its last line.
    pub(super) async fn follow<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query<'_>,
        mut each: impl FnMut(T) -> Result<bool, CliError>,
    ) -> Result<(), CliError> {
        let mut answer = self.open_stream(&uri(path, query)).await?;
        let mut text = Vec::new();
        while let Some(bytes) = answer.next().await? {
            text.extend_from_slice(&bytes);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let item = serde_json::from_slice(&line);
                let item = item.map_err(|error| refusal(&line, &error.to_string()))?;
                if !each(item)? {
                    return Ok(());
                }
            }
        }
        Err(refusal(&text, "it ended without a word"))
    }

    async fn open_stream(&self, uri: &str) -> Result<Stream, CliError> {
        let (status, mut stream) = match &self.0 {
            Transport::Gateway { http, socket } => {
                let request = http.get(uri).timeout(FOLLOWED_MAX);
                let answer = request.send().await;
                let answer = answer.map_err(|error| not_answered(socket, error))?;
                (answer.status(), Stream::Gateway(socket.clone(), answer))
            }
            Transport::Here { router, .. } => {
                let answer = here(router, Method::GET, uri, Vec::new()).await?;
                (answer.status(), Stream::Here(answer.into_body()))
            }
        };
        if status.is_success() {
            return Ok(stream);
        }
        let mut text = Vec::new();
        while let Some(bytes) = stream.next().await? {
            text.extend_from_slice(&bytes);
        }
        Err(refusal(&text, &status.to_string()))
    }

    /// Has something made, changed or ended.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &Query<'_>,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let body = serde_json::to_vec(body)?;
        self.ask(method, &uri(path, query), body).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        uri: &str,
        body: Vec<u8>,
    ) -> Result<T, CliError> {
        let (status, bytes) = self.exchange(method, uri, body).await?;
        if !status.is_success() {
            return Err(refusal(&bytes, &status.to_string()));
        }
        let read = serde_json::from_slice(&bytes);
        read.map_err(|error| CliError::OtherVersion(format!("{status}, {error}")))
    }

    async fn exchange(
        &self,
        method: Method,
        uri: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), CliError> {
        match &self.0 {
            Transport::Gateway { http, socket } => {
                let fail = |error| not_answered(socket, error);
                let request = http.request(method, uri).body(body);
                let answer = request.send().await.map_err(fail)?;
                let status = answer.status();
                Ok((status, answer.bytes().await.map_err(fail)?))
            }
            Transport::Here { router, .. } => {
                let answer = here(router, method, uri, body).await?;
                let status = answer.status();
                let bytes = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await;
                let bytes = bytes.map_err(|error| CliError::Here(error.to_string()))?;
                Ok((status, bytes))
            }
        }
    }
}

/// A request to the router of this process.
async fn here(
    router: &Router,
    method: Method,
    uri: &str,
    body: Vec<u8>,
) -> Result<Response<Body>, CliError> {
    let uid = socket::own_uid().map_err(CliError::Runtime)?;
    let request = Request::builder().method(method).uri(uri);
    let request = request.extension(Caller { uid }).body(Body::from(body));
    let request = request.map_err(|error| CliError::Here(error.to_string()))?;
    let Ok(answer) = router.clone().oneshot(request).await;
    Ok(answer)
}

/// What an answer says that is none.
fn refusal(text: &[u8], otherwise: &str) -> CliError {
    match serde_json::from_slice(text) {
        Ok(problem) => CliError::Refused(Box::new(problem)),
        Err(_) => CliError::OtherVersion(otherwise.to_owned()),
    }
}

/// An answer that comes piece by piece.
enum Stream {
    Gateway(PathBuf, reqwest::Response),
    Here(Body),
}

impl Stream {
    async fn next(&mut self) -> Result<Option<Bytes>, CliError> {
        match self {
            Self::Gateway(socket, answer) => {
                let next = answer.chunk().await;
                next.map_err(|error| not_answered(socket, error))
            }
            Self::Here(body) => loop {
                let frame =
                    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
                let Some(frame) = frame.await else {
                    return Ok(None);
                };
                let frame = frame.map_err(|error| CliError::Here(error.to_string()))?;
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            },
        }
    }
}

fn not_answered(socket: &Path, error: reqwest::Error) -> CliError {
    let error = error.without_url();
    let mut causes =
        std::iter::successors(Some(&error as &(dyn Error + 'static)), |it| (*it).source());
    let io = causes.find_map(|cause| cause.downcast_ref::<io::Error>());
    match io {
        Some(io) if !error.is_timeout() => unusable(socket, io),
        _ => CliError::NoAnswerAt {
            path: socket.to_owned(),
            cause: error.to_string(),
        },
    }
}

/// Whether a gateway is behind the socket. A dead gateway's file is not, but one that must not be
/// touched is an error: the store is not to be opened behind a running gateway's back.
pub(super) fn is_answered(socket: &Path) -> Result<bool, CliError> {
    match std::os::unix::net::UnixStream::connect(socket) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(false),
            _ => Err(unusable(socket, &error)),
        },
    }
}

/// What kept the socket from being used says what is to be done.
fn unusable(socket: &Path, error: &io::Error) -> CliError {
    let (path, cause) = (socket.to_owned(), error.to_string());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CliError::NotRunning(path),
        io::ErrorKind::PermissionDenied => CliError::NotPermitted { path, cause },
        _ => CliError::NoAnswerAt { path, cause },
    }
}

/// The path of one of a list's things: `/v1/users/anna`.
pub(super) fn of(list: &str, name: &str) -> String {
    format!("{list}/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

/// The host is nobody: the socket decides who answers.
fn uri(path: &str, query: &Query<'_>) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for (name, value) in query {
        if let Some(value) = value {
            pairs.append_pair(name, value);
        }
    }
    match pairs.finish() {
        none if none.is_empty() => format!("http://vestibule{path}"),
        query => format!("http://vestibule{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_stay_one_part_of_the_address() {
        assert_eq!(of("/v1/users", "a/b c?"), "/v1/users/a%2Fb%20c%3F");
        let query = [("user", Some("a&b=c".to_owned())), ("after", None)];
        let uri = uri("/v1/sessions", &query);
        assert_eq!(uri, "http://vestibule/v1/sessions?user=a%26b%3Dc");
    }
}
