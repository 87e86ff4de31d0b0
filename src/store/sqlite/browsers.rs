//! Browsers that are remembered for a user.

use super::sessions::{self, opened, sealed};
use super::{Sqlite, digest, tokens};
use crate::auth::ports::{
    Browser, Browsers, FactorKind, NewBrowser, Recall, StoreError, Stored, Token, Which,
};
use crate::clock::Timestamp;
use crate::digest::BrowserDigest;
use crate::gate::session::{Factor, Session};
use crate::id::{BrowserId, UserId};
use crate::store::rules::{self, Remembered};
use crate::store::vault::Vault;
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

/// Remembers a browser for a user who has just passed a factor in it.
pub(super) async fn remember(
    conn: &mut SqliteConnection,
    vault: &Vault,
    (user, factor): (UserId, Factor),
    new: &NewBrowser,
    now: Timestamp,
) -> Stored<()> {
    if let Some(before) = new.instead_of {
        // The others' as well: they do not go on by a secret that one of them alone may know.
        sqlx::query("DELETE FROM remembered WHERE browser = ?1")
            .bind(&before.0[..])
            .execute(&mut *conn)
            .await?;
    }
    sqlx::query(
        "INSERT OR REPLACE INTO remembered (browser, user_id, token, factor, whence, verified_at,
                                            until, used_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6)",
    )
    .bind(&new.digest.0[..])
    .bind(user.0)
    .bind(&new.token.0[..])
    .bind(factor.as_str())
    .bind(sealed(vault, user, &new.whence)?)
    .bind(now.0)
    .bind(new.until.map(|until| until.0))
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "DELETE FROM remembered WHERE user_id = ?1 AND id <= (
             SELECT id FROM remembered WHERE user_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(user.0)
    .bind(i64::try_from(rules::BROWSERS_OF_USER_MAX).unwrap_or(i64::MAX))
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets the browsers in which this kind of factor was passed: it is another one now, or off.
pub(super) async fn forget_kind(
    conn: &mut SqliteConnection,
    user: UserId,
    kind: FactorKind,
) -> Stored<()> {
    sqlx::query("DELETE FROM remembered WHERE user_id = ?1 AND factor = ?2")
        .bind(user.0)
        .bind(kind.factor().as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets the browsers of the sessions that somebody ends; they are still there. A session that came out
/// of a browser is as old as what is remembered there, whoever has signed in by it since. Whoever ends all
/// sessions but one trusts nothing of before, and is asked in that browser too.
pub(super) async fn forget_of(conn: &mut SqliteConnection, which: Which) -> Stored<()> {
    let (forget, target) = match which {
        Which::All => ("DELETE FROM remembered", None),
        Which::User(user) | Which::UserBut(user, _) => {
            ("DELETE FROM remembered WHERE user_id = ?1", Some(user.0))
        }
        Which::Session(session) => (
            "DELETE FROM remembered WHERE id IN (
                 SELECT kept.id FROM remembered AS kept JOIN sessions AS ended USING (user_id)
                 WHERE ended.id = ?1
                     AND (kept.token = ended.token OR kept.verified_at = ended.verified_at))",
            Some(session.0),
        ),
    };
    let mut forgetting = sqlx::query(forget);
    if let Some(target) = target {
        forgetting = forgetting.bind(target);
    }
    forgetting.execute(conn).await?;
    Ok(())
}

type Kept = (String, i64, Option<i64>, i64);

fn remembered((factor, verified_at, until, used_at): Kept) -> Stored<Remembered> {
    Ok(Remembered {
        factor: Factor::from_name(&factor).ok_or(StoreError::Damaged("factor"))?,
        verified_at: Timestamp(verified_at),
        until: until.map(Timestamp),
        used_at: Timestamp(used_at),
    })
}

/// The session of a token's user in a browser that is remembered, if it is.
async fn recall(
    conn: &mut SqliteConnection,
    vault: &Vault,
    token: &Token,
    recall: &Recall,
    now: Timestamp,
) -> Stored<Option<Session>> {
    let kept: Option<Kept> = sqlx::query_as(
        "SELECT factor, verified_at, until, used_at FROM remembered
         WHERE browser = ?1 AND user_id = ?2",
    )
    .bind(&recall.browser.0[..])
    .bind(token.user.0)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(kept) = kept.map(remembered).transpose()? else {
        return Ok(None);
    };
    let Some(new) = kept.session(recall, now) else {
        return Ok(None);
    };
    let mut session = sessions::put(&mut *conn, vault, &new, kept.factor, now).await?;
    let pause_secs = kept.pause_secs(now);
    sqlx::query("UPDATE sessions SET last_seen_at = ?2, longest_pause = ?3 WHERE id = ?1")
        .bind(session.id.0)
        .bind(now.0)
        .bind(pause_secs)
        .execute(&mut *conn)
        .await?;
    session.last_seen_at = now;
    session.longest_pause_secs = pause_secs;
    sqlx::query(
        "UPDATE remembered SET token = ?3, used_at = ?4 WHERE browser = ?1 AND user_id = ?2",
    )
    .bind(&recall.browser.0[..])
    .bind(token.user.0)
    .bind(&token.digest.0[..])
    .bind(now.0)
    .execute(conn)
    .await?;
    Ok(Some(session))
}

type Row = (i64, Vec<u8>, Vec<u8>, String, i64, Option<i64>, i64);

fn browser(vault: &Vault, user: UserId, row: Row) -> Stored<(Browser, Remembered)> {
    let (id, browser, whence, factor, verified_at, until, used_at) = row;
    let kept = remembered((factor, verified_at, until, used_at))?;
    let browser = Browser {
        id: BrowserId(id),
        digest: digest(&browser, BrowserDigest::from_slice)?,
        factor: kept.factor,
        verified_at: kept.verified_at,
        whence: opened(vault, user, &whence)?,
        until: kept.until,
    };
    Ok((browser, kept))
}

#[async_trait]
impl Browsers for Sqlite {
    async fn put_token_in(
        &self,
        token: Token,
        at: Recall,
        now: Timestamp,
    ) -> Stored<Option<Session>> {
        let mut tx = self.begin().await?;
        tokens::put(&mut tx, &self.vault, &token).await?;
        let session = recall(&mut tx, &self.vault, &token, &at, now).await?;
        tx.commit().await?;
        Ok(session)
    }

    async fn browsers(&self, user: UserId, now: Timestamp) -> Stored<Vec<Browser>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, browser, whence, factor, verified_at, until, used_at FROM remembered
             WHERE user_id = ?1 ORDER BY id DESC",
        )
        .bind(user.0)
        .fetch_all(&self.readers)
        .await?;
        let mut found = Vec::new();
        for row in rows {
            let (browser, kept) = browser(&self.vault, user, row)?;
            if kept.is_live(now) {
                found.push(browser);
            }
        }
        Ok(found)
    }

    async fn forget_browser(&self, user: UserId, id: BrowserId) -> Stored<bool> {
        let forgotten = sqlx::query("DELETE FROM remembered WHERE id = ?1 AND user_id = ?2")
            .bind(id.0)
            .bind(user.0)
            .execute(&self.writer)
            .await?;
        Ok(forgotten.rows_affected() > 0)
    }
}
