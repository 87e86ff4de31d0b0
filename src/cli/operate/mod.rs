//! The commands that are requests to the operator's API, and what they print.

mod lockouts;
mod sessions;
mod shares;
mod trail;
mod users;

pub(super) use lockouts::lockout;
pub(super) use sessions::session;
pub(super) use shares::share;
pub(super) use trail::audit;
pub(super) use users::{factor, user};

use super::args::{OneUser, OutputForm};
use super::client::{self, Client};
use super::error::CliError;
use super::{block_on, say, tables};
use crate::operator::Page;
use crate::operator::keys::{KeyLine, Rotate};
use http::Method;
use serde::Serialize;
use std::path::Path;

const USERS: &str = "/v1/users";

/// The body of a request that says all by its path.
#[derive(Serialize)]
struct Nothing {}

/// Does a command that speaks to the operator's API, and prints what it returns.
fn operate(
    config: &Path,
    work: impl AsyncFnOnce(&Client) -> Result<String, CliError>,
) -> Result<(), CliError> {
    let text = block_on(async {
        let api = Client::open(config).await?;
        let done = work(&api).await;
        api.close().await?;
        done
    })??;
    say(&text);
    Ok(())
}

pub(super) fn rotate_keys(
    config: &Path,
    at_once: bool,
    output: OutputForm,
) -> Result<(), CliError> {
    operate(config, async |api| {
        let how = Rotate { at_once };
        let path = "/v1/keys/rotate";
        let keys: Page<KeyLine> = api.send(Method::POST, path, &[], &how).await?;
        output.show(&keys, |keys| tables::keys(&keys.items))
    })
}

impl OneUser {
    /// The user's path, or that of what belongs to the user, and the query that goes with it.
    fn place(self, below: &str) -> (String, [(&'static str, Option<String>); 1]) {
        let path = client::of(USERS, &self.name) + below;
        (path, [("identity", self.identity.identity)])
    }
}

impl OutputForm {
    /// An answer as it is printed.
    pub(super) fn show<T: Serialize>(
        self,
        answer: &T,
        for_people: impl FnOnce(&T) -> String,
    ) -> Result<String, CliError> {
        if self.json {
            // Over a value, whose members are sorted.
            return Ok(serde_json::to_value(answer)?.to_string() + "\n");
        }
        Ok(for_people(answer))
    }
}
