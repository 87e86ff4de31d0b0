//! Time-based one-time passwords (RFC 6238): SHA-1, 6 digits, 30 seconds, as every authenticator
//! app does it. Pure: the time and the randomness come in, what was accepted is the store's to keep.

use crate::clock::Timestamp;
use crate::entropy::{self, Entropy, NoEntropy};
use crate::secret::Secret;
use std::fmt;
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

/// RFC 6238's X.
const STEP_SECS: i64 = 30;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// 160 bits, as RFC 4226 section 4 recommends.
const NEW_BYTES: usize = 20;
/// What is taken of others: 80 bits, as many services still give out, to two blocks of SHA-1.
const BYTES: std::ops::RangeInclusive<usize> = 10..=128;
/// Characters of a name in an authenticator app.
const LABEL_MAX: usize = 64;

/// A shared secret. Wiped when it is dropped, masked in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Zeroizing<Vec<u8>>);

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(***)")
    }
}

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    #[error("the key must be base32: letters A to Z and digits 2 to 7")]
    NotBase32,
    #[error("the key is too short: it must have at least 16 characters")]
    TooShort,
    #[error("the key is too long: it must have at most 205 characters")]
    TooLong,
}

impl TotpSecret {
    /// 160 random bits.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        let bytes = Zeroizing::new(entropy::bytes::<NEW_BYTES>(entropy)?);
        Ok(Self::from_bytes(&*bytes))
    }

    /// Reads base32 (RFC 4648) in either case, with or without padding, spaces and hyphens: 80 to
    /// 1024 bits. Bits that make no whole byte are dropped, as authenticator apps do.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let letters: Zeroizing<String> = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .map(|c| c.to_ascii_uppercase())
            .collect::<String>()
            .into();
        let letters = letters.trim_end_matches('=');
        let decoded =
            totp_rs::Secret::try_from_base32(letters).map_err(|_| BadSecret::NotBase32)?;
        match decoded.as_bytes() {
            bytes if bytes.len() < *BYTES.start() => Err(BadSecret::TooShort),
            bytes if bytes.len() > *BYTES.end() => Err(BadSecret::TooLong),
            bytes => Ok(Self::from_bytes(bytes)),
        }
    }

    /// As it was stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// As it is stored, sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// For people and apps: base32 in upper case, without padding.
    #[must_use]
    pub fn base32(&self) -> Secret {
        Secret::new(totp_rs::Secret::from(self.bytes()).to_base32())
    }

    /// The time step (RFC 6238's T) whose code this is, of those at most `window` steps away from
    /// now: the latest of them. Compared in constant time. `None` too if `code` is not 6 digits.
    #[must_use]
    pub fn step_of(&self, code: &str, now: Timestamp, window: u32) -> Option<i64> {
        if code.len() != DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let totp = self.totp().build_noncompliant();
        let (current, window) = (now.0.div_euclid(STEP_SECS), i64::from(window));
        // All of them, whatever the first ones say: the time must not tell which step it was.
        let mut found = -1_i64;
        for step in current.saturating_sub(window).max(0)..=current.saturating_add(window) {
            let right = code_at(&totp, step);
            let is_right = right.as_bytes().ct_eq(code.as_bytes());
            found.conditional_assign(&step, is_right);
        }
        (found >= 0).then_some(found)
    }

    /// `otpauth://totp/Issuer:account?secret=…&issuer=…`, as authenticator apps scan it. A colon in
    /// a name would end it there, so that each becomes a space; long names are cut.
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &str) -> Secret {
        let named = self
            .totp()
            .with_issuer(Some(label(issuer)))
            .with_account_name(label(account));
        // Fails only for what `label` never makes: an empty name, or a colon.
        Secret::new(named.build_noncompliant().to_url().unwrap_or_default())
    }

    fn totp(&self) -> Builder {
        // The library's defaults are those of this module: SHA-1, 6 digits, 30 seconds.
        Builder::new().with_secret(self.bytes())
    }
}

/// A step's code.
fn code_at(totp: &Totp, step: i64) -> Zeroizing<String> {
    let time = step.saturating_mul(STEP_SECS);
    let code = totp.generate(u64::try_from(time).unwrap_or(0));
    Zeroizing::new(code.to_string())
}

#[cfg(test)]
impl TotpSecret {
    /// The code that an app shows at a time.
    pub(crate) fn code_at(&self, now: Timestamp) -> String {
        let totp = self.totp().build_noncompliant();
        code_at(&totp, now.0.div_euclid(STEP_SECS)).to_string()
    }
}

/// A name as an app shows it.
fn label(name: &str) -> String {
    let shown: String = name
        .chars()
        .map(|c| if c == ':' || c.is_control() { ' ' } else { c })
        .take(LABEL_MAX)
        .collect();
    match shown.trim() {
        "" => "-".to_owned(),
        shown => shown.to_owned(),
    }
}

/// A PNG image of an `otpauth` URI as a QR code, with the white border that readers need. `None`
/// if the text is no such URI, or does not fit into a QR code.
#[must_use]
pub fn qr_png(uri: &Secret) -> Option<Vec<u8>> {
    Totp::from_url_unchecked(uri.expose())
        .ok()?
        .to_qr_png()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;
    use proptest::prelude::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// RFC 6238 Appendix B: the seed for SHA-1.
    const SEED: &[u8] = b"12345678901234567890";

    fn code(secret: &TotpSecret, step: i64) -> String {
        secret.code_at(Timestamp(step * STEP_SECS))
    }

    #[test]
    fn the_vectors_of_rfc_6238() {
        let secret = TotpSecret::from_bytes(SEED);
        // The appendix's codes have 8 digits; one of 6 is the end of it.
        for (time, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let found = secret.step_of(&code[2..], Timestamp(time), 0);
            assert_eq!(found, Some(time / 30), "{time}");
        }
    }

    #[test]
    fn only_six_digits_are_a_code() {
        let secret = TotpSecret::from_bytes(SEED);
        let at = Timestamp(59);
        assert!(secret.step_of("287082", at, 0).is_some());
        for typed in [
            "",
            "28708",
            "2870820",
            "94287082",
            "287 82",
            "+28708",
            "２８７",
        ] {
            assert_eq!(secret.step_of(typed, at, 10), None, "{typed:?}");
        }
    }

    #[test]
    fn of_two_steps_with_one_code_the_latest_counts() {
        let secret = TotpSecret::from_bytes(SEED);
        // Found by search: with a wide window, some code stands twice in it.
        let window = 3_000;
        let at = Timestamp(30 * window);
        let mut seen = std::collections::HashMap::new();
        let twice = (0..=2 * window).find_map(|step| {
            let code = code(&secret, step);
            seen.insert(code.clone(), step).map(|_| (code, step))
        });
        let (code, latest) = twice.expect("6,000 codes of a million repeat");
        let found = secret.step_of(&code, at, u32::try_from(window).unwrap());
        assert_eq!(found, Some(latest));
    }

    #[test]
    fn a_clock_at_the_edges_of_time_does_no_harm() {
        let secret = TotpSecret::from_bytes(SEED);
        assert_eq!(secret.step_of(&code(&secret, 0), Timestamp(0), 1), Some(0));
        assert_eq!(secret.step_of("123456", Timestamp(-31), 0), None);
        let _ = secret.step_of("123456", Timestamp(i64::MAX), 10);
        let _ = secret.step_of("123456", Timestamp(i64::MIN), 10);
    }

    #[test]
    fn keys_are_read_as_people_write_them() {
        let plain = TotpSecret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert_eq!(plain.bytes(), SEED);
        for text in [
            "gezdgnbvgy3tqojqgezdgnbvgy3tqojq",
            " GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ\n",
            "gezd-gnbv-gy3t-qojq-gezd-gnbv-gy3t-qojq",
        ] {
            assert_eq!(TotpSecret::parse(text), Ok(plain.clone()), "{text}");
        }
        // 18 characters are 11 bytes, padded to 24.
        let padded = TotpSecret::parse("GEZDGNBVGY3TQOJQGE======").unwrap();
        assert_eq!(padded.bytes(), &SEED[..11]);
        assert_eq!(padded.base32().expose(), "GEZDGNBVGY3TQOJQGE");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        use BadSecret::{NotBase32, TooLong, TooShort};
        let long = "A".repeat(207);
        for (text, error) in [
            ("", TooShort),
            ("====", TooShort),
            ("GEZDGNBVGY3TQOJ", TooShort),
            ("GEZDGNBVGY3TQOJ1", NotBase32),
            ("GEZDGNBVGY3TQOJ0", NotBase32),
            ("GEZDGNBV====GY3TQOJQ", NotBase32),
            ("GEZDGNBVGY3TQOJ\u{131}", NotBase32),
            ("GEZDGNBV.GY3TQOJQ", NotBase32),
            (long.as_str(), TooLong),
        ] {
            assert_eq!(TotpSecret::parse(text), Err(error), "{text:?}");
        }
        assert!(TotpSecret::parse("GEZDGNBVGY3TQOJQ").is_ok(), "80 bits");
        assert_eq!(TotpSecret::parse(&long[..205]).unwrap().bytes().len(), 128);
    }

    #[test]
    fn new_keys_have_160_bits_and_differ() {
        let a = TotpSecret::generate(&OsEntropy).unwrap();
        let b = TotpSecret::generate(&OsEntropy).unwrap();
        assert_eq!((a.bytes().len(), a.base32().expose().len()), (20, 32));
        assert_ne!(a, b);
        assert_eq!(format!("{a:?}"), "TotpSecret(***)");
    }

    #[test]
    fn the_uri_is_what_apps_read() {
        let secret = TotpSecret::from_bytes(SEED);
        for (issuer, account, label) in [
            ("files.example.org", "ann", "files.example.org:ann"),
            ("Files & Co", "ann lee", "Files%20%26%20Co:ann%20lee"),
            (
                "Bøger",
                "søren@example.org",
                "B%C3%B8ger:s%C3%B8ren%40example.org",
            ),
            ("a:b", "share:3", "a%20b:share%203"),
            ("f", "", "f:-"),
            ("f", "50%/?#", "f:50%25%2F%3F%23"),
        ] {
            let uri = secret.uri(issuer, account);
            let issuer = label.split_once(':').unwrap().0;
            assert_eq!(
                uri.expose(),
                format!(
                    "otpauth://totp/{label}?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer={issuer}"
                )
            );
        }
    }

    /// What a reader sees in a PNG image.
    fn scanned(png: &[u8]) -> String {
        let mut reader = Command::new("zbarimg")
            .args(["--quiet", "--raw", "--oneshot", "-Sbinary", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("zbarimg is needed by this test: apt-get install zbar-tools");
        reader.stdin.take().unwrap().write_all(png).unwrap();
        let output = reader.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_phone_scans_the_image() {
        let longest = TotpSecret::from_bytes(&[0xa5; 128]);
        let long_name = "大".repeat(300);
        for (secret, issuer, account) in [
            (TotpSecret::from_bytes(SEED), "files.example.org", "ann"),
            (TotpSecret::from_bytes(&SEED[..10]), "Bøger", "søren lee"),
            (longest, "files.example.org", &long_name),
        ] {
            let uri = secret.uri(issuer, account);
            let png = qr_png(&uri).unwrap();
            assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
            assert_eq!(scanned(&png).trim_end(), uri.expose());
        }
        assert_eq!(qr_png(&Secret::new("https://example.org/")), None);
    }

    proptest! {
        #[test]
        fn keys_survive_their_text(bytes in proptest::collection::vec(any::<u8>(), 10..=128)) {
            let secret = TotpSecret::from_bytes(&bytes);
            let text = secret.base32();
            prop_assert_eq!(TotpSecret::parse(text.expose()), Ok(secret.clone()));
            let lower = text.expose().to_lowercase();
            prop_assert_eq!(TotpSecret::parse(&lower), Ok(secret));
        }

        #[test]
        fn any_text_is_a_key_or_refused(text in "\\PC{0,300}", letters in "[a-zA-Z2-7= -]{0,300}") {
            for text in [text, letters] {
                if let Ok(secret) = TotpSecret::parse(&text) {
                    prop_assert!(BYTES.contains(&secret.bytes().len()));
                }
            }
        }

        #[test]
        fn a_code_is_good_within_the_window_alone(
            bytes in proptest::collection::vec(any::<u8>(), 10..=64),
            step in 100_i64..1_000_000_000,
            second in 0_i64..30,
            off in -12_i64..=12,
            window in 0_u32..=10,
        ) {
            let secret = TotpSecret::from_bytes(&bytes);
            let now = Timestamp((step + off) * 30 + second);
            let found = secret.step_of(&code(&secret, step), now, window);
            match off.unsigned_abs() <= u64::from(window) {
                // Another step of the window may have the same code: then the latest one counts.
                true => prop_assert!(found.is_some_and(|found| found >= step)),
                false => prop_assert!(
                    found.is_none_or(|found| found != step && code(&secret, found) == code(&secret, step))
                ),
            }
        }

        #[test]
        fn every_name_makes_a_uri_that_is_read_back(issuer in "\\PC{0,80}", account in "\\PC{0,80}") {
            let secret = TotpSecret::from_bytes(SEED);
            let uri = secret.uri(&issuer, &account);
            let read = Totp::from_url(uri.expose()).unwrap();
            prop_assert_eq!(read.secret().as_bytes(), SEED);
            let (issuer, account) = (label(&issuer), label(&account));
            prop_assert_eq!(read.issuer(), Some(issuer.as_str()));
            prop_assert_eq!(read.account_name(), account.as_str());
        }
    }
}
