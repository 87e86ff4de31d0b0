//! Phone numbers in E.164, the only form that is stored, limited and sent to.

use std::fmt;

/// A valid phone number. `Debug` shows two digits at each end.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone {
    e164: String,
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
    /// A number that is in E.164 form already.
    pub fn from_e164(e164: &str) -> Result<Self, PhoneError> {
        let digits = e164.strip_prefix('+').ok_or(PhoneError::NoCountry)?;
        if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(PhoneError::Invalid);
        }
        Ok(Self {
            e164: e164.to_owned(),
        })
    }

    /// `+` and digits.
    #[must_use]
    pub fn e164(&self) -> &str {
        &self.e164
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
