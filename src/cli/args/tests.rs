//! The command line as it is read, and as the guides have it.

use super::values::recipient;
use super::*;
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use std::time::Duration;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_documented_line_is_understood() {
    for line in [
        "vestibule serve --config config/vestibule.yaml",
        "vestibule --config c.yaml serve",
        "vestibule demo --listen 127.0.0.1:9000 --dir /srv --walk b2core",
        "vestibule check --without-files --config c.yaml",
        "vestibule check --json",
        "vestibule health --json",
        "vestibule schema",
        "vestibule explain --config c.yaml --method PUT --url https://files.example.org/x/y",
        "vestibule explain --url http://a.b/ --user anna --group staff --group x --address fd00::1 --destination /c --json",
        "vestibule user add anna --phone +4512345678 --email a@b.example --password-file - --can-edit-users --json",
        "vestibule user add anna --group staff --group admins",
        "vestibule user set anna --group staff --group admins --json",
        "vestibule user set id:3 --no-groups",
        "vestibule user list --json",
        "vestibule user reset-2fa anna --identity local",
        "vestibule share add --path /dir/ --phone +4512345678 --expires 7d --json",
        "vestibule share add --path /dir/ --phone +4512345678 --phone +4587654321 --email a@b.example --devices 3",
        "vestibule share add --path /dir/ --recipient +4512345678,a@b.example --recipient c@d.example",
        "vestibule share list",
        "vestibule share revoke 3",
        "vestibule session list --user 7 --json",
        "vestibule session revoke --user anna",
        "vestibule session revoke --id 4",
        "vestibule session revoke --all --json",
        "vestibule session list --device 0123456789abcdef",
        "vestibule session revoke --device laptop --user anna",
        "vestibule session revoke --token-file -",
        "vestibule user show anna",
        "vestibule user set anna --phone +4512345678 --no-email --can-edit-users false",
        "vestibule user set id:7 --password-file - --json",
        "vestibule user remove anna --identity local",
        "vestibule factor list anna --json",
        "vestibule factor remove anna passkey-3",
        "vestibule lockout list",
        "vestibule lockout clear anna",
        "vestibule lockout clear --address 2001:db8::1 --json",
        "vestibule lockout clear --id 0123456789abcdef",
        "vestibule audit search --user anna --kind verified --since 2h --until 2026-11-22T03:21:34Z",
        "vestibule audit search --address 192.0.2.1 --limit 5 --json",
        "vestibule audit tail --lines 3 -f",
        "vestibule key generate --json",
        "vestibule doctor --json",
        "vestibule top --once --json",
        "vestibule top --interval 5s",
        "vestibule completions bash",
        "vestibule man --dir target/man",
        "vestibule key generate",
        "vestibule key rotate",
        "vestibule key rotate --now --json --config c.yaml",
        "vestibule key replace --new-key-file new.key --json",
        "vestibule backup --to /var/backups/vestibule.db --json",
        "vestibule health --config c.yaml",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
    let cli = parse("vestibule user list --json").unwrap();
    assert!(cli.command.is_json());
    assert_eq!(cli.config, PathBuf::from("/etc/vestibule/vestibule.yaml"));
}

/// What a line of a code block asks the shell to run of ours, without its comment and redirections.
fn commands(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap();
    line.split(['|', '<', '>', ';', '&', '(', ')', '`'])
        .map(|part| part.trim().trim_start_matches("$ "))
        .filter(|part| part.starts_with("vestibule "))
        .map(|part| part.replace(['"', '\''], ""))
        .collect()
}

/// The files below a folder whose names end in this.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.to_str().unwrap() {
            below if path.is_dir() => files.extend(self::files(below, end)),
            name if name.ends_with(end) => files.push(path),
            _ => {}
        }
    }
    files
}

fn pages() -> Vec<PathBuf> {
    let names = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "PERFORMANCE.md",
    ];
    let mut pages = files("docs", ".md");
    pages.extend(names.map(PathBuf::from));
    pages
}

/// Why clap does not take this line, unless it asks for help.
fn refusal(line: &str) -> Option<clap::Error> {
    let refused = Cli::try_parse_from(line.split_whitespace()).err()?;
    let is_help = matches!(
        refused.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    (!is_help).then_some(refused)
}

#[test]
fn every_line_of_the_guides_is_understood() {
    let mut tried = 0;
    for file in pages() {
        let text = std::fs::read_to_string(&file).unwrap();
        let blocks = text.split("```").skip(1).step_by(2);
        for line in blocks.flat_map(str::lines).flat_map(commands) {
            let refused = refusal(&line);
            let refused = refused.map(|error| error.to_string());
            assert_eq!(refused, None, "{}: {line}", file.display());
            tried += 1;
        }
    }
    // Comments of configs show lines to paste, too.
    for file in files("config", ".yaml") {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("#   "));
        // What it does stands behind it.
        let lines = lines.filter_map(|line| line.split("   ").next());
        for line in lines.flat_map(commands) {
            let refused = refusal(&line);
            let refused = refused.map(|error| error.to_string());
            assert_eq!(refused, None, "{}: {line}", file.display());
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried} lines");
}

/// The commands in running text, as one line each: `` `vestibule …` ``, also where a comment or a text of the
/// program breaks it.
fn inline(text: &str) -> Vec<String> {
    let mut inline = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("`vestibule ") {
        let Some((command, after)) = after.split_once('`') else {
            break;
        };
        let lines = command.lines().enumerate();
        let lines = lines.map(|(n, line)| match n {
            0 => line.trim_end_matches('\\'),
            _ => line
                .trim()
                .trim_start_matches(['/', '!', '#', ' '])
                .trim_end_matches('\\'),
        });
        let words = lines.collect::<Vec<_>>().join(" ");
        let words: Vec<_> = words.split_whitespace().collect();
        inline.push(format!("vestibule {}", words.join(" ")));
        rest = after;
    }
    inline
}

/// What is named in passing need not be whole: `vestibule share add`, or an option without its value.
fn is_understood(line: &str) -> bool {
    let line = line.split('>').next().unwrap().replace("{0}", "1");
    let kind = |line: &str| refusal(line).map(|refused| refused.kind());
    match kind(&line) {
        None
        | Some(
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ) => true,
        Some(ErrorKind::InvalidValue) => {
            matches!(
                kind(&format!("{line} x")),
                None | Some(ErrorKind::MissingRequiredArgument)
            )
        }
        Some(_) => false,
    }
}

#[test]
fn every_command_in_running_text_is_understood() {
    for wrong in [
        "user groups",
        "share add --for x",
        "key",
        "lockout clear --user",
    ] {
        let line = format!("vestibule {wrong}");
        assert_eq!(is_understood(&line), wrong == "key", "{line}");
    }
    assert_eq!(
        inline("a `vestibule user\n    /// set` b `vestibule key \\\n   rotate`"),
        ["vestibule user set", "vestibule key rotate"]
    );
    let mut all = pages();
    for (folder, end) in [
        ("src", ".rs"),
        ("config", ".yaml"),
        ("systemd", ""),
        ("packaging", ""),
    ] {
        all.extend(files(folder, end));
    }
    let mut tried = 0;
    for file in all.iter().filter(|it| !it.ends_with("args/tests.rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        for line in inline(&text) {
            assert!(is_understood(&line), "{}: {line}", file.display());
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried} commands");
}

#[test]
fn revoking_needs_exactly_one_choice() {
    for line in [
        "vestibule session revoke",
        "vestibule session revoke --all --id 4",
        "vestibule session revoke --user anna --all",
        "vestibule session revoke --token-file - --user anna",
        "vestibule session revoke --device laptop --id 4",
        "vestibule lockout clear",
        "vestibule lockout clear anna --address 192.0.2.1",
        "vestibule user set anna",
        "vestibule user set anna --phone +4512345678 --no-phone",
        "vestibule user set anna --group staff --no-groups",
        "vestibule audit search --kind nonsense",
        "vestibule audit search --since tomorrow",
        "vestibule user show",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn no_argument_takes_a_password_or_token() {
    assert!(parse("vestibule session revoke --token abc").is_err());
    assert!(parse("vestibule user set anna --password hunter2").is_err());
    assert!(parse("vestibule user add anna --password hunter2").is_err());
}

#[test]
fn a_recipient_is_a_number_an_address_or_both() {
    let read = |text: &str| recipient(text).map(|it| (it.phone, it.email));
    let text = |it: &str| Some(it.to_owned());
    let both = (text("+4512345678"), text("a@b.example"));
    assert_eq!(read("+4512345678,a@b.example"), Ok(both.clone()));
    assert_eq!(read("a@b.example, +4512345678"), Ok(both));
    assert_eq!(read("a@b.example"), Ok((None, text("a@b.example"))));
    for wrong in ["", ",", "+45,", "a@b,c@d", "+451,+452", "+451,a@b,c"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    for none in ["0", "-1", "x"] {
        let line = format!("vestibule share add --path /dir/ --devices {none}");
        assert!(parse(&line).is_err(), "{line}");
    }
}

#[test]
fn spans_have_a_unit_and_are_not_empty() {
    assert_eq!(span("7d"), Ok(Duration::from_secs(604_800)));
    assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
    for wrong in [
        "",
        "7",
        "d",
        "0d",
        "-1d",
        "1.5h",
        "7 d",
        "7dd",
        "99999999999999999w",
    ] {
        assert!(span(wrong).is_err(), "{wrong}");
    }
}
