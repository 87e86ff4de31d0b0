//! The words of `session` and `lockout`.

use super::values::session_id;
use super::{Identity, OutputForm};
use crate::id::SessionId;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use std::net::IpAddr;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Session {
    /// Show live sessions.
    List {
        /// Only this user's: a name or an id.
        #[arg(long)]
        user: Option<String>,
        /// Only this device's: as the list shows it, or as its client names itself.
        #[arg(long)]
        device: Option<String>,
        #[command(flatten)]
        identity: Identity,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Revoke sessions, everywhere within a second.
    Revoke {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        identity: Identity,
        #[command(flatten)]
        output: OutputForm,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(in crate::cli) struct Which {
    /// All of a user's: a name or an id.
    #[arg(long, conflicts_with_all = ["token_file", "id", "all"])]
    pub(in crate::cli) user: Option<String>,
    /// All of a device's: as `session list` shows it, or as its client names itself. With --user, only
    /// that user's.
    #[arg(long, conflicts_with_all = ["token_file", "id", "all"])]
    pub(in crate::cli) device: Option<String>,
    /// The token in this file, or on standard input (`-`), with all that came of it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["id", "all"])]
    pub(in crate::cli) token_file: Option<PathBuf>,
    /// One, by its number.
    #[arg(long, value_parser = session_id, conflicts_with = "all")]
    pub(in crate::cli) id: Option<SessionId>,
    /// Everybody's.
    #[arg(long)]
    pub(in crate::cli) all: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Lockout {
    /// Show who is delayed or locked now, until when, and for how many wrong ones in a row.
    List {
        #[command(flatten)]
        output: OutputForm,
    },
    /// Clear the lockouts of a user or of a client's address, or one of the list. Factors and sessions stay.
    Clear {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        identity: Identity,
        #[command(flatten)]
        output: OutputForm,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct Whom {
    /// A user: a name or an id.
    pub(in crate::cli) user: Option<String>,
    /// A client's address; of IPv6, any of its /64.
    #[arg(long)]
    pub(in crate::cli) address: Option<IpAddr>,
    /// One, as `lockout list` names it.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) id: Option<String>,
}
