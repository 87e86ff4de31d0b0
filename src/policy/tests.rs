//! The rules: which one decides, for whom, and whatever spelling a path comes in.

use super::fit::covers_decoded;
use super::*;
use crate::config::model::{Forward, ForwardToken, People, Rule};
use proptest::prelude::*;

const FRESH: Requirement = fresh(Some(600), None);
const TWO_FACTOR: Requirement = Requirement::TWO_FACTOR;

const fn fresh(within: Option<u64>, max_idle: Option<u64>) -> Requirement {
    const fn secs(secs: Option<u64>) -> Option<Duration> {
        match secs {
            Some(secs) => Some(Duration::from_secs(secs)),
            None => None,
        }
    }
    Requirement::TwoFactor {
        within: secs(within),
        max_idle: secs(max_idle),
    }
}

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
        line: 0,
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

/// A GET from somewhere.
pub(crate) fn target<'a>(route: &'a Route, path: &'a str) -> Target<'a> {
    Target {
        route,
        method: &Method::GET,
        reach: Reach::Itself,
        path,
        destination: None,
        address: [192, 0, 2, 1].into(),
    }
}

pub(super) fn rule(methods: &[&str], paths: &[&str], require: Requirement) -> Rule {
    Rule {
        methods: methods
            .iter()
            .map(|method| method.parse().unwrap())
            .collect(),
        paths: paths.iter().map(ToString::to_string).collect(),
        ..Rule::of(require)
    }
}

pub(super) fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Four hundred rules of ten paths each.
pub(super) fn many() -> Vec<Rule> {
    let kinds = [
        Requirement::Token,
        TWO_FACTOR,
        FRESH,
        Requirement::SuccessToken,
    ];
    let one = |(nth, require): (usize, Requirement)| {
        let path = |place| format!("/department/{nth}/folder/{place}/");
        let paths: Vec<String> = (0..10).map(path).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        rule(&[], &paths, require)
    };
    kinds
        .into_iter()
        .cycle()
        .enumerate()
        .take(400)
        .map(one)
        .collect()
}

/// What is asked of somebody (`None`: nobody is known), from an address.
fn asked_of(
    route: &Route,
    (method, path, destination): (&str, &str, Option<&str>),
    (person, address): (Option<Person<'_>>, &str),
) -> Option<Requirement> {
    let method = method.parse().unwrap();
    let demand = required(Target {
        route,
        method: &method,
        reach: Reach::of(&method, &http::HeaderMap::new()),
        path,
        destination,
        address: address.parse().unwrap(),
    });
    match (demand, person) {
        (Demand::Fixed(requirement), _) => Some(requirement),
        (demand, Some(person)) => Some(demand.of(person)),
        (Demand::ByPerson(_), None) => None,
    }
}

fn asked(route: &Route, method: &str, path: &str, destination: Option<&str>) -> Requirement {
    let request = (method, path, destination);
    asked_of(route, request, (None, "192.0.2.1")).expect("the same of everybody")
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
        line: 0,
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
fn of_two_requirements_both_hold() {
    let rising = [
        Requirement::Nothing,
        Requirement::Token,
        TWO_FACTOR,
        FRESH,
        fresh(Some(60), None),
        Requirement::SuccessToken,
        Requirement::Deny,
    ];
    for (a, weaker) in rising.iter().enumerate() {
        for stronger in rising.iter().skip(a) {
            assert_eq!(stricter(*weaker, *stronger), *stronger);
            assert_eq!(stricter(*stronger, *weaker), *stronger);
        }
    }
    let (recent, busy) = (fresh(Some(600), Some(3_600)), fresh(Some(900), Some(60)));
    assert_eq!(stricter(recent, busy), fresh(Some(600), Some(60)));
    assert_eq!(
        stricter(FRESH, fresh(None, Some(60))),
        fresh(Some(600), Some(60))
    );
}

const ROBOT: Option<Person<'static>> = Some(Person {
    name: "robot",
    groups: &[],
});

/// Somebody in these groups, for as long as the test runs.
pub(super) fn member(groups: &[&str]) -> Option<Person<'static>> {
    Some(Person {
        name: "anna",
        groups: texts(groups).leak(),
    })
}

pub(super) fn of_people(people: People, paths: &[&str], require: Requirement) -> Rule {
    Rule {
        people,
        ..rule(&[], paths, require)
    }
}

fn staff() -> People {
    People::Groups(texts(&["staff", "admins"]))
}

#[test]
fn rules_for_people_wait_until_somebody_is_known() {
    let mut route = route(vec![
        rule(&[], &["/open/"], Requirement::Nothing),
        of_people(
            People::Users(texts(&["robot"])),
            &["/in/"],
            Requirement::Token,
        ),
        of_people(staff(), &["/in/"], FRESH),
        of_people(staff(), &["/public/"], Requirement::Deny),
        rule(&[], &["/public/"], Requirement::Nothing),
    ]);
    route.require = Requirement::Token;
    let of = |person, path: &str| asked_of(&route, ("GET", path, None), (person, "192.0.2.1"));
    // Before the first rule that names people, and where none could match, all is as ever.
    assert_eq!(of(None, "/open/a"), Some(Requirement::Nothing));
    assert_eq!(of(None, "/x"), Some(Requirement::Token));
    // Nobody is "in no group" for being unknown.
    assert_eq!(of(None, "/in/a"), None);
    assert_eq!(of(None, "/public/a"), None);

    assert_eq!(of(ROBOT, "/in/a"), Some(Requirement::Token));
    assert_eq!(of(member(&["staff"]), "/in/a"), Some(FRESH));
    assert_eq!(of(member(&["guests", "admins"]), "/in/a"), Some(FRESH));
    for nobody in [member(&[]), member(&["Staff"]), member(&["staf", "staffx"])] {
        assert_eq!(of(nobody, "/in/a"), Some(Requirement::Token));
    }
    // `none` behind a rule for people: a token was asked for to know that it does not match.
    assert_eq!(of(ROBOT, "/public/a"), Some(Requirement::Token));
    assert_eq!(of(member(&["staff"]), "/public/a"), Some(Requirement::Deny));
}

#[test]
fn names_are_no_groups_and_groups_are_no_names() {
    let route = route(vec![
        of_people(
            People::Users(texts(&["staff"])),
            &["/u/"],
            Requirement::Token,
        ),
        of_people(
            People::Groups(texts(&["anna"])),
            &["/g/"],
            Requirement::Token,
        ),
    ]);
    for path in ["/u/a", "/g/a"] {
        let asked = asked_of(
            &route,
            ("GET", path, None),
            (member(&["staff"]), "192.0.2.1"),
        );
        assert_eq!(asked, Some(TWO_FACTOR), "{path}");
    }
}

#[test]
fn of_two_paths_and_of_every_reading_the_strictest_holds_for_people_too() {
    let mut route = route(vec![of_people(staff(), &["/in/"], FRESH)]);
    route.require = Requirement::Token;
    let of = |person, path: &str, to: Option<&str>| {
        asked_of(&route, ("MOVE", path, to), (person, "192.0.2.1"))
    };
    for (path, to) in [
        ("/in/a", Some("/out/b")),
        ("/out/a", Some("/in/b")),
        ("/in%2Fa", None),
        ("/in;x/a", None),
        ("/out/a", Some("/in%2Fa")),
    ] {
        assert_eq!(of(None, path, to), None, "{path}");
        assert_eq!(of(member(&["staff"]), path, to), Some(FRESH), "{path}");
        assert_eq!(of(ROBOT, path, to), Some(Requirement::Token), "{path}");
    }
    assert_eq!(of(None, "/out/a", Some("/out/b")), Some(Requirement::Token));
}

#[test]
fn a_success_token_is_asked_of_those_it_is_asked_of() {
    let route = route(vec![of_people(staff(), &[], Requirement::SuccessToken)]);
    let method = Method::POST;
    let demand = required(Target {
        route: &route,
        method: &method,
        reach: Reach::Itself,
        path: "/x",
        destination: None,
        address: "192.0.2.1".parse().unwrap(),
    });
    let (anna, robot) = (member(&["staff"]).unwrap(), ROBOT.unwrap());
    assert_eq!(demand.of(anna), Requirement::SuccessToken);
    assert_eq!(demand.of(robot), TWO_FACTOR);
    assert_eq!(demand.without_spending().of(anna), TWO_FACTOR);
    let fixed = Demand::Fixed(Requirement::SuccessToken);
    assert_eq!(fixed.without_spending().of(anna), TWO_FACTOR);
}

#[test]
fn networks_hold_addresses_of_their_own_family() {
    let networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"];
    let route = route(vec![Rule {
        networks: networks.iter().map(|it| it.parse().unwrap()).collect(),
        ..Rule::of(Requirement::Token)
    }]);
    for (address, wanted) in [
        ("10.255.0.1", Requirement::Token),
        ("11.0.0.1", TWO_FACTOR),
        ("192.0.2.7", Requirement::Token),
        ("192.0.2.8", TWO_FACTOR),
        ("fd12::1", Requirement::Token),
        ("fe80::1", TWO_FACTOR),
        ("::a00:1", TWO_FACTOR),
    ] {
        let asked = asked_of(&route, ("GET", "/", None), (None, address));
        assert_eq!(asked, Some(wanted), "{address}");
    }
}
