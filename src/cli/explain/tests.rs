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

/// Neither files nor variables: a checkout.
struct Nothing;

impl config::Sources for Nothing {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// The explanation of a request, with whoever the line says; `groups`: those that a store would know.
fn told_of(text: &str, line: &str, groups: Option<&[&str]>) -> Explanation {
    let read = config::policy_of(text, Path::new("c.yaml"), &Nothing);
    let config = read.unwrap_or_else(|errors| panic!("{errors}"));
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
    let missed = [
        (18, PATHS),
        (19, METHODS),
        (20, NETWORKS),
        (21, OTHERS),
        (22, OTHERS),
    ];
    assert_eq!(steps(&told), missed);
    assert_eq!(told.readings[0].decided_by, "route");
    assert_eq!(told.readings[0].line, Some(13));
    assert_eq!(require(&told), Some("token"));
}

/// What the gateway needs to serve is not there, and the rules are judged: certificates, a store in a
/// folder that only its unit knows, keys and secrets of issuers, a logo.
#[test]
fn no_file_of_the_config_is_needed() {
    let with_tls = CONFIG.replace(
        "listeners: [{address: 127.0.0.1:8080}]",
        "listeners: [{address: \"[::]:443\", tls: {certificates: [{cert: a.pem, key: a.key}]}}]",
    );
    let with_tls = with_tls.replace("memory:", "sqlite:${STATE_DIRECTORY}/v.db")
        + "portal: {logo: logo.svg}\n";
    for identity in [
        "accounts: {}",
        "jwt: {keys: [{file: issuer.pem, algorithm: RS256}], issuer: i, audience: a, algorithms: [RS256]}",
        "jwt: {jwks: {file: keys.json}, issuer: i, audience: a, algorithms: [RS256]}",
        "introspection: {url: \"https://issuer.example/ask\", client: {id: a, secret: {file: s}}}",
    ] {
        let text = with_tls.replace("accounts: {}", identity);
        let text = match identity.starts_with("accounts") {
            true => text,
            false => text
                .replace("    self_enrolment: true\n", "")
                .replace("    remember: 30d\n", ""),
        };
        let line = "--url https://files.example.org/in/a --user robot --address 192.0.2.1";
        let told = told_of(&text, line, Some(&[]));
        assert_eq!(require(&told), Some("token"), "{identity}");
        let wrong = text.replace("require: deny", "require: no");
        let errors = config::policy_of(&wrong, Path::new("c.yaml"), &Nothing).unwrap_err();
        assert!(
            errors.to_string().contains("is not one of the known words"),
            "{errors}"
        );
    }
}

#[test]
fn the_rule_that_decides_comes_last() {
    for (line, decided, by, wanted) in [
        (
            "--url https://files.example.org/open/a",
            18,
            "rule",
            Some("none"),
        ),
        (
            "--url https://files.example.org/in/a --method DELETE",
            19,
            "rule",
            Some("deny"),
        ),
        (
            "--url https://files.example.org/in/a --address 10.1.1.1",
            20,
            "rule",
            Some("token"),
        ),
        (
            "--url https://files.example.org/in/a --address ::ffff:10.1.1.1",
            20,
            "rule",
            Some("token"),
        ),
        (
            "--url https://files.example.org/in/a --user anna --group staff --address 192.0.2.1",
            22,
            "rule",
            Some("two_factor"),
        ),
        (
            "--url https://files.example.org/in/a --address 192.0.2.1",
            21,
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
    let somewhere = told("--url https://files.example.org/in/a --user anna --group staff");
    let unknown: Vec<_> = somewhere.readings[0]
        .rules
        .iter()
        .map(|step| (step.line, step.missed, step.needs_address))
        .collect();
    let rules = [
        (18, PATHS, false),
        (19, METHODS, false),
        (20, None, true),
        (21, OTHERS, false),
        (22, None, false),
    ];
    assert_eq!(unknown, rules);
    assert_eq!(require(&somewhere), None);
    let text = text::of(&somewhere);
    assert_eq!(text.matches("give --address").count(), 2, "{text}");
    // What is decided before is so from everywhere.
    let open = told("--url https://files.example.org/open/a");
    assert_eq!(require(&open), Some("none"));
}

/// What is known of who asks is judged, and what is not is left open.
#[test]
fn a_rule_waits_for_no_more_than_it_asks() {
    const OF_ANNA: &str = "--url https://files.example.org/in/a --address 192.0.2.1 --user";
    for (line, groups, steps_from, wanted) in [
        // The store does not know them: a name is a name all the same.
        (format!("{OF_ANNA} robot"), None, (21, None), Some("token")),
        (format!("{OF_ANNA} anna"), None, (22, None), None),
        (
            format!("{OF_ANNA} anna"),
            Some(&["staff"][..]),
            (22, None),
            Some("two_factor"),
        ),
        (
            format!("{OF_ANNA} anna"),
            Some(&[]),
            (22, OTHERS),
            Some("token"),
        ),
        // Groups without a name say nothing of rules for users.
        (
            "--url https://files.example.org/in/a --address 192.0.2.1 --group guests".to_owned(),
            None,
            (21, None),
            None,
        ),
    ] {
        let told = told_of(CONFIG, &line, groups);
        assert_eq!(steps(&told).last(), Some(&steps_from), "{line}");
        assert_eq!(require(&told), wanted, "{line}");
    }
    let open = told(&format!("{OF_ANNA} anna"));
    let warning = open.who.warning().expect("a warning");
    assert!(warning.contains("those of `anna`"), "{warning}");
    assert!(text::of(&open).contains("depends on who asks"));
    for known in [
        told(OF_ANNA.trim_end_matches(" --user")),
        told_of(CONFIG, &format!("{OF_ANNA} anna"), Some(&[])),
    ] {
        assert_eq!(known.who.warning(), None);
    }
}

#[test]
fn what_is_polled_remembered_and_enrolled_is_said() {
    let polled = told("--url https://files.example.org/in/poll --user robot");
    assert_eq!(polled.background, Some(25));
    let text = text::of(&polled);
    for line in [
        "use          no: the path is polled (line 25)\n",
        "session      a verified pair lives for 2d, and for 1h 30m without a request\n",
        "browser      remembered for 30d, if its user wants that\n",
        "enrolment    whoever has no second factor sets the first one up by themselves\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let json = serde_json::to_value(&polled).unwrap();
    assert_eq!(
        json["route"]["remember"],
        serde_json::json!({"for_secs": 2_592_000})
    );
    let other = told("--url https://files.example.org/in/a --user robot");
    assert_eq!(other.background, None);
    assert!(!text::of(&other).contains("polled"));
    let plain = CONFIG.replace("remember: 30d", "remember: never");
    let plain = plain.replace("self_enrolment: true", "self_enrolment: false");
    let plain = told_of(
        &plain,
        "--url https://files.example.org/in/a --user robot",
        None,
    );
    let text = text::of(&plain);
    assert!(
        !text.contains("browser") && !text.contains("enrolment"),
        "{text}"
    );
}

#[test]
fn every_reading_and_the_destination_are_told() {
    let of = "--method MOVE --user anna --group staff --url https://files.example.org/x;a --destination /in/b --address 192.0.2.1";
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
