//! Signing keys.

use super::for_every_engine;
use crate::auth::ports::{SigningAlgorithm, SigningKey};
use crate::secret::Secret;
use crate::store::fixture::{Fixture, NOW, after};
use std::sync::Arc;

for_every_engine![
    the_first_key_of_an_algorithm_is_added_once,
    a_rotation_ends_the_others_later,
    ended_keys_are_purged,
];

fn key(kid: &str, algorithm: SigningAlgorithm) -> SigningKey {
    SigningKey {
        kid: kid.to_owned(),
        algorithm,
        private: Secret::new(format!("private of {kid}")),
        created_at: NOW,
        signs_from: NOW,
        ends_at: None,
    }
}

async fn the_first_key_of_an_algorithm_is_added_once(f: Fixture) {
    let f = Arc::new(f);
    let racing: Vec<_> = (0..20)
        .map(|at| {
            let f = Arc::clone(&f);
            let key = key(&format!("k{at}"), SigningAlgorithm::EdDsa);
            tokio::spawn(async move { f.store.add_first_key(key).await.unwrap() })
        })
        .collect();
    let mut added = Vec::new();
    for (at, one) in racing.into_iter().enumerate() {
        if one.await.unwrap() {
            added.push(format!("k{at}"));
        }
    }
    let keys = f.store.signing_keys(NOW).await.unwrap();
    assert_eq!((keys.len(), added.len()), (1, 1));
    assert_eq!(keys[0], key(&added[0], SigningAlgorithm::EdDsa));
    let other = key("rsa", SigningAlgorithm::Rs256);
    assert!(f.store.add_first_key(other.clone()).await.unwrap());
    assert!(!f.store.add_first_key(other).await.unwrap());
}

async fn a_rotation_ends_the_others_later(f: Fixture) {
    let first = key("first", SigningAlgorithm::EdDsa);
    let rsa = key("rsa", SigningAlgorithm::Rs256);
    assert!(f.store.add_first_key(first).await.unwrap());
    assert!(f.store.add_first_key(rsa).await.unwrap());
    for (kid, end) in [("second", 100), ("third", 200)] {
        let mut new = key(kid, SigningAlgorithm::EdDsa);
        new.signs_from = after(10);
        f.store.rotate_keys(new, after(end)).await.unwrap();
    }
    let kids = async |at| {
        let keys = f.store.signing_keys(at).await.unwrap();
        keys.into_iter()
            .map(|key| (key.kid, key.ends_at))
            .collect::<Vec<_>>()
    };
    let third = ("third".to_owned(), None);
    let rsa = ("rsa".to_owned(), None);
    let second = ("second".to_owned(), Some(after(200)));
    let first = ("first".to_owned(), Some(after(100)));
    assert_eq!(
        kids(after(99)).await,
        [first, rsa.clone(), second.clone(), third.clone()]
    );
    assert_eq!(kids(after(100)).await, [rsa.clone(), second, third.clone()]);
    assert_eq!(kids(after(200)).await, [rsa, third]);
}

async fn ended_keys_are_purged(f: Fixture) {
    assert!(
        f.store
            .add_first_key(key("first", SigningAlgorithm::EdDsa))
            .await
            .unwrap()
    );
    let second = key("second", SigningAlgorithm::EdDsa);
    f.store.rotate_keys(second, after(100)).await.unwrap();
    assert_eq!(f.store.purge(after(100)).await.unwrap(), 0);
    assert_eq!(f.store.purge(after(101 + 86_400)).await.unwrap(), 1);
    assert_eq!(f.store.signing_keys(NOW).await.unwrap().len(), 1);
}
