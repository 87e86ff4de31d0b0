//! (Route, method, path, address, who) → what is asked. Pure; first matching rule wins.
//!
//! Rules are compared with the decoded path, so that `/a+b` and `/a%2Bb` fall under one rule. Where a
//! backend could read a path in two ways (an encoded slash, `;` parameters), every reading is put to
//! the rules and the strictest answer holds.
//!
//! A rule for users or groups can be judged only where it is known whose the token is. Where one could
//! match, [`required`] gives a [`Demand`] that the gate settles with the token's holder. A token is asked
//! for in any case: nobody counts as "in no group" for being unknown.
//!
//! A request that takes along what is below its path ([`Reach`]) is asked for what the rules there ask, too.

mod below;
mod fit;
mod most;
mod trace;

pub use below::{Below, Reach};
pub use fit::Miss;
pub use most::most;
pub use trace::{Decided, Reading, trace};

use crate::config::model::{Background, Requirement, Route, Rule};
use crate::request::{ENCODED_SLASH, canonical_path, has_other_readings, without_parameters};
use fit::{Fit, covers, fit, is_one_of};
use http::Method;
use std::net::IpAddr;
use std::time::Duration;

/// What of a request the rules look at, but for who asks.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub route: &'a Route,
    pub method: &'a Method,
    pub reach: Reach,
    /// Canonical, like the other.
    pub path: &'a str,
    /// WebDAV's COPY and MOVE have two paths.
    pub destination: Option<&'a str>,
    /// The client's, after trusted proxies have been believed, and not IPv4-mapped.
    pub address: IpAddr,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// The user's name in the route's identity.
    pub name: &'a str,
    pub groups: &'a [String],
}

/// Who asks, as far as that is known. A rule that depends on more is left open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker<'a> {
    pub name: Option<&'a str>,
    pub groups: Option<&'a [String]>,
}

impl<'a> From<Person<'a>> for Asker<'a> {
    fn from(person: Person<'a>) -> Self {
        Self {
            name: Some(person.name),
            groups: Some(person.groups),
        }
    }
}

/// Somebody who is not known, and is in no group.
pub const NOBODY: Person<'_> = Person {
    name: "",
    groups: &[],
};

/// What is asked of a request.
#[derive(Clone, Copy, Debug)]
pub enum Demand<'a> {
    /// Of everybody.
    Fixed(Requirement),
    /// A token, and more of some.
    ByPerson(ByPerson<'a>),
}

/// What only [`Demand::of`] can tell.
#[derive(Clone, Copy, Debug)]
pub struct ByPerson<'a> {
    target: Target<'a>,
    /// Whether the success token is somebody else's business.
    is_spent_later: bool,
}

impl From<Requirement> for Demand<'_> {
    fn from(requirement: Requirement) -> Self {
        Self::Fixed(requirement)
    }
}

impl Demand<'_> {
    /// What is asked of `person`.
    #[must_use]
    pub fn of(&self, person: Person<'_>) -> Requirement {
        let by_person = match self {
            Self::Fixed(requirement) => return *requirement,
            Self::ByPerson(by_person) => by_person,
        };
        // Rules that know the person leave nothing open; closed if they do.
        let asked = judged(&by_person.target, person.into()).unwrap_or(Requirement::Deny);
        match stricter(Requirement::Token, asked) {
            Requirement::SuccessToken if by_person.is_spent_later => Requirement::TWO_FACTOR,
            asked => asked,
        }
    }

    /// The same, but the verified pair alone where a success token is asked for besides.
    #[must_use]
    pub fn without_spending(self) -> Self {
        match self {
            Self::Fixed(Requirement::SuccessToken) => Self::Fixed(Requirement::TWO_FACTOR),
            Self::Fixed(requirement) => Self::Fixed(requirement),
            Self::ByPerson(by_person) => Self::ByPerson(ByPerson {
                is_spent_later: true,
                ..by_person
            }),
        }
    }
}

/// What is asked of a request; of two paths, what the stricter one asks.
#[must_use]
pub fn required(target: Target<'_>) -> Demand<'_> {
    match judged(&target, Asker::default()) {
        Some(requirement) => Demand::Fixed(requirement),
        None => Demand::ByPerson(ByPerson {
            target,
            is_spent_later: false,
        }),
    }
}

/// Whether a rule of the route asks where the client is.
#[must_use]
pub fn knows_networks(route: &Route) -> bool {
    route.rules.iter().any(|rule| !rule.networks.is_empty())
}

/// The strictest requirement of every path; `None`: it depends on who asks.
fn judged(target: &Target<'_>, asker: Asker<'_>) -> Option<Requirement> {
    let asked = of_path(target, target.path, asker)?;
    match target.destination {
        Some(destination) => Some(stricter(asked, of_path(target, destination, asker)?)),
        None => Some(asked),
    }
}

/// Whether a request is one that programs make by themselves, and so no use of a session. Judged by the
/// path as it is forwarded: another spelling of it counts as use, which any client can have anyway.
#[must_use]
pub fn is_background(route: &Route, method: &Method, path: &str) -> bool {
    background(route, method, path).is_some()
}

/// What says so.
#[must_use]
pub fn background<'r>(route: &'r Route, method: &Method, path: &str) -> Option<&'r Background> {
    route.background.iter().find(|one| {
        (one.methods.is_empty() || is_one_of(&one.methods, method))
            && one.paths.iter().any(|wanted| covers(wanted, path))
    })
}

/// The strictest requirement of every reading of a canonical path.
fn of_path(target: &Target<'_>, path: &str, asker: Asker<'_>) -> Option<Requirement> {
    if !has_other_readings(path) {
        return of_reading(target, path, asker);
    }
    let mut asked = Requirement::Nothing;
    for reading in other_readings(path) {
        let of_this = match reading {
            Some(reading) => of_reading(target, &reading, asker)?,
            None => Requirement::Deny,
        };
        asked = stricter(asked, of_this);
    }
    Some(asked)
}

/// Every reading of a path that has several. `None`: what cannot come of a canonical path; closed if it
/// does.
fn other_readings(path: &str) -> [Option<String>; 4] {
    // The comparison decodes once more, so this keeps the slash apart.
    let kept = |whole: &str| Some(whole.replace(ENCODED_SLASH, "%252F"));
    let decoded = |whole: &str| {
        let decoded = whole.replace(ENCODED_SLASH, "/");
        let canonical = canonical_path(&decoded).ok()?;
        Some(canonical.0.into_owned())
    };
    let bare = without_parameters(path);
    [kept(path), decoded(path), kept(&bare), decoded(&bare)]
}

/// What is asked of one reading; `None`: it depends on who asks.
fn of_reading(target: &Target<'_>, path: &str, asker: Asker<'_>) -> Option<Requirement> {
    let own = decide(target, path, asker, |_, _| ()).require(target.route)?;
    match target.reach {
        Reach::Itself => Some(own),
        Reach::Below => below::of(target, path, asker, own, |_| ()),
    }
}

/// The first rule that matches. `miss` hears of those before it.
fn decide<'a>(
    target: &Target<'a>,
    path: &str,
    asker: Asker<'_>,
    mut miss: impl FnMut(&'a Rule, Miss),
) -> Decided<'a> {
    for rule in &target.route.rules {
        match fit(rule, target, path, asker) {
            Fit::Yes => return Decided::Rule(rule),
            Fit::Depends => return Decided::Depends(rule),
            Fit::No(why) => miss(rule, why),
        }
    }
    Decided::Route
}

/// What meets both requirements, and no more than that.
fn stricter(a: Requirement, b: Requirement) -> Requirement {
    match (a, b) {
        (
            Requirement::TwoFactor { within, max_idle },
            Requirement::TwoFactor {
                within: other_within,
                max_idle: other_idle,
            },
        ) => Requirement::TwoFactor {
            within: shorter(within, other_within),
            max_idle: shorter(max_idle, other_idle),
        },
        _ if rank(b) > rank(a) => b,
        _ => a,
    }
}

fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// A success token is a proof of this moment: it stands above however fresh a verification.
fn rank(requirement: Requirement) -> u8 {
    match requirement {
        Requirement::Nothing => 0,
        Requirement::Token => 1,
        Requirement::TwoFactor { .. } => 2,
        Requirement::SuccessToken => 3,
        Requirement::Deny => 4,
    }
}

#[cfg(test)]
pub(crate) mod tests;
