//! The commands that need no gateway and no store.

use super::args;
use super::error::CliError;
use super::{operate, say, upkeep};
use crate::config::{self, Files};
use crate::entropy::{self, OsEntropy};
use base64::Engine as _;
use std::path::Path;
use zeroize::Zeroizing;

/// `check`: silence is golden, but an operator wants to read that all is well.
pub(super) fn check(path: &Path, without_files: bool) -> Result<(), CliError> {
    let files = if without_files {
        Files::MayBeMissing
    } else {
        Files::MustExist
    };
    for warning in config::check(path, files)? {
        eprintln!("warning: {warning}");
    }
    say(&format!("{}: no errors\n", path.display()));
    Ok(())
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
                let key = serde_json::json!({ "key": key.trim_end() });
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
