//! A real mail server: Python's aiosmtpd, run by `smtpd.py` beside this file.

use serde::Deserialize;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Where `make test` installs what `tests/requirements.txt` names.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin/python3");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/smtpd.py");
/// Long enough for a busy machine; nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Smtpd {
    child: Child,
    pub(crate) port: u16,
    lines: mpsc::Receiver<String>,
}

/// A mail as a client shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Received {
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    /// The client's port: the same for mails on one connection.
    pub(crate) peer: u16,
    pub(crate) tls: bool,
    /// What the client called itself.
    pub(crate) hello: String,
    /// Who signed in; empty: nobody.
    pub(crate) user: String,
    headers: Vec<(String, String)>,
    pub(crate) text: String,
    /// Whether it came in ASCII alone.
    pub(crate) ascii: bool,
}

impl Received {
    /// The one header of this name.
    pub(crate) fn header(&self, name: &str) -> &str {
        let all: Vec<_> = self
            .headers
            .iter()
            .filter(|(header, _)| header.eq_ignore_ascii_case(name))
            .collect();
        assert_eq!(all.len(), 1, "{name} in {:?}", self.headers);
        &all[0].1
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        let is = |(header, _): &(String, String)| header.eq_ignore_ascii_case(name);
        self.headers.iter().any(is)
    }
}

impl Smtpd {
    /// Starts one with the options of `smtpd.py`.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut child = Command::new(PYTHON)
            .arg(SCRIPT)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{PYTHON}: {error}: run `make test`"));
        let output = child.stdout.take().expect("stdout");
        let (say, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = say.send(line);
            }
        });
        let line = lines
            .recv_timeout(DEADLINE)
            .expect("smtpd.py did not start: is aiosmtpd installed? run `make test`");
        let port = line.trim_start_matches("{\"port\": ").trim_end_matches('}');
        let port = port.parse().expect("a port");
        Self { child, port, lines }
    }

    /// The same under TLS (`starttls` or `implicit`), with `server.pem` and `server.key` of `dir`.
    pub(crate) fn with_tls(tls: &str, dir: &Path, options: &[&str]) -> Self {
        let (cert, key) = (dir.join("server.pem"), dir.join("server.key"));
        let mut all = vec!["--tls", tls];
        all.extend(["--cert", cert.to_str().expect("path")]);
        all.extend(["--key", key.to_str().expect("path")]);
        all.extend(options);
        Self::start(&all)
    }

    /// The next mail it has taken.
    pub(crate) fn next(&self) -> Received {
        let line = self.lines.recv_timeout(DEADLINE).expect("a mail");
        serde_json::from_str(&line).expect("a mail in JSON")
    }

    /// Ends it; the mails that nobody has asked for.
    pub(crate) fn rest(mut self) -> Vec<Received> {
        self.stop();
        let rest: Vec<String> = self.lines.iter().collect();
        let read = |line: &String| serde_json::from_str(line).expect("a mail in JSON");
        rest.iter().map(read).collect()
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Smtpd {
    fn drop(&mut self) {
        self.stop();
    }
}
