//! What a client can be told apart by where it says nothing of itself: its network.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv6Addr};

/// Stands before the address in a [`NetworkName`]. No client can name such a device: a control
/// character stands in none that is read from a request.
const MARK: u8 = 0x01;
/// The mark and the longest text of an address.
const NAME_BYTES_MAX: usize = 48;

/// The IPv4 address, or the /64 of an IPv6 one: a /64 is what one customer gets and can walk through
/// at will.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// A network as the name of a device, on the stack: for clients that name none and show a password
/// that anybody could have learned.
#[derive(Clone, Copy)]
pub struct NetworkName {
    bytes: [u8; NAME_BYTES_MAX],
    len: usize,
}

impl NetworkName {
    /// Of a client's address. No allocation.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let mut name = Self {
            bytes: [0; NAME_BYTES_MAX],
            len: 0,
        };
        // No address is longer: the longest is an IPv6 one with 39 characters.
        let _ = name.write_char(char::from(MARK));
        let _ = write!(name, "{}", network(address));
        name
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        let written = self.bytes.get(..self.len).unwrap_or_default();
        // Of ASCII alone.
        std::str::from_utf8(written).unwrap_or_default()
    }
}

impl fmt::Write for NetworkName {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(fmt::Error)?;
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl fmt::Debug for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::device;

    fn name(address: &str) -> String {
        NetworkName::of(address.parse().unwrap())
            .as_str()
            .to_owned()
    }

    #[test]
    fn a_network_is_an_address_or_a_64() {
        for (address, wanted) in [
            ("192.0.2.1", "\u{1}192.0.2.1"),
            ("::ffff:192.0.2.1", "\u{1}192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "\u{1}2001:db8:1:2::"),
            ("2001:db8:1:2::9", "\u{1}2001:db8:1:2::"),
            ("::1", "\u{1}::"),
            (
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "\u{1}ffff:ffff:ffff:ffff::",
            ),
        ] {
            assert_eq!(name(address), wanted, "{address}");
        }
        assert_ne!(name("2001:db8:1:2::9"), name("2001:db8:1:3::9"));
    }

    #[test]
    fn no_client_can_name_itself_after_a_network() {
        assert!(!device::is_device(&name("192.0.2.1")));
        assert!(device::is_device("192.0.2.1"));
    }
}
