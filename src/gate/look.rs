//! A second look at what was let through and goes on: a WebSocket, a stream of events.
//!
//! It goes on for as long as a new request for it would be let through, and the gate is asked just
//! that. But looking is no use of the session: it moves no last-seen time, puts nothing into the map
//! and spends no success token.

use super::{Decision, Gate, Grant, Question, at_once, decide_hot, permit};
use crate::config::model::Requirement;

impl Gate {
    /// Decides again about what was let through: from memory, else from the store. The permit says
    /// when to look again; nothing may be forwarded by it.
    pub async fn look(&self, question: &Question<'_>) -> Decision {
        let question = match (question.requirement, question.presented) {
            // What was let through once stays so; the pair's session may still end.
            (Requirement::SuccessToken, None) => return permit(Grant::Open),
            (Requirement::SuccessToken, Some(_)) => Question {
                requirement: Requirement::TwoFactor { within: None },
                ..*question
            },
            _ => *question,
        };
        let presented = match at_once(&question) {
            Ok(presented) => presented,
            Err(decision) => return decision,
        };
        let key = question.keys.session(presented.token, presented.device);
        let at = self.moment();
        let hot = self.map.peek(&key, at);
        match hot.and_then(|hot| decide_hot(&question, hot, at)) {
            Some(decision) => decision,
            None => self.ask_once(&question, presented, key, true).await,
        }
    }
}
