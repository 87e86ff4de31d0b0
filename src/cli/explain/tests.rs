//! Explanations of a small config.

use super::*;

fn args(line: &str) -> args::Explain {
    use clap::Parser as _;
    let line = format!("vestibule explain {line}");
    match args::Cli::try_parse_from(line.split(' ')).map(|cli| cli.command) {
        Ok(args::Command::Explain(args)) => args,
        other => panic!("{line}: {other:?}"),
    }
}

/// The routes of the explanations, from line 13 on.
const CONFIG: &str = r#"listeners: [{address: 127.0.0.1:8080}]
admin: {socket: /run/v.sock}
sessions: {lifetime: 2d, idle: 90m}
store: {url: "memory:", key: {file: store.key}}
delivery:
  sms:
    - twilio: {account_sid: AC00000000000000000000000000000000, auth_token: {file: twilio.token}, from: "+15005550006"}
identities:
  local: {accounts: {}}
upstreams:
  files: {servers: ["127.0.0.1:5000"]}
routes:
  - name: files
    hosts: [files.example.org]
    upstream: files
    identity: local
    rules:
      - {paths: [/open/], require: none}
      - {methods: [DELETE], require: deny}
      - {networks: [10.0.0.0/8], require: token}
      - {users: [robot], paths: [/in/], require: token}
      - {groups: [staff], paths: [/in/], require: two_factor}
    require: token
    background:
      - {paths: [/in/poll]}
    remember: 30d
    self_enrolment: true
"#;

/// What every file of a config holds.
struct Files;

impl config::Sources for Files {
    fn env(&self, _: &str) -> Option<String> {
        Some("/etc/vestibule".to_owned())
    }

    fn file(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let key = b"c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlLi4=";
        match path.extension().and_then(|it| it.to_str()) {
            Some("pem") => std::fs::read("tests/it/certs/none"),
            _ => Ok(key.to_vec()),
        }
    }
}

/// The explanation of a request, with whoever the line says; `groups`: those that a store would know.
fn told_of(text: &str, line: &str, groups: Option<&[&str]>) -> Explanation {
    let parsed = config::parse(text, Path::new("c.yaml"), &Files);
    let (config, _) = parsed.unwrap_or_else(|errors| panic!("{errors}"));
    let args = args(line);
    let asked = Asked::read(&args).unwrap();
    let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let given = (!args.group.is_empty()).then(|| args.group.clone());
    let who = async |identity: &str| {
        assert_eq!(identity, "local");
        Who {
            user: args.user.clone(),
            groups: given.or(groups.map(texts)),
            groups_from: "as the store has them".to_owned(),
        }
    };
    let explaining = explained(&config, &args, &asked, who);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(explaining)
}

fn told(line: &str) -> Explanation {
    told_of(CONFIG, line, None)
}

fn steps(told: &Explanation) -> Vec<(usize, Option<&'static str>)> {
    let rules = told.readings.iter().flat_map(|it| &it.rules);
    rules.map(|step| (step.line, step.missed)).collect()
}

fn require(told: &Explanation) -> Option<&'static str> {
    told.asks.as_ref().map(|asks| asks.require)
}

const PATHS: Option<&str> = Some("it is for other paths");
const METHODS: Option<&str> = Some("it is for other methods");
const NETWORKS: Option<&str> = Some("it is for other networks");
const OTHERS: Option<&str> = Some("it is for other people");

#[test]
fn each_rule_says_why_it_does_not_match() {
    let told =
        told("--url https://files.example.org/in/a --user anna --group guests --address 192.0.2.1");
    let missed = [(11, PATHS), (12, METHODS), (13, NETWORKS), (14, OTHERS)];
    assert_eq!(steps(&told), missed);
    assert_eq!(told.readings[0].decided_by, "route");
    assert_eq!(told.readings[0].line, Some(9));
    assert_eq!(require(&told), Some("token"));
}

#[test]
fn the_rule_that_decides_comes_last() {
    for (line, decided, by, wanted) in [
        (
            "--url https://files.example.org/open/a",
            11,
            "rule",
            Some("none"),
        ),
        (
            "--url https://files.example.org/in/a --method DELETE",
            12,
            "rule",
            Some("deny"),
        ),
        (
            "--url https://files.example.org/in/a --address 10.1.1.1",
            13,
            "rule",
            Some("token"),
        ),
        (
            "--url https://files.example.org/in/a --address ::ffff:10.1.1.1",
            13,
            "rule",
            Some("token"),
        ),
        (
            "--url https://files.example.org/in/a --group staff --address 192.0.2.1",
            14,
            "rule",
            Some("two_factor"),
        ),
        (
            "--url https://files.example.org/in/a --address 192.0.2.1",
            14,
            "who asks",
            None,
        ),
    ] {
        let told = told(line);
        let reading = told.readings.last().unwrap();
        assert_eq!(
            (reading.line, reading.decided_by),
            (Some(decided), by),
            "{line}"
        );
        assert_eq!(steps(&told).last(), Some(&(decided, None)), "{line}");
        assert_eq!(require(&told), wanted, "{line}");
    }
}

#[test]
fn without_an_address_no_network_is_taken_to_be_another() {
    let somewhere = told("--url https://files.example.org/in/a --group staff");
    let unknown: Vec<_> = somewhere.readings[0]
        .rules
        .iter()
        .map(|step| (step.line, step.missed, step.needs_address))
        .collect();
    let rules = [
        (11, PATHS, false),
        (12, METHODS, false),
        (13, None, true),
        (14, None, false),
    ];
    assert_eq!(unknown, rules);
    assert_eq!(require(&somewhere), None);
    let text = text::of(&somewhere);
    assert_eq!(text.matches("give --address").count(), 2, "{text}");
    // What is decided before is so from everywhere.
    let open = told("--url https://files.example.org/open/a");
    assert_eq!(require(&open), Some("none"));
}

#[test]
fn every_reading_and_the_destination_are_told() {
    let of = "--method MOVE --group staff --url https://files.example.org/x;a --destination /in/b --address 192.0.2.1";
    let told = told(of);
    let paths: Vec<_> = told
        .readings
        .iter()
        .map(|it| (it.path.as_str(), it.is_destination))
        .collect();
    assert_eq!(paths, [("/x;a", false), ("/x", false), ("/in/b", true)]);
    assert_eq!(require(&told), Some("two_factor"));
}

#[test]
fn what_no_rule_is_asked_about_is_said() {
    for (line, status) in [
        (
            "--method TRACE --url https://files.example.org/x",
            Some(405),
        ),
        ("--url https://files.example.org/x%2Fy", Some(400)),
        ("--url https://files.example.org/.vestibule/challenge", None),
        (
            "--method PUT --url https://files.example.org/.vestibule/challenge",
            Some(405),
        ),
        (
            "--url https://files.example.org/.vestibule/nothing",
            Some(404),
        ),
    ] {
        let settled = told(line).settled.expect(line);
        assert_eq!(settled.status, status, "{line}");
    }
}

#[test]
fn what_is_no_request_is_refused_with_the_mend() {
    for (line, wanted) in [
        (
            "--url files.example.org/x",
            "https://files.example.org/dir/file",
        ),
        (
            "--url ftp://files.example.org/x",
            "https://files.example.org/dir/file",
        ),
        ("--url https:///x", "https://files.example.org/dir/file"),
        (
            "--url https://anna:pw@files.example.org/x",
            "https://files.example.org/dir/file",
        ),
        (
            "--method put --url https://files.example.org/x",
            "upper case",
        ),
        (
            "--method P(T --url https://files.example.org/x",
            "upper case",
        ),
        (
            "--destination /a\nb --url https://files.example.org/x",
            "Destination",
        ),
    ] {
        let error = Asked::read(&args(line)).err().map(|it| it.to_string());
        let error = error.expect(line);
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn a_url_without_a_path_is_the_root() {
    for (url, target) in [
        ("http://a.b", "/"),
        ("http://a.b?x=1", "/?x=1"),
        ("HTTPS://a.b:8443/x?y", "/x?y"),
    ] {
        let asked = Asked::read(&args(&format!("--url {url}"))).unwrap();
        assert_eq!(asked.target, target);
    }
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let told = Explanation {
        url: "https://a.b/\u{1b}[2J".to_owned(),
        ..Explanation::default()
    };
    assert!(!text::of(&told).contains('\u{1b}'));
}
