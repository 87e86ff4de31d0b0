//! Finds the success token of a request, which lets it through once where a rule asks for one.

use http::HeaderMap;

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
pub fn find(headers: &HeaderMap) -> Result<Option<&str>, BadSuccess> {
    let mut lines = headers.get_all(HEADER).into_iter();
    let first = lines.next();
    if lines.next().is_some() {
        return Err(BadSuccess::Twice);
    }
    let Some(line) = first else { return Ok(None) };
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
    use http::HeaderValue;

    const GOOD: &str = "3929dfe8-161a-428c-9c71-fde728fe7285";

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HEADER, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn one_is_found_and_anything_else_is_refused() {
        assert_eq!(find(&headers(&[])), Ok(None));
        assert_eq!(find(&headers(&[GOOD])), Ok(Some(GOOD)));
        assert_eq!(find(&headers(&[GOOD, GOOD])), Err(BadSuccess::Twice));
        for bad in [
            "",
            "token",
            "3929dfe8-161a-428c-9c71-fde728fe728",
            "3929dfe8-161a-428c-9c71-fde728fe72855",
            "3929dfe8-161a-428c-9c71-fde728fe728g",
            "3929dfe8_161a-428c-9c71-fde728fe7285",
            "3929dfe8-161a-428c-9c71-fde728fe7285, 3929dfe8-161a-428c-9c71-fde728fe7285",
        ] {
            assert_eq!(find(&headers(&[bad])), Err(BadSuccess::Malformed), "{bad}");
        }
    }
}
