//! What does not count as use of a session, and which browsers are remembered.

use super::*;

fn with(more: &str) -> String {
    small(ROUTE, &format!("    identity: local\n{more}"))
}

#[test]
fn polling_and_remembering_are_read() {
    let config = good(&with(
        "    background: [{paths: [/api/poll, /news/], methods: [GET]}, {paths: [/beat]}]\n    remember: 30d\n",
    ));
    let route = &config.routes[0];
    let expected = [
        Background {
            methods: vec![http::Method::GET],
            paths: vec!["/api/poll".to_owned(), "/news/".to_owned()],
            line: 18,
        },
        Background {
            methods: Vec::new(),
            paths: vec!["/beat".to_owned()],
            line: 18,
        },
    ];
    assert_eq!(route.background, expected);
    assert_eq!(route.remember, Remember::For(secs(30 * 86_400)));
    for (text, expected) in [
        ("never", Remember::Never),
        ("forever", Remember::Forever),
        ("12h", Remember::For(secs(43_200))),
    ] {
        let config = good(&with(&format!("    remember: {text}\n")));
        assert_eq!(config.routes[0].remember, expected);
    }
    let config = good(SMALL);
    assert_eq!(config.routes[0].remember, Remember::Never);
    assert!(config.routes[0].background.is_empty());
}

#[test]
fn what_is_wrong_with_them_is_told() {
    for (more, place, text) in [
        (
            "remember: 0s",
            "18:15: routes[0].remember",
            "longer than 0s",
        ),
        (
            "remember: always",
            "18:15: routes[0].remember",
            "neither `never`",
        ),
        ("remember: 30", "18:15: routes[0].remember", "30d"),
        (
            "background: [{}]",
            "18:18: routes[0].background[0].paths",
            "is missing",
        ),
        (
            "background: [{paths: []}]",
            "18:26: routes[0].background[0].paths",
            "is empty",
        ),
        (
            "background: [{paths: [/a/*]}]",
            "18:27: routes[0].background[0].paths[0]",
            "no wildcard",
        ),
        (
            "background: [{paths: [/a], methods: [get]}]",
            "18:42: routes[0].background[0].methods[0]",
            "upper case",
        ),
        (
            "background: [{paths: [/a], require: none}]",
            "18:32: routes[0].background[0].require",
            "unknown key",
        ),
    ] {
        let found = bad(&with(&format!("    {more}\n")));
        assert_eq!(found.len(), 1, "{more}: {found:?}");
        assert!(
            found[0].contains(place) && found[0].contains(text),
            "{more}: {found:?}"
        );
    }
}

#[test]
fn browsers_are_remembered_where_people_sign_in_here() {
    let learn = "{learn: {endpoint: /api, token: /t, user: /u, phone: /p}}";
    let found = bad(&with("    remember: 30d\n").replace("{accounts: {}}", learn));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("18:15: routes[0].remember: goes with an identity of `accounts` only")
    );
    let never = with("    remember: never\n").replace("{accounts: {}}", learn);
    assert_eq!(good(&never).routes[0].remember, Remember::Never);
}

#[test]
fn that_everything_is_polling_is_warned_of() {
    let found = warned(&with("    background: [{paths: [/]}]\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("routes[0].background[0].paths: covers every path"));
}
