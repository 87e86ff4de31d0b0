//! `share`.

use super::{Nothing, operate};
use crate::cli::args;
use crate::cli::client;
use crate::cli::error::CliError;
use crate::cli::tables;
use crate::id::ShareId;
use crate::operator::shares::{NewShareLine, RecipientAdd, ShareAdd, ShareLine};
use crate::operator::{Gone, Page};
use crate::secret::Secret;
use http::Method;
use std::path::Path;

const SHARES: &str = "/v1/shares";

pub(in crate::cli) fn share(config: &Path, command: args::Share) -> Result<(), CliError> {
    match command {
        args::Share::Add {
            path,
            phone,
            email,
            recipient,
            devices,
            expires,
            identity,
            output,
        } => {
            let share = ShareAdd {
                identity: identity.identity,
                path,
                recipients: recipients(phone, email, recipient),
                devices_max: devices,
                lifetime_secs: expires.map(|span| span.as_secs()),
            };
            operate(config, async |api| {
                let made: NewShareLine = api.send(Method::POST, SHARES, &[], &share).await?;
                output.show(&made, tables::new_share)
            })
        }
        args::Share::List { output } => operate(config, async |api| {
            let shares: Page<ShareLine> = api.all(SHARES, &[]).await?;
            output.show(&shares, |shares| tables::shares(&shares.items))
        }),
        args::Share::Revoke { id, output } => operate(config, async |api| {
            let path = client::of(SHARES, &id.to_string());
            let gone: Gone<ShareId> = api.send(Method::DELETE, &path, &[], &Nothing {}).await?;
            output.show(&gone, |Gone { id }| {
                format!("share {id}: revoked, with its sessions\n")
            })
        }),
    }
}

/// Whom a link is for: a number and an address, one of each, are one person's; of more, each is another's.
fn recipients(
    mut phones: Vec<String>,
    mut emails: Vec<String>,
    more: Vec<args::Recipient>,
) -> Vec<RecipientAdd> {
    let is_one = phones.len() == 1 && emails.len() == 1 && more.is_empty();
    let one = is_one.then(|| args::Recipient {
        phone: phones.pop(),
        email: emails.pop(),
    });
    let phones = phones.into_iter().map(|phone| args::Recipient {
        phone: Some(phone),
        email: None,
    });
    let emails = emails.into_iter().map(|email| args::Recipient {
        phone: None,
        email: Some(email),
    });
    one.into_iter()
        .chain(phones)
        .chain(emails)
        .chain(more)
        .map(|it| RecipientAdd {
            phone: it.phone.map(Secret::new),
            email: it.email.map(Secret::new),
        })
        .collect()
}
