//! Users.

use super::{Owner, Sqlite, sessions};
use crate::auth::ports::{LearnedUser, NewUser, SaidGroups, Stored, User, Users, Which};
use crate::auth::subject;
use crate::clock::Timestamp;
use crate::id::{ShareId, UserId};
use crate::store::{phone_from_stored, rules};
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, realm, name, phone, email, password_hash, can_edit_users, group_names, ",
            "groups_at, created_at FROM users ",
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
    said: SaidGroups,
    now: Timestamp,
) -> Stored<()> {
    let names = to_text(said.names);
    let changed =
        sqlx::query("UPDATE users SET group_names = ?2 WHERE id = ?1 AND group_names <> ?2")
            .bind(id.0)
            .bind(names)
            .execute(&mut *conn)
            .await?;
    if changed.rows_affected() > 0 {
        sessions::announce(&mut *conn, Which::User(id), now).await?;
    }
    sqlx::query("UPDATE users SET groups_at = ?2 WHERE id = ?1")
        .bind(id.0)
        .bind(said.said_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The same with what was learned, unless something newer is known.
async fn learn_groups(
    conn: &mut SqliteConnection,
    id: UserId,
    said: SaidGroups,
    now: Timestamp,
) -> Stored<()> {
    let groups_at: i64 = sqlx::query_scalar("SELECT groups_at FROM users WHERE id = ?1")
        .bind(id.0)
        .fetch_one(&mut *conn)
        .await?;
    match said.said_at.0 >= groups_at {
        true => put_groups(conn, id, said, now).await,
        false => Ok(()),
    }
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
            groups_at,
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
            groups_at: Timestamp(groups_at),
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

    /// Inserts a user whose name is free. `share`: the share whose recipient it is. `groups_at`: when its
    /// groups were said.
    pub(super) async fn insert_user(
        &self,
        conn: &mut SqliteConnection,
        user: &NewUser,
        (share, groups_at): (Option<ShareId>, Timestamp),
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
                                created_at, email_digest, group_names, groups_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) RETURNING id",
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
        .bind(groups_at.0)
        .fetch_one(conn)
        .await?;
        Ok(UserId(id))
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
        let groups_at = rules::said_by_operator(&user.groups, now);
        let id = self
            .insert_user(&mut tx, &user, (None, groups_at), now)
            .await?;
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
        let known = id_of(&mut tx, &user.realm, &user.name).await?;
        let id = match known {
            None => {
                let (groups, groups_at) = rules::said_first(user.groups);
                let user = NewUser {
                    realm: user.realm,
                    name: user.name,
                    phone: user.phone,
                    email: user.email,
                    password_hash: None,
                    can_edit_users: false,
                    groups,
                };
                self.insert_user(&mut tx, &user, (None, groups_at), now)
                    .await?
            }
            Some(id) => {
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
                .execute(&mut *tx)
                .await?;
                if let Some(said) = user.groups {
                    learn_groups(&mut tx, id, said, now).await?;
                }
                id
            }
        };
        tx.commit().await?;
        Ok(id)
    }
}
