//! What a watched sign-in teaches: whose its token is, and on which device.

use crate::auth::Auth;
use crate::auth::backend::Guess;
use crate::clock::Clock;
use crate::edge::watch::{Exchange, Learner};
use crate::event::{Event, EventKind, Events};
use crate::factor::phone::Phone;
use crate::identity::learn;
use crate::identity::witness::{LearnedToken, StoreWitness};
use crate::observe::audit::Audit;
use std::sync::Arc;

/// Reads exchanges and hands them to the witness.
pub(super) struct UpstreamLearner {
    witness: Arc<StoreWitness>,
    auth: Arc<Auth>,
    audit: Audit,
    clock: Arc<dyn Clock>,
}

impl UpstreamLearner {
    pub(super) fn new(
        witness: Arc<StoreWitness>,
        auth: Arc<Auth>,
        audit: Audit,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            witness,
            auth,
            audit,
            clock,
        }
    }
}

impl Learner for UpstreamLearner {
    fn learned(&self, exchange: Exchange) {
        let Some(learned) = learn::parse(
            &exchange.learn,
            exchange.request_content_type.as_deref(),
            &exchange.request_body,
            exchange.response_status,
            &exchange.response_body,
        ) else {
            return;
        };
        if let Some(guess) = exchange.guess {
            self.count(guess, true);
        }
        let region = exchange.phone_region.as_deref();
        let lifetime = exchange.learn.lifetime;
        self.witness.learned(LearnedToken {
            realm: exchange.realm,
            token: learned.token,
            user: learned.user,
            is_typed: false,
            phone: learned
                .phone
                .as_deref()
                .and_then(|raw| readable(raw, region)),
            email: learned.email,
            groups: learned.groups,
            said_at: None,
            device: exchange.device.or(learned.device),
            expires_at: lifetime.map(|lifetime| self.clock.now().after(lifetime)),
        });
        self.audit.emit(Event {
            kind: EventKind::SignedIn,
            user: None,
            route: exchange.route,
            address: Some(exchange.address),
            detail: "learned".to_owned(),
            uid: None,
        });
    }

    fn refused(&self, guess: Guess) {
        self.count(guess, false);
    }
}

impl UpstreamLearner {
    fn count(&self, guess: Guess, is_right: bool) {
        let auth = Arc::clone(&self.auth);
        tokio::spawn(async move {
            let counted = if is_right {
                auth.backend_accepted(guess).await
            } else {
                auth.backend_refused(guess).await
            };
            if let Err(error) = counted {
                tracing::error!(%error, "a sign-in at the backend was not counted");
            }
        });
    }
}

/// The backend's number, if it is one; a user without one cannot be sent codes, and is told so.
pub(super) fn readable(raw: &str, region: Option<&str>) -> Option<Phone> {
    Phone::parse(raw, region)
        .inspect_err(|error| tracing::warn!(%error, "a learned phone number is not usable"))
        .ok()
}
