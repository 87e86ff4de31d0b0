//! The small values of the config file that have a form of their own: times, secrets, credentials.

use crate::secret::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

const DAY_SECS: u64 = 24 * 3600;
/// Longer times are misprints, and would overflow a clock.
const DAYS_MAX: u64 = 3650;

/// A time as people write it: `30s`, `10m`, `12h`, `90d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period(pub(super) Duration);

impl Period {
    pub(super) const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    fn parse(text: &str) -> Option<Self> {
        let unit_secs = match text.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => DAY_SECS,
            _ => return None,
        };
        let digits = text.get(..text.len() - 1)?;
        if !digits.chars().all(|c| c.is_ascii_digit()) {
            return None;
        }
        let secs = digits.parse::<u64>().ok()?.checked_mul(unit_secs)?;
        (secs <= DAYS_MAX * DAY_SECS).then(|| Self::secs(secs))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let units = [(DAY_SECS, 'd'), (3600, 'h'), (60, 'm')];
        let unit = units
            .iter()
            .find(|(unit, _)| secs >= *unit && secs.is_multiple_of(*unit));
        let (unit, name) = unit.copied().unwrap_or((1, 's'));
        write!(f, "{}{name}", secs / unit)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is not a time: write a whole number and s, m, h or d, \
                 like 30s, 10m, 12h or 90d (at most {DAYS_MAX}d)"
            ))
        })
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time: a whole number and `s`, `m`, `h` or `d`.",
            "type": "string",
            "pattern": "^[0-9]+[smhd]$",
            "examples": ["30s", "10m", "12h", "90d"],
        })
    }
}

/// For how long a browser is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Remember {
    #[default]
    Never,
    For(Period),
    Forever,
}

impl<'de> Deserialize<'de> for Remember {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "never" => Ok(Self::Never),
            "forever" => Ok(Self::Forever),
            _ => Period::parse(&text).map(Self::For).ok_or_else(|| {
                D::Error::custom(format!(
                    "{text:?} is neither `never`, `forever` nor a time like 12h or 30d \
                     (at most {DAYS_MAX}d)"
                ))
            }),
        }
    }
}

impl Serialize for Remember {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => serializer.serialize_str("never"),
            Self::For(period) => period.serialize(serializer),
            Self::Forever => serializer.serialize_str("forever"),
        }
    }
}

impl JsonSchema for Remember {
    fn schema_name() -> Cow<'static, str> {
        "Remember".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`never`, `forever`, or a time: a whole number and `s`, `m`, `h` or `d`.",
            "type": "string",
            "pattern": "^(never|forever|[0-9]+[smhd])$",
            "examples": ["never", "30d", "forever"],
        })
    }
}

/// Where a secret is. `Debug` masks one that is written out.
#[derive(Clone, Debug)]
pub(super) enum SecretSource {
    /// In the config file itself.
    Plain(Secret),
    File(String),
    Env(String),
}

impl SecretSource {
    /// Whether the value stands in the config file itself.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretReference {
    file: Option<String>,
    env: Option<String>,
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = SecretSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{file: PATH}, {env: NAME} or a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SecretSource, E> {
                Ok(SecretSource::Plain(Secret::new(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretSource, A::Error> {
                let read = SecretReference::deserialize(MapAccessDeserializer::new(map))?;
                match (read.file, read.env) {
                    (Some(file), None) => Ok(SecretSource::File(file)),
                    (None, Some(env)) => Ok(SecretSource::Env(env)),
                    _ => Err(A::Error::custom("write either {file: PATH} or {env: NAME}")),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for SecretSource {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A value that may be secret: in a file, in an environment variable, or (unwise for a secret) written out here.",
            "oneOf": [
                {
                    "description": "The content of a file, without the line break at its end.",
                    "type": "object",
                    "properties": {"file": {"type": "string"}},
                    "required": ["file"],
                    "additionalProperties": false,
                },
                {
                    "description": "The value of an environment variable.",
                    "type": "object",
                    "properties": {"env": {"type": "string"}},
                    "required": ["env"],
                    "additionalProperties": false,
                },
                {"description": "The value itself.", "type": "string"},
            ],
            "examples": [{"file": "${CREDENTIALS_DIRECTORY}/store.key"}, {"env": "TWILIO_AUTH_TOKEN"}],
        })
    }
}

/// A place where a request may carry its token.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    Bearer,
    Basic,
    Cookie(String),
    Query(String),
    Path(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialPlace {
    cookie: Option<String>,
    query: Option<String>,
    path: Option<String>,
}

const CREDENTIAL_FORMS: &str =
    "bearer, basic, {cookie: NAME}, {query: NAME} or {path: \"/share/{token}\"}";

impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Credential;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(CREDENTIAL_FORMS)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Credential, E> {
                match text {
                    "bearer" => Ok(Credential::Bearer),
                    "basic" => Ok(Credential::Basic),
                    _ => Err(E::custom(format!("{text:?}: write {CREDENTIAL_FORMS}"))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Credential, A::Error> {
                let read = CredentialPlace::deserialize(MapAccessDeserializer::new(map))?;
                match (read.cookie, read.query, read.path) {
                    (Some(name), None, None) => Ok(Credential::Cookie(name)),
                    (None, Some(name), None) => Ok(Credential::Query(name)),
                    (None, None, Some(path)) => Ok(Credential::Path(path)),
                    _ => Err(A::Error::custom(format!(
                        "one place for each item: write {CREDENTIAL_FORMS}"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl Serialize for Credential {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (key, value) = match self {
            Self::Bearer => return serializer.serialize_str("bearer"),
            Self::Basic => return serializer.serialize_str("basic"),
            Self::Cookie(name) => ("cookie", name),
            Self::Query(name) => ("query", name),
            Self::Path(path) => ("path", path),
        };
        serializer.collect_map([(key, value)])
    }
}

impl JsonSchema for Credential {
    fn schema_name() -> Cow<'static, str> {
        "Credential".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let place = |key: &str, description: &str, example: &str| {
            let mut value = json_schema!({"type": "string"});
            value.insert("description".into(), description.into());
            value.insert("examples".into(), vec![example].into());
            let mut place = json_schema!({
                "type": "object",
                "additionalProperties": false,
            });
            place.insert("required".into(), vec![key].into());
            let mut properties = serde_json::Map::new();
            properties.insert(key.to_owned(), value.to_value());
            place.insert("properties".into(), properties.into());
            place.to_value()
        };
        json_schema!({
            "description": "A place where a request may carry its token.",
            "oneOf": [
                {"description": "`Authorization: Bearer` (RFC 6750).", "const": "bearer"},
                {
                    "description": "`Authorization: Basic` (RFC 7617): the name and password of an \
                                    account here, or of one that the identity's `probe` takes.",
                    "const": "basic",
                },
                place("cookie", "A cookie of this name.", "IOGATES"),
                place("query", "A query parameter of this name.", "token"),
                place("path", "The path segment that stands for `{token}`.", "/share/{token}"),
            ],
        })
    }
}

/// TLS towards a backend.
#[derive(Clone, Debug)]
pub(super) enum UpstreamTls {
    Off,
    /// The name is that of the servers.
    On,
    Name(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerName {
    server_name: Option<String>,
}

impl<'de> Deserialize<'de> for UpstreamTls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = UpstreamTls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or {server_name: NAME}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<UpstreamTls, E> {
                match text {
                    "true" => Ok(UpstreamTls::On),
                    "false" => Ok(UpstreamTls::Off),
                    _ => Err(E::custom(format!(
                        "{text:?}: write true, false or {{server_name: NAME}}"
                    ))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UpstreamTls, A::Error> {
                let read = ServerName::deserialize(MapAccessDeserializer::new(map))?;
                read.server_name
                    .map(UpstreamTls::Name)
                    .ok_or_else(|| A::Error::custom("write true, false or {server_name: NAME}"))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for UpstreamTls {
    fn schema_name() -> Cow<'static, str> {
        "UpstreamTls".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "TLS towards the servers; their certificate is always verified.",
            "oneOf": [
                {"description": "Whether to use TLS; the name asked for is the servers' own.", "type": "boolean"},
                {
                    "description": "Use TLS, and ask for this name.",
                    "type": "object",
                    "properties": {"server_name": {"type": "string"}},
                    "required": ["server_name"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_and_written() {
        for (text, secs) in [
            ("0s", 0),
            ("30s", 30),
            ("10m", 600),
            ("12h", 43_200),
            ("90d", 7_776_000),
        ] {
            let period = Period::parse(text);
            assert_eq!(period, Some(Period::secs(secs)), "{text}");
            assert_eq!(
                period.map(|period| period.to_string()),
                Some(text.to_owned())
            );
        }
        assert_eq!(Period::secs(90).to_string(), "90s");
    }

    #[test]
    fn other_texts_are_no_periods() {
        for text in [
            "",
            "s",
            "10",
            "1.5h",
            "-1s",
            "+1s",
            "1h30m",
            "10 m",
            "10ms",
            "٣s",
            "3651d",
            "99999999999999999999s",
            "300000000000000000d",
        ] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }
}
