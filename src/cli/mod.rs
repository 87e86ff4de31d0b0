//! The command line. Answers go to standard output, everything else to standard error; exit codes
//! are 0 (done), 1 (failed) and 2 (the command or the config must change).

mod args;
mod client;
mod commands;
mod demo;
mod doctor;
mod error;
mod explain;
mod manual;
mod serve;
pub mod socket;
mod tables;
mod top;
mod upkeep;

use args::{Cli, Command};
use clap::Parser as _;
use error::CliError;
use std::io::Write as _;
use std::process::ExitCode;

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    // Fails only if there is a provider already, and then TLS has what it needs.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let json = cli.command.is_json();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error, json);
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        Command::Serve => serve::serve(&cli.config),
        Command::Demo(args) => demo::demo(&args),
        Command::Check { without_files } => commands::check(&cli.config, without_files),
        Command::Schema => commands::schema(),
        Command::Explain(args) => explain::explain(&cli.config, &args),
        Command::Key(command) => commands::key(&cli.config, command),
        Command::Backup { to, output } => upkeep::backup(&cli.config, &to, output),
        Command::Health => upkeep::health(&cli.config),
        Command::User(command) => commands::user(&cli.config, command),
        Command::Share(command) => commands::share(&cli.config, command),
        Command::Session(command) => commands::session(&cli.config, command),
        Command::Top(args) => top::top(&cli.config, &args),
        Command::Doctor { output } => doctor::doctor(&cli.config, output.json),
        Command::Completions { shell } => {
            manual::completions(shell);
            Ok(())
        }
        Command::Man { dir } => manual::manual(dir.as_deref()),
    }
}

/// Writes to standard output. A reader who has gone away (`| head`) is no failure of ours.
fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn complain(error: &CliError, json: bool) {
    let text = if json {
        serde_json::json!({"error": error.to_string()}).to_string()
    } else {
        error.to_string()
    };
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
