//! Which trace a request belongs to, and the header that says so (W3C Trace Context).

use std::fmt::Write as _;

/// A span's place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) sampled: bool,
}

/// The flag that says that the caller keeps the trace.
const SAMPLED: u8 = 1;

impl Context {
    /// A new trace. Of so many, `sample` (0 to 1) are kept: those whose random part is below it, so that
    /// nobody has to draw once more.
    pub(super) fn fresh(trace: [u8; 16], span: [u8; 8], sample: f64) -> Self {
        // The last seven bytes are the random ones (W3C Trace Context level 2).
        let [.., a, b, c, d, e, f, g] = trace;
        let random = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        // 2^56 values, which an f64 tells apart well enough.
        #[allow(
            clippy::cast_precision_loss,
            reason = "a share of requests is no exact thing"
        )]
        let part = random as f64 / (1_u64 << 56) as f64;
        Self {
            trace,
            span,
            sampled: part < sample,
        }
    }

    /// Another span of the same trace.
    pub(super) fn child(self, span: [u8; 8]) -> Self {
        Self { span, ..self }
    }

    /// The `number`th span below this one. Numbers that are the same for the same span, so that
    /// nobody has to draw one for each.
    pub(super) fn nth(self, number: u64) -> Self {
        let span = u64::from_be_bytes(self.span).wrapping_add(number);
        // Zeros are no name.
        self.child(span.max(1).to_be_bytes())
    }

    /// The span that waits for the upstream: the first below this one.
    pub(super) fn upstream(self) -> Self {
        self.nth(1)
    }

    /// Reads a `traceparent`; of a later version, what version 00 knows. `None`: begin anew.
    pub(super) fn read(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?.trim_matches([' ', '\t']);
        let mut parts = text.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        let more = parts.next();
        let version: [u8; 1] = hex(version)?;
        if version == [0xff] || (version == [0] && more.is_some()) {
            return None;
        }
        let [flags]: [u8; 1] = hex(flags)?;
        let context = Self {
            trace: hex(trace)?,
            span: hex(span)?,
            sampled: flags & SAMPLED == SAMPLED,
        };
        (context.trace != [0; 16] && context.span != [0; 8]).then_some(context)
    }

    /// The header of this span for whoever it asks.
    pub(super) fn write(self) -> String {
        let mut out = String::with_capacity(55);
        out.push_str("00-");
        self.trace.iter().for_each(|byte| push(&mut out, *byte));
        out.push('-');
        self.span.iter().for_each(|byte| push(&mut out, *byte));
        out.push('-');
        push(&mut out, u8::from(self.sampled));
        out
    }
}

fn push(out: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{byte:02x}");
}

/// Exactly `N` bytes in lower case hex digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N
        || digits
            .iter()
            .any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_and_written_alike() {
        let context = Context::read(SENT.as_bytes()).unwrap();
        assert!(context.sampled);
        assert_eq!(context.write(), SENT);
        let quiet = SENT.replace("-01", "-00");
        assert!(!Context::read(quiet.as_bytes()).unwrap().sampled);
        assert!(Context::read(format!(" {SENT}\t").as_bytes()).is_some());
        let below = context.upstream().write();
        assert!(below.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-"));
    }

    #[test]
    fn a_later_version_is_read_for_what_is_known_of_it() {
        for more in ["", "-what-comes-later"] {
            let later = format!("cc{}{more}", &SENT[2..]);
            let context = Context::read(later.as_bytes()).unwrap();
            assert_eq!(context.write(), SENT);
        }
    }

    #[test]
    fn what_is_no_header_begins_a_new_trace() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Context::read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Context::read(b"00-\xff"), None);
    }

    #[test]
    fn a_share_of_the_traces_is_kept() {
        let kept = |last: u8, sample| {
            let mut trace = [7; 16];
            trace[9] = last;
            Context::fresh(trace, [1; 8], sample).sampled
        };
        assert!((0..=255).all(|last| kept(last, 1.0) && !kept(last, 0.0)));
        assert_eq!((0..=255).filter(|last| kept(*last, 0.25)).count(), 64);
    }

    #[test]
    fn no_span_is_called_nothing() {
        let context = Context::fresh([1; 16], u64::MAX.to_be_bytes(), 1.0);
        assert_ne!(context.nth(1).span, [0; 8]);
    }
}
