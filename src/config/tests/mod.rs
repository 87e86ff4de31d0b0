//! Whole files: the environment of the tests, and the smallest good file to break.

mod background;
mod faults;
mod files;
mod good;
mod unwise;
mod yaml;

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
            .with_file("/run/credentials/vestibule/mail.password", "mail-hunter2\n")
            .with_file("/run/credentials/vestibule/oauth.secret", "oauth-hunter2\n")
            .with_file(
                "issuer.pem",
                "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
            )
            .with_file(
                "private.pem",
                "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
            )
            .with_file("keys.json", r#"{"keys": [{"kty": "OKP"}]}"#)
            .with_file("no-keys.json", r#"{"keys": []}"#)
            .with_file("/etc/vestibule/kannel.password", "kannel-hunter2\n")
            .with_file("/etc/vestibule/mail.password", "mail-hunter2\n")
            .with_file("/etc/vestibule/logo.svg", "<svg/>")
            .with_file("logo.svg", "<svg/>")
            .with_file(
                "large.svg",
                &format!("<svg>{}</svg>", " ".repeat(256 << 10)),
            )
            .with_file("logo.gif", "GIF89a")
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

/// The last line of `SMALL`, where keys of its route can be added.
const ROUTE: &str = "    identity: local\n";

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

fn committed(name: &str) -> String {
    let path = format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
