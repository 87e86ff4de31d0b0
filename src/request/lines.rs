//! The header lines that a decision needs, gathered in one walk over the head: each lookup in a
//! `HeaderMap` hashes its name, and most of the lines looked for are not there.

use http::{HeaderMap, HeaderName, HeaderValue};

/// How often a header stands in the head, and its value where it stands once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Line<'h> {
    #[default]
    Absent,
    Once(&'h HeaderValue),
    Many,
}

impl<'h> Line<'h> {
    fn add(&mut self, value: &'h HeaderValue) {
        *self = match self {
            Self::Absent => Self::Once(value),
            Self::Once(_) | Self::Many => Self::Many,
        };
    }

    /// Calls `look` with every value, in order, until it fails. `name` is this line's in `headers`.
    pub(crate) fn each<E>(
        self,
        headers: &'h HeaderMap,
        name: &HeaderName,
        mut look: impl FnMut(&'h HeaderValue) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Absent => Ok(()),
            Self::Once(value) => look(value),
            Self::Many => headers.get_all(name).iter().try_for_each(look),
        }
    }
}

/// The lines that framing, host and destination are read from, and the signs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines<'h> {
    pub(super) content_length: Line<'h>,
    pub(super) transfer_encoding: Line<'h>,
    pub(super) host: Line<'h>,
    pub(super) destination: Line<'h>,
    pub(super) signs: Signs<'h>,
}

/// The lines by which a sender is known, and what it is for: what a parsed head keeps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signs<'h> {
    pub(crate) authorization: Line<'h>,
    pub(crate) cookie: Line<'h>,
    pub(crate) device: Line<'h>,
    pub(crate) success: Line<'h>,
    /// A browser asks for the script of a service worker (Service Workers, section 7.2).
    pub(crate) service_worker: Line<'h>,
}

impl<'h> Signs<'h> {
    /// The signs alone, of a head that was read before.
    pub(crate) fn read(headers: &'h HeaderMap) -> Self {
        Lines::read(headers).signs
    }
}

impl<'h> Lines<'h> {
    /// Walks over the head once.
    pub(super) fn read(headers: &'h HeaderMap) -> Self {
        let mut lines = Self::default();
        for (name, value) in headers {
            let line = match name.as_str() {
                "content-length" => &mut lines.content_length,
                "transfer-encoding" => &mut lines.transfer_encoding,
                "host" => &mut lines.host,
                "destination" => &mut lines.destination,
                "authorization" => &mut lines.signs.authorization,
                "cookie" => &mut lines.signs.cookie,
                "x-device-id" => &mut lines.signs.device,
                "x-2fa-success-token" => &mut lines.signs.success,
                "service-worker" => &mut lines.signs.service_worker,
                _ => continue,
            };
            line.add(value);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 11] = [
        "content-length",
        "transfer-encoding",
        "host",
        "destination",
        "authorization",
        "cookie",
        "x-device-id",
        "x-2fa-success-token",
        "service-worker",
        "accept",
        "x-device",
    ];

    proptest! {
        #[test]
        fn the_walk_finds_what_lookups_find(
            given in proptest::collection::vec((0..NAMES.len(), "[a-c]{0,2}", any::<bool>()), 0..12)
        ) {
            let mut headers = HeaderMap::new();
            for (name, value, upper) in &given {
                let name = match upper {
                    true => NAMES[*name].to_uppercase(),
                    false => NAMES[*name].to_owned(),
                };
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            let lines = Lines::read(&headers);
            for (name, line) in [
                ("content-length", lines.content_length),
                ("transfer-encoding", lines.transfer_encoding),
                ("host", lines.host),
                ("destination", lines.destination),
                ("authorization", lines.signs.authorization),
                ("cookie", lines.signs.cookie),
                ("x-device-id", lines.signs.device),
                ("x-2fa-success-token", lines.signs.success),
                ("service-worker", lines.signs.service_worker),
            ] {
                let values: Vec<_> = headers.get_all(name).iter().collect();
                let wanted = match values.as_slice() {
                    [] => Line::Absent,
                    [one] => Line::Once(one),
                    _ => Line::Many,
                };
                prop_assert_eq!(line, wanted);
                let mut all = Vec::new();
                let looked = line.each(&headers, &HeaderName::from_static(name), |value| {
                    all.push(value);
                    Ok::<(), ()>(())
                });
                prop_assert_eq!(looked, Ok(()));
                prop_assert_eq!(all, values);
            }
        }
    }
}
