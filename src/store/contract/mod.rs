//! What every engine must do: one suite, run for each of them.

mod browsers;
mod codes;
mod enrolment;
mod factors;
mod families;
mod grants;
mod groups;
mod holders;
mod keys;
mod oversight;
mod passkeys;
mod sends;
mod sessions;
mod shares;
mod tries;
mod wizards;

macro_rules! for_every_engine {
    ($($test:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::store::fixture::Fixture::memory().await).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::store::fixture::Fixture::sqlite().await).await;
            })+
        }
    };
}
use for_every_engine;
