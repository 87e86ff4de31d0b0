//! Whether one rule matches one request: its method, its path, where the client is, who asks; and what one
//! rule leaves of another.

use super::{Asker, Target};
use crate::config::model::{People, Rule};
use http::Method;
use percent_encoding::percent_decode_str;
use std::net::IpAddr;

#[cfg(test)]
thread_local! {
    /// How often this thread has compared a path with that of a rule.
    pub(super) static COMPARED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How a rule stands to a request.
pub(super) enum Fit {
    Yes,
    No(Miss),
    /// It is for users or groups, and of who asks it is not known.
    Depends,
}

/// Why a rule does not match: the first of its conditions that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    Method,
    Path,
    Network,
    People,
}

pub(super) fn fit(rule: &Rule, target: &Target<'_>, path: &str, asker: Asker<'_>) -> Fit {
    if !matches_method(rule, target.method) {
        return Fit::No(Miss::Method);
    }
    if !matches_path(rule, path) {
        return Fit::No(Miss::Path);
    }
    if !is_within(rule, target.address) {
        return Fit::No(Miss::Network);
    }
    match is_for(&rule.people, asker) {
        Some(true) => Fit::Yes,
        Some(false) => Fit::No(Miss::People),
        None => Fit::Depends,
    }
}

pub(super) fn matches_method(rule: &Rule, method: &Method) -> bool {
    rule.methods.is_empty() || is_one_of(&rule.methods, method)
}

/// HEAD shows what GET shows (RFC 9110 section 9.3.2), so a rule for GET is one for HEAD.
pub(super) fn is_one_of(methods: &[Method], method: &Method) -> bool {
    methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET))
}

pub(super) fn matches_path(rule: &Rule, path: &str) -> bool {
    rule.paths.is_empty() || rule.paths.iter().any(|wanted| covers(wanted, path))
}

pub(super) fn is_within(rule: &Rule, address: IpAddr) -> bool {
    let has = |network: &ipnet::IpNet| network.contains(&address);
    rule.networks.is_empty() || rule.networks.iter().any(has)
}

/// `None`: what it depends on is not known of who asks.
pub(super) fn is_for(people: &People, asker: Asker<'_>) -> Option<bool> {
    match people {
        People::All => Some(true),
        People::Users(names) => {
            let own = asker.name?;
            Some(names.iter().any(|name| name == own))
        }
        People::Groups(names) => {
            let groups = asker.groups?;
            Some(names.iter().any(|name| groups.contains(name)))
        }
    }
}

/// Whether nothing that `rule` says of `path` is ever asked, since `other` comes before it.
pub(super) fn hides(other: &Rule, rule: &Rule, path: &str) -> bool {
    let has_methods = other.methods.is_empty()
        || (!rule.methods.is_empty() && rule.methods.iter().all(|it| matches_method(other, it)));
    has_methods && matches_path(other, path)
}

/// Whether a rule's path is in a folder, or is all of it: `/a/b` and `/a/` are in `/a` as in `/a/`.
pub(super) fn lies_in(wanted: &str, folder: &str) -> bool {
    let mut rest = percent_decode_str(wanted);
    let folder = folder.strip_suffix('/').unwrap_or(folder);
    let mut names = percent_decode_str(folder);
    names.all(|byte| rest.next() == Some(byte)) && rest.next() == Some(b'/')
}

/// Whether `wanted`, a path or a prefix that ends in `/`, covers `path`.
pub(super) fn covers(wanted: &str, path: &str) -> bool {
    #[cfg(test)]
    COMPARED.set(COMPARED.get() + 1);
    // Up to the first escape, letters stand for themselves: nearly every rule differs before it.
    for (wanted_byte, byte) in wanted.bytes().zip(path.bytes()) {
        if wanted_byte == b'%' || byte == b'%' {
            break;
        }
        if wanted_byte != byte {
            return false;
        }
    }
    covers_decoded(wanted, path)
}

pub(super) fn covers_decoded(wanted: &str, path: &str) -> bool {
    let mut rest = percent_decode_str(path);
    let Some(directory) = wanted.strip_suffix('/') else {
        return rest.eq(percent_decode_str(wanted));
    };
    for byte in percent_decode_str(directory) {
        if rest.next() != Some(byte) {
            return false;
        }
    }
    matches!(rest.next(), None | Some(b'/'))
}
