//! `session`.

use super::{Nothing, operate};
use crate::cli::args;
use crate::cli::client;
use crate::cli::error::CliError;
use crate::cli::secrets::read_token;
use crate::cli::tables;
use crate::id::SessionId;
use crate::operator::sessions::{Revoke, SessionLine, SessionsRevoked};
use crate::operator::{Gone, Page};
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
            let sessions: Page<SessionLine> = api.newest(SESSIONS, &query, u32::MAX).await?;
            output.show(&sessions, |sessions| tables::sessions(&sessions.items))
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
                if let Some(id) = which.id {
                    let path = client::of(SESSIONS, &id.to_string());
                    let gone: Gone<SessionId> =
                        api.send(Method::DELETE, &path, &[], &Nothing {}).await?;
                    return output.show(&gone, |Gone { id }| format!("session {id}: revoked\n"));
                }
                let path = format!("{SESSIONS}/revoke");
                let done: SessionsRevoked = api.send(Method::POST, &path, &[], &revoke).await?;
                output.show(&done, |SessionsRevoked { revoked }| {
                    let token = if is_token { "token revoked, " } else { "" };
                    format!("{token}{revoked} sessions revoked\n")
                })
            })
        }
    }
}
