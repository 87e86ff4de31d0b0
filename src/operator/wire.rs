//! How requests are read and answers written: bounded, strict (no field goes unnoticed), and every
//! refusal a problem.

use super::Operator;
use super::problem::{OperatorError, Place};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_path_to_error::{Path, Segment};
use std::error::Error;

/// Bytes of a body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Items of a list where the request does not say how many.
const LIMIT: u32 = 100;
/// Items of a list at most.
pub const LIMIT_MAX: u32 = 1_000;

/// What an endpoint answers.
pub(super) type Answer<T> = Result<Json<T>, OperatorError>;
/// What an endpoint answers that has made something.
pub(super) type Made<T> = Result<(StatusCode, Json<T>), OperatorError>;

/// Who asks: the user id of the process at the other end, which is root's or the gateway's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
}

impl FromRequestParts<Operator> for Caller {
    type Rejection = OperatorError;

    async fn from_request_parts(parts: &mut Parts, _: &Operator) -> Result<Self, OperatorError> {
        let caller = parts.extensions.get().copied();
        caller.ok_or(OperatorError::NotOperator)
    }
}

/// A part of the request that axum reads, whose refusal is a problem.
pub(super) struct Checked<E>(pub(super) E);

impl<E> FromRequestParts<Operator> for Checked<E>
where
    E: FromRequestParts<Operator, Rejection: Into<OperatorError>>,
{
    type Rejection = OperatorError;

    async fn from_request_parts(parts: &mut Parts, with: &Operator) -> Result<Self, OperatorError> {
        let read = E::from_request_parts(parts, with).await;
        read.map(Self).map_err(Into::into)
    }
}

impl From<PathRejection> for OperatorError {
    fn from(error: PathRejection) -> Self {
        Self::Unreadable {
            part: "path",
            cause: error.body_text(),
        }
    }
}

impl From<QueryRejection> for OperatorError {
    fn from(error: QueryRejection) -> Self {
        type Found = serde_path_to_error::Error<serde::de::value::Error>;
        let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
        match causes.find_map(|cause| cause.downcast_ref::<Found>()) {
            Some(found) => does_not_fit("query", found.path(), found.inner().to_string()),
            None => Self::Unreadable {
                part: "query",
                cause: error.body_text(),
            },
        }
    }
}

/// What serde found wrong with a part of the request, and where: `body/recipients/0/phone`. Fields that are missing or
/// named twice it has in words alone.
fn does_not_fit(part: &str, path: &Path, cause: String) -> OperatorError {
    let words = ["missing field `", "duplicate field `"];
    let field = words
        .iter()
        .find_map(|words| cause.strip_prefix(words)?.split('`').next());
    let segments = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    let place = std::iter::once(part.to_owned())
        .chain(segments)
        .chain(field.map(str::to_owned));
    let place: Vec<_> = place.collect();
    OperatorError::DoesNotFit {
        place: place.join("/").into(),
        cause,
    }
}

/// The JSON body, whatever its `Content-Type` says. None at all is read as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Operator> for Body<T> {
    type Rejection = OperatorError;

    async fn from_request(request: Request, with: &Operator) -> Result<Self, OperatorError> {
        let bytes = Bytes::from_request(request, with).await;
        let bytes = bytes.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => OperatorError::TooLarge,
            _ => unreadable(error.body_text()),
        })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // A list would be read as the members in their order.
        if text.trim_ascii_start().starts_with(b"[") {
            return Err(OperatorError::DoesNotFit {
                place: Place::from("body"),
                cause: "it is a list, not an object".to_owned(),
            });
        }
        let mut json = serde_json::Deserializer::from_slice(text);
        let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            match error.inner().classify() {
                serde_json::error::Category::Data => {
                    does_not_fit("body", error.path(), error.inner().to_string())
                }
                _ => unreadable(error.inner().to_string()),
            }
        })?;
        json.end().map_err(|error| unreadable(error.to_string()))?;
        Ok(Self(read))
    }
}

fn unreadable(cause: String) -> OperatorError {
    OperatorError::Unreadable {
        part: "body",
        cause,
    }
}

/// Which part of a list that begins with the smallest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Part<N> {
    /// How many at most: 1 to 1000, else 100.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only those behind this one: `next` of the part before.
    pub(super) after: Option<N>,
}

impl<N> Part<N> {
    pub(super) fn limit(&self) -> Result<u32, OperatorError> {
        limit(self.limit)
    }
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// What the next part is asked for with, as `after`, or as `before` where the newest come first; `null`: there
    /// is none.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The first `limit` of the items, which are one more where there is a next part.
    pub(super) fn of<N: ToString>(mut items: Vec<T>, limit: u32, number: impl Fn(&T) -> N) -> Self {
        let is_more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let last = items.last().filter(|_| is_more);
        let next = last.map(|last| number(last).to_string());
        Self { items, next }
    }

    /// All that there are.
    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// The same with other items.
    pub(super) fn map<U>(self, to: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(to).collect(),
            next: self.next,
        }
    }
}

/// One of a list's things is there no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gone<I> {
    /// What it was called by.
    pub id: I,
}

/// How many items a list may have.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, OperatorError> {
    match asked {
        None => Ok(LIMIT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(OperatorError::BadLimit { max: LIMIT_MAX }),
    }
}

/// A number that stands in a path.
pub(super) fn number(text: &str) -> Result<i64, OperatorError> {
    let wrong = |_| OperatorError::NotANumber(text.to_owned());
    text.parse().map_err(wrong)
}

/// An optional secret in the clear: on its way to the operator, or from there.
pub mod exposed {
    use crate::secret::Secret;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    /// Writes it in the clear.
    pub fn serialize<S: Serializer>(secret: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(to)
    }

    /// Takes it into custody.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Secret::new))
    }
}

/// A list or a flag that may be named with nothing in it: `None` was not named, `null` is an empty one (or no).
pub mod given_value {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes it as it is.
    pub fn serialize<T: Serialize, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(to)
    }

    /// Takes `null` for an empty one.
    pub fn deserialize<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        let value = Option::<T>::deserialize(from)?;
        Ok(Some(value.unwrap_or_default()))
    }
}

/// A secret in the clear that may be named with nothing in it: `None` was not named, `Some(None)` is
/// `null`.
pub mod given {
    use crate::secret::Secret;
    use serde::{Deserializer, Serializer};

    /// Writes it in the clear.
    pub fn serialize<S: Serializer>(
        secret: &Option<Option<Secret>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        super::exposed::serialize(secret.as_ref().unwrap_or(&None), to)
    }

    /// Takes it into custody.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Option<Secret>>, D::Error> {
        super::exposed::deserialize(from).map(Some)
    }
}
