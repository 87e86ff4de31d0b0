//! Whole files: good ones field by field, bad ones by what the operator reads.

use super::model::*;
use super::*;
use base64::Engine as _;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Environment and files of a test.
#[derive(Default)]
struct Fake {
    env: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Fake {
    fn new() -> Self {
        let key = base64::engine::general_purpose::STANDARD.encode([7_u8; 32]);
        Self::default()
            .with_env("CREDENTIALS_DIRECTORY", "/run/credentials/vestibule")
            .with_env("TWILIO_AUTH_TOKEN", "twilio-token-hunter2")
            .with_file("/run/credentials/vestibule/store.key", &format!("{key}\n"))
            .with_file(
                "/run/credentials/vestibule/twilio.token",
                "twilio-token-hunter2\r\n",
            )
            .with_file(
                "/run/credentials/vestibule/kannel.password",
                "kannel-hunter2\n",
            )
            .with_file(
                "/run/credentials/vestibule/sms.authorization",
                "Bearer sms-hunter2\n",
            )
            .with_file("/etc/vestibule/kannel.password", "kannel-hunter2\n")
            .with_file("/etc/vestibule/tls/files.pem", "cert")
            .with_file("/etc/vestibule/tls/files.key", "key")
            .with_file("/etc/vestibule/tls/media.pem", "cert")
            .with_file("/etc/vestibule/tls/media.key", "key")
    }

    fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn with_file(mut self, path: &str, content: &str) -> Self {
        self.files
            .insert(path.into(), content.as_bytes().to_owned());
        self
    }
}

impl Sources for Fake {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let content = self.files.get(path).cloned();
        content.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The smallest file, with places to break it.
const SMALL: &str = r#"listeners:
  - address: 127.0.0.1:8080
store:
  url: sqlite:/var/lib/v.db
  key: {file: "${CREDENTIALS_DIRECTORY}/store.key"}
delivery:
  sms:
    - twilio: {account_sid: AC00000000000000000000000000000000, auth_token: {env: TWILIO_AUTH_TOKEN}, from: "+15005550006"}
identities:
  local: {accounts: {}}
upstreams:
  files: {servers: ["127.0.0.1:5000"]}
routes:
  - name: files
    hosts: [files.example.org]
    upstream: files
    identity: local
"#;

fn parsed(text: &str) -> Result<(Config, Vec<Warning>), Errors> {
    parse(text, Path::new("c.yaml"), &Fake::new())
}

fn good(text: &str) -> Config {
    match parsed(text) {
        Ok((config, _)) => config,
        Err(errors) => panic!("{errors}"),
    }
}

/// The errors' lines.
fn bad(text: &str) -> Vec<String> {
    let errors = parsed(text).expect_err("it was accepted").to_string();
    errors.lines().map(str::to_owned).collect()
}

fn warned(text: &str) -> Vec<String> {
    match parsed(text) {
        Ok((_, warnings)) => warnings.iter().map(ToString::to_string).collect(),
        Err(errors) => panic!("{errors}"),
    }
}

/// `SMALL` with one text replaced, which must be there.
fn small(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from:?} is not in SMALL");
    SMALL.replacen(from, to, 1)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn defaults_are_those_of_the_documents() {
    let config = good(SMALL);
    assert_eq!(warned(SMALL), [] as [&str; 0]);
    assert_eq!(config.timeouts.head, secs(10));
    assert_eq!(config.timeouts.body, secs(60));
    assert_eq!(config.timeouts.keepalive, secs(75));
    assert_eq!(config.sessions.lifetime, secs(90 * 86_400));
    assert_eq!(config.sessions.idle, secs(30 * 86_400));
    let Codes {
        length,
        lifetime,
        attempts,
        resend_after,
    } = config.codes;
    assert_eq!(
        (length, lifetime, attempts, resend_after),
        (6, secs(600), 5, secs(30))
    );
    let limits = &config.limits;
    assert_eq!(
        (limits.per_user_per_hour, limits.per_number_per_hour),
        (5, 5)
    );
    assert_eq!(
        (limits.per_gateway_per_minute, limits.per_prefix_per_minute),
        (60, 20)
    );
    assert!(limits.countries.is_empty());
    let lockout = config.lockout;
    assert_eq!((lockout.delay_every, lockout.lock_at), (5, 100));
    assert_eq!(
        (lockout.first_delay, lockout.max_delay),
        (secs(30), secs(3600))
    );
    assert_eq!(config.sudo, secs(600));
    assert!(config.admin.address.is_none() && config.admin.socket.is_none());
    assert!(config.trusted_proxies.is_empty());
    let route = &config.routes[0];
    assert_eq!(route.require, Requirement::TwoFactor { within: None });
    assert_eq!(route.credentials, [CredentialSource::Bearer]);
    assert_eq!(route.forward.token, ForwardToken::Original);
    assert!(!route.self_enrolment && !route.encoded_slashes);
    assert!(route.dialects.is_empty() && route.rules.is_empty() && route.cors_origins.is_empty());
    assert_eq!(
        (route.body_bytes_max, route.phone_region.as_deref()),
        (None, None)
    );
    let upstream = &config.upstreams["files"];
    assert!(upstream.tls.is_none() && upstream.host.is_none());
    assert_eq!(upstream.timeouts.connect, secs(3));
    assert_eq!(
        (config.log.json, config.log.level.as_str(), config.threads),
        (false, "info", 0)
    );
}

#[test]
fn the_reference_is_lifted_field_by_field() {
    let text = committed("vestibule.yaml");
    let path = Path::new("/srv/config/vestibule.yaml");
    let (config, warnings) = parse(&text, path, &Fake::new()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(warnings, []);
    let [public, local] = &config.listeners[..] else {
        panic!()
    };
    assert_eq!(public.address, "0.0.0.0:8443".parse().unwrap());
    let certificates = &public.tls.as_ref().unwrap().certificates;
    assert_eq!(
        certificates[0].cert,
        Path::new("/etc/vestibule/tls/files.pem")
    );
    assert_eq!(
        certificates[0].key,
        Path::new("/etc/vestibule/tls/files.key")
    );
    assert!(local.tls.is_none() && !local.forward_auth);
    assert_eq!(config.trusted_proxies, ["127.0.0.1/32".parse().unwrap()]);
    assert_eq!(
        config.admin.address,
        Some("127.0.0.1:9180".parse().unwrap())
    );
    assert_eq!(
        config.admin.socket.as_deref(),
        Some(Path::new("/run/vestibule/admin.sock"))
    );
    let StoreEngine::Sqlite(db) = &config.store.engine else {
        panic!()
    };
    assert_eq!(db, Path::new("/var/lib/vestibule/vestibule.db"));
    assert_eq!(
        config.store.key.expose(),
        "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
    );
    assert_eq!(config.limits.countries, ["DK", "NO", "SE"]);
    let [SmsProvider::Twilio(twilio), SmsProvider::Http(http)] = &config.delivery.sms[..] else {
        panic!()
    };
    assert_eq!(twilio.auth_token.expose(), "twilio-token-hunter2");
    assert_eq!(
        (twilio.from.as_str(), twilio.url.as_str()),
        ("+15005550006", "https://api.twilio.com")
    );
    assert_eq!((http.method.as_str(), http.timeout), ("GET", secs(10)));
    let query: BTreeMap<_, _> = http
        .query
        .iter()
        .map(|(k, v)| (k.as_str(), v.expose()))
        .collect();
    assert_eq!(query["password"], "kannel-hunter2");
    assert_eq!(
        (query["to"], query["text"], query["username"]),
        ("{phone}", "{text}", "vestibule")
    );
    let Identity::Learn(learn) = &config.identities["backend"] else {
        panic!()
    };
    assert_eq!(
        (learn.endpoint.as_str(), learn.token.as_str()),
        ("/api/authtoken", "/token")
    );
    assert_eq!(learn.user, "/profile/username");
    assert_eq!(learn.phone.as_deref(), Some("/profile/mobile"));
    assert_eq!(
        (learn.probe.as_deref(), learn.lifetime),
        (Some("/api/profile"), None)
    );
    let route = &config.routes[0];
    assert_eq!(
        (
            route.name.as_str(),
            route.upstream.as_str(),
            route.identity.as_str()
        ),
        ("files", "files", "backend")
    );
    assert_eq!(route.hosts, ["files.example.org"]);
    assert_eq!(
        route.credentials,
        [
            CredentialSource::Bearer,
            CredentialSource::Cookie("IOGATES".to_owned()),
            CredentialSource::Query("token".to_owned()),
            CredentialSource::Path("/share/".to_owned()),
        ]
    );
    assert_eq!(route.dialects, [Dialect::IoGates]);
    let asked: Vec<_> = route.rules.iter().map(|rule| rule.require).collect();
    let within = Some(secs(600));
    assert_eq!(
        asked,
        [
            Requirement::Nothing,
            Requirement::TwoFactor { within },
            Requirement::Deny
        ]
    );
    assert_eq!(route.rules[0].paths, ["/public/"]);
    assert_eq!(route.rules[1].methods, [http::Method::DELETE]);
    assert_eq!(route.phone_region.as_deref(), Some("DK"));
    assert_eq!(route.cors_origins, ["https://app.example.org"]);
}

/// The reference writes every default out: what it says must be what is done without it.
#[test]
fn the_references_values_are_the_defaults() {
    let fake = Fake::new();
    let parse = |text: &str| {
        parse(text, Path::new("c.yaml"), &fake)
            .unwrap_or_else(|e| panic!("{e}"))
            .0
    };
    let (reference, default) = (parse(&committed("vestibule.yaml")), parse(SMALL));
    let same = [
        (
            format!("{:?}", reference.timeouts),
            format!("{:?}", default.timeouts),
        ),
        (
            format!("{:?}", reference.connections),
            format!("{:?}", default.connections),
        ),
        (
            format!("{:?}", reference.sessions),
            format!("{:?}", default.sessions),
        ),
        (
            format!("{:?}", reference.codes),
            format!("{:?}", default.codes),
        ),
        (
            format!("{:?}", reference.lockout),
            format!("{:?}", default.lockout),
        ),
        (format!("{:?}", reference.log), format!("{:?}", default.log)),
        (
            format!("{:?}", reference.upstreams),
            format!("{:?}", default.upstreams),
        ),
    ];
    for (reference, default) in same {
        assert_eq!(reference, default);
    }
    assert_eq!(reference.sudo, default.sudo);
}

fn committed(name: &str) -> String {
    let path = format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_committed_file_is_right_and_wise() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut checked = 0;
    for dir in [dir.clone(), dir.join("examples")] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let (_, warnings) = parse(&text, &path, &Fake::new()).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(warnings, [], "{}", path.display());
            let first = text.lines().next().unwrap_or_default();
            assert!(
                first.starts_with("# yaml-language-server: $schema="),
                "{first}"
            );
            checked += 1;
        }
    }
    assert!(checked >= 8, "only {checked} files");
}

#[test]
fn without_files_what_is_missing_is_a_warning() {
    let path = Path::new("c.yaml");
    let nothing = Fake::default();
    let text = committed("examples/tls-sni.yaml");
    let errors = parse(&text, path, &nothing).unwrap_err();
    let lifted = read(&text, path, &nothing, Files::MayBeMissing).unwrap_or_else(|e| panic!("{e}"));
    assert!(
        lifted.config.is_none(),
        "a config without its key must not be served"
    );
    let warnings = warnings(lifted.warnings);
    let lines = |text: String| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, lines(errors.to_string()));
    assert_eq!(warnings.len(), 6, "{warnings:#?}");
    assert!(
        warnings[0].starts_with("c.yaml:8:18: listeners[0].tls.certificates[0].cert: cannot read /etc/vestibule/tls/files.pem: "),
        "{}",
        warnings[0]
    );
    assert_eq!(
        warnings[4],
        "c.yaml:13:15: store.key.file: the environment variable CREDENTIALS_DIRECTORY is not set"
    );
    // What is wrong stays wrong.
    let wrong = text.replace("hosts: [files.example.org]", "hosts: [\"a:80\"]");
    assert!(read(&wrong, path, &nothing, Files::MayBeMissing).is_err());
}

#[test]
fn all_errors_come_at_once_each_with_its_place_and_mend() {
    let text = r#"listeners:
  - address: :8080
    forward_auth: true
timeout: {head: 10s}
timeouts: {head: 10, body: 0s}
store:
  url: postgres://u:hunter2@db/v
  key: {fil: store.key}
codes: {length: 3}
limits: {countries: [UK, dk]}
delivery:
  email: {smtp: "smtp://127.0.0.1:25"}
identities:
  local: {accounts: {}}
  staff: {jwt: {issuer: x}}
upstreams:
  files:
    servers: ["http://127.0.0.1:5000"]
routes:
  - name: files
    hosts: [files.example.org:443]
    upstream: file
    identity: staff
    dialects: [iogates, conduit]
    rules:
      - {paths: [/public/*], require: none}
      - {paths: [], require: none}
      - {methods: [delete], require: tow_factor, within: 10m}
      - {paths: [/x], require: token, within: 10m}
    forward: {token: vestibule, assertion: true}
"#;
    let expected = [
        r#"c.yaml:2:14: listeners[0].address: ":8080" is not an IP address and a port: write it like 0.0.0.0:8080"#,
        "c.yaml:3:19: listeners[0].forward_auth: a listener that other proxies ask: not supported by this version: remove it",
        "c.yaml:4:1: timeout: unknown key: did you mean `timeouts`?",
        r#"c.yaml:5:18: timeouts.head: "10" is not a time: write a whole number and s, m, h or d, like 30s, 10m, 12h or 90d (at most 3650d)"#,
        "c.yaml:5:28: timeouts.body: must be longer than 0s",
        "c.yaml:7:8: store.url: PostgreSQL: not supported by this version: remove it",
        "c.yaml:8:9: store.key.fil: unknown key: did you mean `file`?",
        "c.yaml:9:17: codes.length: a code has 4 to 10 digits; 6 is usual",
        r#"c.yaml:10:22: limits.countries[0]: "UK": the United Kingdom is GB"#,
        "c.yaml:12:10: delivery.email: codes by e-mail: not supported by this version: remove it",
        "c.yaml:15:16: identities.staff.jwt: tokens signed by others: not supported by this version: remove it",
        r#"c.yaml:18:15: upstreams.files.servers[0]: "http://127.0.0.1:5000": write host:port; TLS is switched on by `tls: true`, a path cannot be set"#,
        r#"c.yaml:21:13: routes[0].hosts[0]: "files.example.org:443": hosts match without the port: remove it"#,
        r#"c.yaml:22:15: routes[0].upstream: there is no upstream "file"; defined: files (line 18)"#,
        "c.yaml:24:25: routes[0].dialects[1]: the dialect conduit: not supported by this version: remove it",
        r#"c.yaml:26:18: routes[0].rules[0].paths[0]: "/public/*": `*` is no wildcard here: a path that ends in / matches everything below it"#,
        "c.yaml:27:17: routes[0].rules[1].paths: is empty: write what the rule matches, or remove the key to match all",
        r#"c.yaml:28:20: routes[0].rules[2].methods[0]: "delete": write methods in upper case, like DELETE"#,
        r#"c.yaml:28:38: routes[0].rules[2].require: "tow_factor" is not one of the known words: did you mean `two_factor`?"#,
        "c.yaml:29:47: routes[0].rules[3].within: goes with `require: two_factor` only",
        "c.yaml:30:22: routes[0].forward.token: forwarding Vestibule's own token: not supported by this version: remove it",
        "c.yaml:30:44: routes[0].forward.assertion: a signed assertion: not supported by this version: remove it",
    ];
    let found = bad(text);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(!found.concat().contains("hunter2"));
}

#[test]
fn an_index_in_a_message_is_the_files_own() {
    let text = small(
        "    hosts: [files.example.org]",
        "    hosts: [{a: b}, files.example.org, \"a:80\"]",
    );
    let found = bad(&text);
    assert_eq!(
        found,
        [
            "c.yaml:15:13: routes[0].hosts[0]: expected a string, found a mapping",
            r#"c.yaml:15:40: routes[0].hosts[2]: "a:80": hosts match without the port: remove it"#,
        ]
    );
}

#[test]
fn what_is_wrong_is_reported_once() {
    // The upstream and the store's URL are there, only wrong: nothing says that they are missing.
    let text = small("files: {servers: [\"127.0.0.1:5000\"]}", "files: 5")
        .replace("sqlite:/var/lib/v.db", "[a]");
    let found = bad(&text);
    assert_eq!(
        found,
        [
            "c.yaml:4:8: store.url: expected a string, found a list",
            "c.yaml:12:10: upstreams.files: expected a mapping, like {key: value}, found a single value",
        ]
    );
}

#[test]
fn a_missing_key_is_named_where_it_should_be() {
    assert_eq!(
        bad("threads: 2\n"),
        [
            "c.yaml:1:1: listeners: is missing: write at least one, like `- address: 127.0.0.1:8080`",
            "c.yaml:1:1: store: is missing: write its `url` and `key`",
            "c.yaml:1:1: identities: is missing: write at least one, like `local: {accounts: {}}`",
            "c.yaml:1:1: upstreams: is missing: write at least one, like `files: {servers: [\"127.0.0.1:5000\"]}`",
            "c.yaml:1:1: routes: is missing: write at least one, or nothing is served",
        ]
    );
}

/// One fault each: the replaced text, its replacement, and how the one error begins and what it tells.
#[test]
fn each_fault_has_its_message() {
    let route = "    identity: local\n";
    let cases = [
        (
            "127.0.0.1:8080",
            "localhost:8080",
            "2:14: listeners[0].address",
            "write it like 127.0.0.1:8080",
        ),
        (
            "127.0.0.1:8080",
            "127.0.0.1:8080\n    tls: {certificates: []}",
            "3:25: listeners[0].tls.certificates",
            "is empty",
        ),
        (
            "127.0.0.1:8080",
            "127.0.0.1:8080\n    tls: {certificates: [{cert: a.pem, key: /etc/vestibule/tls/files.key}]}",
            "3:33: listeners[0].tls.certificates[0].cert",
            "cannot read a.pem",
        ),
        (
            "127.0.0.1:8080",
            "127.0.0.1:8080\n    tls: {certificates: [{cert: /etc/vestibule/tls/files.pem}]}",
            "3:26: listeners[0].tls.certificates[0].key",
            "is missing: name the PEM file",
        ),
        (
            "127.0.0.1:8080",
            "127.0.0.1:8080\n  - address: 0.0.0.0:8080",
            "3:14: listeners[1].address",
            "0.0.0.0:8080 clashes with 127.0.0.1:8080 (line 2)",
        ),
        (
            "store:",
            "admin: {address: 127.0.0.1:8080}\nstore:",
            "3:18: admin.address",
            "clashes with 127.0.0.1:8080 (line 2)",
        ),
        (
            "store:",
            "trusted_proxies: [10.0.0.0/33]\nstore:",
            "3:19: trusted_proxies[0]",
            "write it like 10.0.0.0/8",
        ),
        (
            "store:",
            "threads: many\nstore:",
            "3:10: threads",
            "a whole number",
        ),
        (
            "store:",
            "threads: 70000\nstore:",
            "3:10: threads",
            "out of range",
        ),
        (
            "store:",
            "threads: \"2\"\nstore:",
            "3:10: threads",
            "without quotes",
        ),
        (
            "store:",
            "connections: {max: 0}\nstore:",
            "3:20: connections.max",
            "must be more than 0",
        ),
        (
            "store:",
            "log: {json: yes}\nstore:",
            "3:13: log.json",
            "`true` or `false`",
        ),
        (
            "store:",
            "log: {level: inof}\nstore:",
            "3:14: log.level",
            "write error, warn, info, debug or trace",
        ),
        (
            "store:",
            "limits:\nstore:",
            "3:7: limits",
            "is empty: write a value, or remove the key",
        ),
        (
            "sqlite:/var/lib/v.db",
            "mysql://u:hunter2@h/d",
            "4:8: store.url",
            "write sqlite:PATH or memory:",
        ),
        (
            "sqlite:/var/lib/v.db",
            "sqlite:///var/lib/v.db",
            "4:8: store.url",
            "write the path alone",
        ),
        (
            "sqlite:/var/lib/v.db",
            "\"sqlite:${NO}/v.db\"",
            "4:8: store.url",
            "the environment variable NO is not set",
        ),
        (
            "{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}",
            "{file: no.key}",
            "5:15: store.key.file",
            "cannot read no.key",
        ),
        (
            "{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}",
            "{env: NO}",
            "5:14: store.key.env",
            "the environment variable NO is not set",
        ),
        (
            "{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}",
            "{file: a, env: b}",
            "5:8: store.key",
            "write either {file: PATH} or {env: NAME}",
        ),
        (
            "{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}",
            "hunter2",
            "5:8: store.key",
            "made by `vestibule key generate`; it is not base64",
        ),
        (
            "{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}",
            "aHVudGVyMg==",
            "5:8: store.key",
            "must be 32 bytes in base64, as made by `vestibule key generate`; it has 7 bytes",
        ),
        (
            "AC0000",
            "AD0000",
            "8:29: delivery.sms[0].twilio.account_sid",
            "AC and 32 hex digits",
        ),
        (
            "\"+15005550006\"",
            "Files",
            "8:109: delivery.sms[0].twilio.from",
            "an E.164 number",
        ),
        (
            "\"+15005550006\"",
            "+15005550006, url: ftp://a",
            "8:128: delivery.sms[0].twilio.url",
            "https:// or http://",
        ),
        (
            "    - twilio",
            "    - {}\n    - twilio",
            "8:7: delivery.sms[0]",
            "write either `twilio: {…}` or `http: {…}`",
        ),
        (
            "    - twilio",
            "    - http: {url: https://a/, query: {to: \"{phone}\"}}\n    - twilio",
            "8:13: delivery.sms[0].http",
            "no value has {text}",
        ),
        (
            "    - twilio",
            "    - http: {url: https://a/, query: {to: \"{text}\"}}\n    - twilio",
            "8:13: delivery.sms[0].http",
            "no value has {phone}",
        ),
        (
            "    - twilio",
            "    - http: {url: \"https://a/?key=hunter2\", form: {to: \"{phone}{text}\"}}\n    - twilio",
            "8:19: delivery.sms[0].http.url",
            "put its parameters into `query`",
        ),
        (
            "    - twilio",
            "    - http: {url: https://a/, json: '{\"to\": \"{phone}\", {text}}'}\n    - twilio",
            "8:37: delivery.sms[0].http.json",
            "is not JSON",
        ),
        (
            "    - twilio",
            "    - http: {url: https://a/, method: GET, form: {to: \"{phone}{text}\"}}\n    - twilio",
            "8:39: delivery.sms[0].http.method",
            "a GET has no body",
        ),
        (
            "    - twilio",
            "    - http: {url: https://a/, headers: {\"a b\": \"{phone}{text}\"}}\n    - twilio",
            "8:48: delivery.sms[0].http.headers.\"a b\"",
            "is not a header name",
        ),
        (
            "{accounts: {}}",
            "{}",
            "10:10: identities.local",
            "write either `learn: {…}` or `accounts: {}`",
        ),
        (
            "{accounts: {}}",
            "{introspection: {}}",
            "10:26: identities.local.introspection",
            "not supported by this version",
        ),
        (
            "{accounts: {}}",
            "{account: {}}",
            "10:11: identities.local.account",
            "did you mean `accounts`?",
        ),
        (
            "{accounts: {}}",
            "{learn: {endpoint: api, token: /t, user: /u, phone: /p}}",
            "10:29: identities.local.learn.endpoint",
            "a path starts with `/`",
        ),
        (
            "{accounts: {}}",
            "{learn: {endpoint: /api, token: t, user: /u, phone: /p}}",
            "10:42: identities.local.learn.token",
            "is not a JSON pointer",
        ),
        (
            "{accounts: {}}",
            "{learn: {endpoint: /api, token: /t, user: /u, phone: /~2}}",
            "10:63: identities.local.learn.phone",
            "write ~ as ~0",
        ),
        (
            "{accounts: {}}",
            "{learn: {endpoint: /api, token: /t, phone: /p}}",
            "10:18: identities.local.learn.user",
            "is missing: write a JSON pointer",
        ),
        (
            "[\"127.0.0.1:5000\"]",
            "[]",
            "12:20: upstreams.files.servers",
            "is empty",
        ),
        (
            "[\"127.0.0.1:5000\"]",
            "[\"127.0.0.1:5000\"], tls: true",
            "12:45: upstreams.files.tls",
            "write `tls: {server_name: NAME}`",
        ),
        (
            "[\"127.0.0.1:5000\"]",
            "[\"a.org:5000\", \"b.org:5000\"], tls: true",
            "12:55: upstreams.files.tls",
            "the servers have different names",
        ),
        (
            "[\"127.0.0.1:5000\"]",
            "[\"a.org:5000\"], tls: {server_name: \"\"}",
            "12:55: upstreams.files.tls.server_name",
            "write a host name",
        ),
        (
            "[\"127.0.0.1:5000\"]",
            "[\"a.org:5000\"], headers: {X-Vestibule-User: a}",
            "12:64: upstreams.files.headers.X-Vestibule-User",
            "Vestibule sets these headers itself",
        ),
        (
            "[\"127.0.0.1:5000\"]",
            "[\"a.org:5000\"], headers: {Content-Length: a}",
            "12:62: upstreams.files.headers.Content-Length",
            "the proxy's own",
        ),
        (
            "[\"127.0.0.1:5000\"]",
            "[\"a.org:5000\"], headers: {Host: a}",
            "12:52: upstreams.files.headers.Host",
            "write `host:`",
        ),
        (
            "[\"127.0.0.1:5000\"]",
            "[\"a.org:5000\"], headers: {a: \"hunter2\\n\"}",
            "12:49: upstreams.files.headers.a",
            "cannot carry",
        ),
        (
            "[\"127.0.0.1:5000\"]",
            "[\"a.org:5000\"], timeouts: {read: 0s}",
            "12:53: upstreams.files.timeouts.read",
            "must be longer than 0s",
        ),
        (
            "name: files",
            "name: my files",
            "14:11: routes[0].name",
            "write up to 64 letters",
        ),
        (
            "    upstream: files\n",
            "",
            "14:5: routes[0].upstream",
            "is missing: write a name of `upstreams`",
        ),
        (
            "identity: local",
            "identity: loca",
            "17:15: routes[0].identity",
            "there is no identity \"loca\"; defined: local (line 10)",
        ),
        (
            route,
            "    identity: local\n    credentials: []\n",
            "18:18: routes[0].credentials",
            "is empty",
        ),
        (
            route,
            "    identity: local\n    credentials: [bearer, bearer]\n",
            "18:27: routes[0].credentials[1]",
            "twice",
        ),
        (
            route,
            "    identity: local\n    credentials: [barer]\n",
            "18:19: routes[0].credentials[0]",
            "write bearer, {cookie: NAME}",
        ),
        (
            route,
            "    identity: local\n    credentials: [{cookie: vestibule_device}]\n",
            "18:28: routes[0].credentials[0].cookie",
            "Vestibule's own",
        ),
        (
            route,
            "    identity: local\n    credentials: [{query: deviceId}]\n",
            "18:27: routes[0].credentials[0].query",
            "a token cannot travel in it",
        ),
        (
            route,
            "    identity: local\n    credentials: [{path: \"/s/{id}\"}]\n",
            "18:26: routes[0].credentials[0].path",
            "the last segment must be {token}",
        ),
        (
            route,
            "    identity: local\n    dialects: [ziik]\n",
            "18:16: routes[0].dialects[0]",
            "not supported by this version",
        ),
        (
            route,
            "    identity: local\n    dialects: [b2core]\n",
            "18:16: routes[0].dialects[0]",
            "not supported by this version",
        ),
        (
            route,
            "    identity: local\n    phone_region: DNK\n",
            "18:19: routes[0].phone_region",
            "two letters of ISO 3166",
        ),
        (
            route,
            "    identity: local\n    cors: {origins: [\"*\"]}\n",
            "18:22: routes[0].cors.origins[0]",
            "name each origin",
        ),
        (
            route,
            "    identity: local\n    rules: [{paths: [/a/../b], require: none}]\n",
            "18:22: routes[0].rules[0].paths[0]",
            "without `.` and `..`",
        ),
        (
            route,
            "    identity: local\n    rules: [{paths: , require: none}]\n",
            "18:19: routes[0].rules[0].paths",
            "is empty",
        ),
        (
            route,
            "    identity: local\n    rules: [{paths: [/a]}]\n",
            "18:13: routes[0].rules[0].require",
            "is missing",
        ),
        (
            route,
            "    identity: local\n    rules: [{require: two_factor, within: 0s}]\n",
            "18:43: routes[0].rules[0].within",
            "must be longer than 0s",
        ),
        (
            route,
            "    identity: local\n  - {name: files, hosts: [b.org], upstream: files, identity: local}\n",
            "18:12: routes[1].name",
            "there is a route \"files\" already (line 14)",
        ),
        (
            route,
            "    identity: local\n  - {name: b, hosts: [FILES.example.org.], upstream: files, identity: local}\n",
            "18:23: routes[1].hosts[0]",
            "is taken already (line 15)",
        ),
    ];
    let mut wrong = Vec::new();
    for (from, to, place, mend) in cases {
        let found = bad(&small(from, to));
        let is_right = |found: &String| {
            found.starts_with(&format!("c.yaml:{place}: ")) && found.contains(mend)
        };
        if found.len() != 1 || !found.iter().all(is_right) || found.concat().contains("hunter2") {
            wrong.push(format!(
                "{to:?}
  is {found:#?}
 not {place}: … {mend}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}",
        wrong.join(
            "
"
        )
    );
}

#[test]
fn what_is_unwise_is_warned_of() {
    let route = "    identity: local\n";
    let cases = [
        (
            "127.0.0.1:8080",
            "0.0.0.0:8080",
            "2:14: listeners[0].address",
            "in the clear",
        ),
        (
            "store:",
            "admin: {address: 0.0.0.0:9180}\nstore:",
            "3:18: admin.address",
            "can read the metrics",
        ),
        (
            "store:",
            "trusted_proxies: [0.0.0.0/0]\nstore:",
            "3:19: trusted_proxies[0]",
            "name your proxies alone",
        ),
        (
            "store:",
            "codes: {length: 4}\nstore:",
            "3:17: codes.length",
            "6 is usual",
        ),
        (
            "store:",
            "codes: {lifetime: 31m}\nstore:",
            "3:19: codes.lifetime",
            "30m",
        ),
        (
            "store:",
            "codes: {attempts: 11}\nstore:",
            "3:19: codes.attempts",
            "more than 10",
        ),
        (
            "store:",
            "codes: {attempts: 0}\nstore:",
            "3:19: codes.attempts",
            "no code can ever be right",
        ),
        (
            "store:",
            "limits: {per_user_per_hour: 21}\nstore:",
            "3:29: limits.per_user_per_hour",
            "more than 20",
        ),
        (
            "store:",
            "limits: {per_gateway_per_minute: 0}\nstore:",
            "3:34: limits.per_gateway_per_minute",
            "no code is ever sent",
        ),
        (
            "store:",
            "lockout: {lock_at: 0}\nstore:",
            "3:20: lockout.lock_at",
            "locks a user",
        ),
        (
            "store:",
            "lockout: {lock_at: 3}\nstore:",
            "3:20: lockout.lock_at",
            "can lock its user",
        ),
        (
            "store:",
            "lockout: {delay_every: 0}\nstore:",
            "3:24: lockout.delay_every",
            "never cost a delay",
        ),
        (
            "store:",
            "sessions: {idle: 91d}\nstore:",
            "3:18: sessions.idle",
            "has no effect",
        ),
        (
            "sqlite:/var/lib/v.db",
            "\"memory:\"",
            "4:8: store.url",
            "for trials only",
        ),
        (
            "{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}",
            "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
            "5:8: store.key",
            "a file of its own",
        ),
        (
            "{env: TWILIO_AUTH_TOKEN}",
            "hunter2",
            "8:77: delivery.sms[0].twilio.auth_token",
            "a file of its own",
        ),
        (
            "    - twilio",
            "    - http: {url: http://a/, query: {to: \"{phone}{text}\"}}\n    - twilio",
            "8:19: delivery.sms[0].http.url",
            "in the clear",
        ),
        (
            "{accounts: {}}",
            "{learn: {endpoint: /api, token: /t, user: /u}}",
            "10:18: identities.local.learn",
            "without `phone`",
        ),
        (
            "[\"127.0.0.1:5000\"]",
            "[\"127.0.0.1:5000\"], headers: {authorization: hunter2}",
            "12:65: upstreams.files.headers.authorization",
            "a file of its own",
        ),
        (
            "upstreams:",
            "upstreams:\n  other: {servers: [\"127.0.0.1:1\"]}",
            "12:10: upstreams.other",
            "no route uses it",
        ),
        (
            route,
            "    identity: local\n    require: none\n",
            "18:14: routes[0].require",
            "open to all",
        ),
        (
            route,
            "    identity: local\n    rules: [{paths: [/a/], require: none}, {methods: [GET], paths: [/a/b, /a], require: deny}]\n",
            "18:44: routes[0].rules[1]",
            "never reached: the rule in line 18",
        ),
        (
            route,
            "    identity: local\n    rules: [{paths: [/a], require: success_token}]\n",
            "18:36: routes[0].rules[0].require",
            "stay closed",
        ),
    ];
    let mut wrong = Vec::new();
    for (from, to, place, text) in cases {
        let found = warned(&small(from, to));
        let is_right = |found: &String| {
            found.starts_with(&format!("c.yaml:{place}: ")) && found.contains(text)
        };
        if found.len() != 1 || !found.iter().all(is_right) || found.concat().contains("hunter2") {
            wrong.push(format!(
                "{to:?}
  is {found:#?}
 not {place}: … {text}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}",
        wrong.join(
            "
"
        )
    );
    let (from, _) = SMALL.split_once("identities:").unwrap();
    let (from, delivery) = from.split_at(from.find("delivery:").unwrap());
    assert!(!from.is_empty());
    let found = warned(&SMALL.replace(delivery, ""));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("routes[0]: asks for a second factor"),
        "{found:?}"
    );
}

#[test]
fn rules_that_can_be_reached_are_not_warned_of() {
    let rules = "    identity: local\n    rules: [{methods: [GET], paths: [/a/], require: none}, {paths: [/a/b], require: deny}, {paths: [/ab], require: token}]\n";
    assert_eq!(
        warned(&small("    identity: local\n", rules)),
        [] as [&str; 0]
    );
}

#[test]
fn yaml_is_refused_where_it_surprises() {
    let cases = [
        ("a: [1\n", "c.yaml:2:1: this is not YAML:"),
        ("a:\n\tb: 1\n", "this is not YAML:"),
        ("", "c.yaml: is empty"),
        ("# only a comment\n", "c.yaml: is empty"),
        ("- a\n", "c.yaml:1:1: expected a mapping"),
        ("text\n", "c.yaml:1:1: expected a mapping"),
    ];
    for (text, start) in cases {
        let found = bad(text);
        assert!(
            found.len() == 1 && found[0].contains(start),
            "{text:?}: {found:?}"
        );
    }
    let extra = |line: &str| format!("{SMALL}{line}\n");
    let cases = [
        (extra("sudo: &a 10m"), "c.yaml:18:10: anchors (`&name`)"),
        (extra("sudo: !!str 10m"), "c.yaml:18:13: tags (`!name`)"),
        (
            extra("store: {}"),
            "c.yaml:18:1: the key \"store\" is there twice; first in line 3",
        ),
        (
            extra("---\nsudo: 10m"),
            "c.yaml:18:1: a second document starts here",
        ),
        (extra("? {a: b}\n: c"), "a key must be a plain text"),
        (extra("<<: {sudo: 10m}"), "c.yaml:18:1: \"<<\": unknown key"),
    ];
    for (text, start) in cases {
        let found = bad(&text);
        assert!(
            found.len() == 1 && found[0].contains(start),
            "{text:?}: {found:?}"
        );
    }
    let found = bad(&extra("sudo: &a 10m\nthreads: *a"));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn bombs_are_refused_soon() {
    let mut bomb = "a0: &a0 [x, x]\n".to_owned();
    for level in 1..40 {
        bomb.push_str(&format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
    }
    assert!(bad(&bomb).concat().contains("anchors"));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert!(
        bad(&deep)[0].contains("nested deeper than 32"),
        "{:?}",
        bad(&deep)
    );
    let many: String = (0..200).map(|n| format!("key{n}: 1\n")).collect();
    let found = bad(&many);
    assert_eq!(found.len(), 51);
    assert!(
        found
            .iter()
            .any(|line| line.contains("more than 50 errors"))
    );
}

#[test]
fn no_secret_is_in_debug() {
    let text = small("{env: TWILIO_AUTH_TOKEN}", "plain-hunter2").replace(
        "[\"127.0.0.1:5000\"]",
        "[\"127.0.0.1:5000\"], headers: {authorization: upstream-hunter2}",
    );
    let shown = format!(
        "{:?} {:#?}",
        good(&text),
        good(&committed("vestibule.yaml"))
    );
    for secret in ["hunter2", "BwcHBwcH"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("***"));
}

#[test]
fn words_that_other_readers_take_for_something_else_are_texts() {
    let text = small(
        "    identity: local\n",
        "    identity: local\n    phone_region: NO\n",
    )
    .replace("\"+15005550006\"", "+15005550006");
    let config = good(&text);
    assert_eq!(config.routes[0].phone_region.as_deref(), Some("NO"));
    let SmsProvider::Twilio(twilio) = &config.delivery.sms[0] else {
        panic!()
    };
    assert_eq!(twilio.from, "+15005550006");
}

#[test]
fn tls_towards_a_backend_takes_the_servers_name() {
    let name = |servers: &str| {
        let config = good(&small("[\"127.0.0.1:5000\"]", servers));
        config.upstreams["files"]
            .tls
            .as_ref()
            .map(|tls| tls.server_name.clone())
    };
    assert_eq!(
        name("[\"Files.org:443\"], tls: true").as_deref(),
        Some("files.org")
    );
    assert_eq!(
        name("[\"127.0.0.1:443\"], tls: {server_name: files.org}").as_deref(),
        Some("files.org")
    );
    assert_eq!(name("[\"files.org:443\"], tls: false"), None);
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let key = String::from_utf8(
        Fake::new().files[Path::new("/run/credentials/vestibule/store.key")].clone(),
    )
    .unwrap();
    let fake = Fake::new().with_file("/srv/keys/store.key", &key);
    let text = small("\"${CREDENTIALS_DIRECTORY}/store.key\"", "keys/store.key")
        .replace("sqlite:/var/lib/v.db", "sqlite:v.db");
    let (config, _) =
        parse(&text, Path::new("/srv/c.yaml"), &fake).unwrap_or_else(|e| panic!("{e}"));
    let StoreEngine::Sqlite(db) = &config.store.engine else {
        panic!()
    };
    assert_eq!(db, Path::new("/srv/v.db"));
}

#[test]
fn files_that_are_no_config_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    let error = load(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("there is no such file: name one with --config"),
        "{error}"
    );
    std::fs::write(&path, b"a: b\nc: \xff\n").unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("line 2 is not UTF-8: save the file as UTF-8"),
        "{error}"
    );
    std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains("larger than 1024 KiB"), "{error}");
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn a_file_is_loaded_with_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    let text = small("\"${CREDENTIALS_DIRECTORY}/store.key\"", "store.key")
        .replace("{env: TWILIO_AUTH_TOKEN}", "{file: twilio}")
        .replace("store:\n", "admin: {socket: admin.sock}\nstore:\n");
    std::fs::write(&path, format!("\u{feff}{text}")).unwrap();
    // Without the secrets: not to serve, but the way to the running gateway is known.
    assert!(load(&path).is_err());
    assert!(check(&path, Files::MustExist).is_err());
    assert_eq!(check(&path, Files::MayBeMissing).unwrap().len(), 2);
    assert_eq!(
        admin(&path).unwrap().socket,
        Some(dir.path().join("admin.sock"))
    );
    std::fs::write(
        dir.path().join("store.key"),
        "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("twilio"), "\n").unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.ends_with("twilio is empty"), "{error}");
    std::fs::write(dir.path().join("twilio"), "hunter2\n").unwrap();
    let config = load(&path).unwrap();
    let SmsProvider::Twilio(twilio) = &config.delivery.sms[0] else {
        panic!()
    };
    assert_eq!(twilio.auth_token.expose(), "hunter2");
    assert_eq!(check(&path, Files::MustExist), Ok(Vec::new()));
}

proptest::proptest! {
    /// Whatever the text: an answer, and never an empty list of errors.
    #[test]
    fn no_text_makes_it_panic(text in "[-a-z:{}\\[\\]&*!|>'\"%@#,? \\n\\t0-9]{0,200}") {
        if let Err(errors) = parsed(&text) {
            assert!(errors.iter().count() > 0);
        }
    }

    /// A good file with a piece cut out or put in.
    #[test]
    fn no_damage_makes_it_panic(at in 0_usize..4000, cut in 0_usize..40, put in "[-a-z:{}\\[\\]&*!|\" \\n]{0,6}") {
        let mut chars: Vec<char> = committed("vestibule.yaml").chars().filter(char::is_ascii).collect();
        let at = at.min(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, put.chars());
        let text: String = chars.into_iter().collect();
        if let Err(errors) = parsed(&text) {
            assert!(errors.iter().count() > 0);
        }
    }
}
