//! What a route asks of somebody at the most, over all paths that there are for them.
//!
//! Who is told beforehand whether a second factor is needed, or signs in, names no path. So whatever the
//! answer here is, the gate asks anew for each request: this opens nothing.

use super::fit::{covers, hides, is_for, is_within, matches_path};
use super::{Person, rank};
use crate::config::model::{Requirement, Route, Rule};
use std::net::IpAddr;

/// What `person` at `address` is asked at the most on the paths of a route, of those in `scope` (a
/// canonical path that ends in `/`; `None`: of all) that are open to them. `Deny`: none is, but for what
/// asks nobody for anything.
///
/// A rule that others before it leave nothing to is not counted, so that somebody of whom no path asks a
/// second factor is not asked for one. Where several hide it together it is counted: to be asked too much
/// is a nuisance and no hole.
#[must_use]
pub fn most(
    route: &Route,
    person: Person<'_>,
    address: IpAddr,
    scope: Option<&str>,
) -> Requirement {
    let all = scope.unwrap_or("/");
    let mut most = Requirement::Deny;
    let mut before: Vec<&Rule> = Vec::new();
    for rule in &route.rules {
        if !is_within(rule, address) || is_for(&rule.people, person.into()) != Some(true) {
            continue;
        }
        let is_left = |path: &&str| !before.iter().any(|other| hides(other, rule, path));
        // Only what asks for more is compared with all that comes before it: a few rules of very many.
        let both = more(most, rule.require);
        if both != most && places(rule, all).any(|path| is_left(&path)) {
            most = both;
        }
        before.push(rule);
    }
    let is_last = |rule: &&&Rule| rule.methods.is_empty() && matches_path(rule, all);
    let rest = match before.iter().find(is_last) {
        Some(rule) => rule.require,
        None => {
            most = more(most, route.require);
            route.require
        }
    };
    // No token is of use to whoever may see what is everybody's, and nothing else.
    match (most, rest) {
        (Requirement::Nothing, Requirement::Deny) => Requirement::Deny,
        (most, _) => most,
    }
}

/// The paths and folders of a rule, as far as they are in `all`.
fn places<'a>(rule: &'a Rule, all: &'a str) -> impl Iterator<Item = &'a str> {
    let everywhere = rule.paths.is_empty().then_some(all);
    let named =
        rule.paths
            .iter()
            .filter_map(move |path| match (covers(all, path), covers(path, all)) {
                (true, _) => Some(path.as_str()),
                (false, true) => Some(all),
                (false, false) => None,
            });
    everywhere.into_iter().chain(named)
}

/// The one that asks more of whoever it lets in.
fn more(a: Requirement, b: Requirement) -> Requirement {
    match (a, b) {
        (Requirement::Deny, other) | (other, Requirement::Deny) => other,
        _ if rank(b) > rank(a) => b,
        _ => a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::People;
    use crate::policy::fit::COMPARED;
    use crate::policy::tests::{many, route};
    use crate::policy::{NOBODY, Reach};

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn rule(methods: &[&str], paths: &[&str], require: Requirement) -> Rule {
        Rule {
            methods: methods.iter().map(|it| it.parse().unwrap()).collect(),
            paths: texts(paths),
            ..Rule::of(require)
        }
    }

    fn of(people: People, rule: Rule) -> Rule {
        Rule { people, ..rule }
    }

    fn users(names: &[&str]) -> People {
        People::Users(texts(names))
    }

    const ROBOT: Person<'static> = Person {
        name: "robot",
        groups: &[],
    };

    #[test]
    fn only_what_is_left_by_the_rules_before_counts() {
        const NONE: Requirement = Requirement::Nothing;
        const TOKEN: Requirement = Requirement::Token;
        const FACTOR: Requirement = Requirement::TWO_FACTOR;
        const CLOSED: Requirement = Requirement::Deny;
        let robots = |paths: &[&str], require| of(users(&["robot"]), rule(&[], paths, require));
        for (rules, require, wanted) in [
            (vec![], FACTOR, FACTOR),
            (vec![], CLOSED, CLOSED),
            (vec![robots(&[], TOKEN)], FACTOR, TOKEN),
            (vec![robots(&["/"], TOKEN)], FACTOR, TOKEN),
            (vec![robots(&["/in/"], TOKEN)], FACTOR, FACTOR),
            (
                vec![robots(&["/in/"], TOKEN), rule(&[], &["/in/"], FACTOR)],
                TOKEN,
                TOKEN,
            ),
            (
                vec![
                    robots(&["/in/"], TOKEN),
                    rule(&[], &["/in/a/", "/in/b"], FACTOR),
                ],
                TOKEN,
                TOKEN,
            ),
            (
                vec![robots(&["/in/a/"], TOKEN), rule(&[], &["/in/"], FACTOR)],
                TOKEN,
                FACTOR,
            ),
            (
                vec![robots(&["/in"], TOKEN), rule(&[], &["/in/"], FACTOR)],
                TOKEN,
                FACTOR,
            ),
            // An escape is no other path.
            (
                vec![robots(&["/a%2Bb/"], TOKEN), rule(&[], &["/a+b/c"], FACTOR)],
                TOKEN,
                TOKEN,
            ),
            // Methods: HEAD goes with GET, others each for themselves.
            (
                vec![rule(&["GET"], &[], TOKEN), rule(&["HEAD"], &[], FACTOR)],
                TOKEN,
                TOKEN,
            ),
            (
                vec![rule(&["HEAD"], &[], TOKEN), rule(&["GET"], &[], FACTOR)],
                TOKEN,
                FACTOR,
            ),
            (
                vec![rule(&["GET"], &[], TOKEN), rule(&[], &[], FACTOR)],
                TOKEN,
                FACTOR,
            ),
            (vec![robots(&[], CLOSED)], FACTOR, CLOSED),
            (
                vec![rule(&[], &["/open/"], NONE), robots(&[], CLOSED)],
                FACTOR,
                CLOSED,
            ),
            (
                vec![
                    rule(&[], &["/open/"], NONE),
                    rule(&[], &["/in/"], TOKEN),
                    robots(&[], CLOSED),
                ],
                FACTOR,
                TOKEN,
            ),
            (vec![rule(&[], &["/in/"], CLOSED)], NONE, NONE),
            (
                vec![rule(&["GET"], &[], CLOSED), robots(&[], CLOSED)],
                FACTOR,
                CLOSED,
            ),
            (vec![rule(&["GET"], &[], CLOSED)], TOKEN, TOKEN),
            (
                vec![rule(&[], &["/p"], Requirement::SuccessToken)],
                FACTOR,
                Requirement::SuccessToken,
            ),
        ] {
            let route = model(rules.clone(), require);
            assert_eq!(asked(&route, ROBOT, None), wanted, "{rules:?} {require:?}");
        }
    }

    fn model(rules: Vec<Rule>, require: Requirement) -> Route {
        Route {
            require,
            ..route(rules)
        }
    }

    fn asked(route: &Route, person: Person<'_>, scope: Option<&str>) -> Requirement {
        most(route, person, "192.0.2.1".parse().unwrap(), scope)
    }

    #[test]
    fn of_a_share_its_folder_counts() {
        let route = model(
            vec![
                rule(&[], &["/docs/"], Requirement::Token),
                rule(&[], &["/pay/", "/docs/pay/"], Requirement::TWO_FACTOR),
                rule(&[], &["/all/"], Requirement::Deny),
            ],
            Requirement::TWO_FACTOR,
        );
        for (scope, wanted) in [
            ("/docs/", Requirement::Token),
            ("/docs/pay/", Requirement::Token),
            ("/pay/", Requirement::TWO_FACTOR),
            ("/other/", Requirement::TWO_FACTOR),
            ("/all/b/", Requirement::Deny),
        ] {
            assert_eq!(asked(&route, NOBODY, Some(scope)), wanted, "{scope}");
        }
    }

    #[test]
    fn it_is_said_of_a_person_at_an_address() {
        let here = "10.0.0.1".parse().unwrap();
        let elsewhere = "192.0.2.1".parse().unwrap();
        let inside = Rule {
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            ..Rule::of(Requirement::Token)
        };
        let staff = People::Groups(texts(&["staff"]));
        let groups = texts(&["staff"]);
        let anna = Person {
            name: "anna",
            groups: &groups,
        };
        let robots = of(users(&["robot"]), Rule::of(Requirement::Token));
        let strict = model(vec![inside, robots], Requirement::TWO_FACTOR);
        let lenient = of(staff, rule(&[], &["/in/"], Requirement::TWO_FACTOR));
        let lenient = model(vec![lenient], Requirement::Token);
        for (route, person, address, wanted) in [
            (&lenient, anna, here, Requirement::TWO_FACTOR),
            (&lenient, ROBOT, here, Requirement::Token),
            (&strict, anna, elsewhere, Requirement::TWO_FACTOR),
            (&strict, ROBOT, elsewhere, Requirement::Token),
            (&strict, anna, here, Requirement::Token),
        ] {
            let found = most(route, person, address, None);
            assert_eq!(found, wanted, "{person:?} {address}");
        }
    }

    #[test]
    fn many_rules_are_not_all_compared_with_each_other() {
        let route = model(many(), Requirement::TWO_FACTOR);
        COMPARED.set(0);
        assert_eq!(asked(&route, ROBOT, None), Requirement::SuccessToken);
        assert!(COMPARED.get() < 10_000, "{}", COMPARED.get());
    }

    /// Whatever a request asks, it is no more than was said.
    #[test]
    fn no_request_asks_for_more() {
        let requirements = [
            Requirement::Nothing,
            Requirement::Token,
            Requirement::TWO_FACTOR,
            Requirement::Deny,
        ];
        let places: [&[&str]; 5] = [&[], &["/a/"], &["/a/b"], &["/a/b/", "/c"], &["/"]];
        let methods: [&[&str]; 3] = [&[], &["GET"], &["PUT"]];
        let mut seed = 7_u64;
        let mut roll = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for _ in 0..5_000 {
            let rules = (0..roll(4))
                .map(|_| rule(methods[roll(3)], places[roll(5)], requirements[roll(4)]));
            let route = model(rules.collect(), requirements[roll(4)]);
            let said = asked(&route, ROBOT, None);
            for path in ["/", "/a", "/a/b", "/a/b/c", "/a/x", "/c", "/c/d"] {
                for method in ["GET", "PUT", "HEAD", "DELETE", "COPY"] {
                    let method = method.parse().unwrap();
                    let target = super::super::Target {
                        route: &route,
                        method: &method,
                        reach: Reach::of(&method, &http::HeaderMap::new()),
                        path,
                        destination: None,
                        address: "192.0.2.1".parse().unwrap(),
                    };
                    let asked = super::super::required(target).of(ROBOT);
                    let is_no_more = matches!(asked, Requirement::Deny | Requirement::Nothing)
                        || (said != Requirement::Deny && rank(asked) <= rank(said));
                    assert!(
                        is_no_more,
                        "{method} {path}: {asked:?} of {said:?}: {route:?}"
                    );
                }
            }
        }
    }
}
