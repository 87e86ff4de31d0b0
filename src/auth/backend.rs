//! Sign-ins that a backend judges (identity `learn`): a wrong password there costs its account and
//! its address what one of Vestibule's own accounts would.
//!
//! No more guesses are under way at once than would earn a delay: of a thousand sent together, the
//! rest must meet the delay which the first ones earn.

use super::crowd::Seat;
use super::failures::FailedAt;
use super::lockout::LockoutPolicy;
use super::ports::Counted;
use super::sign_in::SignInError;
use super::subject::Who;
use super::{Auth, subject};
use crate::digest::SubjectDigest;
use crate::event::{Event, EventKind};
use std::net::IpAddr;
use std::sync::Arc;

/// What a client is told to wait while others try the same account.
const BUSY_RETRY_SECS: u64 = 1;

/// A sign-in that may be forwarded, and whom its failure is counted against.
#[derive(Clone, Debug)]
pub struct Guess {
    /// One for each name in the request; none if no name could be read.
    accounts: Vec<Who>,
    route: String,
    from: IpAddr,
    /// Given back when it has been counted.
    _seats: Arc<[Seat<SubjectDigest>]>,
}

impl Auth {
    /// Whether a sign-in under these names may be forwarded. Names count without their case, which
    /// many backends do not look at either.
    pub async fn may_try_backend(
        &self,
        realm: &str,
        names: &[String],
        route: &str,
        from: IpAddr,
    ) -> Result<Guess, SignInError> {
        let mut accounts = Vec::new();
        for name in names {
            let account = Who::Account {
                realm: realm.to_owned(),
                name: name.to_lowercase(),
            };
            // Two spellings of one name are one account.
            if !accounts.contains(&account) {
                accounts.push(account);
            }
        }
        let counted = self.counted(&accounts, from);
        let seats = counted.iter().map(|one| {
            let max = match one.policy.delay_every {
                0 => usize::MAX,
                every => every as usize,
            };
            self.guesses.seat(one.subject, max)
        });
        let seats: Option<Arc<[_]>> = seats.collect();
        let seats = seats.ok_or(SignInError::TooMany {
            retry_after_secs: BUSY_RETRY_SECS,
        })?;
        let subjects: Vec<_> = counted.iter().map(|one| one.subject).collect();
        self.not_blocked(&subjects).await?;
        Ok(Guess {
            accounts,
            route: route.to_owned(),
            from,
            _seats: seats,
        })
    }

    /// The backend refused it.
    pub async fn backend_refused(&self, guess: Guess) -> Result<(), SignInError> {
        let failed = self.counted(&guess.accounts, guess.from);
        let failed_at = FailedAt {
            route: &guess.route,
            address: guess.from,
        };
        self.count_failure(&failed, failed_at).await?;
        self.events.emit(Event {
            kind: EventKind::Refused,
            user: None,
            route: guess.route,
            address: Some(guess.from),
            detail: "wrong password at the backend".to_owned(),
            uid: None,
        });
        Ok(())
    }

    /// The backend took it: its account's count begins anew, its address's does not, or a guesser
    /// would only have to sign in as himself in between. So too where two names were sent, as
    /// nobody can say whose password it was.
    pub async fn backend_accepted(&self, guess: Guess) -> Result<(), SignInError> {
        if let [account] = &guess.accounts[..] {
            self.store.succeeded(&[account.digest(&self.keys)]).await?;
        }
        Ok(())
    }

    /// Whom a failure counts against, and how.
    fn counted(&self, accounts: &[Who], from: IpAddr) -> Vec<Counted> {
        let lockout = self.settings.load().lockout;
        let policy = LockoutPolicy::for_account(&lockout);
        let accounts = accounts.iter().cloned();
        let mut counted: Vec<_> = accounts
            .map(|account| account.counted(&self.keys, policy))
            .collect();
        counted.push(subject::counted_address(&self.keys, from, &lockout));
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fixture::World;
    use std::time::Duration;

    const HERE: &str = "192.0.2.1";

    async fn attempt(world: &World, names: &[&str], from: &str) -> Result<Guess, SignInError> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let from = from.parse().unwrap();
        let auth = &world.auth;
        auth.may_try_backend("remote", &names, "files", from).await
    }

    async fn fails(world: &World, names: &[&str], from: &str) {
        let guess = attempt(world, names, from).await.unwrap();
        world.auth.backend_refused(guess).await.unwrap();
    }

    fn is_delayed(attempt: &Result<Guess, SignInError>) -> bool {
        matches!(attempt, Err(SignInError::TooMany { .. }))
    }

    #[tokio::test]
    async fn an_account_is_delayed_wherever_the_guesses_come_from() {
        let world = World::new();
        for n in 1..=5 {
            fails(&world, &[["ann", "Ann"][n % 2]], &format!("192.0.2.{n}")).await;
        }
        assert!(is_delayed(&attempt(&world, &["ANN"], "192.0.2.99").await));
        // A decoy in front of the name, or behind it, changes nothing.
        assert!(is_delayed(&attempt(&world, &["bob", "ann"], HERE).await));
        assert!(attempt(&world, &["bob"], HERE).await.is_ok());
        assert!(attempt(&world, &[], HERE).await.is_ok());
        world.clock.advance(Duration::from_secs(31));
        assert!(attempt(&world, &["ann"], HERE).await.is_ok());
    }

    #[tokio::test]
    async fn no_more_are_under_way_than_would_earn_a_delay() {
        let world = World::new();
        let mut under_way = Vec::new();
        for n in 1..=5 {
            let from = format!("192.0.2.{n}");
            under_way.push(attempt(&world, &["ann"], &from).await.unwrap());
        }
        assert!(is_delayed(&attempt(&world, &["ann"], HERE).await));
        assert!(attempt(&world, &["bob"], HERE).await.is_ok());
        // A seat comes back with the answer, whatever it is; five failures are the delay.
        under_way.pop();
        under_way.push(attempt(&world, &["ann"], HERE).await.unwrap());
        for guess in under_way {
            world.auth.backend_refused(guess).await.unwrap();
        }
        assert!(is_delayed(&attempt(&world, &["ann"], HERE).await));
        world.clock.advance(Duration::from_secs(31));
        assert!(attempt(&world, &["ann"], HERE).await.is_ok());
    }

    #[tokio::test]
    async fn one_address_has_so_many_under_way_whoever_it_tries() {
        let world = World::new();
        let mut under_way = Vec::new();
        for n in 0..50 {
            under_way.push(attempt(&world, &[&format!("user{n}")], HERE).await.unwrap());
        }
        assert!(is_delayed(&attempt(&world, &["ann"], HERE).await));
        assert!(attempt(&world, &["ann"], "192.0.2.2").await.is_ok());
        drop(under_way);
        assert!(attempt(&world, &["ann"], HERE).await.is_ok());
    }

    #[tokio::test]
    async fn a_success_clears_the_account_and_not_the_address() {
        let world = World::new();
        for round in 0..10 {
            for _ in 0..4 {
                fails(&world, &["ann"], HERE).await;
            }
            let guess = attempt(&world, &["ann"], HERE).await.unwrap();
            if round < 9 {
                world.auth.backend_accepted(guess).await.unwrap();
            }
        }
        // 40 failures: the next ten bring the address, with ten times the bound, to its delay.
        for n in 0..10 {
            fails(&world, &[&format!("user{n}")], HERE).await;
        }
        assert!(is_delayed(&attempt(&world, &["somebody"], HERE).await));
        assert!(attempt(&world, &["ann"], "192.0.2.2").await.is_ok());
    }

    #[tokio::test]
    async fn an_own_name_beside_the_guessed_one_clears_nothing() {
        let world = World::new();
        for n in 1..=4 {
            fails(&world, &["ann"], &format!("192.0.2.{n}")).await;
        }
        let guess = attempt(&world, &["mallory", "ann"], HERE).await.unwrap();
        world.auth.backend_accepted(guess).await.unwrap();
        fails(&world, &["ann"], HERE).await;
        assert!(is_delayed(&attempt(&world, &["ann"], HERE).await));
    }
}
