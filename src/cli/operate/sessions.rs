//! `session`.

use super::{Nothing, operate};
use crate::cli::args;
use crate::cli::client::{self, Client};
use crate::cli::error::CliError;
use crate::cli::secrets::read_token;
use crate::cli::tables;
use crate::operator::sessions::{Revoke, SessionLine, SessionsRevoked};
use http::Method;
use std::path::Path;

const SESSIONS: &str = "/v1/sessions";

pub(in crate::cli) fn session(config: &Path, command: args::Session) -> Result<(), CliError> {
    match command {
        args::Session::List {
            user,
            device,
            identity,
            output,
        } => operate(config, async |api| {
            let query = [
                ("user", user),
                ("device", device),
                ("identity", identity.identity),
            ];
            let sessions: Vec<SessionLine> = api.all(SESSIONS, &query).await?;
            output.show(&sessions, |sessions| tables::sessions(sessions))
        }),
        args::Session::Revoke {
            which,
            identity,
            output,
        } => {
            let token = which.token_file.as_deref().map(read_token).transpose()?;
            let is_token = token.is_some();
            let revoke = Revoke {
                user: which.user,
                device: which.device,
                token,
                all: which.all,
                identity: identity.identity,
            };
            operate(config, async |api| {
                let ended = match which.id {
                    Some(id) => end_one(api, &id.to_string()).await?,
                    None => end_many(api, &revoke).await?,
                };
                output.show(&ended, |SessionsRevoked { sessions }| {
                    let token = if is_token { "token ended, " } else { "" };
                    format!("{token}{sessions} sessions ended\n")
                })
            })
        }
    }
}

async fn end_one(api: &Client, id: &str) -> Result<SessionsRevoked, CliError> {
    let path = client::of(SESSIONS, id);
    api.send(Method::DELETE, &path, &[], &Nothing {}).await
}

async fn end_many(api: &Client, revoke: &Revoke) -> Result<SessionsRevoked, CliError> {
    let path = format!("{SESSIONS}/revoke");
    api.send(Method::POST, &path, &[], revoke).await
}
