//! What the demo prints: where everything is, and a walk through one dialect as lines of sh to paste.
//!
//! The lines are the files of `walks/`, with this demo's address and password filled in.

use super::PHONE;
use super::backend::Backend;
use crate::cli::args::Walk;
use crate::secret::Secret;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// What the lines are made of.
pub(super) struct Lines {
    /// `http://127.0.0.1:8080`
    pub(super) base: String,
    pub(super) password: Secret,
    pub(super) share_url: Secret,
    /// A file to fetch.
    pub(super) file: &'static str,
}

impl Lines {
    /// The walk, with two spaces before each line.
    fn walk(&self, walk: Walk) -> String {
        let template = match walk {
            Walk::Iogates => include_str!("walks/iogates.sh"),
            Walk::Ziik => include_str!("walks/ziik.sh"),
            Walk::B2core => include_str!("walks/b2core.sh"),
            Walk::Conduit => include_str!("walks/conduit.sh"),
        };
        let lines = template.lines().map(|line| match line {
            "" => "\n".to_owned(),
            line => format!("  {line}\n"),
        });
        lines
            .collect::<String>()
            .replace("@BASE@", &self.base)
            .replace("@FILE@", self.file)
            .replace("@PASSWORD@", self.password.expose())
    }

    /// For people.
    pub(super) fn text(
        &self,
        walk: Walk,
        backend: &Backend,
        config: &Path,
        admin: Option<SocketAddr>,
    ) -> String {
        let mut text = format!(
            "\nOpen this in a browser:\n\n  {base}/\n\n  user      demo   (or nora, who has no second factor yet)\n  \
             password  {}\n\nCodes for {PHONE}, and mails, appear here, as if they were sent.\n\
             Devices, factors and backup codes are at {base}/.vestibule/account.\n\n\
             A share link, for somebody without an account:\n\n  {}\n\n\
             With curl, paste these lines into another terminal, one by one:\n\n{}",
            self.password.expose(),
            self.share_url.expose(),
            self.walk(walk),
            base = self.base,
        );
        let program = std::env::current_exe().unwrap_or_else(|_| "vestibule".into());
        let program = program.display();
        let _ = write!(
            text,
            "\nBehind the scenes, in front of {}:\n\n  {program} top --config {config}\n  {program} session list --config {config}\n  \
             {program} audit tail --follow --config {config}\n  curl -sS {}/.vestibule/openapi.json\n",
            backend.about,
            self.base,
            config = config.display(),
        );
        if let Some(admin) = admin {
            let _ = writeln!(text, "  curl -sS http://{admin}/metrics");
        }
        let _ = write!(
            text,
            "\nThe same in other APIs: {program} demo --walk ziik (or b2core, conduit).\n\
             Ctrl-C ends the demo and removes its files.\n\n"
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_walk_is_filled_in_and_is_sh() {
        let lines = Lines {
            base: "http://127.0.0.1:8080".to_owned(),
            password: Secret::new("pass-word"),
            share_url: Secret::new("http://127.0.0.1:8080/share/t"),
            file: "/hello.txt",
        };
        for walk in Walk::value_variants() {
            let text = lines.walk(*walk);
            assert!(!text.contains('@'), "{text}");
            let tmp = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(tmp.path(), &text).unwrap();
            let checked = std::process::Command::new("sh")
                .arg("-n")
                .arg(tmp.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&checked.stderr);
            assert!(checked.status.success(), "{said}");
        }
    }
}
