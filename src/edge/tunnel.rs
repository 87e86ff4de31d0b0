//! What goes on once its answer has begun: WebSockets and streams of events.
//!
//! Each may last for days, so it goes on for as long as a new request for it would be let through.
//! The same question, by the same config, is asked again whenever a session ends that may be its
//! own, and from time to time for what nobody announces: the session's end, its idle time, a token
//! that others issue. Uploads and downloads are none of these: what began with a session finishes.
//! Requests that open nothing pay nothing for it.

use super::access::Ended;
use super::admit::{Asked, Carrier};
use super::exchange::Ctx;
use super::headers;
use super::proxy::{Gateway, Snapshot};
use crate::clock::Timestamp;
use crate::gate::session::Which;
use crate::gate::{Grant, Permit};
use crate::id::{SessionId, UserId};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType};
use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// How often the question is asked where no session ends.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Not more often than this, however short-lived the word about a token is.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// The error in the access line.
const SESSION_ENDED: &str = "SessionEnded";

/// Ends when its exchange has to.
pub(super) type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

tokio::task_local! {
    /// Of the request that this task serves.
    static ENDING: RefCell<Option<Ending>>;
}

/// Whether an answer opens what may go on for ever.
pub(super) fn is_opened_by(answer: &ResponseHeader) -> bool {
    let kind = answer.headers.get(CONTENT_TYPE);
    let is_events = || {
        let name = b"text/event-stream";
        let kind = kind
            .map_or(&b""[..], |kind| kind.as_bytes())
            .get(..name.len());
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name))
    };
    answer.status == StatusCode::SWITCHING_PROTOCOLS || answer.status.is_success() && is_events()
}

/// Runs a request for as long as what it has opened may go on; `None`: it was cut off.
pub(super) async fn while_allowed<T>(request: impl Future<Output = T>) -> Option<T> {
    let allowed = async {
        tokio::select! {
            // In this order, so that an ending that the request has just set is polled at once.
            biased;
            done = request => Some(done),
            () = poll_fn(poll_ending) => None,
        }
    };
    ENDING.scope(RefCell::default(), allowed).await
}

fn poll_ending(cx: &mut Context<'_>) -> Poll<()> {
    ENDING.with(|ending| match ending.borrow_mut().as_mut() {
        Some(ending) => ending.as_mut().poll(cx),
        None => Poll::Pending,
    })
}

/// An exchange was cut off: neither side has failed.
pub(super) fn session_ended() -> Box<Error> {
    Error::new(ErrorType::Custom(SESSION_ENDED)).into_down()
}

pub(super) fn is_session_ended(error: &Error) -> bool {
    *error.etype() == ErrorType::Custom(SESSION_ENDED)
}

/// A request that has opened something, as it came.
pub(super) struct Opener {
    pub(super) request: RequestHeader,
    pub(super) address: IpAddr,
    pub(super) tls: bool,
}

impl Opener {
    /// Returns when a request like this one would not be let through any more.
    pub(super) async fn allowed(&self, gateway: &Gateway, snapshot: &Arc<Snapshot>) {
        // Before the first look, so that no end is missed between the two.
        let mut endings = gateway.gate.endings();
        loop {
            let asked = Asked {
                request: &self.request,
                address: self.address,
                tls: self.tls,
                has_body: false,
                carrier: Carrier::Here,
            };
            let Some(permit) = gateway.look(&asked, snapshot).await else {
                return;
            };
            let held = Held::of(&permit, gateway.clock.now());
            // Either way it is time to look again.
            let _ = tokio::time::timeout(held.look_in, held.concerned(&mut endings)).await;
        }
    }
}

/// What is known of whoever an exchange goes on for.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    user: Option<UserId>,
    session: Option<SessionId>,
    look_in: Duration,
}

impl Held {
    fn of(permit: &Permit, now: Timestamp) -> Self {
        let (session, good_for) = match permit.grant() {
            Grant::Session { id, good_until, .. } => {
                let left = Duration::from_secs(good_until.secs_since(now));
                (Some(*id), left.clamp(LOOK_PAUSE, LOOK_EVERY))
            }
            Grant::Open | Grant::Token(_) => (None, LOOK_EVERY),
        };
        Self {
            user: headers::holder(permit.grant()).map(|holder| holder.user),
            session,
            look_in: good_for,
        }
    }

    /// Returns when a session has ended that may be this one.
    async fn concerned(&self, endings: &mut Receiver<Which>) {
        loop {
            match endings.recv().await {
                Ok(which) if !self.may_be(which) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                // Nobody is left who could tell.
                Err(RecvError::Closed) => pending().await,
            }
        }
    }

    fn may_be(&self, ended: Which) -> bool {
        let Some(user) = self.user else {
            return false;
        };
        match (self.session, ended) {
            (Some(session), ended) => ended.concerns(session, user),
            (None, Which::All) => true,
            (None, Which::User(one) | Which::UserBut(one, _)) => one == user,
            // A token alone is looked after from time to time.
            (None, Which::Session(_)) => false,
        }
    }
}

/// What Pingora's lane keeps of an open exchange: its own log phase is not run for one that is cut off.
pub(super) struct Tunnel {
    gateway: Arc<Gateway>,
    opener: Arc<Opener>,
    status: StatusCode,
    is_over: Arc<AtomicBool>,
    pub(super) bytes_in: usize,
    pub(super) bytes_out: usize,
}

impl Tunnel {
    /// Watches over the request that this task serves, from now on.
    pub(super) fn open(
        gateway: Arc<Gateway>,
        snapshot: Arc<Snapshot>,
        opener: Opener,
        status: StatusCode,
    ) -> Box<Self> {
        let (opener, is_over) = (Arc::new(opener), Arc::new(AtomicBool::new(false)));
        let ending = {
            let (gateway, opener, is_over) = (gateway.clone(), opener.clone(), is_over.clone());
            async move {
                opener.allowed(&gateway, &snapshot).await;
                is_over.store(true, Ordering::Relaxed);
            }
        };
        // Outside of `while_allowed` nothing could be cut off.
        let _ = ENDING.try_with(|slot| slot.replace(Some(Box::pin(ending))));
        Box::new(Self {
            gateway,
            opener,
            status,
            is_over,
            bytes_in: 0,
            bytes_out: 0,
        })
    }
}

impl Drop for Ctx {
    /// Writes the access line of an exchange that was cut off.
    fn drop(&mut self) {
        let tunnel = self.tunnel.take();
        let Some(tunnel) = tunnel.filter(|tunnel| tunnel.is_over.load(Ordering::Relaxed)) else {
            return;
        };
        let ended = Ended {
            request: &tunnel.opener.request,
            status: Some(tunnel.status.as_u16()),
            bytes_in: tunnel.bytes_in,
            bytes_out: tunnel.bytes_out,
            error: Some(&session_ended()),
        };
        tunnel.gateway.log(&ended, self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_upgrades_and_event_streams_go_on_for_ever() {
        let answer = |status: u16, kind: Option<&'static str>| {
            let mut answer = ResponseHeader::build(status, None).unwrap();
            if let Some(kind) = kind {
                answer.append_header(CONTENT_TYPE, kind).unwrap();
            }
            is_opened_by(&answer)
        };
        assert!(answer(101, None));
        assert!(answer(200, Some("text/event-stream")));
        assert!(answer(200, Some("Text/Event-Stream; charset=utf-8")));
        assert!(!answer(200, None));
        assert!(!answer(200, Some("text/event")));
        assert!(!answer(206, Some("application/octet-stream")));
        assert!(!answer(404, Some("text/event-stream")));
    }

    #[test]
    fn an_end_concerns_whose_session_it_is() {
        let (ann, bob) = (UserId(1), UserId(2));
        let (one, two) = (SessionId(1), SessionId(2));
        let held = |session| Held {
            user: Some(ann),
            session,
            look_in: LOOK_EVERY,
        };
        for (ended, of_session, of_token) in [
            (Which::All, true, true),
            (Which::User(ann), true, true),
            (Which::User(bob), false, false),
            (Which::Session(one), true, false),
            (Which::Session(two), false, false),
            (Which::UserBut(ann, two), true, true),
            (Which::UserBut(ann, one), false, true),
            (Which::UserBut(bob, two), false, false),
        ] {
            assert_eq!(held(Some(one)).may_be(ended), of_session, "{ended:?}");
            assert_eq!(held(None).may_be(ended), of_token, "{ended:?}");
        }
        let nobody = Held {
            user: None,
            session: None,
            look_in: LOOK_EVERY,
        };
        assert!(!nobody.may_be(Which::All));
    }

    #[tokio::test]
    async fn a_request_is_cut_off_when_its_ending_comes_and_not_before() {
        assert_eq!(while_allowed(async { 7 }).await, Some(7));
        let set = |ending: Ending| ENDING.with(|slot| *slot.borrow_mut() = Some(ending));
        let cut = while_allowed(async {
            set(Box::pin(tokio::time::sleep(Duration::from_millis(20))));
            pending::<()>().await;
        });
        assert_eq!(cut.await, None);
        let goes_on = while_allowed(async {
            set(Box::pin(pending()));
            tokio::time::sleep(Duration::from_millis(20)).await;
            7
        });
        assert_eq!(goes_on.await, Some(7));
    }
}
