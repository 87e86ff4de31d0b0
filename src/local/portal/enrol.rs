//! The pages on which a person sets up a second factor: an authenticator app, a phone, an address.
//!
//! The first one by the token alone, where the route lets its users; every other one in sudo mode.
//! What waits for its first code is kept by the use cases, bound to this browser: a GET shows it again
//! and changes nothing.

use super::super::decode::Fields;
use super::super::{Local, Reply, target};
use super::account::{can_be_sent, enrol_halt, factor_key};
use super::form::Visit;
use super::page::{self, Frame};
use super::said::{self, Alert, Stop};
use super::visitor::{Arrival, here, return_to, step_up};
use super::with_return;
use crate::auth::challenge::{Accept, VerifyError};
use crate::auth::enrol::{NewFactor, PendingEnrolment};
use crate::auth::ports::{FactorKind, FactorSet, FactorValue};
use crate::auth::{Caller, Standing};
use crate::factor::email::EmailAddress;
use crate::factor::phone::Phone;
use crate::factor::totp::{self, TotpSecret};
use crate::route::Route;
use crate::secret::Secret;
use crate::words::Sentence;
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};

/// Letters of a key that are typed in one go.
const KEY_GROUP: usize = 4;

#[derive(Template)]
#[template(path = "enrol.html")]
struct ChoicePage<'a> {
    t: &'a Frame<'a>,
    choices: Vec<Choice>,
    back: Option<String>,
}

/// A kind that can be set up.
struct Choice {
    name: Sentence,
    about: Sentence,
    page: String,
    /// There is one, whose place it takes.
    replaces: bool,
}

#[derive(Template)]
#[template(path = "enrol_totp.html")]
struct TotpPage<'a> {
    t: &'a Frame<'a>,
    action: &'a str,
    others: String,
    alert: Option<Sentence>,
    /// What waits for its first code.
    pending: Option<Key>,
    is_code_wrong: bool,
    digits: usize,
}

/// An authenticator's key, as it is shown.
struct Key {
    /// A PNG image in base64.
    image: String,
    /// In groups, for typing.
    text: String,
    /// `otpauth:`, for an app on this very device.
    uri: Secret,
}

#[derive(Template)]
#[template(path = "enrol_sent.html")]
struct SentPage<'a> {
    t: &'a Frame<'a>,
    action: &'a str,
    others: String,
    alert: Option<Sentence>,
    is_phone: bool,
    /// Where the code went, masked.
    pending: Option<String>,
    resend_after_secs: u64,
    /// What was typed, to be mended.
    typed: &'a str,
    is_recipient_wrong: bool,
    is_code_wrong: bool,
    digits: usize,
}

/// The address of the page that sets up one kind, and leads on to `return_to`.
pub(super) fn kind_url(route: &Route, kind: FactorKind, return_to: &str) -> String {
    let page = match kind {
        FactorKind::Totp => "/.vestibule/enrol/totp",
        FactorKind::Sms => "/.vestibule/enrol/sms",
        FactorKind::Email => "/.vestibule/enrol/email",
        FactorKind::Passkey => "/.vestibule/enrol/passkey",
    };
    with_return(route, page, return_to)
}

/// Where a visitor goes from here: to the account if nothing else was said.
pub(super) fn onward(visit: &Visit<'_>) -> String {
    match Fields::query(visit.call).has("return_to") {
        true => return_to(visit.call),
        false => visit.call.route.address("/.vestibule/account"),
    }
}

/// The address of the visitor's page, with nothing in it that would not be gone to.
pub(super) fn own_address(visit: &Visit<'_>) -> String {
    match Fields::query(visit.call).has("return_to") {
        true => super::with_query(&visit.call.path, &return_to(visit.call)),
        false => here(visit.call),
    }
}

/// Who sets up what, on which page.
struct Setup<'a> {
    visit: &'a Visit<'a>,
    arrival: Arrival,
    caller: Caller,
    kind: FactorKind,
}

impl Setup<'_> {
    fn new_factor(&self, value: FactorValue) -> NewFactor {
        NewFactor {
            value,
            bound_to: self.caller.pair.into(),
            replaces_others: false,
            sudo: true,
        }
    }
}

impl Local {
    /// `GET /.vestibule/enrol?return_to=/path`.
    pub(super) async fn enrol(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let (_, caller) = self.enroller(visit).await?;
        let factors = self.auth.factors(caller.holder.user).await?;
        let page = ChoicePage {
            t: &visit.frame,
            choices: self.choices(visit, &factors),
            back: (!factors.is_empty()).then(|| onward(visit)),
        };
        Ok(page::html(StatusCode::OK, &page))
    }

    /// Leads whoever has nothing to be challenged with to these pages, where they may set up the first
    /// factor by themselves.
    pub(super) async fn enrols_first(
        &self,
        visit: &Visit<'_>,
        arrival: &Arrival,
        caller: &Caller,
    ) -> Result<(), Stop> {
        if caller.standing > Standing::Token || !caller.self_enrolment || caller.is_guest() {
            return Ok(());
        }
        let factors = self.auth.factors(caller.holder.user).await?;
        match factors.is_empty() {
            true => Err(Stop::GoTo(super::enrol_url(
                &visit.call.route,
                &arrival.return_to,
            ))),
            false => Ok(()),
        }
    }

    /// Who comes to set up a factor, and may.
    pub(super) async fn enroller(&self, visit: &Visit<'_>) -> Result<(Arrival, Caller), Stop> {
        let (arrival, caller) = match self.arrived_with_account(visit).await {
            Ok(known) => known,
            Err(stop) => {
                let first = self.arrived_without_factor(visit.call).await?;
                first.ok_or(stop)?
            }
        };
        match self.auth.may_enrol(&caller, true).await {
            Ok(()) => Ok((arrival, caller)),
            Err(error) => Err(enrol_halt(error, visit).stop()),
        }
    }

    fn choices(&self, visit: &Visit<'_>, factors: &FactorSet) -> Vec<Choice> {
        let settings = self.auth.settings.load();
        // What a stolen mailbox or number does not open comes first.
        let kinds = [
            (FactorKind::Totp, "enrol-about-totp"),
            (FactorKind::Sms, "enrol-about-sms"),
            (FactorKind::Email, "enrol-about-email"),
        ];
        let kinds = kinds.into_iter();
        let kinds = kinds.filter(|(kind, _)| can_be_sent(*kind, &settings));
        let has_passkeys = self.passkey_place(visit).has_passkeys();
        let passkey = has_passkeys.then_some((FactorKind::Passkey, "passkey-way-is"));
        let choice = |(kind, about): (FactorKind, &'static str)| Choice {
            name: visit.frame.say(factor_key(kind.factor())),
            about: visit.frame.say(about),
            page: kind_url(&visit.call.route, kind, &onward(visit)),
            replaces: factors.of(kind).is_some(),
        };
        passkey.into_iter().chain(kinds).map(choice).collect()
    }

    /// `GET|POST /.vestibule/enrol/{kind}?return_to=/path`.
    pub(super) async fn enrol_kind(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let kind = FactorKind::from_name(&target::last_segment(&visit.call.path));
        if kind == Some(FactorKind::Passkey) {
            return self.passkeys(visit).await;
        }
        let settings = self.auth.settings.load_full();
        let kind = kind.filter(|kind| can_be_sent(*kind, &settings));
        let kind = kind.ok_or(Stop::NotFound)?;
        let (arrival, caller) = self.enroller(visit).await?;
        let setup = Setup {
            visit,
            arrival,
            caller,
            kind,
        };
        if visit.call.method != Method::POST {
            return self.setup_page(&setup, None, "").await;
        }
        match visit.field("action")?.as_str() {
            "begin" => self.begin(&setup).await,
            "again" => self.send_again(&setup).await,
            "verify" => self.confirm_enrolment(&setup).await,
            _ => {
                let text = "`action` must be `begin`, `again` or `verify`";
                Err(Stop::malformed(&text))
            }
        }
    }

    /// Makes a key, or sends the first code.
    async fn begin(&self, setup: &Setup<'_>) -> Result<Reply, Stop> {
        let typed = setup.visit.field("to")?;
        let region = setup.visit.call.route.config.phone_region.as_deref();
        let value = match setup.kind {
            FactorKind::Totp => {
                let secret = self.auth.new_totp_secret();
                FactorValue::Totp(secret.map_err(|_| Stop::Unavailable)?)
            }
            FactorKind::Sms => match Phone::parse(&typed, region) {
                Ok(phone) => FactorValue::Sms(phone),
                Err(_) => return self.mistyped(setup, "enrol-bad-phone", &typed).await,
            },
            FactorKind::Email => match EmailAddress::parse(typed.trim()) {
                Ok(address) => FactorValue::Email(Secret::new(address.as_str())),
                Err(_) => return self.mistyped(setup, "enrol-bad-address", &typed).await,
            },
            FactorKind::Passkey => return Err(Stop::NotFound),
        };
        self.propose_or_send(setup, value, &typed).await
    }

    async fn mistyped(
        &self,
        setup: &Setup<'_>,
        key: &'static str,
        typed: &str,
    ) -> Result<Reply, Stop> {
        let alert = Alert::new(StatusCode::BAD_REQUEST, key);
        self.setup_page(setup, Some(alert), typed).await
    }

    /// Sends another code to what is being set up.
    async fn send_again(&self, setup: &Setup<'_>) -> Result<Reply, Stop> {
        match self.waiting(setup).await? {
            Some(pending) if setup.kind != FactorKind::Totp => {
                self.propose_or_send(setup, pending.value, "").await
            }
            _ => Ok(said::go_to(&own_address(setup.visit))),
        }
    }

    async fn propose_or_send(
        &self,
        setup: &Setup<'_>,
        value: FactorValue,
        typed: &str,
    ) -> Result<Reply, Stop> {
        let new = setup.new_factor(value);
        let done = match setup.kind {
            FactorKind::Totp => self.auth.propose(&setup.caller, new).await.map(drop),
            FactorKind::Sms | FactorKind::Email | FactorKind::Passkey => {
                let sent = self.auth.send_enrolment(&setup.caller, new).await;
                sent.map(drop)
            }
        };
        match done {
            Ok(()) => Ok(said::go_to(&own_address(setup.visit))),
            Err(error) => {
                let alert = enrol_halt(error, setup.visit).alert()?;
                self.setup_page(setup, Some(alert), typed).await
            }
        }
    }

    /// What waits for its first code, if it is of the page's kind.
    async fn waiting(&self, setup: &Setup<'_>) -> Result<Option<PendingEnrolment>, Stop> {
        let bound_to = setup.caller.pair.into();
        let pending = self.auth.pending_enrolment(&setup.caller, bound_to).await?;
        Ok(pending.filter(|pending| pending.value.kind() == setup.kind))
    }

    async fn confirm_enrolment(&self, setup: &Setup<'_>) -> Result<Reply, Stop> {
        let (call, caller) = (setup.visit.call, &setup.caller);
        let code = setup.visit.field("code")?;
        if self.waiting(setup).await?.is_none() {
            let alert = Alert::new(StatusCode::NOT_FOUND, "enrol-over");
            return self.setup_page(setup, Some(alert), "").await;
        }
        let onward_as = self.goes_on_as(call, &setup.arrival)?;
        let typed = (Accept::Enrolment, code.as_str());
        let passing = self.pass(call, &setup.arrival, caller, onward_as, typed);
        match passing.await {
            Ok(passed) => {
                let onward = onward(setup.visit);
                let onward = match passed.verified.passed.backup_codes_left {
                    // That page is for whoever comes by what the browser itself sends.
                    0 if !setup.arrival.is_by_address => {
                        with_return(&call.route, "/.vestibule/backup-codes", &onward)
                    }
                    _ => onward,
                };
                Ok(self.renamed(call, said::go_to(&onward), &passed))
            }
            // Somebody was faster: there is a factor now, and it is asked for.
            Err(VerifyError::Forbidden) => Err(step_up(call, true)),
            Err(VerifyError::Gone | VerifyError::NeverSent) => {
                let alert = Alert::new(StatusCode::NOT_FOUND, "enrol-over");
                self.setup_page(setup, Some(alert), "").await
            }
            Err(error) => self.setup_page(setup, Some(error.into()), "").await,
        }
    }

    async fn setup_page(
        &self,
        setup: &Setup<'_>,
        alert: Option<Alert>,
        typed: &str,
    ) -> Result<Reply, Stop> {
        let (visit, waiting) = (setup.visit, self.waiting(setup).await?);
        let action = own_address(visit);
        let others = super::enrol_url(&visit.call.route, &onward(visit));
        let text = alert.map(|alert| alert.text(visit.frame.words()));
        let sent = visit.field("action")?;
        let is_wrong = |action| sent == action && alert.is_some_and(Alert::is_about_what_was_typed);
        if setup.kind != FactorKind::Totp {
            let page = SentPage {
                t: &visit.frame,
                action: &action,
                others,
                alert: text,
                is_phone: setup.kind == FactorKind::Sms,
                resend_after_secs: waiting.as_ref().map_or(0, |it| it.resend_after_secs),
                pending: waiting.and_then(|pending| pending.value.masked()),
                typed,
                is_recipient_wrong: is_wrong("begin"),
                is_code_wrong: is_wrong("verify"),
                digits: self.auth.settings.load().codes.length,
            };
            return Ok(page::shown(visit, alert, page::STEP_UP, &page));
        }
        let pending = match waiting.map(|pending| pending.value) {
            Some(FactorValue::Totp(secret)) => Some(self.key(&secret, &setup.caller)?),
            _ => None,
        };
        let page = TotpPage {
            t: &visit.frame,
            action: &action,
            others,
            alert: text,
            pending,
            is_code_wrong: is_wrong("verify"),
            digits: totp::DIGITS,
        };
        Ok(page::shown(visit, alert, page::STEP_UP, &page))
    }

    fn key(&self, secret: &TotpSecret, caller: &Caller) -> Result<Key, Stop> {
        let uri = self.auth.totp_uri(secret, &caller.holder.name);
        let image = totp::qr_png(&uri).ok_or(Stop::Unavailable)?;
        let letters: Vec<char> = secret.base32().expose().chars().collect();
        let groups: Vec<String> = letters.chunks(KEY_GROUP).map(String::from_iter).collect();
        Ok(Key {
            image: STANDARD.encode(image),
            text: groups.join(" "),
            uri,
        })
    }
}
