//! Families of tokens, and what they stand for.

use super::{Sqlite, sessions, tokens};
use crate::auth::ports::{
    Born, Families, Family, Issue, NewSession, Originals, Refreshed, Rotation, StoreError, Stored,
    Token, Which,
};
use crate::clock::Timestamp;
use crate::digest::{RefreshDigest, TokenDigest};
use crate::gate::session::{Factor, Session};
use crate::id::{SessionId, ShareId, UserId};
use crate::secret::{Sealed, Secret};
use crate::store::vault::Vault;
use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, Row as _};

/// Where a token's original is sealed: one that was copied to another token does not open.
fn place_of_token(digest: TokenDigest) -> String {
    place("tokens", &digest.0)
}

/// The same for a family: for every family of one root, it is the same text.
fn place_of_family(born_of: TokenDigest) -> String {
    place("families", &born_of.0)
}

fn place(table: &str, digest: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    let mut place = format!("{table}.original/");
    for byte in digest {
        let _ = write!(place, "{byte:02x}");
    }
    place
}

fn sealed(vault: &Vault, place: &str, original: &Secret) -> Stored<Vec<u8>> {
    let sealed = vault.seal(place, original.expose().as_bytes());
    sealed.map_err(|error| StoreError::Unavailable(error.to_string()))
}

fn opened(vault: &Vault, place: &str, sealed: &[u8]) -> Option<Secret> {
    let plain = vault.open(place, sealed)?;
    Some(Secret::new(std::str::from_utf8(&plain).ok()?))
}

/// What a token stands for, as its row holds it.
pub(super) fn sealed_original(vault: &Vault, token: &Token) -> Stored<Option<Vec<u8>>> {
    let born = token.born.as_ref();
    born.map(|born| sealed(vault, &place_of_token(token.digest), &born.original))
        .transpose()
}

/// Begins a family with an access token that is stored already. `verified`: the session that its
/// sessions are renewed from.
pub(super) async fn issue(
    conn: &mut SqliteConnection,
    vault: &Vault,
    issue: &Issue,
    verified: Option<&Session>,
    now: Timestamp,
) -> Stored<()> {
    let access = &issue.access;
    let born = access.born.as_ref();
    let original = born
        .map(|born| sealed(vault, &place_of_family(born.of), &born.original))
        .transpose()?;
    let family: i64 = sqlx::query_scalar(
        "INSERT INTO families (user_id, device_label, scope, share_id, born_of, original, factor,
                               verified_at, ends_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id",
    )
    .bind(access.user.0)
    .bind(issue.device_label.as_deref())
    .bind(access.scope.as_deref())
    .bind(access.share.map(|share| share.0))
    .bind(born.map(|born| born.of.0.to_vec()))
    .bind(original)
    .bind(verified.map(|session| session.factor.as_str()))
    .bind(verified.map(|session| session.verified_at.0))
    .bind(issue.family_ends_at.0)
    .fetch_one(&mut *conn)
    .await?;
    join(&mut *conn, access.digest, family).await?;
    put_refresh(conn, issue.refresh, family, now, issue.refresh_expires_at).await
}

async fn join(conn: &mut SqliteConnection, token: TokenDigest, family: i64) -> Stored<()> {
    sqlx::query("UPDATE tokens SET family_id = ?2 WHERE digest = ?1")
        .bind(&token.0[..])
        .bind(family)
        .execute(conn)
        .await?;
    Ok(())
}

async fn put_refresh(
    conn: &mut SqliteConnection,
    digest: RefreshDigest,
    family: i64,
    now: Timestamp,
    expires_at: Timestamp,
) -> Stored<()> {
    sqlx::query(
        "INSERT INTO refresh_tokens (digest, family_id, issued_at, expires_at)
         VALUES (?1, ?2, ?3, ?4)",
    )
    .bind(&digest.0[..])
    .bind(family)
    .bind(now.0)
    .bind(expires_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// A session was made: what comes after its token begins verified like it.
pub(super) async fn keep_proof(
    conn: &mut SqliteConnection,
    new: &NewSession,
    factor: Factor,
) -> Stored<()> {
    sqlx::query(
        "UPDATE families SET factor = ?3, verified_at = ?4
         WHERE id = (SELECT family_id FROM tokens WHERE digest = ?1) AND device_label IS ?2",
    )
    .bind(&new.token.0[..])
    .bind(new.device_label.as_deref())
    .bind(factor.as_str())
    .bind(new.verified_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Sessions end: no refresh token brings them back. Before their rows are gone.
pub(super) async fn drop_proofs(conn: &mut SqliteConnection, which: Which) -> Stored<()> {
    let (statement, targets) = match which {
        Which::All => (
            "UPDATE families SET factor = NULL, verified_at = NULL",
            vec![],
        ),
        Which::User(user) => (
            "UPDATE families SET factor = NULL, verified_at = NULL
             WHERE user_id = ?1",
            vec![user.0],
        ),
        Which::Session(session) => (
            "UPDATE families SET factor = NULL, verified_at = NULL
             WHERE id = (SELECT t.family_id FROM sessions s JOIN tokens t ON t.digest = s.token
                         WHERE s.id = ?1)",
            vec![session.0],
        ),
        Which::UserBut(user, spared) => (
            "UPDATE families SET factor = NULL, verified_at = NULL
             WHERE user_id = ?1
               AND id IS NOT (SELECT t.family_id FROM sessions s JOIN tokens t ON t.digest = s.token
                              WHERE s.id = ?2)",
            vec![user.0, spared.0],
        ),
    };
    let mut query = sqlx::query(statement);
    for target in targets {
        query = query.bind(target);
    }
    query.execute(conn).await?;
    Ok(())
}

/// Ends what was born of a token, for anybody but `spared` (its user now, if it has one).
pub(super) async fn end_born(
    conn: &mut SqliteConnection,
    root: TokenDigest,
    spared: Option<UserId>,
    now: Timestamp,
) -> Stored<()> {
    let families: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM families WHERE born_of = ?1 AND user_id IS NOT ?2")
            .bind(&root.0[..])
            .bind(spared.map(|user| user.0))
            .fetch_all(&mut *conn)
            .await?;
    for family in families {
        end(&mut *conn, family, now).await?;
    }
    let born = "SELECT digest FROM tokens WHERE born_of = ?1 AND user_id IS NOT ?2";
    let tokens: Vec<Vec<u8>> = sqlx::query_scalar(born)
        .bind(&root.0[..])
        .bind(spared.map(|user| user.0))
        .fetch_all(&mut *conn)
        .await?;
    end_tokens(conn, tokens, now).await
}

/// Ends a token with its family, and what was born of it.
pub(super) async fn end_with_kin(
    conn: &mut SqliteConnection,
    token: TokenDigest,
    now: Timestamp,
) -> Stored<()> {
    end_born(&mut *conn, token, None, now).await?;
    let family: Option<Option<i64>> =
        sqlx::query_scalar("SELECT family_id FROM tokens WHERE digest = ?1")
            .bind(&token.0[..])
            .fetch_optional(&mut *conn)
            .await?;
    match family.flatten() {
        Some(family) => end(conn, family, now).await,
        None => end_tokens(conn, vec![token.0.to_vec()], now).await,
    }
}

/// Ends the families of a user who goes.
pub(super) async fn end_of_user(
    conn: &mut SqliteConnection,
    user: UserId,
    now: Timestamp,
) -> Stored<()> {
    let families: Vec<i64> = sqlx::query_scalar("SELECT id FROM families WHERE user_id = ?1")
        .bind(user.0)
        .fetch_all(&mut *conn)
        .await?;
    for family in families {
        end(&mut *conn, family, now).await?;
    }
    Ok(())
}

/// Deletes a family with its tokens and their sessions.
async fn end(conn: &mut SqliteConnection, family: i64, now: Timestamp) -> Stored<()> {
    let tokens: Vec<Vec<u8>> = sqlx::query_scalar("SELECT digest FROM tokens WHERE family_id = ?1")
        .bind(family)
        .fetch_all(&mut *conn)
        .await?;
    end_tokens(&mut *conn, tokens, now).await?;
    sqlx::query("DELETE FROM families WHERE id = ?1")
        .bind(family)
        .execute(conn)
        .await?;
    Ok(())
}

async fn end_tokens(
    conn: &mut SqliteConnection,
    tokens: Vec<Vec<u8>>,
    now: Timestamp,
) -> Stored<()> {
    for token in tokens {
        let sessions: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM sessions WHERE token = ?1 ORDER BY id")
                .bind(&token)
                .fetch_all(&mut *conn)
                .await?;
        for session in sessions {
            sessions::end(&mut *conn, Which::Session(SessionId(session)), now).await?;
        }
        sqlx::query("DELETE FROM tokens WHERE digest = ?1")
            .bind(&token)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Removes what ended before `before`, once the tokens that ended by themselves are gone. Returns rows
/// removed.
pub(super) async fn purge(conn: &mut SqliteConnection, before: Timestamp) -> Stored<u64> {
    let mut removed = 0;
    for step in [
        "DELETE FROM sessions WHERE token IN (
             SELECT t.digest FROM tokens t JOIN families f ON f.id = t.family_id
             WHERE f.ends_at < ?1
             UNION ALL
             SELECT t.digest FROM tokens t WHERE t.born_of IS NOT NULL AND t.issued_at < ?1
                 AND NOT EXISTS (SELECT 1 FROM tokens r WHERE r.digest = t.born_of))",
        "DELETE FROM tokens WHERE family_id IN (SELECT id FROM families WHERE ends_at < ?1)",
        "DELETE FROM tokens WHERE born_of IS NOT NULL AND issued_at < ?1
             AND NOT EXISTS (SELECT 1 FROM tokens r WHERE r.digest = tokens.born_of)",
        "DELETE FROM refresh_tokens WHERE expires_at < ?1",
        "DELETE FROM families WHERE ends_at < ?1",
        "DELETE FROM signing_keys WHERE ends_at < ?1",
    ] {
        let done = sqlx::query(step).bind(before.0).execute(&mut *conn).await?;
        removed += done.rows_affected();
    }
    Ok(removed)
}

/// A refresh token with its family.
struct Found {
    family: i64,
    is_spent: bool,
    issued_at: i64,
    user_id: i64,
    realm: String,
    name: String,
    device_label: Option<String>,
    scope: Option<String>,
    share_id: Option<i64>,
    born_of: Option<Vec<u8>>,
    original: Option<Vec<u8>>,
    factor: Option<String>,
    verified_at: Option<i64>,
    ends_at: i64,
}

impl FromRow<'_, SqliteRow> for Found {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            family: row.try_get("family")?,
            is_spent: row.try_get("is_spent")?,
            issued_at: row.try_get("issued_at")?,
            user_id: row.try_get("user_id")?,
            realm: row.try_get("realm")?,
            name: row.try_get("name")?,
            device_label: row.try_get("device_label")?,
            scope: row.try_get("scope")?,
            share_id: row.try_get("share_id")?,
            born_of: row.try_get("born_of")?,
            original: row.try_get("original")?,
            factor: row.try_get("factor")?,
            verified_at: row.try_get("verified_at")?,
            ends_at: row.try_get("ends_at")?,
        })
    }
}

/// How and when the family's device was verified last.
type Proof = (Factor, Timestamp);

impl Found {
    /// The refresh token, if it is spent or still good, and its family has not ended.
    async fn find<'e>(
        conn: impl sqlx::SqliteExecutor<'e>,
        refresh: RefreshDigest,
        now: Timestamp,
    ) -> Stored<Option<Self>> {
        Ok(sqlx::query_as(
            "SELECT f.id AS family, r.spent AS is_spent, r.issued_at, f.user_id, u.realm, u.name,
                    f.device_label, f.scope, f.share_id, f.born_of, f.original, f.factor,
                    f.verified_at, f.ends_at
             FROM refresh_tokens r
             JOIN families f ON f.id = r.family_id
             JOIN users u ON u.id = f.user_id
             WHERE r.digest = ?1 AND f.ends_at > ?2 AND (r.spent OR r.expires_at > ?2)",
        )
        .bind(&refresh.0[..])
        .bind(now.0)
        .fetch_optional(conn)
        .await?)
    }

    fn proof(&self) -> Stored<Option<Proof>> {
        let (Some(factor), Some(verified_at)) = (&self.factor, self.verified_at) else {
            return Ok(None);
        };
        let factor = Factor::from_name(factor).ok_or(StoreError::Damaged("factor"))?;
        Ok(Some((factor, Timestamp(verified_at))))
    }

    fn born(&self, vault: &Vault) -> Stored<Option<Born>> {
        let (Some(of), Some(original)) = (&self.born_of, &self.original) else {
            return Ok(None);
        };
        let of = super::digest(of, TokenDigest::from_slice)?;
        let original = opened(vault, &place_of_family(of), original);
        let original = original.ok_or(StoreError::Damaged("original token"))?;
        Ok(Some(Born { of, original }))
    }

    /// When anything of the family was used last, and the longest pause before that: a refresh alone
    /// keeps no idle session alive.
    async fn used(&self, conn: &mut SqliteConnection) -> Stored<(Timestamp, u32)> {
        let (seen, longest_pause): (Option<i64>, Option<u32>) = sqlx::query_as(
            "SELECT max(last_seen_at), max(longest_pause) FROM sessions
             WHERE token IN (SELECT digest FROM tokens WHERE family_id = ?1)",
        )
        .bind(self.family)
        .fetch_one(conn)
        .await?;
        let seen = seen.unwrap_or(self.issued_at);
        Ok((Timestamp(seen), longest_pause.unwrap_or(0)))
    }
}

/// Makes the session of the new pair, if the family is verified.
async fn renew_session(
    conn: &mut SqliteConnection,
    vault: &Vault,
    rotation: &Rotation,
    found: &Found,
    (seen_at, longest_pause_secs): (Timestamp, u32),
    now: Timestamp,
) -> Stored<Option<Session>> {
    let Some((factor, verified_at)) = found.proof()? else {
        return Ok(None);
    };
    let new = NewSession {
        key: rotation.pair,
        token: rotation.access,
        user: UserId(found.user_id),
        device_label: found.device_label.clone(),
        whence: rotation.whence.clone(),
        instead_of: None,
        verified_at,
        expires_at: Timestamp(found.ends_at),
    };
    let mut session = sessions::put(&mut *conn, vault, &new, factor, now).await?;
    sqlx::query("UPDATE sessions SET last_seen_at = ?2, longest_pause = ?3 WHERE id = ?1")
        .bind(session.id.0)
        .bind(seen_at.0)
        .bind(longest_pause_secs)
        .execute(conn)
        .await?;
    session.last_seen_at = seen_at;
    session.longest_pause_secs = longest_pause_secs;
    Ok(Some(session))
}

#[async_trait]
impl Families for Sqlite {
    async fn family(&self, refresh: RefreshDigest, now: Timestamp) -> Stored<Option<Family>> {
        let Some(found) = Found::find(&self.readers, refresh, now).await? else {
            return Ok(None);
        };
        let proof = found.proof()?;
        Ok(Some(Family {
            user: UserId(found.user_id),
            realm: found.realm,
            name: found.name,
            device_label: found.device_label,
            verified_at: proof.map(|(_, verified_at)| verified_at),
            ends_at: Timestamp(found.ends_at),
        }))
    }

    async fn rotate(&self, rotation: Rotation, now: Timestamp) -> Stored<Refreshed> {
        let mut tx = self.begin().await?;
        let Some(found) = Found::find(&mut *tx, rotation.old, now).await? else {
            return Ok(Refreshed::Unknown);
        };
        if found.is_spent {
            end(&mut tx, found.family, now).await?;
            tx.commit().await?;
            return Ok(Refreshed::Reused);
        }
        let user = UserId(found.user_id);
        let access = Token {
            digest: rotation.access,
            user,
            issued_pair: Some(rotation.pair),
            scope: found.scope.clone(),
            share: found.share_id.map(ShareId),
            born: found.born(&self.vault)?,
            issued_at: now,
            expires_at: Some(rotation.access_expires_at),
        };
        let used = found.used(&mut tx).await?;
        tokens::put(&mut tx, &self.vault, &access).await?;
        join(&mut tx, rotation.access, found.family).await?;
        // What it stands for may have ended: then nothing has happened.
        if !tokens::is_live(&mut tx, rotation.access, user, now).await? {
            return Ok(Refreshed::Unknown);
        }
        sqlx::query("UPDATE refresh_tokens SET spent = 1 WHERE digest = ?1")
            .bind(&rotation.old.0[..])
            .execute(&mut *tx)
            .await?;
        let expires_at = rotation.refresh_expires_at;
        put_refresh(&mut tx, rotation.refresh, found.family, now, expires_at).await?;
        let session = renew_session(&mut tx, &self.vault, &rotation, &found, used, now).await?;
        tx.commit().await?;
        Ok(Refreshed::Yes(session))
    }
}

impl Originals for Sqlite {
    fn original(&self, digest: TokenDigest, sealed: &Sealed) -> Option<Secret> {
        opened(&self.vault, &place_of_token(digest), &sealed.0)
    }
}
