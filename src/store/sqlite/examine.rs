//! A look at a store's file that changes nothing: neither made, nor migrated, nor put into WAL mode.

use super::opening::{MIGRATIONS, check_version, engine_error, open_key, sealed_key};
use crate::entropy::OsEntropy;
use crate::store::OpenError;
use crate::store::vault::Vault;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Lines of damage that are told.
const DAMAGE_MAX: u32 = 5;

/// A file that the key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Of the schema in the file.
    pub version: i64,
    /// That a start of this program brings it to.
    pub newest: i64,
}

/// Those whom a store knows of the names that were asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// As they are spelled in the store, which may be in another case than was asked.
    pub users: Vec<String>,
    pub groups: BTreeSet<String>,
}

/// Opens the file as it is, with the operator's key; `None`: there is none, or an empty one.
pub(crate) async fn examine(
    path: &Path,
    store_key: &[u8; 32],
) -> Result<Option<Examined>, OpenError> {
    let Some(mut conn) = open(path).await? else {
        return Ok(None);
    };
    let version = check_version(path, &mut conn).await?;
    if version == 0 {
        return Ok(None);
    }
    let sealed = sealed_key(path, &mut conn).await?;
    let vault = Vault::new(store_key, Arc::new(OsEntropy));
    match sealed.and_then(|sealed| open_key(&vault, &sealed)) {
        Some(_) => Ok(Some(Examined {
            version,
            newest: i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX),
        })),
        None => Err(OpenError::WrongKey(path.to_owned())),
    }
}

/// What SQLite finds damaged in the file, reading all of it. Empty: nothing.
pub(crate) async fn damage(path: &Path) -> Result<Vec<String>, OpenError> {
    let Some(mut conn) = open(path).await? else {
        return Ok(Vec::new());
    };
    // PRAGMAs take no bound values.
    let check = format!("PRAGMA quick_check({DAMAGE_MAX})");
    let said: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(check))
        .fetch_all(&mut conn)
        .await
        .map_err(|error| engine_error(path, &error))?;
    Ok(said.into_iter().filter(|line| line != "ok").collect())
}

/// Who of these is in the realm, and all groups that somebody there is in; `None`: there is no store, or
/// one of another version.
pub(crate) async fn people(
    path: &Path,
    realm: &str,
    names: &[&str],
) -> Result<Option<People>, OpenError> {
    let failed = |error| engine_error(path, &error);
    let Some(mut conn) = open(path).await? else {
        return Ok(None);
    };
    let version = check_version(path, &mut conn).await?;
    if usize::try_from(version) != Ok(MIGRATIONS.len()) {
        return Ok(None);
    }
    let mut users = Vec::new();
    for name in names {
        let alike: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM users
             WHERE realm = ?1 AND name = ?2 COLLATE NOCASE AND share_id IS NULL
             ORDER BY id LIMIT 10",
        )
        .bind(realm)
        .bind(name)
        .fetch_all(&mut conn)
        .await
        .map_err(failed)?;
        users.extend(alike);
    }
    let groups: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT group_names FROM users WHERE realm = ?1")
            .bind(realm)
            .fetch_all(&mut conn)
            .await
            .map_err(failed)?;
    let groups = groups.iter().flat_map(|names| names.lines());
    Ok(Some(People {
        users,
        groups: groups.map(str::to_owned).collect(),
    }))
}

async fn open(path: &Path) -> Result<Option<SqliteConnection>, OpenError> {
    if !path.try_exists().unwrap_or(true) {
        return Ok(None);
    }
    let options: SqliteConnectOptions = super::options(path).read_only(true);
    let conn = options.connect().await;
    conn.map(Some).map_err(|error| engine_error(path, &error))
}
