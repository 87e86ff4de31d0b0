//! What a config file takes from outside of itself: environment variables and files.
//!
//! Passed in, so that tests and `check --without-files` need neither.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a secret or certificate file at most.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Environment and files.
pub trait Sources {
    /// The value of an environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// The content of a file, refused if it is not a small one.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// Where systemd puts the credentials of a unit. The shipped unit takes them from the config's folder.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The process's own environment and the file system. Outside of a unit, as for an operator's
/// commands, credentials are where the unit takes them from: in the config's folder.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Sources for System {
    fn env(&self, name: &str) -> Option<String> {
        let here = || (name == CREDENTIALS).then(|| ".".to_owned());
        std::env::var(name).ok().or_else(here)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_bounded(path, FILE_BYTES_MAX)
    }
}

/// Reads a file of at most `bytes_max` bytes.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = File::open(path)?;
    file.take(bytes_max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {} KiB", bytes_max / 1024),
        ));
    }
    Ok(content)
}

/// Whether a file or variable that the config names must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// To serve.
    MustExist,
    /// To check a file on a machine that it is not for: what is missing becomes a warning.
    MayBeMissing,
}

/// Whether a path is one of systemd's credentials.
pub(super) fn is_credential(text: &str) -> bool {
    text.contains(&format!("${{{CREDENTIALS}}}"))
}

/// Puts environment variables in the place of `${NAME}`. The error says how to mend the text.
pub(super) fn expand(text: &str, sources: &dyn Sources) -> Result<String, Unexpanded> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            return Err(Unexpanded::Unclosed);
        };
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(valid) {
            return Err(Unexpanded::Name(name.to_owned()));
        }
        let Some(value) = sources.env(name) else {
            return Err(Unexpanded::Unset(name.to_owned()));
        };
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Why a text cannot be expanded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unexpanded {
    #[error("a `${{` without its `}}`: write ${{NAME}}")]
    Unclosed,
    #[error("{0:?} is not the name of an environment variable: write ${{NAME}}")]
    Name(String),
    #[error("the environment variable {0} is not set")]
    Unset(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Sources for Fixed {
        fn env(&self, name: &str) -> Option<String> {
            (name == "DIR").then(|| "/run/${DIR}".to_owned())
        }
        fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn variables_are_expanded_once() {
        let expanded = |text| expand(text, &Fixed);
        assert_eq!(expanded("/a/$b/{c}"), Ok("/a/$b/{c}".to_owned()));
        assert_eq!(expanded("${DIR}/k"), Ok("/run/${DIR}/k".to_owned()));
        assert_eq!(expanded("${X}/k"), Err(Unexpanded::Unset("X".to_owned())));
        assert_eq!(expanded("${DIR/k"), Err(Unexpanded::Unclosed));
        assert_eq!(expanded("${}"), Err(Unexpanded::Name(String::new())));
        assert_eq!(
            Unexpanded::Unclosed.to_string(),
            "a `${` without its `}`: write ${NAME}"
        );
    }

    #[test]
    fn outside_of_a_unit_credentials_are_beside_the_config() {
        let expanded = |text| expand(text, &System);
        let key = expanded("${CREDENTIALS_DIRECTORY}/store.key");
        assert_eq!(key, Ok("./store.key".to_owned()));
        assert!(expanded("${VESTIBULE_NO_SUCH_NAME}/x").is_err());
    }

    #[test]
    fn large_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [b'x'; 11]).unwrap();
        assert_eq!(read_bounded(&path, 11).unwrap().len(), 11);
        let error = read_bounded(&path, 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
