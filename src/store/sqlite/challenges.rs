//! Challenges and the limits on sending them.

use crate::auth::ports::Stored;
use crate::id::UserId;
use sqlx::sqlite::SqliteConnection;

#[cfg(any())]
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

#[cfg(any())]
async fn pending(
    conn: &mut SqliteConnection,
    pair: SessionKey,
    purpose: Purpose,
) -> Stored<Option<Pending>> {
    let row: Option<(i64, Vec<u8>, bool, i64, i64)> = sqlx::query_as(
        "SELECT user_id, code, state = 'pending', attempts_left, expires_at
         FROM challenges WHERE pair = ?1 AND purpose = ?2",
    )
    .bind(&pair.0[..])
    .bind(purpose.as_str())
    .fetch_optional(conn)
    .await?;
    let Some((user, code, is_pending, attempts_left, expires_at)) = row else {
        return Ok(None);
    };
    Ok(Some(Pending {
        user: UserId(user),
        code: digest(&code, CodeDigest::from_slice)?,
        is_pending,
        attempts_left: count(attempts_left)?,
        expires_at: Timestamp(expires_at),
    }))
}

#[cfg(any())]
async fn set_state(
    conn: &mut SqliteConnection,
    attempt: &Attempt,
    state: &'static str,
    attempts_left: Option<u32>,
) -> Stored<()> {
    sqlx::query(
        "UPDATE challenges SET state = ?3, attempts_left = coalesce(?4, attempts_left)
         WHERE pair = ?1 AND purpose = ?2",
    )
    .bind(&attempt.pair.0[..])
    .bind(attempt.purpose.as_str())
    .bind(state)
    .bind(attempts_left)
    .execute(conn)
    .await?;
    Ok(())
}

/// Voids what is pending for a user.
pub(super) async fn void(conn: &mut SqliteConnection, user: UserId) -> Stored<()> {
    sqlx::query("UPDATE challenges SET state = 'void' WHERE user_id = ?1 AND state = 'pending'")
        .bind(user.0)
        .execute(conn)
        .await?;
    Ok(())
}

#[cfg(any())]
#[async_trait]
impl Challenges for Sqlite {
    async fn reserve_send(&self, request: SendRequest, now: Timestamp) -> Stored<Reserved> {
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

    async fn release_send(&self, id: SendId) -> Stored<()> {
        sqlx::query("DELETE FROM sends WHERE id = ?1")
            .bind(id.0)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn put_challenge(&self, challenge: NewChallenge) -> Stored<()> {
        sqlx::query(
            "INSERT OR REPLACE INTO challenges (pair, purpose, user_id, factor, code, state,
                                                attempts_left, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?7, ?8)",
        )
        .bind(&challenge.pair.0[..])
        .bind(challenge.purpose.as_str())
        .bind(challenge.user.0)
        .bind(challenge.factor.as_str())
        .bind(&challenge.code.0[..])
        .bind(challenge.attempts)
        .bind(challenge.created_at.0)
        .bind(challenge.expires_at.0)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    async fn attempt(&self, attempt: Attempt, now: Timestamp) -> Stored<Attempted> {
        let (user, address) = (&attempt.subjects.user, &attempt.subjects.address);
        let mut tx = self.begin().await?;
        if let Some(blocked) = failures::longest_block(&mut tx, &[user.0, address.0], now).await? {
            return Ok(Attempted::Blocked(blocked));
        }
        let challenge = pending(&mut tx, attempt.pair, attempt.purpose).await?;
        let is_live = tokens::is_live(&mut tx, attempt.session.token, attempt.user, now).await?;
        let attempted = match rules::judge(challenge.as_ref(), &attempt, is_live, now) {
            Judged::NeverSent => return Ok(Attempted::NeverSent),
            Judged::Gone => return Ok(Attempted::Gone),
            Judged::Wrong { left } => {
                let state = if left == 0 { "void" } else { "pending" };
                set_state(&mut tx, &attempt, state, Some(left)).await?;
                failures::add(&mut tx, user, now).await?;
                failures::add(&mut tx, address, now).await?;
                Attempted::Wrong { left }
            }
            Judged::Right => {
                set_state(&mut tx, &attempt, "used", None).await?;
                failures::clear(&mut tx, user.0).await?;
                Attempted::Verified(sessions::put(&mut tx, &attempt.session, now).await?)
            }
        };
        tx.commit().await?;
        Ok(attempted)
    }
}
