//! Signing keys.

use super::Sqlite;
use crate::auth::ports::{SigningAlgorithm, SigningKey, SigningKeys, StoreError, Stored};
use crate::clock::Timestamp;
use crate::secret::Secret;
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

const DAMAGED: StoreError = StoreError::Damaged("signing key");

type Row = (String, String, Vec<u8>, i64, i64, Option<i64>);

fn place(kid: &str) -> String {
    format!("signing_keys.private/{kid}")
}

impl Sqlite {
    fn key_from_row(&self, row: Row) -> Stored<SigningKey> {
        let (kid, algorithm, private, created_at, signs_from, ends_at) = row;
        let private = self.vault.open(&place(&kid), &private).ok_or(DAMAGED)?;
        let private = std::str::from_utf8(&private).map_err(|_| DAMAGED)?;
        Ok(SigningKey {
            algorithm: SigningAlgorithm::from_name(&algorithm).ok_or(DAMAGED)?,
            private: Secret::new(private),
            created_at: Timestamp(created_at),
            signs_from: Timestamp(signs_from),
            ends_at: ends_at.map(Timestamp),
            kid,
        })
    }

    async fn insert_key(&self, conn: &mut SqliteConnection, key: &SigningKey) -> Stored<()> {
        let private = self
            .vault
            .seal(&place(&key.kid), key.private.expose().as_bytes())
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        sqlx::query(
            "INSERT INTO signing_keys (kid, algorithm, private, created_at, signs_from, ends_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(&key.kid)
        .bind(key.algorithm.as_str())
        .bind(private)
        .bind(key.created_at.0)
        .bind(key.signs_from.0)
        .bind(key.ends_at.map(|at| at.0))
        .execute(conn)
        .await?;
        Ok(())
    }
}

#[async_trait]
impl SigningKeys for Sqlite {
    async fn signing_keys(&self, now: Timestamp) -> Stored<Vec<SigningKey>> {
        let rows = sqlx::query_as(
            "SELECT kid, algorithm, private, created_at, signs_from, ends_at FROM signing_keys
             WHERE ends_at IS NULL OR ends_at > ?1 ORDER BY id",
        )
        .bind(now.0)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(|row| self.key_from_row(row)).collect()
    }

    async fn add_first_key(&self, key: SigningKey) -> Stored<bool> {
        let mut tx = self.begin().await?;
        let is_there: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM signing_keys
                            WHERE algorithm = ?1 AND (ends_at IS NULL OR ends_at > ?2))",
        )
        .bind(key.algorithm.as_str())
        .bind(key.created_at.0)
        .fetch_one(&mut *tx)
        .await?;
        if !is_there {
            self.insert_key(&mut tx, &key).await?;
            tx.commit().await?;
        }
        Ok(!is_there)
    }

    async fn rotate_keys(&self, key: SigningKey, others_end_at: Timestamp) -> Stored<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE signing_keys SET ends_at = ?2 WHERE algorithm = ?1 AND ends_at IS NULL",
        )
        .bind(key.algorithm.as_str())
        .bind(others_end_at.0)
        .execute(&mut *tx)
        .await?;
        self.insert_key(&mut tx, &key).await?;
        tx.commit().await?;
        Ok(())
    }
}
