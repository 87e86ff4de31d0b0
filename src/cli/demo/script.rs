//! What the demo prints: the whole ioGates flow as lines to paste, and the same lines as a script.

use super::backend::Backend;
use super::{DemoError, PHONE};
use crate::secret::Secret;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What the lines are made of.
pub(super) struct Lines {
    /// `http://127.0.0.1:8080`
    pub(super) base: String,
    pub(super) password: Secret,
    pub(super) share_url: Secret,
    /// A file to fetch, and what is in it, if known.
    pub(super) file: &'static str,
    pub(super) file_text: Option<&'static str>,
}

/// One line to paste.
struct Step {
    about: &'static str,
    line: String,
    /// What its output must hold; `None` for a line that sets a variable.
    expect: Option<&'static str>,
}

const BEARER: &str = r#"-H "Authorization: Bearer $TOKEN""#;

impl Lines {
    fn steps(&self, code: String) -> [Step; 6] {
        let Self { base, file, .. } = self;
        let password = self.password.expose();
        let sms = format!("{base}/api/apiauth/twofactorsms/$TOKEN");
        let step = |about, line, expect| Step {
            about,
            line,
            expect,
        };
        [
            step(
                "sign in on the device `laptop`: a token",
                format!(
                    r#"TOKEN=$(curl -sS {base}/api/authtoken -d '{{"username":"demo","password":"{password}","deviceId":"laptop"}}' | sed -nE 's/.*"token": ?"([^"]+)".*/\1/p')"#
                ),
                None,
            ),
            step(
                "the token alone opens nothing: 401, and where to go from there",
                format!("curl -sS -i {base}{file} {BEARER}"),
                Some("HTTP/1.1 401"),
            ),
            step(
                "ask for a code: it is \"sent\" to this terminal",
                format!("curl -sS {sms} {BEARER}"),
                Some(r#""auth_required":true"#),
            ),
            step("the code", code, None),
            step(
                "verify: from now on this token is in, on this device",
                format!("curl -sS \"{sms}?authcode=$CODE\" {BEARER}"),
                Some(r#""message""#),
            ),
            step(
                "the same request as before",
                format!("curl -sS -i {base}{file} {BEARER}"),
                Some("HTTP/1.1 200"),
            ),
        ]
    }

    /// For people.
    pub(super) fn text(
        &self,
        backend: &Backend,
        config: &Path,
        admin: Option<SocketAddr>,
    ) -> String {
        let mut text = format!(
            "\nVestibule is at {} in front of {}.\nCodes for {PHONE} appear here, as if they were sent.\n\n\
             In a browser, open this share link:\n\n  {}\n\n\
             With curl, paste these lines into another terminal, one by one:\n",
            self.base,
            backend.about,
            self.share_url.expose(),
        );
        for step in self.steps(r#"read -rp "Code: " CODE"#.to_owned()) {
            let _ = write!(text, "\n  # {}\n  {}\n", step.about, step.line);
        }
        let program = std::env::current_exe().unwrap_or_else(|_| "vestibule".into());
        let _ = write!(
            text,
            "\nBehind the scenes:\n\n  {} session list --config {}\n",
            program.display(),
            config.display()
        );
        if let Some(admin) = admin {
            let _ = writeln!(text, "  curl -sS http://{admin}/metrics");
        }
        text.push_str("\nCtrl-C ends the demo and removes its files.\n\n");
        text
    }

    /// For bash: the same lines, each checked; the code is read from the SMS log.
    pub(super) fn script(&self, sms_log: &Path) -> String {
        let log = sms_log.display().to_string().replace('\'', r"'\''");
        let code = format!(r"CODE=$(tail -n 1 '{log}' | grep -oE '\b[0-9]{{6}}\b' | head -n 1)");
        let mut script = "#!/usr/bin/env bash\nset -euo pipefail\n".to_owned();
        for step in self.steps(code) {
            let _ = write!(script, "\n# {}\n", step.about);
            let _ = match step.expect {
                None => writeln!(script, "{}", step.line),
                Some(expect) => writeln!(
                    script,
                    "OUT=$({})\nprintf '%s\\n' \"$OUT\"\ngrep -qF '{expect}' <<<\"$OUT\"",
                    step.line
                ),
            };
        }
        if let Some(expect) = self.file_text {
            let _ = writeln!(script, "grep -qF '{expect}' <<<\"$OUT\"");
        }
        script
    }
}

/// Writes a script that only its owner may read: it holds the password.
pub(super) fn write(path: &Path, script: &str) -> Result<(), DemoError> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o700);
    options
        .open(path)
        .and_then(|mut file| file.write_all(script.as_bytes()))
        .map_err(|cause| DemoError::Write {
            path: path.to_owned(),
            cause,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        Lines {
            base: "http://127.0.0.1:8080".to_owned(),
            password: Secret::new("pass-word"),
            share_url: Secret::new("http://127.0.0.1:8080/share/t"),
            file: "/hello.txt",
            file_text: Some("Hello"),
        }
    }

    #[test]
    fn bash_reads_the_script() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("demo.sh");
        write(&file, &lines().script(Path::new("/tmp/it's a log"))).unwrap();
        let checked = std::process::Command::new("bash")
            .arg("-n")
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }

    #[test]
    fn the_script_has_the_printed_lines() {
        let script = lines().script(Path::new("sms.log"));
        let printed = lines().steps(String::new());
        for step in printed.iter().filter(|step| !step.line.is_empty()) {
            assert!(script.contains(&step.line), "{}", step.line);
        }
    }
}
