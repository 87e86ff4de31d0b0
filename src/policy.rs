//! (Route, method, path, address, who) → what is asked. Pure; first matching rule wins.
//!
//! Rules are compared with the decoded path, so that `/a+b` and `/a%2Bb` fall under one rule. Where a
//! backend could read a path in two ways (an encoded slash, `;` parameters), every reading is put to
//! the rules and the strictest answer holds.
//!
//! A rule for users or groups can be judged only where it is known whose the token is. Where one could
//! match, [`required`] gives a [`Demand`] that the gate settles with the token's holder. A token is asked
//! for in any case: nobody counts as "in no group" for being unknown.

mod trace;

pub use trace::{Decided, Reading, trace};

use crate::config::model::{People, Requirement, Route, Rule};
use crate::request::{ENCODED_SLASH, canonical_path, has_other_readings, without_parameters};
use http::Method;
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use std::time::Duration;

/// What of a request the rules look at, but for who asks.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub route: &'a Route,
    pub method: &'a Method,
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
        let asked = judged(&by_person.target, Some(person)).unwrap_or(Requirement::Deny);
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
    match judged(&target, None) {
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

/// Whether any path of the route asks `person` at `address` for a second factor.
#[must_use]
pub fn asks_second_factor(route: &Route, person: Person<'_>, address: IpAddr) -> bool {
    let asks = |requirement| match requirement {
        Requirement::TwoFactor { .. } | Requirement::SuccessToken => true,
        Requirement::Nothing | Requirement::Token | Requirement::Deny => false,
    };
    for rule in &route.rules {
        if !is_within(rule, address) || !is_for(&rule.people, person) {
            continue;
        }
        if asks(rule.require) {
            return true;
        }
        if rule.methods.is_empty() && rule.paths.is_empty() {
            // No later one is ever asked.
            return false;
        }
    }
    asks(route.require)
}

/// The strictest requirement of every path; `None`: it depends on who asks.
fn judged(target: &Target<'_>, person: Option<Person<'_>>) -> Option<Requirement> {
    let asked = of_path(target, target.path, person)?;
    match target.destination {
        Some(destination) => Some(stricter(asked, of_path(target, destination, person)?)),
        None => Some(asked),
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
fn of_path(target: &Target<'_>, path: &str, person: Option<Person<'_>>) -> Option<Requirement> {
    if !has_other_readings(path) {
        return of_reading(target, path, person);
    }
    let mut asked = Requirement::Nothing;
    for reading in other_readings(path) {
        let of_this = match reading {
            Some(reading) => of_reading(target, &reading, person)?,
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

fn of_reading(target: &Target<'_>, path: &str, person: Option<Person<'_>>) -> Option<Requirement> {
    for rule in &target.route.rules {
        match fit(rule, target, path, person) {
            Fit::Yes => return Some(rule.require),
            Fit::Depends => return None,
            Fit::No(_) => {}
        }
    }
    Some(target.route.require)
}

/// How a rule stands to a request.
enum Fit {
    Yes,
    No(Miss),
    /// It is for users or groups, and nobody has said who asks.
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

fn fit(rule: &Rule, target: &Target<'_>, path: &str, person: Option<Person<'_>>) -> Fit {
    if !matches_method(rule, target.method) {
        return Fit::No(Miss::Method);
    }
    if !matches_path(rule, path) {
        return Fit::No(Miss::Path);
    }
    if !is_within(rule, target.address) {
        return Fit::No(Miss::Network);
    }
    match (&rule.people, person) {
        (People::All, _) => Fit::Yes,
        (_, None) => Fit::Depends,
        (people, Some(person)) if is_for(people, person) => Fit::Yes,
        _ => Fit::No(Miss::People),
    }
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

fn is_within(rule: &Rule, address: IpAddr) -> bool {
    let has = |network: &ipnet::IpNet| network.contains(&address);
    rule.networks.is_empty() || rule.networks.iter().any(has)
}

fn is_for(people: &People, person: Person<'_>) -> bool {
    match people {
        People::All => true,
        People::Users(names) => names.iter().any(|name| name == person.name),
        People::Groups(names) => names.iter().any(|name| person.groups.contains(name)),
    }
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
pub(crate) mod tests {
    use super::*;
    use crate::config::model::{Background, Forward, ForwardToken};
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
            path,
            destination: None,
            address: [192, 0, 2, 1].into(),
        }
    }

    fn rule(methods: &[&str], paths: &[&str], require: Requirement) -> Rule {
        Rule {
            methods: methods
                .iter()
                .map(|method| method.parse().unwrap())
                .collect(),
            paths: paths.iter().map(ToString::to_string).collect(),
            ..Rule::of(require)
        }
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
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
    fn member(groups: &[&str]) -> Option<Person<'static>> {
        Some(Person {
            name: "anna",
            groups: texts(groups).leak(),
        })
    }

    fn of_people(people: People, paths: &[&str], require: Requirement) -> Rule {
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

    #[test]
    fn whether_anything_asks_for_a_second_factor_is_said_of_a_person() {
        let here = "10.0.0.1".parse().unwrap();
        let elsewhere = "192.0.2.1".parse().unwrap();
        let inside = Rule {
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            ..Rule::of(Requirement::Token)
        };
        let robot = of_people(People::Users(texts(&["robot"])), &[], Requirement::Token);
        let mut lenient = route(vec![of_people(staff(), &["/in/"], TWO_FACTOR)]);
        lenient.require = Requirement::Token;
        let strict = route(vec![inside, robot]);
        let (anna, robot) = (member(&["staff"]).unwrap(), ROBOT.unwrap());
        for (route, person, address, wanted) in [
            (&lenient, anna, here, true),
            (&lenient, robot, here, false),
            (&strict, anna, elsewhere, true),
            (&strict, robot, elsewhere, false),
            (&strict, anna, here, false),
        ] {
            assert_eq!(
                asks_second_factor(route, person, address),
                wanted,
                "{person:?}"
            );
        }
    }
}
