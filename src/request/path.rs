//! The one spelling of a path. Pure; allocates only when the path was not in that spelling.
//!
//! RFC 3986: unreserved characters are never escaped (section 6.2.2.2), the hex digits of an escape
//! are upper case (6.2.2.1), dot segments are resolved (5.2.4). Beyond the RFC, `//` becomes `/` and
//! characters that a path may not hold unescaped become escapes. What two servers could read in two
//! ways is refused. Nothing else is decoded: `%2B` stays apart from `+`, as the RFC asks.

use super::{Malformed, all_bytes};
use std::borrow::Cow;
use std::fmt::Write as _;

/// An encoded `/` as it stands in a canonical path.
pub(crate) const ENCODED_SLASH: &str = "%2F";
/// An encoded `;` as it stands in a canonical path.
const ENCODED_SEMICOLON: &str = "%3B";

/// Whether a backend could read a canonical path in another way than it is written: an encoded
/// slash as a slash, a `;` as the beginning of parameters.
pub(crate) fn has_other_readings(path: &str) -> bool {
    !all_bytes(path, |byte| !matches!(byte, b';' | b'%'))
        && (path.contains(';') || path.contains(ENCODED_SLASH) || path.contains(ENCODED_SEMICOLON))
}

/// The path as servers read it that take `;` and what follows in a segment for parameters.
pub(crate) fn without_parameters(path: &str) -> String {
    let name = |segment: &str| {
        let plain = segment.find(';').unwrap_or(segment.len());
        let encoded = segment.find(ENCODED_SEMICOLON).unwrap_or(segment.len());
        segment
            .get(..plain.min(encoded))
            .unwrap_or_default()
            .to_owned()
    };
    path.split('/').map(name).collect::<Vec<_>>().join("/")
}

/// The canonical form of an absolute path, and whether it keeps an encoded `/`.
///
/// Canonical again gives the same path. The output starts with `/`, has no `//`, no `.` or `..`
/// segment and only ASCII; its escapes decode to UTF-8 without control bytes and backslashes.
pub fn canonical_path(path: &str) -> Result<(Cow<'_, str>, bool), Malformed> {
    if !path.starts_with('/') {
        return Err(Malformed::Target);
    }
    if is_plainly_canonical(path) {
        return Ok((Cow::Borrowed(path), false));
    }
    rewritten(path)
}

/// Whether a path that starts with `/` has only plain characters, and neither an empty segment nor
/// one that begins with a dot: nearly every path.
fn is_plainly_canonical(path: &str) -> bool {
    all_bytes(path, is_plain) && !path.contains("//") && !path.contains("/.")
}

/// The canonical form, whatever the path is.
fn rewritten(path: &str) -> Result<(Cow<'_, str>, bool), Malformed> {
    let resolved = match spell(path)? {
        Cow::Borrowed(path) => resolve(path)?,
        Cow::Owned(path) => Cow::Owned(resolve(&path)?.into_owned()),
    };
    if !resolved.contains('%') {
        return Ok((resolved, false));
    }
    refuse_second_decoding(&resolved)?;
    refuse_broken_utf8(&resolved)?;
    let has_encoded_slash = resolved.contains(ENCODED_SLASH);
    Ok((resolved, has_encoded_slash))
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What may stand unescaped in a path: `pchar` of RFC 3986 section 3.3, and the slash. In
/// ranges, for [`all_bytes`].
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'&'..=b';')
        | matches!(byte, b'@'..=b'Z')
        | byte.is_ascii_lowercase()
        | (byte == b'!')
        | (byte == b'$')
        | (byte == b'=')
        | (byte == b'_')
        | (byte == b'~')
}

/// Bytes that no path may hold, escaped or not.
fn refuse_byte(byte: u8) -> Result<(), Malformed> {
    match byte {
        0..=0x1f | 0x7f => Err(Malformed::ControlByte),
        b'\\' => Err(Malformed::Backslash),
        _ => Ok(()),
    }
}

/// The value of the two hex digits at the start of `digits`.
fn hex_pair(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    let value = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(value(*high)? * 16 + value(*low)?).ok()
}

/// Decodes what is unreserved, escapes what is not plain, puts hex digits in upper case.
fn spell(path: &str) -> Result<Cow<'_, str>, Malformed> {
    let bytes = path.as_bytes();
    let Some(first) = bytes.iter().position(|byte| !is_plain(*byte)) else {
        return Ok(Cow::Borrowed(path));
    };
    let mut out = Respelling { path, own: None };
    let mut at = first;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let digits = bytes.get(at + 1..at + 3).unwrap_or_default();
            let value = hex_pair(digits).ok_or(Malformed::BadEscape)?;
            refuse_byte(value)?;
            if is_unreserved(value) {
                out.from(at).push(char::from(value));
            } else if digits.iter().any(u8::is_ascii_lowercase) {
                escape(out.from(at), value);
            } else {
                out.keep(at, 3);
            }
            at += 3;
        } else {
            refuse_byte(byte)?;
            if is_plain(byte) {
                out.keep(at, 1);
            } else {
                escape(out.from(at), byte);
            }
            at += 1;
        }
    }
    Ok(out.own.map_or(Cow::Borrowed(path), Cow::Owned))
}

fn escape(out: &mut String, byte: u8) {
    // Writing to a `String` cannot fail.
    let _ = write!(out, "%{byte:02X}");
}

/// A copy of `path` that begins at the first difference.
struct Respelling<'a> {
    path: &'a str,
    own: Option<String>,
}

impl Respelling<'_> {
    /// The copy, holding everything before `at` if it has only just begun.
    fn from(&mut self, at: usize) -> &mut String {
        self.own.get_or_insert_with(|| {
            let mut own = String::with_capacity(self.path.len() + 8);
            own.push_str(self.path.get(..at).unwrap_or_default());
            own
        })
    }

    /// Takes `length` bytes at `at` over as they are.
    fn keep(&mut self, at: usize, length: usize) {
        if let Some(own) = &mut self.own {
            own.push_str(self.path.get(at..at + length).unwrap_or_default());
        }
    }
}

/// What a segment means for the path around it.
#[derive(PartialEq, Eq)]
enum Segment {
    Name,
    Here,
    Up,
}

/// Reads one segment; refuses a dot segment that only some servers would see: one with `;`
/// parameters, or one that an encoded slash sets apart.
fn segment(text: &str) -> Result<Segment, Malformed> {
    for part in text.split(ENCODED_SLASH) {
        let name = part.split(';').next().unwrap_or_default();
        let name = name.split("%3B").next().unwrap_or_default();
        if matches!(name, "." | "..") {
            return match text {
                "." => Ok(Segment::Here),
                ".." => Ok(Segment::Up),
                _ => Err(Malformed::DotSegment),
            };
        }
    }
    Ok(Segment::Name)
}

/// Resolves dot segments, then collapses `//`.
fn resolve(path: &str) -> Result<Cow<'_, str>, Malformed> {
    // One quick look tells nearly every path: it has neither an empty nor a dot segment.
    let is_suspect = |pair: &[u8]| matches!(pair, b"//" | b"/.");
    let has_encoded_slash = path.contains('%') && path.contains(ENCODED_SLASH);
    if !has_encoded_slash && !path.as_bytes().windows(2).any(is_suspect) {
        return Ok(Cow::Borrowed(path));
    }
    let mut is_canonical = !path.contains("//");
    for text in path.split('/') {
        is_canonical &= segment(text)? == Segment::Name;
    }
    if is_canonical {
        return Ok(Cow::Borrowed(path));
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_slash = false;
    for text in path.split('/').skip(1) {
        let meaning = segment(text)?;
        ends_in_slash = meaning != Segment::Name || text.is_empty();
        match meaning {
            Segment::Name => kept.push(text),
            Segment::Here => {}
            Segment::Up => {
                kept.pop();
            }
        }
    }
    let mut out = String::with_capacity(path.len());
    for text in kept.into_iter().filter(|text| !text.is_empty()) {
        out.push('/');
        out.push_str(text);
    }
    if ends_in_slash || out.is_empty() {
        out.push('/');
    }
    Ok(Cow::Owned(out))
}

/// A server that decodes twice would see another path than one that decodes once.
fn refuse_second_decoding(path: &str) -> Result<(), Malformed> {
    let changes = path.match_indices("%25").any(|(at, escape)| {
        hex_pair(path.as_bytes().get(at + escape.len()..).unwrap_or_default()).is_some()
    });
    if changes {
        return Err(Malformed::DoubleEncoding);
    }
    Ok(())
}

/// Overlong and cut-off UTF-8 is read as `.` or `/` by lenient decoders.
fn refuse_broken_utf8(path: &str) -> Result<(), Malformed> {
    let mut sequence = [0_u8; 4];
    let mut length = 0;
    let mut bytes = percent_encoding::percent_decode_str(path).peekable();
    while let Some(byte) = bytes.next() {
        if byte.is_ascii() && length == 0 {
            continue;
        }
        *sequence.get_mut(length).ok_or(Malformed::NotUtf8)? = byte;
        length += 1;
        match std::str::from_utf8(sequence.get(..length).unwrap_or_default()) {
            Ok(_) => length = 0,
            // Not wrong yet, only cut off.
            Err(error) if error.error_len().is_none() && bytes.peek().is_some() => {}
            Err(_) => return Err(Malformed::NotUtf8),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_has_one_form() {
        for (given, wanted) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//", "/"),
            ("//a", "/a"),
            ("/a//b", "/a/b"),
            ("/a///b//", "/a/b/"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/a/b/../c", "/a/c"),
            ("/a//../b", "/a/b"),
            ("/..", "/"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/%2e/b", "/a/b"),
            ("/%61%62%7E%2D%5F", "/ab~-_"),
            ("/a%2bb", "/a%2Bb"),
            ("/a+b", "/a+b"),
            ("/a%20b", "/a%20b"),
            ("/ø/å", "/%C3%B8/%C3%A5"),
            ("/%c3%b8", "/%C3%B8"),
            ("/{x}|\"<>^`", "/%7Bx%7D%7C%22%3C%3E%5E%60"),
            ("/100%25", "/100%25"),
            ("/100%25%20sure", "/100%25%20sure"),
            ("/.hidden", "/.hidden"),
            ("/...", "/..."),
            ("/a;b=c/d", "/a;b=c/d"),
            ("/a..;b/d", "/a..;b/d"),
            ("/~user/@me/$x&y=(1)!,'*:", "/~user/@me/$x&y=(1)!,'*:"),
        ] {
            let (canonical, has_encoded_slash) = canonical_path(given).unwrap();
            assert_eq!(canonical, wanted, "{given}");
            assert!(!has_encoded_slash, "{given}");
        }
    }

    #[test]
    fn what_two_servers_read_in_two_ways_is_refused() {
        for (given, why) in [
            ("", Malformed::Target),
            ("a", Malformed::Target),
            ("*", Malformed::Target),
            ("/%", Malformed::BadEscape),
            ("/%z", Malformed::BadEscape),
            ("/%zz", Malformed::BadEscape),
            ("/%+1", Malformed::BadEscape),
            ("/%2", Malformed::BadEscape),
            ("/%00", Malformed::ControlByte),
            ("/a%0d%0aX:", Malformed::ControlByte),
            ("/a%7f", Malformed::ControlByte),
            ("/a\u{1}", Malformed::ControlByte),
            ("/a\\b", Malformed::Backslash),
            ("/a%5cb", Malformed::Backslash),
            ("/a%5Cb", Malformed::Backslash),
            ("/%252e%252e/x", Malformed::DoubleEncoding),
            ("/%252fx", Malformed::DoubleEncoding),
            ("/%25%32%65", Malformed::DoubleEncoding),
            ("/%2541", Malformed::DoubleEncoding),
            ("/a/..;/b", Malformed::DotSegment),
            ("/a/..;x=1/b", Malformed::DotSegment),
            ("/a/.;/b", Malformed::DotSegment),
            ("/a/..%3b/b", Malformed::DotSegment),
            ("/a/%2e%2e;/b", Malformed::DotSegment),
            ("/a%2f..%2fb", Malformed::DotSegment),
            ("/a/..%2fb", Malformed::DotSegment),
            ("/a%2F./b", Malformed::DotSegment),
            ("/a%2F..;/b", Malformed::DotSegment),
            ("/%c0%ae%c0%ae/x", Malformed::NotUtf8),
            ("/%e0%80%af", Malformed::NotUtf8),
            ("/%ff", Malformed::NotUtf8),
            ("/%c3", Malformed::NotUtf8),
            ("/%c3/x", Malformed::NotUtf8),
        ] {
            assert_eq!(canonical_path(given), Err(why), "{given}");
        }
    }

    #[test]
    fn plain_are_the_characters_of_the_rfc() {
        for byte in 0..=u8::MAX {
            let is_named = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
            assert_eq!(is_plain(byte), is_named, "{byte:#x}");
        }
    }

    #[test]
    fn an_encoded_slash_is_kept_and_told() {
        let (path, has_encoded_slash) = canonical_path("/a%2fb").unwrap();
        assert_eq!((path.as_ref(), has_encoded_slash), ("/a%2Fb", true));
    }

    #[test]
    fn a_canonical_path_is_borrowed() {
        for path in [
            "/",
            "/a/b.txt",
            "/.hidden/a%20b",
            "/%C3%B8/x%2Fy",
            "/100%25",
        ] {
            let (canonical, _) = canonical_path(path).unwrap();
            assert!(matches!(canonical, Cow::Borrowed(_)), "{path}");
        }
    }

    proptest! {
        #[test]
        fn canonical_is_a_fixed_point_below_the_root(
            path in "/([a.;/\\\\ø%{]|%2[eEfF5]|%3[bB]|%[0-9a-fA-F]{2}|\\.\\.|//){0,12}"
        ) {
            if let Ok((once, slash)) = canonical_path(&path) {
                let (twice, slash_again) = canonical_path(&once).unwrap();
                prop_assert_eq!(&once, &twice);
                prop_assert!(matches!(twice, Cow::Borrowed(_)));
                prop_assert_eq!(slash, slash_again);
                prop_assert!(once.starts_with('/') && once.is_ascii());
                prop_assert!(!once.contains("//"));
                prop_assert!(!once.split('/').any(|segment| matches!(segment, "." | "..")));
                // Nor has it one for a server that decodes slashes and cuts parameters off.
                let decoded = percent_encoding::percent_decode_str(&once).decode_utf8().unwrap();
                let names = decoded.split('/').map(|part| part.split(';').next().unwrap_or_default());
                prop_assert!(!names.into_iter().any(|name| matches!(name, "." | "..")));
            }
        }

        #[test]
        fn a_plain_path_is_what_rewriting_makes_of_it(
            path in "/([a.;/]|[a-z/]{9,20}|\\.\\.|//|%2[eEfF5]|[ -~]|ø){0,8}"
        ) {
            prop_assert_eq!(canonical_path(&path), rewritten(&path));
        }

        #[test]
        fn other_readings_need_one_of_two_bytes(path in "([a;%/]|%2F|%3B|%2f){0,6}") {
            let wanted = [";", ENCODED_SLASH, ENCODED_SEMICOLON];
            let wanted = wanted.iter().any(|text| path.contains(text));
            prop_assert_eq!(has_other_readings(&path), wanted);
        }

        #[test]
        fn any_text_is_read_or_refused(path in "\\PC*") {
            let _ = canonical_path(&path);
            let _ = canonical_path(&format!("/{path}"));
        }
    }
}
