//! The gate's decision, after what must be asked before it: a password that stands for a token, and what
//! a share link in the path stands for.

use super::case::{Case, target};
use crate::auth::sign_in::{SignInContext, SignInError};
use crate::edge::proxy::Gateway;
use crate::edge::{head, headers};
use crate::gate::session::in_scope;
use crate::gate::{Checked, Decision, Known, Question, Refusal};
use crate::identity::basic;
use crate::policy::{self, Target};

impl Gateway {
    async fn decide(&self, question: &Question<'_>, case: &Case<'_>) -> Decision {
        if case.is_look {
            return match self.admit_password(case).await {
                Ok(()) => self.gate.look(question).await,
                Err(refusal) => Decision::Refuse(refusal),
            };
        }
        if let Checked::Decided(decision) = self.gate.check(question) {
            return decision;
        }
        match self.admit_password(case).await {
            Ok(()) => self.gate.admit(question).await,
            Err(refusal) => Decision::Refuse(refusal),
        }
    }

    /// Has a name and a password verified where they stand for a token that memory does not know.
    async fn admit_password(&self, case: &Case<'_>) -> Result<(), Refusal> {
        let token = case.token.as_deref();
        let Some(token) = token.filter(|token| basic::is_basic(token)) else {
            return Ok(());
        };
        let at = SignInContext {
            realm: &case.route.config.identity,
            keys: &case.route.keys,
            device: case.device(),
            route: &case.route.config.name,
            address: case.head.client.address,
        };
        let admitted = self.local.auth.admit_basic(at, token).await;
        admitted.map_err(|error| match error {
            SignInError::Wrong => Refusal::UnknownToken,
            SignInError::Closed => Refusal::Denied,
            SignInError::TooMany { retry_after_secs } => Refusal::TooManyTries { retry_after_secs },
            SignInError::Unavailable => Refusal::Unavailable,
        })
    }

    /// The decision and, for a share link of Vestibule's own (`/share/{token}/rest`), the path
    /// below the share's directory that is forwarded in the link's place. That path is asked
    /// about like any other, under the stricter policy of both.
    pub(super) async fn decide_with_share(
        &self,
        question: &Question<'_>,
        case: &Case<'_>,
    ) -> (Decision, Option<String>) {
        let (head, route) = (case.head, case.route);
        let token = question.presented.map(|presented| presented.token);
        let behind = token.and_then(|token| Some((token, head::behind_share(route, head, token)?)));
        let Some((token, rest)) = behind else {
            return (self.decide(question, case).await, None);
        };
        // A success token is spent on the path that is meant, not on the link, and that path says whether
        // the session is used.
        let link = Question {
            demand: question.demand.without_spending(),
            is_background: true,
            ..*question
        };
        let decision = self.decide(&link, case).await;
        let scope = match &decision {
            Decision::Permit(permit) => {
                headers::holder(permit.grant()).and_then(|holder| holder.scope().map(str::to_owned))
            }
            // A link stands outside its own directory until it is read as what it means.
            Decision::Refuse(Refusal::OutOfScope) => {
                match self.local.witness.holder(question.realm, token).await {
                    Ok(Known::Yes { holder, .. }) => holder.scope().map(str::to_owned),
                    Ok(Known::No) => None,
                    Err(_) => return (Decision::Refuse(Refusal::Unavailable), None),
                }
            }
            Decision::Refuse(_) => None,
        };
        let Some(scope) = scope else {
            return match decision {
                Decision::Permit(_) => (self.decide(question, case).await, None),
                decision => (decision, None),
            };
        };
        let path = format!("{scope}{rest}");
        if question.destination.is_some() || !in_scope(Some(&scope), &path) {
            return (Decision::Refuse(Refusal::OutOfScope), None);
        }
        let inside = Target {
            path: &path,
            destination: Some(question.path),
            ..target(head, route)
        };
        let inside = Question {
            demand: policy::required(inside),
            path: &path,
            is_background: policy::is_background(&route.config, head.method, &path),
            ..*question
        };
        (self.decide(&inside, case).await, Some(path))
    }
}
