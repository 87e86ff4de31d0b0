//! Made-up files: each kind of violation is seen, and what is allowed is not one.

use super::source::{Source, is_for_tests};
use super::{FILE_LINES_MAX, FN_LINES_MAX, TEST_LINES_MAX, judge};

/// The lines and rules that a made-up file breaks.
fn broken(path: &str, text: &str) -> Vec<(usize, String)> {
    let source = Source::new(path, &format!("//! For a test.\n{text}"));
    let found = judge(&source, false);
    found.into_iter().map(|it| (it.line, it.rule)).collect()
}

fn breaks(path: &str, text: &str, line: usize, rule: &str) {
    let found = broken(path, text);
    assert!(
        matches!(&found[..], [(at, said)] if *at == line && said.contains(rule)),
        "{path}: {text}: {found:?}"
    );
}

#[test]
fn every_kind_of_violation_is_seen() {
    breaks(
        "src/gate/mod.rs",
        "use crate::auth::ports::Which;",
        2,
        "`gate` may not use `auth::ports::Which`",
    );
    breaks(
        "src/config/lift/x.rs",
        "\nuse crate::{\n  clock::Clock,\n  gate::{a},\n};",
        5,
        "`gate::a`",
    );
    breaks(
        "src/store/x.rs",
        "fn f() { crate::gate::Gate::new() }",
        2,
        "`gate::Gate::new`",
    );
    breaks(
        "src/policy.rs",
        "use super::identity::device;",
        2,
        "`identity::device`",
    );
    breaks(
        "src/clock.rs",
        "use crate::id::UserId;",
        2,
        "`clock` may not use",
    );
    breaks(
        "src/identity/learn.rs",
        "use crate::gate::Known;",
        2,
        "`identity` may not",
    );
    breaks(
        "src/store/x.rs",
        "use crate::auth::challenge::Accept;",
        2,
        "`store` may not use `auth::challenge::Accept`",
    );
    breaks(
        "src/edge/x.rs",
        "use crate::app::App;",
        2,
        "`edge` may not use `app::App`",
    );
    breaks("src/newcomer.rs", "", 1, "no row in the arrow table");
    breaks(
        "src/app.rs",
        "use pingora_core::x;",
        2,
        "may import pingora",
    );
    breaks(
        "src/auth/x.rs",
        "fn f(e: sqlx::Error) {}",
        2,
        "may import sqlx",
    );
    breaks(
        "src/cli/x.rs",
        "use saphyr_parser as p;",
        2,
        "may import saphyr",
    );
    breaks(
        "src/cli/serve.rs",
        "use reqwest::Client;",
        2,
        "may import reqwest",
    );
    breaks(
        "src/gate/x.rs",
        &"\n".repeat(FILE_LINES_MAX),
        1,
        "601 lines without tests",
    );
    let tests = "\n".repeat(TEST_LINES_MAX);
    breaks("tests/it/x.rs", &tests, 1, "601 lines of tests");
    let tests = format!("#[cfg(test)]\nmod tests {{{tests}}}");
    breaks("src/gate/x.rs", &tests, 1, "602 lines of tests");
    let body = "\n".repeat(FN_LINES_MAX);
    breaks(
        "src/gate/x.rs",
        &format!("fn f() -> [u8; 2] {{{body}}}"),
        2,
        "`fn f` has 71 lines",
    );
    breaks("tests/it/x.rs", "fn f() {\n todo!() }", 3, "`todo!`");
    breaks(
        "benches/x.rs",
        "fn f() { unimplemented!() }",
        2,
        "`unimplemented!`",
    );
    breaks(
        "src/gate/x.rs",
        "#[cfg(test)] mod t { fn f() { dbg!(1); } }",
        2,
        "`dbg!`",
    );
    breaks(
        "tests/it/x.rs",
        "#[ignore = \"slow\"] fn f() {}",
        2,
        "never runs",
    );
    breaks("src/gate/x.rs", "fn f() { g().unwrap() }", 2, "`unwrap`");
    breaks(
        "src/gate/x.rs",
        "fn f() { g()\n.expect(\"x\") }",
        3,
        "`expect`",
    );
    let silent = Source::new("src/gate/x.rs", "use std::fmt;");
    assert_eq!(judge(&silent, false).len(), 1, "a module without a word");
}

#[test]
fn what_is_allowed_is_not_a_violation() {
    let none: Vec<(usize, String)> = Vec::new();
    for (path, text) in [
        (
            "src/auth/x.rs",
            "use crate::gate::session::{Holder, Session};",
        ),
        (
            "src/identity/witness.rs",
            "use crate::gate::Witness; use crate::auth::ports::Store;",
        ),
        (
            "src/gate/a/b.rs",
            "use super::super::map; use super::c; pub(crate) fn f() {}",
        ),
        (
            "src/policy.rs",
            "// crate::edge, todo!()\nconst S: &str = r#\"crate::edge \"x.unwrap()\"#;",
        ),
        (
            "src/policy.rs",
            "fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' }\n/* .unwrap( /* */ */",
        ),
        (
            "src/policy.rs",
            "#[cfg(test)]\nmod tests { use crate::edge::x; fn f() { g().unwrap() } }",
        ),
        (
            "src/edge/x.rs",
            "fn f(unwrap: fn(u8)) { unwrap(1); x.unwrap_or(2); }",
        ),
        ("tests/it/x.rs", "fn f() { g().unwrap() }"),
    ] {
        assert_eq!(broken(path, text), none, "{path}: {text}");
    }
    let long = format!(
        "{}\n#[cfg(test)]\nmod tests {{{}}}",
        "\n".repeat(FILE_LINES_MAX - 10),
        "\n".repeat(TEST_LINES_MAX - 10)
    );
    assert_eq!(broken("src/gate/x.rs", &long), none);
}

#[test]
fn files_of_test_modules_are_told_apart() {
    let sources = [
        Source::new("src/gate/mod.rs", "mod map;\n#[cfg(test)]\nmod tests;"),
        Source::new("src/gate/tests/model.rs", ""),
        Source::new("src/gate/map.rs", ""),
        Source::new("src/edge/tests.rs", ""),
    ];
    let told: Vec<_> = sources
        .iter()
        .map(|it| is_for_tests(it, &sources))
        .collect();
    assert_eq!(told, [false, true, false, false]);
}
