//! Shell completions and manual pages, made out of the command line's own definition: there is no
//! second list of commands to keep.

use super::args::Cli;
use super::error::CliError;
use super::say;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use std::fs;
use std::io;
use std::path::Path;

/// System administration commands (man-pages(7)).
const SECTION: &str = "8";
const NAME: &str = "vestibule";

/// What a shell reads to complete this command.
pub(super) fn completions(shell: Shell) {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut out);
    say(&String::from_utf8_lossy(&out));
}

/// The manual page of the whole, or all pages as files: `vestibule.8`, `vestibule-user-add.8`, ….
pub(super) fn manual(dir: Option<&Path>) -> Result<(), CliError> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Gives every command below its full name.
    command.build();
    let Some(dir) = dir else {
        let mut out = Vec::new();
        // Writing into memory cannot fail.
        let _ = page(command).render(&mut out);
        say(&String::from_utf8_lossy(&out));
        return Ok(());
    };
    let written = fs::create_dir_all(dir).and_then(|()| write_all(command, dir));
    written.map_err(|cause| CliError::Manual {
        path: dir.to_owned(),
        cause,
    })
}

fn write_all(command: Command, dir: &Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        write_all(below.clone(), dir)?;
    }
    page(command).generate_to(dir)?;
    Ok(())
}

fn page(command: Command) -> Man {
    Man::new(command)
        .section(SECTION)
        .source(concat!("vestibule ", env!("CARGO_PKG_VERSION")))
        .manual("Vestibule")
}
