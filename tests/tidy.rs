//! Holds the source tree to its own rules: the arrow table of `src/lib.rs`, sizes, and what must not
//! stand in any file. Reads text alone: comments and strings are blanked, `#[cfg(test)]` parts are
//! set aside. It never judges style; that is rustfmt's and clippy's.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
const FN_LINES_MAX: usize = 70;

/// The arrow table: who may name what of the crate, as prefixes of paths. Every component may name
/// itself, and all but the leaves may name leaves. The rows are those of `src/lib.rs` and
/// `ARCHITECTURE.md`; change all three in one commit, with the reason.
const ARROWS: &[(&[&str], &[&str])] = &[
    (
        &[
            "clock", "digest", "entropy", "id", "secret", "steps", "words",
        ],
        &[],
    ),
    (&["event"], &["id"]),
    (&["config"], &[]),
    (&["factor", "request", "route"], &["config"]),
    (&["policy"], &["config", "request", "route"]),
    (&["identity"], &["config", "factor", "request", "route"]),
    (
        &["gate"],
        &["config", "factor", "request", "route", "identity", "policy"],
    ),
    (&["auth"], &["config", "factor", "identity", "gate"]),
    (&["local"], REQUEST_TO_AUTH),
    (&["operator"], REQUEST_TO_AUTH),
    (&["operator"], &["observe"]),
    (
        &["store", "delivery", "observe"],
        &[
            "config",
            "factor",
            "gate::session",
            "auth::ports",
            "auth::Deliver",
            "auth::DeliveryError",
            "auth::lockout",
            "auth::subject",
        ],
    ),
    (&["edge"], REQUEST_TO_LOCAL),
    (&["edge"], &["observe"]),
    (&["app", "cli"], ALL),
];

/// Files that may name more than their component, each with the reason.
const ARROWS_OF_FILES: &[(&str, &[&str])] = &[
    // Joins the gate's port to the store's: it implements one over the other.
    ("src/identity/witness.rs", &["gate", "auth::ports"]),
];

const LEAVES: &[&str] = &[
    "clock", "digest", "entropy", "event", "id", "secret", "steps", "words",
];
const REQUEST_TO_AUTH: &[&str] = &[
    "config", "request", "route", "identity", "policy", "factor", "gate", "auth",
];
const REQUEST_TO_LOCAL: &[&str] = &[
    "config", "request", "route", "identity", "policy", "factor", "gate", "auth", "local",
];
const ALL: &[&str] = &[
    "config", "request", "route", "identity", "policy", "factor", "gate", "auth", "local",
    "operator", "store", "delivery", "observe", "edge", "app", "cli",
];

/// Libraries that only these files may import, so that each can be replaced in one place.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("pingora", &["src/edge/"]),
    ("httparse", &["src/edge/lane/"]),
    ("sqlx", &["src/store/"]),
    ("saphyr", &["src/config/"]),
    (
        "axum",
        &["src/observe/admin.rs", "src/operator/", "src/cli/"],
    ),
    ("serde_path_to_error", &["src/operator/wire.rs"]),
    ("tower", &["src/cli/client.rs"]),
    (
        "jsonwebtoken",
        &["src/auth/signing.rs", "src/identity/jwt.rs"],
    ),
    ("aws_lc_rs", &["src/auth/signing.rs"]),
    ("listenfd", &["src/edge/sockets.rs"]),
    ("sd_notify", &["src/edge/sockets.rs", "src/cli/serve.rs"]),
    ("clap", &["src/cli/"]),
    ("clap_complete", &["src/cli/"]),
    ("clap_mangen", &["src/cli/manual.rs"]),
    ("rustix", &["src/cli/"]),
    ("askama", &["src/local/"]),
    ("fluent_bundle", &["src/words.rs"]),
    ("totp_rs", &["src/factor/totp.rs"]),
    ("webauthn_rs_core", &["src/factor/passkey.rs"]),
    ("url", &["src/factor/passkey.rs"]),
    ("lettre", &["src/delivery/"]),
    ("opentelemetry_proto", &["src/observe/traces/otlp.rs"]),
    ("prost", &["src/observe/traces/otlp.rs"]),
    (
        "reqwest",
        &[
            "src/delivery/",
            "src/app.rs",
            "src/app/",
            "src/cli/client.rs",
            "src/observe/traces/otlp.rs",
        ],
    ),
];

/// A rule that a line breaks.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    file: String,
    line: usize,
    rule: String,
    mend: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            rule,
            mend,
        } = self;
        write!(f, "{file}:{line}: {rule}. {mend}")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

/// One source file, ready to be judged.
struct Source {
    /// Relative to the package, with `/`.
    path: String,
    /// Its module's place in the crate: `["gate", "map"]`; empty outside `src` and for its roots.
    module: Vec<String>,
    first_line: String,
    lines: usize,
    /// Without comments and strings.
    tokens: Vec<Token>,
    /// As `tokens`, without the parts that only tests are built with.
    program: Vec<Token>,
    /// Lines of those parts.
    test_lines: usize,
    /// Modules in files of their own that only tests are built with.
    test_modules: Vec<String>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let tokens = tokens(&blanked(text));
        let (program, test_lines, test_modules) = without_tests(&tokens);
        let module = path
            .strip_prefix("src/")
            .and_then(|path| path.strip_suffix(".rs"))
            .map(|path| path.split('/').map(str::to_owned).collect::<Vec<_>>())
            .map(|mut names| {
                names.pop_if(|name| ["mod", "lib", "main"].contains(&name.as_str()));
                names
            })
            .unwrap_or_default();
        Self {
            path: path.to_owned(),
            module,
            first_line: text.lines().next().unwrap_or_default().to_owned(),
            lines: text.lines().count(),
            tokens,
            program,
            test_lines,
            test_modules,
        }
    }

    fn is_of_the_program(&self) -> bool {
        self.path.starts_with("src/")
    }

    fn breaks(&self, line: usize, rule: impl Into<String>, mend: &'static str) -> Violation {
        Violation {
            file: self.path.clone(),
            line,
            rule: rule.into(),
            mend,
        }
    }
}

/// The text with comments, strings and characters replaced by spaces; lines stay where they are.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match skipped_to(&chars, at) {
            Some(end) => end,
            None => {
                out.push(chars[at]);
                at += 1;
                continue;
            }
        };
        let skipped = &chars[at..end];
        out.extend(skipped.iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Where the comment or literal that begins at `at` ends, if one does.
fn skipped_to(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let from = |text: &str| rest.starts_with(&text.chars().collect::<Vec<_>>());
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    if from("//") {
        let line = rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
        return Some(at + line);
    }
    if from("/*") {
        return Some(end_of_block_comment(chars, at));
    }
    if at > 0 && is_word(&chars[at - 1]) {
        // The `r` of `for"`, or a lifetime's tail: no literal begins inside a word.
        return (rest[0] == '"').then(|| end_of_string(chars, at));
    }
    let prefix = rest.iter().take_while(|c| "brc".contains(**c)).count();
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    match rest.get(prefix + hashes) {
        Some('"') if rest[..prefix].contains(&'r') => {
            let mut close = vec!['"'];
            close.extend(std::iter::repeat_n('#', hashes));
            let body = at + prefix + hashes + 1;
            let length = chars[body..]
                .windows(close.len())
                .position(|it| it == close);
            Some(length.map_or(chars.len(), |length| body + length + close.len()))
        }
        Some('"') if hashes == 0 => Some(end_of_string(chars, at + prefix)),
        Some('\'') if hashes == 0 && prefix <= 1 => {
            let quote = at + prefix;
            match (chars.get(quote + 1), chars.get(quote + 2)) {
                (Some('\\'), _) => {
                    let tail = chars[quote + 3..].iter().position(|c| *c == '\'');
                    tail.map(|tail| quote + 3 + tail + 1)
                }
                (Some(_), Some('\'')) => Some(quote + 3),
                _ => None,
            }
        }
        _ => None,
    }
}

fn end_of_string(chars: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn end_of_block_comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (at, depth) = (at + 2, depth + 1),
            ('*', Some('/')) => {
                (at, depth) = (at + 2, depth - 1);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

/// Words, `::`, and every other character by itself.
fn tokens(code: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let (mut line, mut is_in_word, mut is_after_colon) = (1, false, false);
    for c in code.chars() {
        let is_word = c.is_alphanumeric() || c == '_';
        match out.last_mut() {
            Some(last) if is_word && is_in_word => last.text.push(c),
            Some(last) if c == ':' && is_after_colon => last.text.push(c),
            _ if c.is_whitespace() => {}
            _ => out.push(Token {
                text: c.to_string(),
                line,
            }),
        }
        is_after_colon = c == ':' && !is_after_colon;
        is_in_word = is_word;
        line += usize::from(c == '\n');
    }
    out
}

fn reads(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(it, word)| it.text == *word)
}

/// The index after the item that begins at `at`: after its `;` or the `}` of its body.
fn end_of_item(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return index + 1;
                }
            }
            ";" if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The tokens outside `#[cfg(test)]` items, the lines inside, and test modules with a file.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, usize, Vec<String>) {
    let (mut program, mut lines, mut modules) = (Vec::new(), 0, Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if !reads(&tokens[at..], &["#", "[", "cfg", "(", "test", ")", "]"]) {
            program.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = end_of_item(tokens, at + 7);
        let item = &tokens[at + 7..end];
        lines += tokens[end - 1].line - tokens[at].line + 1;
        let name = item.iter().position(|token| token.text == "mod");
        if let Some(name) = name.and_then(|at| item.get(at + 1))
            && item.last().is_some_and(|last| last.text == ";")
        {
            modules.push(name.text.clone());
        }
        at = end;
    }
    (program, lines, modules)
}

/// Whether the file belongs to a module that only tests are built with.
fn is_for_tests(source: &Source, sources: &[Source]) -> bool {
    sources.iter().any(|parent| {
        source.module.len() > parent.module.len()
            && source.module.starts_with(&parent.module)
            && parent.is_of_the_program()
            && parent
                .test_modules
                .contains(&source.module[parent.module.len()])
    })
}

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
fn arrows(source: &Source) -> Vec<Violation> {
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
fn libraries(source: &Source) -> Vec<Violation> {
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

fn size(source: &Source) -> Vec<Violation> {
    let lines = source.lines - source.test_lines;
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let rule = format!("{lines} lines without tests; at most {FILE_LINES_MAX}");
    vec![source.breaks(1, rule, "Split the file by subject")]
}

fn functions(source: &Source) -> Vec<Violation> {
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

fn opening(source: &Source) -> Vec<Violation> {
    if source.first_line.starts_with("//! ") {
        return Vec::new();
    }
    let mend = "Open it with `//!`: what it is for, and what it never does";
    vec![source.breaks(1, "the module does not say what it is for", mend)]
}

/// What may stand nowhere, tests included.
fn leftovers(source: &Source) -> Vec<Violation> {
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
fn panics(source: &Source) -> Vec<Violation> {
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

fn judge(source: &Source, is_for_tests: bool) -> Vec<Violation> {
    let mut out = opening(source);
    out.extend(leftovers(source));
    if source.is_of_the_program() && !is_for_tests {
        out.extend(arrows(source));
        out.extend(libraries(source));
        out.extend(size(source));
        out.extend(functions(source));
        out.extend(panics(source));
    }
    out
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|it| it == "rs") {
            out.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        rust_files(&root().join(folder), &mut files);
    }
    files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(root()).unwrap().to_str().unwrap();
            Source::new(path, &read(file))
        })
        .collect()
}

#[test]
fn the_tree_keeps_its_rules() {
    let sources = sources();
    let found: BTreeSet<_> = sources
        .iter()
        .flat_map(|source| judge(source, is_for_tests(source, &sources)))
        .map(|violation| violation.to_string())
        .collect();
    let list = found.iter().map(String::as_str).collect::<Vec<_>>();
    assert!(list.is_empty(), "{}\n", list.join("\n"));
}

/// The cells of a page's arrow table.
fn table(page: &str) -> Vec<Vec<String>> {
    page.lines()
        .map(|line| line.trim_start_matches("//!").trim())
        .skip_while(|line| !line.starts_with("| may use"))
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn the_arrow_table_is_the_same_wherever_it_stands() {
    let of_lib = table(&read(&root().join("src/lib.rs")));
    let of_page = table(&read(&root().join("ARCHITECTURE.md")));
    assert!(of_lib.len() > 5, "src/lib.rs has no arrow table");
    assert_eq!(
        of_lib, of_page,
        "src/lib.rs (left) and ARCHITECTURE.md (right) differ"
    );
    let components: BTreeSet<_> = ALL.iter().chain(LEAVES).copied().collect();
    let declared = read(&root().join("src/lib.rs"));
    let declared: BTreeSet<_> = declared
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(
        components, declared,
        "the components of tests/tidy.rs (left) and src/lib.rs (right)"
    );
}

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
        "fn f() {{}}\n#[cfg(test)]\nmod tests {{{}}}",
        "\n".repeat(900)
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
