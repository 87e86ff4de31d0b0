//! The second factors of users, their backup codes, and the log of their changes.

use super::{Sqlite, browsers, challenges, count, passkeys};
use crate::auth::ports::{
    BackupCodes, Change, ChangePage, ChangeQuery, Disable, Enrolled, FactorKind, FactorSet,
    FactorValue, Factors, StoreError, Stored,
};
use crate::clock::Timestamp;
use crate::factor::totp::TotpSecret;
use crate::id::{ChangeId, FactorId, UserId};
use crate::secret::Secret;
use crate::store::phone_from_stored;
use crate::store::rules::{self, FactorRow};
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

fn kind_from(name: &str) -> Stored<FactorKind> {
    FactorKind::from_name(name).ok_or(StoreError::Damaged("factor"))
}

fn value_place(user: UserId, kind: FactorKind) -> String {
    format!("factors.value/{user}/{}", kind.as_str())
}

impl Sqlite {
    /// What a factor stands on, sealed for a place.
    pub(super) fn seal_factor(&self, place: &str, value: &FactorValue) -> Stored<Vec<u8>> {
        self.seal_bytes(
            place,
            match value {
                FactorValue::Sms(phone) => phone.e164().as_bytes(),
                FactorValue::Totp(secret) => secret.bytes(),
                FactorValue::Email(address) => address.expose().as_bytes(),
            },
        )
    }

    /// What a factor of a kind stands on, as it was sealed.
    pub(super) fn factor_value(
        &self,
        column: &'static str,
        place: &str,
        kind: FactorKind,
        sealed: &[u8],
    ) -> Stored<FactorValue> {
        let plain = self.unseal_bytes(column, place, sealed)?;
        let text = || std::str::from_utf8(&plain).map_err(|_| StoreError::Damaged(column));
        Ok(match kind {
            FactorKind::Sms => FactorValue::Sms(phone_from_stored(text()?)?),
            FactorKind::Totp => FactorValue::Totp(TotpSecret::from_bytes(&plain)),
            FactorKind::Email => FactorValue::Email(Secret::new(text()?)),
            FactorKind::Passkey => return Err(StoreError::Damaged(column)),
        })
    }

    /// The verified factors of a user, in the user's order.
    pub(super) async fn enrolled(
        &self,
        conn: &mut SqliteConnection,
        user: UserId,
    ) -> Stored<Vec<Enrolled>> {
        let profile = self.find_user(&mut *conn, user).await?;
        let rows: Vec<(i64, String, Option<Vec<u8>>)> =
            sqlx::query_as("SELECT id, kind, value FROM factors WHERE user_id = ?1")
                .bind(user.0)
                .fetch_all(conn)
                .await?;
        let rows = rows.into_iter().map(|(id, kind, value)| {
            let kind = kind_from(&kind)?;
            let place = value_place(user, kind);
            let value = value.map(|value| self.factor_value("factors.value", &place, kind, &value));
            Ok(FactorRow {
                id: FactorId(id),
                kind,
                value: value.transpose()?,
            })
        });
        let (phone, email) = profile.map_or((None, None), |user| (user.phone, user.email));
        Ok(rules::enrolled(rows.collect::<Stored<_>>()?, phone, email))
    }

    /// Turns a kind on, or off for good: `value` is what it stands on from now on.
    pub(super) async fn set_factor(
        &self,
        conn: &mut SqliteConnection,
        (user, kind): (UserId, FactorKind),
        value: Option<&FactorValue>,
        last_step: Option<i64>,
        now: Timestamp,
    ) -> Stored<()> {
        let place = value_place(user, kind);
        let sealed = value.map(|value| self.seal_factor(&place, value));
        sqlx::query(
            "INSERT OR REPLACE INTO factors (user_id, kind, value, last_step, confirmed_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(user.0)
        .bind(kind.as_str())
        .bind(sealed.transpose()?)
        .bind(last_step)
        .bind(now.0)
        .execute(&mut *conn)
        .await?;
        log_change(&mut *conn, user, (kind, value.is_some()), now).await?;
        browsers::forget_kind(&mut *conn, user, kind).await?;
        challenges::void_kind(conn, user, kind).await
    }

    /// Turns factors off; returns whether any was on.
    pub(super) async fn turn_off(
        &self,
        conn: &mut SqliteConnection,
        user: UserId,
        which: Disable,
        now: Timestamp,
    ) -> Stored<bool> {
        let factors = self.enrolled(&mut *conn, user).await?;
        let passkeys = passkeys::ids(&mut *conn, user).await?;
        let off = rules::turned_off(which, &factors, &passkeys);
        for kind in &off.kinds {
            self.set_factor(&mut *conn, (user, *kind), None, None, now)
                .await?;
        }
        passkeys::remove(&mut *conn, user, &off.passkeys, now).await?;
        if off.backup_codes {
            forget(conn, "DELETE FROM backup_sets WHERE user_id = ?1", user).await?;
        }
        Ok(off.has_any())
    }

    /// Forgets what the user enrolled and turned off, with lines for what that turns on or off.
    pub(super) async fn reset_factors(
        &self,
        conn: &mut SqliteConnection,
        user: UserId,
        now: Timestamp,
    ) -> Stored<()> {
        let before = self.enrolled(&mut *conn, user).await?;
        for step in [
            "DELETE FROM factors WHERE user_id = ?1",
            "DELETE FROM backup_sets WHERE user_id = ?1",
            "DELETE FROM wizards WHERE user_id = ?1",
            "DELETE FROM success_tokens WHERE user_id = ?1",
            "DELETE FROM ceremonies WHERE user_id = ?1",
            "DELETE FROM grants WHERE user_id = ?1",
            "DELETE FROM remembered WHERE user_id = ?1",
        ] {
            forget(&mut *conn, step, user).await?;
        }
        let after = self.enrolled(&mut *conn, user).await?;
        for change in rules::changed_kinds(&before, &after) {
            log_change(&mut *conn, user, change, now).await?;
        }
        let passkeys = passkeys::ids(&mut *conn, user).await?;
        passkeys::remove(&mut *conn, user, &passkeys, now).await?;
        challenges::void(conn, user).await
    }
}

async fn forget(conn: &mut SqliteConnection, step: &'static str, user: UserId) -> Stored<()> {
    sqlx::query(step).bind(user.0).execute(conn).await?;
    Ok(())
}

pub(super) async fn log_change(
    conn: &mut SqliteConnection,
    user: UserId,
    (kind, is_enabled): (FactorKind, bool),
    now: Timestamp,
) -> Stored<()> {
    sqlx::query(
        "INSERT INTO factor_changes (user_id, kind, is_enabled, at) VALUES (?1, ?2, ?3, ?4)",
    )
    .bind(user.0)
    .bind(kind.as_str())
    .bind(is_enabled)
    .bind(now.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Backup codes of a user that are not spent.
pub(super) async fn backup_codes_left(conn: &mut SqliteConnection, user: UserId) -> Stored<u32> {
    let left = sqlx::query_scalar("SELECT count(*) FROM backup_codes WHERE user_id = ?1")
        .bind(user.0)
        .fetch_one(conn)
        .await?;
    count(left)
}

type Line = (i64, String, bool, i64);

fn change_from((id, kind, is_enabled, at): Line) -> Stored<Change> {
    Ok(Change {
        id: ChangeId(id),
        kind: kind_from(&kind)?,
        is_enabled,
        at: Timestamp(at),
    })
}

/// The lines of a [`ChangeQuery`]: ?1 is the user, ?2 to ?5 the kinds (NULL: not that one), ?6 to ?8
/// the state and the bounds (NULL: any).
macro_rules! lines {
    ($select:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $select,
            " FROM factor_changes WHERE user_id = ?1 AND kind IN (?2, ?3, ?4, ?5)
                 AND (?6 IS NULL OR is_enabled = ?6) AND (?7 IS NULL OR at >= ?7)
                 AND (?8 IS NULL OR at <= ?8) ",
            $rest
        )
    };
}

#[async_trait]
impl Factors for Sqlite {
    async fn factors(&self, user: UserId) -> Stored<FactorSet> {
        // One view of all tables.
        let mut tx = self.readers.begin().await?;
        Ok(FactorSet {
            enrolled: self.enrolled(&mut tx, user).await?,
            passkeys: self.passkeys(&mut tx, user).await?,
            backup_codes_left: backup_codes_left(&mut tx, user).await?,
        })
    }

    async fn disable(&self, user: UserId, which: Disable, now: Timestamp) -> Stored<bool> {
        let mut tx = self.begin().await?;
        let was_on = self.turn_off(&mut tx, user, which, now).await?;
        tx.commit().await?;
        Ok(was_on)
    }

    async fn put_backup_codes(
        &self,
        user: UserId,
        codes: BackupCodes,
        since: i64,
        now: Timestamp,
    ) -> Stored<bool> {
        let mut tx = self.begin().await?;
        let is_over: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM revocations
                            WHERE seq > ?1 AND (kind = 'all' OR kind = 'user' AND target = ?2))",
        )
        .bind(since)
        .bind(user.0)
        .fetch_one(&mut *tx)
        .await?;
        if is_over {
            return Ok(false);
        }
        // Replacing the set takes its codes with it.
        sqlx::query(
            "INSERT OR REPLACE INTO backup_sets (user_id, salt, created_at) VALUES (?1, ?2, ?3)",
        )
        .bind(user.0)
        .bind(&codes.salt[..])
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        for code in &codes.codes {
            sqlx::query("INSERT INTO backup_codes (user_id, code) VALUES (?1, ?2)")
                .bind(user.0)
                .bind(&code.0[..])
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn backup_salt(&self, user: UserId) -> Stored<Option<[u8; 16]>> {
        let salt: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT salt FROM backup_sets WHERE user_id = ?1")
                .bind(user.0)
                .fetch_optional(&self.readers)
                .await?;
        salt.map(|salt| salt.as_slice().try_into())
            .transpose()
            .map_err(|_| StoreError::Damaged("salt"))
    }

    async fn changes(&self, user: UserId, query: ChangeQuery) -> Stored<ChangePage> {
        let kinds = FactorKind::ALL.map(|kind| query.kinds.contains(&kind).then(|| kind.as_str()));
        let page = if query.newest_first {
            lines!(
                "id, kind, is_enabled, at",
                "ORDER BY at DESC, id DESC LIMIT ?9 OFFSET ?10"
            )
        } else {
            lines!(
                "id, kind, is_enabled, at",
                "ORDER BY at, id LIMIT ?9 OFFSET ?10"
            )
        };
        let mut counting = sqlx::query_scalar::<_, i64>(lines!("count(*)", "")).bind(user.0);
        let mut paging = sqlx::query_as::<_, Line>(page).bind(user.0);
        for kind in kinds {
            counting = counting.bind(kind);
            paging = paging.bind(kind);
        }
        let (from, to) = (query.from.map(|at| at.0), query.to.map(|at| at.0));
        counting = counting.bind(query.is_enabled).bind(from).bind(to);
        paging = paging.bind(query.is_enabled).bind(from).bind(to);
        // One view of both.
        let mut tx = self.readers.begin().await?;
        let total = counting.fetch_one(&mut *tx).await?;
        let page = paging.bind(query.limit).bind(query.offset);
        let lines = page.fetch_all(&mut *tx).await?;
        Ok(ChangePage {
            total: u64::try_from(total).map_err(|_| StoreError::Damaged("count"))?,
            changes: lines.into_iter().map(change_from).collect::<Stored<_>>()?,
        })
    }

    async fn change(&self, user: UserId, id: ChangeId) -> Stored<Option<Change>> {
        let line: Option<Line> = sqlx::query_as(
            "SELECT id, kind, is_enabled, at FROM factor_changes WHERE id = ?1 AND user_id = ?2",
        )
        .bind(id.0)
        .bind(user.0)
        .fetch_optional(&self.readers)
        .await?;
        line.map(change_from).transpose()
    }
}
