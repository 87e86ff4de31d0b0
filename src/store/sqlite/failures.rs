//! Consecutive failures.

use super::{Sqlite, count};
use crate::auth::lockout::{Blocked, Counter, longer};
use crate::auth::ports::{Counted, Failures, Stored};
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

/// A subject's counter, at zero where there is none.
pub(super) async fn counter<'e>(
    conn: impl sqlx::SqliteExecutor<'e>,
    subject: SubjectDigest,
) -> Stored<Counter> {
    let row: Option<(i64, i64, bool)> =
        sqlx::query_as("SELECT failures, delayed_until, locked FROM failures WHERE subject = ?1")
            .bind(&subject.0[..])
            .fetch_optional(conn)
            .await?;
    let Some((failures, delayed_until, locked)) = row else {
        return Ok(Counter::default());
    };
    Ok(Counter {
        failures: count(failures)?,
        delayed_until: Timestamp(delayed_until),
        locked,
    })
}

/// The longest block of the subjects.
pub(super) async fn longest_block(
    conn: &mut SqliteConnection,
    subjects: &[SubjectDigest],
    now: Timestamp,
) -> Stored<Option<Blocked>> {
    let mut longest = None;
    for subject in subjects {
        let counter = counter(&mut *conn, *subject).await?;
        longest = longer(longest, counter.blocked(now));
    }
    Ok(longest)
}

impl Sqlite {
    /// Counts one failure.
    pub(super) async fn add_failure(
        &self,
        conn: &mut SqliteConnection,
        counted: &Counted,
        now: Timestamp,
    ) -> Stored<()> {
        let subject = counted.subject;
        let next = counter(&mut *conn, subject)
            .await?
            .failed(&counted.policy, now);
        sqlx::query(
            "INSERT INTO failures (subject, failures, delayed_until, locked, touched_at, who)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (subject) DO UPDATE SET failures = ?2, delayed_until = ?3, locked = ?4,
                 touched_at = ?5, who = coalesce(?6, who)",
        )
        .bind(&subject.0[..])
        .bind(next.failures)
        .bind(next.delayed_until.0)
        .bind(next.locked)
        .bind(now.0)
        .bind(self.sealed_who(subject, counted.who.as_ref())?)
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// Sets a counter to zero.
pub(super) async fn clear(conn: &mut SqliteConnection, subject: SubjectDigest) -> Stored<()> {
    sqlx::query("DELETE FROM failures WHERE subject = ?1")
        .bind(&subject.0[..])
        .execute(conn)
        .await?;
    Ok(())
}

#[async_trait]
impl Failures for Sqlite {
    async fn blocked(&self, subjects: &[SubjectDigest], now: Timestamp) -> Stored<Option<Blocked>> {
        let mut conn = self.readers.acquire().await?;
        longest_block(&mut conn, subjects, now).await
    }

    async fn delayed(&self, subjects: &[SubjectDigest], now: Timestamp) -> Stored<Option<u64>> {
        let mut conn = self.readers.acquire().await?;
        let mut longest = None;
        for subject in subjects {
            longest = longest.max(counter(&mut *conn, *subject).await?.delay_secs(now));
        }
        Ok(longest)
    }

    async fn failed(&self, counted: &[Counted], now: Timestamp) -> Stored<()> {
        let mut tx = self.begin().await?;
        for one in counted {
            self.add_failure(&mut tx, one, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn succeeded(&self, subjects: &[SubjectDigest]) -> Stored<()> {
        let mut tx = self.begin().await?;
        for subject in subjects {
            clear(&mut tx, *subject).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
