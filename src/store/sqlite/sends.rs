//! The limits on sending codes.

use super::Sqlite;
use crate::auth::ports::{Reserved, SendLimit, SendRequest, Stored};
use crate::clock::Timestamp;
use crate::id::SendId;
use crate::store::rules::{self, Window};
use sqlx::sqlite::SqliteConnection;

/// When the `max`-th newest send that counts against the limit was made.
async fn full_since(
    conn: &mut SqliteConnection,
    request: &SendRequest,
    window: &Window,
    now: Timestamp,
) -> Stored<Option<Timestamp>> {
    let Some(skipped) = window.max.checked_sub(1) else {
        return Ok(None);
    };
    let (since, recipient) = (window.since(now).0, &request.recipient.0[..]);
    let query = match window.limit {
        SendLimit::Resend | SendLimit::User => sqlx::query_scalar(
            "SELECT at FROM sends WHERE at > ?1 AND user_id = ?3 ORDER BY at DESC LIMIT 1 OFFSET ?2",
        ),
        SendLimit::Number => sqlx::query_scalar(
            "SELECT at FROM sends WHERE at > ?1 AND recipient = ?3 ORDER BY at DESC LIMIT 1 OFFSET ?2",
        ),
        SendLimit::Gateway => sqlx::query_scalar(
            "SELECT at FROM sends WHERE at > ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2",
        ),
        SendLimit::Prefix => sqlx::query_scalar(
            "SELECT at FROM sends WHERE at > ?1 AND prefix = ?3 ORDER BY at DESC LIMIT 1 OFFSET ?2",
        ),
    };
    let query = query.bind(since).bind(skipped);
    let query = match window.limit {
        SendLimit::Resend | SendLimit::User => query.bind(request.user.0),
        SendLimit::Number => query.bind(recipient),
        SendLimit::Gateway => query,
        SendLimit::Prefix => query.bind(request.prefix.as_str()),
    };
    let at: Option<i64> = query.fetch_optional(conn).await?;
    Ok(at.map(Timestamp))
}

impl Sqlite {
    /// Counts and reserves in one step.
    pub(super) async fn reserve(&self, request: SendRequest, now: Timestamp) -> Stored<Reserved> {
        let mut tx = self.begin().await?;
        let mut waits = Vec::new();
        for window in rules::windows(&request) {
            let full_since = full_since(&mut tx, &request, &window, now).await?;
            waits.push((window.limit, window.wait_secs(full_since, now)));
        }
        if let Some((limit, retry_after_secs)) = rules::longest_wait(waits) {
            return Ok(Reserved::No {
                limit,
                retry_after_secs,
            });
        }
        let id = sqlx::query_scalar(
            "INSERT INTO sends (user_id, recipient, prefix, at) VALUES (?1, ?2, ?3, ?4) RETURNING id",
        )
        .bind(request.user.0)
        .bind(&request.recipient.0[..])
        .bind(&request.prefix)
        .bind(now.0)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Reserved::Yes(SendId(id)))
    }
}
