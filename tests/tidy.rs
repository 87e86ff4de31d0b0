//! Holds the source tree to its own rules: the arrow table of `src/lib.rs`, sizes, and what must not
//! stand in any file. Reads text alone: comments and strings are blanked, `#[cfg(test)]` parts are
//! set aside. It never judges style; that is rustfmt's and clippy's.

#[path = "tidy/made_up.rs"]
mod made_up;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use rules::{arrows, functions, leftovers, libraries, opening, panics, size, size_of_tests};
use source::{Source, is_for_tests};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
const FN_LINES_MAX: usize = 70;
/// Of a file of tests, or of the tests in a file of the program.
const TEST_LINES_MAX: usize = 600;

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

fn judge(source: &Source, is_for_tests: bool) -> Vec<Violation> {
    let mut out = opening(source);
    out.extend(leftovers(source));
    out.extend(size_of_tests(source, is_for_tests));
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

/// What a machine cannot try is left out with a word, but for CI, which the scripts know by `CI`.
#[test]
fn ci_leaves_nothing_out() {
    let script = read(&root().join(".ci/run"));
    let mut lines = script.lines().filter(|line| !line.starts_with('#'));
    let export = lines.position(|line| line.starts_with("export CI=true"));
    let tests = lines.position(|line| line.contains("make test"));
    assert!(export.is_some() && tests.is_some(), "{script}");
}

#[test]
fn the_map_can_be_read_at_a_sitting() {
    let map = read(&root().join("ARCHITECTURE.md"));
    let lines = map.lines().count();
    assert!(
        lines <= 300,
        "ARCHITECTURE.md has {lines} lines: reasons belong into docs/design"
    );
    // A page of reasons that the map does not name would be found by nobody.
    for entry in std::fs::read_dir(root().join("docs/design")).expect("docs/design") {
        let name = entry.expect("entry").file_name();
        let link = format!("](docs/design/{})", name.to_string_lossy());
        assert!(map.contains(&link), "ARCHITECTURE.md has no link {link}");
    }
}
