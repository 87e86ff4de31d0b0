//! Finds the device a request names (CONTRACT rule 1). Never a secret, except the device cookie.

use crate::request::RequestHead;
use std::borrow::Cow;

/// The device cookie over TLS.
pub const COOKIE_TLS: &str = "__Host-vestibule_device";
/// The device cookie on a plain listener.
pub const COOKIE_PLAIN: &str = "vestibule_device";

/// Two different devices in one request, or a malformed one: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDevice {
    #[error("the request names two different devices: send one deviceId")]
    Conflict,
    #[error("the deviceId must be 1 to 256 printable characters")]
    Malformed,
    #[error("the device cookie is there twice")]
    CookieTwice,
}

/// The one device named by header `X-Device-Id`, query `deviceId`, `in_body` or our own cookie.
pub fn find<'h>(
    head: &'h RequestHead<'_>,
    in_body: Option<&'h str>,
) -> Result<Option<Cow<'h, str>>, BadDevice> {
    let _ = (head, in_body);
    todo!()
}
