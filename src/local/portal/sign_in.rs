//! The sign-in page, for Vestibule's own accounts: a name or email address, and a password.
//!
//! It says and takes the same for people who do not exist. The token that it gives out, and the
//! device that it is given to, are new: what somebody planted in the browser beforehand, or knew of
//! it, is worth nothing afterwards.

use super::super::{Call, Local, Reply};
use super::form::Visit;
use super::page::{self, Frame};
use super::said::{self, Alert, Stop};
use super::visitor::return_to;
use super::{challenge_url, cookie, sign_in_url};
use crate::auth::browsers::KnownBrowser;
use crate::auth::ports::{User, Whence};
use crate::auth::sign_in::{SignInContext, SignedIn};
use crate::config::model::{Remember, Requirement};
use crate::gate::Presented;
use crate::identity::client;
use crate::policy::{self, Person, Reach, Target};
use crate::secret::Secret;
use askama::Template;
use http::{Method, StatusCode};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page<'a> {
    t: &'a Frame<'a>,
    /// Where its form is sent to.
    action: &'a str,
    /// What was typed before, to be mended.
    username: &'a str,
    alert: Option<String>,
    /// That is what went wrong.
    is_wrong: bool,
}

impl Local {
    /// `GET|POST /.vestibule/sign-in?return_to=/path`.
    pub(super) async fn sign_in(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        if visit.call.method == Method::POST {
            return self.try_password(visit).await;
        }
        if self.is_signed_in(visit.call).await? {
            return Ok(said::go_to(&return_to(visit.call)));
        }
        Ok(shown(visit, "", None))
    }

    /// Whether the browser's own token is somebody's. A share link's is nobody's account.
    async fn is_signed_in(&self, call: &Call) -> Result<bool, Stop> {
        let Some(token) = cookie::token(call) else {
            return Ok(false);
        };
        let presented = Presented {
            token: &token,
            device: None,
        };
        let caller = self.caller(call, presented).await?;
        Ok(caller.is_some_and(|caller| !caller.is_guest()))
    }

    async fn try_password(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let call = visit.call;
        let username = visit.field("username")?;
        let username = username.trim();
        let password = Secret::new(visit.field("password")?);
        if username.is_empty() || password.expose().is_empty() {
            let alert = Alert::new(StatusCode::BAD_REQUEST, "sign-in-incomplete");
            return Ok(shown(visit, username, Some(alert)));
        }
        let device = self.new_device()?;
        let at = context(call, Some(&device));
        let known = known_browser(call);
        let signing_in =
            self.auth
                .sign_in_on_page(at, username, &password, known.as_ref(), |user| {
                    call.most_of(user)
                });
        match signing_in.await {
            Ok(signed_in) => {
                let reply = self.signed_in(call, &device, &signed_in).await;
                // Its cookie is kept anew, or it would be gone before it is forgotten.
                Ok(match known.filter(|_| signed_in.session.is_some()) {
                    Some(known) => cookie::set_browser(reply, call, &known.secret),
                    None => reply,
                })
            }
            Err(error) => Ok(shown(visit, username, Some(error.into()))),
        }
    }

    /// Leaves the token with the browser, under a new name, and leads on.
    async fn signed_in(&self, call: &Call, device: &str, signed_in: &SignedIn) -> Reply {
        let token = signed_in.token.expose();
        self.gate.token_issued(call.route.keys.token(token));
        // Whoever was signed in here before is not any more. If that cannot be written now, their token
        // is gone with its cookie all the same.
        if let Some(before) = cookie::token(call) {
            let _ = self.end_token(call, &before).await;
        }
        let to = match signed_in.session {
            Some(_) => return_to(call),
            None => next(call, &signed_in.user),
        };
        let reply = said::go_to(&to);
        let reply = cookie::set_device(reply, call, device, self.cookie_secs());
        cookie::set_token(reply, call, token, self.cookie_secs())
    }
}

/// The browser as it may be remembered, where any is.
fn known_browser(call: &Call) -> Option<KnownBrowser> {
    let remember = call.route.config.remember;
    let secret = cookie::browser(call).filter(|_| remember != Remember::Never)?;
    Some(KnownBrowser {
        secret,
        remember,
        whence: Whence {
            address: call.address,
            client: client::words(&call.headers),
        },
    })
}

/// Where a token comes from, and what it is for: for this device, if one is to be issued.
pub(super) fn context<'a>(call: &'a Call, device: Option<&'a str>) -> SignInContext<'a> {
    SignInContext {
        realm: &call.route.config.identity,
        keys: &call.route.keys,
        device,
        route: &call.route.config.name,
        address: call.address,
    }
}

/// Where somebody goes who has just signed in: to the second factor, if the way back asks for one.
fn next(call: &Call, user: &User) -> String {
    let back = return_to(call);
    let path = back.split('?').next().unwrap_or_default();
    // Pages of ours ask by themselves.
    if call.route.own_path(path).is_some() {
        return back;
    }
    let demand = policy::required(Target {
        route: &call.route.config,
        method: &Method::GET,
        reach: Reach::Itself,
        path,
        destination: None,
        address: call.address,
    });
    let person = Person {
        name: &user.name,
        groups: &user.groups,
    };
    match demand.of(person) {
        Requirement::TwoFactor { .. } | Requirement::SuccessToken => {
            challenge_url(&call.route, &back, false)
        }
        Requirement::Nothing | Requirement::Token | Requirement::Deny => back,
    }
}

fn shown(visit: &Visit<'_>, username: &str, alert: Option<Alert>) -> Reply {
    let page = Page {
        t: &visit.frame,
        action: &sign_in_url(&visit.call.route, &return_to(visit.call)),
        username,
        alert: alert.map(|alert| alert.text(visit.frame.words()).to_string()),
        is_wrong: alert.is_some_and(Alert::is_about_what_was_typed),
    };
    page::shown(visit, alert, None, &page)
}
