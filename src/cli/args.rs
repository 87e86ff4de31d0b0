//! The words of the command line.

mod sessions;
mod shares;
#[cfg(test)]
mod tests;
mod users;
mod values;

pub(super) use sessions::{Lockout, Session};
pub(super) use shares::Share;
pub(super) use users::{Factor, OneUser, User, UserSet};
pub(super) use values::{Recipient, When, span};

use super::top::Top;
use crate::event::EventKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use values::{event_kind, when};

/// A second factor in front of the file server you already have.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, max_term_width = 100)]
pub(super) struct Cli {
    /// The configuration file.
    #[arg(long, global = true, default_value = "/etc/vestibule/vestibule.yaml")]
    pub(super) config: PathBuf,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway until SIGTERM; SIGHUP reads the configuration again.
    Serve,
    /// Try it: a file share behind the gateway on this machine, with a phone on the terminal.
    Demo(Demo),
    /// Check the configuration and say everything that is wrong with it.
    Check {
        /// Do not look at the certificates, keys and secrets that it names.
        #[arg(long)]
        without_files: bool,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Print the configuration's JSON Schema.
    Schema,
    /// Say what the policy asks of a request, and why: the route, the rule with its line, and why those
    /// before it do not match.
    Explain(Explain),
    /// Users of Vestibule's own accounts (and those known by the tokens of others).
    #[command(subcommand)]
    User(User),
    /// The second factors of a user.
    #[command(subcommand)]
    Factor(Factor),
    /// Share links.
    #[command(subcommand)]
    Share(Share),
    /// Verified (token, device) pairs.
    #[command(subcommand)]
    Session(Session),
    /// Who has to wait, or is locked, for wrong codes and passwords.
    #[command(subcommand)]
    Lockout(Lockout),
    /// What has happened, by whom and from where.
    #[command(subcommand)]
    Audit(Audit),
    /// The store's key, and those that tokens are signed with.
    #[command(subcommand)]
    Key(Key),
    /// Watch a running gateway: requests, decisions, codes, slow backends. `q` quits.
    Top(Top),
    /// Look for what is wrong, or soon will be: config, certificates, store, providers, backends, clock,
    /// files. Ends with 1 if anything fails. Sends no message and changes nothing.
    Doctor {
        #[command(flatten)]
        output: OutputForm,
    },
    /// Print what a shell needs to complete this command's words.
    Completions { shell: Shell },
    /// Print the manual page.
    Man {
        /// Write a page for each command into this directory instead: vestibule.8, vestibule-user-add.8 and so on
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Copy the store to a new file, also while the gateway runs. The copy is checked, and of use only
    /// with the store key.
    Backup {
        /// A file that does not exist yet; it is for its owner alone (mode 600).
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Ask the running gateway whether it can work, through `admin.address`: for a container's health
    /// check. Says so and exits with 0, or says why not and exits with 1.
    Health {
        #[command(flatten)]
        output: OutputForm,
    },
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// As a client asks for it: https://files.example.org/dir/file
    #[arg(long)]
    pub(super) url: String,
    #[arg(long, default_value = "GET")]
    pub(super) method: String,
    /// Who asks. Without --group, the groups are those that the store has.
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// A group that whoever asks is in; once for each.
    #[arg(long, value_name = "NAME")]
    pub(super) group: Vec<String>,
    /// Where the client is, for rules about networks.
    #[arg(long)]
    pub(super) address: Option<IpAddr>,
    /// WebDAV's Destination: a path or a URL of the same host.
    #[arg(long, value_name = "URL")]
    pub(super) destination: Option<String>,
    #[command(flatten)]
    pub(super) output: OutputForm,
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the gateway listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Share this directory, read-only, instead of sample files.
    #[arg(long, conflicts_with = "upstream")]
    pub(super) dir: Option<PathBuf>,
    /// Use this running file server instead of starting one.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) upstream: Option<String>,
    /// Whose API the printed lines go through.
    #[arg(long, value_enum, default_value_t = Walk::Iogates)]
    pub(super) walk: Walk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Walk {
    Iogates,
    Ziik,
    B2core,
    Conduit,
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Show events, newest first.
    Search {
        /// Only about this user: a name or an id (of somebody who was removed, too).
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        identity: Identity,
        /// Only of this kind: verified, refused, locked, ...
        #[arg(long, value_parser = event_kind)]
        kind: Option<EventKind>,
        /// Only from then on: 2h ago, or a moment like 2026-11-22T03:21:34Z
        #[arg(long, value_name = "WHEN", value_parser = when)]
        since: Option<When>,
        /// Only before then.
        #[arg(long, value_name = "WHEN", value_parser = when)]
        until: Option<When>,
        /// Only from this client's address.
        #[arg(long)]
        address: Option<IpAddr>,
        /// How many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Show the last events, oldest first.
    Tail {
        /// How many.
        #[arg(long, default_value_t = 10)]
        lines: u32,
        /// Go on with those that happen, until it is ended.
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        output: OutputForm,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Print a new store key: 32 random bytes in base64.
    Generate {
        #[command(flatten)]
        output: OutputForm,
    },
    /// Sign tokens with new keys: published at once, used ten minutes later. The old ones stay
    /// published until what they signed has ended. (The store's key is another one.)
    Rotate {
        /// Use them at once: backends that keep the published keys for a while refuse tokens meanwhile.
        #[arg(long)]
        now: bool,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Seal the store under a new store key in place of the config's, in one step. The running gateway
    /// goes on; put the new key in the old one's place before it is restarted.
    Replace {
        /// Where the new key is, as `key generate` prints it.
        #[arg(long, value_name = "FILE")]
        new_key_file: PathBuf,
        #[command(flatten)]
        output: OutputForm,
    },
}

#[derive(Debug, Args)]
pub(super) struct Identity {
    /// The identity meant, where the configuration has several.
    #[arg(long)]
    pub(super) identity: Option<String>,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct OutputForm {
    /// Print JSON, errors too.
    #[arg(long)]
    pub(super) json: bool,
}

impl Command {
    /// Whether answers and errors are JSON.
    pub(super) fn is_json(&self) -> bool {
        match self {
            Self::User(
                User::Add { output, .. }
                | User::List { output }
                | User::Show { output, .. }
                | User::Set { output, .. }
                | User::Remove { output, .. }
                | User::Reset2fa { output, .. },
            )
            | Self::Factor(Factor::List { output, .. } | Factor::Remove { output, .. })
            | Self::Lockout(Lockout::List { output } | Lockout::Clear { output, .. })
            | Self::Audit(Audit::Search { output, .. } | Audit::Tail { output, .. })
            | Self::Share(
                Share::Add { output, .. } | Share::List { output } | Share::Revoke { output, .. },
            )
            | Self::Session(Session::List { output, .. } | Session::Revoke { output, .. })
            | Self::Key(
                Key::Generate { output } | Key::Rotate { output, .. } | Key::Replace { output, .. },
            )
            | Self::Check { output, .. }
            | Self::Health { output }
            | Self::Backup { output, .. }
            | Self::Top(Top { output, .. })
            | Self::Doctor { output }
            | Self::Explain(Explain { output, .. }) => output.json,
            // These run until they are ended, or print what is of one form.
            Self::Serve
            | Self::Demo(_)
            | Self::Schema
            | Self::Completions { .. }
            | Self::Man { .. } => false,
        }
    }
}
