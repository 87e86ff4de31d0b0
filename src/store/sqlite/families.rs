//! Families of tokens.

use crate::auth::ports::{Issue, Stored};
use crate::clock::Timestamp;
use crate::gate::session::Session;
use sqlx::sqlite::SqliteConnection;

/// Begins a family with an access token that is stored already. `verified`: the session that its
/// sessions are renewed from, with the end that was asked for it.
pub(super) async fn issue(
    _conn: &mut SqliteConnection,
    _issue: &Issue,
    _verified: Option<&Session>,
    _now: Timestamp,
) -> Stored<()> {
    todo!()
}
