//! The words of `share`.

use super::values::{Recipient, recipient, share_id, span};
use super::{Identity, OutputForm};
use crate::id::ShareId;
use clap::Subcommand;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Share {
    /// Make a link to a directory (or file) and print it; its token is never shown again.
    Add {
        /// As in the share's URLs: /photos/
        #[arg(long)]
        path: String,
        /// Where the recipient's codes are sent, with country code. Once for each person.
        #[arg(long)]
        phone: Vec<String>,
        /// The same by mail. A number and an address, one of each, are the same person's.
        #[arg(long)]
        email: Vec<String>,
        /// One of several people who can be reached either way: +4512345678,anna@example.org
        #[arg(long, value_name = "PHONE,EMAIL", value_parser = recipient)]
        recipient: Vec<Recipient>,
        /// On how many devices the link can be opened. Without it, on any number.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        devices: Option<u32>,
        /// How long the link is good: 30m, 12h, 7d, 2w. Without it, until it is revoked.
        #[arg(long, value_parser = span)]
        expires: Option<Duration>,
        #[command(flatten)]
        identity: Identity,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Show all links that have not been revoked.
    List {
        #[command(flatten)]
        output: OutputForm,
    },
    /// Revoke a link and the sessions that came from it.
    Revoke {
        /// Its number, as `share list` shows it.
        #[arg(value_parser = share_id)]
        id: ShareId,
        #[command(flatten)]
        output: OutputForm,
    },
}
