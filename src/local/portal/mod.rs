//! Pages for people with a browser: rendered on the server, whole without scripts, in the language
//! that the browser asks for. GET shows, POST acts; a GET never sends a code and changes nothing.
//!
//! # How to add a page
//!
//! 1. A variant of [`Step`], a row `page(FORM, "/.vestibule/…", Where::…, Portal::…)` in
//!    [`super::table`], and its description in `openapi/own.rs`. Paths are written with `/.vestibule`;
//!    [`crate::route::Route::address`] puts the configured prefix in its place (`t.at(…)` in templates).
//! 2. A file here with `impl Local { async fn …(&self, visit: &Visit<'_>) -> Result<Reply, Stop> }`
//!    and its line in [`Local::portal_page`]. A [`Visit`] has the call, the frame and the form's fields;
//!    a POST is checked (origin, CSRF) before it gets there. `self.member(visit, Standing::Sudo)` says
//!    who visits, or leads them to where they can show more.
//! 3. A template that extends `base.html`, with the [`Frame`] as its field `t`; where it can show an alert, its
//!    title is `{{ t.titled(t.say("…"), alert.is_some()) }}`. Each form posts to
//!    `t.at("/.vestibule/…")` with `<input type="hidden" name="form" value="{{ t.form }}">`. After a
//!    change: `said::go_to(…)` (303), not a page. [`page::html`] makes the answer.
//! 4. `locales/*/<page>.ftl` in all five languages, keys `<page>-…`, its name in `words.rs`. Words are
//!    `{{ t.say("page-skip") }}`, with variables `{{ t.say("…").with("name", value) }}`. In tables of
//!    keys write the literal, so that the test finds it. What goes wrong is a [`said::Stop`] (no page)
//!    or a [`said::Alert`] (on the page).

mod account;
mod assets;
mod backup;
mod challenge;
mod cookie;
mod device;
mod enrol;
mod form;
mod page;
mod pass;
mod passkey;
mod said;
mod share;
mod sign_in;
mod sign_out;
mod visitor;

pub(super) use page::{Frame, notice};
pub(super) use said::{Notice, go_to};

pub(super) use share::follows;

use super::{Call, Local, Reply};
use crate::route::Route;
use form::Visit;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use said::Stop;

/// The pages, and what they are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The style, the script, the logo.
    Asset,
    /// The second factor.
    Challenge,
    /// What somebody has here: sessions and factors.
    Account,
    /// Which factor to set up.
    Enrol,
    /// One kind of factor, set up.
    EnrolKind,
    BackupCodes,
    /// What is behind a share link.
    Share,
    /// Lets in a client that cannot show a page.
    Device,
    /// A name and a password of Vestibule's own accounts.
    SignIn,
    /// The end of that.
    SignOut,
}

/// What stands for itself in the value of a query parameter.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The address of the challenge page that leads back to `return_to` (a path and query). `fresh` asks
/// for a second factor even if one was passed before.
pub(super) fn challenge_url(route: &Route, return_to: &str, fresh: bool) -> String {
    let page = with_return(route, "/.vestibule/challenge", return_to);
    match fresh {
        true => format!("{page}&fresh=true"),
        false => page,
    }
}

/// The address of the page on which a factor is set up, and that leads on to `return_to`.
pub(super) fn enrol_url(route: &Route, return_to: &str) -> String {
    with_return(route, "/.vestibule/enrol", return_to)
}

/// The address of the sign-in page that leads back to `return_to`.
pub(super) fn sign_in_url(route: &Route, return_to: &str) -> String {
    with_return(route, "/.vestibule/sign-in", return_to)
}

fn with_return(route: &Route, page: &str, return_to: &str) -> String {
    with_query(&route.address(page), return_to)
}

fn with_query(address: &str, return_to: &str) -> String {
    // Once for what may not stand in any target, once more to be a parameter's value.
    let target = utf8_percent_encode(return_to, CONTROLS).to_string();
    let value = utf8_percent_encode(&target, VALUE);
    format!("{address}?return_to={value}")
}

impl Local {
    /// Answers a page's call.
    pub(super) async fn portal(&self, step: Step, call: &Call) -> Reply {
        let reply = match step {
            Step::Asset => assets::answer(call),
            page => self.portal_visit(page, call).await,
        };
        reply.unwrap_or_else(|stop| stop.reply(&self.frame(call), &call.route))
    }

    async fn portal_visit(&self, step: Step, call: &Call) -> Result<Reply, Stop> {
        let visit = self.visit(call)?;
        let reply = self.portal_page(step, &visit).await?;
        Ok(self.with_device(&visit, reply))
    }

    /// The page of each step. What its form sent has been checked.
    async fn portal_page(&self, step: Step, visit: &Visit<'_>) -> Result<Reply, Stop> {
        match step {
            Step::Asset => Err(Stop::NotFound),
            Step::Challenge => self.challenge(visit).await,
            Step::Account => self.account(visit).await,
            Step::Enrol => self.enrol(visit).await,
            Step::EnrolKind => self.enrol_kind(visit).await,
            Step::BackupCodes => self.backup_codes(visit).await,
            Step::Share => self.share(visit).await,
            Step::Device => self.device(visit).await,
            Step::SignIn => self.sign_in(visit).await,
            Step::SignOut => self.sign_out(visit).await,
        }
    }
}
