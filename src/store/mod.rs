//! Durable state: the engines behind the ports of [`crate::auth::ports`].
//!
//! [`open`] gives the engine that the config names, and the digest keys, which come from a random
//! data key that is kept in the store, sealed under the operator's store key. Whoever has the file
//! alone has no number, address, token or code. No engine decides anything that `rules` decides.

pub mod memory;
mod rules;
pub mod sqlite;
mod vault;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod model;

use crate::auth::ports::{Store, StoreError};
use crate::config::model::StoreEngine;
use crate::digest::DigestKeys;
use crate::entropy::{self, Entropy, NoEntropy};
use crate::factor::phone::Phone;
use crate::secret::Secret;
use base64::Engine as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Why the store could not be opened. Each is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the store key is not 32 bytes in base64: make one with `vestibule key generate`")]
    BadKey,
    #[error(
        "the store key does not open {}: it was made with another key; set store.key to that one, \
         or move the file away to start with an empty store", .0.display()
    )]
    WrongKey(PathBuf),
    #[error(
        "{} is not a database: set store.url to another file, or restore this one from a backup",
        .0.display()
    )]
    NotADatabase(PathBuf),
    #[error("{} is a database of another program: set store.url to another file", .0.display())]
    Foreign(PathBuf),
    #[error(
        "{} was written by a newer Vestibule (schema {found}, this program knows {known}): run \
         that version, or restore a backup made before the upgrade", path.display()
    )]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error(
        "the directory {} does not exist: make it, owned by the user Vestibule runs as",
        .0.display()
    )]
    NoDirectory(PathBuf),
    #[error(
        "{} cannot be read and written ({cause}): give the file and its directory to the user \
         Vestibule runs as", path.display()
    )]
    NoAccess { path: PathBuf, cause: String },
    #[error(
        "{} was made by a build that was never released ({cause}): put a backup of before that build \
         in its place (`vestibule backup` makes them); an empty store has nobody's second factor",
        path.display()
    )]
    Unreleased { path: PathBuf, cause: String },
    #[error("{} cannot be opened: {cause}", path.display())]
    Engine { path: PathBuf, cause: String },
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// Why something could not be done to the store's file. Each is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("a `memory:` store has no file")]
    Memory,
    #[error("there is no store at {}: is this the config of the gateway?", .0.display())]
    Missing(PathBuf),
    #[error("{} is there already, and a backup overwrites nothing: name a new file", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written: {cause}", path.display())]
    NotWritten { path: PathBuf, cause: String },
    #[error(
        "the copy of {} was damaged ({cause}), and is removed: the disk or the store is at fault; \
         `sqlite3 FILE 'PRAGMA integrity_check'` says which", path.display()
    )]
    Damaged { path: PathBuf, cause: String },
    #[error("the new key is the old one: make another with `vestibule key generate`")]
    SameKey,
}

/// Copies the store's file to `to`, which must not exist, as it is at one moment, and sees that the
/// copy is whole and that `key` opens it. Beside a running gateway, too. Returns the copy's bytes.
pub async fn back_up(engine: &StoreEngine, key: &Secret, to: &Path) -> Result<u64, FileError> {
    let key = store_key(key)?;
    match engine {
        StoreEngine::Memory => Err(FileError::Memory),
        StoreEngine::Sqlite(path) => sqlite::file::back_up(path, &key, to).await,
    }
}

/// Seals the store's data key under `new` in place of `key`, in one step. A running gateway goes on
/// with what it has; the next one needs the new key. `false`: it was sealed under `new` already.
pub async fn replace_key(
    engine: &StoreEngine,
    key: &Secret,
    new: &Secret,
    entropy: Arc<dyn Entropy>,
) -> Result<bool, FileError> {
    let (key, new) = (store_key(key)?, store_key(new)?);
    match engine {
        StoreEngine::Memory => Err(FileError::Memory),
        StoreEngine::Sqlite(path) => sqlite::file::replace_key(path, &key, &new, entropy).await,
    }
}

/// Opens the store, making it first where there is none, and derives its digest keys.
pub async fn open(
    engine: &StoreEngine,
    key: &Secret,
    entropy: Arc<dyn Entropy>,
) -> Result<(Arc<dyn Store>, DigestKeys), OpenError> {
    let key = store_key(key)?;
    match engine {
        StoreEngine::Memory => {
            let data_key = Zeroizing::new(entropy::bytes::<32>(&*entropy)?);
            let keys = DigestKeys::derive(&data_key);
            Ok((Arc::new(memory::Memory::default()), keys))
        }
        StoreEngine::Sqlite(path) => {
            let (store, keys) = sqlite::Sqlite::open(path, &key, entropy).await?;
            Ok((Arc::new(store), keys))
        }
    }
}

/// A look at the store that changes nothing: whether the key opens it; `None` if there is none yet.
pub async fn examine(
    engine: &StoreEngine,
    key: &Secret,
) -> Result<Option<sqlite::examine::Examined>, OpenError> {
    let key = store_key(key)?;
    match engine {
        StoreEngine::Memory => Ok(None),
        StoreEngine::Sqlite(path) => sqlite::examine::examine(path, &key).await,
    }
}

/// Who of these users of an identity the store knows, and all groups of that identity's users. Changes
/// nothing; `None` if there is no store yet, or one that is still to be brought to this version.
pub async fn people(
    engine: &StoreEngine,
    realm: &str,
    names: &[&str],
) -> Result<Option<sqlite::examine::People>, OpenError> {
    match engine {
        StoreEngine::Memory => Ok(None),
        StoreEngine::Sqlite(path) => sqlite::examine::people(path, realm, names).await,
    }
}

/// What the engine finds damaged, reading all of the store. Empty: nothing.
pub async fn damage(engine: &StoreEngine) -> Result<Vec<String>, OpenError> {
    match engine {
        StoreEngine::Memory => Ok(Vec::new()),
        StoreEngine::Sqlite(path) => sqlite::examine::damage(path).await,
    }
}

/// The bytes of the operator's key.
fn store_key(text: &Secret) -> Result<Zeroizing<[u8; 32]>, OpenError> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text.expose().trim())
        .map(Zeroizing::new)
        .map_err(|_| OpenError::BadKey)?;
    let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| OpenError::BadKey)?;
    Ok(Zeroizing::new(key))
}

/// A phone number as it was stored.
fn phone_from_stored(e164: &str) -> Result<Phone, StoreError> {
    Phone::from_e164(e164).ok_or(StoreError::Damaged("phone number"))
}
