//! Sessions and the feed of their ends.

use super::{Sqlite, families};
use crate::auth::ports::{NewSession, Revocation, SessionRow, Sessions, StoreError, Stored, Which};
use crate::clock::Timestamp;
use crate::digest::SessionKey;
use crate::gate::session::{Factor, Holder, Session, Terms};
use crate::id::{SessionId, UserId};
use crate::secret::Sealed;
use crate::store::rules;
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, user_id, name, realm, scope, original, factor, device_label, ",
            "verified_at, last_seen_at, ends_at FROM held_sessions ",
            $rest
        )
    };
}

type Columns = (
    i64,
    i64,
    String,
    String,
    Option<String>,
    Option<Vec<u8>>,
    String,
    Option<String>,
    i64,
    i64,
    i64,
);

fn from_columns(columns: Columns) -> Stored<SessionRow> {
    let (id, user, name, realm, scope, original, factor, device_label, verified, seen, ends) =
        columns;
    let session = Session {
        id: SessionId(id),
        holder: Holder {
            user: UserId(user),
            name: name.into(),
            terms: Terms::of(scope.as_deref(), original.map(|it| Sealed(it.into()))),
        },
        factor: Factor::from_name(&factor).ok_or(StoreError::Damaged("factor"))?,
        verified_at: Timestamp(verified),
        expires_at: Timestamp(ends),
        last_seen_at: Timestamp(seen),
    };
    Ok(SessionRow {
        session,
        realm,
        device_label,
    })
}

async fn find<'e>(
    conn: impl sqlx::SqliteExecutor<'e>,
    key: SessionKey,
    now: Timestamp,
) -> Stored<Option<Session>> {
    let columns: Option<Columns> = sqlx::query_as(select!("WHERE key = ?1 AND ends_at > ?2"))
        .bind(&key.0[..])
        .bind(now.0)
        .fetch_optional(conn)
        .await?;
    Ok(columns
        .map(from_columns)
        .transpose()?
        .map(|row| row.session))
}

/// Makes the pair's session under a new number; an older one of the pair ends, and the feed says so.
pub(super) async fn put(
    conn: &mut SqliteConnection,
    new: &NewSession,
    factor: Factor,
    now: Timestamp,
) -> Stored<Session> {
    let old: Option<i64> = sqlx::query_scalar("DELETE FROM sessions WHERE key = ?1 RETURNING id")
        .bind(&new.key.0[..])
        .fetch_optional(&mut *conn)
        .await?;
    if let Some(old) = old {
        announce(conn, Which::Session(SessionId(old)), now).await?;
    }
    sqlx::query(
        "INSERT INTO sessions (key, token, user_id, factor, device_label, verified_at, expires_at,
                               last_seen_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6)",
    )
    .bind(&new.key.0[..])
    .bind(&new.token.0[..])
    .bind(new.user.0)
    .bind(factor.as_str())
    .bind(new.device_label.as_deref())
    .bind(new.verified_at.0)
    .bind(new.expires_at.0)
    .execute(&mut *conn)
    .await?;
    families::keep_proof(&mut *conn, new, factor).await?;
    find(conn, new.key, now)
        .await?
        .ok_or(StoreError::Damaged("session"))
}

/// Puts one line into the feed.
async fn announce(conn: &mut SqliteConnection, which: Which, now: Timestamp) -> Stored<()> {
    let (kind, target) = match which {
        Which::All => ("all", None),
        Which::User(user) => ("user", Some(user.0)),
        Which::Session(session) => ("session", Some(session.0)),
    };
    sqlx::query("INSERT INTO revocations (kind, target, at) VALUES (?1, ?2, ?3)")
        .bind(kind)
        .bind(target)
        .bind(now.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends sessions, with a line in the feed; returns how many of them were live.
pub(super) async fn end(conn: &mut SqliteConnection, which: Which, now: Timestamp) -> Stored<u64> {
    let (count, delete, target) = match which {
        Which::All => (
            "SELECT count(*) FROM held_sessions WHERE ends_at > ?1",
            "DELETE FROM sessions",
            None,
        ),
        Which::User(user) => (
            "SELECT count(*) FROM held_sessions WHERE ends_at > ?1 AND user_id = ?2",
            "DELETE FROM sessions WHERE user_id = ?1",
            Some(user.0),
        ),
        Which::Session(session) => (
            "SELECT count(*) FROM held_sessions WHERE ends_at > ?1 AND id = ?2",
            "DELETE FROM sessions WHERE id = ?1",
            Some(session.0),
        ),
    };
    let mut counting = sqlx::query_scalar::<_, i64>(count).bind(now.0);
    let mut deleting = sqlx::query(delete);
    if let Some(target) = target {
        counting = counting.bind(target);
        deleting = deleting.bind(target);
    }
    let live = counting.fetch_one(&mut *conn).await?;
    families::drop_proofs(&mut *conn, which).await?;
    deleting.execute(&mut *conn).await?;
    announce(conn, which, now).await?;
    u64::try_from(live).map_err(|_| StoreError::Damaged("count"))
}

fn revocation((seq, kind, target): (i64, String, Option<i64>)) -> Stored<Revocation> {
    let which = match (kind.as_str(), target) {
        ("all", None) => Which::All,
        ("user", Some(user)) => Which::User(UserId(user)),
        ("session", Some(session)) => Which::Session(SessionId(session)),
        _ => return Err(StoreError::Damaged("line of the feed")),
    };
    Ok(Revocation { seq, which })
}

#[async_trait]
impl Sessions for Sqlite {
    async fn session(&self, key: SessionKey, now: Timestamp) -> Stored<Option<Session>> {
        find(&self.readers, key, now).await
    }

    async fn touch(&self, seen: &[(SessionId, Timestamp)]) -> Stored<()> {
        let mut tx = self.begin().await?;
        for (id, at) in seen {
            sqlx::query(
                "UPDATE sessions SET last_seen_at = ?2 WHERE id = ?1 AND last_seen_at < ?2",
            )
            .bind(id.0)
            .bind(at.0)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn revoke(&self, which: Which, now: Timestamp) -> Stored<u64> {
        let mut tx = self.begin().await?;
        let ended = end(&mut tx, which, now).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn sessions(&self, user: Option<UserId>, now: Timestamp) -> Stored<Vec<SessionRow>> {
        let query = match user {
            None => sqlx::query_as(select!("WHERE ends_at > ?1 ORDER BY id DESC")).bind(now.0),
            Some(user) => sqlx::query_as(select!(
                "WHERE ends_at > ?1 AND user_id = ?2 ORDER BY id DESC"
            ))
            .bind(now.0)
            .bind(user.0),
        };
        let rows: Vec<Columns> = query.fetch_all(&self.readers).await?;
        rows.into_iter().map(from_columns).collect()
    }

    async fn live_sessions(&self, now: Timestamp) -> Stored<u64> {
        let live: i64 = sqlx::query_scalar("SELECT count(*) FROM held_sessions WHERE ends_at > ?1")
            .bind(now.0)
            .fetch_one(&self.readers)
            .await?;
        Ok(u64::try_from(live).unwrap_or(0))
    }

    async fn revocations_after(&self, seq: i64) -> Stored<Vec<Revocation>> {
        let rows = sqlx::query_as(
            "SELECT seq, kind, target FROM revocations WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )
        .bind(seq)
        .bind(rules::FEED_LINES_MAX)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(revocation).collect()
    }

    async fn feed_head(&self) -> Stored<i64> {
        Ok(
            sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM revocations")
                .fetch_one(&self.readers)
                .await?,
        )
    }
}
