//! A second look at what was let through and goes on: a WebSocket, a stream of events.
//!
//! It goes on for as long as a new request for it would be let through, and the gate is asked just
//! that. But looking is no use of the session, and it spends no success token.

use super::{Decision, Gate, Grant, Question, permit};
use crate::config::model::Requirement;
use crate::policy::Demand;

impl Gate {
    /// Decides again about what was let through: from memory, else from the store. The permit says
    /// when to look again; nothing may be forwarded by it.
    pub async fn look(&self, question: &Question<'_>) -> Decision {
        if let (Demand::Fixed(Requirement::SuccessToken), None) =
            (question.demand, question.presented)
        {
            // What was let through once stays so.
            return permit(Grant::Open);
        }
        let background = Question {
            // A pair's session may still end.
            demand: question.demand.without_spending(),
            is_background: true,
            ..*question
        };
        self.admit(&background).await
    }
}
