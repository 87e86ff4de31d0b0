//! Why a request is asked what it is asked: the same rules, and what became of each.

use super::fit::Miss;
use super::{Asker, Below, Reach, Target, below, decide, other_readings};
use crate::config::model::{Requirement, Route, Rule};
use crate::request::has_other_readings;

/// One reading of one of a request's paths.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// As the rules were asked about it.
    pub path: String,
    /// Whether it is WebDAV's `Destination`.
    pub is_destination: bool,
    /// The rules that did not match, in their order.
    pub missed: Vec<(&'a Rule, Miss)>,
    pub decided: Decided<'a>,
    /// Of a request that goes further than its path: the rules below that ask for more, or may, in their order.
    pub below: Vec<Below<'a>>,
}

/// What decided.
#[derive(Clone, Copy, Debug)]
pub enum Decided<'a> {
    /// The first rule that matches.
    Rule(&'a Rule),
    /// No rule matches: the route itself.
    Route,
    /// This rule is for users or groups, and of who asks it is not known.
    Depends(&'a Rule),
    /// The path could be read in a way that no canonical path can: closed.
    Unreadable,
}

impl Decided<'_> {
    /// What it asks; `None`: that depends on who asks.
    pub(super) fn require(&self, route: &Route) -> Option<Requirement> {
        match self {
            Self::Rule(rule) => Some(rule.require),
            Self::Route => Some(route.require),
            Self::Depends(_) => None,
            Self::Unreadable => Some(Requirement::Deny),
        }
    }
}

/// Every reading of every path of a request, with what decided; the strictest of them holds.
#[must_use]
pub fn trace<'a>(target: &Target<'a>, asker: Asker<'_>) -> Vec<Reading<'a>> {
    let paths = [(Some(target.path), false), (target.destination, true)];
    let mut readings = Vec::new();
    for (path, is_destination) in paths {
        let Some(path) = path else {
            continue;
        };
        let ways = match has_other_readings(path) {
            true => other_readings(path).to_vec(),
            false => vec![Some(path.to_owned())],
        };
        for (nth, way) in ways.iter().enumerate() {
            // A path without parameters reads the same with and without them.
            if !ways.iter().take(nth).any(|before| before == way) {
                readings.push(read(target, way.clone(), is_destination, asker));
            }
        }
    }
    readings
}

fn read<'a>(
    target: &Target<'a>,
    way: Option<String>,
    is_destination: bool,
    asker: Asker<'_>,
) -> Reading<'a> {
    let (mut missed, mut found) = (Vec::new(), Vec::new());
    let decided = match &way {
        None => Decided::Unreadable,
        Some(path) => decide(target, path, asker, |rule, miss| missed.push((rule, miss))),
    };
    let own = decided.require(target.route);
    if let (Reach::Below, Some(path), Some(own)) = (target.reach, &way, own) {
        below::of(target, path, asker, own, |it| found.push(it));
    }
    Reading {
        path: way.unwrap_or_default(),
        is_destination,
        missed,
        decided,
        below: found,
    }
}
