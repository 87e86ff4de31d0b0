//! Completions and manual pages: made by the program, read by those who will read them.

use crate::support::gateway::command;
use crate::support::program;
use std::path::Path;
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    let output = command(Path::new("."), args).output().expect("vestibule");
    assert!(output.status.success(), "{args:?}: {output:?}");
    output
}

/// Every command, as `--help` lists them, with those below it: `["user", "user add", …]`.
fn commands(above: &[&str]) -> Vec<String> {
    let help = run(&[above, &["--help"]].concat());
    let help = String::from_utf8(help.stdout).expect("text");
    let Some((_, list)) = help.split_once("Commands:\n") else {
        return Vec::new();
    };
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    let mut all = Vec::new();
    for name in names.filter(|name| *name != "help") {
        let here: Vec<&str> = above.iter().copied().chain([name]).collect();
        all.push(here.join(" "));
        all.extend(commands(&here));
    }
    all
}

#[test]
fn every_command_has_a_page_that_is_set_without_a_warning() {
    let dir = tempfile::tempdir().expect("folder");
    run(&["man", "--dir", dir.path().to_str().expect("path")]);
    let all = commands(&[]);
    for expected in [
        "serve",
        "user reset-2fa",
        "top",
        "doctor",
        "completions",
        "man",
    ] {
        assert!(all.iter().any(|it| it == expected), "{expected}: {all:?}");
    }
    let pages = all
        .iter()
        .map(|it| format!("vestibule-{}.8", it.replace(' ', "-")));
    let mut pages: Vec<String> = pages.chain(["vestibule.8".to_owned()]).collect();
    pages.sort();
    let files = std::fs::read_dir(dir.path()).expect("pages");
    let files = files.map(|file| file.expect("page").file_name().into_string().expect("name"));
    let mut files: Vec<String> = files.collect();
    files.sort();
    assert_eq!(files, pages);
    for page in &pages {
        let set = Command::new(program("groff"))
            // A long synopsis cannot be spread over the width of a line: the one warning that says nothing.
            .args(["-man", "-Tutf8", "-ww", "-Wbreak", "-z"])
            .arg(dir.path().join(page))
            .output()
            .expect("groff");
        let said = String::from_utf8_lossy(&set.stderr);
        assert!(set.status.success() && said.is_empty(), "{page}: {said}");
    }
    let whole = std::fs::read_to_string(dir.path().join("vestibule.8")).expect("page");
    assert_eq!(run(&["man"]).stdout, whole.as_bytes());
    for top in all.iter().filter(|it| !it.contains(' ')) {
        assert!(whole.contains(&format!("vestibule\\-{top}(8)")), "{top}");
    }
}

#[test]
fn bash_completes_commands_options_and_values() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("vestibule");
    std::fs::write(&file, run(&["completions", "bash"]).stdout).expect("file");
    let file = file.to_str().expect("path");
    let checked = Command::new(program("bash")).args(["-n", file]).output();
    let checked = checked.expect("bash");
    assert!(
        checked.status.success() && checked.stderr.is_empty(),
        "{checked:?}"
    );
    let completed = |words: &[&str]| {
        // As readline does it: the words, and which of them is completed.
        let script = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                      how=$(complete -p vestibule); [[ $how == *'-F _vestibule '* ]] || exit 3; \
                      _vestibule vestibule \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                      printf '%s\\n' \"${COMPREPLY[@]}\"";
        let output = Command::new(program("bash"))
            .args(["--norc", "-c", script, "bash", file])
            .args(words)
            .output()
            .expect("bash");
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(completed(&["vestibule", "sess"]), ["session"]);
    assert_eq!(completed(&["vestibule", "session", "rev"]), ["revoke"]);
    assert_eq!(completed(&["vestibule", "top", "--int"]), ["--interval"]);
    assert_eq!(completed(&["vestibule", "completions", "fi"]), ["fish"]);
    assert!(completed(&["vestibule", ""]).contains(&"doctor".to_owned()));
}

/// The line of a completion file by which the shell offers a command: with it, and behind what it stands.
fn offer(shell: &str, command: &str) -> (String, String) {
    let words: Vec<_> = command.split(' ').collect();
    let (last, above) = words.split_last().expect("a word");
    match shell {
        // `'add:Make a user and print its id' \` in the function of the command above.
        "zsh" => {
            let above = above.iter().map(|it| format!("__subcmd__{it}"));
            let function = format!("_vestibule{}_commands() {{", above.collect::<String>());
            (function, format!("'{last}:"))
        }
        // `complete -c vestibule -n "__fish_vestibule_using_subcommand user; and …" -f -a "add" -d '…'`
        "fish" => {
            let above = match above {
                [] => "__fish_vestibule_needs_command".to_owned(),
                above => {
                    let above = above.join(" ");
                    format!("__fish_vestibule_using_subcommand {above}; and not ")
                }
            };
            (above, format!(" -a \"{last}\" "))
        }
        _ => panic!("{shell}"),
    }
}

#[test]
fn other_shells_are_told_of_every_command_where_it_belongs() {
    let all = commands(&[]);
    assert!(all.len() > 30, "{all:?}");
    for shell in ["zsh", "fish"] {
        let text = String::from_utf8(run(&["completions", shell]).stdout).expect("text");
        for command in &all {
            let (above, offered) = offer(shell, command);
            let is_offered = match shell {
                // Of the function alone.
                "zsh" => text
                    .split_once(&above)
                    .and_then(|(_, rest)| rest.split("\n}\n").next())
                    .is_some_and(|body| body.contains(&offered)),
                _ => text
                    .lines()
                    .any(|line| line.contains(&above) && line.contains(&offered)),
            };
            assert!(is_offered, "{shell}: {command}: {above} {offered}");
        }
    }
    let refused = command(Path::new("."), &["completions", "tcsh"]).output();
    assert_eq!(refused.expect("vestibule").status.code(), Some(2));
}
