//! Why a request is asked what it is asked: the same rules, and what became of each.

use super::fit::{Fit, Miss, fit};
use super::{Asker, Target, other_readings};
use crate::config::model::Rule;
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
    let mut missed = Vec::new();
    let decided = match &way {
        None => Decided::Unreadable,
        Some(path) => decide(target, path, asker, &mut missed),
    };
    Reading {
        path: way.unwrap_or_default(),
        is_destination,
        missed,
        decided,
    }
}

fn decide<'a>(
    target: &Target<'a>,
    path: &str,
    asker: Asker<'_>,
    missed: &mut Vec<(&'a Rule, Miss)>,
) -> Decided<'a> {
    for rule in &target.route.rules {
        match fit(rule, target, path, asker) {
            Fit::Yes => return Decided::Rule(rule),
            Fit::Depends => return Decided::Depends(rule),
            Fit::No(miss) => missed.push((rule, miss)),
        }
    }
    Decided::Route
}
