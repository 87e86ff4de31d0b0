//! The words of the command line.

mod values;

pub(super) use values::{Recipient, When, span};

use super::top::Top;
use crate::event::EventKind;
use crate::id::{SessionId, ShareId};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use values::{event_kind, recipient, session_id, share_id, when};

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
    Health,
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
pub(super) enum User {
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
    /// Show a user's groups, or put the user into others: they hold at once.
    Groups {
        /// A name or an id (`id:12` is surely an id).
        user: String,
        /// A group that the user is in from now on; once for each. All others are left.
        #[arg(long, value_name = "NAME")]
        group: Vec<String>,
        /// From now on in none.
        #[arg(long, conflicts_with = "group")]
        none: bool,
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
    /// Change a user's number, address, password or rights. A new password ends the user's tokens and
    /// sessions; what the user has enrolled stays.
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
    /// Forget what a user has enrolled or turned off, backup codes, pending codes and locks, and end the
    /// user's sessions. A number or address of the operator's or a profile's is a factor again.
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
pub(super) struct OneUser {
    /// A name or an id (`id:12` is surely an id).
    #[arg(value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) identity: Identity,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct UserSet {
    /// Where codes are sent from now on, with country code: +4512345678
    #[arg(long, conflicts_with = "no_phone")]
    pub(super) phone: Option<String>,
    /// Forget the number.
    #[arg(long)]
    pub(super) no_phone: bool,
    /// Another email address.
    #[arg(long, conflicts_with = "no_email")]
    pub(super) email: Option<String>,
    /// Forget the email address.
    #[arg(long)]
    pub(super) no_email: bool,
    /// Read another password from this file, or from standard input (`-`).
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    pub(super) password_file: Option<PathBuf>,
    /// Forget the password: there is no signing in by it any more.
    #[arg(long)]
    pub(super) no_password: bool,
    /// Whether the user may reset other users' second factors: true or false.
    #[arg(long, value_name = "BOOL")]
    pub(super) can_edit_users: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Factor {
    /// Show what a user can be asked for.
    List {
        #[command(flatten)]
        user: OneUser,
        #[command(flatten)]
        output: OutputForm,
    },
    /// Turn one off. With the last one go the backup codes; sessions go on.
    Remove {
        #[command(flatten)]
        user: OneUser,
        /// As `factor list` shows it: sms, totp, email, passkey-3.
        factor: String,
        #[command(flatten)]
        output: OutputForm,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Share {
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
    /// End a link and the sessions that came from it.
    Revoke {
        /// Its number, as `share list` shows it.
        #[arg(value_parser = share_id)]
        id: ShareId,
        #[command(flatten)]
        output: OutputForm,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Session {
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
    /// End sessions, everywhere within a second.
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
pub(super) struct Which {
    /// All of a user's: a name or an id.
    #[arg(long, conflicts_with_all = ["token_file", "id", "all"])]
    pub(super) user: Option<String>,
    /// All of a device's: as `session list` shows it, or as its client names itself. With --user, only
    /// that user's.
    #[arg(long, conflicts_with_all = ["token_file", "id", "all"])]
    pub(super) device: Option<String>,
    /// End the token in this file, or on standard input (`-`), with all that came of it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["id", "all"])]
    pub(super) token_file: Option<PathBuf>,
    /// One, by its number.
    #[arg(long, value_parser = session_id, conflicts_with = "all")]
    pub(super) id: Option<SessionId>,
    /// Everybody's.
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Lockout {
    /// Show who is delayed or locked now, until when, and for how many wrong ones in a row.
    List {
        #[command(flatten)]
        output: OutputForm,
    },
    /// Free a user, a client's address, or whoever is behind a line of the list. Factors and sessions stay.
    Clear {
        #[command(flatten)]
        whom: Freed,
        #[command(flatten)]
        identity: Identity,
        #[command(flatten)]
        output: OutputForm,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Freed {
    /// A user: a name or an id.
    pub(super) user: Option<String>,
    /// A client's address; of IPv6, any of its /64.
    #[arg(long)]
    pub(super) address: Option<IpAddr>,
    /// A line's first column.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(super) id: Option<String>,
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
                | User::Groups { output, .. }
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
            | Self::Backup { output, .. }
            | Self::Top(Top { output, .. })
            | Self::Doctor { output }
            | Self::Explain(Explain { output, .. }) => output.json,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_documented_line_is_understood() {
        for line in [
            "vestibule serve --config config/vestibule.yaml",
            "vestibule --config c.yaml serve",
            "vestibule demo --listen 127.0.0.1:9000 --dir /srv --walk b2core",
            "vestibule check --without-files --config c.yaml",
            "vestibule schema",
            "vestibule explain --config c.yaml --method PUT --url https://files.example.org/x/y",
            "vestibule explain --url http://a.b/ --user anna --group staff --group x --address fd00::1 --destination /c --json",
            "vestibule user add anna --phone +4512345678 --email a@b.example --password-file - --can-edit-users --json",
            "vestibule user add anna --group staff --group admins",
            "vestibule user groups anna",
            "vestibule user groups anna --group staff --group admins --json",
            "vestibule user groups id:3 --none",
            "vestibule user list --json",
            "vestibule user reset-2fa anna --identity local",
            "vestibule share add --path /dir/ --phone +4512345678 --expires 7d --json",
            "vestibule share add --path /dir/ --phone +4512345678 --phone +4587654321 --email a@b.example --devices 3",
            "vestibule share add --path /dir/ --recipient +4512345678,a@b.example --recipient c@d.example",
            "vestibule share list",
            "vestibule share revoke 3",
            "vestibule session list --user 7 --json",
            "vestibule session revoke --user anna",
            "vestibule session revoke --id 4",
            "vestibule session revoke --all --json",
            "vestibule session list --device 0123456789abcdef",
            "vestibule session revoke --device laptop --user anna",
            "vestibule session revoke --token-file -",
            "vestibule user show anna",
            "vestibule user set anna --phone +4512345678 --no-email --can-edit-users false",
            "vestibule user set id:7 --password-file - --json",
            "vestibule user remove anna --identity local",
            "vestibule factor list anna --json",
            "vestibule factor remove anna passkey-3",
            "vestibule lockout list",
            "vestibule lockout clear anna",
            "vestibule lockout clear --address 2001:db8::1 --json",
            "vestibule lockout clear --id 0123456789abcdef",
            "vestibule audit search --user anna --kind verified --since 2h --until 2026-11-22T03:21:34Z",
            "vestibule audit search --address 192.0.2.1 --limit 5 --json",
            "vestibule audit tail --lines 3 -f",
            "vestibule key generate --json",
            "vestibule doctor --json",
            "vestibule top --once --json",
            "vestibule top --interval 5s",
            "vestibule completions bash",
            "vestibule man --dir target/man",
            "vestibule key generate",
            "vestibule key rotate",
            "vestibule key rotate --now --json --config c.yaml",
            "vestibule key replace --new-key-file new.key --json",
            "vestibule backup --to /var/backups/vestibule.db --json",
            "vestibule health --config c.yaml",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
        let cli = parse("vestibule user list --json").unwrap();
        assert!(cli.command.is_json());
        assert_eq!(cli.config, PathBuf::from("/etc/vestibule/vestibule.yaml"));
    }

    /// What a line of a code block asks the shell to run of ours, without its comment and redirections.
    fn commands(line: &str) -> Vec<String> {
        let line = line.split(" #").next().unwrap();
        line.split(['|', '<', '>', ';', '&', '(', ')', '`'])
            .map(|part| part.trim().trim_start_matches("$ "))
            .filter(|part| part.starts_with("vestibule "))
            .map(|part| part.replace(['"', '\''], ""))
            .collect()
    }

    #[test]
    fn every_line_of_the_guides_is_understood() {
        let mut tried = 0;
        let docs = std::fs::read_dir("docs").unwrap();
        let mut files: Vec<_> = docs.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|it| it == "md"));
        files.push(PathBuf::from("README.md"));
        for file in files.iter().map(|path| path.to_str().unwrap()) {
            let text = std::fs::read_to_string(file).unwrap();
            let blocks = text.split("```").skip(1).step_by(2);
            for line in blocks.flat_map(str::lines).flat_map(commands) {
                let words = line.split_whitespace();
                let parsed = Cli::try_parse_from(words).map_err(|error| error.kind());
                let is_help = matches!(
                    parsed,
                    Err(ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
                );
                assert!(parsed.is_ok() || is_help, "{file}: {line}: {parsed:?}");
                tried += 1;
            }
        }
        assert!(tried > 20, "{tried} lines");
    }

    #[test]
    fn revoking_needs_exactly_one_choice() {
        for line in [
            "vestibule session revoke",
            "vestibule session revoke --all --id 4",
            "vestibule session revoke --user anna --all",
            "vestibule session revoke --token-file - --user anna",
            "vestibule session revoke --device laptop --id 4",
            "vestibule lockout clear",
            "vestibule lockout clear anna --address 192.0.2.1",
            "vestibule user set anna",
            "vestibule user set anna --phone +4512345678 --no-phone",
            "vestibule audit search --kind nonsense",
            "vestibule audit search --since tomorrow",
            "vestibule user show",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn no_argument_takes_a_password_or_token() {
        assert!(parse("vestibule session revoke --token abc").is_err());
        assert!(parse("vestibule user set anna --password hunter2").is_err());
        assert!(parse("vestibule user add anna --password hunter2").is_err());
    }

    #[test]
    fn a_recipient_is_a_number_an_address_or_both() {
        let read = |text: &str| recipient(text).map(|it| (it.phone, it.email));
        let text = |it: &str| Some(it.to_owned());
        let both = (text("+4512345678"), text("a@b.example"));
        assert_eq!(read("+4512345678,a@b.example"), Ok(both.clone()));
        assert_eq!(read("a@b.example, +4512345678"), Ok(both));
        assert_eq!(read("a@b.example"), Ok((None, text("a@b.example"))));
        for wrong in ["", ",", "+45,", "a@b,c@d", "+451,+452", "+451,a@b,c"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        for none in ["0", "-1", "x"] {
            let line = format!("vestibule share add --path /dir/ --devices {none}");
            assert!(parse(&line).is_err(), "{line}");
        }
    }

    #[test]
    fn spans_have_a_unit_and_are_not_empty() {
        assert_eq!(span("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        for wrong in [
            "",
            "7",
            "d",
            "0d",
            "-1d",
            "1.5h",
            "7 d",
            "7dd",
            "99999999999999999w",
        ] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
