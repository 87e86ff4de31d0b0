//! Finds the token of a request in the places its route names (RFC 6750 for `bearer`, RFC 7617 for `basic`).
//!
//! Every place is read, not the first that has something: a backend that prefers another place than
//! Vestibule would else be handed a token that nobody checked. For the same reason a place counts
//! in every spelling that a backend could take for it: a second reading of the path, a parameter
//! in other letters. Whose the token is, is not asked here.

use super::{basic, cookies};
use crate::config::model::{CredentialSource, OwnCookie};
use crate::request::{
    ENCODED_SLASH, Line, RequestHead, all_bytes, canonical_path, has_other_readings, may_hold,
    without_parameters,
};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::borrow::Cow;

/// Bytes of the longest token that is looked at: signed tokens with many claims are some KiB long.
pub(super) const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Two different tokens in one request, or a malformed one: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredential {
    #[error("the request carries two different tokens: send one")]
    Conflict,
    #[error("the token is malformed")]
    Malformed,
}

/// The one token of the request; `None` if there is none in any of the places. An empty cookie,
/// parameter or path segment is none.
pub fn find<'h>(
    sources: &[CredentialSource],
    head: &'h RequestHead<'_>,
) -> Result<Option<Cow<'h, str>>, BadCredential> {
    let found = find_elsewhere(sources, head)?;
    // Whoever is signed in and opens a share link means the link. No backend can take it otherwise:
    // the cookie is never forwarded.
    if found.is_none() && sources.contains(&CredentialSource::OwnCookie) {
        return Ok(own_cookie(head)?.map(Cow::Borrowed));
    }
    Ok(found)
}

/// The one token of the request in all places but Vestibule's own cookie.
pub fn find_elsewhere<'h>(
    sources: &[CredentialSource],
    head: &'h RequestHead<'_>,
) -> Result<Option<Cow<'h, str>>, BadCredential> {
    let mut found = None;
    for source in sources {
        match source {
            CredentialSource::OwnCookie => {}
            CredentialSource::Bearer => merge(&mut found, bearer(head)?)?,
            CredentialSource::Basic => put(&mut found, name_and_password(head)?)?,
            CredentialSource::Cookie(name) => {
                cookies::each(head, name, |value| {
                    let value = value.map_err(|_| BadCredential::Malformed)?;
                    merge(&mut found, Some(Cow::Borrowed(value)))
                })?;
            }
            CredentialSource::Query(name) => {
                if let Some(query) = head.query.filter(|query| may_hold(query, name)) {
                    let value = head
                        .query_value(name)
                        .map_err(|_| BadCredential::Conflict)?;
                    merge(&mut found, value)?;
                    if has_look_alike(query, name) {
                        return Err(BadCredential::Malformed);
                    }
                }
            }
            CredentialSource::Path(prefix) => {
                // COPY and MOVE could reach into another share link.
                let paths = [Some(&head.path), head.destination.as_ref()];
                for path in paths.into_iter().flatten() {
                    merge(&mut found, segment(path, prefix)?)?;
                    other_readings(&mut found, path, prefix)?;
                }
            }
        }
    }
    Ok(found)
}

/// The token that the sign-in page left with a browser.
pub fn own_cookie<'h>(head: &'h RequestHead<'_>) -> Result<Option<&'h str>, BadCredential> {
    // As with the device: what a browser was given over plain HTTP counts for nothing over TLS.
    let name = OwnCookie::TOKEN.name(head.client.tls);
    let mut first = None;
    cookies::each(head, name, |value| {
        let value = value.map_err(|_| BadCredential::Malformed)?;
        match first.replace(value) {
            Some(_) => Err(BadCredential::Conflict),
            None if is_token(value) => Ok(()),
            None => Err(BadCredential::Malformed),
        }
    })?;
    Ok(first)
}

/// Whether an `Authorization` header, if there is one, is what [`find`] reads: a backend must not
/// be handed another person's credentials of a kind that nobody looks at here.
pub fn judges_authorization(sources: &[CredentialSource], headers: &HeaderMap) -> bool {
    headers.get(AUTHORIZATION).is_none_or(|line| {
        sources.iter().any(|source| match source {
            CredentialSource::Bearer => bearer_value(line.as_bytes()).is_some(),
            CredentialSource::Basic => basic::value(line.as_bytes()).is_some(),
            CredentialSource::Cookie(_)
            | CredentialSource::Query(_)
            | CredentialSource::Path(_)
            | CredentialSource::OwnCookie => false,
        })
    })
}

/// Whether there is an `Authorization: Bearer`.
pub fn has_bearer(headers: &HeaderMap) -> bool {
    let line = headers.get(AUTHORIZATION);
    line.is_some_and(|line| bearer_value(line.as_bytes()).is_some())
}

/// Whether there is an `Authorization: Basic`.
pub fn has_basic(headers: &HeaderMap) -> bool {
    let line = headers.get(AUTHORIZATION);
    line.is_some_and(|line| basic::value(line.as_bytes()).is_some())
}

/// Takes the tokens over that a path holds when it is read in another way than it is written.
fn other_readings(
    found: &mut Option<Cow<'_, str>>,
    path: &str,
    prefix: &str,
) -> Result<(), BadCredential> {
    if !has_other_readings(path) {
        return Ok(());
    }
    for whole in [path.to_owned(), without_parameters(path)] {
        let apart = whole.replace(ENCODED_SLASH, "/");
        let apart = canonical_path(&apart).map_err(|_| BadCredential::Malformed)?;
        for path in [whole.as_str(), &apart.0] {
            let token = segment(path, prefix)?.map(|token| Cow::Owned(token.into_owned()));
            merge(found, token)?;
        }
    }
    Ok(())
}

/// Whether there is a parameter that some backends take for `name`: without regard to case
/// (ASP.NET), with white space before it, cut off at a NUL, or as an array (PHP).
fn has_look_alike(query: &str, name: &str) -> bool {
    let is_look_alike = |key: &str| {
        let key = key.trim_matches(|c: char| c.is_ascii_whitespace() || c == '?');
        let end = key.find(['\0', '[']).unwrap_or(key.len());
        key.get(..end)
            .is_some_and(|key| key.eq_ignore_ascii_case(name))
    };
    form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key != name && is_look_alike(&key))
}

/// Takes `next` over, which must be a token, and what was found before.
fn merge<'h>(
    found: &mut Option<Cow<'h, str>>,
    next: Option<Cow<'h, str>>,
) -> Result<(), BadCredential> {
    let next = next.filter(|next| !next.is_empty());
    if next.as_ref().is_some_and(|next| !is_token(next)) {
        return Err(BadCredential::Malformed);
    }
    put(found, next)
}

/// Takes `next` over, which must be what was found before.
fn put<'h>(
    found: &mut Option<Cow<'h, str>>,
    next: Option<Cow<'h, str>>,
) -> Result<(), BadCredential> {
    match (next, &found) {
        (None, _) => Ok(()),
        (Some(next), Some(before)) if next != *before => Err(BadCredential::Conflict),
        (next, _) => {
            *found = next;
            Ok(())
        }
    }
}

/// Whether a text can be a token: visible ASCII, which is more than RFC 6750's `b64token`, since
/// backends do not all keep to that.
pub(crate) fn is_token(text: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&text.len()) && all_bytes(text, |byte| byte.is_ascii_graphic())
}

/// The token of `Authorization: Bearer`. Other schemes carry no token.
fn bearer<'h>(head: &'h RequestHead<'_>) -> Result<Option<Cow<'h, str>>, BadCredential> {
    let line = match head.signs.authorization {
        Line::Absent => return Ok(None),
        Line::Once(line) => line,
        Line::Many => return Err(BadCredential::Malformed),
    };
    let Some(rest) = bearer_value(line.as_bytes()) else {
        return Ok(None);
    };
    std::str::from_utf8(rest)
        .ok()
        .map(|rest| rest.trim_matches(' '))
        // Here nothing at all is a mistake; whether the rest is a token is seen by `merge`.
        .filter(|token| !token.is_empty())
        .map(|token| Some(Cow::Borrowed(token)))
        .ok_or(BadCredential::Malformed)
}

/// The token that `Authorization: Basic` is. No other place can hold one.
fn name_and_password<'h>(head: &'h RequestHead<'_>) -> Result<Option<Cow<'h, str>>, BadCredential> {
    let line = match head.signs.authorization {
        Line::Absent => return Ok(None),
        Line::Once(line) => line.as_bytes(),
        Line::Many => return Err(BadCredential::Malformed),
    };
    if basic::value(line).is_none() {
        return Ok(None);
    }
    basic::token(line).map(Some).ok_or(BadCredential::Malformed)
}

/// What follows the scheme `Bearer`.
fn bearer_value(line: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = line.split_at_checked(b"bearer".len())?;
    (scheme.eq_ignore_ascii_case(b"bearer") && rest.first().is_none_or(|byte| *byte == b' '))
        .then_some(rest)
}

/// The decoded segment of a canonical path after `prefix`.
fn segment<'h>(path: &'h str, prefix: &str) -> Result<Option<Cow<'h, str>>, BadCredential> {
    path.strip_prefix(prefix)
        .and_then(|rest| rest.split('/').next())
        .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8())
        .transpose()
        .map_err(|_| BadCredential::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::{headers, with_head};
    use proptest::prelude::*;

    const HOST: (&str, &str) = ("host", "files.example.org");

    /// What all four places together give.
    fn token(
        target: &str,
        given: &[(&'static str, &str)],
    ) -> Result<Option<String>, BadCredential> {
        let sources = [
            CredentialSource::Bearer,
            CredentialSource::Cookie("IOGATES".to_owned()),
            CredentialSource::Query("token".to_owned()),
            CredentialSource::Path("/share/".to_owned()),
        ];
        let mut all = vec![HOST];
        all.extend(given);
        with_head("GET", target, &all, |head| {
            find(&sources, &head.unwrap()).map(|token| token.map(Cow::into_owned))
        })
    }

    #[test]
    fn each_place_is_read() {
        for (target, given, wanted) in [
            ("/", vec![], None),
            (
                "/",
                vec![("authorization", "Bearer abc.def-1_2~+/==")],
                Some("abc.def-1_2~+/=="),
            ),
            ("/", vec![("authorization", "bEARER   abc")], Some("abc")),
            ("/", vec![("authorization", "Basic YTpi")], None),
            ("/", vec![("authorization", "Bearer\tabc")], None),
            ("/share;x/abc/d", vec![], Some("abc")),
            ("/share%3Bx/abc", vec![], Some("abc")),
            ("/share%2Fabc/d", vec![], Some("abc")),
            ("/share/abc/d;e/f%2Fg", vec![], Some("abc")),
            ("/?tokens=x&atoken=y&token_=z", vec![], None),
            ("/", vec![("authorization", "Bearerabc")], None),
            ("/", vec![("authorization", "")], None),
            ("/", vec![("cookie", "a=b; IOGATES=abc; c=d")], Some("abc")),
            (
                "/",
                vec![("cookie", "a=b"), ("cookie", "IOGATES=abc")],
                Some("abc"),
            ),
            (
                "/",
                vec![("cookie", "IOGATES=abc=="), ("cookie", "IOGATES=abc==")],
                Some("abc=="),
            ),
            ("/", vec![("cookie", "IOGATES=")], None),
            (
                "/",
                vec![("cookie", "iogates=abc; XIOGATES=abc; IOGATES")],
                None,
            ),
            ("/?token=abc", vec![], Some("abc")),
            ("/?a=b&token=a%2Bb", vec![], Some("a+b")),
            ("/?token=", vec![], None),
            ("/share/abc", vec![], Some("abc")),
            ("/share/abc/d/e", vec![], Some("abc")),
            ("/share/a%3Db", vec![], Some("a=b")),
            ("/share/", vec![], None),
            ("/share", vec![], None),
            ("/x/share/abc", vec![], None),
            (
                "/share/abc?token=abc",
                vec![("authorization", "Bearer abc"), ("cookie", "IOGATES=abc")],
                Some("abc"),
            ),
        ] {
            assert_eq!(
                token(target, &given),
                Ok(wanted.map(str::to_owned)),
                "{target} {given:?}"
            );
        }
    }

    #[test]
    fn two_tokens_conflict_wherever_they_are() {
        let bearer = ("authorization", "Bearer abc");
        for (target, given) in [
            ("/?token=other", vec![bearer]),
            ("/share/other", vec![bearer]),
            ("/", vec![bearer, ("cookie", "IOGATES=other")]),
            ("/", vec![("cookie", "IOGATES=abc; IOGATES=other")]),
            (
                "/",
                vec![("cookie", "IOGATES=abc"), ("cookie", "IOGATES=other")],
            ),
            ("/share/abc?token=other", vec![]),
            ("/?token=abc&token=other", vec![]),
            ("/?token=abc;token=other", vec![]),
            ("/share/abc/x", vec![("destination", "/share/other/x")]),
            ("/share/abc/x", vec![("destination", "/share;y/other/x")]),
            ("/share;x/other/d", vec![bearer]),
            ("/share%3Bx/other/d", vec![bearer]),
            ("/share%2Fother/d", vec![bearer]),
            ("/share;x%2Fother/d", vec![bearer]),
            ("/share/abc;x", vec![]),
        ] {
            assert_eq!(
                token(target, &given),
                Err(BadCredential::Conflict),
                "{target} {given:?}"
            );
        }
    }

    #[test]
    fn malformed_tokens_are_refused() {
        let long = "a".repeat(TOKEN_BYTES_MAX + 1);
        let bearer = format!("Bearer {long}");
        let query = format!("/?token={long}");
        for (target, given) in [
            ("/", vec![("authorization", "Bearer")]),
            ("/", vec![("authorization", "Bearer ")]),
            ("/", vec![("authorization", "Bearer a b")]),
            ("/", vec![("authorization", "Bearer a, Bearer b")]),
            ("/", vec![("authorization", "Bearer ø")]),
            ("/", vec![("authorization", bearer.as_str())]),
            (
                "/",
                vec![("authorization", "Bearer a"), ("authorization", "Bearer a")],
            ),
            (
                "/",
                vec![
                    ("authorization", "Bearer a"),
                    ("authorization", "Basic YTpi"),
                ],
            ),
            ("/", vec![("cookie", "IOGATES=a b")]),
            ("/", vec![("cookie", "IOGATES=ø")]),
            ("/?token=a+b", vec![]),
            ("/?Token=abc", vec![]),
            ("/?+token=abc", vec![]),
            ("/?token%00=abc", vec![]),
            ("/?token[]=abc", vec![]),
            ("/??token=abc", vec![]),
            ("/share/a%20b", vec![]),
            (query.as_str(), vec![]),
        ] {
            assert_eq!(
                token(target, &given),
                Err(BadCredential::Malformed),
                "{target} {given:?}"
            );
        }
    }

    #[test]
    fn a_place_that_the_route_does_not_name_is_not_read() {
        let given = [HOST, ("authorization", "Bearer abc"), ("cookie", "T=abc")];
        with_head("GET", "/share/abc?token=abc", &given, |head| {
            assert_eq!(find(&[], &head.unwrap()), Ok(None));
        });
    }

    /// What a route that takes passwords finds.
    fn with_basic(
        target: &str,
        given: &[(&'static str, &str)],
    ) -> Result<Option<String>, BadCredential> {
        let sources = [
            CredentialSource::Basic,
            CredentialSource::Bearer,
            CredentialSource::Cookie("T".to_owned()),
            CredentialSource::Query("token".to_owned()),
        ];
        let mut all = vec![HOST];
        all.extend(given);
        with_head("GET", target, &all, |head| {
            find(&sources, &head.unwrap()).map(|token| token.map(Cow::into_owned))
        })
    }

    #[test]
    fn a_name_and_a_password_are_a_token_of_their_own_kind() {
        let found = |line| with_basic("/", &[("authorization", line)]);
        for (line, wanted) in [
            ("Basic YTpi", Some("Basic YTpi")),
            ("bASIC  YTpi", Some("Basic YTpi")),
            ("Bearer YTpi", Some("YTpi")),
            ("Digest YTpi", None),
        ] {
            assert_eq!(found(line), Ok(wanted.map(str::to_owned)), "{line}");
        }
        for line in [
            "Basic",
            "Basic YTp",
            "Basic YTpi, Basic YTpi",
            "Basic Y Tpi",
        ] {
            assert_eq!(found(line), Err(BadCredential::Malformed), "{line}");
        }
    }

    #[test]
    fn no_other_place_holds_a_password() {
        let basic = ("authorization", "Basic YTpi");
        for (target, given) in [
            ("/?token=Basic+YTpi", vec![]),
            ("/?token=Basic%20YTpi", vec![basic]),
            ("/", vec![("cookie", "T=Basic YTpi")]),
            ("/", vec![("authorization", "Bearer Basic YTpi")]),
            ("/", vec![basic, ("authorization", "Bearer abc")]),
        ] {
            let found = with_basic(target, &given);
            assert_eq!(found, Err(BadCredential::Malformed), "{target} {given:?}");
        }
        let both = with_basic("/?token=YTpi", &[basic]);
        assert_eq!(both, Err(BadCredential::Conflict));
    }

    #[test]
    fn only_a_bearer_token_that_is_read_is_a_judged_authorization() {
        let bearer = [CredentialSource::Bearer];
        let cookie = [CredentialSource::Cookie("T".to_owned())];
        for (sources, value, wanted) in [
            (&bearer, "Bearer abc", true),
            (&bearer, "bEARER", true),
            (&bearer, "Basic YTpi", false),
            (&bearer, "Bearer\tabc", false),
            (&bearer, "Bearerabc", false),
            (&bearer, "Token abc", false),
            (&bearer, "", false),
            (&cookie, "Bearer abc", false),
        ] {
            let given = headers(&[("authorization", value)]);
            assert_eq!(judges_authorization(sources, &given), wanted, "{value}");
        }
        assert!(judges_authorization(&cookie, &headers(&[])));
        let basic = [CredentialSource::Basic];
        for (value, wanted) in [
            ("Basic YTpi", true),
            ("basic YTpi", true),
            ("Bearer a", false),
        ] {
            let given = headers(&[("authorization", value)]);
            assert_eq!(judges_authorization(&basic, &given), wanted, "{value}");
            assert_eq!(has_basic(&given), wanted, "{value}");
        }
    }

    #[test]
    fn our_own_cookie_counts_where_nothing_else_does() {
        let sources = [
            CredentialSource::OwnCookie,
            CredentialSource::Bearer,
            CredentialSource::Path("/share/".to_owned()),
        ];
        let token = |tls: bool, target: &str, given: &[(&'static str, &str)]| {
            let mut all = vec![HOST];
            all.extend(given);
            with_head("GET", target, &all, |head| {
                let mut head = head.unwrap();
                head.client.tls = tls;
                find(&sources, &head).map(|token| token.map(Cow::into_owned))
            })
        };
        let own = (
            "cookie",
            "__Host-vestibule_token=own; vestibule_token=plain",
        );
        let found = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(token(true, "/", &[own]), found("own"));
        assert_eq!(token(false, "/", &[own]), found("plain"));
        assert_eq!(token(true, "/share/link", &[own]), found("link"));
        let bearer = ("authorization", "Bearer abc");
        assert_eq!(token(true, "/", &[own, bearer]), found("abc"));
        let cookies = |value: &'static str| token(true, "/", &[("cookie", value)]);
        for twice in [
            "__Host-vestibule_token=own; __Host-vestibule_token=other",
            "__Host-vestibule_token=own; __Host-vestibule_token=own",
        ] {
            assert_eq!(cookies(twice), Err(BadCredential::Conflict));
        }
        for malformed in ["__Host-vestibule_token=", "__Host-vestibule_token=a b"] {
            assert_eq!(cookies(malformed), Err(BadCredential::Malformed));
        }
        assert_eq!(cookies("vestibule_token=plain"), Ok(None));
        with_head("GET", "/", &[HOST, own], |head| {
            let head = head.unwrap();
            assert_eq!(find(&[CredentialSource::Bearer], &head), Ok(None));
            assert!(matches!(find(&sources, &head), Ok(Some(Cow::Borrowed(_)))));
        });
    }

    proptest! {
        #[test]
        fn looking_first_overlooks_no_look_alike(
            query in "([a-bA-B&=;?\\[ ø\\x00]|%6[1-2]|\\+|ab|aB=1){0,8}",
            name in "[a-bA-B +ø]{0,3}",
        ) {
            prop_assert!(may_hold(&query, &name) || !has_look_alike(&query, &name));
        }
    }

    #[test]
    fn a_plain_token_is_borrowed() {
        with_head(
            "GET",
            "/",
            &[HOST, ("authorization", "Bearer abc")],
            |head| {
                let head = head.unwrap();
                let token = find(&[CredentialSource::Bearer], &head);
                assert!(matches!(token, Ok(Some(Cow::Borrowed("abc")))));
            },
        );
    }
}
