//! Chromium as a person uses it: a walk of `tests/browser` (see its README.md) against a test's gateway.

use super::smtpd::Smtpd;
use super::{Inbox, Site, program, secret, wait_for};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// A whole walk, on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// Until a code is there.
const CODE_LIMIT: Duration = Duration::from_secs(20);

type Answer<'a> = Box<dyn FnMut(&Value) -> Value + 'a>;

/// One walk: what the script is told, and who answers what it asks.
pub(crate) struct Walk<'a> {
    name: &'static str,
    facts: Value,
    inbox: Option<Inbox>,
    /// How many messages to a number the script has been told of.
    told: HashMap<String, usize>,
    mail: Option<&'a Smtpd>,
    answers: HashMap<&'static str, Answer<'a>>,
}

impl<'a> Walk<'a> {
    /// The walk `tests/browser/<name>.mjs` through this site.
    pub(crate) fn new(name: &'static str, site: &Site) -> Self {
        // By name: to a browser, this is a secure place, as passkeys ask for.
        let port = site.gateway.listeners[0].port();
        let mut walk = Self::at(name, &format!("http://localhost:{port}"));
        for (number, _) in site.inbox.messages() {
            *walk.told.entry(number).or_default() += 1;
        }
        walk.inbox = Some(site.inbox.clone());
        walk
    }

    /// The same through whatever is at this URL.
    pub(crate) fn at(name: &'static str, base: &str) -> Self {
        Self {
            name,
            facts: json!({"base": base, "chromium": program("chromium")}),
            inbox: None,
            told: HashMap::new(),
            mail: None,
            answers: HashMap::new(),
        }
    }

    /// Tells the script something: `facts.<name>`. A secret is to be named by `secret()`.
    pub(crate) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts[name] = value.into();
        self
    }

    /// Where mail arrives: `ask('mail')` is the code in the next one.
    pub(crate) fn mail(mut self, server: &'a Smtpd) -> Self {
        self.mail = Some(server);
        self
    }

    /// Who answers `ask('<what>', {…})`; what was asked comes in.
    pub(crate) fn answer(
        mut self,
        what: &'static str,
        answer: impl FnMut(&Value) -> Value + 'a,
    ) -> Self {
        self.answers.insert(what, Box::new(answer));
        self
    }

    /// Goes all the way, or fails with what the script has to say.
    pub(crate) async fn run(mut self) {
        // Chromium leaves its profile behind when it is killed.
        let scratch = tempfile::tempdir().expect("folder");
        let mut node = tokio::process::Command::new(program("node"))
            .arg(format!("{ROOT}/tests/browser/{}.mjs", self.name))
            .env("WALK", self.facts.to_string())
            .env(
                "FONTCONFIG_FILE",
                format!("{ROOT}/tests/browser/fonts.conf"),
            )
            .env("TMPDIR", scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Chromium ends itself when its driver is gone.
            .kill_on_drop(true)
            .spawn()
            .expect("node");
        let mut complaint = String::new();
        let mut stderr = node.stderr.take().expect("stderr");
        let walked = async {
            tokio::join!(
                self.converse(&mut node),
                stderr.read_to_string(&mut complaint)
            )
        };
        let walked = tokio::time::timeout(LIMIT, walked).await;
        assert!(walked.is_ok(), "{}: not done after {LIMIT:?}", self.name);
        let status = node.wait().await.expect("node");
        assert!(status.success(), "{status}: {complaint}");
    }

    async fn converse(&mut self, node: &mut Child) {
        let mut asked = BufReader::new(node.stdout.take().expect("stdout")).lines();
        let mut stdin = node.stdin.take().expect("stdin");
        while let Some(line) = asked.next_line().await.expect("a line") {
            let question = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            let answer = self.reply(&question).await;
            say(&mut stdin, &answer).await;
        }
    }

    async fn reply(&mut self, asked: &Value) -> Value {
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let what = text("ask");
        if let Some(answer) = self.answers.get_mut(what.as_str()) {
            return answer(asked);
        }
        match what.as_str() {
            "sms" => json!(self.message(&text("to")).await),
            "mail" => {
                let server = self.mail.expect("a mail server, by Walk::mail");
                json!(code_in(&server.next().text))
            }
            "totp" => json!(totp(&text("key"), asked["ahead"].as_i64().unwrap_or(0))),
            "secret" => json!(secret(&text("text"))),
            _ => panic!("nobody answers {what}: see Walk::answer"),
        }
    }

    /// The code of the first message that the script has not been told of.
    async fn message(&mut self, number: &str) -> String {
        let inbox = self.inbox.as_ref().expect("an inbox, by Walk::new");
        let told = self.told.entry(number.to_owned()).or_default();
        let text = wait_for("a message", CODE_LIMIT, async || {
            let all = inbox.messages().into_iter();
            let mut texts = all.filter(|(to, _)| to == number).map(|(_, text)| text);
            texts.nth(*told)
        })
        .await;
        *told += 1;
        code_in(&text)
    }
}

async fn say(stdin: &mut ChildStdin, answer: &Value) {
    let line = format!("{answer}\n");
    // Where the script has ended by now, its verdict says why.
    let _ = stdin.write_all(line.as_bytes()).await;
}

/// The first six digits in a row.
fn code_in(text: &str) -> String {
    let mut words = text.split(|c: char| !c.is_ascii_digit());
    secret(words.find(|word| word.len() == 6).expect("a code"))
}

/// What an authenticator app shows, some seconds from now.
pub(crate) fn totp(key: &str, ahead_secs: i64) -> String {
    let output = Command::new(program("oathtool"))
        .args(["--totp", "--base32", "--now"])
        .arg(format!("{ahead_secs} seconds"))
        .arg(secret(key))
        .output()
        .expect("oathtool");
    assert!(output.status.success(), "oathtool");
    secret(String::from_utf8(output.stdout).expect("digits").trim())
}
