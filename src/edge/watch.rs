//! Watches an upstream's own sign-in, so that its tokens become known here.
//!
//! Only the exchange that the identity's `learn.endpoint` names is watched. The request is read
//! whole (at most 64 KiB; more is refused) before it is forwarded, so that too many guesses at one
//! account stay here. The answer is held until it is whole, so that a token is known before its
//! client is; one that is larger, compressed or broken off is passed on and not learned from.

use crate::auth::backend::Guess;
use crate::config::model::{Identity, Learn};
use crate::digest::RealmKeys;
use crate::identity::learn::{self, TooManyNames};
use crate::request::RequestHead;
use crate::route::Route;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// What is held of a request or of an answer, in bytes. Pingora forwards no more than this of a
/// body that was read before.
pub(crate) const HELD_MAX: usize = 64 << 10;

/// A sign-in as it was seen on its way through, whole.
#[derive(Clone)]
pub struct Exchange {
    /// The identity's name.
    pub realm: String,
    pub learn: Learn,
    pub keys: RealmKeys,
    pub request_content_type: Option<String>,
    pub request_body: Bytes,
    pub response_status: StatusCode,
    pub response_body: Bytes,
    /// The device that the request's header, query or cookie names.
    pub device: Option<String>,
    /// How the backend's phone numbers without `+` are read.
    pub phone_region: Option<String>,
    /// The route's name.
    pub route: String,
    /// The client's address.
    pub address: IpAddr,
    /// Whom it counts for; `None` until it was allowed.
    pub guess: Option<Guess>,
}

impl fmt::Debug for Exchange {
    // Both bodies hold secrets: a password and a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("realm", &self.realm)
            .field("response_status", &self.response_status)
            .finish_non_exhaustive()
    }
}

/// Takes sign-ins that went by. It registers the token before it returns and does the rest
/// later: the client's answer waits for it.
pub trait Learner: Send + Sync + 'static {
    /// Hands over one exchange.
    fn learned(&self, exchange: Exchange);

    /// The backend refused a sign-in (401 or 403): one wrong password more.
    fn refused(&self, guess: Guess);
}

/// The watched endpoint, if this request is a sign-in.
pub(crate) fn sign_in<'r>(route: &'r Route, head: &RequestHead<'_>) -> Option<&'r Learn> {
    match &route.identity {
        Identity::Learn(learn) if head.method == Method::POST && head.path == learn.endpoint => {
            Some(learn)
        }
        Identity::Learn(_) | Identity::Accounts | Identity::Jwt(_) | Identity::Introspection(_) => {
            None
        }
    }
}

/// One exchange while it goes by. No `Debug`: it holds a password and a token.
pub(crate) struct Watch {
    exchange: Exchange,
    response: BytesMut,
    /// Where the head says it, the length of the answer.
    declared: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Watching,
    /// Learned, or given up: everything passes.
    Over,
}

impl Watch {
    pub(crate) fn new(
        route: &Arc<Route>,
        learn: &Learn,
        head: &RequestHead<'_>,
        device: Option<&str>,
    ) -> Self {
        let content_type = head.headers.get(CONTENT_TYPE);
        Self {
            exchange: Exchange {
                realm: route.config.identity.clone(),
                learn: learn.clone(),
                keys: route.keys.clone(),
                request_content_type: content_type
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned),
                request_body: Bytes::new(),
                response_status: StatusCode::OK,
                response_body: Bytes::new(),
                device: device.map(str::to_owned),
                phone_region: route.config.phone_region.clone(),
                route: route.config.name.clone(),
                address: head.client.address,
                guess: None,
            },
            response: BytesMut::new(),
            declared: None,
            state: State::Watching,
        }
    }

    /// The request's body, whole: whose password it tries.
    pub(crate) fn request(&mut self, body: Bytes) -> Result<Vec<String>, TooManyNames> {
        let content_type = self.exchange.request_content_type.as_deref();
        let names = learn::requested_names(&self.exchange.learn, content_type, &body);
        self.exchange.request_body = body;
        names
    }

    /// It may be forwarded.
    pub(crate) fn allow(&mut self, guess: Guess) {
        self.exchange.guess = Some(guess);
    }

    /// What is known of it so far.
    pub(crate) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The head of the answer goes by.
    pub(crate) fn response_head(&mut self, status: StatusCode, headers: &HeaderMap) {
        if status.is_informational() {
            return;
        }
        self.exchange.response_status = status;
        self.declared = super::body::declared_length(headers);
        let is_plain = headers
            .get(CONTENT_ENCODING)
            .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if !is_plain || self.declared.is_some_and(|len| len > HELD_MAX as u64) {
            self.state = State::Over;
        }
    }

    /// A piece of the answer: held until the answer is whole, then released with what is to be
    /// learned.
    pub(crate) fn response(&mut self, piece: &mut Option<Bytes>, is_end: bool) -> Option<Exchange> {
        if self.state == State::Over {
            return None;
        }
        if let Some(bytes) = piece.take() {
            self.response.extend_from_slice(&bytes);
        }
        if self.response.len() > HELD_MAX {
            self.state = State::Over;
            *piece = Some(self.response.split().freeze());
            return None;
        }
        let is_whole = self.declared == Some(self.response.len() as u64);
        if !is_end && !is_whole {
            return None;
        }
        self.state = State::Over;
        let whole = self.response.split().freeze();
        *piece = (!whole.is_empty()).then(|| whole.clone());
        Some(Exchange {
            response_body: whole,
            ..self.exchange.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::head::tests::{head, route};
    use http::HeaderValue;

    fn learn() -> Learn {
        Learn {
            endpoint: "/api/authtoken".to_owned(),
            token: "/token".to_owned(),
            user: "/user".to_owned(),
            phone: None,
            email: None,
            groups: None,
            probe: None,
            lifetime: None,
        }
    }

    fn watch(answer: &[(&'static str, &'static str)]) -> Watch {
        let route = Arc::new(route(Identity::Learn(learn()), Vec::new()));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let head = head(&Method::POST, "/api/authtoken", &headers);
        let mut watch = Watch::new(&route, &learn(), &head, Some("phone"));
        let mut headers = HeaderMap::new();
        for (name, value) in answer {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let names = watch.request(Bytes::from_static(b"{\"username\":\"ann\"}"));
        assert_eq!(names.unwrap(), ["ann"]);
        watch.response_head(StatusCode::CONTINUE, &HeaderMap::new());
        watch.response_head(StatusCode::CREATED, &headers);
        watch
    }

    /// One piece of the answer: what goes on to the client, and what is learned.
    fn piece(watch: &mut Watch, piece: &'static [u8], end: bool) -> (Vec<u8>, Option<Exchange>) {
        let mut body = (!piece.is_empty()).then(|| Bytes::from_static(piece));
        let exchange = watch.response(&mut body, end);
        (body.unwrap_or_default().to_vec(), exchange)
    }

    #[test]
    fn only_the_endpoint_is_watched() {
        let headers = HeaderMap::new();
        let learned = route(Identity::Learn(learn()), Vec::new());
        let is_watched = |method: &Method, path: &str| {
            sign_in(&learned, &head(method, path, &headers)).is_some()
        };
        assert!(is_watched(&Method::POST, "/api/authtoken"));
        assert!(!is_watched(&Method::GET, "/api/authtoken"));
        assert!(!is_watched(&Method::POST, "/api/authtoken/"));
        let accounts = route(Identity::Accounts, Vec::new());
        assert!(sign_in(&accounts, &head(&Method::POST, "/api/authtoken", &headers)).is_none());
    }

    #[test]
    fn the_token_is_learned_before_its_last_byte_is_passed_on() {
        let mut chunked = watch(&[]);
        assert_eq!(piece(&mut chunked, b"{\"token\":", false).0, b"");
        assert_eq!(piece(&mut chunked, b"\"t\"}", false).0, b"");
        let (passed, exchange) = piece(&mut chunked, b"", true);
        let exchange = exchange.unwrap();
        assert_eq!(passed, b"{\"token\":\"t\"}");
        assert_eq!(exchange.response_body, passed);
        assert_eq!(&exchange.request_body[..], b"{\"username\":\"ann\"}");
        assert_eq!(
            exchange.request_content_type.as_deref(),
            Some("application/json")
        );
        assert_eq!(exchange.response_status, StatusCode::CREATED);
        assert_eq!(exchange.device.as_deref(), Some("phone"));
        assert_eq!(exchange.realm, "local");
        let shown = format!("{exchange:?}");
        assert!(
            !shown.contains("ann") && !shown.contains("token"),
            "{shown}"
        );
    }

    #[test]
    fn a_known_length_ends_the_answer_even_if_nothing_says_so() {
        let mut sized = watch(&[("content-length", "4")]);
        assert!(piece(&mut sized, b"ab", false).1.is_none());
        let (passed, exchange) = piece(&mut sized, b"cd", false);
        assert_eq!(passed, b"abcd");
        assert!(exchange.is_some());
        let (passed, exchange) = piece(&mut sized, b"", true);
        assert_eq!(passed, b"");
        assert!(exchange.is_none(), "learned twice");
    }

    #[test]
    fn what_cannot_be_read_is_passed_on_and_not_learned() {
        for header in [("content-encoding", "gzip"), ("content-length", "65537")] {
            let mut passing = watch(&[header]);
            let (passed, exchange) = piece(&mut passing, b"abcd", true);
            assert_eq!(passed, b"abcd");
            assert!(exchange.is_none(), "{header:?}");
        }
        static HALF: [u8; HELD_MAX / 2 + 1] = [7; HELD_MAX / 2 + 1];
        let mut large = watch(&[]);
        assert_eq!(piece(&mut large, &HALF, false).0, b"");
        assert_eq!(piece(&mut large, &HALF, false).0, [HALF, HALF].concat());
        let (passed, exchange) = piece(&mut large, b"rest", true);
        assert_eq!(passed, b"rest");
        assert!(exchange.is_none());
    }
}
