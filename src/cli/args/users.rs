//! The words of `user` and `factor`.

use super::{Identity, OutputForm};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum User {
    /// Make a user and print its id.
    Add {
        /// What the user signs in with.
        name: String,
        /// Where codes are sent, with country code: +4512345678
        #[arg(long)]
        phone: Option<String>,
        /// An email address: where mail can be sent, codes go there too.
        #[arg(long)]
        email: Option<String>,
        /// Read the password from this file, or from standard input (`-`); without it there is none.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// May reset other users' second factors.
        #[arg(long)]
        can_edit_users: bool,
        /// A group that the user is in, for the policy's rules. Once for each.
        #[arg(long, value_name = "NAME")]
        group: Vec<String>,
        #[command(flatten)]
        identity: Identity,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Show all users.
    List {
        #[command(flatten)]
        output: OutputForm,
    },
    /// Show one user.
    Show {
        #[command(flatten)]
        user: OneUser,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Change a user's number, address, password, rights or groups. A new password revokes the user's
    /// tokens and sessions; what the user has enrolled stays.
    Set {
        #[command(flatten)]
        user: OneUser,
        #[command(flatten)]
        set: Box<UserSet>,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Remove a user with factors, tokens and sessions.
    Remove {
        #[command(flatten)]
        user: OneUser,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Forget what a user has enrolled or turned off, backup codes, pending codes and lockouts, and revoke
    /// the user's sessions. A number or address of the operator's or a profile's is a factor again.
    #[command(name = "reset-2fa")]
    Reset2fa {
        #[command(flatten)]
        user: OneUser,
        #[command(flatten)]
        output: OutputForm,
    },
}

/// The user whom a command is about.
#[derive(Debug, Args)]
pub(in crate::cli) struct OneUser {
    /// A name or an id (`id:12` is surely an id).
    #[arg(value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) name: String,
    #[command(flatten)]
    pub(in crate::cli) identity: Identity,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(in crate::cli) struct UserSet {
    /// Where codes are sent from now on, with country code: +4512345678
    #[arg(long, conflicts_with = "no_phone")]
    pub(in crate::cli) phone: Option<String>,
    /// Forget the number.
    #[arg(long)]
    pub(in crate::cli) no_phone: bool,
    /// Another email address.
    #[arg(long, conflicts_with = "no_email")]
    pub(in crate::cli) email: Option<String>,
    /// Forget the email address.
    #[arg(long)]
    pub(in crate::cli) no_email: bool,
    /// Read another password from this file, or from standard input (`-`).
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    pub(in crate::cli) password_file: Option<PathBuf>,
    /// Forget the password: there is no signing in by it any more.
    #[arg(long)]
    pub(in crate::cli) no_password: bool,
    /// Whether the user may reset other users' second factors: true or false.
    #[arg(long, value_name = "BOOL")]
    pub(in crate::cli) can_edit_users: Option<bool>,
    /// A group that the user is in from now on; once for each. All others are left, at once.
    #[arg(long, value_name = "NAME", conflicts_with = "no_groups")]
    pub(in crate::cli) group: Vec<String>,
    /// From now on in no group.
    #[arg(long)]
    pub(in crate::cli) no_groups: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Factor {
    /// Show what a user can be asked for.
    List {
        #[command(flatten)]
        user: OneUser,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Remove one, also one that the operator or a profile has given. With the last one go the backup
    /// codes; sessions go on.
    Remove {
        #[command(flatten)]
        user: OneUser,
        /// As `factor list` shows it: sms, totp, email, passkey-3.
        factor: String,
        #[command(flatten)]
        output: OutputForm,
    },
}
