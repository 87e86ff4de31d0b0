//! What is done to the file itself, beside a running gateway: a copy of it, another key for it.
//!
//! Neither changes the schema, so that a newer program can do both before it takes the file over.

use super::{opening, options};
use crate::entropy::{Entropy, OsEntropy};
use crate::store::vault::Vault;
use crate::store::{FileError, OpenError};
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// As [`crate::store::back_up`].
pub(in crate::store) async fn back_up(
    path: &Path,
    key: &[u8; 32],
    to: &Path,
) -> Result<u64, FileError> {
    let mut conn = connect(path).await?;
    let target = to.to_str().ok_or_else(|| FileError::NotWritten {
        path: to.to_owned(),
        cause: "its name is not UTF-8".to_owned(),
    })?;
    let copy = Copy::begin(to)?;
    // One read transaction: the gateway goes on writing, and nothing of that is in the copy.
    sqlx::query("VACUUM INTO ?1")
        .bind(target)
        .execute(&mut conn)
        .await
        .map_err(|error| copy.failed(&error))?;
    copy.check(path, key).await?;
    copy.finish()
}

/// As [`crate::store::replace_key`].
pub(in crate::store) async fn replace_key(
    path: &Path,
    key: &[u8; 32],
    new: &[u8; 32],
    entropy: Arc<dyn Entropy>,
) -> Result<bool, FileError> {
    if key == new {
        return Err(FileError::SameKey);
    }
    let failed = |error| opening::engine_error(path, &error);
    let mut conn = connect(path).await?;
    // The old sealed value is overwritten, not only unlinked.
    sqlx::raw_sql("PRAGMA secure_delete = ON")
        .execute(&mut conn)
        .await
        .map_err(failed)?;
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let wrong = || OpenError::WrongKey(path.to_owned());
    let sealed = opening::sealed_key(path, &mut tx).await?;
    let sealed = sealed.ok_or_else(wrong)?;
    let new = Vault::new(new, entropy.clone());
    if opening::open_key(&new, &sealed).is_some() {
        return Ok(false);
    }
    let data_key = opening::open_key(&Vault::new(key, entropy), &sealed).ok_or_else(wrong)?;
    sqlx::query("UPDATE meta SET data_key = ?1 WHERE id = 1")
        .bind(opening::seal_key(path, &new, &data_key)?)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    // The log may hold the old value until it is overwritten; where somebody reads, that comes later.
    let _ = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut conn)
        .await;
    conn.close().await.map_err(failed)?;
    Ok(true)
}

/// A connection to a file that is there and ours.
async fn connect(path: &Path) -> Result<SqliteConnection, FileError> {
    if !path.is_file() {
        return Err(FileError::Missing(path.to_owned()));
    }
    let mut conn = options(path)
        .connect()
        .await
        .map_err(|error| opening::engine_error(path, &error))?;
    match opening::check_version(path, &mut conn).await? {
        0 => Err(FileError::Missing(path.to_owned())),
        _ => Ok(conn),
    }
}

/// A copy that is being made. Removed again unless it is finished.
struct Copy {
    path: PathBuf,
    finished: bool,
}

impl Copy {
    /// Makes the empty file, for its owner alone, which SQLite then fills.
    fn begin(path: &Path) -> Result<Self, FileError> {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        match made {
            Ok(_) => Ok(Self {
                path: path.to_owned(),
                finished: false,
            }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(FileError::Exists(path.to_owned()))
            }
            Err(error) => Err(FileError::NotWritten {
                path: path.to_owned(),
                cause: match error.kind() {
                    ErrorKind::NotFound => "its folder is not there: make that first".to_owned(),
                    _ => error.to_string(),
                },
            }),
        }
    }

    fn failed(&self, cause: &dyn ToString) -> FileError {
        FileError::NotWritten {
            path: self.path.clone(),
            cause: cause.to_string(),
        }
    }

    /// Whether every page can be read, and the key opens it.
    async fn check(&self, original: &Path, key: &[u8; 32]) -> Result<(), FileError> {
        let damaged = |cause: String| FileError::Damaged {
            path: original.to_owned(),
            cause,
        };
        let options = options(&self.path).read_only(true);
        let unreadable = |error: sqlx::Error| damaged(error.to_string());
        let mut conn = options.connect().await.map_err(unreadable)?;
        let verdict: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&mut conn)
            .await
            .map_err(unreadable)?;
        if verdict != "ok" {
            return Err(damaged(verdict));
        }
        let sealed = opening::sealed_key(original, &mut conn).await?;
        let vault = Vault::new(key, Arc::new(OsEntropy));
        let opened = sealed.and_then(|sealed| opening::open_key(&vault, &sealed));
        conn.close().await.map_err(unreadable)?;
        match opened {
            Some(_) => Ok(()),
            None => Err(OpenError::WrongKey(original.to_owned()).into()),
        }
    }

    /// Puts it on disk: SQLite does not wait for that when it fills a copy.
    fn finish(mut self) -> Result<u64, FileError> {
        let bytes = self.sync().map_err(|error| self.failed(&error))?;
        self.finished = true;
        Ok(bytes)
    }

    fn sync(&self) -> io::Result<u64> {
        let file = File::open(&self.path)?;
        file.sync_all()?;
        let folder = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::model::StoreEngine;
    use crate::entropy::OsEntropy;
    use crate::id::UserId;
    use crate::secret::Secret;
    use crate::store::fixture::{Fixture, PHONE, store_key};
    use crate::store::{FileError, OpenError, back_up, open, replace_key};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::sync::Arc;

    fn engine(path: &Path) -> StoreEngine {
        StoreEngine::Sqlite(path.to_owned())
    }

    async fn opens(path: &Path, key: &Secret) -> Result<(), OpenError> {
        open(&engine(path), key, Arc::new(OsEntropy))
            .await
            .map(|_| ())
    }

    #[tokio::test]
    async fn a_copy_has_what_was_there_and_is_for_its_owner_alone() {
        let f = Fixture::sqlite().await;
        let ann = f.user("ann").await;
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy.db");
        // The store stays open, with its log full of what is not in the file yet.
        let bytes = back_up(&engine(&f.path()), &store_key(1), &copy).await;
        let meta = std::fs::metadata(&copy).unwrap();
        assert_eq!(bytes.unwrap(), meta.len());
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        f.user("ben").await;

        let (restored, keys) = open(&engine(&copy), &store_key(1), Arc::new(OsEntropy))
            .await
            .unwrap();
        assert_eq!(keys.seal_key(), f.keys.seal_key());
        let users = restored.users_after(UserId(0), 9).await.unwrap();
        assert_eq!(users.len(), 1, "ben came later");
        assert_eq!(users[0].id, ann);
        assert_eq!(users[0].phone.as_ref().map(|it| it.e164()), Some(PHONE));
        restored.ping().await.unwrap();
    }

    #[tokio::test]
    async fn a_backup_overwrites_nothing_and_leaves_nothing_half_done() {
        let f = Fixture::sqlite().await;
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy.db");
        std::fs::write(&copy, "precious").unwrap();
        let refused = back_up(&engine(&f.path()), &store_key(1), &copy).await;
        assert!(matches!(refused, Err(FileError::Exists(_))));
        assert_eq!(std::fs::read(&copy).unwrap(), b"precious");

        let other = dir.path().join("other.db");
        let wrong = back_up(&engine(&f.path()), &store_key(2), &other).await;
        let wrong = wrong.unwrap_err();
        assert!(
            matches!(wrong, FileError::Open(OpenError::WrongKey(_))),
            "{wrong}"
        );
        assert!(!other.exists());
        let nowhere = dir.path().join("none/copy.db");
        let refused = back_up(&engine(&f.path()), &store_key(1), &nowhere).await;
        assert!(matches!(refused, Err(FileError::NotWritten { .. })));
    }

    #[tokio::test]
    async fn what_is_no_store_is_not_backed_up_and_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let (missing, copy) = (dir.path().join("none.db"), dir.path().join("copy.db"));
        let refused = back_up(&engine(&missing), &store_key(1), &copy).await;
        assert!(matches!(refused, Err(FileError::Missing(_))));
        std::fs::write(&missing, "").unwrap();
        let refused = back_up(&engine(&missing), &store_key(1), &copy).await;
        assert!(matches!(refused, Err(FileError::Missing(_))));
        std::fs::write(
            &missing,
            "no database, but a longer text than that\n".repeat(99),
        )
        .unwrap();
        let refused = back_up(&engine(&missing), &store_key(1), &copy).await;
        assert!(matches!(
            refused,
            Err(FileError::Open(OpenError::NotADatabase(_)))
        ));
        let memory = back_up(&StoreEngine::Memory, &store_key(1), &copy).await;
        assert!(matches!(memory, Err(FileError::Memory)));
        assert!(!copy.exists());
    }

    #[tokio::test]
    async fn a_replaced_key_opens_what_the_old_one_opened() {
        let f = Fixture::sqlite().await;
        f.user("ann").await;
        let entropy = || Arc::new(OsEntropy) as _;
        let store = engine(&f.path());
        let replaced = replace_key(&store, &store_key(1), &store_key(2), entropy()).await;
        assert!(replaced.unwrap());
        // Who has it open goes on, and so does a second try.
        f.user("ben").await;
        let again = replace_key(&store, &store_key(1), &store_key(2), entropy()).await;
        assert!(!again.unwrap());

        assert!(matches!(
            opens(&f.path(), &store_key(1)).await,
            Err(OpenError::WrongKey(_))
        ));
        let (opened, keys) = open(&store, &store_key(2), entropy()).await.unwrap();
        assert_eq!(keys.seal_key(), f.keys.seal_key());
        let users = opened.users_after(UserId(0), 9).await.unwrap();
        assert_eq!(users.len(), 2);
        assert!(users.iter().all(|it| it.phone.is_some()));
    }

    #[tokio::test]
    async fn only_who_has_the_key_can_replace_it() {
        let f = Fixture::sqlite().await;
        let entropy = || Arc::new(OsEntropy) as _;
        let store = engine(&f.path());
        let wrong = replace_key(&store, &store_key(3), &store_key(2), entropy()).await;
        assert!(matches!(
            wrong,
            Err(FileError::Open(OpenError::WrongKey(_)))
        ));
        let same = replace_key(&store, &store_key(1), &store_key(1), entropy()).await;
        assert!(matches!(same, Err(FileError::SameKey)));
        opens(&f.path(), &store_key(1)).await.unwrap();
    }
}
