//! The embedded engine: one SQLite file, write-ahead log, every commit on disk before it is told.
//!
//! All writing goes over one connection, and each verb that reads before it writes begins with
//! `BEGIN IMMEDIATE`: between processes on one file (a binary upgrade) it holds the write lock from
//! its first read on. Reading goes over a few connections that cannot write. A verb that is
//! dropped half-way is rolled back.

mod attempt;
mod audit;
mod browsers;
mod challenges;
pub(crate) mod examine;
mod factors;
mod failures;
mod families;
pub(super) mod file;
mod grants;
mod keys;
mod opening;
mod oversight;
mod passkeys;
mod sends;
mod sessions;
mod shares;
#[cfg(test)]
mod tests;
mod tokens;
mod users;
mod wizards;

use crate::auth::ports::{StoreError, Stored};
use crate::digest::DigestKeys;
use crate::entropy::Entropy;
use crate::secret::Secret;
use crate::store::OpenError;
use crate::store::vault::Vault;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a verb waits for its turn before it answers that the store is unavailable.
const PATIENCE: Duration = Duration::from_secs(5);
const READERS_MAX: u32 = 4;

type Transaction = sqlx::Transaction<'static, sqlx::Sqlite>;

/// The engine.
#[derive(Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    vault: Vault,
    keys: DigestKeys,
}

impl Sqlite {
    /// Opens the file, or makes it (mode 0600) in a directory that exists.
    pub async fn open(
        path: &Path,
        store_key: &[u8; 32],
        entropy: Arc<dyn Entropy>,
    ) -> Result<(Self, DigestKeys), OpenError> {
        let options = options(path);
        let keys = opening::prepare(path, &options, store_key, &entropy).await?;
        let pool = SqlitePoolOptions::new()
            .acquire_timeout(PATIENCE)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false);
        let writer = pool
            .clone()
            .max_connections(1)
            // SQLite ends a transaction by itself on errors like a full disk; the driver's count of
            // open transactions is then wrong for ever, and the connection with it.
            .before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }))
            .connect_lazy_with(options.clone());
        let readers = pool
            .max_connections(READERS_MAX)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        let store = Self {
            writer,
            readers,
            vault: Vault::new(keys.seal_key(), entropy),
            keys: keys.clone(),
        };
        Ok((store, keys))
    }

    /// Begins a step that nobody else can write into.
    async fn begin(&self) -> Stored<Transaction> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A text, sealed for one column of one user.
    fn seal(&self, column: &str, owner: &Owner<'_>, text: Option<&str>) -> Stored<Option<Vec<u8>>> {
        text.map(|text| self.seal_bytes(&owner.place(column), text.as_bytes()))
            .transpose()
    }

    fn seal_bytes(&self, place: &str, plain: &[u8]) -> Stored<Vec<u8>> {
        self.vault
            .seal(place, plain)
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// What was sealed for that place; `column` names it in the error.
    fn unseal_bytes(
        &self,
        column: &'static str,
        place: &str,
        sealed: &[u8],
    ) -> Stored<Zeroizing<Vec<u8>>> {
        self.vault
            .open(place, sealed)
            .ok_or(StoreError::Damaged(column))
    }

    /// The text that was sealed for that column of that user.
    fn unseal(
        &self,
        column: &'static str,
        owner: &Owner<'_>,
        sealed: Option<Vec<u8>>,
    ) -> Stored<Option<Secret>> {
        let Some(sealed) = sealed else {
            return Ok(None);
        };
        let plain = self.unseal_bytes(column, &owner.place(column), &sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| StoreError::Damaged(column))?;
        Ok(Some(Secret::new(text)))
    }
}

/// The user a sealed column belongs to. Both parts never change, and no two users share them.
struct Owner<'a> {
    realm: &'a str,
    name: &'a str,
}

impl Owner<'_> {
    /// The length keeps realm and name apart.
    fn place(&self, column: &str) -> String {
        let Self { realm, name } = self;
        format!("{column}/{}/{realm}/{name}", realm.len())
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .disable_statement_logging()
}

impl From<sqlx::Error> for StoreError {
    // Statements are constants and values are bound: no error text holds a value.
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Damaged("row"),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// A digest as it was stored.
fn digest<T>(bytes: &[u8], read: fn(&[u8]) -> Option<T>) -> Stored<T> {
    read(bytes).ok_or(StoreError::Damaged("digest"))
}

/// Bytes in hexadecimal, for the name of a place.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A count as it was stored.
fn count(stored: i64) -> Stored<u32> {
    u32::try_from(stored).map_err(|_| StoreError::Damaged("count"))
}
