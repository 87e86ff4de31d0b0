//! Share links.

use super::{Owner, Sqlite, families, sessions, tokens};
use crate::auth::ports::{NewShare, NewUser, Share, Shares, Stored, Token, Which};
use crate::clock::Timestamp;
use crate::id::{ShareId, UserId};
use crate::store::{phone_from_stored, rules};
use async_trait::async_trait;

type Row = (
    i64,
    i64,
    String,
    String,
    String,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    i64,
    Option<i64>,
);

impl Sqlite {
    fn share_from_row(&self, row: Row) -> Stored<Share> {
        let (id, user, realm, name, path, phone, email, created_at, expires_at) = row;
        let owner = Owner {
            realm: &realm,
            name: &name,
        };
        let phone = self.unseal("users.phone", &owner, phone)?;
        let email = self.unseal("users.email", &owner, email)?;
        Ok(Share {
            id: ShareId(id),
            user: UserId(user),
            path,
            phone: phone
                .map(|phone| phone_from_stored(phone.expose()))
                .transpose()?,
            email,
            created_at: Timestamp(created_at),
            expires_at: expires_at.map(Timestamp),
            realm,
        })
    }
}

#[async_trait]
impl Shares for Sqlite {
    async fn create_share(&self, share: NewShare, now: Timestamp) -> Stored<(ShareId, UserId)> {
        let mut tx = self.begin().await?;
        let id = sqlx::query_scalar(
            "INSERT INTO shares (path, created_at, expires_at) VALUES (?1, ?2, ?3) RETURNING id",
        )
        .bind(&share.path)
        .bind(now.0)
        .bind(share.expires_at.map(|at| at.0))
        .fetch_one(&mut *tx)
        .await?;
        let id = ShareId(id);
        let recipient = NewUser {
            realm: share.realm,
            name: rules::share_user(id),
            phone: share.phone,
            email: share.email,
            password_hash: None,
            can_edit_users: false,
        };
        let user = self.insert_user(&mut tx, &recipient, Some(id), now).await?;
        let token = Token {
            digest: share.token,
            user,
            issued_pair: None,
            scope: Some(share.path),
            share: Some(id),
            born: None,
            issued_at: now,
            expires_at: share.expires_at,
        };
        tokens::put(&mut tx, &self.vault, &token).await?;
        tx.commit().await?;
        Ok((id, user))
    }

    async fn shares(&self) -> Stored<Vec<Share>> {
        let rows = sqlx::query_as(
            "SELECT s.id, u.id, u.realm, u.name, s.path, u.phone, u.email, s.created_at,
                    s.expires_at
             FROM shares s JOIN users u ON u.share_id = s.id ORDER BY s.id",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|row| self.share_from_row(row))
            .collect()
    }

    async fn revoke_share(&self, id: ShareId, now: Timestamp) -> Stored<bool> {
        let mut tx = self.begin().await?;
        let user: Option<i64> = sqlx::query_scalar("SELECT id FROM users WHERE share_id = ?1")
            .bind(id.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(user) = user else {
            return Ok(false);
        };
        sessions::end(&mut tx, Which::User(UserId(user)), now).await?;
        families::end_of_user(&mut tx, UserId(user), now).await?;
        // Its recipient goes with it: nothing else would ever remove that phone number.
        for step in [
            "DELETE FROM tokens WHERE user_id = ?1",
            "DELETE FROM users WHERE id = ?1",
        ] {
            sqlx::query(step).bind(user).execute(&mut *tx).await?;
        }
        sqlx::query("DELETE FROM shares WHERE id = ?1")
            .bind(id.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }
}
