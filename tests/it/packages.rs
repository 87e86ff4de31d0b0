//! What people install: the Debian package on a machine with systemd, with the operator's guide, and
//! the image's recipe, as far as a machine without an engine can tell.

use crate::support::{program, secret};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a script of the tree, whose output becomes the test's.
fn run(script: &str, args: &[&str]) {
    let output = Command::new(root().join(script))
        .args(args)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .expect(script);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {}", output.status);
}

/// Installs, restarts, upgrades, removes and purges it, and does what the guide says.
#[test]
fn the_debian_package_lives_its_life() {
    program("cargo-deb");
    let id = Command::new("id").arg("-u").output().expect("id").stdout;
    if id != b"0\n" && std::env::var_os("CI").is_none() {
        // Named, so that nobody takes it for having run.
        eprintln!(
            "NOT RUN: the Debian package is tested by root alone (namespaces, an overlay); CI does it"
        );
        return;
    }
    // The guide's and the script's.
    secret("a-long-enough-password");
    secret("a long password, or several words");
    secret("the-token-of-the-provider");
    secret("a-secret-of-the-example");
    run(
        "tests/deb/pack.sh",
        &[env!("CARGO_BIN_EXE_vestibule"), "dev"],
    );
    let [one, two] = ["target/debian/test/one.deb", "target/debian/test/two.deb"];
    run("tests/deb/run.sh", &[one, two]);
}

/// The instructions of the `Containerfile`, each a line, by stage.
fn stages() -> Vec<Vec<String>> {
    let text = read("Containerfile").replace("\\\n", " ");
    let mut stages: Vec<Vec<String>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("FROM ") {
            stages.push(Vec::new());
        }
        if !line.is_empty() && !line.starts_with('#') {
            stages.last_mut().expect("FROM first").push(line.to_owned());
        }
    }
    stages
}

fn one<'a>(stage: &'a [String], instruction: &str) -> &'a str {
    let found: Vec<_> = stage
        .iter()
        .filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '))
        .collect();
    assert_eq!(found.len(), 1, "{instruction}: {found:?}");
    found[0]
}

/// What the build stage copies from the tree: source and target.
fn copied() -> Vec<(String, String)> {
    let stages = stages();
    let copies = stages[0].iter().filter_map(|it| it.strip_prefix("COPY "));
    copies
        .flat_map(|words| {
            let words: Vec<_> = words.split_whitespace().collect();
            let (to, from) = words.split_last().expect("a target");
            from.iter()
                .map(|from| ((*from).to_owned(), (*to).to_owned()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_image_runs_as_nobody_and_stops_and_answers() {
    let stages = stages();
    let [build, last] = &stages[..] else {
        panic!("two stages, not {}", stages.len());
    };
    let user = one(last, "USER");
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().expect(user)).collect();
    assert!(
        ids.len() == 2 && ids.iter().all(|id| *id >= 10_000),
        "{user}"
    );
    // The last word about the user is the last of all that runs.
    let position = |name: &str| last.iter().position(|line| line.starts_with(name));
    assert!(position("RUN") < position("USER"));
    assert_eq!(one(last, "STOPSIGNAL"), "SIGTERM");
    assert!(one(last, "HEALTHCHECK").ends_with(r#"CMD ["/usr/bin/vestibule", "health"]"#));
    assert_eq!(one(last, "ENTRYPOINT"), r#"["/usr/bin/vestibule"]"#);
    assert_eq!(one(last, "CMD"), r#"["serve"]"#);
    assert_eq!(one(last, "VOLUME"), "/var/lib/vestibule");
    let copy = one(last, "COPY");
    assert_eq!(
        copy,
        "--from=build /src/target/release/vestibule /usr/bin/vestibule"
    );
    for words in [["health", "--help"], ["serve", "--help"]] {
        let help = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(words)
            .output();
        assert!(help.expect("vestibule").status.success(), "{words:?}");
    }
    // The compiler that the crate asks for.
    let rust = read("Cargo.toml");
    let rust = rust
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let image = format!(
        "docker.io/library/rust:{}-slim-",
        rust.expect("rust-version").trim_matches('"')
    );
    assert!(
        build[0].starts_with(&format!("FROM {image}")),
        "{}",
        build[0]
    );
}

/// The build stage sees what the build reads, and nothing else goes to the builder.
#[test]
fn the_image_is_built_of_the_tree_alone() {
    let copied = copied();
    let ignored = read(".containerignore");
    let let_in: BTreeSet<_> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    assert_eq!(
        ignored.lines().find(|line| !line.starts_with('#')),
        Some("*")
    );
    let sources: BTreeSet<_> = copied.iter().map(|(from, _)| from.as_str()).collect();
    assert_eq!(sources, let_in, "COPY (left) and .containerignore (right)");

    // In a folder of its own, with empty files in place of programs, Cargo finds all it needs.
    let tmp = tempfile::tempdir().expect("folder");
    for (from, to) in &copied {
        let target = if to.ends_with('/') {
            tmp.path().join(from)
        } else {
            tmp.path().join(to)
        };
        let target = target.to_str().expect("path");
        let source = root().join(from);
        let status = Command::new("cp")
            .arg("-r")
            .arg(&source)
            .arg(target)
            .status();
        assert!(status.expect("cp").success(), "{from}");
    }
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--offline",
            "--no-deps",
            "--format-version=1",
        ])
        .current_dir(tmp.path())
        .output()
        .expect("cargo");
    assert!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );

    // What the program is made of besides its own files is copied, too.
    let mut missing = Vec::new();
    included(&root().join("src"), &mut |file| {
        let inside = file.strip_prefix(root()).expect("in the tree").to_owned();
        if !tmp.path().join(&inside).exists() {
            missing.push(inside);
        }
    });
    assert_eq!(missing, Vec::<PathBuf>::new());
}

/// Calls `each` with the files that `include_str!` and `include_bytes!` name by a literal.
fn included(folder: &Path, each: &mut impl FnMut(PathBuf)) {
    for entry in std::fs::read_dir(folder).expect("folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            included(&path, each);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for part in text.split("include_").skip(1) {
            let literal = part
                .strip_prefix("str!(\"")
                .or_else(|| part.strip_prefix("bytes!(\""));
            if let Some((name, _)) = literal.and_then(|rest| rest.split_once('"')) {
                each(normal(&path.parent().expect("folder").join(name)));
            }
        }
    }
}

/// Without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}
