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
mod operate;
mod secrets;
mod serve;
mod shown;
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
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // Fails only if there is a provider already, and then TLS has what it needs.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let json = cli.command.is_json();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match (&error, json) {
                (CliError::Told, _) => {}
                (error, true) => complain(error.json().to_string()),
                (error, false) => complain(error.to_string()),
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// What clap says of arguments that it does not take, or was asked to say.
fn usage(error: &clap::Error) -> ExitCode {
    // What comes behind `--` is no option.
    let options = std::env::args_os().skip(1).take_while(|it| it != "--");
    let is_json = options.into_iter().any(|it| it == "--json");
    if is_json && error.use_stderr() {
        let said = error.render().to_string();
        complain(serde_json::json!({ "error": said.trim_end() }).to_string());
    } else {
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

fn dispatch(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        Command::Serve => serve::serve(&cli.config),
        Command::Demo(args) => demo::demo(&args),
        Command::Check {
            without_files,
            output,
        } => commands::check(&cli.config, without_files, output),
        Command::Schema => commands::schema(),
        Command::Explain(args) => explain::explain(&cli.config, &args),
        Command::Key(command) => commands::key(&cli.config, command),
        Command::Backup { to, output } => upkeep::backup(&cli.config, &to, output),
        Command::Health { output } => upkeep::health(&cli.config, output),
        Command::User(command) => operate::user(&cli.config, command),
        Command::Factor(command) => operate::factor(&cli.config, command),
        Command::Share(command) => operate::share(&cli.config, command),
        Command::Session(command) => operate::session(&cli.config, command),
        Command::Lockout(command) => operate::lockout(&cli.config, command),
        Command::Audit(command) => operate::audit(&cli.config, command),
        Command::Top(args) => top::top(&cli.config, &args),
        Command::Doctor { output } => doctor::doctor(&cli.config, output.json),
        Command::Completions { shell } => {
            manual::completions(shell);
            Ok(())
        }
        Command::Man { dir } => manual::manual(dir.as_deref()),
    }
}

/// Does what takes time, on this thread.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    Ok(runtime.block_on(work))
}

/// Writes to standard output, and says whether anybody reads it: a reader who has gone away (`| head`) is no failure
/// of ours, but whoever goes on and on may end.
fn say(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    let said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    said.is_ok()
}

fn complain(text: String) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
