//! The rules themselves, each over one source file.

use super::source::{Source, Token, end_of_item, reads};
use super::{
    ALL, ARROWS, ARROWS_OF_FILES, FILE_LINES_MAX, FN_LINES_MAX, LEAVES, LIBRARIES, TEST_LINES_MAX,
    Violation,
};

/// Every path of the crate that the program names, as (path, line): `crate::a::{b, c}` is two.
fn crate_paths(source: &Source) -> Vec<(String, usize)> {
    let tokens = &source.program;
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_path_start = at == 0 || tokens[at - 1].text != "::";
        let mut next = at;
        if is_path_start && reads(&tokens[at..], &["crate", "::"]) {
            next = at + 2;
        } else if is_path_start && !source.module.is_empty() {
            while reads(&tokens[next..], &["super", "::"]) {
                next += 2;
            }
            if (next - at) / 2 < source.module.len() {
                next = at;
            }
        }
        if next > at {
            expand(tokens, next, String::new(), &mut out);
        }
        at = next.max(at + 1);
    }
    out
}

/// Adds the paths that begin at `at`; returns the index after them.
fn expand(
    tokens: &[Token],
    mut at: usize,
    mut path: String,
    out: &mut Vec<(String, usize)>,
) -> usize {
    let line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token.text != "}") {
                at = expand(tokens, at, path.clone(), out).max(at + 1);
                if tokens.get(at).is_some_and(|token| token.text == ",") {
                    at += 1;
                }
            }
            return at + 1;
        }
        if !path.is_empty() {
            path.push_str("::");
        }
        path.push_str(&token.text);
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    out.push((path, line));
    at
}

fn allows(allowed: &[&str], path: &str) -> bool {
    allowed.iter().any(|allowed| {
        path.strip_prefix(allowed)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}

/// The arrow table.
pub(super) fn arrows(source: &Source) -> Vec<Violation> {
    let Some(own) = source.module.first() else {
        return Vec::new();
    };
    let rows: Vec<_> = ARROWS
        .iter()
        .filter(|(from, _)| from.contains(&own.as_str()))
        .collect();
    if rows.is_empty() {
        let rule = format!("`{own}` has no row in the arrow table");
        return vec![source.breaks(
            1,
            rule,
            "Add one to tests/tidy.rs, src/lib.rs and ARCHITECTURE.md",
        )];
    }
    let is_leaf = LEAVES.contains(&own.as_str());
    let is_allowed = |path: &str| {
        allows(&[own], path)
            || rows.iter().any(|(_, to)| allows(to, path))
            || (!is_leaf && allows(LEAVES, path))
            || ARROWS_OF_FILES
                .iter()
                .any(|(file, to)| *file == source.path && allows(to, path))
    };
    crate_paths(source)
        .into_iter()
        .filter(|(path, _)| {
            let first = path.split("::").next().unwrap_or_default();
            ALL.contains(&first) || LEAVES.contains(&first)
        })
        .filter(|(path, _)| !is_allowed(path))
        .map(|(path, line)| {
            let rule = format!("`{own}` may not use `{path}` (the arrow table of src/lib.rs)");
            source.breaks(
                line,
                rule,
                "Move what both need to where the table allows it, or change the table with the reason",
            )
        })
        .collect()
}

/// Libraries with one home.
pub(super) fn libraries(source: &Source) -> Vec<Violation> {
    let mut out = Vec::new();
    for (at, token) in source.program.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |at| &source.program[at].text);
        let after = source.program.get(at + 1).map_or("", |next| &next.text);
        if before == "::" || before == "." || !(after == "::" || before == "use") {
            continue;
        }
        let is_of = |library: &str| {
            let rest = token.text.strip_prefix(library);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        for (library, homes) in LIBRARIES {
            if is_of(library) && !homes.iter().any(|home| source.path.starts_with(home)) {
                let rule = format!("only {} may import {library}", homes.join(", "));
                let mend = "Put a port in between, and implement it there";
                out.push(source.breaks(token.line, rule, mend));
            }
        }
    }
    out
}

pub(super) fn size(source: &Source) -> Vec<Violation> {
    let lines = source.lines - source.test_lines;
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let rule = format!("{lines} lines without tests; at most {FILE_LINES_MAX}");
    vec![source.breaks(1, rule, "Split the file by subject")]
}

/// A file of tests, or the tests in a file of the program.
pub(super) fn size_of_tests(source: &Source, is_for_tests: bool) -> Vec<Violation> {
    let lines = match source.is_of_the_program() && !is_for_tests {
        true => source.test_lines,
        false => source.lines,
    };
    if lines <= TEST_LINES_MAX {
        return Vec::new();
    }
    let rule = format!("{lines} lines of tests; at most {TEST_LINES_MAX}");
    vec![source.breaks(1, rule, "Split them by subject")]
}

pub(super) fn functions(source: &Source) -> Vec<Violation> {
    let tokens = &source.program;
    let mut out = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let name = tokens.get(at + 1).map_or("", |next| &next.text);
        if token.text != "fn" || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            continue;
        }
        let end = &tokens[end_of_item(tokens, at) - 1];
        let lines = end.line - token.line + 1;
        if lines > FN_LINES_MAX {
            let rule = format!("`fn {name}` has {lines} lines; at most {FN_LINES_MAX}");
            out.push(source.breaks(
                token.line,
                rule,
                "Move a step of it into a function of its own",
            ));
        }
    }
    out
}

pub(super) fn opening(source: &Source) -> Vec<Violation> {
    if source.first_line.starts_with("//! ") {
        return Vec::new();
    }
    let mend = "Open it with `//!`: what it is for, and what it never does";
    vec![source.breaks(1, "the module does not say what it is for", mend)]
}

/// What may stand nowhere, tests included.
pub(super) fn leftovers(source: &Source) -> Vec<Violation> {
    let mut out = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let rest = &source.tokens[at..];
        for name in ["todo", "unimplemented", "dbg"] {
            if reads(rest, &[name, "!"]) {
                let rule = format!("`{name}!` is unfinished work");
                out.push(source.breaks(token.line, rule, "Finish it, or take it out"));
            }
        }
        if reads(rest, &["#", "[", "ignore"]) {
            let mend = "Mend the test or delete it";
            out.push(source.breaks(token.line, "a test that never runs proves nothing", mend));
        }
    }
    out
}

/// What may stand in tests alone.
pub(super) fn panics(source: &Source) -> Vec<Violation> {
    let mut out = Vec::new();
    for (at, token) in source.program.iter().enumerate() {
        for name in ["unwrap", "expect"] {
            if reads(&source.program[at..], &[".", name, "("]) {
                let rule = format!("`{name}` ends the task of a client who did nothing wrong");
                let mend = "Return an error, or shape the types so that it cannot be";
                out.push(source.breaks(token.line, rule, mend));
            }
        }
    }
    out
}
