//! Finds the success token of a request, which lets it through once where a rule asks for one.

use crate::request::{Line, RequestHead};

/// Where it travels.
pub const HEADER: &str = "x-2fa-success-token";

/// Twice in one request, or not a success token: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSuccess {
    #[error("X-2FA-Success-Token is there twice: send one")]
    Twice,
    #[error(
        "X-2FA-Success-Token is not a success token: it looks like 00000000-0000-4000-8000-000000000000"
    )]
    Malformed,
}

/// The success token of the request.
pub fn find<'h>(head: &RequestHead<'h>) -> Result<Option<&'h str>, BadSuccess> {
    let line = match head.signs.success {
        Line::Absent => return Ok(None),
        Line::Once(line) => line,
        Line::Many => return Err(BadSuccess::Twice),
    };
    let text = line.to_str().ok().filter(|text| is_uuid(text));
    text.map(Some).ok_or(BadSuccess::Malformed)
}

/// Whether a text has the form of a UUID (RFC 9562 section 4).
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::with_head;

    const GOOD: &str = "3929dfe8-161a-428c-9c71-fde728fe7285";

    fn found(lines: &[&str]) -> Result<Option<String>, BadSuccess> {
        let mut given = vec![("host", "files.example.org")];
        given.extend(lines.iter().map(|line| (HEADER, *line)));
        with_head("GET", "/", &given, |head| {
            find(&head.unwrap()).map(|token| token.map(str::to_owned))
        })
    }

    #[test]
    fn one_is_found_and_anything_else_is_refused() {
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&[GOOD]), Ok(Some(GOOD.to_owned())));
        assert_eq!(found(&[GOOD, GOOD]), Err(BadSuccess::Twice));
        for bad in [
            "",
            "token",
            "3929dfe8-161a-428c-9c71-fde728fe728",
            "3929dfe8-161a-428c-9c71-fde728fe72855",
            "3929dfe8-161a-428c-9c71-fde728fe728g",
            "3929dfe8_161a-428c-9c71-fde728fe7285",
            "3929dfe8-161a-428c-9c71-fde728fe7285, 3929dfe8-161a-428c-9c71-fde728fe7285",
        ] {
            assert_eq!(found(&[bad]), Err(BadSuccess::Malformed), "{bad}");
        }
    }
}
