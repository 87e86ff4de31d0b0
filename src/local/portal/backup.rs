//! The page of the backup codes: how many are left, and new ones, shown in the answer that makes them
//! and never again.

use super::super::{Local, Reply};
use super::account::enrol_stop;
use super::enrol::{onward, own_address};
use super::form::Visit;
use super::page::{self, Frame};
use super::said::Stop;
use super::visitor::step_up;
use crate::auth::Standing;
use crate::secret::Secret;
use askama::Template;
use http::{Method, StatusCode};

#[derive(Template)]
#[template(path = "backup.html")]
struct Page<'a> {
    t: &'a Frame<'a>,
    action: &'a str,
    /// Where the visitor goes on to.
    onward: String,
    left: u32,
    /// Those that have just been made.
    codes: Vec<Secret>,
}

impl Local {
    /// `GET|POST /.vestibule/backup-codes?return_to=/path`.
    pub(super) async fn backup_codes(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let (_, caller) = self.arrived(visit).await?;
        if caller.standing == Standing::Token {
            return Err(step_up(visit.call, false));
        }
        let codes = match visit.call.method {
            Method::POST => match self.auth.new_backup_codes(&caller, true).await {
                Ok(codes) => codes,
                Err(error) => {
                    return Err(enrol_stop(error, visit).err().unwrap_or(Stop::Unavailable));
                }
            },
            _ => Vec::new(),
        };
        let factors = self.auth.factors(caller.holder.user).await?;
        let page = Page {
            t: &visit.frame,
            action: &own_address(visit),
            onward: onward(visit),
            left: factors.backup_codes_left,
            codes,
        };
        Ok(page::html(StatusCode::OK, &page))
    }
}
