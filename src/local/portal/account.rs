//! The account page: where somebody is signed in, what their second factor is, and how to change both.
//!
//! A change is a POST in sudo mode, and leads back here. The use cases say who may do what.

use super::super::decode::Fields;
use super::super::{Local, Reply};
use super::cookie;
use super::form::Visit;
use super::page::{self, Frame, Moment};
use super::said::{self, Alert, Halt, Stop};
use super::visitor::{here, step_up};
use super::{enrol_url, with_return};
use crate::auth::browsers::OwnBrowser;
use crate::auth::enrol::{EnrolError, Removed};
use crate::auth::ports::{FactorKind, FactorSet};
use crate::auth::sessions::{OwnSession, SessionsError};
use crate::auth::{Caller, Settings, Standing};
use crate::clock::Timestamp;
use crate::gate::session::Factor;
use crate::id::{BrowserId, SessionId};
use crate::secret::Secret;
use crate::words::{Sentence, Words};
use askama::Template;
use http::{Method, StatusCode};

#[derive(Template)]
#[template(path = "account.html")]
struct Page<'a> {
    t: &'a Frame<'a>,
    /// Where its forms are sent to.
    action: &'a str,
    /// Who is signed in.
    name: &'a str,
    /// What has just been done.
    done: Option<Sentence>,
    alert: Option<Sentence>,
    sessions: Vec<Row>,
    browsers: Vec<BrowserRow>,
    factors: Vec<FactorLine>,
    /// There is a factor, in the list or a passkey.
    has_factor: bool,
    /// There is a kind that could be added.
    missing: bool,
    enrol: String,
    backup_codes_left: u32,
    backup: String,
    /// The browser's token is one of the sign-in page's.
    can_sign_out: bool,
}

/// A session.
struct Row {
    id: SessionId,
    client: String,
    is_current: bool,
    factor: Sentence,
    address: Option<String>,
    verified_at: Moment,
    last_seen_at: Moment,
}

/// A browser that is remembered.
struct BrowserRow {
    id: BrowserId,
    client: String,
    is_current: bool,
    factor: Sentence,
    address: String,
    verified_at: Moment,
    until: Option<Moment>,
}

/// A second factor.
struct FactorLine {
    kind: &'static str,
    name: Sentence,
    /// Where its codes go.
    masked: Option<String>,
    /// The page on which another one takes its place, or on which all passkeys are.
    replace: String,
}

/// What a factor is called.
pub(super) fn factor_key(factor: Factor) -> &'static str {
    match factor {
        Factor::Sms => "account-factor-sms",
        Factor::Totp => "account-factor-totp",
        Factor::Email => "account-factor-email",
        Factor::BackupCode => "account-factor-backup-code",
        Factor::Passkey => "account-factor-passkey",
    }
}

/// What was done, as the address says after it.
fn done_key(name: &str) -> Option<&'static str> {
    Some(match name {
        "session" => "account-done-session",
        "others" => "account-done-others",
        "forgotten" => "account-done-forgotten",
        "removed" => "account-done-removed",
        _ => return None,
    })
}

/// `Firefox on Linux` in the visitor's language: nothing of it is translated but the `on`.
pub(super) fn client_words(words: Words, client: Option<&str>) -> String {
    let client = client.filter(|client| !client.is_empty());
    let Some(client) = client else {
        return words.say("account-client-unknown").to_string();
    };
    match client.split_once(" on ") {
        Some((name, system)) => words
            .say("account-client")
            .with("client", name)
            .with("system", system)
            .to_string(),
        None => client.to_owned(),
    }
}

/// Whether a kind can be set up on this gateway.
pub(super) fn can_be_sent(kind: FactorKind, settings: &Settings) -> bool {
    match kind {
        FactorKind::Sms => settings.sends_sms,
        FactorKind::Email => settings.sends_mail,
        FactorKind::Totp => true,
        // They have pages of their own.
        FactorKind::Passkey => false,
    }
}

impl Local {
    /// `GET|POST /.vestibule/account`.
    pub(super) async fn account(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        // Whoever has no factor has nothing to show but the token: the use cases ask for more.
        let member = self.member(visit, Standing::Token).await?;
        if visit.call.method != Method::POST {
            return self.account_page(visit, &member, None).await;
        }
        let done = match visit.field("action")?.as_str() {
            "end" => self.end_one(visit, &member).await,
            "end-others" => self.end_others(visit, &member).await,
            "forget" => self.forget_one(visit, &member).await,
            "remove" => self.remove_factor(visit, &member).await,
            _ => {
                let text = "`action` must be `end`, `end-others`, `forget` or `remove`";
                return Err(Stop::malformed(&text));
            }
        };
        match done {
            Ok(done) => {
                let page = plain(visit);
                let join = if page.contains('?') { '&' } else { '?' };
                Ok(said::go_to(&format!("{page}{join}done={done}")))
            }
            Err(halt) => self.account_page(visit, &member, Some(halt.alert()?)).await,
        }
    }

    async fn end_one(&self, visit: &Visit<'_>, member: &Caller) -> Result<&'static str, Halt> {
        // What is no number is nobody's session.
        let id = visit.field("session")?.parse().unwrap_or(-1);
        let ended = self.auth.end_session(member, SessionId(id)).await;
        let which = ended.map_err(|error| session_halt(error, visit))?;
        self.forget(which).await;
        Ok("session")
    }

    async fn end_others(&self, visit: &Visit<'_>, member: &Caller) -> Result<&'static str, Halt> {
        let ended = self.auth.end_others(member).await;
        let (which, _) = ended.map_err(|error| session_halt(error, visit))?;
        self.forget(which).await;
        Ok("others")
    }

    async fn forget_one(&self, visit: &Visit<'_>, member: &Caller) -> Result<&'static str, Halt> {
        // What is no number is nobody's browser.
        let id = visit.field("browser")?.parse().unwrap_or(-1);
        match self.auth.forget_browser(member, BrowserId(id)).await {
            // Whoever asks twice has what they want.
            Ok(()) | Err(SessionsError::NotFound) => Ok("forgotten"),
            Err(error) => Err(session_halt(error, visit)),
        }
    }

    async fn remove_factor(
        &self,
        visit: &Visit<'_>,
        member: &Caller,
    ) -> Result<&'static str, Halt> {
        let kind = FactorKind::from_name(&visit.field("factor")?);
        let kind = kind.ok_or_else(|| Stop::malformed(&"`factor` must be one of the page's"))?;
        match self.auth.remove_factor(member, kind).await {
            // Whoever asks twice has what they want.
            Ok(Removed::Yes | Removed::WasOff) => Ok("removed"),
            Ok(Removed::LastStays) => Err(Alert::new(StatusCode::CONFLICT, "account-last").into()),
            Err(error) => Err(enrol_halt(error, visit)),
        }
    }

    async fn account_page(
        &self,
        visit: &Visit<'_>,
        member: &Caller,
        alert: Option<Alert>,
    ) -> Result<Reply, Stop> {
        let unseen = |error| match error {
            SessionsError::NotVerified => step_up(visit.call, false),
            SessionsError::NotFound | SessionsError::Unavailable => Stop::Unavailable,
        };
        let own = self.auth.own_sessions(member).await.map_err(unseen)?;
        let secret = cookie::browser(visit.call);
        let secret = secret.as_ref().map(Secret::expose);
        let browsers = self.auth.own_browsers(member, secret).await;
        let browsers = browsers.map_err(unseen)?;
        let factors = self.auth.factors(member.holder.user).await?;
        let (words, now) = (visit.frame.words(), self.auth.clock.now());
        let done = Fields::query(visit.call);
        let done = done.text("done").ok().flatten();
        let (here, route) = (plain(visit), &visit.call.route);
        let settings = self.auth.settings.load();
        let page = Page {
            t: &visit.frame,
            action: &here,
            name: &member.holder.name,
            done: done
                .filter(|_| alert.is_none())
                .and_then(|name| Some(words.say(done_key(&name)?))),
            alert: alert.map(|alert| alert.text(words)),
            sessions: own.iter().map(|own| row(words, own, now)).collect(),
            browsers: browsers.iter().map(|own| browser(words, own)).collect(),
            missing: FactorKind::ALL
                .into_iter()
                .any(|kind| factors.of(kind).is_none() && can_be_sent(kind, &settings)),
            factors: lines(visit, &factors, &here),
            has_factor: !factors.is_empty(),
            enrol: enrol_url(route, &here),
            backup_codes_left: factors.backup_codes_left,
            backup: with_return(route, "/.vestibule/backup-codes", &here),
            can_sign_out: cookie::has_token(visit.call),
        };
        Ok(page::shown(visit, alert, page::STEP_UP, &page))
    }
}

/// The address of this page without what was done.
pub(super) fn plain(visit: &Visit<'_>) -> String {
    let here = here(visit.call);
    let Some((path, query)) = here.split_once('?') else {
        return here;
    };
    let stays = |field: &&str| !field.starts_with("done=");
    let fields: Vec<_> = query.split('&').filter(stays).collect();
    match fields.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", fields.join("&")),
    }
}

fn row(words: Words, own: &OwnSession, now: Timestamp) -> Row {
    let session = &own.row.session;
    let whence = own.row.whence.as_ref();
    Row {
        id: session.id,
        client: client_words(words, whence.map(|whence| whence.client.as_str())),
        is_current: own.is_current,
        factor: words.say(factor_key(session.factor)),
        address: whence.map(|whence| whence.address.to_string()),
        verified_at: Moment(session.verified_at),
        // The store is told every now and then.
        last_seen_at: Moment(match own.is_current {
            true => now,
            false => session.last_seen_at,
        }),
    }
}

fn browser(words: Words, own: &OwnBrowser) -> BrowserRow {
    let browser = &own.browser;
    BrowserRow {
        id: browser.id,
        client: client_words(words, Some(&browser.whence.client)),
        is_current: own.is_current,
        factor: words.say(factor_key(browser.factor)),
        address: browser.whence.address.to_string(),
        verified_at: Moment(browser.verified_at),
        until: browser.until.map(Moment),
    }
}

fn lines(visit: &Visit<'_>, factors: &FactorSet, here: &str) -> Vec<FactorLine> {
    let line = |kind: FactorKind, masked| FactorLine {
        kind: kind.as_str(),
        name: visit.frame.say(factor_key(kind.factor())),
        masked,
        replace: super::enrol::kind_url(&visit.call.route, kind, here),
    };
    let all = factors.enrolled.iter();
    let all = all.map(|one| line(one.value.kind(), one.value.masked()));
    let names: Vec<_> = factors.passkeys.iter().map(|it| it.name.as_str()).collect();
    let passkeys = (!names.is_empty()).then(|| line(FactorKind::Passkey, Some(names.join(", "))));
    all.chain(passkeys).collect()
}

fn session_halt(error: SessionsError, visit: &Visit<'_>) -> Halt {
    match error {
        SessionsError::NotVerified => step_up(visit.call, true).into(),
        SessionsError::NotFound => Alert::new(StatusCode::NOT_FOUND, "account-gone").into(),
        SessionsError::Unavailable => Stop::Unavailable.into(),
    }
}

/// What a refused change of factors comes to: a sentence on the page, or another page.
pub(super) fn enrol_halt(error: EnrolError, visit: &Visit<'_>) -> Halt {
    match error {
        EnrolError::NotVerified => step_up(visit.call, true).into(),
        EnrolError::NoSelfEnrolment => Stop::NoSelfEnrolment.into(),
        EnrolError::Shared => Stop::ShareOnly.into(),
        EnrolError::Unavailable => Stop::Unavailable.into(),
        EnrolError::Start(error) => error.into(),
    }
}
