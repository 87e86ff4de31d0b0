//! Phone numbers in E.164, the only form that is stored, limited and sent to.
//!
//! A number counts if its country's plan has numbers of its length. Whether it has been given out to
//! anybody is not asked: plans change faster than tables of them, and the reserved numbers of
//! documentation and of providers' test accounts must work. Only the provider can tell in the end.

use phonenumber::metadata::DATABASE;
use phonenumber::{Metadata, Mode, Type, country};
use std::fmt;

/// Characters of the longest text that is looked at.
const TEXT_MAX: usize = 40;
/// Digits of a number with its calling code (ITU-T E.164), and of the shortest one that is taken.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Digits of the longest calling code.
const PREFIX_MAX: usize = 3;
/// The kinds of numbers that take messages. Others (premium rate, short codes) lend no lengths.
const MESSAGED: [Type; 4] = [
    Type::Mobile,
    Type::FixedLine,
    Type::Voip,
    Type::PersonalNumber,
];

/// A valid phone number. `Debug` shows two digits at each end.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone {
    e164: String,
    /// Digits of the calling code.
    prefix_len: usize,
}

/// Why a text is not a phone number that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// No `+`, and no region that says how to read it.
    #[error("write the number with its country code, like +45 12 34 56 78")]
    NoCountry,
    /// Not a number that exists in its country's plan.
    #[error("this is not a phone number")]
    Invalid,
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Phone {
    /// Reads a number as people write it. `region` (ISO 3166 alpha-2) says how one without `+` is
    /// read, with that country's own international prefix (mostly `00`) and trunk prefix.
    pub fn parse(raw: &str, region: Option<&str>) -> Result<Self, PhoneError> {
        if raw.len() > TEXT_MAX {
            return Err(PhoneError::Invalid);
        }
        let (is_international, digits) = digits(raw)?;
        if is_international {
            return Self::international(&digits);
        }
        let region: country::Id = region
            .and_then(|region| region.parse().ok())
            .ok_or(PhoneError::NoCountry)?;
        match after_international_prefix(region, &digits) {
            Some(digits) => Self::international(digits),
            None => Self::by_plan(Some(region), &digits),
        }
    }

    /// Reads the digits after a `+`.
    fn international(digits: &str) -> Result<Self, PhoneError> {
        let e164 = format!("+{digits}");
        match Self::from_e164(&e164) {
            // A zero here may be a trunk prefix, as in `+44 (0)20 …`, or belong there (Italy).
            Some(phone) if !phone.national().starts_with('0') && phone.is_possible() => Ok(phone),
            _ => Self::by_plan(None, &e164),
        }
    }

    /// A number that was stored: `+` and digits of a known country. Its length is not checked again.
    #[must_use]
    pub fn from_e164(e164: &str) -> Option<Self> {
        let digits = e164.strip_prefix('+')?;
        let is_e164 =
            DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_e164 {
            return None;
        }
        let prefix_len =
            (1..=PREFIX_MAX).find(|length| calling_code(digits.get(..*length)).is_some())?;
        Some(Self {
            e164: e164.to_owned(),
            prefix_len,
        })
    }

    /// Reads a number by its country's plan, prefixes and all.
    fn by_plan(region: Option<country::Id>, text: &str) -> Result<Self, PhoneError> {
        let number = phonenumber::parse(region, text).map_err(|_| PhoneError::Invalid)?;
        let e164 = number.format().mode(Mode::E164).to_string();
        Self::from_e164(&e164)
            .filter(Self::is_possible)
            .ok_or(PhoneError::Invalid)
    }

    /// Whether a country of this calling code has numbers of this length.
    fn is_possible(&self) -> bool {
        let length = u16::try_from(self.national().len()).unwrap_or(u16::MAX);
        let plans = calling_code(Some(self.prefix())).and_then(|code| DATABASE.by_code(&code));
        let has_length = |plan: &Metadata| {
            let kinds = MESSAGED
                .iter()
                .filter_map(|kind| plan.descriptors().get(*kind));
            kinds
                .into_iter()
                .any(|kind| kind.possible_length().contains(&length))
        };
        plans.is_some_and(|plans| plans.into_iter().any(has_length))
    }

    /// `+` and digits.
    #[must_use]
    pub fn e164(&self) -> &str {
        &self.e164
    }

    /// The country calling code, e.g. `45`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.e164.get(1..=self.prefix_len).unwrap_or_default()
    }

    /// The country (ISO 3166 alpha-2). `None` where several countries share the calling code and the
    /// number is in none of their plans; a list of allowed countries must not let such a number pass.
    #[must_use]
    pub fn country(&self) -> Option<&'static str> {
        let number = phonenumber::parse(None, &self.e164).ok()?;
        // `001` stands for the codes of no country, such as satellite phones.
        let plan = number.metadata(&DATABASE)?;
        Some(plan.id()).filter(|id| *id != "001")
    }

    pub fn national(&self) -> &str {
        self.e164.get(1 + self.prefix_len..).unwrap_or_default()
    }

    /// The number with all but two digits at each end as `*`, e.g. `+45******78`.
    #[must_use]
    pub fn masked(&self) -> String {
        let last = self.e164.len().saturating_sub(2);
        self.e164
            .char_indices()
            .map(|(at, c)| if at < 3 || at >= last { c } else { '*' })
            .collect()
    }
}

/// What follows the digits that stand for `+` in a region (mostly `00`), if they lead.
fn after_international_prefix(region: country::Id, digits: &str) -> Option<&str> {
    let plan = DATABASE.by_id(region.as_ref())?;
    let found = plan.international_prefix()?.find(digits)?;
    (found.start() == 0).then(|| digits.get(found.end()..))?
}

/// The calling code that these digits are.
fn calling_code(digits: Option<&str>) -> Option<u16> {
    let code = digits
        .filter(|digits| !digits.starts_with('0'))?
        .parse()
        .ok()?;
    DATABASE.by_code(&code).map(|_| code)
}

/// The digits of a written number, and whether a `+` leads them. Letters, extensions and anything
/// else that a person might mean are refused, not guessed at.
fn digits(raw: &str) -> Result<(bool, String), PhoneError> {
    let text = raw.trim();
    let (is_international, text) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut digits = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')' => {}
            _ => return Err(PhoneError::Invalid),
        }
    }
    if digits.is_empty() {
        return Err(PhoneError::Invalid);
    }
    Ok((is_international, digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (raw, region, e164) in [
            ("+4512345678", None, "+4512345678"),
            ("+45 12 34 56 78", None, "+4512345678"),
            (" +45-12.34/56\u{a0}78 ", Some("US"), "+4512345678"),
            ("12345678", Some("DK"), "+4512345678"),
            ("12 34 56 78", Some("DK"), "+4512345678"),
            ("004512345678", Some("DK"), "+4512345678"),
            ("0046701234567", Some("DK"), "+46701234567"),
            ("+15005550006", None, "+15005550006"),
            ("+1 (415) 555-2671", None, "+14155552671"),
            ("(415) 555-2671", Some("US"), "+14155552671"),
            ("011 45 12345678", Some("US"), "+4512345678"),
            ("0039 02 3661 8300", Some("DE"), "+390236618300"),
            ("07400 123456", Some("GB"), "+447400123456"),
            ("+44 (0)7400 123456", None, "+447400123456"),
            ("+39 02 3661 8300", None, "+390236618300"),
            ("+7 800 555 35 35", None, "+78005553535"),
            ("+354 555 1234", None, "+3545551234"),
            ("070-123 45 67", Some("SE"), "+46701234567"),
            ("0171 1234567", Some("DE"), "+491711234567"),
        ] {
            let phone = Phone::parse(raw, region).unwrap_or_else(|why| panic!("{raw}: {why}"));
            assert_eq!(phone.e164(), e164, "{raw}");
            assert_eq!(Phone::parse(e164, None).as_ref(), Ok(&phone), "{raw}");
            assert_eq!(Phone::from_e164(e164), Some(phone), "{raw}");
        }
    }

    #[test]
    fn a_number_without_plus_needs_a_region() {
        for (raw, region) in [
            ("12345678", None),
            ("004512345678", None),
            ("12345678", Some("ZZ")),
        ] {
            assert_eq!(
                Phone::parse(raw, region),
                Err(PhoneError::NoCountry),
                "{raw}"
            );
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let long = "+45".to_owned() + &" ".repeat(40) + "12345678";
        for (raw, region) in [
            ("", Some("DK")),
            ("+", None),
            ("+45", None),
            ("+45123", None),
            ("+451234567", None),
            ("+45123456789", None),
            ("+0012345678", None),
            ("+2101234567", None),
            ("+99912345678", None),
            ("1", Some("DK")),
            ("112", Some("DK")),
            ("1234567", Some("US")),
            ("+45 12 34 56 78 ext 9", None),
            ("+4512345678;ext=9", None),
            ("+45 CALL ME", None),
            ("++4512345678", None),
            ("+45+12345678", None),
            ("+45１２345678", None),
            ("+1500555000600000000000", None),
            (long.as_str(), None),
        ] {
            assert_eq!(Phone::parse(raw, region), Err(PhoneError::Invalid), "{raw}");
        }
    }

    #[test]
    fn country_and_prefix_are_told() {
        for (e164, prefix, country) in [
            ("+4512345678", "45", Some("DK")),
            ("+14155552671", "1", Some("US")),
            ("+14165550123", "1", Some("CA")),
            ("+447400123456", "44", Some("GB")),
            ("+3545551234", "354", Some("IS")),
            ("+79161234567", "7", Some("RU")),
            ("+19995550000", "1", None),
            ("+88212345678", "882", None),
        ] {
            let phone = Phone::from_e164(e164).unwrap();
            assert_eq!(
                (phone.prefix(), phone.country()),
                (prefix, country),
                "{e164}"
            );
        }
    }

    #[test]
    fn only_e164_comes_back_from_the_store() {
        for text in [
            "",
            "4512345678",
            "+45 12345678",
            "+45",
            "+0123456789",
            "+4512345678901234",
            "+45123456７8",
        ] {
            assert_eq!(Phone::from_e164(text), None, "{text}");
        }
    }

    #[test]
    fn debug_is_masked() {
        let phone = Phone::from_e164("+4512345678").unwrap();
        assert_eq!(format!("{phone:?}"), "+45******78");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(raw in "\\PC{0,50}", digits in "\\+?[0-9 ()-]{0,20}") {
            for text in [raw, digits] {
                for region in [None, Some("DK"), Some("US"), Some("IT")] {
                    if let Ok(phone) = Phone::parse(&text, region) {
                        prop_assert_eq!(Phone::from_e164(phone.e164()), Some(phone.clone()));
                        let prefix = phone.e164().strip_prefix('+').unwrap();
                        prop_assert!(prefix.starts_with(phone.prefix()));
                        let _ = phone.country();
                    }
                }
            }
        }
    }
}
