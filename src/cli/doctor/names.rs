//! Whether those whom rules name are there. A rule for a name that nobody has matches nobody, and one
//! that denies is open.

use super::Patient;
use super::report::Finding;
use crate::config::model::{Config, Identity, People};
use crate::store;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const CHECK: &str = "routes";

/// Names in rules, each with the line of the first rule that has it.
#[derive(Default)]
struct Named<'a> {
    users: BTreeMap<&'a str, usize>,
    groups: BTreeMap<&'a str, usize>,
}

/// By identity, whose names are names of its own.
fn named(config: &Config) -> BTreeMap<&str, Named<'_>> {
    let mut all: BTreeMap<&str, Named<'_>> = BTreeMap::new();
    for route in &config.routes {
        for rule in &route.rules {
            let of = all.entry(&route.identity).or_default();
            let (names, to) = match &rule.people {
                People::All => continue,
                People::Users(names) => (names, &mut of.users),
                People::Groups(names) => (names, &mut of.groups),
            };
            for name in names {
                to.entry(name).or_insert(rule.line);
            }
        }
    }
    all.retain(|_, of| !of.users.is_empty() || !of.groups.is_empty());
    all
}

pub(super) async fn of_rules(patient: Arc<Patient>) -> Vec<Finding> {
    let config = &patient.config;
    let mut findings = Vec::new();
    let mut is_known = false;
    for (identity, named) in named(config) {
        let names: Vec<&str> = named.users.keys().copied().collect();
        // What is wrong with the store is told by who opens it.
        let Ok(Some(known)) = store::people(&config.store.engine, identity, &names).await else {
            continue;
        };
        is_known = true;
        let users = known.users.into_iter().collect();
        let source = match config.identities.get(identity) {
            Some(Identity::Accounts) | None => Source::Operator,
            Some(_) => Source::Issuer,
        };
        findings.extend(unknown("user", &named.users, &users, source));
        findings.extend(unknown("group", &named.groups, &known.groups, source));
    }
    if is_known && findings.is_empty() {
        let fine = "every user and group that a rule names is in the store";
        findings.push(Finding::ok(CHECK, fine));
    }
    findings
}

/// Who makes users known.
#[derive(Clone, Copy)]
enum Source {
    Operator,
    /// They come into the store by themselves, at their first sign-in.
    Issuer,
}

fn unknown(
    what: &str,
    named: &BTreeMap<&str, usize>,
    known: &BTreeSet<String>,
    source: Source,
) -> Vec<Finding> {
    let unknown = named.iter().filter(|(name, _)| !known.contains(**name));
    unknown
        .map(|(name, line)| {
            let lower = name.to_lowercase();
            let alike = known.iter().find(|it| it.to_lowercase() == lower);
            let known = match (alike, source) {
                (Some(alike), _) => {
                    format!("the store knows {alike:?}, and case counts: write it so")
                }
                (None, Source::Operator) => {
                    "the store knows none: correct the name (`vestibule user list`)".to_owned()
                }
                (None, Source::Issuer) => {
                    "the store knows none: correct the name, unless they are still to sign in \
                     for the first time"
                        .to_owned()
                }
            };
            let detail = format!("the rule at line {line} is for the {what} {name:?}, but {known}");
            Finding::warn(CHECK, detail)
        })
        .collect()
}
