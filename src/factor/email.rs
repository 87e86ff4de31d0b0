//! Email addresses, in the one form that is stored, limited and sent to.
//!
//! The plain form of RFC 5321 section 4.1.2, in ASCII: a dot-string, `@` and a domain name. Quoted
//! local parts and address literals are refused: nobody has one, and they are what injection is made
//! of. A domain with other letters is written in its `xn--` form. Whether the mailbox exists is not
//! asked: only its server can tell.

use std::fmt;

/// Octets of the longest address that a server takes (RFC 5321 section 4.5.3.1.3, without `<>`).
const ADDRESS_BYTES_MAX: usize = 254;
/// Octets of the part before `@` (RFC 5321 section 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;
/// Octets between two dots of a domain (RFC 1035 section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// The characters of an atom besides letters and digits (RFC 5322 section 3.2.3).
const ATOM_SIGNS: &[u8] = b"!#$%&'*+-/=?^_`{|}~";

/// An email address that can be sent to. `Debug` shows the first and last letter before `@`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    /// The part after `@` is in lower case; the one before it is the server's own to compare.
    address: String,
    local_len: usize,
}

/// A text is not an email address that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an email address: write one like anna@example.org")]
pub struct EmailError;

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl EmailAddress {
    /// Reads an address. Nothing is trimmed or unquoted: what is stored is what was written, but for
    /// the case of the domain.
    pub fn parse(raw: &str) -> Result<Self, EmailError> {
        let (local, domain) = raw.split_once('@').ok_or(EmailError)?;
        if raw.len() > ADDRESS_BYTES_MAX || !is_dot_string(local) || !is_domain(domain) {
            return Err(EmailError);
        }
        Ok(Self {
            address: format!("{local}@{}", domain.to_ascii_lowercase()),
            local_len: local.len(),
        })
    }

    /// The address itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// What comes after `@`, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.address.get(self.local_len + 1..).unwrap_or_default()
    }

    /// For people who know it already: `a****n@example.org`. The stars are always four, and a short
    /// name shows less.
    #[must_use]
    pub fn masked(&self) -> String {
        let local = self.address.get(..self.local_len).unwrap_or_default();
        let (shown_first, shown_last) = match local.len() {
            ..=1 => ("", ""),
            2..=3 => (local.get(..1).unwrap_or_default(), ""),
            length => (
                local.get(..1).unwrap_or_default(),
                local.get(length - 1..).unwrap_or_default(),
            ),
        };
        format!("{shown_first}****{shown_last}@{}", self.domain())
    }
}

/// Whether an address is as [`EmailAddress::masked`] shows it, which `****` in it says: no mailbox is called so.
#[must_use]
pub fn is_masked(address: &str) -> bool {
    let local = address.split('@').next();
    local.is_some_and(|it| it.contains("****"))
}

/// A user's name by which its owner knows it and others do not: as an email address's where it is one,
/// else its first letter.
#[must_use]
pub fn masked_name(name: &str) -> String {
    if let Ok(address) = EmailAddress::parse(name) {
        return address.masked();
    }
    let first = name.chars().next();
    let first: String = first
        .filter(|_| name.chars().count() > 1)
        .into_iter()
        .collect();
    format!("{first}****")
}

/// Atoms with a dot between each two.
fn is_dot_string(text: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || ATOM_SIGNS.contains(&byte))
    };
    text.len() <= LOCAL_BYTES_MAX && text.split('.').all(is_atom)
}

/// A host name (RFC 1123 section 2.1); one without a dot is somebody's own network. The last label
/// has a letter: all digits would be an IPv4 address.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_and_their_domain_is_folded() {
        for (raw, address, domain) in [
            ("anna@example.org", "anna@example.org", "example.org"),
            (
                "Anna.B+files@EXAMPLE.Org",
                "Anna.B+files@example.org",
                "example.org",
            ),
            ("o'neil@a-b.example", "o'neil@a-b.example", "a-b.example"),
            ("root@localhost", "root@localhost", "localhost"),
            (
                "a@xn--bcher-kva.example",
                "a@xn--bcher-kva.example",
                "xn--bcher-kva.example",
            ),
            ("1@2.3d", "1@2.3d", "2.3d"),
        ] {
            let read = EmailAddress::parse(raw).unwrap_or_else(|why| panic!("{raw}: {why}"));
            assert_eq!((read.as_str(), read.domain()), (address, domain));
            assert_eq!(EmailAddress::parse(address), Ok(read));
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long = format!("a@{}org", "example.".repeat(32));
        for raw in [
            "",
            "@",
            "anna",
            "anna@",
            "@example.org",
            "anna@@example.org",
            "anna@a@b",
            "anna b@example.org",
            " anna@example.org",
            "anna@example.org ",
            "anna@example.org\n",
            "anna@example.org\r\nBcc: eve@example.org",
            "anna@example.org>\r\nRCPT TO:<eve@example.org",
            "anna\u{0}@example.org",
            "anna\t@example.org",
            "\"anna\"@example.org",
            "\"a b\"@example.org",
            "<anna@example.org>",
            "Anna <anna@example.org>",
            "anna@example.org,eve@example.org",
            "anna@example.org;eve",
            "anna(x)@example.org",
            "anna\\@example.org",
            ".anna@example.org",
            "anna.@example.org",
            "an..na@example.org",
            "anna@.example.org",
            "anna@example.org.",
            "anna@example..org",
            "anna@-example.org",
            "anna@example-.org",
            "anna@exa_mple.org",
            "anna@127.0.0.1",
            "anna@[127.0.0.1]",
            "anna@example.org:25",
            "søren@example.org",
            "anna@bücher.example",
            &long_local,
            &long,
        ] {
            assert_eq!(EmailAddress::parse(raw), Err(EmailError), "{raw:?}");
        }
    }

    #[test]
    fn a_masked_name_tells_little() {
        for (name, shown) in [
            ("anna", "a****"),
            ("a", "****"),
            ("åse", "å****"),
            ("bob@example.org", "b****@example.org"),
            ("share:7", "s****"),
            ("", "****"),
        ] {
            assert_eq!(masked_name(name), shown);
        }
    }

    #[test]
    fn masked_shows_no_more_than_two_letters() {
        for (address, masked) in [
            ("admin@example.org", "a****n@example.org"),
            ("anna@example.org", "a****a@example.org"),
            ("bob@example.org", "b****@example.org"),
            ("bo@example.org", "b****@example.org"),
            ("b@example.org", "****@example.org"),
        ] {
            let read = EmailAddress::parse(address).unwrap();
            assert_eq!(read.masked(), masked);
            assert!(is_masked(masked) && !is_masked(address));
            assert_eq!(format!("{read:?}"), masked);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_harmless(raw in "[\\PC\r\n\t\u{0}]{0,40}", near in "[a-z.+\"<> ]{1,9}@[a-zA-Z0-9.\\[\\]-]{1,12}[\r\n@]?") {
            for text in [raw, near] {
                let Ok(read) = EmailAddress::parse(&text) else { continue };
                prop_assert!(read.as_str().eq_ignore_ascii_case(&text));
                let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>()[]\\,;:".contains(&byte);
                prop_assert!(read.as_str().bytes().all(is_plain), "{}", read.as_str());
                prop_assert_eq!(read.as_str().matches('@').count(), 1);
                prop_assert_eq!(EmailAddress::parse(read.as_str()), Ok(read));
            }
        }

        #[test]
        fn every_plain_address_is_read_and_masked(
            local in "[a-zA-Z0-9_+-]{1,20}(\\.[a-z]{1,20}){0,2}",
            domain in "([a-z0-9]{1,20}\\.){0,3}[a-z]{2,10}",
        ) {
            let read = EmailAddress::parse(&format!("{local}@{domain}")).unwrap();
            prop_assert_eq!(read.domain(), &domain);
            let (shown, _) = read.masked().split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            prop_assert!((4..=6).contains(&shown.len()) && shown.contains("****"), "{}", shown);
        }
    }
}
