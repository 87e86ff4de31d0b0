//! Challenges: what was sent, or is awaited, and for what.

use super::{Sqlite, attempt, count, digest, hex};
use crate::auth::ports::{
    Attempt, Attempted, Codes, FactorKind, NewChallenge, Pending, Purpose, Reserved, SendRequest,
    StoreError, Stored,
};
use crate::clock::Timestamp;
use crate::digest::{Binding, CodeDigest};
use crate::id::{ChallengeId, SendId, UserId};
use crate::store::rules::{self, Challenge};
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

type Row = (
    i64,
    Option<i64>,
    String,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    bool,
    bool,
    i64,
    i64,
);

/// Where the value of an enrolment is sealed for: it moves to no other user, kind or binding.
fn value_place(bound_to: Binding, user: Option<UserId>, factor: FactorKind) -> String {
    let user = user.map_or(0, |user| user.0);
    let (factor, bound_to) = (factor.as_str(), hex(&bound_to.0));
    format!("challenges.value/{user}/{factor}/{bound_to}")
}

impl Sqlite {
    /// The challenge of a binding and purpose, whatever its state.
    pub(super) async fn challenge<'e>(
        &self,
        conn: impl sqlx::SqliteExecutor<'e>,
        bound_to: Binding,
        purpose: Purpose,
    ) -> Stored<Option<Challenge>> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, user_id, factor, code, value, replaces_others, state = 'pending',
                    attempts_left, expires_at
             FROM challenges WHERE bound_to = ?1 AND purpose = ?2",
        )
        .bind(&bound_to.0[..])
        .bind(purpose.as_str())
        .fetch_optional(conn)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let (id, user, factor, code, value, replaces_others, is_pending, left, expires_at) = row;
        let factor = FactorKind::from_name(&factor).ok_or(StoreError::Damaged("factor"))?;
        let user = user.map(UserId);
        let code = code.map(|code| digest(&code, CodeDigest::from_slice));
        let place = value_place(bound_to, user, factor);
        let value =
            value.map(|value| self.factor_value("challenges.value", &place, factor, &value));
        Ok(Some(Challenge {
            id: ChallengeId(id),
            bound_to,
            purpose,
            user,
            factor,
            code: code.transpose()?,
            value: value.transpose()?,
            replaces_others,
            is_pending,
            attempts_left: count(left)?,
            expires_at: Timestamp(expires_at),
        }))
    }
}

/// Sets the state of a challenge, and how many tries are left.
pub(super) async fn set_state(
    conn: &mut SqliteConnection,
    id: ChallengeId,
    state: &'static str,
    attempts_left: u32,
) -> Stored<()> {
    sqlx::query("UPDATE challenges SET state = ?2, attempts_left = ?3 WHERE id = ?1")
        .bind(id.0)
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

/// Voids codes on their way to what a factor of a user stood on.
pub(super) async fn void_kind(
    conn: &mut SqliteConnection,
    user: UserId,
    kind: FactorKind,
) -> Stored<()> {
    sqlx::query(
        "UPDATE challenges SET state = 'void'
         WHERE user_id = ?1 AND factor = ?2 AND purpose <> ?3 AND state = 'pending'",
    )
    .bind(user.0)
    .bind(kind.as_str())
    .bind(Purpose::Enrol.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Drops a user's oldest enrolments, if there are too many.
async fn bound_of_user(conn: &mut SqliteConnection, user: Option<UserId>) -> Stored<()> {
    sqlx::query(
        "DELETE FROM challenges WHERE user_id = ?1 AND purpose = ?2 AND id <= (
             SELECT id FROM challenges WHERE user_id = ?1 AND purpose = ?2
             ORDER BY id DESC LIMIT 1 OFFSET ?3)",
    )
    .bind(user.map(|user| user.0))
    .bind(Purpose::Enrol.as_str())
    .bind(i64::try_from(rules::ENROLMENTS_OF_USER_MAX).unwrap_or(i64::MAX))
    .execute(conn)
    .await?;
    Ok(())
}

#[async_trait]
impl Codes for Sqlite {
    async fn reserve_send(&self, request: SendRequest, now: Timestamp) -> Stored<Reserved> {
        self.reserve(request, now).await
    }

    async fn release_send(&self, id: SendId) -> Stored<()> {
        sqlx::query("DELETE FROM sends WHERE id = ?1")
            .bind(id.0)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn put_challenge(&self, new: NewChallenge) -> Stored<ChallengeId> {
        if !rules::is_whole(&new) {
            return Err(StoreError::Damaged("challenge"));
        }
        let place = value_place(new.bound_to, new.user, new.factor);
        let value = new.value.as_ref();
        let value = value.map(|value| self.seal_factor(&place, value));
        // Not by itself: a statement that returns a row ends after it has answered, and would not
        // say that its commit failed.
        let mut tx = self.begin().await?;
        let id = sqlx::query_scalar(
            "INSERT OR REPLACE INTO challenges (bound_to, purpose, user_id, factor, code, value,
                 replaces_others, state, attempts_left, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'pending', ?8, ?9, ?10) RETURNING id",
        )
        .bind(&new.bound_to.0[..])
        .bind(new.purpose.as_str())
        .bind(new.user.map(|user| user.0))
        .bind(new.factor.as_str())
        .bind(new.code.map(|code| code.0.to_vec()))
        .bind(value.transpose()?)
        .bind(new.replaces_others)
        .bind(new.attempts)
        .bind(new.created_at.0)
        .bind(new.expires_at.0)
        .fetch_one(&mut *tx)
        .await?;
        if new.purpose == Purpose::Enrol {
            bound_of_user(&mut tx, new.user).await?;
        }
        tx.commit().await?;
        Ok(ChallengeId(id))
    }

    async fn pending(
        &self,
        bound_to: Binding,
        purpose: Purpose,
        now: Timestamp,
    ) -> Stored<Option<Pending>> {
        let challenge = self.challenge(&self.readers, bound_to, purpose).await?;
        let open = challenge.filter(|challenge| challenge.is_open(now));
        Ok(open.map(Challenge::into_pending))
    }

    async fn attempt(&self, attempt: Attempt, now: Timestamp) -> Stored<Attempted> {
        attempt::run(self, &attempt, now).await
    }
}
