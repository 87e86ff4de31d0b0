//! How a command fails: one text that says how to mend it, and an exit code.

use super::demo::DemoError;
use super::explain::ExplainError;
use super::socket::SocketError;
use crate::app::StartError;
use crate::observe::audit::NotFlushed;
use crate::observe::log::LogError;
use crate::operator::problem::Problem;
use crate::store::{FileError, OpenError};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// One line for each problem.
    #[error(transparent)]
    Config(#[from] crate::config::Errors),
    #[error(transparent)]
    Log(#[from] LogError),
    /// All is on standard output already.
    #[error("the config has errors")]
    Told,
    /// As the operator's API said.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    #[error(
        "the gateway answered what this program does not understand ({0}): is it another version?"
    )]
    OtherVersion(String),
    #[error("the request could not be made: {0}")]
    Here(String),
    #[error(
        "no gateway answers at {}: start it (systemctl start vestibule), or is --config another one?",
        .0.display()
    )]
    NotRunning(PathBuf),
    #[error(
        "the gateway's admin socket {} must not be used ({cause}): run this as root or as the \
         gateway's user", path.display()
    )]
    NotPermitted { path: PathBuf, cause: String },
    #[error(
        "the gateway at {} does not answer ({cause}): look at its log (journalctl -u vestibule)",
        path.display()
    )]
    NoAnswerAt { path: PathBuf, cause: String },
    #[error(
        "admin.socket is not set: add `admin: {{socket: /run/vestibule/admin.sock}}` to the config and \
         restart the gateway, which is watched through it"
    )]
    NoSocket,
    #[error("{failed} of these must be mended")]
    Unwell { failed: usize },
    #[error("the terminal cannot be used: {0}")]
    Terminal(std::io::Error),
    #[error("the manual pages cannot be written into {}: {cause}", path.display())]
    Manual {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error(transparent)]
    AdminSocket(#[from] SocketError),
    #[error(
        "the store is `memory:`, which only the running gateway has: start it and set admin.socket"
    )]
    MemoryStore,
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the new key cannot be read from {}: {cause}", path.display())]
    KeyFile { path: PathBuf, cause: String },
    #[error("the config has no admin.address, where the gateway says how it is: add one")]
    NoAdminAddress,
    #[error("no gateway answers at {address} ({cause}): is it running?")]
    NoAnswer { address: SocketAddr, cause: String },
    #[error("{0}")]
    Unhealthy(String),
    #[error(transparent)]
    Audit(#[from] NotFlushed),
    #[error("the metrics could not be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the {what} cannot be read from {}: {cause}", path.display())]
    SecretFile {
        what: &'static str,
        path: PathBuf,
        cause: String,
    },
    #[error("the {what} is {cause}")]
    BadSecret {
        what: &'static str,
        cause: &'static str,
    },
    #[error("{0}")]
    Entropy(#[from] crate::entropy::NoEntropy),
    #[error("the runtime could not be started: {0}")]
    Runtime(std::io::Error),
    #[error(transparent)]
    Explain(#[from] ExplainError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Demo(Box<DemoError>),
    #[error("the answer could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl CliError {
    /// What `--json` says of it.
    pub(super) fn json(&self) -> Value {
        let mut said = json!({ "error": self.to_string().trim_end() });
        if let (Self::Refused(problem), Some(said)) = (self, said.as_object_mut()) {
            said.insert("code".to_owned(), json!(problem.code));
            said.insert("status".to_owned(), json!(problem.status));
            if let Some(place) = &problem.place {
                said.insert("where".to_owned(), json!(place));
            }
        }
        said
    }

    /// 2: the command or the config must change first; 1: anything else.
    pub(super) fn exit_code(&self) -> u8 {
        let usage = match self {
            Self::Config(_)
            | Self::Told
            | Self::Log(_)
            | Self::BadSecret { .. }
            | Self::MemoryStore
            | Self::Explain(_)
            | Self::NoSocket
            | Self::NoAdminAddress
            | Self::KeyFile { .. }
            | Self::File(FileError::Memory | FileError::SameKey | FileError::Exists(_)) => true,
            Self::Refused(problem) => problem.is_usage(),
            _ => false,
        };
        if usage { 2 } else { 1 }
    }
}
