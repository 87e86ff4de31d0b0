//! Passkeys, and the ceremonies that register and ask for them.

use super::factors::log_change;
use super::{Sqlite, browsers, count, digest, hex};
use crate::auth::ports::{
    Ceremony, FactorKind, NewCeremony, NewPasskey, Passkey, Passkeys, Proof, Purpose, StoreError,
    Stored,
};
use crate::clock::Timestamp;
use crate::digest::{Binding, PasskeyDigest};
use crate::id::{CeremonyId, PasskeyId, UserId};
use crate::secret::Secret;
use crate::store::rules;
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

type Row = (i64, Vec<u8>, String, String, Vec<u8>, i64, i64, Option<i64>);

/// Where a passkey is sealed for: it moves to no other user.
fn credential_place(user: UserId, passkey: PasskeyDigest) -> String {
    format!("passkeys.credential/{user}/{}", hex(&passkey.0))
}

fn state_place(user: UserId, purpose: Purpose, bound_to: Binding) -> String {
    let (purpose, bound_to) = (purpose.as_str(), hex(&bound_to.0));
    format!("ceremonies.state/{user}/{purpose}/{bound_to}")
}

impl Sqlite {
    fn open_text(&self, column: &'static str, place: &str, sealed: &[u8]) -> Stored<Secret> {
        let plain = self.unseal_bytes(column, place, sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| StoreError::Damaged(column))?;
        Ok(Secret::new(text))
    }

    /// The passkeys of a user, oldest first.
    pub(super) async fn passkeys(
        &self,
        conn: &mut SqliteConnection,
        user: UserId,
    ) -> Stored<Vec<Passkey>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, digest, host, name, credential, sign_count, created_at, last_used_at
             FROM passkeys WHERE user_id = ?1 ORDER BY id",
        )
        .bind(user.0)
        .fetch_all(conn)
        .await?;
        let rows = rows.into_iter();
        rows.map(|row| self.passkey_from(user, row)).collect()
    }

    fn passkey_from(&self, user: UserId, row: Row) -> Stored<Passkey> {
        let (id, passkey, host, name, sealed, sign_count, created_at, last_used_at) = row;
        let passkey = digest(&passkey, PasskeyDigest::from_slice)?;
        let place = credential_place(user, passkey);
        Ok(Passkey {
            id: PasskeyId(id),
            host,
            name,
            credential: self.open_text("passkeys.credential", &place, &sealed)?,
            sign_count: count(sign_count)?,
            created_at: Timestamp(created_at),
            last_used_at: last_used_at.map(Timestamp),
        })
    }

    /// Adds a passkey, with a line in the log.
    pub(super) async fn add_passkey(
        &self,
        conn: &mut SqliteConnection,
        user: UserId,
        new: &NewPasskey,
        now: Timestamp,
    ) -> Stored<()> {
        let place = credential_place(user, new.digest);
        let sealed = self.seal_bytes(&place, new.credential.expose().as_bytes())?;
        sqlx::query(
            "INSERT INTO passkeys (user_id, digest, host, name, credential, sign_count, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .bind(user.0)
        .bind(&new.digest.0[..])
        .bind(&new.host)
        .bind(&new.name)
        .bind(sealed)
        .bind(new.sign_count)
        .bind(now.0)
        .execute(&mut *conn)
        .await?;
        log_change(conn, user, (FactorKind::Passkey, true), now).await
    }

    /// Notes that a passkey was used.
    pub(super) async fn use_passkey(
        &self,
        conn: &mut SqliteConnection,
        user: UserId,
        proof: &Proof,
        now: Timestamp,
    ) -> Stored<()> {
        let passkey: Vec<u8> = sqlx::query_scalar("SELECT digest FROM passkeys WHERE id = ?1")
            .bind(proof.passkey.0)
            .fetch_one(&mut *conn)
            .await?;
        let place = credential_place(user, digest(&passkey, PasskeyDigest::from_slice)?);
        let sealed = self.seal_bytes(&place, proof.credential.expose().as_bytes())?;
        sqlx::query(
            "UPDATE passkeys SET credential = ?2, sign_count = ?3, last_used_at = ?4 WHERE id = ?1",
        )
        .bind(proof.passkey.0)
        .bind(sealed)
        .bind(proof.sign_count)
        .bind(now.0)
        .execute(conn)
        .await?;
        Ok(())
    }

    /// The ceremony of a binding and purpose, whether its time is over or not.
    pub(super) async fn find_ceremony<'e>(
        &self,
        conn: impl sqlx::SqliteExecutor<'e>,
        bound_to: Binding,
        purpose: Purpose,
    ) -> Stored<Option<rules::Ceremony>> {
        let row: Option<(i64, i64, Vec<u8>, i64)> = sqlx::query_as(
            "SELECT id, user_id, state, expires_at FROM ceremonies
             WHERE bound_to = ?1 AND purpose = ?2",
        )
        .bind(&bound_to.0[..])
        .bind(purpose.as_str())
        .fetch_optional(conn)
        .await?;
        let Some((id, user, sealed, expires_at)) = row else {
            return Ok(None);
        };
        let user = UserId(user);
        let place = state_place(user, purpose, bound_to);
        Ok(Some(rules::Ceremony {
            id: CeremonyId(id),
            user,
            state: self.open_text("ceremonies.state", &place, &sealed)?,
            expires_at: Timestamp(expires_at),
        }))
    }
}

/// What the authenticator of a user's passkey had counted when it was last used.
pub(super) async fn last_count(
    conn: &mut SqliteConnection,
    user: Option<UserId>,
    passkey: PasskeyId,
) -> Stored<Option<u32>> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT sign_count FROM passkeys WHERE id = ?1 AND user_id = ?2")
            .bind(passkey.0)
            .bind(user.map(|user| user.0))
            .fetch_optional(conn)
            .await?;
    last.map(count).transpose()
}

/// The numbers of a user's passkeys, oldest first.
pub(super) async fn ids(conn: &mut SqliteConnection, user: UserId) -> Stored<Vec<PasskeyId>> {
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM passkeys WHERE user_id = ?1 ORDER BY id")
            .bind(user.0)
            .fetch_all(conn)
            .await?;
    Ok(ids.into_iter().map(PasskeyId).collect())
}

/// Whether anybody has this passkey.
pub(super) async fn is_known(conn: &mut SqliteConnection, passkey: PasskeyDigest) -> Stored<bool> {
    let is_known = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM passkeys WHERE digest = ?1)")
        .bind(&passkey.0[..])
        .fetch_one(conn)
        .await?;
    Ok(is_known)
}

/// Removes passkeys of a user, with a line in the log for each.
pub(super) async fn remove(
    conn: &mut SqliteConnection,
    user: UserId,
    ids: &[PasskeyId],
    now: Timestamp,
) -> Stored<()> {
    if !ids.is_empty() {
        // Which of them was used, nobody knows.
        browsers::forget_kind(&mut *conn, user, FactorKind::Passkey).await?;
    }
    for id in ids {
        sqlx::query("DELETE FROM passkeys WHERE id = ?1 AND user_id = ?2")
            .bind(id.0)
            .bind(user.0)
            .execute(&mut *conn)
            .await?;
        log_change(&mut *conn, user, (FactorKind::Passkey, false), now).await?;
    }
    Ok(())
}

/// Ends a ceremony: it was answered.
pub(super) async fn end_ceremony(conn: &mut SqliteConnection, id: CeremonyId) -> Stored<()> {
    sqlx::query("DELETE FROM ceremonies WHERE id = ?1")
        .bind(id.0)
        .execute(conn)
        .await?;
    Ok(())
}

#[async_trait]
impl Passkeys for Sqlite {
    async fn put_ceremony(&self, new: NewCeremony) -> Stored<CeremonyId> {
        let place = state_place(new.user, new.purpose, new.bound_to);
        let sealed = self.seal_bytes(&place, new.state.expose().as_bytes())?;
        let mut tx = self.begin().await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT OR REPLACE INTO ceremonies (bound_to, purpose, user_id, state, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
        )
        .bind(&new.bound_to.0[..])
        .bind(new.purpose.as_str())
        .bind(new.user.0)
        .bind(sealed)
        .bind(new.expires_at.0)
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query(
            "DELETE FROM ceremonies WHERE user_id = ?1 AND id <= (
                 SELECT id FROM ceremonies WHERE user_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(new.user.0)
        .bind(i64::try_from(rules::CEREMONIES_OF_USER_MAX).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(CeremonyId(id))
    }

    async fn ceremony(
        &self,
        bound_to: Binding,
        purpose: Purpose,
        now: Timestamp,
    ) -> Stored<Option<Ceremony>> {
        let found = self.find_ceremony(&self.readers, bound_to, purpose).await?;
        let open = found.filter(|ceremony| ceremony.is_open(now));
        Ok(open.map(rules::Ceremony::into_pending))
    }

    async fn rename_passkey(&self, user: UserId, id: PasskeyId, name: &str) -> Stored<bool> {
        let renamed = sqlx::query("UPDATE passkeys SET name = ?3 WHERE id = ?1 AND user_id = ?2")
            .bind(id.0)
            .bind(user.0)
            .bind(name)
            .execute(&self.writer)
            .await?;
        Ok(renamed.rows_affected() > 0)
    }
}
