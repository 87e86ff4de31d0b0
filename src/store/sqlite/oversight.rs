//! What operators alone ask for.

use super::{
    Owner, Sqlite, browsers, challenges, count, digest, failures, families, hex, sessions, users,
};
use crate::auth::lockout::Counter;
use crate::auth::ports::{
    AuditLine, AuditQuery, Ended, FactorKind, Lockout, LockoutId, Oversight, SessionQuery,
    SessionRow, StoreError, Stored, User, UserChange, Which,
};
use crate::auth::subject::Who;
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use crate::id::{SessionId, UserId};
use crate::store::rules;
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite as Engine};

/// Where the name behind a counter is sealed.
fn place(subject: SubjectDigest) -> String {
    format!("failures.who/{}", hex(&subject.0))
}

impl Sqlite {
    /// The name behind a counter, as its row holds it.
    pub(super) fn sealed_who(
        &self,
        subject: SubjectDigest,
        who: Option<&Who>,
    ) -> Stored<Option<Vec<u8>>> {
        let Some(who) = who else {
            return Ok(None);
        };
        let text = serde_json::to_vec(who).map_err(|_| StoreError::Damaged("counter"))?;
        self.seal_bytes(&place(subject), &text).map(Some)
    }

    fn lockout(&self, row: LockoutRow) -> Stored<Lockout> {
        let (subject, failures, delayed_until, locked, who) = row;
        let subject = digest(&subject, SubjectDigest::from_slice)?;
        let opened = |sealed: Vec<u8>| {
            let plain = self.unseal_bytes("failures.who", &place(subject), &sealed)?;
            serde_json::from_slice(&plain).map_err(|_| StoreError::Damaged("counter"))
        };
        Ok(Lockout {
            subject,
            counter: Counter {
                failures: count(failures)?,
                delayed_until: Timestamp(delayed_until),
                locked,
            },
            who: who.map(opened).transpose()?,
        })
    }

    /// The user of that number, who stands for no recipient of a share.
    async fn plain_user(&self, conn: &mut SqliteConnection, id: UserId) -> Stored<Option<User>> {
        let user = self.find_user(conn, id).await?;
        Ok(user.filter(|user| !user.name.starts_with(rules::SHARE_USER_PREFIX)))
    }
}

type LockoutRow = (Vec<u8>, i64, i64, bool, Option<Vec<u8>>);

/// Ends the tokens and sessions of a user; one line in the feed says so.
async fn end_all_of(conn: &mut SqliteConnection, user: UserId, now: Timestamp) -> Stored<()> {
    browsers::forget_of(&mut *conn, Which::User(user)).await?;
    sessions::end(&mut *conn, Which::User(user), now).await?;
    families::end_of_user(&mut *conn, user, now).await?;
    execute(conn, "DELETE FROM tokens WHERE user_id = ?1", user).await
}

async fn execute(conn: &mut SqliteConnection, step: &'static str, user: UserId) -> Stored<()> {
    sqlx::query(step).bind(user.0).execute(conn).await?;
    Ok(())
}

fn audit_line((id, at, event): (i64, i64, String)) -> Stored<AuditLine> {
    Ok(AuditLine {
        id,
        at: Timestamp(at),
        event: serde_json::from_str(&event).map_err(|_| StoreError::Damaged("event"))?,
    })
}

#[async_trait]
impl Oversight for Sqlite {
    async fn users_after(&self, after: UserId, limit: u32) -> Stored<Vec<User>> {
        self.users_from(after, limit).await
    }

    async fn change_user(&self, id: UserId, change: UserChange, now: Timestamp) -> Stored<bool> {
        let mut tx = self.begin().await?;
        let Some(user) = self.plain_user(&mut tx, id).await? else {
            return Ok(false);
        };
        let owner = Owner {
            realm: &user.realm,
            name: &user.name,
        };
        let is_word = rules::is_word(&change);
        if let Some(phone) = &change.phone {
            let phone = phone.as_ref().map(|phone| phone.e164());
            sqlx::query("UPDATE users SET phone = ?2 WHERE id = ?1")
                .bind(id.0)
                .bind(self.seal("users.phone", &owner, phone)?)
                .execute(&mut *tx)
                .await?;
            challenges::void_kind(&mut tx, id, FactorKind::Sms).await?;
            browsers::forget_kind(&mut tx, id, FactorKind::Sms).await?;
        }
        if let Some(email) = &change.email {
            let email = email.as_ref().map(|email| email.expose());
            sqlx::query("UPDATE users SET email = ?2, email_digest = ?3 WHERE id = ?1")
                .bind(id.0)
                .bind(self.seal("users.email", &owner, email)?)
                .bind(email.map(|email| self.email_digest(email)))
                .execute(&mut *tx)
                .await?;
            challenges::void_kind(&mut tx, id, FactorKind::Email).await?;
            browsers::forget_kind(&mut tx, id, FactorKind::Email).await?;
        }
        if let Some(hash) = &change.password_hash {
            let hash = hash.as_ref().map(|hash| hash.expose());
            sqlx::query("UPDATE users SET password_hash = ?2 WHERE id = ?1")
                .bind(id.0)
                .bind(self.seal("users.password_hash", &owner, hash)?)
                .execute(&mut *tx)
                .await?;
            end_all_of(&mut tx, id, now).await?;
        }
        if let Some(can_edit_users) = change.can_edit_users {
            sqlx::query("UPDATE users SET can_edit_users = ?2 WHERE id = ?1")
                .bind(id.0)
                .bind(can_edit_users)
                .execute(&mut *tx)
                .await?;
        }
        if let Some(groups) = change.groups {
            users::put_groups(&mut tx, id, groups, now).await?;
        }
        if is_word {
            users::put_said(&mut tx, id, rules::by_operator(now)).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn remove_user(
        &self,
        id: UserId,
        subjects: &[SubjectDigest],
        now: Timestamp,
    ) -> Stored<bool> {
        let mut tx = self.begin().await?;
        if self.plain_user(&mut tx, id).await?.is_none() {
            return Ok(false);
        }
        end_all_of(&mut tx, id, now).await?;
        // All else that is the user's goes with the row.
        execute(&mut tx, "DELETE FROM users WHERE id = ?1", id).await?;
        for subject in subjects {
            failures::clear(&mut tx, *subject).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn find_sessions(&self, query: SessionQuery, now: Timestamp) -> Stored<Vec<SessionRow>> {
        self.sessions_like(&query, now).await
    }

    async fn revoke_devices(
        &self,
        labels: &[String],
        user: Option<UserId>,
        now: Timestamp,
    ) -> Stored<Vec<Ended>> {
        let mut tx = self.begin().await?;
        let rows: Vec<(i64, i64, String)> = sqlx::query_as(
            "SELECT id, user_id, device_label FROM held_sessions
             WHERE ends_at > ?1 AND (?2 IS NULL OR user_id = ?2)
                 AND device_label IN (SELECT value FROM json_each(?3))
             ORDER BY id",
        )
        .bind(now.0)
        .bind(user.map(|user| user.0))
        .bind(serde_json::json!(labels).to_string())
        .fetch_all(&mut *tx)
        .await?;
        let ended = rows.into_iter().map(|(id, user, device)| Ended {
            id: SessionId(id),
            user: UserId(user),
            device,
        });
        let ended: Vec<_> = ended.collect();
        for one in &ended {
            browsers::forget_of(&mut tx, Which::Session(one.id)).await?;
            sessions::end(&mut tx, Which::Session(one.id), now).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }

    async fn lockouts(
        &self,
        after: Option<LockoutId>,
        limit: u32,
        now: Timestamp,
    ) -> Stored<Vec<Lockout>> {
        let rows: Vec<LockoutRow> = sqlx::query_as(
            "SELECT subject, failures, delayed_until, locked, who FROM failures
             WHERE (locked OR delayed_until > ?1) AND (?2 IS NULL OR substr(subject, 1, 8) > ?2)
             ORDER BY subject LIMIT ?3",
        )
        .bind(now.0)
        .bind(after.map(|id| id.to_vec()))
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(|row| self.lockout(row)).collect()
    }

    async fn clear_lockouts(&self, subjects: &[SubjectDigest]) -> Stored<u64> {
        let mut tx = self.begin().await?;
        let mut cleared = 0;
        for subject in subjects {
            let done = sqlx::query("DELETE FROM failures WHERE subject = ?1")
                .bind(&subject.0[..])
                .execute(&mut *tx)
                .await?;
            cleared += done.rows_affected();
        }
        tx.commit().await?;
        Ok(cleared)
    }

    async fn clear_lockout(&self, id: LockoutId) -> Stored<Option<Lockout>> {
        let rows: Vec<LockoutRow> = sqlx::query_as(
            "DELETE FROM failures WHERE substr(subject, 1, 8) = ?1
             RETURNING subject, failures, delayed_until, locked, who",
        )
        .bind(&id[..])
        .fetch_all(&self.writer)
        .await?;
        let first = rows.into_iter().next();
        first.map(|row| self.lockout(row)).transpose()
    }

    async fn search_audit(&self, query: AuditQuery) -> Stored<Vec<AuditLine>> {
        let mut find = QueryBuilder::<Engine>::new("SELECT id, at, event FROM audit WHERE 1");
        if let Some(user) = query.user {
            find.push(" AND json_extract(event, '$.user') = ")
                .push_bind(user.0);
        }
        if let Some(kind) = query.kind {
            find.push(" AND json_extract(event, '$.kind') = ")
                .push_bind(kind.as_str());
        }
        if let Some(address) = query.address {
            find.push(" AND json_extract(event, '$.address') = ")
                .push_bind(address.to_string());
        }
        if let Some(since) = query.since {
            find.push(" AND at >= ").push_bind(since.0);
        }
        if let Some(until) = query.until {
            find.push(" AND at < ").push_bind(until.0);
        }
        if let Some(before) = query.before {
            find.push(" AND id < ").push_bind(before);
        }
        find.push(" ORDER BY id DESC LIMIT ").push_bind(query.limit);
        let rows: Vec<(i64, i64, String)> = find.build_query_as().fetch_all(&self.readers).await?;
        rows.into_iter().map(audit_line).collect()
    }

    async fn audit_after(&self, after: i64, limit: u32) -> Stored<Vec<AuditLine>> {
        let rows: Vec<(i64, i64, String)> =
            sqlx::query_as("SELECT id, at, event FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2")
                .bind(after)
                .bind(limit)
                .fetch_all(&self.readers)
                .await?;
        rows.into_iter().map(audit_line).collect()
    }

    async fn audit_head(&self) -> Stored<i64> {
        let head = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM audit")
            .fetch_one(&self.readers)
            .await?;
        Ok(head)
    }
}
