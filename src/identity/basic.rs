//! A name and a password in `Authorization: Basic` (RFC 7617): what they say, and which were right a
//! while ago.
//!
//! The header's value, in one spelling, is the token. Whether it is right is asked elsewhere.

use super::learn::USER_BYTES_MAX;
use super::words::Words;
use crate::clock::Timestamp;
use crate::digest::TokenDigest;
use crate::request::all_bytes;
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::time::Duration;

/// What such a token begins with. It holds a space, which no other token does.
pub const SCHEME: &str = "Basic ";

/// Characters of the longest credentials, in base64.
const ENCODED_BYTES_MAX: usize = 1 << 10;

/// How long a password that was right counts as right, until it is asked about again.
const RIGHT_FOR: Duration = Duration::from_mins(5);
/// How much longer the gate goes by it: whoever has just been told that it is right must not find
/// that it has run out.
const GRACE: Duration = Duration::from_secs(30);
/// How long a password that was wrong is refused without a look: it may have been mended since.
const WRONG_FOR: Duration = Duration::from_secs(10);
/// How long it is remembered that it was: sending it again is no new guess.
const TRIED_FOR: Duration = Duration::from_hours(1);
/// Credentials that are remembered of either kind.
const RIGHT_MAX: usize = 200_000;
const TRIED_MAX: usize = 50_000;

/// Whether a token is a name and a password.
#[must_use]
pub fn is_basic(token: &str) -> bool {
    token.starts_with(SCHEME)
}

/// What follows the scheme `Basic`.
pub(super) fn value(line: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = line.split_at_checked(b"basic".len())?;
    (scheme.eq_ignore_ascii_case(b"basic") && rest.first().is_none_or(|byte| *byte == b' '))
        .then_some(rest)
}

/// The token that a header line is, borrowed where it is spelled as usual; `None` if it is not base64
/// of a sensible length. What is encoded is not looked at.
pub(super) fn token(line: &[u8]) -> Option<Cow<'_, str>> {
    let line = std::str::from_utf8(line).ok()?;
    let encoded = line.get(SCHEME.len()..)?.trim_matches(' ');
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let is_sound = (4..=ENCODED_BYTES_MAX).contains(&encoded.len())
        && encoded.len().is_multiple_of(4)
        && all_bytes(encoded, is_base64);
    if !is_sound {
        return None;
    }
    let is_usual = line.starts_with(SCHEME) && line.len() == SCHEME.len() + encoded.len();
    Some(match is_usual {
        true => Cow::Borrowed(line),
        false => Cow::Owned(format!("{SCHEME}{encoded}")),
    })
}

/// A name and a password.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    pub password: Secret,
}

impl Login {
    /// What a token says; `None` if it is not UTF-8 in base64's one spelling, has no colon, no name,
    /// or control characters (RFC 7617 section 2).
    #[must_use]
    pub fn of(token: &str) -> Option<Self> {
        // Strict: a second spelling would be a second token of the same password.
        let text = STANDARD.decode(token.strip_prefix(SCHEME)?).ok()?;
        let text = String::from_utf8(text).ok()?;
        let (user, password) = text.split_once(':')?;
        let is_sound = (1..=USER_BYTES_MAX).contains(&user.len())
            && user.trim() == user
            && !text.chars().any(char::is_control);
        is_sound.then(|| Self {
            user: user.to_owned(),
            password: Secret::new(password),
        })
    }
}

/// Which credentials were right or wrong a while ago. In memory alone and bounded: what is not
/// there is asked about again.
#[derive(Debug)]
pub struct Checked {
    right: Words,
    wrong: Words,
}

/// What is remembered of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    Right,
    /// Wrong a moment ago.
    Wrong,
    /// Whatever it is, it must be asked about. `is_repeated`: it was wrong before.
    Ask {
        is_repeated: bool,
    },
}

impl Default for Checked {
    fn default() -> Self {
        Self {
            right: Words::new(RIGHT_MAX),
            wrong: Words::new(TRIED_MAX),
        }
    }
}

impl Checked {
    /// What is known of a token.
    #[must_use]
    pub fn recall(&self, token: &TokenDigest, now: Timestamp) -> Recalled {
        if self.left(token, now).is_some_and(|left| left > GRACE) {
            return Recalled::Right;
        }
        match self.wrong.left(token, now) {
            Some(left) if left > TRIED_FOR.saturating_sub(WRONG_FOR) => Recalled::Wrong,
            left => Recalled::Ask {
                is_repeated: left.is_some(),
            },
        }
    }

    /// How long the gate may go by a password that was right.
    pub(super) fn left(&self, token: &TokenDigest, now: Timestamp) -> Option<Duration> {
        self.right.left(token, now)
    }

    /// It is right.
    pub fn was_right(&self, token: TokenDigest, now: Timestamp) {
        self.wrong.forget(&token);
        self.right.note(token, now, RIGHT_FOR.saturating_add(GRACE));
    }

    /// It is wrong.
    pub fn was_wrong(&self, token: TokenDigest, now: Timestamp) {
        self.right.forget(&token);
        self.wrong.note(token, now, TRIED_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str) -> String {
        format!("{SCHEME}{}", STANDARD.encode(text))
    }

    #[test]
    fn every_spelling_of_a_header_is_one_token() {
        for line in [
            "Basic YW5uOnB3",
            "basic YW5uOnB3",
            "BASIC   YW5uOnB3  ",
            "Basic  YW5uOnB3",
        ] {
            let token = token(line.as_bytes());
            assert_eq!(token.as_deref(), Some("Basic YW5uOnB3"), "{line}");
        }
        assert!(matches!(token(b"Basic YW5uOnB3"), Some(Cow::Borrowed(_))));
    }

    #[test]
    fn what_is_not_base64_of_a_sensible_length_is_no_token() {
        let long = format!("Basic {}", "A".repeat(ENCODED_BYTES_MAX + 4));
        for line in [
            "Basic",
            "Basic ",
            "Basic YW5uOnB",
            "Basic YW5u OnB3",
            "Basic YW5u-nB3",
            "Basic ann:pw__",
            long.as_str(),
        ] {
            assert_eq!(token(line.as_bytes()), None, "{line}");
        }
        assert_eq!(value(b"Basically abc"), None);
        assert_eq!(value(b"Bearer YW5uOnB3"), None);
    }

    #[test]
    fn the_first_colon_ends_the_name() {
        for (text, user, password) in [
            ("ann:pw", "ann", "pw"),
            ("ann:", "ann", ""),
            ("ann:a:b:", "ann", "a:b:"),
            ("åse@example.org:pæ s", "åse@example.org", "pæ s"),
        ] {
            let login = Login::of(&encoded(text)).unwrap();
            assert_eq!(login.user, user);
            assert_eq!(login.password.expose(), password);
        }
    }

    #[test]
    fn what_says_no_name_and_password_is_none() {
        let long = format!("{}:pw", "a".repeat(USER_BYTES_MAX + 1));
        for text in [
            "", "ann", ":pw", "an\tn:pw", "ann:p\0w", "ann:pw\n", " ann:pw", "ann :pw", &long,
        ] {
            assert!(Login::of(&encoded(text)).is_none(), "{text:?}");
        }
        // Not UTF-8, another spelling of the same bits, no padding.
        for token in ["Basic //86cHc=", "Basic YTpiYx==", "Basic YTpiYw", "YTpi"] {
            assert!(Login::of(token).is_none(), "{token}");
        }
        let shown = format!("{:?}", Login::of(&encoded("ann:hunter2")));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_was_found_out_is_remembered_for_a_while() {
        let checked = Checked::default();
        let token = TokenDigest([7; 32]);
        let at = |secs: i64| Timestamp(1_000 + secs);
        let fresh = Recalled::Ask { is_repeated: false };
        assert_eq!(checked.recall(&token, at(0)), fresh);
        checked.was_right(token, at(0));
        assert_eq!(checked.recall(&token, at(299)), Recalled::Right);
        assert_eq!(checked.recall(&token, at(300)), fresh);
        assert!(checked.left(&token, at(329)).is_some());
        assert!(checked.left(&token, at(330)).is_none());

        checked.was_wrong(token, at(300));
        assert!(checked.left(&token, at(301)).is_none(), "at once");
        assert_eq!(checked.recall(&token, at(309)), Recalled::Wrong);
        let again = Recalled::Ask { is_repeated: true };
        assert_eq!(checked.recall(&token, at(310)), again);
        assert_eq!(checked.recall(&token, at(3_899)), again);
        assert_eq!(checked.recall(&token, at(3_900)), fresh);
        checked.was_right(token, at(400));
        assert_eq!(checked.recall(&token, at(401)), Recalled::Right);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_not(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            if value(&line).is_some() && let Some(token) = token(&line) {
                prop_assert!(is_basic(&token));
                let _ = Login::of(&token);
            }
        }

        #[test]
        fn no_two_tokens_say_the_same(text in "[ -~]{1,12}:[ -~]{0,12}", flip in 0_usize..32) {
            let token = encoded(&text);
            let mut other = token.clone().into_bytes();
            let at = SCHEME.len() + flip % (token.len() - SCHEME.len());
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            if let (Some(one), Some(two)) = (Login::of(&token), Login::of(&other)) {
                prop_assert!(one.user != two.user || one.password != two.password);
            }
        }
    }
}
