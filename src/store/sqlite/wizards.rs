//! Wizards and success tokens.

use super::{Sqlite, digest, families, tokens};
use crate::auth::ports::{
    Advance, Deeds, FactorKind, Stage, StoreError, Stored, Wizard, WizardKind, Wizards,
};
use crate::clock::Timestamp;
use crate::digest::{SubjectDigest, SuccessDigest, TokenDigest, WizardDigest};
use crate::gate::session::Holder;
use crate::id::UserId;
use crate::secret::Secret;
use crate::store::rules;
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use std::fmt::Write as _;

type Row = (
    String,
    String,
    String,
    Option<i64>,
    Option<String>,
    Option<Vec<u8>>,
    Option<String>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    i64,
);

macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " kind, stage, realm, user_id, factor, token, device_label, subject, shown, expires_at ",
            $after
        )
    };
}

/// Where a shown text is sealed for.
fn shown_place(digest: WizardDigest) -> String {
    let place = "wizards.shown/".to_owned();
    digest.0.iter().fold(place, |mut place, byte| {
        let _ = write!(place, "{byte:02x}");
        place
    })
}

impl Sqlite {
    fn wizard_from_row(&self, name: WizardDigest, row: Row) -> Stored<Wizard> {
        let (kind, stage, realm, user, factor, token, device_label, subject, shown, expires_at) =
            row;
        let damaged = || StoreError::Damaged("wizard");
        let factor = factor.map(|factor| FactorKind::from_name(&factor).ok_or_else(damaged));
        let token = token.map(|token| digest(&token, TokenDigest::from_slice));
        let subject = subject.map(|subject| digest(&subject, SubjectDigest::from_slice));
        let shown = shown.map(|shown| {
            let plain = self.unseal_bytes("wizards.shown", &shown_place(name), &shown)?;
            let text = std::str::from_utf8(&plain).map_err(|_| damaged())?;
            Ok::<_, StoreError>(Secret::new(text))
        });
        Ok(Wizard {
            digest: name,
            kind: WizardKind::from_name(&kind).ok_or_else(damaged)?,
            stage: Stage::from_name(&stage).ok_or_else(damaged)?,
            realm,
            user: user.map(UserId),
            factor: factor.transpose()?,
            token: token.transpose()?,
            device_label,
            subject: subject.transpose()?,
            shown: shown.transpose()?,
            expires_at: Timestamp(expires_at),
        })
    }

    async fn insert_wizard(
        &self,
        conn: &mut SqliteConnection,
        wizard: &Wizard,
        opener: SubjectDigest,
    ) -> Stored<()> {
        let place = shown_place(wizard.digest);
        let shown = wizard.shown.as_ref();
        let shown = shown.map(|shown| self.seal_bytes(&place, shown.expose().as_bytes()));
        sqlx::query(
            "INSERT OR REPLACE INTO wizards (digest, kind, stage, realm, user_id, factor, token,
                 device_label, subject, shown, opener, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .bind(&wizard.digest.0[..])
        .bind(wizard.kind.as_str())
        .bind(wizard.stage.as_str())
        .bind(&wizard.realm)
        .bind(wizard.user.map(|user| user.0))
        .bind(wizard.factor.map(FactorKind::as_str))
        .bind(wizard.token.map(|token| token.0.to_vec()))
        .bind(wizard.device_label.as_deref())
        .bind(wizard.subject.map(|subject| subject.0.to_vec()))
        .bind(shown.transpose()?)
        .bind(&opener.0[..])
        .bind(wizard.expires_at.0)
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// Drops an opener's oldest wizards, if there are too many.
async fn bound_of_opener(conn: &mut SqliteConnection, opener: SubjectDigest) -> Stored<()> {
    let dropped = sqlx::query_scalar(
        "DELETE FROM wizards WHERE opener = ?1 AND id <= (
             SELECT id FROM wizards WHERE opener = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
         RETURNING digest",
    )
    .bind(&opener.0[..])
    .bind(count(rules::WIZARDS_OF_OPENER_MAX))
    .fetch_all(&mut *conn)
    .await?;
    drop_challenges(conn, dropped).await
}

/// Drops the oldest wizards without a token, if there are too many.
async fn bound_without_token(conn: &mut SqliteConnection) -> Stored<()> {
    let dropped = sqlx::query_scalar(
        "DELETE FROM wizards WHERE token IS NULL AND id <= (
             SELECT id FROM wizards WHERE token IS NULL ORDER BY id DESC LIMIT 1 OFFSET ?1)
         RETURNING digest",
    )
    .bind(count(rules::WIZARDS_MAX))
    .fetch_all(&mut *conn)
    .await?;
    drop_challenges(conn, dropped).await
}

/// Drops what was bound to wizards that are no more: who opens them without a token must not fill
/// the disk with their codes either.
async fn drop_challenges(conn: &mut SqliteConnection, wizards: Vec<Vec<u8>>) -> Stored<()> {
    for wizard in wizards {
        sqlx::query("DELETE FROM challenges WHERE bound_to = ?1")
            .bind(wizard)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

fn count(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

/// Whether a wizard is open.
pub(super) async fn is_open(
    conn: &mut SqliteConnection,
    wizard: WizardDigest,
    now: Timestamp,
) -> Stored<bool> {
    let is_open = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM wizards WHERE digest = ?1 AND expires_at > ?2)",
    )
    .bind(&wizard.0[..])
    .bind(now.0)
    .fetch_one(conn)
    .await?;
    Ok(is_open)
}

/// Ends a wizard.
pub(super) async fn end(conn: &mut SqliteConnection, wizard: WizardDigest) -> Stored<()> {
    sqlx::query("DELETE FROM wizards WHERE digest = ?1")
        .bind(&wizard.0[..])
        .execute(conn)
        .await?;
    Ok(())
}

/// The holder that a success token is good for.
async fn holder_of(
    conn: &mut SqliteConnection,
    realm: &str,
    success: SuccessDigest,
    token: Option<TokenDigest>,
    now: Timestamp,
) -> Stored<Option<Holder>> {
    let row: Option<(i64, String)> = sqlx::query_as(
        "SELECT u.id, u.name FROM success_tokens s JOIN users u ON u.id = s.user_id
         WHERE s.digest = ?1 AND s.expires_at > ?2 AND s.token IS ?3 AND u.realm = ?4",
    )
    .bind(&success.0[..])
    .bind(now.0)
    .bind(token.map(|token| token.0.to_vec()))
    .bind(realm)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((user, name)) = row else {
        return Ok(None);
    };
    let Some(token) = token else {
        return Ok(Some(Holder::limited(UserId(user), name, None)));
    };
    let held = tokens::find(conn, token, now).await?;
    Ok(held
        .map(|(_, holder)| holder)
        .filter(|holder| holder.user == UserId(user)))
}

#[async_trait]
impl Wizards for Sqlite {
    async fn open_wizard(
        &self,
        wizard: Wizard,
        opener: SubjectDigest,
        _now: Timestamp,
    ) -> Stored<()> {
        let mut tx = self.begin().await?;
        self.insert_wizard(&mut tx, &wizard, opener).await?;
        bound_of_opener(&mut tx, opener).await?;
        if wizard.token.is_none() {
            bound_without_token(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn wizard(&self, digest: WizardDigest, now: Timestamp) -> Stored<Option<Wizard>> {
        let row = sqlx::query_as(columns!(
            "SELECT",
            "FROM wizards WHERE digest = ?1 AND expires_at > ?2"
        ))
        .bind(&digest.0[..])
        .bind(now.0)
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| self.wizard_from_row(digest, row)).transpose()
    }

    async fn advance_wizard(&self, step: Advance, now: Timestamp) -> Stored<bool> {
        let advanced = sqlx::query(
            "UPDATE wizards SET stage = ?3, user_id = coalesce(?4, user_id),
                                factor = coalesce(?5, factor)
             WHERE digest = ?1 AND stage = ?2 AND expires_at > ?6",
        )
        .bind(&step.digest.0[..])
        .bind(step.from.as_str())
        .bind(step.to.as_str())
        .bind(step.user.map(|user| user.0))
        .bind(step.factor.map(FactorKind::as_str))
        .bind(now.0)
        .execute(&self.writer)
        .await?;
        Ok(advanced.rows_affected() > 0)
    }

    async fn take_wizard(&self, digest: WizardDigest, now: Timestamp) -> Stored<Option<Wizard>> {
        let mut tx = self.begin().await?;
        let row = sqlx::query_as(columns!(
            "DELETE FROM wizards WHERE digest = ?1 AND expires_at > ?2 RETURNING",
            ""
        ))
        .bind(&digest.0[..])
        .bind(now.0)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        row.map(|row| self.wizard_from_row(digest, row)).transpose()
    }

    async fn finish_wizard(
        &self,
        digest: WizardDigest,
        then: Deeds,
        now: Timestamp,
    ) -> Stored<bool> {
        if !rules::asks_no_code(&then) {
            return Err(StoreError::Damaged("end of a wizard"));
        }
        let mut tx = self.begin().await?;
        if !is_open(&mut tx, digest, now).await? {
            return Ok(false);
        }
        if let Some(issue) = &then.issue {
            tokens::put(&mut tx, &self.vault, &issue.access).await?;
            families::issue(&mut tx, &self.vault, issue, None, now).await?;
        }
        end(&mut tx, digest).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn spend_success(
        &self,
        realm: &str,
        digest: SuccessDigest,
        token: Option<TokenDigest>,
        now: Timestamp,
    ) -> Stored<Option<Holder>> {
        // Anybody can send a made-up one: it must not wait for, or take, the writer's turn.
        let is_there: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM success_tokens WHERE digest = ?1)")
                .bind(&digest.0[..])
                .fetch_one(&self.readers)
                .await?;
        if !is_there {
            return Ok(None);
        }
        let mut tx = self.begin().await?;
        let Some(holder) = holder_of(&mut tx, realm, digest, token, now).await? else {
            return Ok(None);
        };
        sqlx::query("DELETE FROM success_tokens WHERE digest = ?1")
            .bind(&digest.0[..])
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(holder))
    }
}
