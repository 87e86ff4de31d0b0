//! The audit trail, health and housekeeping.

use super::{Sqlite, failures, families, sessions};
use crate::auth::ports::{AuditTrail, COOKIE_LIFETIME_MAX, StoreError, Stored, Upkeep, Which};
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use crate::event::Event;
use crate::id::UserId;
use crate::store::rules::Cutoffs;
use async_trait::async_trait;

#[async_trait]
impl AuditTrail for Sqlite {
    async fn append(&self, events: &[(Timestamp, Event)]) -> Stored<()> {
        let mut tx = self.begin().await?;
        for (at, event) in events {
            let event = serde_json::to_string(event).map_err(|_| StoreError::Damaged("event"))?;
            sqlx::query("INSERT INTO audit (at, event) VALUES (?1, ?2)")
                .bind(at.0)
                .bind(event)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

#[async_trait]
impl Upkeep for Sqlite {
    async fn ping(&self) -> Stored<()> {
        sqlx::query("UPDATE meta SET pings = pings + 1")
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn purge(&self, now: Timestamp) -> Stored<u64> {
        let keep = Cutoffs::at(now);
        let mut tx = self.begin().await?;
        let mut removed = 0;
        let steps = [
            ("DELETE FROM sessions WHERE expires_at <= ?1", now),
            (
                "DELETE FROM sessions WHERE token IN (
                     SELECT digest FROM tokens WHERE expires_at < ?1
                     UNION SELECT digest FROM tokens WHERE share_id IN
                         (SELECT id FROM shares WHERE expires_at < ?1))",
                keep.tokens,
            ),
            ("DELETE FROM tokens WHERE expires_at < ?1", keep.tokens),
            (
                "DELETE FROM tokens
                 WHERE share_id IN (SELECT id FROM shares WHERE expires_at < ?1)",
                keep.tokens,
            ),
            (
                "DELETE FROM challenges WHERE expires_at < ?1",
                keep.challenges,
            ),
            ("DELETE FROM wizards WHERE expires_at <= ?1", now),
            ("DELETE FROM ceremonies WHERE expires_at <= ?1", now),
            ("DELETE FROM grants WHERE expires_at <= ?1", now),
            ("DELETE FROM success_tokens WHERE expires_at <= ?1", now),
            ("DELETE FROM remembered WHERE until <= ?1", now),
            (
                "DELETE FROM remembered WHERE used_at <= ?1",
                now.before(COOKIE_LIFETIME_MAX),
            ),
            ("DELETE FROM sends WHERE at < ?1", keep.sends),
            // The newest line stays, so that the head of the feed never goes back.
            (
                "DELETE FROM revocations
                 WHERE at < ?1 AND seq < (SELECT max(seq) FROM revocations)",
                keep.revocations,
            ),
            (
                "DELETE FROM failures WHERE touched_at < ?1 AND NOT locked",
                keep.failures,
            ),
            ("DELETE FROM audit WHERE at < ?1", keep.audit),
        ];
        for (step, before) in steps {
            let done = sqlx::query(step).bind(before.0).execute(&mut *tx).await?;
            removed += done.rows_affected();
        }
        removed += families::purge(&mut tx, keep.tokens).await?;
        tx.commit().await?;
        Ok(removed)
    }

    async fn reset_user(&self, user: UserId, subject: SubjectDigest, now: Timestamp) -> Stored<()> {
        let mut tx = self.begin().await?;
        self.reset_factors(&mut tx, user, now).await?;
        failures::clear(&mut tx, subject).await?;
        sessions::end(&mut tx, Which::User(user), now).await?;
        tx.commit().await?;
        Ok(())
    }
}
