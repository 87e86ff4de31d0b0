//! The two cookies of the pages: the device, which tells browsers apart, and the token of whoever has
//! signed in here. Neither is readable by scripts, neither is forwarded.

use super::super::{Call, Reply, encode};
use crate::identity::credential::{self, OWN_COOKIE_PLAIN, OWN_COOKIE_TLS};
use crate::identity::device::{self, COOKIE_PLAIN, COOKIE_TLS};
use http::header::SET_COOKIE;

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
    set(reply, call, (COOKIE_TLS, COOKIE_PLAIN), device, secs)
}

/// Leaves a token with the browser.
pub(super) fn set_token(reply: Reply, call: &Call, token: &str, secs: u64) -> Reply {
    set(reply, call, (OWN_COOKIE_TLS, OWN_COOKIE_PLAIN), token, secs)
}

/// Takes both away.
pub(super) fn clear(reply: Reply, call: &Call) -> Reply {
    let reply = set_device(reply, call, "", 0);
    set_token(reply, call, "", 0)
}

/// Sets a cookie of the name that it has with TLS or without.
fn set(reply: Reply, call: &Call, names: (&str, &str), value: &str, secs: u64) -> Reply {
    let (name, secure) = match call.tls {
        true => (names.0, "; Secure"),
        false => (names.1, ""),
    };
    let cookie = format!("{name}={value}; Path=/; Max-Age={secs}; HttpOnly; SameSite=Lax{secure}");
    encode::header(reply, SET_COOKIE, &cookie)
}
