//! Reads serde shapes out of a [`tree`](super::tree), reporting every value that does not fit.
//!
//! serde stops at the first error. So the value that caused it is reported, marked as pruned (absent
//! from then on) and the shapes are read again, until they fit: this needs shapes in which nothing is
//! required, which [`raw`](super::raw)'s are. Values are never quoted in type errors: one might be a
//! secret in the wrong place.

use super::error::Place;
use super::tree::{Entry, Kind, Node};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use std::fmt;

/// So many values are reported before giving up.
const MISFITS_MAX: usize = 50;

/// A value that does not fit its shape.
pub(super) struct Misfit {
    pub(super) path: String,
    pub(super) place: Place,
    pub(super) text: String,
}

/// Reads `T` out of `tree`, pruning what does not fit. `None` if nothing could be read.
pub(super) fn read<T: DeserializeOwned>(tree: &mut Node) -> (Option<T>, Vec<Misfit>) {
    let mut misfits = Vec::new();
    loop {
        let error = match T::deserialize(Reader { node: tree }) {
            Ok(value) => return (Some(value), misfits),
            Err(error) => error,
        };
        misfits.extend(prune(tree, &error));
        if error.steps.is_empty() {
            return (None, misfits);
        }
        if misfits.len() >= MISFITS_MAX {
            misfits.push(Misfit {
                path: String::new(),
                place: tree.place,
                text: format!("more than {MISFITS_MAX} errors: mend these first"),
            });
            return (None, misfits);
        }
    }
}

/// Prunes the cause of an error; `None` if something in it has been reported already.
fn prune(tree: &mut Node, error: &Error) -> Option<Misfit> {
    let mut path = String::new();
    let is_key = matches!(error.cause, Cause::UnknownKey { .. });
    let place = mark(tree, &error.steps, is_key, &mut path)?;
    Some(Misfit {
        path,
        place,
        text: error.to_string(),
    })
}

/// Marks the node at the end of `steps` (the last is the outermost) and says where it is.
fn mark(node: &mut Node, steps: &[usize], is_key: bool, path: &mut String) -> Option<Place> {
    if let Some((index, inner)) = steps.split_last() {
        let key_place = match &node.kind {
            Kind::Map(entries) => entries.get(*index).map(|entry| entry.key_place),
            _ => None,
        };
        if let Some(child) = node.child(*index, path) {
            let place = mark(child, inner, is_key, path);
            return match key_place {
                Some(key_place) if is_key && inner.is_empty() => place.map(|_| key_place),
                _ => place,
            };
        }
    }
    node.pruned = true;
    // `{fil: a}` is one mistake, not a second one for having neither `file` nor `env`.
    (!node.has_pruned_child()).then_some(node.place)
}

/// Why a value does not fit, and the way to it.
#[derive(Debug)]
pub(super) struct Error {
    cause: Cause,
    /// Children's indexes, the innermost first.
    steps: Vec<usize>,
}

#[derive(Debug)]
enum Cause {
    Empty,
    Mismatch {
        found: &'static str,
        expected: String,
    },
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    UnknownWord {
        word: String,
        known: &'static [&'static str],
    },
    Custom(String),
}

impl Error {
    fn new(cause: Cause) -> Self {
        Self {
            cause,
            steps: Vec::new(),
        }
    }

    fn below(mut self, index: usize) -> Self {
        self.steps.push(index);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Empty => f.write_str("is empty: write a value, or remove the key"),
            Cause::Mismatch { found, expected } => {
                write!(f, "expected {expected}, found {found}")
            }
            Cause::UnknownKey { key, known } => {
                write!(f, "unknown key: {}", meant(key, known))
            }
            Cause::UnknownWord { word, known } => {
                write!(
                    f,
                    "{word:?} is not one of the known words: {}",
                    meant(word, known)
                )
            }
            Cause::Custom(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(Cause::Custom(text.to_string()))
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Seq => "a list",
            de::Unexpected::Map => "a mapping",
            _ => "a single value",
        };
        Self::mismatch(found, expected)
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::mismatch("a value out of range", expected)
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(Cause::UnknownKey {
            key: field.to_owned(),
            known,
        })
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::new(Cause::UnknownWord {
            word: variant.to_owned(),
            known,
        })
    }
}

impl Error {
    fn mismatch(found: &'static str, expected: &dyn de::Expected) -> Self {
        Self::new(Cause::Mismatch {
            found,
            expected: expected.to_string(),
        })
    }
}

/// `did you mean …?`, or the list of what there is.
fn meant(word: &str, known: &[&str]) -> String {
    let closest = known
        .iter()
        .map(|known| (distance(word, known), known))
        .min();
    match closest {
        Some((distance, known)) if distance <= 1 + known.len() / 4 => {
            format!("did you mean `{known}`?")
        }
        _ => format!("there is {}", known.join(", ")),
    }
}

/// Levenshtein's distance, without regard to case and to `-` for `_`.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let (a, b) = (fold(a), fold(b));
    // A key of a megabyte is nobody's slip of the pen.
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (at, x) in a.chars().enumerate() {
        let mut left = at + 1;
        let mut next = vec![left];
        for (y, (up, diagonal)) in b.chars().zip(row.iter().skip(1).zip(&row)) {
            left = (left + 1).min(up + 1).min(diagonal + usize::from(x != y));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// A deserializer over a node.
struct Reader<'t> {
    node: &'t Node,
}

impl<'t> Reader<'t> {
    fn found(&self) -> &'static str {
        match &self.node.kind {
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The text of a scalar that is not empty.
    fn text<'v, V: Visitor<'v>>(&self, visitor: &V) -> Result<(&'t str, bool), Error> {
        match &self.node.kind {
            Kind::Scalar { text, plain } => {
                if *plain && matches!(text.as_str(), "" | "~" | "null") {
                    return Err(Error::new(Cause::Empty));
                }
                Ok((text, *plain))
            }
            _ => Err(Error::mismatch(self.found(), visitor)),
        }
    }

    fn number<'v, V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        let (text, plain) = self.text(&visitor)?;
        match text.parse() {
            Ok(number) if plain => visitor.visit_u64(number),
            _ => Err(Error::mismatch(
                if plain { "another word" } else { "a text" },
                &"a whole number, without quotes",
            )),
        }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.number(visitor)
        }
    )*};
}

macro_rules! texts {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let (text, _) = self.text(&visitor)?;
            visitor.visit_str(text)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = Error;

    numbers! { deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 }

    texts! { deserialize_str deserialize_string deserialize_char deserialize_identifier
    deserialize_bytes deserialize_byte_buf deserialize_f32 deserialize_f64 }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Scalar { .. } => self.deserialize_str(visitor),
            Kind::List(_) => self.deserialize_seq(visitor),
            Kind::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text(&visitor)? {
            ("true", true) => visitor.visit_bool(true),
            ("false", true) => visitor.visit_bool(false),
            _ => Err(Error::mismatch("another word", &"`true` or `false`")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // An empty value is an error, not an absence: an empty `paths:` must not open every path.
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::List(items) => visitor.visit_seq(Items { items, next: 0 }),
            Kind::Map(_) => Err(Error::mismatch("a mapping", &"a list, like [a, b]")),
            Kind::Scalar { .. } => {
                self.text(&visitor)?;
                Err(Error::mismatch("a single value", &"a list, like [a, b]"))
            }
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Map(entries) => visitor.visit_map(Entries {
                entries,
                next: 0,
                value: None,
            }),
            Kind::List(_) => Err(Error::mismatch("a list", &"a mapping, like {key: value}")),
            Kind::Scalar { .. } => {
                self.text(&visitor)?;
                Err(Error::mismatch(
                    "a single value",
                    &"a mapping, like {key: value}",
                ))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Scalar { .. } => {
                let (text, _) = self.text(&visitor)?;
                visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(text))
            }
            _ => Err(Error::mismatch(
                self.found(),
                &format!("one of {}", words.join(", ")).as_str(),
            )),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        Err(Error::mismatch(self.found(), &visitor))
    }

    serde::forward_to_deserialize_any! { unit_struct tuple tuple_struct }
}

struct Items<'t> {
    items: &'t [Node],
    next: usize,
}

impl<'t> de::SeqAccess<'t> for Items<'t> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        loop {
            let index = self.next;
            let Some(node) = self.items.get(index) else {
                return Ok(None);
            };
            self.next += 1;
            if !node.pruned {
                let value = seed.deserialize(Reader { node });
                return value.map(Some).map_err(|error| error.below(index));
            }
        }
    }
}

struct Entries<'t> {
    entries: &'t [Entry],
    next: usize,
    value: Option<(usize, &'t Node)>,
}

impl<'t> de::MapAccess<'t> for Entries<'t> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        loop {
            let index = self.next;
            let Some(entry) = self.entries.get(index) else {
                return Ok(None);
            };
            self.next += 1;
            if !entry.value.pruned {
                self.value = Some((index, &entry.value));
                let key: StrDeserializer<'_, Error> = entry.key.as_str().into_deserializer();
                let key = seed.deserialize(key);
                return key.map(Some).map_err(|error| error.below(index));
            }
        }
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some((index, node)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(Reader { node })
            .map_err(|error| error.below(index))
    }
}
