//! What operators see: metrics, the audit trail, the log. Never a secret.

pub mod admin;
pub mod audit;
mod families;
pub mod log;
pub mod metrics;
pub mod timed;
pub mod traces;
