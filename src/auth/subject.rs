//! Whom failures are counted against, as the digests under which the store keeps the counters.
//!
//! One spelling for each, so that every use case and the operator's reset meet the same counter.

use super::lockout::LockoutPolicy;
use super::ports::Counted;
use crate::config::model::Lockout;
use crate::digest::{DigestKeys, SubjectDigest};
use crate::id::UserId;
pub use crate::identity::network::network;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Whose digest a subject is, where that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    User(UserId),
    /// A name or address as it was typed at sign-in, whether anybody is called so or not.
    Account {
        realm: String,
        name: String,
    },
    /// A client's address; of IPv6, its /64.
    Network(IpAddr),
}

impl Who {
    /// The same under which the store counts.
    #[must_use]
    pub fn digest(&self, keys: &DigestKeys) -> SubjectDigest {
        match self {
            Self::User(id) => user(keys, *id),
            Self::Account { realm, name } => account(keys, realm, name),
            Self::Network(ip) => address(keys, *ip),
        }
    }

    /// One more failure of theirs.
    #[must_use]
    pub fn counted(self, keys: &DigestKeys, policy: LockoutPolicy) -> Counted {
        Counted {
            subject: self.digest(keys),
            policy,
            who: Some(self),
        }
    }
}

/// One more failure of whoever asks from an address.
#[must_use]
pub fn counted_address(keys: &DigestKeys, from: IpAddr, lockout: &Lockout) -> Counted {
    let policy = LockoutPolicy::for_address(lockout);
    Who::Network(network(from)).counted(keys, policy)
}

/// A user: wrong codes, over all factors, devices and dialects.
#[must_use]
pub fn user(keys: &DigestKeys, id: UserId) -> SubjectDigest {
    keys.subject("user", &id.to_string())
}

/// An account's name, whether there is one of that name or not: wrong passwords.
#[must_use]
pub fn account(keys: &DigestKeys, realm: &str, name: &str) -> SubjectDigest {
    // The realm is a name from the config and holds no `/`.
    keys.subject("account", &format!("{realm}/{name}"))
}

/// An email address as it is looked for and counted: people write it in any case.
#[must_use]
pub fn mailbox(address: &str) -> String {
    address.to_lowercase()
}

/// An email address that somebody without a token named: wrong codes of the challenges for it, whether
/// anybody has it or not. They are counted apart from those of its user, whom a stranger could lock
/// out otherwise.
#[must_use]
pub fn unauthorized(keys: &DigestKeys, realm: &str, address: &str) -> SubjectDigest {
    keys.subject("unauthorized", &format!("{realm}/{}", mailbox(address)))
}

/// Whom mail counts for in the sending limits that somebody without a token has asked for, by naming
/// the address of this user: no user, as users are numbered from 1.
#[must_use]
pub fn strangers_to(id: UserId) -> UserId {
    UserId(id.0.saturating_neg())
}

/// A client's address: wrong codes, passwords and share links.
#[must_use]
pub fn address(keys: &DigestKeys, address: IpAddr) -> SubjectDigest {
    let value = match network(address) {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    };
    keys.subject("address", &value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SubjectDigest {
        address(&DigestKeys::derive(&[1; 32]), text.parse().unwrap())
    }

    #[test]
    fn ipv6_counts_by_its_64_and_ipv4_by_itself() {
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        let as_network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(as_network("2001:db8:1:2:ffff::9"), "2001:db8:1:2::");
        assert_eq!(as_network("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn kinds_of_subjects_are_apart() {
        let keys = DigestKeys::derive(&[1; 32]);
        assert_ne!(user(&keys, UserId(7)), user(&keys, UserId(8)));
        assert_ne!(account(&keys, "a", "x"), account(&keys, "b", "x"));
    }
}
