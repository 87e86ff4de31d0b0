//! What an operator can do, over ports: one function, [`run`], used by the admin socket of a running
//! gateway and by the command line itself where none runs.

pub mod command;
pub mod output;
mod share;
mod signing;
mod user;

use crate::auth::ports::{SessionRow, Store, StoreError, Which};
use crate::auth::signing::Signer;
use crate::clock::{Clock, Timestamp};
use crate::config::model::{Config, GROUPS_MAX, Identity};
use crate::digest::DigestKeys;
use crate::entropy::{Entropy, NoEntropy};
use crate::event::{Event, EventKind, Events};
use crate::factor::email::masked_name;
use crate::factor::phone::{Phone, PhoneError};
use crate::gate::Gate;
use crate::id::{SessionId, ShareId, UserId};
use crate::request::Malformed;
use crate::secret::Secret;
use arc_swap::ArcSwap;
use command::{Command, Revoke, Whom};
use output::{Output, SessionLine};
use std::sync::Arc;

/// What [`run`] works with.
#[derive(Clone)]
pub struct Operator {
    pub store: Arc<dyn Store>,
    pub keys: DigestKeys,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub signer: Arc<Signer>,
    pub events: Arc<dyn Events>,
    /// The config in force.
    pub config: Arc<ArcSwap<Config>>,
    /// The running gateway's gate, told at once of sessions that end; others read the feed.
    pub gate: Option<Arc<Gate>>,
}

/// Why an operator's command was not done. `Display` says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("there is no user `{0}`: `vestibule user list` shows who there is")]
    NoSuchUser(String),
    #[error("`{user}` may be any of {candidates}: write `id:` and the number, or add --identity")]
    ManySuchUsers { user: String, candidates: String },
    #[error("identity `{identity}` has a user `{name}` already: choose another name")]
    UserExists { identity: String, name: String },
    #[error(
        "`{0}` cannot be a user's name: use 1 to 256 characters, not only digits, and no `share:` \
         at its start"
    )]
    BadName(String),
    #[error("the phone number is not usable: {0}")]
    Phone(#[from] PhoneError),
    #[error("the email address is not usable: write it like anna@example.org")]
    Email,
    #[error("two recipients have the same number or address ({0}): name each person once")]
    SameRecipient(String),
    #[error("a share link is for {max} people at most, not for {named}: make several links")]
    TooManyRecipients { named: usize, max: usize },
    #[error("`{0}` cannot be a group's name: use 1 to 256 bytes, without spaces around them")]
    BadGroup(String),
    #[error("a user can be in {GROUPS_MAX} groups at most")]
    TooManyGroups,
    #[error(
        "identity `{0}` takes groups from its tokens (`groups` in the config): change them there"
    )]
    GroupsOfIssuer(String),
    #[error("`{0}` stands for whoever has a share link: nobody of them is in a group")]
    GroupsOfShare(String),
    #[error("the password hash is not an argon2id PHC string")]
    BadHash,
    #[error("the config has no identity `{0}`: use one of those under `identities`")]
    NoSuchIdentity(String),
    #[error(
        "identity `{0}` has its users from elsewhere: only an `accounts` identity takes new ones"
    )]
    NotAccounts(String),
    #[error(
        "the config has no `accounts` identity: add one, e.g. `identities: {{local: {{accounts: {{}}}}}}`"
    )]
    NoAccounts,
    #[error("the config has several `accounts` identities ({0}): say which with --identity")]
    SeveralAccounts(String),
    #[error(
        "no route with identity `{0}` takes a token from its path: give one the credential \
         `{{path: \"/share/{{token}}\"}}`"
    )]
    NoShareRoute(String),
    #[error("`{0}` is not a path: write it as in the share's URLs, like /photos/")]
    NotAPath(String),
    #[error("`{path}` cannot be shared: {cause}")]
    BadPath { path: String, cause: Malformed },
    #[error("there is no share {0}: `vestibule share list` shows which there are")]
    NoSuchShare(ShareId),
    #[error("there is no live session {0}: `vestibule session list` shows which there are")]
    NoSuchSession(SessionId),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl OperatorError {
    /// Whether the command or the config must change before another try can succeed.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        !matches!(
            self,
            Self::NoSuchUser(_)
                | Self::UserExists { .. }
                | Self::NoSuchShare(_)
                | Self::NoSuchSession(_)
                | Self::Store(_)
                | Self::NoEntropy(_)
        )
    }
}

/// Does what an operator asks for.
pub async fn run(command: Command, with: &Operator) -> Result<Output, OperatorError> {
    match command {
        Command::UserAdd(user) => with.user_add(user).await,
        Command::UserList => with.user_list().await,
        Command::UserReset(whom) => with.user_reset(&whom).await,
        Command::UserGroups(groups) => with.user_groups(groups).await,
        Command::ShareAdd(share) => with.share_add(share).await,
        Command::ShareList => with.share_list().await,
        Command::ShareRevoke(id) => with.share_revoke(id).await,
        Command::SessionList(whom) => with.session_list(whom.as_ref()).await,
        Command::SessionRevoke(which) => with.session_revoke(&which).await,
        Command::KeyRotate { at_once } => with.key_rotate(at_once).await,
    }
}

impl Operator {
    async fn session_list(&self, whom: Option<&Whom>) -> Result<Output, OperatorError> {
        let user = match whom {
            Some(whom) => Some(self.find_user(whom).await?.id),
            None => None,
        };
        let rows = self.store.sessions(user, self.clock.now()).await?;
        Ok(Output::Sessions(rows.iter().map(session_line).collect()))
    }

    async fn session_revoke(&self, which: &Revoke) -> Result<Output, OperatorError> {
        let (which, user, detail) = match which {
            Revoke::All => (Which::All, None, "all sessions".to_owned()),
            Revoke::Id(id) => (Which::Session(*id), None, format!("session {id}")),
            Revoke::User(whom) => {
                let id = self.find_user(whom).await?.id;
                (Which::User(id), Some(id), "sessions of the user".to_owned())
            }
        };
        let sessions = self.store.revoke(which, self.clock.now()).await?;
        self.forget(which);
        if let (Which::Session(id), 0) = (which, sessions) {
            return Err(OperatorError::NoSuchSession(id));
        }
        self.emit(EventKind::Revoked, user, detail);
        Ok(Output::SessionsRevoked { sessions })
    }

    /// The running gateway's map need not wait for the feed.
    fn forget(&self, which: Which) {
        if let Some(gate) = &self.gate {
            gate.forget(which);
        }
    }

    fn emit(&self, kind: EventKind, user: Option<UserId>, detail: String) {
        self.events.emit(Event {
            kind,
            user,
            route: "cli".to_owned(),
            address: None,
            detail,
        });
    }

    /// The `accounts` identity that a command means.
    fn accounts(&self, wanted: Option<&str>) -> Result<String, OperatorError> {
        let config = self.config.load();
        if let Some(name) = wanted {
            return match config.identities.get(name) {
                Some(Identity::Accounts) => Ok(name.to_owned()),
                Some(_) => Err(OperatorError::NotAccounts(name.to_owned())),
                None => Err(OperatorError::NoSuchIdentity(name.to_owned())),
            };
        }
        let accounts: Vec<&str> = config
            .identities
            .iter()
            .filter(|(_, identity)| matches!(identity, Identity::Accounts))
            .map(|(name, _)| name.as_str())
            .collect();
        match accounts.as_slice() {
            [] => Err(OperatorError::NoAccounts),
            [only] => Ok((*only).to_owned()),
            several => Err(OperatorError::SeveralAccounts(several.join(", "))),
        }
    }
}

fn session_line(row: &SessionRow) -> SessionLine {
    let session = &row.session;
    SessionLine {
        id: session.id,
        user: session.holder.user,
        name: session.holder.name.to_string(),
        identity: row.realm.clone(),
        device: row.device_label.clone(),
        client: row.whence.as_ref().map(|it| it.client.clone()),
        address: row.whence.as_ref().map(|it| it.address.to_string()),
        path: session.holder.scope().map(str::to_owned),
        factor: session.factor.as_str().to_owned(),
        verified_at: session.verified_at.iso8601(),
        last_seen_at: session.last_seen_at.iso8601(),
        expires_at: session.expires_at.iso8601(),
    }
}

/// A phone number as an operator wrote it.
fn phone(raw: Option<&Secret>) -> Result<Option<Phone>, OperatorError> {
    let parse = |raw: &Secret| Phone::parse(raw.expose(), None);
    Ok(raw.map(parse).transpose()?)
}

/// An email address with something on both sides of its one `@`.
fn email(raw: Option<Secret>) -> Result<Option<Secret>, OperatorError> {
    let Some(address) = raw else {
        return Ok(None);
    };
    let usable = address.expose().len() <= 254
        && !address
            .expose()
            .contains(|c: char| c.is_control() || c.is_whitespace())
        && address
            .expose()
            .split_once('@')
            .is_some_and(|(name, host)| {
                !name.is_empty() && !host.is_empty() && !host.contains('@')
            });
    if usable {
        Ok(Some(address))
    } else {
        Err(OperatorError::Email)
    }
}

/// `a****@example.org`
fn masked_email(address: &Secret) -> String {
    masked_name(address.expose())
}

fn iso(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::iso8601)
}

#[cfg(test)]
pub(crate) mod tests;
