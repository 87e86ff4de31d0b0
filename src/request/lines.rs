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

    /// Every value, in order. `name` is this line's in `headers`.
    pub(crate) fn all(
        self,
        headers: &'h HeaderMap,
        name: HeaderName,
    ) -> impl Iterator<Item = &'h HeaderValue> {
        let (once, many) = match self {
            Self::Absent => (None, None),
            Self::Once(value) => (Some(value), None),
            Self::Many => (None, Some(headers.get_all(name))),
        };
        once.into_iter().chain(many.into_iter().flatten())
    }
}

/// The lines that framing, host, token and device are read from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines<'h> {
    pub(crate) content_length: Line<'h>,
    pub(crate) transfer_encoding: Line<'h>,
    pub(crate) host: Line<'h>,
    pub(crate) destination: Line<'h>,
    pub(crate) authorization: Line<'h>,
    pub(crate) cookie: Line<'h>,
    pub(crate) device: Line<'h>,
}

impl<'h> Lines<'h> {
    /// Walks over the head once.
    pub(crate) fn read(headers: &'h HeaderMap) -> Self {
        let mut lines = Self::default();
        for (name, value) in headers {
            let line = match name.as_str() {
                "content-length" => &mut lines.content_length,
                "transfer-encoding" => &mut lines.transfer_encoding,
                "host" => &mut lines.host,
                "destination" => &mut lines.destination,
                "authorization" => &mut lines.authorization,
                "cookie" => &mut lines.cookie,
                "x-device-id" => &mut lines.device,
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

    const NAMES: [&str; 9] = [
        "content-length",
        "transfer-encoding",
        "host",
        "destination",
        "authorization",
        "cookie",
        "x-device-id",
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
                ("authorization", lines.authorization),
                ("cookie", lines.cookie),
                ("x-device-id", lines.device),
            ] {
                let values: Vec<_> = headers.get_all(name).iter().collect();
                let wanted = match values.as_slice() {
                    [] => Line::Absent,
                    [one] => Line::Once(one),
                    _ => Line::Many,
                };
                prop_assert_eq!(line, wanted);
                let all: Vec<_> = line.all(&headers, HeaderName::from_static(name)).collect();
                prop_assert_eq!(all, values);
            }
        }
    }
}
