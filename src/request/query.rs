//! Reads the parameters of a query (`application/x-www-form-urlencoded`). Pure.

use super::Malformed;
use std::borrow::Cow;

/// Whether a query could hold the parameter `name`, in whatever letters it is written. `false` is
/// certain, and spares nearly every request the decoding: without escapes, a key is its own letters.
pub(crate) fn may_hold(query: &str, name: &str) -> bool {
    // The bit that a small letter has and a capital has not.
    const SMALL: u8 = b' ';
    let Some(first) = name.as_bytes().first().map(|byte| byte | SMALL) else {
        return true;
    };
    let begins = |at: usize| {
        let letters = query.as_bytes().get(at..at + name.len());
        letters.is_some_and(|letters| letters.eq_ignore_ascii_case(name.as_bytes()))
    };
    query
        .bytes()
        .enumerate()
        .any(|(at, byte)| byte == b'%' || byte == b'+' || (byte | SMALL == first && begins(at)))
}

/// The decoded value of a parameter. Twice with one value is fine, with two is refused; so is a
/// second one behind a `;`, which some servers take for a `&`.
pub(super) fn value<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, Malformed> {
    if !may_hold(query, name) {
        return Ok(None);
    }
    decoded(query, name)
}

fn decoded<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, Malformed> {
    let mut found: Option<Cow<'q, str>> = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key == name {
            if found.as_ref().is_some_and(|before| *before != value) {
                return Err(Malformed::QueryTwice);
            }
            found = Some(value);
        }
    }
    let mut behind_semicolons = query.split('&').flat_map(|pair| pair.split(';').skip(1));
    let is_named = |piece: &str| {
        form_urlencoded::parse(piece.as_bytes())
            .next()
            .is_some_and(|(key, _)| key == name)
    };
    if query.contains(';') && behind_semicolons.any(is_named) {
        return Err(Malformed::QueryTwice);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_parameter_may_be_there_in_any_letters() {
        for (query, answer) in [
            ("", false),
            ("download=1", false),
            ("toke=n", false),
            ("x=1&token=a", true),
            ("TOKEN", true),
            ("x=token", true),
            ("%74oken", true),
            ("x=a+b", true),
        ] {
            assert_eq!(may_hold(query, "token"), answer, "{query}");
        }
    }

    proptest! {
        #[test]
        fn looking_first_changes_no_answer(
            query in "([a-cA-C&=;?\\[{ø\\x00]|%6[1-3]|\\+|ab|aB=1){0,12}",
            name in "[a-cA-C +\\[{ø]{0,3}",
        ) {
            prop_assert_eq!(value(&query, &name), decoded(&query, &name));
        }
    }
}
