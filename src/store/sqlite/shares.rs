//! Share links.

use super::{Owner, Sqlite, count, digest, families, sessions, tokens};
use crate::auth::ports::{
    Contact, NewSession, NewShare, NewUser, Recipient, Said, Share, Shares, StoreError, Stored,
    Token, Which,
};
use crate::clock::Timestamp;
use crate::digest::TokenDigest;
use crate::id::{ShareId, UserId};
use crate::store::{phone_from_stored, rules};
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

/// Of a share's row: its number, path, `devices_max`, start and end.
type Row = (i64, String, Option<i64>, i64, Option<i64>);
/// Of a recipient's: number, realm, name, phone, email, devices, when one was verified last.
type RecipientRow = (
    i64,
    String,
    String,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    i64,
    Option<i64>,
);

impl Sqlite {
    async fn with_recipients(&self, conn: &mut SqliteConnection, row: Row) -> Stored<Share> {
        let (id, path, devices_max, created_at, expires_at) = row;
        let rows: Vec<RecipientRow> = sqlx::query_as(
            "SELECT u.id, u.realm, u.name, u.phone, u.email, count(d.device), max(d.opened_at)
             FROM users u LEFT JOIN share_devices d ON d.share_id = u.share_id AND d.user_id = u.id
             WHERE u.share_id = ?1 GROUP BY u.id ORDER BY u.id",
        )
        .bind(id)
        .fetch_all(conn)
        .await?;
        let realm = rows.first().map(|(_, realm, ..)| realm.clone());
        let recipients: Stored<Vec<_>> = rows.into_iter().map(|it| self.recipient(it)).collect();
        Ok(Share {
            id: ShareId(id),
            realm: realm.ok_or(StoreError::Damaged("share"))?,
            path,
            recipients: recipients?,
            devices_max: devices_max.map(count).transpose()?,
            created_at: Timestamp(created_at),
            expires_at: expires_at.map(Timestamp),
        })
    }

    fn recipient(&self, row: RecipientRow) -> Stored<Recipient> {
        let (user, realm, name, phone, email, devices, last_opened_at) = row;
        let owner = Owner {
            realm: &realm,
            name: &name,
        };
        let phone = self.unseal("users.phone", &owner, phone)?;
        let email = self.unseal("users.email", &owner, email)?;
        Ok(Recipient {
            user: UserId(user),
            contact: Contact {
                phone: phone
                    .map(|phone| phone_from_stored(phone.expose()))
                    .transpose()?,
                email,
            },
            devices: count(devices)?,
            last_opened_at: last_opened_at.map(Timestamp),
        })
    }
}

/// The share and the device that a session opens it on, if its token is a share's.
async fn device(
    conn: &mut SqliteConnection,
    new: &NewSession,
) -> Stored<Option<(ShareId, [u8; 32])>> {
    type Found = (i64, Option<Vec<u8>>, Option<Vec<u8>>);
    let found: Option<Found> = sqlx::query_as(
        "SELECT t.share_id, t.born_of, s.link
         FROM tokens t JOIN shares s ON s.id = t.share_id WHERE t.digest = ?1",
    )
    .bind(&new.token.0[..])
    .fetch_optional(conn)
    .await?;
    let Some((share, born_of, link)) = found else {
        return Ok(None);
    };
    let read = |it: Option<Vec<u8>>| {
        it.map(|it| digest(&it, TokenDigest::from_slice))
            .transpose()
    };
    let device = rules::share_device(new.token, read(born_of)?, read(link)?, new.key);
    Ok(Some((ShareId(share), device)))
}

/// Whether the device of this session may open its share: it is known, or there is room for one more.
pub(super) async fn has_room(conn: &mut SqliteConnection, new: &NewSession) -> Stored<bool> {
    match device(&mut *conn, new).await? {
        Some(of_share) => is_room_for(conn, of_share).await,
        None => Ok(true),
    }
}

async fn is_room_for(
    conn: &mut SqliteConnection,
    (share, device): (ShareId, [u8; 32]),
) -> Stored<bool> {
    let is_room = sqlx::query_scalar(
        "SELECT s.devices_max IS NULL
             OR EXISTS (SELECT 1 FROM share_devices WHERE share_id = s.id AND device = ?2)
             OR (SELECT count(*) FROM share_devices WHERE share_id = s.id) < s.devices_max
         FROM shares s WHERE s.id = ?1",
    )
    .bind(share.0)
    .bind(&device[..])
    .fetch_one(conn)
    .await?;
    Ok(is_room)
}

/// Counts the device of a session that has just been verified, if its token is a share's.
pub(super) async fn opened(
    conn: &mut SqliteConnection,
    new: &NewSession,
    now: Timestamp,
) -> Stored<()> {
    match device(&mut *conn, new).await? {
        Some(of_share) => count_in(conn, of_share, new.user, now).await,
        None => Ok(()),
    }
}

async fn count_in(
    conn: &mut SqliteConnection,
    (share, device): (ShareId, [u8; 32]),
    user: UserId,
    now: Timestamp,
) -> Stored<()> {
    sqlx::query(
        "INSERT INTO share_devices (share_id, device, user_id, opened_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (share_id, device) DO UPDATE SET opened_at = ?4",
    )
    .bind(share.0)
    .bind(&device[..])
    .bind(user.0)
    .bind(now.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether the devices of this share are bounded.
async fn is_bounded(conn: &mut SqliteConnection, share: ShareId) -> Stored<bool> {
    let is_bounded = sqlx::query_scalar("SELECT devices_max IS NOT NULL FROM shares WHERE id = ?1")
        .bind(share.0)
        .fetch_optional(conn)
        .await?;
    is_bounded.ok_or(StoreError::Damaged("share"))
}

#[async_trait]
impl Shares for Sqlite {
    async fn create_share(
        &self,
        share: NewShare,
        now: Timestamp,
    ) -> Stored<(ShareId, Vec<UserId>)> {
        let recipients = share.recipients.len();
        if recipients == 0 {
            return Err(StoreError::Damaged("share"));
        }
        let mut tx = self.begin().await?;
        let id = sqlx::query_scalar(
            "INSERT INTO shares (path, link, devices_max, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
        )
        .bind(&share.path)
        .bind(&share.link.0[..])
        .bind(share.devices_max)
        .bind(now.0)
        .bind(share.expires_at.map(|at| at.0))
        .fetch_one(&mut *tx)
        .await?;
        let id = ShareId(id);
        let mut users = Vec::with_capacity(recipients);
        for (n, contact) in share.recipients.into_iter().enumerate() {
            let user = NewUser {
                realm: share.realm.clone(),
                name: rules::share_user(id, n, recipients),
                phone: contact.phone,
                email: contact.email,
                password_hash: None,
                can_edit_users: false,
                groups: Vec::new(),
            };
            users.push(
                self.insert_user(&mut tx, &user, (Some(id), Said::NOTHING), now)
                    .await?,
            );
        }
        if let ([user], None) = (&users[..], share.devices_max) {
            let token = Token {
                digest: share.link,
                user: *user,
                issued_pair: None,
                scope: Some(share.path),
                share: Some(id),
                born: None,
                issued_at: now,
                expires_at: share.expires_at,
            };
            tokens::put(&mut tx, &self.vault, &token).await?;
        }
        tx.commit().await?;
        Ok((id, users))
    }

    async fn shares(&self) -> Stored<Vec<Share>> {
        let mut tx = self.readers.begin().await?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, path, devices_max, created_at, expires_at FROM shares ORDER BY id",
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut shares = Vec::with_capacity(rows.len());
        for row in rows {
            shares.push(self.with_recipients(&mut tx, row).await?);
        }
        Ok(shares)
    }

    async fn share_of_link(&self, link: TokenDigest, now: Timestamp) -> Stored<Option<Share>> {
        let mut tx = self.readers.begin().await?;
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, path, devices_max, created_at, expires_at FROM shares
             WHERE link = ?1 AND (expires_at IS NULL OR expires_at > ?2)",
        )
        .bind(&link.0[..])
        .bind(now.0)
        .fetch_optional(&mut *tx)
        .await?;
        match row {
            Some(row) => Ok(Some(self.with_recipients(&mut tx, row).await?)),
            None => Ok(None),
        }
    }

    async fn open_share(&self, token: Token) -> Stored<bool> {
        let share = token.share.ok_or(StoreError::Damaged("share"))?;
        let mut tx = self.begin().await?;
        if is_bounded(&mut tx, share).await? {
            let of_share = (share, token.digest.0);
            if !is_room_for(&mut tx, of_share).await? {
                return Ok(false);
            }
            count_in(&mut tx, of_share, token.user, token.issued_at).await?;
        }
        tokens::put(&mut tx, &self.vault, &token).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn revoke_share(&self, id: ShareId, now: Timestamp) -> Stored<Vec<UserId>> {
        let mut tx = self.begin().await?;
        let users: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM users WHERE share_id = ?1 ORDER BY id")
                .bind(id.0)
                .fetch_all(&mut *tx)
                .await?;
        for user in &users {
            sessions::end(&mut tx, Which::User(UserId(*user)), now).await?;
            families::end_of_user(&mut tx, UserId(*user), now).await?;
            // A recipient goes with the share: nothing else would ever remove that phone number.
            for step in [
                "DELETE FROM tokens WHERE user_id = ?1",
                "DELETE FROM users WHERE id = ?1",
            ] {
                sqlx::query(step).bind(user).execute(&mut *tx).await?;
            }
        }
        sqlx::query("DELETE FROM shares WHERE id = ?1")
            .bind(id.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(users.into_iter().map(UserId).collect())
    }
}
