//! The cookies of the pages: the device, which tells browsers apart, the token of whoever has signed in
//! here, and the secret by which a browser is remembered. None is readable by scripts, none is forwarded.

use super::super::{Call, Local, Reply, encode};
use super::said::Stop;
use crate::auth::ports::COOKIE_LIFETIME_MAX;
use crate::config::model::{OwnCookie, Remember};
use crate::entropy;
use crate::identity::{credential, device};
use crate::secret::Secret;
use http::header::SET_COOKIE;
use std::time::Duration;

impl Local {
    /// The name of a browser that has none yet.
    pub(super) fn new_device(&self) -> Result<String, Stop> {
        entropy::token(&*self.auth.entropy).map_err(|_| Stop::Unavailable)
    }

    /// How long cookies are kept: no session lives longer.
    pub(super) fn cookie_secs(&self) -> u64 {
        self.auth.settings.load().sessions.lifetime.as_secs()
    }
}

/// The browser's device; `None` too if it is there twice, and nobody can tell which one is ours.
pub(super) fn device(call: &Call) -> Option<String> {
    let head = call.head();
    let device = device::own_cookie(&head).ok()??;
    device::is_device(device).then(|| device.to_owned())
}

/// The token that this browser was given at the sign-in; `None` too if it is none.
pub(super) fn token(call: &Call) -> Option<String> {
    let head = call.head();
    credential::own_cookie(&head).ok()?.map(str::to_owned)
}

/// Whether there is such a cookie at all, good or not.
pub(super) fn has_token(call: &Call) -> bool {
    let head = call.head();
    !matches!(credential::own_cookie(&head), Ok(None))
}

/// Names the browser, in place of what it was called before.
pub(super) fn set_device(reply: Reply, call: &Call, device: &str, secs: u64) -> Reply {
    set(reply, call, OwnCookie::DEVICE, device, secs)
}

/// Leaves a token with the browser.
pub(super) fn set_token(reply: Reply, call: &Call, token: &str, secs: u64) -> Reply {
    set(reply, call, OwnCookie::TOKEN, token, secs)
}

/// The secret by which this browser is remembered; `None` too if it is there twice, or is none of ours.
pub(super) fn browser(call: &Call) -> Option<Secret> {
    let head = call.head();
    let secret = device::browser_cookie(&head).ok()??;
    device::is_device(secret).then(|| Secret::new(secret))
}

/// Leaves the secret of a browser that is remembered with it.
pub(super) fn set_browser(reply: Reply, call: &Call, secret: &Secret) -> Reply {
    let kept = match call.route.config.remember {
        Remember::Never => Duration::ZERO,
        Remember::For(span) => span.min(COOKIE_LIFETIME_MAX),
        Remember::Forever => COOKIE_LIFETIME_MAX,
    };
    set(
        reply,
        call,
        OwnCookie::BROWSER,
        secret.expose(),
        kept.as_secs(),
    )
}

/// Takes away what belongs to a sign-in. A browser stays remembered.
pub(super) fn clear(reply: Reply, call: &Call) -> Reply {
    let reply = set_device(reply, call, "", 0);
    set_token(reply, call, "", 0)
}

fn set(reply: Reply, call: &Call, cookie: OwnCookie, value: &str, secs: u64) -> Reply {
    let name = cookie.name(call.tls);
    let secure = if call.tls { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={secs}; HttpOnly; SameSite=Lax{secure}");
    encode::header(reply, SET_COOKIE, &cookie)
}
