//! `audit`.

use super::operate;
use crate::cli::args::{self, OutputForm};
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::{say, tables};
use crate::clock::{Clock as _, SystemClock};
use crate::operator::Page;
use crate::operator::audit::AuditEntry;
use std::path::Path;

const AUDIT: &str = "/v1/audit";

pub(in crate::cli) fn audit(config: &Path, command: args::Audit) -> Result<(), CliError> {
    match command {
        args::Audit::Search {
            user,
            identity,
            kind,
            since,
            until,
            address,
            limit,
            output,
        } => operate(config, async |api| {
            let now = SystemClock.now();
            let query = [
                ("user", user),
                ("identity", identity.identity),
                ("kind", kind.map(|kind| kind.as_str().to_owned())),
                ("since", since.map(|when| when.at(now).iso8601())),
                ("until", until.map(|when| when.at(now).iso8601())),
                ("address", address.map(|address| address.to_string())),
            ];
            let events: Page<AuditEntry> = api.newest(AUDIT, &query, limit).await?;
            output.show(&events, |events| tables::events(&events.items))
        }),
        args::Audit::Tail {
            lines,
            follow,
            output,
        } => operate(config, async |api| tail(api, lines, follow, output).await),
    }
}

/// The last events, and those that happen from then on.
async fn tail(
    api: &Client,
    lines: u32,
    follow: bool,
    output: OutputForm,
) -> Result<String, CliError> {
    // At least one is looked at: those that follow come after it.
    let newest: Page<AuditEntry> = api.newest(AUDIT, &[], lines.max(1)).await?;
    let mut events = newest.items;
    let last = events.first().map_or(0, |event| event.id);
    events.truncate(lines as usize);
    events.reverse();
    let shown = |event: &AuditEntry| output.show(event, tables::event);
    let text: String = events.iter().map(shown).collect::<Result<_, _>>()?;
    if !follow {
        return Ok(text);
    }
    say(&text);
    let path = format!("{AUDIT}/stream");
    let from = [("after", Some(last.to_string()))];
    api.follow(&path, &from, |event: AuditEntry| {
        // A reader who has gone away (`| head`) ends it.
        Ok(say(&shown(&event)?))
    })
    .await?;
    Ok(String::new())
}
