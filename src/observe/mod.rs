//! What operators see: metrics (as text and as numbers), the audit trail, the log. Never a secret.

pub mod admin;
pub mod audit;
mod families;
pub mod log;
pub mod metrics;
pub mod stats;
pub mod timed;
pub mod traces;
pub mod unanswered;
