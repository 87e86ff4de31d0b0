//! What operators see: metrics, the audit trail, the log. Never a secret.

mod families;
pub mod metrics;
