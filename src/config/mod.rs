//! The one YAML file: `raw` shapes → `lift`ed and validated [`model`], all errors at once.
//!
//! ```text
//! text → tree (positions) → de → raw (shapes, defaults) → lift (checks, secrets) → model::Config
//! ```
//!
//! A config that is wrong in any way is not used in any part: the caller gets every [`Problem`] with
//! its file, line, column, path and mend, and keeps what it runs on. Nothing here prints, listens or
//! keeps a global.

mod de;
mod error;
mod lift;
pub mod model;
mod raw;
mod schema;
mod sources;
#[cfg(test)]
mod tests;
mod tree;
mod values;

pub use error::{Errors, Place, Problem, Warning};
pub use model::Config;
pub use schema::schema;
pub use sources::{Files, Sources, System};

use lift::Lifted;
use model::{Admin, Policy};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a config file at most.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// Reads the config at `path`, with every secret and path it names resolved.
pub fn load(path: &Path) -> Result<Config, Errors> {
    parse(&text(path)?, path, &System).map(|(config, _)| config)
}

/// Checks the config at `path`: what is unwise in it, or everything that is wrong.
///
/// No config comes out, because with [`Files::MayBeMissing`] it would have holes.
pub fn check(path: &Path, files: Files) -> Result<Vec<Warning>, Errors> {
    let lifted = read(&text(path)?, path, &System, files)?;
    Ok(warnings(lifted.warnings))
}

/// A config that is right, with what `doctor` wants to know beside it.
#[derive(Debug)]
pub struct Examined {
    pub config: Config,
    pub warnings: Vec<Warning>,
    /// Files that it names and that were read.
    pub named: Vec<NamedFile>,
}

/// A file that the config names, and that the gateway reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    pub path: PathBuf,
    /// Nobody but the gateway is to read it.
    pub is_secret: bool,
    /// The config finds it by `${CREDENTIALS_DIRECTORY}`: systemd reads it, and hands it over.
    pub is_credential: bool,
}

/// Reads the config at `path` like [`load`].
pub fn examine(path: &Path) -> Result<Examined, Errors> {
    let lifted = read(&text(path)?, path, &System, Files::MustExist)?;
    let config = lifted.config;
    Ok(Examined {
        config: config.ok_or_else(|| Errors::new(path, Vec::new()))?,
        warnings: warnings(lifted.warnings),
        named: lifted.named,
    })
}

/// The admin section alone, from a config that is right but whose secrets need not be readable: an
/// operator's command that goes through the socket has no business with the store key.
pub fn admin(path: &Path) -> Result<Admin, Errors> {
    let lifted = read(&text(path)?, path, &System, Files::MayBeMissing)?;
    lifted.admin.ok_or_else(|| {
        let text = "admin: an environment variable in its path is not set";
        Errors::new(path, vec![Problem::of_file(path, text)])
    })
}

/// The rules alone, from a config that is right but whose secrets and certificates need not be there: rules
/// are tried before they are deployed.
pub fn policy(path: &Path) -> Result<Policy, Errors> {
    policy_of(&text(path)?, path, &System)
}

/// The same from a text.
pub(crate) fn policy_of(text: &str, path: &Path, sources: &dyn Sources) -> Result<Policy, Errors> {
    let lifted = read(text, path, sources, Files::MayBeMissing)?;
    lifted.policy.ok_or_else(|| Errors::new(path, Vec::new()))
}

/// Reads a config from its text. `path` is for messages and for what is relative to it.
pub fn parse(
    text: &str,
    path: &Path,
    sources: &dyn Sources,
) -> Result<(Config, Vec<Warning>), Errors> {
    let lifted = read(text, path, sources, Files::MustExist)?;
    let config = lifted.config;
    let config = config.ok_or_else(|| Errors::new(path, Vec::new()))?;
    Ok((config, warnings(lifted.warnings)))
}

fn text(path: &Path) -> Result<String, Errors> {
    let whole = |text: String| Errors::new(path, vec![Problem::of_file(path, text)]);
    let bytes = sources::read_bounded(path, TEXT_BYTES_MAX).map_err(|error| {
        whole(match error.kind() {
            io::ErrorKind::NotFound => "there is no such file: name one with --config".to_owned(),
            _ => format!("cannot be read: {error}"),
        })
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let lines = valid.map_or(0, |valid| {
            valid.iter().filter(|byte| **byte == b'\n').count()
        });
        whole(format!(
            "line {} is not UTF-8: save the file as UTF-8",
            lines + 1
        ))
    })
}

fn warnings(mut problems: Vec<Problem>) -> Vec<Warning> {
    problems.sort_by_key(|problem| problem.place);
    problems.into_iter().map(Warning).collect()
}

/// The whole way. The config is there unless `files` may be missing, and some are.
fn read(text: &str, path: &Path, sources: &dyn Sources, files: Files) -> Result<Lifted, Errors> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (tree, faults) = tree::read(text);
    let mut errors: Vec<Problem> = faults
        .into_iter()
        .map(|fault| Problem {
            file: path.to_owned(),
            place: Some(fault.place),
            path: String::new(),
            text: fault.text,
        })
        .collect();
    let Some(mut tree) = tree else {
        if errors.is_empty() {
            let text = "is empty: start from config/examples/, or from `vestibule demo`";
            errors.push(Problem::of_file(path, text));
        }
        return Err(Errors::new(path, errors));
    };
    let (raw, misfits) = de::read::<raw::Config>(&mut tree);
    errors.extend(misfits.into_iter().map(|misfit| Problem {
        file: path.to_owned(),
        place: Some(misfit.place),
        path: misfit.path,
        text: misfit.text,
    }));
    let Some(raw) = raw else {
        return Err(Errors::new(path, errors));
    };
    let mut lifted = lift::lift(&raw, &tree, path, sources, files);
    errors.append(&mut lifted.errors);
    if errors.is_empty() {
        Ok(lifted)
    } else {
        Err(Errors::new(path, errors))
    }
}
