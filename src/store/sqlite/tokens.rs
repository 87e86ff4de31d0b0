//! Tokens.

use super::users::groups_from_text;
use super::{Sqlite, digest, families, sessions};
use crate::auth::ports::{Born, StoreError, Stored, Token, Tokens, Which};
use crate::clock::Timestamp;
use crate::digest::{SessionKey, TokenDigest};
use crate::gate::session::{Holder, Terms};
use crate::id::{SessionId, ShareId, UserId};
use crate::secret::{Sealed, Secret};
use crate::store::rules;
use crate::store::vault::Vault;
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

type Row = (
    i64,
    Option<Vec<u8>>,
    Option<String>,
    Option<i64>,
    i64,
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    String,
    String,
    bool,
);

fn from_row(digest_: TokenDigest, row: Row) -> Stored<(Token, Holder)> {
    let (
        user,
        issued_pair,
        scope,
        share,
        issued_at,
        expires_at,
        born_of,
        original,
        name,
        groups,
        is_uncounted,
    ) = row;
    let original = original.map(|it| Sealed(it.into()));
    let holder = Holder {
        user: UserId(user),
        name: name.into(),
        terms: Terms::of(scope.as_deref(), original, groups_from_text(&groups)),
    };
    let holder = match is_uncounted {
        true => holder.uncounted(),
        false => holder,
    };
    let token = Token {
        digest: digest_,
        user: UserId(user),
        issued_pair: issued_pair
            .map(|pair| digest(&pair, SessionKey::from_slice))
            .transpose()?,
        scope,
        share: share.map(ShareId),
        born: born_of
            .map(|of| {
                let of = digest(&of, TokenDigest::from_slice)?;
                let original = Secret::default();
                Ok::<_, StoreError>(Born { of, original })
            })
            .transpose()?,
        issued_at: Timestamp(issued_at),
        expires_at: expires_at.map(Timestamp),
    };
    Ok((token, holder))
}

/// The live token and its holder.
pub(super) async fn find<'e>(
    conn: impl sqlx::SqliteExecutor<'e>,
    digest: TokenDigest,
    now: Timestamp,
) -> Stored<Option<(Token, Holder)>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT t.user_id, t.issued_pair, t.scope, t.share_id, t.issued_at, t.expires_at, t.born_of,
                t.original, t.name, t.group_names,
                EXISTS (SELECT 1 FROM shares s WHERE s.id = t.share_id AND s.devices_max IS NOT NULL)
                AND NOT EXISTS (SELECT 1 FROM share_devices d
                                WHERE d.share_id = t.share_id
                                    AND d.device = coalesce(t.born_of, t.digest))
         FROM held_tokens t WHERE t.digest = ?1 AND t.ends_at > ?2",
    )
    .bind(&digest.0[..])
    .bind(now.0)
    .fetch_optional(conn)
    .await?;
    row.map(|row| from_row(digest, row)).transpose()
}

/// Inserts a token or renews the one with its digest. Sessions that another user had with it end, and
/// what was born of it for them.
pub(super) async fn put(conn: &mut SqliteConnection, vault: &Vault, token: &Token) -> Stored<()> {
    let others: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM sessions WHERE token = ?1 AND user_id <> ?2 ORDER BY id",
    )
    .bind(&token.digest.0[..])
    .bind(token.user.0)
    .fetch_all(&mut *conn)
    .await?;
    for id in others {
        let which = Which::Session(SessionId(id));
        sessions::end(&mut *conn, which, token.issued_at).await?;
    }
    families::end_born(&mut *conn, token.digest, Some(token.user), token.issued_at).await?;
    if let Some(share) = token.share {
        make_room(&mut *conn, share).await?;
    }
    sqlx::query(
        "INSERT INTO tokens (digest, user_id, issued_pair, scope, share_id, issued_at, expires_at,
                             born_of, original)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (digest) DO UPDATE SET user_id = ?2, issued_pair = ?3, scope = ?4,
             share_id = ?5, issued_at = ?6, expires_at = ?7, born_of = ?8, original = ?9,
             family_id = NULL",
    )
    .bind(&token.digest.0[..])
    .bind(token.user.0)
    .bind(token.issued_pair.map(|pair| pair.0.to_vec()))
    .bind(token.scope.as_deref())
    .bind(token.share.map(|share| share.0))
    .bind(token.issued_at.0)
    .bind(token.expires_at.map(|at| at.0))
    .bind(token.born.as_ref().map(|born| born.of.0.to_vec()))
    .bind(families::sealed_original(vault, token)?)
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the oldest tokens issued from a share that opened nothing yet, if there are too many. The
/// share's own token has no pair and stays, and so does what was counted as a device.
async fn make_room(conn: &mut SqliteConnection, share: ShareId) -> Stored<()> {
    let others = i64::try_from(rules::SHARE_TOKENS_MAX).unwrap_or(i64::MAX) - 1;
    sqlx::query(
        "DELETE FROM tokens WHERE digest IN (
             SELECT digest FROM tokens
             WHERE share_id = ?1 AND issued_pair IS NOT NULL AND born_of IS NULL
                 AND NOT EXISTS (SELECT 1 FROM tokens b WHERE b.born_of = tokens.digest)
                 AND NOT EXISTS (SELECT 1 FROM sessions WHERE token = tokens.digest)
                 AND NOT EXISTS (SELECT 1 FROM share_devices d
                                 WHERE d.share_id = ?1 AND d.device = tokens.digest)
             ORDER BY issued_at DESC LIMIT -1 OFFSET ?2)",
    )
    .bind(share.0)
    .bind(others)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether `user` holds that token now.
pub(super) async fn is_live(
    conn: &mut SqliteConnection,
    token: TokenDigest,
    user: UserId,
    now: Timestamp,
) -> Stored<bool> {
    let is_live = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM held_tokens
                        WHERE digest = ?1 AND user_id = ?2 AND ends_at > ?3)",
    )
    .bind(&token.0[..])
    .bind(user.0)
    .bind(now.0)
    .fetch_one(conn)
    .await?;
    Ok(is_live)
}

#[async_trait]
impl Tokens for Sqlite {
    async fn put_token(&self, token: Token) -> Stored<()> {
        let mut tx = self.begin().await?;
        put(&mut tx, &self.vault, &token).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn token(&self, digest: TokenDigest, now: Timestamp) -> Stored<Option<(Token, Holder)>> {
        find(&self.readers, digest, now).await
    }

    async fn drop_token(&self, digest: TokenDigest, now: Timestamp) -> Stored<Vec<SessionId>> {
        let mut tx = self.begin().await?;
        let before: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM revocations")
            .fetch_one(&mut *tx)
            .await?;
        families::end_with_kin(&mut tx, digest, now).await?;
        let ended: Vec<i64> = sqlx::query_scalar(
            "SELECT target FROM revocations WHERE seq > ?1 AND kind = 'session' ORDER BY seq",
        )
        .bind(before)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(ended.into_iter().map(SessionId).collect())
    }
}
