//! Values that must never be printed: they mask themselves in `Debug` and have no `Display`.

use std::fmt;
use zeroize::Zeroize;

/// A secret text. `Debug` prints `***`; the memory is wiped when it is dropped.
///
/// There is no `Display`, `Serialize` or `Deref`: whoever needs the text says [`Secret::expose`],
/// which is easy to search for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes `text` into custody.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that must send or compare it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    // A derived `Debug` would put the secret into every log line and panic that prints its owner.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Bytes that only the store can open again: what may stay in memory for as long as a session.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Box<[u8]>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_is_masked() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(***)");
    }
}
