//! Refuses what two servers could cut into requests in two ways (RFC 9112 section 6; request smuggling).

use super::{Line, Lines, Malformed};
use http::HeaderValue;

/// Checks the header lines that say where a request's body ends.
pub(super) fn check(lines: &Lines<'_>) -> Result<(), Malformed> {
    match (lines.content_length, lines.transfer_encoding) {
        (Line::Absent, Line::Absent) => Ok(()),
        (Line::Once(length), Line::Absent) => check_length(length),
        (Line::Many, Line::Absent) => Err(Malformed::LengthTwice),
        (Line::Absent, Line::Once(coding))
            if coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(())
        }
        (Line::Absent, Line::Once(_) | Line::Many) => Err(Malformed::TransferCoding),
        (Line::Once(_) | Line::Many, Line::Once(_) | Line::Many) => Err(Malformed::LengthAndCoding),
    }
}

fn check_length(length: &HeaderValue) -> Result<(), Malformed> {
    // `u64::from_str` alone would take a sign.
    let digits = length.to_str().map_err(|_| Malformed::Length)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.parse::<u64>().is_err() {
        return Err(Malformed::Length);
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
            assert_eq!(check(&Lines::read(&headers(&given))), answer, "{given:?}");
        }
    }
}
