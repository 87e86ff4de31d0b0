//! The page on which a person lets in a client that cannot show one (RFC 8628 section 3.3): what asks,
//! from where, for what; then the second factor of that client's user, which lets it in by the same step.
//!
//! Whoever has the user code is not known by it: what the page shows is what tells clients apart, and the
//! user's name is masked. The browser itself gets nothing but the answer, and needs no token. A GET
//! never approves.

use super::super::decode::Fields;
use super::super::offer::PAGE;
use super::super::{Local, Reply};
use super::account::client_words;
use super::challenge::{Passing, Tick, View, Way, alert, elsewhere, ways};
use super::form::Visit;
use super::page::{self, Frame};
use super::passkey;
use super::said::{self, Alert, Halt, Notice, Stop};
use crate::auth::challenge::{Accept, Outlook};
use crate::auth::grants::{self, GrantError};
use crate::auth::ports::{FactorKind, Grant, User};
use crate::auth::subject;
use crate::config::model::Requirement;
use crate::factor::email::masked_name;
use crate::identity::network::NetworkName;
use crate::words::Sentence;
use askama::Template;
use http::{Method, StatusCode};

/// The field for a user code.
#[derive(Template)]
#[template(path = "device_code.html")]
struct CodePage<'a> {
    t: &'a Frame<'a>,
    action: &'a str,
    /// What was typed before, to be mended.
    typed: &'a str,
    alert: Option<Sentence>,
}

/// What asks, and how to pass for it.
#[derive(Template)]
#[template(path = "device.html")]
struct Page<'a> {
    t: &'a Frame<'a>,
    asking: Asking,
    action: &'a str,
    alert: Option<Sentence>,
    way_out: Option<Sentence>,
    why: Sentence,
    ways: &'a [Way],
    /// What is said to whoever has passkeys, but none for this host.
    elsewhere: Option<Sentence>,
    /// Of the browser itself, nothing is remembered here.
    remember: Option<Tick>,
    view: View<'a>,
}

/// A client as people recognise it.
struct Asking {
    user_code: String,
    client: String,
    address: String,
    is_here: bool,
    host: String,
    /// Masked.
    user: String,
    ago_secs: u64,
    /// It names no device: it is known by its network, and so is whoever else is there.
    is_network: bool,
}

/// A visit with the code of a client that waits.
struct Asked<'a> {
    visit: &'a Visit<'a>,
    grant: Grant,
    user: User,
    user_code: String,
}

impl Asked<'_> {
    /// The page's own address.
    fn address(&self) -> String {
        let page = self.visit.call.route.address(PAGE);
        format!("{page}?code={}", self.user_code)
    }

    /// Whether what asks is in the visitor's own network.
    fn is_here(&self) -> bool {
        let here = subject::network(self.visit.call.address);
        here == subject::network(self.grant.whence.address)
    }

    /// The prompt for a passkey names this host and no program: one touch would let in whoever sent the
    /// visitor a link to this page. So there is none for what asks from elsewhere.
    fn check_passkey(&self) -> Result<(), Halt> {
        let text = "a passkey lets in only what asks from the network that you are in";
        match self.is_here() {
            true => Ok(()),
            false => Err(Stop::malformed(&text).into()),
        }
    }
}

impl From<GrantError> for Alert {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Unknown => Self::new(StatusCode::NOT_FOUND, "device-unknown"),
            GrantError::TooMany { retry_after_secs } => Self::wait(
                StatusCode::TOO_MANY_REQUESTS,
                "said-delayed",
                retry_after_secs,
            ),
            GrantError::Unavailable => Self::unavailable(),
        }
    }
}

impl Local {
    /// `GET|POST /.vestibule/device?code=WDJB-MJHT`.
    pub(super) async fn device(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let query = Fields::query(visit.call);
        let text = |name| query.text(name).ok().flatten().unwrap_or_default();
        if let Some(done) = done(&text("done")) {
            return Ok(page::notice(&visit.frame, StatusCode::OK, done));
        }
        let typed = text("code");
        if typed.trim().is_empty() {
            return Ok(asks_code(visit, "", None));
        }
        let (realm, from) = (&visit.call.route.config.identity, visit.call.address);
        let (grant, user) = match self.auth.waiting_client(realm, &typed, from).await {
            Ok(found) => found,
            Err(error) => return Ok(asks_code(visit, &typed, Some(error.into()))),
        };
        if visit.call.most_at(grant.whence.address, &user) == Requirement::Deny {
            return Err(Stop::Closed);
        }
        let code: String = typed.chars().filter(char::is_ascii_alphabetic).collect();
        let asked = Asked {
            visit,
            grant,
            user,
            user_code: grants::readable(&code.to_ascii_uppercase()),
        };
        let alert = match visit.call.method == Method::POST {
            true => match self.act_for_client(&asked).await {
                Ok(reply) => return Ok(reply),
                Err(halt) => Some(halt.alert()?),
            },
            false => None,
        };
        self.client_shown(&asked, alert).await
    }

    async fn act_for_client(&self, asked: &Asked<'_>) -> Result<Reply, Halt> {
        match asked.visit.field("action")?.as_str() {
            "send" => self.send_for_client(asked).await,
            "verify" => self.let_client_in(asked, Accept::Factor).await,
            "recover" => self.let_client_in(asked, Accept::Backup).await,
            passkey::ASK => {
                asked.check_passkey()?;
                Ok(self.ask_for_client(asked).await)
            }
            "passkey" => {
                asked.check_passkey()?;
                self.let_client_in_by_passkey(asked).await
            }
            "refuse" => self.keep_client_out(asked).await,
            _ => Err(Stop::malformed(&"`action` must be one of the page's").into()),
        }
    }

    async fn send_for_client(&self, asked: &Asked<'_>) -> Result<Reply, Halt> {
        let kind = FactorKind::from_name(&asked.visit.field("factor")?);
        let kind = kind.ok_or_else(|| Stop::malformed(&"`factor` must be one of the page's"))?;
        let from = asked.visit.call.address;
        let reader = (from, asked.visit.frame.words());
        self.auth.send_for_grant(&asked.grant, kind, reader).await?;
        Ok(said::go_to(&asked.address()))
    }

    async fn let_client_in(&self, asked: &Asked<'_>, accept: Accept) -> Result<Reply, Halt> {
        let code = asked.visit.field("code")?;
        let from = asked.visit.call.address;
        let typed = (accept, code.as_str());
        let approved = self.auth.approve_grant(&asked.grant, typed, from).await;
        approved.map_err(|error| alert(accept, error))?;
        Ok(said::go_to(&done_at(asked.visit, "in")))
    }

    /// What the browser in front of the user is to ask for.
    async fn ask_for_client(&self, asked: &Asked<'_>) -> Reply {
        let (visit, place) = (asked.visit, self.passkey_place(asked.visit));
        let from = visit.call.address;
        let asking = self
            .auth
            .ask_passkey_for_grant(&asked.grant, place.site(), from);
        passkey::answer(visit, asking.await)
    }

    async fn let_client_in_by_passkey(&self, asked: &Asked<'_>) -> Result<Reply, Halt> {
        let (visit, place) = (asked.visit, self.passkey_place(asked.visit));
        let said = passkey::said(visit)?.ok_or_else(passkey::no_script)?;
        let from = visit.call.address;
        let approved = self
            .auth
            .approve_grant_by_passkey(&asked.grant, place.site(), &said, from);
        approved.await?;
        Ok(said::go_to(&done_at(visit, "in")))
    }

    async fn keep_client_out(&self, asked: &Asked<'_>) -> Result<Reply, Halt> {
        let from = asked.visit.call.address;
        self.auth.refuse_grant(&asked.grant, from).await?;
        Ok(said::go_to(&done_at(asked.visit, "refused")))
    }

    async fn client_shown(&self, asked: &Asked<'_>, alert: Option<Alert>) -> Result<Reply, Stop> {
        let call = asked.visit.call;
        let outlook = self
            .auth
            .outlook_for_grant(&asked.grant, call.address)
            .await;
        let outlook = outlook?;
        let alert = alert.or(outlook.blocked.map(Alert::from));
        let digits = self.auth.settings.load().codes.length;
        let by = Fields::query(call);
        let by = by.text("by").ok().flatten().unwrap_or_default();
        let (ways, elsewhere) = self.ways_here(asked, &outlook);
        let passing = Passing::new(&by, ways, &outlook, (digits, alert));
        let frame = &asked.visit.frame;
        let page = Page {
            t: frame,
            asking: self.asking(asked),
            action: &asked.address(),
            alert: alert.map(|alert| alert.text(frame.words())),
            way_out: passing.way_out(frame),
            why: frame.say("device-why"),
            ways: &passing.ways,
            elsewhere,
            remember: None,
            view: passing.view,
        };
        Ok(page::shown(asked.visit, alert, page::STEP_UP, &page))
    }

    /// The ways to let the client in, and what is said to whoever has passkeys that are none of them.
    fn ways_here(&self, asked: &Asked<'_>, outlook: &Outlook) -> (Vec<Way>, Option<Sentence>) {
        let (place, frame) = (self.passkey_place(asked.visit), &asked.visit.frame);
        let mut ways = ways(outlook, &place);
        if !ways.contains(&Way::Passkey) {
            let hosts = elsewhere(outlook, &place);
            let said = hosts.map(|hosts| frame.say("passkey-elsewhere").with("hosts", hosts));
            return (ways, said);
        }
        if asked.is_here() {
            return (ways, None);
        }
        ways.retain(|way| *way != Way::Passkey);
        (ways, Some(frame.say("passkey-only-here")))
    }

    fn asking(&self, asked: &Asked<'_>) -> Asking {
        let Grant {
            whence,
            host,
            asked_at,
            device_label,
            ..
        } = &asked.grant;
        let words = asked.visit.frame.words();
        let network = self
            .auth
            .keys
            .device_label(NetworkName::of(whence.address).as_str());
        Asking {
            user_code: asked.user_code.clone(),
            client: match whence.client.as_str() {
                "" => words.say("device-client-unknown").to_string(),
                client => client_words(words, Some(client)),
            },
            address: whence.address.to_canonical().to_string(),
            is_here: asked.is_here(),
            host: host.clone(),
            user: masked_name(&asked.user.name),
            ago_secs: self.auth.clock.now().secs_since(*asked_at),
            is_network: device_label.as_ref() == Some(&network),
        }
    }
}

/// What is said once all is done.
fn done(what: &str) -> Option<Notice> {
    match what {
        "in" => Some(Notice::new("device-in-title", "device-in")),
        "refused" => Some(Notice::new("device-refused-title", "device-refused")),
        _ => None,
    }
}

fn done_at(visit: &Visit<'_>, what: &str) -> String {
    format!("{}?done={what}", visit.call.route.address(PAGE))
}

fn asks_code(visit: &Visit<'_>, typed: &str, alert: Option<Alert>) -> Reply {
    // Only what could be mended is shown again.
    let typed: String = typed.chars().take(16).collect();
    let page = CodePage {
        t: &visit.frame,
        action: &visit.call.route.address(PAGE),
        typed: &typed,
        alert: alert.map(|alert| alert.text(visit.frame.words())),
    };
    page::shown(visit, alert, None, &page)
}
