//! Sessions and the feed of their ends.

use super::users::groups_from_text;
use super::{Sqlite, browsers, families};
use crate::auth::ports::{
    NewSession, Revocation, Seen, SessionQuery, SessionRow, Sessions, StoreError, Stored, Whence,
    Which,
};
use crate::clock::Timestamp;
use crate::digest::SessionKey;
use crate::gate::session::{Factor, Holder, Session, Terms};
use crate::id::{SessionId, UserId};
use crate::secret::Sealed;
use crate::store::rules;
use crate::store::vault::Vault;
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, user_id, name, realm, group_names, scope, original, factor, device_label, ",
            "whence, verified_at, last_seen_at, longest_pause, ends_at FROM held_sessions ",
            $rest
        )
    };
}

type Columns = (
    i64,
    i64,
    String,
    String,
    String,
    Option<String>,
    Option<Vec<u8>>,
    String,
    Option<String>,
    Option<Vec<u8>>,
    i64,
    i64,
    u32,
    i64,
);

/// What comes with a session for people, as it is stored.
struct ForPeople {
    realm: String,
    device_label: Option<String>,
    whence: Option<Vec<u8>>,
}

fn from_columns(columns: Columns) -> Stored<(Session, ForPeople)> {
    let (
        id,
        user,
        name,
        realm,
        groups,
        scope,
        original,
        factor,
        label,
        whence,
        verified,
        seen,
        longest_pause_secs,
        ends,
    ) = columns;
    let original = original.map(|it| Sealed(it.into()));
    let session = Session {
        id: SessionId(id),
        holder: Holder {
            user: UserId(user),
            name: name.into(),
            terms: Terms::of(scope.as_deref(), original, groups_from_text(&groups)),
        },
        factor: Factor::from_name(&factor).ok_or(StoreError::Damaged("factor"))?,
        verified_at: Timestamp(verified),
        expires_at: Timestamp(ends),
        last_seen_at: Timestamp(seen),
        longest_pause_secs,
    };
    let for_people = ForPeople {
        realm,
        device_label: label,
        whence,
    };
    Ok((session, for_people))
}

/// Where the marks of a user's sessions are sealed.
fn place(user: UserId) -> String {
    format!("sessions.whence/{user}")
}

/// `192.0.2.1 Firefox on Linux`, sealed: when somebody was where is nobody else's business.
pub(super) fn sealed(vault: &Vault, user: UserId, whence: &Whence) -> Stored<Vec<u8>> {
    let text = format!("{} {}", whence.address, whence.client);
    let sealed = vault.seal(&place(user), text.as_bytes());
    sealed.map_err(|error| StoreError::Unavailable(error.to_string()))
}

pub(super) fn opened(vault: &Vault, user: UserId, sealed: &[u8]) -> Stored<Whence> {
    const DAMAGED: StoreError = StoreError::Damaged("mark of a session");
    let plain = vault.open(&place(user), sealed).ok_or(DAMAGED)?;
    let text = std::str::from_utf8(&plain).map_err(|_| DAMAGED)?;
    let (address, client) = text.split_once(' ').ok_or(DAMAGED)?;
    Ok(Whence {
        address: address.parse().map_err(|_| DAMAGED)?,
        client: client.to_owned(),
    })
}

fn row(vault: &Vault, columns: Columns) -> Stored<SessionRow> {
    let (
        session,
        ForPeople {
            realm,
            device_label,
            whence,
        },
    ) = from_columns(columns)?;
    let user = session.holder.user;
    let whence = whence
        .map(|sealed| opened(vault, user, &sealed))
        .transpose()?;
    Ok(SessionRow {
        session,
        realm,
        device_label,
        whence,
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
        .map(|(session, _)| session))
}

impl Sqlite {
    /// Live sessions, newest first.
    pub(super) async fn sessions_like(
        &self,
        query: &SessionQuery,
        now: Timestamp,
    ) -> Stored<Vec<SessionRow>> {
        let devices = (!query.devices.is_empty()).then(|| serde_json::json!(query.devices));
        let rows: Vec<Columns> = sqlx::query_as(select!(
            "WHERE ends_at > ?1 AND (?2 IS NULL OR user_id = ?2)
                 AND (?3 IS NULL OR device_label IN (SELECT value FROM json_each(?3)))
                 AND (?4 IS NULL OR id < ?4)
             ORDER BY id DESC LIMIT ?5"
        ))
        .bind(now.0)
        .bind(query.user.map(|user| user.0))
        .bind(devices.map(|devices| devices.to_string()))
        .bind(query.before.map(|id| id.0))
        .bind(query.limit)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|columns| row(&self.vault, columns))
            .collect()
    }
}

/// Makes the pair's session under a new number; an older one of the pair, or of the one that it takes
/// the place of, ends, and the feed says so.
pub(super) async fn put(
    conn: &mut SqliteConnection,
    vault: &Vault,
    new: &NewSession,
    factor: Factor,
    now: Timestamp,
) -> Stored<Session> {
    let old: Vec<i64> = sqlx::query_scalar(
        "DELETE FROM sessions WHERE key = ?1 OR key = ?2 AND token = ?3 RETURNING id",
    )
    .bind(&new.key.0[..])
    .bind(new.instead_of.map(|key| key.0.to_vec()))
    .bind(&new.token.0[..])
    .fetch_all(&mut *conn)
    .await?;
    for old in old {
        announce(conn, Which::Session(SessionId(old)), now).await?;
    }
    sqlx::query(
        "INSERT INTO sessions (key, token, user_id, factor, device_label, verified_at, expires_at,
                               last_seen_at, whence)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?8)",
    )
    .bind(&new.key.0[..])
    .bind(&new.token.0[..])
    .bind(new.user.0)
    .bind(factor.as_str())
    .bind(new.device_label.as_deref())
    .bind(new.verified_at.0)
    .bind(new.expires_at.0)
    .bind(sealed(vault, new.user, &new.whence)?)
    .execute(&mut *conn)
    .await?;
    families::keep_proof(&mut *conn, new, factor).await?;
    find(conn, new.key, now)
        .await?
        .ok_or(StoreError::Damaged("session"))
}

/// Puts one line into the feed.
pub(super) async fn announce(
    conn: &mut SqliteConnection,
    which: Which,
    now: Timestamp,
) -> Stored<()> {
    let (kind, target, spared) = match which {
        Which::All => ("all", None, None),
        Which::User(user) => ("user", Some(user.0), None),
        Which::Session(session) => ("session", Some(session.0), None),
        Which::UserBut(user, spared) => ("user", Some(user.0), Some(spared.0)),
    };
    sqlx::query("INSERT INTO revocations (kind, target, spared, at) VALUES (?1, ?2, ?3, ?4)")
        .bind(kind)
        .bind(target)
        .bind(spared)
        .bind(now.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends sessions, with a line in the feed; returns how many of them were live.
pub(super) async fn end(conn: &mut SqliteConnection, which: Which, now: Timestamp) -> Stored<u64> {
    let (count, delete, targets) = match which {
        Which::All => (
            "SELECT count(*) FROM held_sessions WHERE ends_at > ?1",
            "DELETE FROM sessions",
            vec![],
        ),
        Which::User(user) => (
            "SELECT count(*) FROM held_sessions WHERE ends_at > ?1 AND user_id = ?2",
            "DELETE FROM sessions WHERE user_id = ?1",
            vec![user.0],
        ),
        Which::Session(session) => (
            "SELECT count(*) FROM held_sessions WHERE ends_at > ?1 AND id = ?2",
            "DELETE FROM sessions WHERE id = ?1",
            vec![session.0],
        ),
        Which::UserBut(user, spared) => (
            "SELECT count(*) FROM held_sessions WHERE ends_at > ?1 AND user_id = ?2 AND id <> ?3",
            "DELETE FROM sessions WHERE user_id = ?1 AND id <> ?2",
            vec![user.0, spared.0],
        ),
    };
    let mut counting = sqlx::query_scalar::<_, i64>(count).bind(now.0);
    let mut deleting = sqlx::query(delete);
    for target in targets {
        counting = counting.bind(target);
        deleting = deleting.bind(target);
    }
    let live = counting.fetch_one(&mut *conn).await?;
    families::drop_proofs(&mut *conn, which).await?;
    deleting.execute(&mut *conn).await?;
    announce(conn, which, now).await?;
    u64::try_from(live).map_err(|_| StoreError::Damaged("count"))
}

/// Whether this is a live session of that user.
async fn is_live(
    conn: &mut SqliteConnection,
    (user, session): (UserId, SessionId),
    now: Timestamp,
) -> Stored<bool> {
    let found = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM held_sessions WHERE id = ?1 AND user_id = ?2 AND ends_at > ?3)",
    )
    .bind(session.0)
    .bind(user.0)
    .bind(now.0)
    .fetch_one(conn)
    .await?;
    Ok(found)
}

/// A line of the feed: its number, kind, target, and the session that it spares.
type Line = (i64, String, Option<i64>, Option<i64>);

fn revocation((seq, kind, target, spared): Line) -> Stored<Revocation> {
    let which = match (kind.as_str(), target, spared) {
        ("all", None, None) => Which::All,
        ("user", Some(user), None) => Which::User(UserId(user)),
        ("user", Some(user), Some(spared)) => Which::UserBut(UserId(user), SessionId(spared)),
        ("session", Some(session), None) => Which::Session(SessionId(session)),
        _ => return Err(StoreError::Damaged("line of the feed")),
    };
    Ok(Revocation { seq, which })
}

#[async_trait]
impl Sessions for Sqlite {
    async fn session(&self, key: SessionKey, now: Timestamp) -> Stored<Option<Session>> {
        find(&self.readers, key, now).await
    }

    async fn touch(&self, seen: &[Seen]) -> Stored<()> {
        let mut tx = self.begin().await?;
        for seen in seen {
            sqlx::query(
                "UPDATE sessions SET last_seen_at = max(last_seen_at, ?2),
                                     longest_pause = max(longest_pause, ?3)
                 WHERE id = ?1 AND (last_seen_at < ?2 OR longest_pause < ?3)",
            )
            .bind(seen.id.0)
            .bind(seen.last_seen_at.0)
            .bind(seen.longest_pause_secs)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn revoke(&self, which: Which, now: Timestamp) -> Stored<u64> {
        let mut tx = self.begin().await?;
        if let Which::UserBut(user, spared) = which
            && !is_live(&mut tx, (user, spared), now).await?
        {
            return Ok(0);
        }
        browsers::forget_of(&mut tx, which).await?;
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
        rows.into_iter()
            .map(|columns| row(&self.vault, columns))
            .collect()
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
            "SELECT seq, kind, target, spared FROM revocations WHERE seq > ?1 ORDER BY seq LIMIT ?2",
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
