//! Stands in until the verbs are written.
#![allow(dead_code)]

use crate::auth::ports::*;
use crate::clock::Timestamp;
use crate::digest::*;
use crate::gate::session::Holder;
use crate::id::*;

macro_rules! stubs_of_codes {
    ($($type:ty),+) => {$(
        #[async_trait::async_trait]
        impl crate::auth::ports::Factors for $type {
            async fn factors(&self, _: UserId) -> Stored<FactorSet> { todo!() }
            async fn disable(&self, _: UserId, _: Disable, _: Timestamp) -> Stored<bool> { todo!() }
            async fn put_backup_codes(&self, _: UserId, _: BackupCodes, _: Timestamp) -> Stored<()> { todo!() }
            async fn backup_salt(&self, _: UserId) -> Stored<Option<[u8; 16]>> { todo!() }
            async fn changes(&self, _: UserId, _: ChangeQuery) -> Stored<ChangePage> { todo!() }
            async fn change(&self, _: UserId, _: ChangeId) -> Stored<Option<Change>> { todo!() }
        }
        #[async_trait::async_trait]
        impl crate::auth::ports::Codes for $type {
            async fn reserve_send(&self, _: SendRequest, _: Timestamp) -> Stored<Reserved> { todo!() }
            async fn release_send(&self, _: SendId) -> Stored<()> { todo!() }
            async fn put_challenge(&self, _: NewChallenge) -> Stored<ChallengeId> { todo!() }
            async fn pending(&self, _: Binding, _: Purpose, _: Timestamp) -> Stored<Option<Pending>> { todo!() }
            async fn attempt(&self, _: Attempt, _: Timestamp) -> Stored<Attempted> { todo!() }
        }
        #[async_trait::async_trait]
        impl crate::auth::ports::Wizards for $type {
            async fn open_wizard(&self, _: Wizard, _: SubjectDigest, _: Timestamp) -> Stored<()> { todo!() }
            async fn wizard(&self, _: WizardDigest, _: Timestamp) -> Stored<Option<Wizard>> { todo!() }
            async fn advance_wizard(&self, _: Advance, _: Timestamp) -> Stored<bool> { todo!() }
            async fn take_wizard(&self, _: WizardDigest, _: Timestamp) -> Stored<Option<Wizard>> { todo!() }
            async fn finish_wizard(&self, _: WizardDigest, _: Deeds, _: Timestamp) -> Stored<bool> { todo!() }
            async fn spend_success(&self, _: &str, _: SuccessDigest, _: Option<TokenDigest>, _: Timestamp) -> Stored<Option<Holder>> { todo!() }
        }
    )+};
}

stubs_of_codes!(crate::store::sqlite::Sqlite);
