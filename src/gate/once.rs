//! Requests that are let through once: each spends a success token.
//!
//! It is spent last, by a request that is refused for nothing else, and never on behalf of others
//! that ask the same at the same time.

use super::{Decision, Gate, Grant, Question, Refusal, Unavailable, covers, permit};
use crate::config::model::Requirement;

impl Gate {
    pub(super) async fn admit_once(&self, question: &Question<'_>) -> Decision {
        let Some(presented) = question.presented else {
            return self.admit_without_token(question).await;
        };
        let of_pair = Question {
            demand: question.demand.without_spending(),
            ..*question
        };
        let grant = match self.admit_pair(&of_pair).await {
            Decision::Permit(permit) => permit.grant,
            refused @ Decision::Refuse(_) => return refused,
        };
        let Grant::Session { holder, .. } = &grant else {
            return Decision::Refuse(Refusal::Unavailable);
        };
        // Of another holder than a moment ago, something else may be asked.
        if question.demand.of(holder.person()) != Requirement::SuccessToken {
            return Decision::Refuse(Refusal::Unavailable);
        }
        let missing = Refusal::SuccessTokenRequired {
            holder: Some(holder.clone()),
        };
        let Some(success) = question.success_token else {
            return Decision::Refuse(missing);
        };
        let token = Some(presented.token);
        let spending = self.witness.spend_success(question.realm, success, token);
        match spending.await {
            Ok(Some(spent)) if spent.user == holder.user => permit(grant),
            Ok(_) => Decision::Refuse(missing),
            Err(Unavailable) => Decision::Refuse(Refusal::Unavailable),
        }
    }

    /// The success token stands in the place of a token: who restores a password has none.
    async fn admit_without_token(&self, question: &Question<'_>) -> Decision {
        let missing = Refusal::SuccessTokenRequired { holder: None };
        let Some(success) = question.success_token else {
            return Decision::Refuse(missing);
        };
        let spending = self.witness.spend_success(question.realm, success, None);
        match spending.await {
            Ok(Some(holder)) if covers(question, &holder) => permit(Grant::Token(holder)),
            Ok(Some(_)) => Decision::Refuse(Refusal::OutOfScope),
            Ok(None) => Decision::Refuse(missing),
            Err(Unavailable) => Decision::Refuse(Refusal::Unavailable),
        }
    }
}
