//! One table from refusal to HTTP: the gate's own answers.
//!
//! An API client gets problem+json (RFC 9457), never a login page; a browser navigation gets the
//! challenge page or a page that says what is wrong. The token is never repeated in either.

use super::portal::{self, Notice};
use super::{Offer, Reply, encode, origin};
use crate::auth::share::GUEST_PREFIX;
use crate::config::model::{CredentialSource, Dialect, Identity, Portal};
use crate::gate::Refusal;
use crate::identity::credential;
use crate::request::{RequestHead, is_navigation};
use crate::route::Route;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

const PROBLEM: &str = "application/problem+json";
/// B2Core's challenge by mail.
const CHALLENGE: &str = "/api/v2/my/2fa/challenge";

/// What one refusal says, outside of the URLs that depend on the request.
struct Answer {
    status: StatusCode,
    title: &'static str,
    detail: &'static str,
    /// Of `WWW-Authenticate`, with 401.
    error: Option<&'static str>,
    /// What a page says in the place of both; `None` where a browser is always led on.
    notice: Option<Notice>,
}

fn answer(refusal: &Refusal) -> Answer {
    let (status, title, detail, error) = match refusal {
        Refusal::NoToken => (
            StatusCode::UNAUTHORIZED,
            "A token is needed",
            "Sign in first, or open the link that you were sent, and send its token with the request.",
            None,
        ),
        Refusal::UnknownToken => (
            StatusCode::UNAUTHORIZED,
            "The token is not known",
            "It is wrong or has ended. Sign in again, or ask for a new link.",
            Some("invalid_token"),
        ),
        Refusal::SecondFactorRequired { .. } => (
            StatusCode::UNAUTHORIZED,
            "A second factor is needed",
            "Ask for a code at challenge_url and send it to verify_url, or open portal_url in a browser.",
            Some("insufficient_user_authentication"),
        ),
        Refusal::SuccessTokenRequired { .. } => (
            StatusCode::UNAUTHORIZED,
            "A success token is needed",
            "Confirm this step with a new code and send the success token that you get for it.",
            Some("insufficient_user_authentication"),
        ),
        Refusal::Denied => (
            StatusCode::FORBIDDEN,
            "Closed",
            "You may not open this path.",
            None,
        ),
        Refusal::OutOfScope => (
            StatusCode::FORBIDDEN,
            "Outside of the share",
            "This token opens the folder of its share link only.",
            None,
        ),
        Refusal::TooManyTries { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many wrong passwords",
            "Wait as long as Retry-After says before you try again.",
            None,
        ),
        Refusal::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Your access cannot be checked now",
            "Try again in a few seconds.",
            None,
        ),
    };
    Answer {
        status,
        title,
        detail,
        error,
        notice: notice(refusal),
    }
}

/// What a page says of a refusal; `None` where a browser is always led on.
fn notice(refusal: &Refusal) -> Option<Notice> {
    let (title, text) = match refusal {
        Refusal::NoToken => ("said-no-token-title", "said-no-token"),
        Refusal::UnknownToken => ("said-unknown-token-title", "said-unknown-token"),
        Refusal::SecondFactorRequired { .. } => return None,
        Refusal::SuccessTokenRequired { .. } => {
            ("notice-success-token-title", "notice-success-token")
        }
        Refusal::Denied => ("notice-denied-title", "notice-denied"),
        Refusal::OutOfScope => ("notice-out-of-scope-title", "notice-out-of-scope"),
        Refusal::TooManyTries { .. } => ("notice-too-many-tries-title", "notice-too-many-tries"),
        Refusal::Unavailable => ("said-unavailable-title", "said-unavailable"),
    };
    Some(Notice::new(title, text))
}

/// The answer to a refused request: problem+json (RFC 9457) to an API client, 303 or a page to a
/// browser navigation. `methods` are the second factors of the refusal's holder, `service` is what
/// pages call the service.
#[must_use]
pub fn reply(
    refusal: &Refusal,
    head: &RequestHead<'_>,
    route: &Route,
    methods: &[&str],
    service: &str,
    offer: Option<&Offer>,
) -> Reply {
    let mut answer = answer(refusal);
    if *refusal == Refusal::UnknownToken && credential::has_basic(head.headers) {
        answer.title = "The user name or the password is wrong";
        answer.detail = "Check both, and try again.";
    }
    if *refusal == Refusal::UnknownToken && is_guest(head) {
        answer.notice = Some(Notice::new("share-gone-title", "share-gone"));
    }
    let browser = head.is_browser_navigation();
    if browser && let Refusal::SecondFactorRequired { max_age_secs, .. } = refusal {
        return portal::go_to(&challenge_page(head, route, max_age_secs.is_some()));
    }
    if browser
        && matches!(refusal, Refusal::UnknownToken)
        && let Some(link) = route.share_link(&head.path)
    {
        // A link for several people is nobody's token: its page asks whose it is to be. So it says of
        // one that is over, and of one that never was, what can be said.
        return portal::go_to(&utf8_percent_encode(link, CONTROLS).to_string());
    }
    if browser && leads_to_sign_in(refusal, head, route) {
        return portal::go_to(&portal::sign_in_url(route, &way_back(head)));
    }
    let reply = if let Some(notice) = answer.notice.filter(|_| browser) {
        let frame = portal::Frame::new(route, head.headers, service);
        portal::notice(&frame, answer.status, notice)
    } else {
        let page = offer.map(|offer| offer.verification_uri_complete.as_str());
        let detail = page.map(|page| {
            format!(
                "Open {page} in a browser and pass the second factor there to let this client in."
            )
        });
        let detail = detail.as_deref().unwrap_or(answer.detail);
        let mut body = problem_body(answer.status, answer.title, detail);
        if let Some(members) = body.as_object_mut() {
            members.extend(step_up(refusal, head, route, methods));
            members.extend(offer.into_iter().flat_map(offered));
        }
        problem_reply(answer.status, &body)
    };
    match answer.status {
        StatusCode::UNAUTHORIZED => {
            let max_age_secs = match refusal {
                Refusal::SecondFactorRequired { max_age_secs, .. } => *max_age_secs,
                _ => None,
            };
            let reply = asks_password(reply, head, route, offer);
            encode::step_up(reply, route, answer.error, max_age_secs)
        }
        StatusCode::TOO_MANY_REQUESTS => match refusal {
            Refusal::TooManyTries { retry_after_secs } => {
                encode::retry_after(reply, *retry_after_secs)
            }
            _ => reply,
        },
        StatusCode::SERVICE_UNAVAILABLE => encode::retry_after(reply, encode::RETRY_STORE_SECS),
        _ => reply,
    }
}

/// Says that passwords are taken, where they are. A browser is not asked for one: it would show a
/// login box of its own. Other clients show people the realm, if anything: whoever has sent a password
/// already is told there what it takes besides.
fn asks_password(
    reply: Reply,
    head: &RequestHead<'_>,
    route: &Route,
    offer: Option<&Offer>,
) -> Reply {
    let takes_passwords = route.config.credentials.contains(&CredentialSource::Basic);
    let offer = offer.filter(|_| credential::has_basic(head.headers));
    let page = offer.map(|offer| &offer.verification_uri_complete);
    let realm = page.map(|page| format!("Open {page} to let this client in"));
    match takes_passwords && !head.is_of_browser() {
        true => encode::ask_for_password(reply, realm.as_ref().unwrap_or(&route.config.name)),
        false => reply,
    }
}

/// The members of RFC 8628 section 3.2, for clients that cannot show a page.
fn offered(offer: &Offer) -> [(String, Value); 4] {
    [
        ("user_code", json!(offer.user_code)),
        ("verification_uri", json!(offer.verification_uri)),
        (
            "verification_uri_complete",
            json!(offer.verification_uri_complete),
        ),
        ("expires_in", json!(offer.expires_in_secs)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// The members that tell a client how to go on.
fn step_up(
    refusal: &Refusal,
    head: &RequestHead<'_>,
    route: &Route,
    methods: &[&str],
) -> serde_json::Map<String, Value> {
    let mut members = serde_json::Map::new();
    let fresh = match refusal {
        Refusal::SecondFactorRequired { max_age_secs, .. } => max_age_secs.is_some(),
        Refusal::SuccessTokenRequired { .. } => {
            members.insert("success_token_required".to_owned(), json!(true));
            false
        }
        _ => return members,
    };
    members.insert("auth_required".to_owned(), json!(true));
    members.insert("methods".to_owned(), json!(methods));
    let endpoints = match refusal {
        Refusal::SuccessTokenRequired { holder } => success_endpoints(route, holder.is_some()),
        _ => endpoints(route, fresh),
    };
    if let Some((challenge, verify)) = endpoints {
        members.insert("challenge_url".to_owned(), json!(challenge));
        members.insert("verify_url".to_owned(), json!(verify));
    }
    if matches!(refusal, Refusal::SuccessTokenRequired { holder: None }) {
        // Nobody is known whom a page could ask for a code.
        return members;
    }
    let may_enrol = methods.is_empty() && route.config.self_enrolment;
    if let Some(url) = enrolment(route).filter(|_| may_enrol) {
        members.insert("enrolment_url".to_owned(), json!(url));
    }
    let portal = format!(
        "{}{}",
        origin::of_head(head),
        challenge_page(head, route, fresh)
    );
    members.insert("portal_url".to_owned(), json!(portal));
    members
}

/// Where the route's first dialect starts and verifies a challenge, as URI templates (RFC 6570):
/// the client fills its own token in, it is not repeated here.
fn endpoints(route: &Route, fresh: bool) -> Option<(&'static str, &'static str)> {
    const SMS: &str = "/api/apiauth/twofactorsms/{token}";
    const SMS_FRESH: &str = "/api/apiauth/twofactorsms/{token}?fresh=true";
    Some(match route.config.dialects.first()? {
        Dialect::IoGates => (if fresh { SMS_FRESH } else { SMS }, SMS),
        Dialect::Ziik => (
            "/api/two-factor/send-verification",
            "/api/two-factor/verify",
        ),
        Dialect::B2Core => (CHALLENGE, CHALLENGE),
        Dialect::Conduit => (
            "/authentication/twoFa/authorize",
            "/authentication/twoFa/verify",
        ),
    })
}

/// Where a success token comes from, whatever the route's first dialect is.
fn success_endpoints(route: &Route, has_token: bool) -> Option<(&'static str, &'static str)> {
    let challenge = match has_token {
        true => CHALLENGE,
        false => "/api/v2/my/2fa/unauthorized/challenge?email={email}",
    };
    let is_spoken = route.config.dialects.contains(&Dialect::B2Core);
    is_spoken.then_some((challenge, CHALLENGE))
}

/// Where a user without a factor sets the first one up, in the first dialect that can.
fn enrolment(route: &Route) -> Option<&'static str> {
    let of = |dialect: &Dialect| match dialect {
        Dialect::IoGates => None,
        Dialect::Ziik => Some("/api/two-factor"),
        Dialect::B2Core => Some("/api/v2/my/2fa/{type}/enable/wizard"),
        Dialect::Conduit => Some("/authentication/twoFa/enable"),
    };
    route.config.dialects.iter().find_map(of)
}

/// The challenge page, with the way back to what was asked for. A token in the path or the query
/// goes along: it is how the page knows whom it is for.
fn challenge_page(head: &RequestHead<'_>, route: &Route, fresh: bool) -> String {
    portal::challenge_url(route, &way_back(head), fresh)
}

fn way_back(head: &RequestHead<'_>) -> String {
    let query = head.query.map(|query| format!("?{query}"));
    format!("{}{}", head.path, query.unwrap_or_default())
}

/// Whether the browser's token came from a share link.
fn is_guest(head: &RequestHead<'_>) -> bool {
    let own = credential::own_cookie(head);
    matches!(own, Ok(Some(token)) if token.starts_with(GUEST_PREFIX))
}

/// Whether the sign-in page mends it: for whoever has no token, or whose own has ended. Who came with a
/// link that has ended has no account, and is told so.
fn leads_to_sign_in(refusal: &Refusal, head: &RequestHead<'_>, route: &Route) -> bool {
    let is_here = matches!(route.identity, Identity::Accounts);
    let by_link = || credential::find_elsewhere(&route.config.credentials, head) != Ok(None);
    match refusal {
        Refusal::NoToken => is_here,
        Refusal::UnknownToken => is_here && !by_link() && !is_guest(head),
        _ => false,
    }
}

/// The page in the place of a [`problem`], for a browser that meets one: what happened, and what to do
/// next. `None` where nobody navigates. Without a route, it is nobody's page.
#[must_use]
pub fn page(
    problem: &Reply,
    request: (&Method, &HeaderMap),
    placed: Option<(&Route, &str)>,
    portal: &Portal,
) -> Option<Reply> {
    let (method, headers) = request;
    let is_problem = |kind: &HeaderValue| kind == PROBLEM;
    let is_problem = problem.headers().get(CONTENT_TYPE).is_some_and(is_problem);
    if !is_problem || !is_navigation(method, headers) {
        return None;
    }
    let frame = match placed {
        Some((route, service)) => portal::Frame::new(route, headers, service),
        None => portal::Frame::unplaced(portal, headers),
    };
    let mut page = portal::notice(&frame, problem.status(), failure(problem.status(), &frame));
    // `Allow`, `Retry-After` and the like say the same as before.
    for (name, value) in problem.headers() {
        page.headers_mut().entry(name).or_insert(value.clone());
    }
    Some(page)
}

fn failure(status: StatusCode, frame: &portal::Frame<'_>) -> Notice {
    let (title, detail) = match status {
        StatusCode::NOT_FOUND if !frame.is_placed => ("failure-no-site-title", "failure-no-site"),
        StatusCode::NOT_FOUND => ("said-not-found-title", "said-not-found"),
        StatusCode::FORBIDDEN => ("failure-forbidden-title", "failure-forbidden"),
        StatusCode::METHOD_NOT_ALLOWED => ("failure-method-title", "failure-method"),
        StatusCode::REQUEST_TIMEOUT => ("failure-too-slow-title", "failure-too-slow"),
        StatusCode::PAYLOAD_TOO_LARGE => ("failure-too-large-title", "failure-too-large"),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => {
            ("failure-backend-title", "failure-backend")
        }
        StatusCode::GATEWAY_TIMEOUT => ("failure-backend-slow-title", "failure-backend-slow"),
        status if status.is_client_error() => ("said-malformed-title", "said-malformed"),
        _ => ("failure-inside-title", "failure-inside"),
    };
    Notice::new(title, detail)
}

/// The same for a proxy that passes no redirect on: 401, with its `Location`. Others as they are.
#[must_use]
pub fn without_redirect(mut reply: Reply, route: &Route) -> Reply {
    if !reply.status().is_redirection() {
        return reply;
    }
    *reply.status_mut() = StatusCode::UNAUTHORIZED;
    encode::www_authenticate(reply, route, None)
}

/// An answer of Vestibule's own that no refusal stands for: `status` with a problem+json body, e.g.
/// 400 for a malformed head, 404 for a host without a route, 413, 502, 503, 504.
#[must_use]
pub fn problem(status: StatusCode, title: &str, detail: &str) -> Reply {
    problem_reply(status, &problem_body(status, title, detail))
}

fn problem_body(status: StatusCode, title: &str, detail: &str) -> Value {
    json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    })
}

fn problem_reply(status: StatusCode, body: &Value) -> Reply {
    encode::reply(status, PROBLEM, body.to_string())
}
