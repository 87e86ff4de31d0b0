//! Reads cookies (RFC 6265 section 4.2), over however many `Cookie` headers there are (HTTP/2 cuts
//! them up, RFC 9113 section 8.2.3). Values are taken as they stand: quotes are part of them.

use crate::request::RequestHead;
use http::header::COOKIE;

/// The cookie is there, but its value is not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotText;

/// Calls `look` with every value of the cookie `name`, in order, until it fails.
pub(super) fn each<'h, E>(
    head: &'h RequestHead<'_>,
    name: &str,
    mut look: impl FnMut(Result<&'h str, NotText>) -> Result<(), E>,
) -> Result<(), E> {
    head.signs.cookie.each(head.headers, &COOKIE, |line| {
        line.as_bytes()
            .split(|byte| *byte == b';')
            .filter_map(|pair| value(pair, name))
            .try_for_each(&mut look)
    })
}

/// The value of a pair `name=value`, if it is of that name.
fn value<'h>(pair: &'h [u8], name: &str) -> Option<Result<&'h str, NotText>> {
    let at = pair.iter().position(|byte| *byte == b'=')?;
    let (found, value) = (pair.get(..at)?, pair.get(at + 1..)?);
    (found.trim_ascii() == name.as_bytes())
        .then(|| std::str::from_utf8(value.trim_ascii()).map_err(|_| NotText))
}
