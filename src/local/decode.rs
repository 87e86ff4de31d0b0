//! Reads the fields of a call: JSON if the body looks like it, whatever `Content-Type` says (the
//! documented `curl -d '{…}'` sends a form type), form fields otherwise; and the query's.
//!
//! A field that is there twice with two values is refused instead of picking one: what another
//! reader of the same bytes would pick cannot be known.

use super::Call;
use super::trouble::Trouble;
use crate::identity::members::Members;
use serde_json::Value;
use std::borrow::Cow;

/// The body cannot be read: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadBody {
    #[error("the body is not a JSON object: check its commas, quotes and brackets")]
    NotJson,
    #[error("the body is not UTF-8 text")]
    NotText,
}

/// One field cannot be read; each dialect has its own status for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadField {
    #[error("`{0}` is there twice with two different values: send one")]
    Twice(&'static str),
    #[error("`{0}` must be a text")]
    NotText(&'static str),
}

impl BadField {
    /// Which field it is.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Twice(name) | Self::NotText(name) => name,
        }
    }
}

/// Fields in the order in which they came.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(from = "Members")]
pub(super) struct Fields(Vec<(String, Value)>);

impl From<Members> for Fields {
    fn from(members: Members) -> Self {
        Self(members.0)
    }
}

impl Fields {
    /// The fields of the body; none if it is empty.
    pub(super) fn body(call: &Call) -> Result<Self, BadBody> {
        let text = std::str::from_utf8(&call.body).map_err(|_| BadBody::NotText)?;
        let text = text.trim_ascii_start();
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.starts_with(['{', '[']) || says_json(call) {
            return serde_json::from_str(text).map_err(|_| BadBody::NotJson);
        }
        Ok(Self::form(text.trim_ascii_end()))
    }

    /// The fields of the query.
    pub(super) fn query(call: &Call) -> Self {
        Self::form(call.query.as_deref().unwrap_or_default())
    }

    fn form(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
                .collect(),
        )
    }

    /// The fields of both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether there is such a field, even if it is empty or null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// A field as text; `None` if it is not there or null. A number counts as the text it is
    /// written as.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, BadField> {
        self.digits(name, 0)
    }

    /// A field as text; `None` also if it is empty.
    pub(super) fn filled(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, BadField> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// A field as text that must be there, and not empty.
    pub(super) fn required(&self, name: &'static str) -> Result<Cow<'_, str>, Trouble> {
        self.required_digits(name, 0)
    }

    /// Like [`Fields::required`], for [`Fields::digits`].
    pub(super) fn required_digits(
        &self,
        name: &'static str,
        width: usize,
    ) -> Result<Cow<'_, str>, Trouble> {
        let text = self.digits(name, width)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Trouble::missing(name))
    }

    /// Like [`Fields::text`], but a number gets back the leading zeros that JSON cannot write.
    pub(super) fn digits(
        &self,
        name: &'static str,
        width: usize,
    ) -> Result<Option<Cow<'_, str>>, BadField> {
        let mut found: Option<Cow<'_, str>> = None;
        for (_, value) in self.0.iter().filter(|(field, _)| field == name) {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => Cow::Borrowed(text.as_str()),
                // A fraction is no row of digits, whatever it is meant for.
                Value::Number(number) if !number.is_f64() => {
                    Cow::Owned(format!("{:0>width$}", number.to_string()))
                }
                _ => return Err(BadField::NotText(name)),
            };
            if found.as_ref().is_some_and(|earlier| *earlier != text) {
                return Err(BadField::Twice(name));
            }
            found = Some(text);
        }
        Ok(found)
    }

    /// Whether a switch is on: `true` or `1`.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.0
            .iter()
            .filter(|(field, _)| field == name)
            .any(|(_, value)| match value {
                Value::Bool(on) => *on,
                Value::String(text) => text == "true" || text == "1",
                Value::Number(number) => number.as_u64() == Some(1),
                _ => false,
            })
    }
}

fn says_json(call: &Call) -> bool {
    let kind = call.headers.get(http::header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
