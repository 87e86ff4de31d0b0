//! What is asked of whoever takes a whole folder along.

use super::super::fit::{COMPARED, covers};
use super::super::tests::{many, member, of_people, route, rule, texts};
use super::super::{Demand, NOBODY, Person, judged, required, trace};
use super::*;
use crate::config::model::{People, Route};
use crate::request::has_other_readings;
use http::HeaderValue;
use proptest::prelude::*;
use proptest::{collection, option, sample};
use std::time::Duration;

const TOKEN: Requirement = Requirement::Token;
const TWO_FACTOR: Requirement = Requirement::TWO_FACTOR;
const DENY: Requirement = Requirement::Deny;
const FRESH: Requirement = Requirement::TwoFactor {
    within: Some(Duration::from_secs(600)),
    max_idle: None,
};
const BUSY: Requirement = Requirement::TwoFactor {
    within: None,
    max_idle: Some(Duration::from_secs(60)),
};

/// What is asked of a request line `METHOD path[ destination]`; of nobody in particular (`None`), or of somebody.
fn asked_of(route: &Route, line: &str, person: Option<Person<'_>>) -> Option<Requirement> {
    let mut words = line.split(' ');
    let method = words.next().unwrap().parse().unwrap();
    let demand = required(Target {
        route,
        method: &method,
        reach: Reach::of(&method, &HeaderMap::new()),
        path: words.next().unwrap(),
        destination: words.next(),
        address: [192, 0, 2, 1].into(),
    });
    match (demand, person) {
        (Demand::Fixed(requirement), _) => Some(requirement),
        (demand, Some(person)) => Some(demand.of(person)),
        (Demand::ByPerson(_), None) => None,
    }
}

fn asked(route: &Route, line: &str) -> Requirement {
    asked_of(route, line, None).expect("the same of everybody")
}

fn site() -> Route {
    route(vec![
        rule(&[], &["/public/"], Requirement::Nothing),
        rule(&[], &["/internal/"], DENY),
        rule(&[], &["/docs/secret/"], TWO_FACTOR),
        rule(&["DELETE"], &["/docs/fresh/a"], FRESH),
        rule(&[], &["/docs/"], TOKEN),
        rule(&[], &["/api/"], TOKEN),
        rule(&["POST"], &["/api/late/"], BUSY),
        rule(&["POST"], &["/shop/pay"], Requirement::SuccessToken),
        rule(&[], &["/shop/"], TOKEN),
    ])
}

#[test]
fn a_folder_asks_what_the_strictest_below_it_asks() {
    let site = site();
    for (folder, wanted) in [
        ("/docs", FRESH),
        ("/docs/", FRESH),
        ("/docs;x", FRESH),
        ("/docs%2F", FRESH),
        ("/docs/fresh", FRESH),
        ("/docs/secret", TWO_FACTOR),
        ("/docs/secret/", TWO_FACTOR),
        ("/docs/secret/x", TWO_FACTOR),
        ("/docs/secre", TOKEN),
        ("/docs/a", TOKEN),
        ("/docs/a/", TOKEN),
        ("/shop/", Requirement::SuccessToken),
        ("/shop/pay", TOKEN),
        // What is left of no request has no say: the rule before covers it.
        ("/api/", TOKEN),
        ("/", DENY),
        ("/internal", DENY),
        ("/public", Requirement::Nothing),
        ("/public/a", Requirement::Nothing),
    ] {
        for method in ["COPY", "MOVE", "DELETE", "PROPFIND", "LOCK", "REPORT", "X"] {
            let wanted = match (method, folder) {
                ("DELETE", "/docs/fresh/a") => FRESH,
                _ => wanted,
            };
            let line = format!("{method} {folder}");
            assert_eq!(asked(&site, &line), wanted, "{line}");
        }
        for (line, least) in [
            (format!("COPY {folder} /public/a"), Requirement::Nothing),
            (format!("MOVE /public/a {folder}"), Requirement::Nothing),
            (format!("MOVE /docs/b {folder}"), TOKEN),
            (format!("COPY {folder} /internal/"), DENY),
            (format!("COPY / {folder}"), DENY),
        ] {
            assert_eq!(asked(&site, &line), stricter(wanted, least), "{line}");
        }
    }
    // Others see the path alone.
    for method in [
        "GET",
        "HEAD",
        "PUT",
        "POST",
        "PATCH",
        "MKCOL",
        "PROPPATCH",
        "UNLOCK",
    ] {
        assert_eq!(asked(&site, &format!("{method} /docs/")), TOKEN, "{method}");
    }
}

#[test]
fn a_file_has_no_rule_below_it() {
    let site = route(vec![
        rule(&["GET"], &["/a/b"], DENY),
        rule(&["DELETE"], &["/a/b"], TOKEN),
        rule(&[], &["/a/bc/"], DENY),
    ]);
    assert_eq!(asked(&site, "DELETE /a/b"), TOKEN);
    assert_eq!(asked(&site, "DELETE /a/b/"), TWO_FACTOR);
    assert_eq!(asked(&site, "DELETE /a"), DENY);
}

#[test]
fn strict_rules_of_several_kinds_add_up() {
    let site = route(vec![
        rule(&["POST"], &["/a/late/"], BUSY),
        rule(&["DELETE"], &["/a/fresh/"], FRESH),
        rule(&[], &["/a/"], Requirement::Nothing),
    ]);
    let both = stricter(FRESH, BUSY);
    assert_eq!(asked(&site, "MOVE /a"), both);
    assert_eq!(asked(&site, "MOVE /a/late /a/fresh/"), both);
    assert_eq!(asked(&site, "MOVE /a/late"), BUSY);
    // Laxer than the route, but still its own.
    assert_eq!(asked(&site, "MOVE /"), both);
    assert_eq!(asked(&site, "MOVE /a/b"), Requirement::Nothing);
}

#[test]
fn spelling_hides_nothing_below() {
    let site = route(vec![
        rule(&[], &["/a+b/%C3%B8/"], DENY),
        rule(&[], &["/a+b/"], TOKEN),
    ]);
    for folder in ["/a+b", "/a%2Bb/", "/a%2Bb/%C3%B8", "/a+b;v=1/"] {
        assert_eq!(asked(&site, &format!("COPY {folder}")), DENY, "{folder}");
    }
}

#[test]
fn whom_a_rule_below_means_is_waited_for() {
    let robot = People::Users(texts(&["robot"]));
    let staff = People::Groups(texts(&["staff"]));
    let site = Route {
        require: TOKEN,
        ..route(vec![
            of_people(robot, &["/a/in/", "/b/"], TOKEN),
            of_people(staff.clone(), &["/a/x/"], DENY),
            rule(&[], &["/a/in/"], TWO_FACTOR),
            rule(&[], &["/a/", "/c/"], Requirement::Nothing),
            of_people(staff, &["/c/y/"], DENY),
        ])
    };
    let robot = Some(Person {
        name: "robot",
        groups: &[],
    });
    for (line, nobody, of_robot, of_staff) in [
        ("COPY /a/", None, TOKEN, DENY),
        // The robot is let in there, whatever the rule for all says behind its own.
        ("COPY /a/in", None, TOKEN, TWO_FACTOR),
        ("COPY /b/", None, TOKEN, TOKEN),
        ("COPY /d/", Some(TOKEN), TOKEN, TOKEN),
        ("COPY /", None, TOKEN, DENY),
        // No path below is left to the rule for staff.
        (
            "COPY /c",
            Some(Requirement::Nothing),
            Requirement::Nothing,
            Requirement::Nothing,
        ),
    ] {
        let of = |person| asked_of(&site, line, person);
        assert_eq!(of(None), nobody, "{line}");
        assert_eq!(of(robot), Some(of_robot), "{line}");
        assert_eq!(of(member(&["staff"])), Some(of_staff), "{line}");
    }
}

#[test]
fn other_networks_rules_have_no_say() {
    let of_network = |network: &str, require| Rule {
        networks: vec![network.parse().unwrap()],
        ..rule(&[], &["/a/b/"], require)
    };
    let site = route(vec![
        of_network("10.0.0.0/8", DENY),
        of_network("192.0.2.0/24", FRESH),
        rule(&[], &["/a/"], TOKEN),
    ]);
    assert_eq!(asked(&site, "DELETE /a"), FRESH);
}

#[test]
fn depth_is_believed_where_it_is_clear() {
    let given = |lines: &[(&'static str, &str)]| -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_str(value).unwrap();
            (http::HeaderName::from_static(name), value)
        };
        lines.iter().map(line).collect()
    };
    let (itself, below) = (Reach::Itself, Reach::Below);
    for (method, lines, wanted) in [
        ("PROPFIND", &[("depth", "0")][..], itself),
        ("PROPFIND", &[("depth", "1")], itself),
        ("PROPFIND", &[("depth", "infinity")], below),
        ("PROPFIND", &[("depth", "1, infinity")], below),
        ("PROPFIND", &[("depth", "1,noroot")], below),
        ("PROPFIND", &[("depth", "00")], below),
        ("PROPFIND", &[("depth", "")], below),
        ("PROPFIND", &[("depth", "0"), ("depth", "0")], below),
        (
            "PROPFIND",
            &[("depth", "0"), ("connection", "close")],
            itself,
        ),
        (
            "PROPFIND",
            &[("depth", "0"), ("connection", "close, Depth")],
            below,
        ),
        ("PROPFIND", &[], below),
        ("LOCK", &[("depth", "0")], itself),
        ("LOCK", &[("depth", "1")], below),
        ("LOCK", &[], below),
        ("COPY", &[("depth", "0")], below),
        ("MOVE", &[("depth", "0")], below),
        ("DELETE", &[("depth", "0")], below),
        ("SEARCH", &[("depth", "0")], below),
        ("REPORT", &[("depth", "0")], below),
        ("propfind", &[("depth", "0")], below),
        ("GET", &[("depth", "infinity")], itself),
        ("PUT", &[], itself),
    ] {
        let method = method.parse().unwrap();
        assert_eq!(
            Reach::of(&method, &given(lines)),
            wanted,
            "{method} {lines:?}"
        );
    }
}

#[test]
fn many_rules_below_are_not_all_compared_with_each_other() {
    let site = route(many());
    COMPARED.set(0);
    assert_eq!(asked(&site, "DELETE /"), Requirement::SuccessToken);
    assert!(COMPARED.get() < 20_000, "{}", COMPARED.get());
}

/// Of everything that rules can say, a few.
fn some_rule() -> impl Strategy<Value = Rule> {
    let paths = sample::subsequence(
        vec!["/", "/a/", "/a/b/", "/a/b", "/a/b/c/", "/a+c/", "/d"],
        0..3,
    );
    let methods = sample::select(vec![&[][..], &[], &["GET"], &["COPY"], &["DELETE", "GET"]]);
    let people = sample::select(vec![
        People::All,
        People::All,
        People::Users(texts(&["robot"])),
        People::Groups(texts(&["staff"])),
    ]);
    let networks = sample::select(vec![None, None, Some("192.0.2.0/24"), Some("10.0.0.0/8")]);
    (methods, paths, people, networks, some_requirement()).prop_map(
        |(methods, paths, people, networks, require)| Rule {
            people,
            networks: networks.iter().map(|it| it.parse().unwrap()).collect(),
            ..rule(methods, &paths, require)
        },
    )
}

fn some_requirement() -> impl Strategy<Value = Requirement> {
    let all = [Requirement::Nothing, TOKEN, TWO_FACTOR, FRESH, BUSY];
    sample::select([&all[..], &[Requirement::SuccessToken, DENY]].concat())
}

fn some_route() -> impl Strategy<Value = Route> {
    (collection::vec(some_rule(), 0..7), some_requirement()).prop_map(|(rules, require)| Route {
        require,
        ..route(rules)
    })
}

const PATHS: [&str; 14] = [
    "/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/b/c/x", "/a/x", "/a%2Bc/x", "/a+c", "/d",
    "/a%2Fb", "/a;x/b", "/x/y",
];

/// Everybody who is known, in full.
fn people() -> [Asker<'static>; 3] {
    let robot = Person {
        name: "robot",
        groups: &[],
    };
    [NOBODY, robot, member(&["staff"]).unwrap()].map(Asker::from)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// What explains the rules is what decides by them.
    #[test]
    fn the_strictest_that_is_explained_is_what_is_asked(
        route in some_route(),
        method in sample::select(vec!["GET", "POST", "COPY", "DELETE"]),
        path in sample::select(&PATHS[..]),
        destination in option::of(sample::select(&PATHS[..])),
    ) {
        let method: Method = method.parse().unwrap();
        let reach = Reach::of(&method, &HeaderMap::new());
        let address = [192, 0, 2, 1].into();
        let target = Target { route: &route, method: &method, reach, path, destination, address };
        let nameless = Asker { groups: Some(&[]), ..Asker::default() };
        let unsorted = Asker { name: Some("robot"), groups: None };
        for asker in people().into_iter().chain([Asker::default(), nameless, unsorted]) {
            let mut explained = Some(Requirement::Nothing);
            for reading in trace(&target, asker) {
                let own = reading.decided.require(&route);
                explained = explained.zip(own).map(|(a, b)| stricter(a, b));
                for rule in reading.below {
                    explained = match rule {
                        Below::Asks(rule) => explained.map(|it| stricter(it, rule.require)),
                        Below::Depends(_) => None,
                        Below::Elsewhere(_) => explained,
                    };
                }
            }
            prop_assert_eq!(judged(&target, asker), explained, "{:?}", asker);
        }
        // Of whom nothing is known, that alone is said which is so for each.
        if let Some(of_all) = judged(&target, Asker::default()) {
            for one in people() {
                prop_assert_eq!(judged(&target, one), Some(of_all), "{:?}", one);
            }
        }
    }

    /// Whoever may copy a folder may read, and copy, each thing in it.
    #[test]
    fn a_folder_asks_no_less_than_anything_below_it(
        route in some_route(), folder in sample::select(vec!["/", "/a", "/a/", "/a/b/"]),
    ) {
        // What is said of some methods at the folder or above is said of the folder, and of these alone.
        let mut of_all = route.clone();
        for rule in &mut of_all.rules {
            let is_below = |path: &String| lies_in(path, folder) && !covers(path, folder);
            if rule.paths.is_empty() || !rule.paths.iter().all(is_below) {
                rule.methods.clear();
            }
        }
        let judged = |route: &Route, method: &Method, path: &str, one| {
            let reach = Reach::of(method, &HeaderMap::new());
            let address = [192, 0, 2, 1].into();
            judged(&Target { route, method, reach, path, destination: None, address }, one).unwrap()
        };
        let copy: Method = "COPY".parse().unwrap();
        let is_in = |path: &&str| !has_other_readings(path) && lies_in(path, folder);
        for path in PATHS.into_iter().filter(is_in) {
            for one in people() {
                for (route, method) in [(&of_all, &Method::GET), (&of_all, &Method::POST), (&route, &copy)] {
                    let whole = judged(route, &copy, folder, one);
                    let part = judged(route, method, path, one);
                    prop_assert_eq!(stricter(whole, part), whole, "{} {} {:?}", method, path, one);
                }
            }
        }
    }
}
