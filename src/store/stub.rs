//! Stands in until the verbs are written.
#![allow(dead_code)]

use crate::auth::ports::*;
use crate::clock::Timestamp;
use crate::digest::*;

macro_rules! stubs {
    ($($type:ty),+) => {$(
        #[async_trait::async_trait]
        impl crate::auth::ports::Families for $type {
            async fn family(&self, _: RefreshDigest, _: Timestamp) -> Stored<Option<Family>> { todo!() }
            async fn rotate(&self, _: Rotation, _: Timestamp) -> Stored<Refreshed> { todo!() }
        }
        impl crate::auth::ports::Originals for $type {
            fn original(&self, _: TokenDigest, _: &crate::secret::Sealed) -> Option<crate::secret::Secret> { todo!() }
        }
        #[async_trait::async_trait]
        impl crate::auth::ports::SigningKeys for $type {
            async fn signing_keys(&self, _: Timestamp) -> Stored<Vec<SigningKey>> { todo!() }
            async fn add_first_key(&self, _: SigningKey) -> Stored<bool> { todo!() }
            async fn rotate_keys(&self, _: SigningKey, _: Timestamp) -> Stored<()> { todo!() }
        }
    )+};
}

stubs!(crate::store::sqlite::Sqlite);
