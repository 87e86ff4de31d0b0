//! Makes a file ready: ours or empty, not from the future, in WAL mode, migrated, opened by the key.
//!
//! Nothing is changed in a file that is refused.

use super::Owner;
use crate::auth::subject;
use crate::digest::DigestKeys;
use crate::entropy::{self, Entropy};
use crate::store::OpenError;
use crate::store::vault::Vault;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Marks a file as ours (`PRAGMA application_id`): "VEST".
const APPLICATION_ID: i64 = 0x5645_5354;
/// The n-th (from 1) brings the schema to version n, and its file's name begins with n. Never change one
/// that was released, and put none before it.
pub(super) const MIGRATIONS: [&str; 11] = [
    include_str!("../migrations/0001_init.sql"),
    include_str!("../migrations/0002_factors.sql"),
    include_str!("../migrations/0003_tokens.sql"),
    include_str!("../migrations/0004_sessions.sql"),
    include_str!("../migrations/0005_passkeys.sql"),
    include_str!("../migrations/0006_shares.sql"),
    include_str!("../migrations/0007_grants.sql"),
    include_str!("../migrations/0008_policy.sql"),
    include_str!("../migrations/0009_remembered.sql"),
    include_str!("../migrations/0010_operator.sql"),
    include_str!("../migrations/0011_groups.sql"),
];
const DATA_KEY: &str = "meta.data_key";
/// Tries, 100 ms apart, at switching to WAL while another process opens the same new file.
const WAL_TRIES: u32 = 50;

/// Opens or makes the file; returns the keys that derive from its data key.
pub(super) async fn prepare(
    path: &Path,
    options: &SqliteConnectOptions,
    store_key: &[u8; 32],
    entropy: &Arc<dyn Entropy>,
) -> Result<DigestKeys, OpenError> {
    prepare_file(path)?;
    let failed = |error| engine_error(path, &error);
    // A table can be made anew only while nothing watches who refers to it.
    let mut conn = options
        .clone()
        .foreign_keys(false)
        .connect()
        .await
        .map_err(failed)?;
    check_version(path, &mut conn).await?;
    switch_to_wal(path, &mut conn).await?;
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let found = check_version(path, &mut tx).await?;
    migrate(found, &mut tx)
        .await
        .map_err(|error| unmigrated(path, &error))?;
    let vault = Vault::new(store_key, entropy.clone());
    let data_key = data_key(path, &mut tx, &vault, entropy).await?;
    let keys = DigestKeys::derive(&data_key);
    let columns = Vault::new(keys.seal_key(), entropy.clone());
    digest_addresses(&mut tx, &keys, &columns)
        .await
        .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    conn.close().await.map_err(failed)?;
    Ok(keys)
}

/// Makes the file if there is none: SQLite itself would make it readable for others.
fn prepare_file(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Err(OpenError::NotADatabase(path.to_owned()));
    }
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    if let Some(dir) = parent.filter(|dir| !dir.is_dir()) {
        return Err(OpenError::NoDirectory(dir.to_owned()));
    }
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(OpenError::NoAccess {
            path: path.to_owned(),
            cause: error.to_string(),
        }),
        _ => Ok(()),
    }
}

/// The schema's version, 0 for an empty file; an error if the file is not for this program.
pub(super) async fn check_version(
    path: &Path,
    conn: &mut SqliteConnection,
) -> Result<i64, OpenError> {
    let (application, version, tables): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT application_id FROM pragma_application_id),
                (SELECT user_version FROM pragma_user_version),
                (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(conn)
    .await
    .map_err(|error| engine_error(path, &error))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    match (application, version, tables) {
        (0, 0, 0) => Ok(0),
        (APPLICATION_ID, 1.., _) if version <= known => Ok(version),
        (APPLICATION_ID, found, _) => Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        }),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// WAL is a property of the file. SQLite does not wait its busy timeout for this change.
async fn switch_to_wal(path: &Path, conn: &mut SqliteConnection) -> Result<(), OpenError> {
    let mut cause = String::new();
    for _ in 0..WAL_TRIES {
        let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL")
            .fetch_one(&mut *conn)
            .await;
        match mode {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(_) => "its file system has no shared memory for a write-ahead log: use a local disk"
                .clone_into(&mut cause),
            Err(error) if is_busy(&error) => cause = error.to_string(),
            Err(error) => return Err(engine_error(path, &error)),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(OpenError::Engine {
        path: path.to_owned(),
        cause,
    })
}

/// Brings the schema from version `found` to the newest.
async fn migrate(found: i64, conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for (version, sql) in (1_i64..).zip(MIGRATIONS) {
        if version > found {
            sqlx::raw_sql(sql).execute(&mut *conn).await?;
            // PRAGMAs take no bound values.
            let mark = format!(
                "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}"
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(mark))
                .execute(&mut *conn)
                .await?;
        }
    }
    if found == i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX) {
        return Ok(());
    }
    let broken = sqlx::raw_sql("PRAGMA foreign_key_check")
        .fetch_optional(conn)
        .await?;
    match broken {
        None => Ok(()),
        Some(_) => Err(sqlx::Error::Protocol(
            "rows refer to others that are not there".to_owned(),
        )),
    }
}

/// Makes the digests of addresses that were stored before there was such a column: SQL alone cannot,
/// since addresses are sealed. A damaged one is left to whoever reads that user.
async fn digest_addresses(
    conn: &mut SqliteConnection,
    keys: &DigestKeys,
    columns: &Vault,
) -> Result<(), sqlx::Error> {
    let rows: Vec<(i64, String, String, Vec<u8>)> = sqlx::query_as(
        "SELECT id, realm, name, email FROM users
         WHERE email IS NOT NULL AND email_digest IS NULL",
    )
    .fetch_all(&mut *conn)
    .await?;
    for (id, realm, name, sealed) in rows {
        let owner = Owner {
            realm: &realm,
            name: &name,
        };
        let plain = columns.open(&owner.place("users.email"), &sealed);
        let address = plain.as_ref().and_then(|it| std::str::from_utf8(it).ok());
        if let Some(address) = address {
            let digest = keys.recipient(&subject::mailbox(address));
            sqlx::query("UPDATE users SET email_digest = ?2 WHERE id = ?1")
                .bind(id)
                .bind(&digest.0[..])
                .execute(&mut *conn)
                .await?;
        }
    }
    Ok(())
}

/// The data key that the file holds, or a new one.
async fn data_key(
    path: &Path,
    conn: &mut SqliteConnection,
    vault: &Vault,
    entropy: &Arc<dyn Entropy>,
) -> Result<Zeroizing<[u8; 32]>, OpenError> {
    if let Some(sealed) = sealed_key(path, conn).await? {
        return open_key(vault, &sealed).ok_or_else(|| OpenError::WrongKey(path.to_owned()));
    }
    let key = Zeroizing::new(entropy::bytes::<32>(&**entropy)?);
    sqlx::query("INSERT INTO meta (id, data_key) VALUES (1, ?1)")
        .bind(seal_key(path, vault, &key)?)
        .execute(conn)
        .await
        .map_err(|error| engine_error(path, &error))?;
    Ok(key)
}

/// The data key as the file holds it; `None`: it has none yet.
pub(super) async fn sealed_key(
    path: &Path,
    conn: &mut SqliteConnection,
) -> Result<Option<Vec<u8>>, OpenError> {
    sqlx::query_scalar("SELECT data_key FROM meta WHERE id = 1")
        .fetch_optional(conn)
        .await
        .map_err(|error| engine_error(path, &error))
}

pub(super) fn open_key(vault: &Vault, sealed: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let key = vault.open(DATA_KEY, sealed)?;
    let key = <[u8; 32]>::try_from(key.as_slice()).ok()?;
    Some(Zeroizing::new(key))
}

pub(super) fn seal_key(path: &Path, vault: &Vault, key: &[u8; 32]) -> Result<Vec<u8>, OpenError> {
    vault
        .seal(DATA_KEY, key)
        .map_err(|error| OpenError::Engine {
            path: path.to_owned(),
            cause: error.to_string(),
        })
}

/// SQLite's primary result code (<https://sqlite.org/rescode.html>).
fn result_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

fn is_busy(error: &sqlx::Error) -> bool {
    matches!(result_code(error), Some(5 | 6))
}

/// What SQLite says of a step that does not fit the tables that are there; it has no code of its own for that.
const MISFITS: [&str; 4] = [
    "no such table",
    "no such column",
    "duplicate column name",
    "already exists",
];

/// A step has failed: perhaps the file's number was another schema's once.
fn unmigrated(path: &Path, error: &sqlx::Error) -> OpenError {
    let cause = error.to_string();
    // SQLITE_ERROR is whatever has no other code.
    let is_misfit = result_code(error) == Some(1) && MISFITS.iter().any(|it| cause.contains(it));
    match is_misfit {
        true => OpenError::Unreleased {
            path: path.to_owned(),
            cause,
        },
        false => engine_error(path, error),
    }
}

pub(super) fn engine_error(path: &Path, error: &sqlx::Error) -> OpenError {
    let path = path.to_owned();
    let cause = error.to_string();
    match result_code(error) {
        // SQLITE_CORRUPT, SQLITE_NOTADB
        Some(11 | 26) => OpenError::NotADatabase(path),
        // SQLITE_PERM, SQLITE_READONLY, SQLITE_CANTOPEN, SQLITE_AUTH
        Some(3 | 8 | 14 | 23) => OpenError::NoAccess { path, cause },
        _ => OpenError::Engine { path, cause },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::StoreEngine;
    use crate::entropy::OsEntropy;
    use crate::store::fixture::{Fixture, store_key};
    use crate::store::open;

    /// The number in a file's name is the version that it brings the schema to, and none is left out.
    #[test]
    fn the_names_of_migrations_are_their_versions() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations");
        let entries = std::fs::read_dir(&folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), MIGRATIONS.len(), "{names:?}");
        for ((version, name), sql) in (1..).zip(&names).zip(MIGRATIONS) {
            assert!(
                name.starts_with(&format!("{version:04}_")),
                "{name} is {version}"
            );
            let file = std::fs::read_to_string(folder.join(name)).unwrap();
            assert_eq!(file, sql, "version {version} is not {name}");
        }
    }

    /// As of a trial in which what is the ninth step now was the eighth.
    #[tokio::test]
    async fn a_store_of_an_unreleased_build_is_told_and_left_as_it_is() {
        let f = Fixture::sqlite().await;
        let options = crate::store::sqlite::options(&f.path());
        let mut conn = options.connect().await.unwrap();
        let mark = "PRAGMA user_version = 8";
        sqlx::raw_sql(mark).execute(&mut conn).await.unwrap();
        let engine = StoreEngine::Sqlite(f.path());
        let opened = open(&engine, &store_key(1), Arc::new(OsEntropy)).await;
        let error = opened.err().unwrap();
        assert!(matches!(error, OpenError::Unreleased { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("never released") && text.contains("remembered"),
            "{text}"
        );
        assert!(text.contains("vestibule backup"), "{text}");
        assert_eq!(check_version(&f.path(), &mut conn).await.unwrap(), 8);
    }

    /// Whoever is told of another schema gives the file up: that is said of no other mistake.
    #[tokio::test]
    async fn only_a_step_that_does_not_fit_tells_of_another_schema() {
        let f = Fixture::sqlite().await;
        let options = crate::store::sqlite::options(&f.path());
        let mut conn = options.connect().await.unwrap();
        for (step, is_misfit) in [
            ("ALTER TABLE users ADD COLUMN name TEXT", true),
            ("CREATE TABLE users (id INTEGER)", true),
            ("UPDATE users SET no_such_name = 1", true),
            ("DROP TABLE no_such_name", true),
            // These are SQLITE_ERROR as well.
            ("SELECT abs(-9223372036854775808)", false),
            ("SELECT json('{')", false),
            ("ATTACH 'x' AS main", false),
        ] {
            let error = sqlx::raw_sql(step).execute(&mut conn).await.unwrap_err();
            assert_eq!(result_code(&error), Some(1), "{step}: {error}");
            let told = unmigrated(&f.path(), &error);
            let is_told = matches!(told, OpenError::Unreleased { .. });
            assert_eq!(is_told, is_misfit, "{step}: {told}");
        }
    }
}
