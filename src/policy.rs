//! (Route, method, path) → what the path asks. Pure; first matching rule wins.
//!
//! Rules are compared with the decoded path, so that `/a+b` and `/a%2Bb` fall under one rule. Where a
//! backend could read a path in two ways (an encoded slash, `;` parameters), every reading is put to
//! the rules and the strictest answer holds.

use crate::config::model::{Requirement, Route, Rule};
use crate::request::{ENCODED_SLASH, canonical_path, has_other_readings, without_parameters};
use http::Method;
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// The requirement of a request; of two paths (WebDAV's COPY and MOVE), the stricter one.
#[must_use]
pub fn required(
    route: &Route,
    method: &Method,
    path: &str,
    destination: Option<&str>,
) -> Requirement {
    let asked = of_path(route, method, path);
    match destination {
        Some(destination) => stricter(asked, of_path(route, method, destination)),
        None => asked,
    }
}

/// Whether a request is one that programs make by themselves, and so no use of a session. Judged by the
/// path as it is forwarded: another spelling of it counts as use, which any client can have anyway.
#[must_use]
pub fn is_background(route: &Route, method: &Method, path: &str) -> bool {
    route.background.iter().any(|one| {
        (one.methods.is_empty() || is_one_of(&one.methods, method))
            && one.paths.iter().any(|wanted| covers(wanted, path))
    })
}

/// The strictest requirement of every reading of a canonical path.
fn of_path(route: &Route, method: &Method, path: &str) -> Requirement {
    if !has_other_readings(path) {
        return of_reading(route, method, path);
    }
    let mut asked = Requirement::Nothing;
    for whole in [path.to_owned(), without_parameters(path)] {
        // The comparison decodes once more, so this keeps the slash apart.
        let kept = whole.replace(ENCODED_SLASH, "%252F");
        asked = stricter(asked, of_reading(route, method, &kept));
        asked = stricter(
            asked,
            match canonical_path(&whole.replace(ENCODED_SLASH, "/")) {
                Ok((decoded, _)) => of_reading(route, method, &decoded),
                // Cannot come of a canonical path; closed if it does.
                Err(_) => Requirement::Deny,
            },
        );
    }
    asked
}

fn of_reading(route: &Route, method: &Method, path: &str) -> Requirement {
    route
        .rules
        .iter()
        .find(|rule| matches_method(rule, method) && matches_path(rule, path))
        .map_or(route.require, |rule| rule.require)
}

fn matches_method(rule: &Rule, method: &Method) -> bool {
    rule.methods.is_empty() || is_one_of(&rule.methods, method)
}

/// HEAD shows what GET shows (RFC 9110 section 9.3.2), so a rule for GET is one for HEAD.
fn is_one_of(methods: &[Method], method: &Method) -> bool {
    methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET))
}

fn matches_path(rule: &Rule, path: &str) -> bool {
    rule.paths.is_empty() || rule.paths.iter().any(|wanted| covers(wanted, path))
}

/// Whether `wanted`, a path or a prefix that ends in `/`, covers `path`.
fn covers(wanted: &str, path: &str) -> bool {
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

fn covers_decoded(wanted: &str, path: &str) -> bool {
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

/// Of two requirements, the one that is harder to meet.
fn stricter(a: Requirement, b: Requirement) -> Requirement {
    if strictness(b) > strictness(a) { b } else { a }
}

/// A total order: the kind, then how fresh the verification must be.
fn strictness(requirement: Requirement) -> (u8, std::cmp::Reverse<Duration>) {
    let (kind, within) = match requirement {
        Requirement::Nothing => (0, None),
        Requirement::Token => (1, None),
        Requirement::TwoFactor { within } => (2, within),
        Requirement::SuccessToken => (3, None),
        Requirement::Deny => (4, None),
    };
    (kind, std::cmp::Reverse(within.unwrap_or(Duration::MAX)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::model::{Background, Forward, ForwardToken};
    use proptest::prelude::*;

    const FRESH: Requirement = Requirement::TwoFactor {
        within: Some(Duration::from_secs(600)),
    };
    const TWO_FACTOR: Requirement = Requirement::TwoFactor { within: None };

    /// A route that asks for two factors where no rule says otherwise.
    pub(crate) fn route(rules: Vec<Rule>) -> Route {
        Route {
            name: "files".to_owned(),
            hosts: vec!["files.example.org".to_owned()],
            upstream: "files".to_owned(),
            identity: "backend".to_owned(),
            credentials: Vec::new(),
            dialects: Vec::new(),
            rules,
            require: TWO_FACTOR,
            background: Vec::new(),
            remember: crate::config::model::Remember::Never,
            self_enrolment: false,
            phone_region: None,
            forward: Forward {
                token: ForwardToken::Original,
                passwords: true,
                assertion: false,
                audience: "files".to_owned(),
            },
            token_algorithm: crate::config::model::SigningAlgorithm::EdDsa,
            cors_origins: Vec::new(),
            encoded_slashes: false,
            service_workers: false,
            body_bytes_max: None,
        }
    }

    fn rule(methods: &[&str], paths: &[&str], require: Requirement) -> Rule {
        Rule {
            methods: methods
                .iter()
                .map(|method| method.parse().unwrap())
                .collect(),
            paths: paths.iter().map(ToString::to_string).collect(),
            require,
        }
    }

    fn asked(route: &Route, method: &str, path: &str, destination: Option<&str>) -> Requirement {
        required(route, &method.parse().unwrap(), path, destination)
    }

    #[test]
    fn the_first_matching_rule_wins_and_the_default_is_two_factor() {
        let route = route(vec![
            rule(&[], &["/public/closed/"], Requirement::Deny),
            rule(&[], &["/public/"], Requirement::Nothing),
            rule(&["DELETE"], &[], FRESH),
            rule(&["POST"], &["/api/password"], Requirement::SuccessToken),
            rule(&["GET"], &["/list"], Requirement::Token),
        ]);
        for (method, path, wanted) in [
            ("GET", "/public/a", Requirement::Nothing),
            ("GET", "/public/", Requirement::Nothing),
            ("GET", "/public", Requirement::Nothing),
            ("DELETE", "/public/a", Requirement::Nothing),
            ("GET", "/public/closed", Requirement::Deny),
            ("GET", "/public/closed/a", Requirement::Deny),
            ("GET", "/publicity", TWO_FACTOR),
            ("GET", "/x/public/", TWO_FACTOR),
            ("GET", "/", TWO_FACTOR),
            ("DELETE", "/a", FRESH),
            ("DELETE", "/api/password", FRESH),
            ("POST", "/api/password", Requirement::SuccessToken),
            ("POST", "/api/password/", TWO_FACTOR),
            ("PUT", "/api/password", TWO_FACTOR),
            ("GET", "/list", Requirement::Token),
            ("HEAD", "/list", Requirement::Token),
            ("POST", "/list", TWO_FACTOR),
            ("OPTIONS", "*", TWO_FACTOR),
        ] {
            assert_eq!(asked(&route, method, path, None), wanted, "{method} {path}");
        }
    }

    #[test]
    fn what_is_polled_is_no_use_of_a_session() {
        let background = |methods: &[&str], paths: &[&str]| Background {
            methods: rule(methods, paths, TWO_FACTOR).methods,
            paths: rule(methods, paths, TWO_FACTOR).paths,
        };
        let route = Route {
            background: vec![
                background(&["GET"], &["/api/poll", "/api/news/"]),
                background(&[], &["/beat"]),
            ],
            ..route(Vec::new())
        };
        for (method, path, wanted) in [
            ("GET", "/api/poll", true),
            ("HEAD", "/api/poll", true),
            ("POST", "/api/poll", false),
            ("GET", "/api/poll/1", false),
            ("GET", "/api/p%6Fll", true),
            ("GET", "/api/news/1", true),
            ("GET", "/api/news", true),
            ("POST", "/beat", true),
            ("GET", "/", false),
        ] {
            let found = is_background(&route, &method.parse().unwrap(), path);
            assert_eq!(found, wanted, "{method} {path}");
        }
    }

    #[test]
    fn a_rule_for_head_is_not_one_for_get() {
        let route = route(vec![rule(&["HEAD"], &[], Requirement::Nothing)]);
        assert_eq!(asked(&route, "HEAD", "/", None), Requirement::Nothing);
        assert_eq!(asked(&route, "GET", "/", None), TWO_FACTOR);
    }

    #[test]
    fn another_spelling_is_no_way_around_a_rule() {
        let route = route(vec![
            rule(&[], &["/a+b/", "/%C3%B8/"], Requirement::Deny),
            rule(&[], &["/api/password"], Requirement::SuccessToken),
            rule(&[], &["/p@th"], Requirement::Deny),
        ]);
        for (path, wanted) in [
            ("/a+b/c", Requirement::Deny),
            ("/a%2Bb/c", Requirement::Deny),
            ("/a%2Bb", Requirement::Deny),
            ("/a%2Bbc", TWO_FACTOR),
            ("/%C3%B8/x%20y", Requirement::Deny),
            ("/p%40th", Requirement::Deny),
            ("/p%40thx", TWO_FACTOR),
            ("/api/password;x=1", Requirement::SuccessToken),
            ("/api;a/password;b", Requirement::SuccessToken),
            ("/api/;/password", Requirement::SuccessToken),
            ("/;x/api/password", Requirement::SuccessToken),
            ("/api/password%3Bx;y", Requirement::SuccessToken),
            ("/api%2Fpassword", Requirement::SuccessToken),
            ("/api%2F%2Fpassword", Requirement::SuccessToken),
            ("/api%2Fpassword;x", Requirement::SuccessToken),
        ] {
            assert_eq!(asked(&route, "GET", path, None), wanted, "{path}");
        }
    }

    #[test]
    fn another_reading_opens_nothing() {
        let route = route(vec![rule(&[], &["/public/"], Requirement::Nothing)]);
        for path in ["/public%2Fsecret", "/public;x/secret", "/public%2F"] {
            assert_eq!(asked(&route, "GET", path, None), TWO_FACTOR, "{path}");
        }
        for path in ["/public/a%2Fb", "/public/a;b", "/public/%20"] {
            assert_eq!(
                asked(&route, "GET", path, None),
                Requirement::Nothing,
                "{path}"
            );
        }
    }

    #[test]
    fn of_source_and_destination_the_stricter_holds() {
        let route = route(vec![
            rule(&[], &["/open/"], Requirement::Nothing),
            rule(&[], &["/closed/"], Requirement::Deny),
        ]);
        for (path, destination, wanted) in [
            ("/open/a", "/open/b", Requirement::Nothing),
            ("/open/a", "/b", TWO_FACTOR),
            ("/a", "/open/b", TWO_FACTOR),
            ("/open/a", "/closed/b", Requirement::Deny),
            ("/closed/a", "/open/b", Requirement::Deny),
        ] {
            assert_eq!(
                asked(&route, "MOVE", path, Some(destination)),
                wanted,
                "{path} {destination}"
            );
        }
    }

    proptest! {
        #[test]
        fn undecoded_paths_fall_under_the_same_rules(
            wanted in "/([ab+/]|%2B|%C3%B8){0,5}", path in "/([ab+/]|%2B|%C3%B8){0,6}",
        ) {
            prop_assert_eq!(covers(&wanted, &path), covers_decoded(&wanted, &path));
        }
    }

    #[test]
    fn strictness_is_a_total_order() {
        let rising = [
            Requirement::Nothing,
            Requirement::Token,
            TWO_FACTOR,
            FRESH,
            Requirement::TwoFactor {
                within: Some(Duration::from_secs(60)),
            },
            Requirement::SuccessToken,
            Requirement::Deny,
        ];
        for (a, weaker) in rising.iter().enumerate() {
            for stronger in rising.iter().skip(a) {
                assert_eq!(stricter(*weaker, *stronger), *stronger);
                assert_eq!(stricter(*stronger, *weaker), *stronger);
            }
        }
    }
}
