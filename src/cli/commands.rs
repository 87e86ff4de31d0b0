//! The commands that need no gateway and no store.

use super::args::{self, OutputForm};
use super::error::CliError;
use super::{operate, say, upkeep};
use crate::config::{self, Files, Problem};
use crate::entropy::{self, OsEntropy};
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::Path;
use zeroize::Zeroizing;

/// `check`: silence is golden, but an operator wants to read that all is well.
pub(super) fn check(path: &Path, without_files: bool, form: OutputForm) -> Result<(), CliError> {
    let files = if without_files {
        Files::MayBeMissing
    } else {
        Files::MustExist
    };
    let checked = config::check(path, files);
    if form.json {
        let found = match &checked {
            Ok(warnings) => warnings.iter().map(|it| line("warning", &it.0)).collect(),
            Err(errors) => errors.iter().map(|it| line("error", it)).collect(),
        };
        say(&(Value::Array(found).to_string() + "\n"));
        return match checked {
            Ok(_) => Ok(()),
            Err(_) => Err(CliError::Told),
        };
    }
    for warning in checked? {
        eprintln!("warning: {warning}");
    }
    say(&format!("{}: no errors\n", path.display()));
    Ok(())
}

/// What is to be mended, for programs. Without a line it is the file as a whole.
fn line(severity: &str, problem: &Problem) -> Value {
    json!({
        "severity": severity,
        "file": problem.file,
        "line": problem.place.map(|place| place.line),
        "column": problem.place.map(|place| place.column),
        "path": problem.path,
        "message": problem.text,
    })
}

pub(super) fn schema() -> Result<(), CliError> {
    say(&config::schema());
    Ok(())
}

pub(super) fn key(config: &Path, command: args::Key) -> Result<(), CliError> {
    match command {
        args::Key::Generate { output } => {
            let key = new_key()?;
            if output.json {
                let key = json!({ "key": key.trim_end() });
                say(&Zeroizing::new(key.to_string() + "\n"));
            } else {
                say(&key);
            }
            Ok(())
        }
        args::Key::Rotate { now, output } => operate::rotate_keys(config, now, output),
        args::Key::Replace {
            new_key_file,
            output,
        } => upkeep::replace_key(config, &new_key_file, output),
    }
}

/// A store key as its file holds it.
pub(super) fn new_key() -> Result<Zeroizing<String>, CliError> {
    let key = Zeroizing::new(entropy::bytes::<32>(&OsEntropy)?);
    let text = base64::engine::general_purpose::STANDARD.encode(*key) + "\n";
    Ok(Zeroizing::new(text))
}
