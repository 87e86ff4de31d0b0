//! The challenge page: a person passes the second factor in a browser.
//!
//! It offers what the visitor has: codes by message and by mail, those of an authenticator app, backup
//! codes. What it shows follows from the store and its address, never from a form that was sent
//! before: it can be reloaded, left and come back to. The page knows its visitor by the request's own
//! credentials or by those in the address to return to, and its pending code is bound to the browser
//! by the device cookie, which changes at verification: a cookie that somebody planted beforehand is
//! worth nothing afterwards.

use super::super::decode::Fields;
use super::super::{Local, Reply};
use super::challenge_url;
use super::form::Visit;
use super::page::{self, Frame};
use super::pass::{asks_to_remember, can_be_remembered};
use super::passkey::Place;
use super::said::{self, Alert, Halt, Stop};
use super::visitor::{Arrival, Device};
use crate::auth::challenge::{Accept, Outlook, Sent, VerifyError};
use crate::auth::lockout::Blocked;
use crate::auth::ports::FactorKind;
use crate::auth::{Caller, Standing};
use crate::config::model::Remember;
use crate::factor::{backup, totp};
use crate::words::Sentence;
use askama::Template;
use http::{Method, StatusCode};
use std::collections::BTreeSet;

/// The page in one of its states.
#[derive(Template)]
#[template(path = "challenge.html")]
struct Page<'a> {
    t: &'a Frame<'a>,
    title: Sentence,
    /// Where its forms are sent to, with a query that more can be added to.
    action: &'a str,
    /// What went wrong, as a sentence.
    alert: Option<Sentence>,
    /// What is said to whoever is locked out and has backup codes.
    way_out: Option<Sentence>,
    /// What is said where the address names the device, which need not be this browser's.
    program: Option<Sentence>,
    /// Why somebody has to pass.
    why: Sentence,
    /// All that the visitor can pass with.
    ways: &'a [Way],
    /// What is said to whoever has passkeys, but none for this host.
    elsewhere: Option<Sentence>,
    /// What is offered to whoever wants the browser to be remembered.
    remember: Option<Tick>,
    view: View<'a>,
}

/// A box that can be ticked.
pub(super) struct Tick {
    pub(super) label: Sentence,
    /// It was, when the form was sent before.
    pub(super) is_on: bool,
}

/// What the visitor can pass with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Passkey,
    /// A code is sent to this masked recipient.
    Message {
        kind: FactorKind,
        recipient: String,
    },
    App,
    Backup,
}

impl Way {
    pub(super) fn is_mail(&self) -> bool {
        matches!(self, Self::Message { kind, .. } if *kind == FactorKind::Email)
    }
}

/// What the page is about.
pub(super) enum View<'a> {
    /// There is nothing to pass with.
    Nothing,
    /// Nothing helps but an operator.
    Locked,
    Choose,
    Code(Code<'a>),
}

/// The field for a code.
pub(super) struct Code<'a> {
    /// The code that is waited for was sent; else it is one of the app's, or a backup code.
    pub(super) sent: Option<&'a Sent>,
    pub(super) is_backup: bool,
    /// What the address says of that, for the form to come back here.
    pub(super) by: &'static str,
    pub(super) digits: usize,
    /// The code that was typed before is what went wrong.
    pub(super) is_wrong: bool,
}

impl Code<'_> {
    /// Whether a browser fills in what a message brought.
    pub(super) fn autocomplete(&self) -> &'static str {
        match self.is_backup {
            true => "off",
            false => "one-time-code",
        }
    }
}

/// The ways to pass, and which of them a page is about.
pub(super) struct Passing<'a> {
    pub(super) ways: Vec<Way>,
    pub(super) view: View<'a>,
    has_way_out: bool,
}

impl<'a> Passing<'a> {
    /// `by` is what the page's address asks for, `alert` what went wrong.
    pub(super) fn new(
        by: &str,
        ways: Vec<Way>,
        outlook: &'a Outlook,
        (digits, alert): (usize, Option<Alert>),
    ) -> Self {
        Self {
            view: view(by, &ways, outlook, digits).told(alert),
            has_way_out: is_locked(outlook) && outlook.has_backup_codes,
            ways,
        }
    }

    /// What is said to whoever is locked out and has backup codes.
    pub(super) fn way_out(&self, frame: &Frame<'_>) -> Option<Sentence> {
        self.has_way_out
            .then(|| frame.say("challenge-locked-backup"))
    }
}

/// A visit to this page.
struct Asked<'a> {
    visit: &'a Visit<'a>,
    arrival: Arrival,
    caller: Caller,
}

impl Asked<'_> {
    /// Whether the pair that becomes verified is that of a device which the address names: a program's, or
    /// that of somebody who had this visitor open a link.
    fn is_for_program(&self) -> bool {
        matches!(self.arrival.device, Device::Named(_))
    }

    /// The page's own address.
    fn address(&self) -> String {
        let route = &self.visit.call.route;
        challenge_url(route, &self.arrival.return_to, is_fresh(self.visit))
    }
}

fn is_locked(outlook: &Outlook) -> bool {
    outlook.blocked == Some(Blocked::Locked)
}

/// Every way, in the order of the page.
pub(super) fn ways(outlook: &Outlook, place: &Place) -> Vec<Way> {
    let backup = outlook.has_backup_codes.then_some(Way::Backup);
    if is_locked(outlook) {
        return backup.into_iter().collect();
    }
    let passkeys = &outlook.factors.passkeys;
    let is_offered = passkeys.iter().any(|one| place.offers(one));
    // They come first: they need nothing to be typed.
    let passkey = is_offered.then_some(Way::Passkey);
    let app = outlook.factors.totp().map(|_| Way::App);
    let messages = outlook.factors.enrolled.iter().filter_map(|enrolled| {
        Some(Way::Message {
            kind: enrolled.value.kind(),
            recipient: enrolled.value.masked()?,
        })
    });
    let typed = app.into_iter().chain(messages).chain(backup);
    passkey.into_iter().chain(typed).collect()
}

/// The other hosts that the visitor has passkeys for.
pub(super) fn elsewhere(outlook: &Outlook, place: &Place) -> Option<String> {
    let passkeys = outlook.factors.passkeys.iter();
    let others = passkeys.filter(|one| !place.offers(one));
    let hosts: BTreeSet<_> = others.map(|one| one.host.as_str()).collect();
    let hosts = Vec::from_iter(hosts).join(", ");
    (!hosts.is_empty()).then_some(hosts)
}

impl Local {
    /// `GET|POST /.vestibule/challenge?return_to=/path&fresh=true&by=app`.
    pub(super) async fn challenge(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let (arrival, caller) = self.arrived(visit).await?;
        self.enrols_first(visit, &arrival, &caller).await?;
        let asked = Asked {
            visit,
            arrival,
            caller,
        };
        if visit.call.method == Method::POST {
            return self.act(&asked).await;
        }
        // Whoever has passed already goes on, unless a newer factor is asked for.
        if asked.caller.standing >= Standing::Verified && !is_fresh(visit) {
            return Ok(said::go_to(&asked.arrival.return_to));
        }
        let outlook = self.auth.outlook(&asked.caller).await?;
        let alert = outlook.blocked.map(Alert::from);
        Ok(self.shown(&asked, &outlook, alert))
    }

    async fn act(&self, asked: &Asked<'_>) -> Result<Reply, Stop> {
        let visit = asked.visit;
        let done = match visit.field("action")?.as_str() {
            "send" => self.send_code(asked).await,
            "verify" => self.confirm_code(asked, Accept::Factor).await,
            "recover" => self.confirm_code(asked, Accept::Backup).await,
            super::passkey::ASK => Ok(self.ask_passkey(visit, &asked.caller).await),
            "passkey" => {
                let (arrival, caller) = (&asked.arrival, &asked.caller);
                self.confirm_passkey(visit, arrival, caller).await
            }
            _ => return Err(Stop::malformed(&"`action` must be one of the page's")),
        };
        match done {
            Ok(reply) => Ok(reply),
            Err(halt) => {
                let alert = halt.alert()?;
                let outlook = self.auth.outlook(&asked.caller).await?;
                // That somebody has to wait now matters more than what went wrong.
                let alert = match outlook.blocked {
                    Some(blocked) if alert.status != StatusCode::SERVICE_UNAVAILABLE => {
                        blocked.into()
                    }
                    _ => alert,
                };
                Ok(self.shown(asked, &outlook, Some(alert)))
            }
        }
    }

    /// Sends a code by the factor that was chosen.
    async fn send_code(&self, asked: &Asked<'_>) -> Result<Reply, Halt> {
        let kind = FactorKind::from_name(&asked.visit.field("factor")?);
        let kind = kind.ok_or_else(|| Stop::malformed(&"`factor` must be one of the page's"))?;
        let is_for_program = asked.is_for_program();
        let starting = self.auth.start_for(&asked.caller, kind, is_for_program);
        starting.await?;
        Ok(said::go_to(&asked.address()))
    }

    async fn confirm_code(&self, asked: &Asked<'_>, accept: Accept) -> Result<Reply, Halt> {
        let (call, arrival) = (asked.visit.call, &asked.arrival);
        let code = asked.visit.field("code")?;
        let onward = self.goes_on_remembered(asked.visit, arrival, &asked.caller)?;
        let typed = (accept, code.as_str());
        let passed = self.pass(call, arrival, &asked.caller, onward, typed).await;
        let passed = passed.map_err(|error| alert(accept, error))?;
        Ok(self.renamed(call, said::go_to(&arrival.return_to), &passed))
    }

    /// What is said of remembering, where it can be asked for.
    fn remembering(&self, asked: &Asked<'_>) -> Option<Tick> {
        let (visit, frame) = (asked.visit, &asked.visit.frame);
        let can_be = can_be_remembered(visit.call, &asked.arrival, &asked.caller);
        let label = match visit.call.route.config.remember {
            Remember::Never => return None,
            Remember::For(span) => {
                let span = frame.words().period(span.as_secs());
                frame.say("challenge-remember").with("span", span)
            }
            Remember::Forever => frame.say("challenge-remember-forever"),
        };
        let is_on = asks_to_remember(visit).unwrap_or(false);
        can_be.then_some(Tick { label, is_on })
    }

    fn shown(&self, asked: &Asked<'_>, outlook: &Outlook, alert: Option<Alert>) -> Reply {
        let frame = &asked.visit.frame;
        let place = self.passkey_place(asked.visit);
        let ways = ways(outlook, &place);
        let elsewhere = elsewhere(outlook, &place).filter(|_| !ways.contains(&Way::Passkey));
        let by = Fields::query(asked.visit.call);
        let by = by.text("by").ok().flatten().unwrap_or_default();
        let digits = self.auth.settings.load().codes.length;
        let passing = Passing::new(&by, ways, outlook, (digits, alert));
        let page = Page {
            t: frame,
            title: passing.view.title(frame),
            action: &asked.address(),
            alert: alert.map(|alert| alert.text(frame.words())),
            way_out: passing.way_out(frame),
            program: asked
                .is_for_program()
                .then(|| frame.say("challenge-program")),
            why: frame.say("challenge-why").with("service", frame.name()),
            ways: &passing.ways,
            elsewhere: elsewhere.map(|hosts| frame.say("passkey-elsewhere").with("hosts", hosts)),
            remember: self.remembering(asked),
            view: passing.view,
        };
        page::shown(asked.visit, alert, page::STEP_UP, &page)
    }
}

/// What the page is about: what its address asks for if the visitor has it, else the code that is on
/// its way, else the only way there is.
fn view<'a>(by: &str, ways: &[Way], outlook: &'a Outlook, digits: usize) -> View<'a> {
    let code = |sent, digits| Code {
        sent,
        is_backup: false,
        by: "",
        digits,
        is_wrong: false,
    };
    let app = Code {
        by: "&by=app",
        ..code(None, totp::DIGITS)
    };
    let recovery = Code {
        is_backup: true,
        by: "&by=backup",
        ..code(None, backup::DIGITS)
    };
    match (by, &outlook.sent, ways) {
        (_, _, []) if is_locked(outlook) => View::Locked,
        (_, _, []) => View::Nothing,
        (_, _, [Way::Backup]) => View::Code(recovery),
        ("app", _, _) if ways.contains(&Way::App) => View::Code(app),
        ("backup", _, _) if ways.contains(&Way::Backup) => View::Code(recovery),
        ("other", _, _) => View::Choose,
        (_, Some(sent), _) => View::Code(code(Some(sent), digits)),
        // An app's code is at hand: nothing is sent before it is asked for.
        (_, None, [Way::App, ..]) => View::Code(app),
        (_, None, _) => View::Choose,
    }
}

impl View<'_> {
    fn title(&self, t: &Frame<'_>) -> Sentence {
        match self {
            Self::Nothing | Self::Locked | Self::Choose => t.say("challenge-choose-title"),
            Self::Code(code) if code.is_backup => t.say("challenge-backup-title"),
            Self::Code(_) => t.say("challenge-code-title"),
        }
    }

    /// The same after something went wrong.
    fn told(mut self, alert: Option<Alert>) -> Self {
        if let Self::Code(code) = &mut self {
            code.is_wrong = alert.is_some_and(Alert::is_about_what_was_typed);
        }
        self
    }
}

/// What is said of a code that did not verify.
pub(super) fn alert(accept: Accept, error: VerifyError) -> Alert {
    match (accept, error) {
        (Accept::Backup, VerifyError::Wrong { .. }) => {
            Alert::new(StatusCode::UNAUTHORIZED, "challenge-wrong-backup")
        }
        (Accept::Backup, VerifyError::Malformed) => {
            Alert::new(StatusCode::BAD_REQUEST, "challenge-no-backup")
        }
        (_, error) => error.into(),
    }
}

/// Whether a second factor is asked for even if one was passed before.
fn is_fresh(visit: &Visit<'_>) -> bool {
    Fields::query(visit.call).is_on("fresh")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model;
    use crate::digest::DigestKeys;
    use crate::policy::tests::route;
    use crate::route::Route;
    use std::sync::Arc;

    #[test]
    fn what_a_page_shows_is_escaped() {
        let portal = model::Portal {
            support: Some(model::Support::Text("<s>".to_owned())),
            ..model::Portal::default()
        };
        let route = Route {
            config: route(Vec::new()),
            keys: DigestKeys::derive(&[0; 32]).realm("test"),
            identity: model::Identity::Accounts,
            portal: Arc::new(portal),
        };
        let frame = Frame::new(&route, &http::HeaderMap::new(), "<b>");
        let sent = Sent {
            kind: FactorKind::Sms,
            masked_recipient: "<i>".to_owned(),
            resend_after_secs: 5,
        };
        let message = Way::Message {
            kind: FactorKind::Email,
            recipient: "<u>".to_owned(),
        };
        let code = Code {
            sent: Some(&sent),
            is_backup: false,
            by: "",
            digits: 6,
            is_wrong: true,
        };
        for view in [View::Nothing, View::Locked, View::Choose, View::Code(code)] {
            let page = Page {
                t: &frame,
                title: view.title(&frame),
                action: "\"><script>",
                alert: Some(frame.say("said-not-found")),
                way_out: None,
                program: Some(frame.say("challenge-program")),
                why: frame.say("challenge-why").with("service", frame.name()),
                ways: &[message.clone(), Way::Backup, Way::Passkey],
                elsewhere: None,
                remember: Some(Tick {
                    label: frame.say("challenge-remember-forever"),
                    is_on: true,
                }),
                view,
            };
            let html = page.render().unwrap();
            for raw in ["<b>", "<script>", "<i>", "<u>", "<s>"] {
                assert!(!html.contains(raw), "{raw}");
            }
            assert!(html.contains("&#60;b&#62;"), "{html}");
        }
    }
}
