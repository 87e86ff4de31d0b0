//! Clients that wait until a person lets them in.

use super::{Sqlite, digest, tokens};
use crate::auth::ports::{Grant, Grants, Room, StoreError, Stored, UserCode, Whence};
use crate::auth::subject::network;
use crate::clock::Timestamp;
use crate::digest::{GrantDigest, SessionKey, TokenDigest};
use crate::id::UserId;
use crate::secret::Secret;
use crate::store::rules;
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use std::fmt::Write as _;

type Row = (
    Vec<u8>,
    Vec<u8>,
    i64,
    Option<String>,
    String,
    Vec<u8>,
    i64,
    i64,
);

/// Where what a grant shows is sealed for.
fn place(code: GrantDigest) -> String {
    let place = "grants.shown/".to_owned();
    code.0.iter().fold(place, |mut place, byte| {
        let _ = write!(place, "{byte:02x}");
        place
    })
}

impl Sqlite {
    fn shown(&self, code: GrantDigest, sealed: &[u8]) -> Stored<rules::Shown> {
        let plain = self.unseal_bytes("grants.shown", &place(code), sealed)?;
        std::str::from_utf8(&plain)
            .ok()
            .and_then(rules::Shown::read)
            .ok_or(StoreError::Damaged("grants.shown"))
    }

    async fn insert_grant(
        &self,
        conn: &mut SqliteConnection,
        grant: &Grant,
        text: &Secret,
    ) -> Stored<()> {
        let shown = rules::Shown::of(grant, text).text();
        let shown = self.seal_bytes(&place(grant.code), shown.expose().as_bytes())?;
        sqlx::query("DELETE FROM grants WHERE pair = ?1")
            .bind(&grant.pair.0[..])
            .execute(&mut *conn)
            .await?;
        sqlx::query(
            "INSERT INTO grants (code, pair, token, user_id, device_label, route, shown, asked_at,
                 expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .bind(&grant.code.0[..])
        .bind(&grant.pair.0[..])
        .bind(&grant.token.0[..])
        .bind(grant.user.0)
        .bind(grant.device_label.as_deref())
        .bind(&grant.route)
        .bind(shown)
        .bind(grant.asked_at.0)
        .bind(grant.expires_at.0)
        .execute(conn)
        .await?;
        Ok(())
    }

    /// The pair's live grant: `Some(None)` if it was refused.
    async fn open_of(
        &self,
        conn: &mut SqliteConnection,
        pair: SessionKey,
        user: UserId,
        now: Timestamp,
    ) -> Stored<Option<Option<UserCode>>> {
        let row: Option<(Vec<u8>, Vec<u8>, bool, i64)> = sqlx::query_as(
            "SELECT code, shown, is_refused, expires_at FROM grants
             WHERE pair = ?1 AND user_id = ?2 AND expires_at > ?3",
        )
        .bind(&pair.0[..])
        .bind(user.0)
        .bind(now.0)
        .fetch_optional(conn)
        .await?;
        let Some((code, shown, is_refused, expires_at)) = row else {
            return Ok(None);
        };
        if is_refused {
            return Ok(Some(None));
        }
        let shown = self.shown(digest(&code, GrantDigest::from_slice)?, &shown)?;
        Ok(Some(Some(UserCode {
            text: shown.code,
            expires_at: Timestamp(expires_at),
        })))
    }

    async fn has_room(
        &self,
        conn: &mut SqliteConnection,
        grant: &Grant,
        room: Room,
        now: Timestamp,
    ) -> Stored<bool> {
        let live: Vec<(Vec<u8>, Vec<u8>)> =
            sqlx::query_as("SELECT code, shown FROM grants WHERE user_id = ?1 AND expires_at > ?2")
                .bind(grant.user.0)
                .bind(now.0)
                .fetch_all(conn)
                .await?;
        if live.len() >= room.of_user {
            return Ok(false);
        }
        let here = network(grant.whence.address);
        let mut of_network = 0;
        for (code, shown) in live {
            let shown = self.shown(digest(&code, GrantDigest::from_slice)?, &shown)?;
            of_network += usize::from(network(shown.address) == here);
        }
        Ok(of_network < room.of_network)
    }
}

/// Whether the grant is live, and this user's.
pub(super) async fn is_live(
    conn: &mut SqliteConnection,
    code: GrantDigest,
    user: Option<UserId>,
    now: Timestamp,
) -> Stored<bool> {
    let is_live = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM grants
         WHERE code = ?1 AND user_id = ?2 AND expires_at > ?3 AND NOT is_refused)",
    )
    .bind(&code.0[..])
    .bind(user.map(|user| user.0))
    .bind(now.0)
    .fetch_one(conn)
    .await?;
    Ok(is_live)
}

/// Ends a grant.
pub(super) async fn end(conn: &mut SqliteConnection, code: GrantDigest) -> Stored<()> {
    sqlx::query("DELETE FROM grants WHERE code = ?1")
        .bind(&code.0[..])
        .execute(conn)
        .await?;
    Ok(())
}

#[async_trait]
impl Grants for Sqlite {
    async fn open_grant(
        &self,
        grant: Grant,
        text: Secret,
        room: Room,
        now: Timestamp,
    ) -> Stored<Option<UserCode>> {
        // A client that waits asks again and again: that must not take the writer's turn.
        let mut reader = self.readers.acquire().await?;
        let live = self.open_of(&mut reader, grant.pair, grant.user, now);
        if let Some(live) = live.await? {
            return Ok(live);
        }
        // So does one that is told no code.
        if !self.has_room(&mut reader, &grant, room, now).await? {
            return Ok(None);
        }
        drop(reader);
        let mut tx = self.begin().await?;
        let live = self.open_of(&mut tx, grant.pair, grant.user, now);
        if let Some(live) = live.await? {
            return Ok(live);
        }
        if !self.has_room(&mut tx, &grant, room, now).await? {
            return Ok(None);
        }
        self.insert_grant(&mut tx, &grant, &text).await?;
        tx.commit().await?;
        Ok(Some(UserCode {
            text,
            expires_at: grant.expires_at,
        }))
    }

    async fn grant(&self, code: GrantDigest, now: Timestamp) -> Stored<Option<Grant>> {
        let mut conn = self.readers.acquire().await?;
        let row: Option<Row> = sqlx::query_as(
            "SELECT pair, token, user_id, device_label, route, shown, asked_at, expires_at
             FROM grants WHERE code = ?1 AND expires_at > ?2 AND NOT is_refused",
        )
        .bind(&code.0[..])
        .bind(now.0)
        .fetch_optional(&mut *conn)
        .await?;
        let Some((pair, token, user, device_label, route, shown, asked_at, expires_at)) = row
        else {
            return Ok(None);
        };
        let token = digest(&token, TokenDigest::from_slice)?;
        let user = UserId(user);
        if !tokens::is_live(&mut conn, token, user, now).await? {
            return Ok(None);
        }
        let shown = self.shown(code, &shown)?;
        Ok(Some(Grant {
            code,
            pair: digest(&pair, SessionKey::from_slice)?,
            token,
            user,
            device_label,
            whence: Whence {
                address: shown.address,
                client: shown.client,
            },
            host: shown.host,
            route,
            asked_at: Timestamp(asked_at),
            expires_at: Timestamp(expires_at),
        }))
    }

    async fn refuse_grant(
        &self,
        code: GrantDigest,
        until: Timestamp,
        now: Timestamp,
    ) -> Stored<bool> {
        let mut tx = self.begin().await?;
        let refused = sqlx::query(
            "UPDATE grants SET is_refused = 1, expires_at = min(expires_at, ?3)
             WHERE code = ?1 AND expires_at > ?2 AND NOT is_refused",
        )
        .bind(&code.0[..])
        .bind(now.0)
        .bind(until.0)
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM challenges WHERE bound_to = ?1")
            .bind(&code.0[..])
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(refused.rows_affected() > 0)
    }
}
