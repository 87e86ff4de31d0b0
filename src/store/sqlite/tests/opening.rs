//! Which files are opened, with which key, by how many at once, and whose they are.

use super::*;

async fn refusal(path: &Path, key: &Secret) -> OpenError {
    let engine = StoreEngine::Sqlite(path.to_owned());
    match open(&engine, key, Arc::new(OsEntropy)).await {
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "one line");
            error
        }
        Ok(_) => panic!("{} was opened", path.display()),
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_changes_nothing() {
    let f = Fixture::sqlite().await;
    let ann = f.user("ann").await;
    let error = refusal(&f.path(), &store_key(2)).await;
    assert!(matches!(error, OpenError::WrongKey(_)));
    let text = error.to_string();
    assert!(text.contains("store key does not open"), "{text}");
    assert!(text.contains(f.path().to_str().unwrap()), "{text}");
    let user = f.second().await.store.user(ann).await.unwrap().unwrap();
    assert_eq!(user.phone.as_ref().map(|p| p.e164()), Some(PHONE));
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    for bad in ["", "short", "AAAA", &"A".repeat(88), "not base64 at all!"] {
        let error = refusal(&path, &Secret::new(bad)).await;
        assert!(matches!(error, OpenError::BadKey), "{bad}");
    }
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_not_our_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let key = store_key(1);

    let text = dir.path().join("text.db");
    let content = "these are no pages of a database\n".repeat(99);
    std::fs::write(&text, &content).unwrap();
    assert!(matches!(
        refusal(&text, &key).await,
        OpenError::NotADatabase(_)
    ));
    assert_eq!(std::fs::read_to_string(&text).unwrap(), content);

    assert!(matches!(
        refusal(dir.path(), &key).await,
        OpenError::NotADatabase(_)
    ));

    let foreign = dir.path().join("foreign.db");
    run(&foreign, "CREATE TABLE songs (name TEXT)").await;
    let before = std::fs::read(&foreign).unwrap();
    assert!(matches!(
        refusal(&foreign, &key).await,
        OpenError::Foreign(_)
    ));
    assert_eq!(std::fs::read(&foreign).unwrap(), before);

    let nowhere = dir.path().join("missing/x.db");
    let error = refusal(&nowhere, &key).await;
    assert!(matches!(error, OpenError::NoDirectory(_)));
    assert!(error.to_string().contains("missing does not exist"));

    // Not even root can make a file here.
    let closed = refusal(Path::new("/proc/vestibule.db"), &key).await;
    assert!(matches!(closed, OpenError::NoAccess { .. }));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let f = Fixture::sqlite().await;
    run(&f.path(), "PRAGMA user_version = 99").await;
    let error = refusal(&f.path(), &store_key(1)).await;
    assert!(matches!(error, OpenError::Newer { found: 99, .. }));
    assert!(error.to_string().contains("newer Vestibule"));
}

#[tokio::test]
async fn the_files_are_for_their_owner_alone() {
    let f = Fixture::sqlite().await;
    f.user("ann").await;
    let mut seen = 0;
    for entry in std::fs::read_dir(f.path().parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
        seen += 1;
    }
    assert_eq!(seen, 3, "database, log and its index");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_can_be_opened_by_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let engine = StoreEngine::Sqlite(dir.path().join("new.db"));
    let opening = (0..8).map(|_| {
        let engine = engine.clone();
        tokio::spawn(async move { open(&engine, &store_key(1), Arc::new(OsEntropy)).await })
    });
    let mut seal_keys = Vec::new();
    for opening in opening.collect::<Vec<_>>() {
        let (store, keys) = opening.await.unwrap().unwrap();
        store.ping().await.unwrap();
        seal_keys.push(*keys.seal_key());
    }
    seal_keys.dedup();
    assert_eq!(seal_keys.len(), 1, "one data key");
}

#[tokio::test]
async fn readers_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.db");
    let opened = Sqlite::open(&path, &[1; 32], Arc::new(OsEntropy)).await;
    let (store, _) = opened.unwrap();
    let written = sqlx::query("UPDATE meta SET pings = 9").execute(&store.readers);
    assert!(written.await.is_err());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn commits_are_on_disk_when_they_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let opened = Sqlite::open(&path, &[1; 32], Arc::new(OsEntropy)).await;
    let (store, _) = opened.unwrap();
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2), "2 is FULL");
}
