//! Refuses what two servers could cut into requests in two ways (RFC 9112 section 6; request smuggling).

use super::Malformed;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

/// Checks the headers that say where a request's body ends.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let (length, coding) = (lengths.next(), codings.next());
    if length.is_some() && coding.is_some() {
        return Err(Malformed::LengthAndCoding);
    }
    if let Some(length) = length {
        if lengths.next().is_some() {
            return Err(Malformed::LengthTwice);
        }
        // `u64::from_str` alone would take a sign.
        let digits = length.to_str().map_err(|_| Malformed::Length)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.parse::<u64>().is_err() {
            return Err(Malformed::Length);
        }
    }
    if let Some(coding) = coding
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(Malformed::TransferCoding);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::headers;
    use super::*;

    #[test]
    fn ambiguous_ends_are_refused() {
        let length = "content-length";
        let coding = "transfer-encoding";
        for (given, answer) in [
            (vec![], Ok(())),
            (vec![(length, "0")], Ok(())),
            (vec![(length, "18446744073709551615")], Ok(())),
            (vec![(coding, "chunked")], Ok(())),
            (vec![(coding, "Chunked")], Ok(())),
            (
                vec![(length, "1"), (coding, "chunked")],
                Err(Malformed::LengthAndCoding),
            ),
            (
                vec![(length, "1"), (length, "2")],
                Err(Malformed::LengthTwice),
            ),
            (
                vec![(length, "1"), (length, "1")],
                Err(Malformed::LengthTwice),
            ),
            (vec![(length, "1, 1")], Err(Malformed::Length)),
            (vec![(length, "+1")], Err(Malformed::Length)),
            (vec![(length, "-1")], Err(Malformed::Length)),
            (vec![(length, "")], Err(Malformed::Length)),
            (vec![(length, "0x1")], Err(Malformed::Length)),
            (
                vec![(length, "18446744073709551616")],
                Err(Malformed::Length),
            ),
            (
                vec![(coding, "gzip, chunked")],
                Err(Malformed::TransferCoding),
            ),
            (
                vec![(coding, "chunked"), (coding, "chunked")],
                Err(Malformed::TransferCoding),
            ),
            (
                vec![(coding, "chunked"), (coding, "identity")],
                Err(Malformed::TransferCoding),
            ),
            (vec![(coding, "xchunked")], Err(Malformed::TransferCoding)),
            (vec![(coding, "")], Err(Malformed::TransferCoding)),
        ] {
            assert_eq!(check(&headers(&given)), answer, "{given:?}");
        }
    }
}
