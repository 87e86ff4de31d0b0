//! `lockout`.

use super::{Nothing, operate};
use crate::cli::args;
use crate::cli::client;
use crate::cli::error::CliError;
use crate::cli::tables;
use crate::operator::lockouts::{Freed, LockoutLine};
use http::Method;
use std::path::Path;

const LOCKOUTS: &str = "/v1/lockouts";

pub(in crate::cli) fn lockout(config: &Path, command: args::Lockout) -> Result<(), CliError> {
    match command {
        args::Lockout::List { output } => operate(config, async |api| {
            let lockouts: Vec<LockoutLine> = api.all(LOCKOUTS, &[]).await?;
            output.show(&lockouts, |lockouts| tables::lockouts(lockouts))
        }),
        args::Lockout::Clear {
            whom,
            identity,
            output,
        } => operate(config, async |api| {
            let path = match &whom.id {
                Some(id) => client::of(LOCKOUTS, id),
                None => LOCKOUTS.to_owned(),
            };
            let query = [
                ("user", whom.user),
                ("identity", identity.identity),
                ("address", whom.address.map(|address| address.to_string())),
            ];
            let query = if whom.id.is_some() { &[] } else { &query[..] };
            let freed: Freed = api.send(Method::DELETE, &path, query, &Nothing {}).await?;
            output.show(&freed, |Freed { freed }| match freed {
                0 => "nobody was delayed or locked\n".to_owned(),
                freed => format!("{freed} counters set to zero\n"),
            })
        }),
    }
}
