//! Passkeys on pages: the challenge page asks for one, and `/.vestibule/enrol/passkey` is where people
//! add, name and remove them.
//!
//! Without script there are none: a script puts the question (JSON, the answer to a form's `ask`) to
//! the browser, and sends the form with the browser's answer in a field. Everything else is as on every
//! page.

use super::super::decode::Fields;
use super::super::{Local, Reply, encode, origin};
use super::account::{enrol_halt, plain};
use super::form::Visit;
use super::page::{self, Frame, Moment};
use super::said::{self, Alert, Halt, Stop};
use super::visitor::{Arrival, step_up};
use super::with_return;
use crate::auth::Caller;
use crate::auth::challenge::VerifyError;
use crate::auth::enrol::Removed;
use crate::auth::passkey::PasskeyError;
use crate::auth::ports::Passkey;
use crate::clock::Timestamp;
use crate::factor::passkey::Site;
use crate::id::PasskeyId;
use crate::words::Sentence;
use askama::Template;
use http::header::ORIGIN;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// The `action` of the one form that a script sends.
pub(super) const ASK: &str = "ask-passkey";

/// Where a call's passkeys are for.
pub(super) struct Place {
    host: String,
    origin: String,
    service: String,
}

impl Place {
    pub(super) fn site(&self) -> Site<'_> {
        Site {
            host: &self.host,
            origin: &self.origin,
            service: &self.service,
        }
    }

    /// Whether browsers have passkeys here at all.
    pub(super) fn has_passkeys(&self) -> bool {
        self.site().has_passkeys()
    }

    /// Whether this passkey is offered here.
    pub(super) fn offers(&self, passkey: &Passkey) -> bool {
        passkey.host == self.host && self.has_passkeys()
    }
}

#[derive(Template)]
#[template(path = "passkeys.html")]
struct Page<'a> {
    t: &'a Frame<'a>,
    /// Where its forms are sent to.
    action: &'a str,
    host: &'a str,
    /// Whether browsers have passkeys here.
    can_add: bool,
    /// What has just been done.
    done: Option<Sentence>,
    alert: Option<Sentence>,
    passkeys: &'a [Passkey],
    /// What was typed as the name of a new one, to be mended.
    typed: String,
    back: String,
}

impl Page<'_> {
    fn moment(&self, at: &Timestamp) -> Moment {
        Moment(*at)
    }
}

/// What was done, as the address says after it.
fn done_key(name: &str) -> Option<&'static str> {
    Some(match name {
        "added" => "passkey-added",
        "renamed" => "passkey-renamed",
        "removed" => "passkey-removed",
        _ => return None,
    })
}

impl Local {
    /// Where the passkeys of this call are for.
    pub(super) fn passkey_place(&self, visit: &Visit<'_>) -> Place {
        let call = visit.call;
        // A form's own is one of ours: that has been checked, whatever a proxy does to `Host`.
        let said = call.headers.get(ORIGIN).and_then(|it| it.to_str().ok());
        let said = said.filter(|_| call.method == Method::POST);
        Place {
            host: call.host.clone(),
            origin: said.map_or_else(|| origin::of_head(&call.head()), str::to_owned),
            service: visit.frame.name().to_owned(),
        }
    }

    /// What the browser of a visitor to the challenge page is to ask for.
    pub(super) async fn ask_passkey(&self, visit: &Visit<'_>, caller: &Caller) -> Reply {
        let place = self.passkey_place(visit);
        let asked = self.auth.ask_passkey(caller, place.site()).await;
        answer(visit, asked)
    }

    /// Judges a passkey's answer on the challenge page, and leads on.
    pub(super) async fn confirm_passkey(
        &self,
        visit: &Visit<'_>,
        arrival: &Arrival,
        caller: &Caller,
    ) -> Result<Reply, Halt> {
        let (place, said) = (self.passkey_place(visit), said(visit)?);
        let said = said.ok_or_else(no_script)?;
        let onward = self.goes_on_remembered(visit, arrival, caller)?;
        let becomes = onward.becomes.clone();
        let verifying = self
            .auth
            .verify_passkey(caller, place.site(), &said, becomes);
        let verified = verifying.await?;
        let passed = self.passed(visit.call, arrival, onward, verified).await;
        let reply = said::go_to(&arrival.return_to);
        Ok(self.renamed(visit.call, reply, &passed))
    }

    /// `GET|POST /.vestibule/enrol/passkey?return_to=/path`: the visitor's passkeys.
    pub(super) async fn passkeys(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let is_post = visit.call.method == Method::POST;
        let action = match is_post {
            true => visit.field("action")?,
            false => String::new(),
        };
        let enroller = match self.enroller(visit).await {
            // A script asks: it goes there.
            Err(Stop::GoTo(address)) if action == ASK => {
                let body = json!({ "go_to": address });
                return Ok(encode::json(StatusCode::FORBIDDEN, &body));
            }
            enroller => enroller?,
        };
        let (arrival, caller) = &enroller;
        let done = match action.as_str() {
            "" if !is_post => return self.passkeys_page(visit, caller, None).await,
            ASK => return Ok(self.ask_new_passkey(visit, caller).await),
            "add" => self.add_passkey(visit, arrival, caller).await,
            "rename" => self.rename_passkey(visit, caller).await,
            "remove" => self.remove_passkey(visit, caller).await,
            _ => {
                let text = "`action` must be `add`, `rename` or `remove`";
                return Err(Stop::malformed(&text));
            }
        };
        match done {
            Ok(reply) => Ok(reply),
            Err(halt) => self.passkeys_page(visit, caller, Some(halt.alert()?)).await,
        }
    }

    async fn ask_new_passkey(&self, visit: &Visit<'_>, caller: &Caller) -> Reply {
        let place = self.passkey_place(visit);
        let asked = self.auth.ask_new_passkey(caller, place.site(), true).await;
        answer(visit, asked)
    }

    async fn add_passkey(
        &self,
        visit: &Visit<'_>,
        arrival: &Arrival,
        caller: &Caller,
    ) -> Result<Reply, Halt> {
        let (place, said) = (self.passkey_place(visit), said(visit)?);
        let said = said.ok_or_else(no_script)?;
        let name = visit.field("name")?;
        let onward = self.goes_on_as(visit.call, arrival)?;
        let becomes = onward.becomes.clone();
        let taking = self
            .auth
            .take_new_passkey(caller, place.site(), &said, &name, becomes);
        let verified = match taking.await {
            Ok(verified) => verified,
            // Somebody was faster: there is a factor now, and it is asked for.
            Err(PasskeyError::Verify(VerifyError::Forbidden)) => {
                return Err(step_up(visit.call, true).into());
            }
            Err(error) => return Err(error.into()),
        };
        let passed = self.passed(visit.call, arrival, onward, verified).await;
        let next = match passed.verified.passed.backup_codes_left {
            _ if arrival.is_by_address => leave(visit),
            0 => with_return(&visit.call.route, "/.vestibule/backup-codes", &leave(visit)),
            _ => done(visit, "added"),
        };
        Ok(self.renamed(visit.call, said::go_to(&next), &passed))
    }

    async fn rename_passkey(&self, visit: &Visit<'_>, caller: &Caller) -> Result<Reply, Halt> {
        let (id, name) = (passkey_id(visit)?, visit.field("name")?);
        self.auth.rename_passkey(caller, id, &name, true).await?;
        Ok(said::go_to(&done(visit, "renamed")))
    }

    async fn remove_passkey(&self, visit: &Visit<'_>, caller: &Caller) -> Result<Reply, Halt> {
        match self.auth.remove_factor(caller, passkey_id(visit)?).await {
            // Whoever asks twice has what they want.
            Ok(Removed::Yes | Removed::WasOff) => Ok(said::go_to(&done(visit, "removed"))),
            Ok(Removed::LastStays) => Err(Alert::new(StatusCode::CONFLICT, "passkey-last").into()),
            Err(error) => Err(enrol_halt(error, visit)),
        }
    }

    async fn passkeys_page(
        &self,
        visit: &Visit<'_>,
        caller: &Caller,
        alert: Option<Alert>,
    ) -> Result<Reply, Stop> {
        let factors = self.auth.factors(caller.holder.user).await?;
        let (place, words) = (self.passkey_place(visit), visit.frame.words());
        let done = Fields::query(visit.call);
        let done = done.text("done").ok().flatten().filter(|_| alert.is_none());
        let typed = match visit.field("action")?.as_str() {
            "add" => visit.field("name")?,
            _ => words.say("passkey-suggested").to_string(),
        };
        let page = Page {
            t: &visit.frame,
            action: &plain(visit),
            host: &place.host,
            can_add: place.has_passkeys(),
            done: done.and_then(|name| Some(words.say(done_key(&name)?))),
            alert: alert.map(|alert| alert.text(words)),
            passkeys: &factors.passkeys,
            typed,
            back: leave(visit),
        };
        Ok(page::shown(visit, alert, page::STEP_UP, &page))
    }
}

/// This page, saying what was done.
fn done(visit: &Visit<'_>, what: &str) -> String {
    let page = plain(visit);
    let join = if page.contains('?') { '&' } else { '?' };
    format!("{page}{join}done={what}")
}

fn leave(visit: &Visit<'_>) -> String {
    super::enrol::onward(visit)
}

/// What is no number is nobody's passkey.
fn passkey_id(visit: &Visit<'_>) -> Result<PasskeyId, Stop> {
    Ok(PasskeyId(visit.field("passkey")?.parse().unwrap_or(-1)))
}

/// What the browser has answered; `None` if no script has asked it.
pub(super) fn said(visit: &Visit<'_>) -> Result<Option<Value>, Stop> {
    let said = visit.field("answer")?;
    if said.is_empty() {
        return Ok(None);
    }
    let said = serde_json::from_str(&said);
    said.map(Some).map_err(|error| Stop::malformed(&error))
}

pub(super) fn no_script() -> Alert {
    Alert::new(StatusCode::BAD_REQUEST, "passkey-no-script")
}

/// The question for a script, or a sentence for it to show.
pub(super) fn answer(visit: &Visit<'_>, asked: Result<Value, PasskeyError>) -> Reply {
    match asked {
        Ok(question) => encode::json(StatusCode::OK, &question),
        Err(error) => {
            let alert = Alert::from(error);
            let text = alert.text(visit.frame.words()).to_string();
            let reply = encode::json(alert.status, &json!({ "error": text }));
            alert.on(reply, &visit.call.route, None)
        }
    }
}

impl From<PasskeyError> for Alert {
    fn from(error: PasskeyError) -> Self {
        let (status, key) = match error {
            PasskeyError::NotHere => (StatusCode::BAD_REQUEST, "passkey-not-here"),
            PasskeyError::None => (StatusCode::NOT_FOUND, "passkey-none-here"),
            PasskeyError::TooMany => (StatusCode::CONFLICT, "passkey-too-many"),
            PasskeyError::BadName => (StatusCode::BAD_REQUEST, "passkey-bad-name"),
            PasskeyError::NoSuchPasskey => (StatusCode::NOT_FOUND, "passkey-no-such"),
            PasskeyError::Verify(VerifyError::Wrong { .. }) => {
                (StatusCode::UNAUTHORIZED, "passkey-wrong")
            }
            PasskeyError::Verify(VerifyError::Gone) => (StatusCode::FORBIDDEN, "passkey-late"),
            // A page leads on to where people can show more before it comes to this.
            PasskeyError::Enrol(_) | PasskeyError::Verify(VerifyError::Forbidden) => {
                (StatusCode::FORBIDDEN, "passkey-not-verified")
            }
            PasskeyError::TooOften { retry_after_secs } => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                return Self::wait(status, "passkey-too-often", retry_after_secs);
            }
            PasskeyError::Blocked(blocked) => return blocked.into(),
            PasskeyError::Verify(error) => return error.into(),
            PasskeyError::Unavailable => return Self::unavailable(),
        };
        Self::new(status, key)
    }
}
