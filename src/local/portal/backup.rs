//! The page of the backup codes: how many are left, and new ones, shown in the answer that makes them
//! and never again.

use super::super::{Local, Reply};
use super::account::enrol_halt;
use super::enrol::{onward, own_address};
use super::form::Visit;
use super::page::{self, Frame};
use super::said::Stop;
use super::visitor::step_up;
use crate::auth::Standing;
use crate::secret::Secret;
use crate::words::Sentence;
use askama::Template;
use http::Method;

#[derive(Template)]
#[template(path = "backup.html")]
struct Page<'a> {
    t: &'a Frame<'a>,
    action: &'a str,
    /// Where the visitor goes on to.
    onward: String,
    left: u32,
    alert: Option<Sentence>,
    /// Those that have just been made.
    codes: Vec<Secret>,
}

impl Local {
    /// `GET|POST /.vestibule/backup-codes?return_to=/path`.
    pub(super) async fn backup_codes(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let (_, caller) = self.arrived_with_account(visit).await?;
        if caller.standing == Standing::Token {
            return Err(step_up(visit.call, false));
        }
        let (codes, alert) = match visit.call.method {
            Method::POST => match self.auth.new_backup_codes(&caller, true).await {
                Ok(codes) => (codes, None),
                Err(error) => (Vec::new(), Some(enrol_halt(error, visit).alert()?)),
            },
            _ => (Vec::new(), None),
        };
        let factors = self.auth.factors(caller.holder.user).await?;
        let page = Page {
            t: &visit.frame,
            action: &own_address(visit),
            onward: onward(visit),
            left: factors.backup_codes_left,
            alert: alert.map(|alert| alert.text(visit.frame.words())),
            codes,
        };
        Ok(page::shown(visit, alert, page::STEP_UP, &page))
    }
}
