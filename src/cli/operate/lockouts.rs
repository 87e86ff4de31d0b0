//! `lockout`.

use super::{Nothing, operate};
use crate::cli::args;
use crate::cli::client;
use crate::cli::error::CliError;
use crate::cli::tables;
use crate::operator::lockouts::{Clear, LockoutLine, LockoutsCleared};
use crate::operator::{Gone, Page};
use http::Method;
use std::path::Path;

const LOCKOUTS: &str = "/v1/lockouts";

pub(in crate::cli) fn lockout(config: &Path, command: args::Lockout) -> Result<(), CliError> {
    match command {
        args::Lockout::List { output } => operate(config, async |api| {
            let lockouts: Page<LockoutLine> = api.all(LOCKOUTS, &[]).await?;
            output.show(&lockouts, |lockouts| tables::lockouts(&lockouts.items))
        }),
        args::Lockout::Clear {
            whom,
            identity,
            output,
        } => operate(config, async |api| {
            if let Some(id) = whom.id {
                let path = client::of(LOCKOUTS, &id);
                let gone: Gone<String> = api.send(Method::DELETE, &path, &[], &Nothing {}).await?;
                return output.show(&gone, |Gone { id }| format!("lockout {id}: cleared\n"));
            }
            let whose = Clear {
                user: whom.user,
                identity: identity.identity,
                address: whom.address.map(|address| address.to_string()),
            };
            let path = format!("{LOCKOUTS}/clear");
            let done: LockoutsCleared = api.send(Method::POST, &path, &[], &whose).await?;
            output.show(&done, |LockoutsCleared { cleared }| match cleared {
                0 => "nobody was delayed or locked\n".to_owned(),
                cleared => format!("{cleared} lockouts cleared\n"),
            })
        }),
    }
}
