//! Explanations, of a route made by hand.

use super::*;
use crate::config::model::{People, Rule};
use crate::policy::tests::route as policy_route;
use std::sync::Arc;

fn args(line: &str) -> args::Explain {
    use clap::Parser as _;
    let line = format!("vestibule explain {line}");
    match args::Cli::try_parse_from(line.split(' ')).map(|cli| cli.command) {
        Ok(args::Command::Explain(args)) => args,
        other => panic!("{line}: {other:?}"),
    }
}

fn rule(line: usize, paths: &[&str], people: People, require: Requirement) -> Rule {
    Rule {
        paths: paths.iter().map(ToString::to_string).collect(),
        people,
        line,
        ..Rule::of(require)
    }
}

fn route() -> Route {
    let staff = People::Groups(vec!["staff".to_owned()]);
    let mut config = policy_route(vec![
        rule(11, &["/open/"], People::All, Requirement::Nothing),
        Rule {
            methods: vec![Method::DELETE],
            ..rule(12, &[], People::All, Requirement::Deny)
        },
        Rule {
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            ..rule(13, &[], People::All, Requirement::Token)
        },
        rule(14, &["/in/"], staff, Requirement::TWO_FACTOR),
    ]);
    config.line = 9;
    config.require = Requirement::Token;
    Route {
        config,
        keys: DigestKeys::derive(&[0; 32]).realm("local"),
        identity: crate::config::model::Identity::Accounts,
        portal: Arc::default(),
    }
}

/// The explanation of a request to [`route`], without a look into a store.
fn told(line: &str) -> Explanation {
    let (args, route) = (args(line), route());
    let asked = Asked::read(&args).unwrap();
    let peer = Peer {
        address: args.address.unwrap_or(NOWHERE),
        tls: asked.tls,
        trusted_proxies: &[],
    };
    let uri = Uri::from_static("/");
    let target = asked.target.as_bytes();
    let head = RequestHead::read(&asked.method, &uri, target, &asked.headers, peer).unwrap();
    let is_given = args.user.is_some() || !args.group.is_empty();
    let mut told = Explanation {
        who: Who {
            user: args.user.clone(),
            groups: is_given.then(|| args.group.clone()),
            groups_from: "as given".to_owned(),
        },
        address: args.address.map(|it| it.to_canonical()),
        settled: settled_by(&head, &route),
        ..Explanation::default()
    };
    if told.settled.is_none() {
        judge(&mut told, &head, &route);
    }
    told
}

fn steps(told: &Explanation) -> Vec<(usize, Option<&'static str>)> {
    let rules = told.readings.iter().flat_map(|it| &it.rules);
    rules.map(|step| (step.line, step.missed)).collect()
}

fn require(told: &Explanation) -> Option<&'static str> {
    told.asks.as_ref().map(|asks| asks.require)
}

const PATHS: Option<&str> = Some("it is for other paths");
const METHODS: Option<&str> = Some("it is for other methods");
const NETWORKS: Option<&str> = Some("it is for other networks");
const OTHERS: Option<&str> = Some("it is for other people");

#[test]
fn each_rule_says_why_it_does_not_match() {
    let told =
        told("--url https://files.example.org/in/a --user anna --group guests --address 192.0.2.1");
    let missed = [(11, PATHS), (12, METHODS), (13, NETWORKS), (14, OTHERS)];
    assert_eq!(steps(&told), missed);
    assert_eq!(told.readings[0].decided_by, "route");
    assert_eq!(told.readings[0].line, Some(9));
    assert_eq!(require(&told), Some("token"));
}

#[test]
fn the_rule_that_decides_comes_last() {
    for (line, decided, by, wanted) in [
        (
            "--url https://files.example.org/open/a",
            11,
            "rule",
            Some("none"),
        ),
        (
            "--url https://files.example.org/in/a --method DELETE",
            12,
            "rule",
            Some("deny"),
        ),
        (
            "--url https://files.example.org/in/a --address 10.1.1.1",
            13,
            "rule",
            Some("token"),
        ),
        (
            "--url https://files.example.org/in/a --address ::ffff:10.1.1.1",
            13,
            "rule",
            Some("token"),
        ),
        (
            "--url https://files.example.org/in/a --group staff --address 192.0.2.1",
            14,
            "rule",
            Some("two_factor"),
        ),
        (
            "--url https://files.example.org/in/a --address 192.0.2.1",
            14,
            "who asks",
            None,
        ),
    ] {
        let told = told(line);
        let reading = told.readings.last().unwrap();
        assert_eq!(
            (reading.line, reading.decided_by),
            (Some(decided), by),
            "{line}"
        );
        assert_eq!(steps(&told).last(), Some(&(decided, None)), "{line}");
        assert_eq!(require(&told), wanted, "{line}");
    }
}

#[test]
fn without_an_address_no_network_is_taken_to_be_another() {
    let somewhere = told("--url https://files.example.org/in/a --group staff");
    let unknown: Vec<_> = somewhere.readings[0]
        .rules
        .iter()
        .map(|step| (step.line, step.missed, step.needs_address))
        .collect();
    let rules = [
        (11, PATHS, false),
        (12, METHODS, false),
        (13, None, true),
        (14, None, false),
    ];
    assert_eq!(unknown, rules);
    assert_eq!(require(&somewhere), None);
    let text = text::of(&somewhere);
    assert_eq!(text.matches("give --address").count(), 2, "{text}");
    // What is decided before is so from everywhere.
    let open = told("--url https://files.example.org/open/a");
    assert_eq!(require(&open), Some("none"));
}

#[test]
fn every_reading_and_the_destination_are_told() {
    let of = "--method MOVE --group staff --url https://files.example.org/x;a --destination /in/b --address 192.0.2.1";
    let told = told(of);
    let paths: Vec<_> = told
        .readings
        .iter()
        .map(|it| (it.path.as_str(), it.is_destination))
        .collect();
    assert_eq!(paths, [("/x;a", false), ("/x", false), ("/in/b", true)]);
    assert_eq!(require(&told), Some("two_factor"));
}

#[test]
fn what_no_rule_is_asked_about_is_said() {
    for (line, status) in [
        (
            "--method TRACE --url https://files.example.org/x",
            Some(405),
        ),
        ("--url https://files.example.org/x%2Fy", Some(400)),
        ("--url https://files.example.org/.vestibule/challenge", None),
        (
            "--method PUT --url https://files.example.org/.vestibule/challenge",
            Some(405),
        ),
        (
            "--url https://files.example.org/.vestibule/nothing",
            Some(404),
        ),
    ] {
        let settled = told(line).settled.expect(line);
        assert_eq!(settled.status, status, "{line}");
    }
}

#[test]
fn what_is_no_request_is_refused_with_the_mend() {
    for (line, wanted) in [
        (
            "--url files.example.org/x",
            "https://files.example.org/dir/file",
        ),
        (
            "--url ftp://files.example.org/x",
            "https://files.example.org/dir/file",
        ),
        ("--url https:///x", "https://files.example.org/dir/file"),
        (
            "--url https://anna:pw@files.example.org/x",
            "https://files.example.org/dir/file",
        ),
        (
            "--method put --url https://files.example.org/x",
            "upper case",
        ),
        (
            "--method P(T --url https://files.example.org/x",
            "upper case",
        ),
        (
            "--destination /a\nb --url https://files.example.org/x",
            "Destination",
        ),
    ] {
        let error = Asked::read(&args(line)).err().map(|it| it.to_string());
        let error = error.expect(line);
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn a_url_without_a_path_is_the_root() {
    for (url, target) in [
        ("http://a.b", "/"),
        ("http://a.b?x=1", "/?x=1"),
        ("HTTPS://a.b:8443/x?y", "/x?y"),
    ] {
        let asked = Asked::read(&args(&format!("--url {url}"))).unwrap();
        assert_eq!(asked.target, target);
    }
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let told = Explanation {
        url: "https://a.b/\u{1b}[2J".to_owned(),
        ..Explanation::default()
    };
    assert!(!text::of(&told).contains('\u{1b}'));
}
