//! Users.

use super::{Owner, Sqlite, digest, sessions};
use crate::auth::ports::{LearnedUser, NewUser, Said, Stored, User, Users, Which};
use crate::auth::subject;
use crate::clock::Timestamp;
use crate::digest::TokenDigest;
use crate::id::{ShareId, UserId};
use crate::store::{phone_from_stored, rules};
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, realm, name, phone, email, password_hash, can_edit_users, group_names, ",
            "profile_at, profile_by, created_at FROM users ",
            $rest
        )
    };
}

type Row = (
    i64,
    String,
    String,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    bool,
    String,
    i64,
    Option<Vec<u8>>,
    i64,
);

/// Groups as a row holds them.
fn to_text(groups: Vec<String>) -> String {
    rules::in_order(groups).join("\n")
}

pub(super) fn groups_from_text(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Puts a user into these groups and no others. If that is news, the feed has everybody look at this
/// user's sessions anew: they go on.
pub(super) async fn put_groups(
    conn: &mut SqliteConnection,
    id: UserId,
    groups: Vec<String>,
    now: Timestamp,
) -> Stored<()> {
    let names = to_text(groups);
    let changed =
        sqlx::query("UPDATE users SET group_names = ?2 WHERE id = ?1 AND group_names <> ?2")
            .bind(id.0)
            .bind(names)
            .execute(&mut *conn)
            .await?;
    if changed.rows_affected() > 0 {
        sessions::announce(conn, Which::User(id), now).await?;
    }
    Ok(())
}

/// Notes of when, and whose, what is known of a user now is.
pub(super) async fn put_said(conn: &mut SqliteConnection, id: UserId, said: Said) -> Stored<()> {
    sqlx::query("UPDATE users SET profile_at = ?2, profile_by = ?3 WHERE id = ?1")
        .bind(id.0)
        .bind(said.at.0)
        .bind(said.by.map(|token| token.0.to_vec()))
        .execute(conn)
        .await?;
    Ok(())
}

impl Sqlite {
    fn user_from_row(&self, row: Row) -> Stored<User> {
        let (
            id,
            realm,
            name,
            phone,
            email,
            password_hash,
            can_edit_users,
            groups,
            profile_at,
            profile_by,
            created_at,
        ) = row;
        let owner = Owner {
            realm: &realm,
            name: &name,
        };
        let phone = self.unseal("users.phone", &owner, phone)?;
        let email = self.unseal("users.email", &owner, email)?;
        let password_hash = self.unseal("users.password_hash", &owner, password_hash)?;
        Ok(User {
            id: UserId(id),
            phone: phone
                .map(|phone| phone_from_stored(phone.expose()))
                .transpose()?,
            email,
            password_hash,
            can_edit_users,
            groups: groups_from_text(&groups),
            said: Said {
                at: Timestamp(profile_at),
                by: profile_by
                    .map(|token| digest(&token, TokenDigest::from_slice))
                    .transpose()?,
            },
            created_at: Timestamp(created_at),
            realm,
            name,
        })
    }

    /// A user, as one connection sees it.
    pub(super) async fn find_user<'e>(
        &self,
        conn: impl sqlx::SqliteExecutor<'e>,
        id: UserId,
    ) -> Stored<Option<User>> {
        let row = sqlx::query_as(select!("WHERE id = ?1"))
            .bind(id.0)
            .fetch_optional(conn)
            .await?;
        row.map(|row| self.user_from_row(row)).transpose()
    }

    /// Users with a larger number, by number.
    pub(super) async fn users_from(&self, after: UserId, limit: u32) -> Stored<Vec<User>> {
        let rows = sqlx::query_as(select!("WHERE id > ?1 ORDER BY id LIMIT ?2"))
            .bind(after.0)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter()
            .map(|row| self.user_from_row(row))
            .collect()
    }

    /// What an address is found by.
    pub(super) fn email_digest(&self, address: &str) -> Vec<u8> {
        let digest = self.keys.recipient(&subject::mailbox(address));
        digest.0.to_vec()
    }

    /// Inserts a user whose name is free. `share`: the share whose recipient it is. `said`: of when
    /// that is.
    pub(super) async fn insert_user(
        &self,
        conn: &mut SqliteConnection,
        user: &NewUser,
        (share, said): (Option<ShareId>, Said),
        now: Timestamp,
    ) -> Stored<UserId> {
        let owner = Owner {
            realm: &user.realm,
            name: &user.name,
        };
        let phone = user.phone.as_ref().map(|phone| phone.e164());
        let email = user.email.as_ref().map(|email| email.expose());
        let hash = user.password_hash.as_ref().map(|hash| hash.expose());
        let id = sqlx::query_scalar(
            "INSERT INTO users (realm, name, phone, email, password_hash, can_edit_users, share_id,
                                created_at, email_digest, group_names, profile_at,
                                profile_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) RETURNING id",
        )
        .bind(&user.realm)
        .bind(&user.name)
        .bind(self.seal("users.phone", &owner, phone)?)
        .bind(self.seal("users.email", &owner, email)?)
        .bind(self.seal("users.password_hash", &owner, hash)?)
        .bind(user.can_edit_users)
        .bind(share.map(|share| share.0))
        .bind(now.0)
        .bind(email.map(|email| self.email_digest(email)))
        .bind(to_text(user.groups.clone()))
        .bind(said.at.0)
        .bind(said.by.map(|token| token.0.to_vec()))
        .fetch_one(conn)
        .await?;
        Ok(UserId(id))
    }
}

impl Sqlite {
    /// What was learned of a user, unless something newer is known.
    async fn renew_user(
        &self,
        conn: &mut SqliteConnection,
        id: UserId,
        user: LearnedUser,
        now: Timestamp,
    ) -> Stored<()> {
        let known = self.find_user(&mut *conn, id).await?;
        let gives_way = known.is_some_and(|known| known.said.gives_way_to(&user.said, now));
        if user.is_silent() || !gives_way {
            return Ok(());
        }
        let owner = Owner {
            realm: &user.realm,
            name: &user.name,
        };
        let phone = user.phone.as_ref().map(|phone| phone.e164());
        let email = user.email.as_ref().map(|email| email.expose());
        sqlx::query(
            "UPDATE users SET phone = coalesce(?2, phone), email = coalesce(?3, email),
                              email_digest = coalesce(?4, email_digest)
             WHERE id = ?1",
        )
        .bind(id.0)
        .bind(self.seal("users.phone", &owner, phone)?)
        .bind(self.seal("users.email", &owner, email)?)
        .bind(email.map(|email| self.email_digest(email)))
        .execute(&mut *conn)
        .await?;
        if let Some(groups) = user.groups {
            put_groups(conn, id, groups, now).await?;
        }
        put_said(conn, id, user.said).await
    }
}

async fn id_of(conn: &mut SqliteConnection, realm: &str, name: &str) -> Stored<Option<UserId>> {
    let id = sqlx::query_scalar("SELECT id FROM users WHERE realm = ?1 AND name = ?2")
        .bind(realm)
        .bind(name)
        .fetch_optional(conn)
        .await?;
    Ok(id.map(UserId))
}

#[async_trait]
impl Users for Sqlite {
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Stored<Option<UserId>> {
        if user.name.starts_with(rules::SHARE_USER_PREFIX) {
            return Ok(None);
        }
        let mut tx = self.begin().await?;
        if id_of(&mut tx, &user.realm, &user.name).await?.is_some() {
            return Ok(None);
        }
        let said = rules::said_at_first(&user, now);
        let id = self.insert_user(&mut tx, &user, (None, said), now).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    async fn user(&self, id: UserId) -> Stored<Option<User>> {
        self.find_user(&self.readers, id).await
    }

    async fn user_by_name(&self, realm: &str, name: &str) -> Stored<Option<User>> {
        let row = sqlx::query_as(select!("WHERE realm = ?1 AND name = ?2"))
            .bind(realm)
            .bind(name)
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| self.user_from_row(row)).transpose()
    }

    async fn user_in_any_case(&self, realm: &str, name: &str) -> Stored<Option<User>> {
        let select = select!(
            "WHERE realm = ?1 AND name = ?2 COLLATE NOCASE AND share_id IS NULL
             ORDER BY name = ?2 DESC, id LIMIT 1"
        );
        let row = sqlx::query_as(select)
            .bind(realm)
            .bind(name)
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| self.user_from_row(row)).transpose()
    }

    async fn user_by_email(&self, realm: &str, email: &str) -> Stored<Option<User>> {
        let select = select!("WHERE realm = ?1 AND email_digest = ?2 AND share_id IS NULL LIMIT 2");
        let mut rows = sqlx::query_as(select)
            .bind(realm)
            .bind(self.email_digest(email))
            .fetch_all(&self.readers)
            .await?
            .into_iter();
        match (rows.next(), rows.next()) {
            (Some(row), None) => self.user_from_row(row).map(Some),
            _ => Ok(None),
        }
    }

    async fn learn_user(&self, user: LearnedUser, now: Timestamp) -> Stored<UserId> {
        let mut tx = self.begin().await?;
        let id = match id_of(&mut tx, &user.realm, &user.name).await? {
            None => {
                let (user, said) = rules::learned_first(user);
                self.insert_user(&mut tx, &user, (None, said), now).await?
            }
            Some(id) => {
                self.renew_user(&mut tx, id, user, now).await?;
                id
            }
        };
        tx.commit().await?;
        Ok(id)
    }
}
