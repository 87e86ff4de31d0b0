//! Reads cookies (RFC 6265 section 4.2), over however many `Cookie` headers there are (HTTP/2 cuts
//! them up, RFC 9113 section 8.2.3). Values are taken as they stand: quotes are part of them.

use crate::request::{RequestHead, split_once};
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
        pairs(line.as_bytes())
            .filter_map(|pair| value(pair, name))
            .try_for_each(&mut look)
    })
}

/// What stands between the semicolons.
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let (pair, behind) = split_once(rest?, b';');
        rest = behind;
        Some(pair)
    })
}

/// The value of a pair `name=value`, if it is of that name: a token (RFC 9110 section 5.6.2).
fn value<'h>(pair: &'h [u8], name: &str) -> Option<Result<&'h str, NotText>> {
    let behind_name = pair.trim_ascii_start().strip_prefix(name.as_bytes())?;
    let value = behind_name.trim_ascii_start().strip_prefix(b"=")?;
    Some(std::str::from_utf8(value.trim_ascii()).map_err(|_| NotText))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same as RFC 6265 section 5.2 words it: the first `=` parts them.
    fn value_plainly<'h>(pair: &'h [u8], name: &str) -> Option<Result<&'h str, NotText>> {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (found, value) = (&pair[..at], &pair[at + 1..]);
        (found.trim_ascii() == name.as_bytes())
            .then(|| std::str::from_utf8(value.trim_ascii()).map_err(|_| NotText))
    }

    proptest! {
        #[test]
        fn pairs_are_read_as_plainly(
            line in "([ab=; \\t\"]|a=|; ?b=|[a-z]{14,18}){0,12}", is_text in any::<bool>(), name in "[ab]{0,2}",
        ) {
            let mut line = line.into_bytes();
            if !is_text {
                line.push(0x80);
            }
            let wanted: Vec<_> = line
                .split(|byte| *byte == b';')
                .filter_map(|pair| value_plainly(pair, &name))
                .collect();
            let found: Vec<_> = pairs(&line).filter_map(|pair| value(pair, &name)).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
