//! What operators see: metrics, the audit trail, the log. Never a secret.

pub mod metrics;
