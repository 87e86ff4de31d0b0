//! A second look at what was let through and goes on: a WebSocket, a stream of events.
//!
//! It goes on for as long as a new request for it would be let through, and the gate is asked just
//! that. But looking is no use of the session, and it spends no success token.

use super::{Decision, Gate, Grant, Question, permit};
use crate::config::model::Requirement;

impl Gate {
    /// Decides again about what was let through: from memory, else from the store. The permit says
    /// when to look again; nothing may be forwarded by it.
    pub async fn look(&self, question: &Question<'_>) -> Decision {
        let requirement = match (question.requirement, question.presented) {
            // What was let through once stays so; the pair's session may still end.
            (Requirement::SuccessToken, None) => return permit(Grant::Open),
            (Requirement::SuccessToken, Some(_)) => Requirement::TwoFactor { within: None },
            (requirement, _) => requirement,
        };
        let background = Question {
            requirement,
            is_background: true,
            ..*question
        };
        self.admit(&background).await
    }
}
