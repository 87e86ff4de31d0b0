//! Who calls a local endpoint: from a token and a device to the use cases' [`Caller`].

use super::{Call, Local};
use crate::auth::ports::{FactorKind, User};
use crate::auth::{Caller, Standing};
use crate::config::model::Requirement;
use crate::digest::SessionKey;
use crate::gate::session::{Factor, Holder, Session, Which};
use crate::gate::{Decision, Known, Presented, Question, Refusal, Unavailable};
use crate::id::UserId;
use crate::identity::client;
use crate::policy::{self, Person};
use crate::request::{Client, RequestHead, Signs};
use crate::words::Words;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

impl Call {
    /// The head of this call, as identity reads it.
    pub(super) fn head(&self) -> RequestHead<'_> {
        RequestHead {
            method: &self.method,
            host: self.host.as_str().into(),
            path: self.path.as_str().into(),
            query: self.query.as_deref(),
            headers: &self.headers,
            signs: Signs::read(&self.headers),
            destination: None,
            has_encoded_slash: false,
            client: Client {
                address: self.address,
                tls: self.tls,
                is_proxy: false,
            },
        }
    }
}

impl Call {
    /// What the route asks of a user at the most: before any path is known, whether a second factor is
    /// needed, or nothing is open.
    pub(super) fn most_of(&self, user: &User) -> Requirement {
        self.most_at(self.address, user)
    }

    /// The same where another client of the user's asks.
    pub(super) fn most_at(&self, address: IpAddr, user: &User) -> Requirement {
        let person = Person {
            name: &user.name,
            groups: &user.groups,
        };
        policy::most(&self.route.config, person, address, None)
    }

    /// The same of whoever holds a token, on the paths that it opens.
    fn most(&self, holder: &Holder) -> Requirement {
        let person = holder.person();
        policy::most(&self.route.config, person, self.address, holder.scope())
    }

    /// Whether some path asks the holder for a second factor; a device that its share must count is asked on
    /// every one.
    pub(super) fn asks_factor(&self, holder: &Holder) -> bool {
        if holder.is_uncounted() {
            return true;
        }
        match self.most(holder) {
            Requirement::TwoFactor { .. } | Requirement::SuccessToken => true,
            Requirement::Nothing | Requirement::Token | Requirement::Deny => false,
        }
    }

    /// Whether every path is closed to the holder. Then our own endpoints are, too.
    pub(super) fn is_closed_to(&self, holder: &Holder) -> bool {
        self.most(holder) == Requirement::Deny
    }
}

impl Local {
    /// The caller with this token; `None` if nobody holds it. Without a device of its own, the
    /// caller speaks for the one that the token was issued to, or for the unnamed one.
    pub(super) async fn caller(
        &self,
        call: &Call,
        presented: Presented<'_>,
    ) -> Result<Option<Caller>, Unavailable> {
        let keys = &call.route.keys;
        let known = self
            .witness
            .holder(&call.route.config.identity, presented.token)
            .await?;
        let Known::Yes {
            holder,
            issued_pair,
            ..
        } = known
        else {
            return Ok(None);
        };
        let standing = self.standing(call, presented, &holder).await?;
        let pair = match (presented.device, issued_pair) {
            (None, Some(issued)) => issued,
            (device, _) => keys.session(presented.token, device),
        };
        Ok(Some(Caller {
            holder,
            token: keys.token(presented.token),
            pair,
            device_label: presented
                .device
                .map(|device| self.auth.keys.device_label(device)),
            standing,
            self_enrolment: call.route.config.self_enrolment,
            route: call.route.config.name.clone(),
            address: call.address,
            client: client::words(&call.headers),
            words: Words::of(&call.headers),
        }))
    }

    /// How far the gate would let this pair through: one question, since it tells a pair that was
    /// never verified from one that was verified too long ago.
    async fn standing(
        &self,
        call: &Call,
        presented: Presented<'_>,
        holder: &Holder,
    ) -> Result<Standing, Unavailable> {
        let question = Question {
            realm: &call.route.config.identity,
            keys: &call.route.keys,
            demand: Requirement::TwoFactor {
                within: Some(self.auth.settings.load().sudo),
                max_idle: None,
            }
            .into(),
            presented: Some(presented),
            // The pair is asked about, not a path: the one that every holder may open.
            success_token: None,
            path: holder.scope().unwrap_or("/"),
            destination: None,
            is_background: policy::is_background(&call.route.config, &call.method, &call.path),
        };
        match self.gate.admit(&question).await {
            Decision::Permit(_) => Ok(Standing::Sudo),
            Decision::Refuse(Refusal::SecondFactorRequired {
                max_age_secs: Some(_),
                ..
            }) => Ok(Standing::Verified),
            Decision::Refuse(Refusal::Unavailable) => Err(Unavailable),
            Decision::Refuse(_) => Ok(Standing::Token),
        }
    }

    /// Tells the gate of a pair that has just been verified, under every key that a request of it
    /// looks up. Where others issue the token, it is kept as long as their word holds; if they cannot
    /// be asked, or have taken it back, it is for the next request to find out.
    pub(super) async fn remember(
        &self,
        call: &Call,
        presented: Presented<'_>,
        pair: SessionKey,
        session: &Session,
    ) {
        let realm = &call.route.config.identity;
        let known = self.witness.holder(realm, presented.token).await;
        let at_most = match known {
            Ok(Known::Yes { fresh_for, .. }) => fresh_for,
            Ok(Known::No) | Err(Unavailable) => Some(Duration::ZERO),
        };
        self.gate.remember_for(pair, session, at_most);
        let unnamed = call.route.keys.session(presented.token, None);
        if presented.device.is_none() && unnamed != pair {
            self.gate.remember_alias(unnamed, session, at_most);
        }
    }

    /// Tells the gate of sessions that have ended. It scans its map. What the store has ended stays
    /// ended if this is cut short: the feed tells.
    pub(super) async fn forget(&self, which: Which) {
        let gate = Arc::clone(&self.gate);
        let _ = tokio::task::spawn_blocking(move || gate.forget(which)).await;
    }

    /// The second factors that a user has, by their names in the gate's answers. None where the
    /// store cannot be asked: the refusal that lists them must not fail on it.
    pub async fn methods(&self, user: UserId) -> Vec<&'static str> {
        match self.auth.factors(user).await {
            Ok(factors) => {
                let kinds = factors.kinds().map(FactorKind::as_str);
                let backup = (factors.backup_codes_left > 0).then_some(Factor::BackupCode.as_str());
                kinds.chain(backup).collect()
            }
            Err(error) => {
                tracing::error!(%error, "the factors of a user could not be read");
                Vec::new()
            }
        }
    }
}
