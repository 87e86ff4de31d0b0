//! YAML text → a tree whose every node knows its line and column.
//!
//! The one YAML parser of the program. It refuses what a config file has no use for and what makes
//! YAML surprising: anchors and aliases (and with them alias bombs), tags, duplicate keys, keys that
//! are not plain text, several documents. Scalars stay text: whoever reads a value says what it is,
//! so a country `NO` is never a boolean and a phone number keeps its `+`.

use super::error::Place;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Deeper nesting is refused; the deepest documented key is at 6.
const DEPTH_MAX: usize = 32;

/// A value. No `Debug`: it may hold secrets.
pub(super) struct Node {
    /// Where the value starts.
    pub(super) place: Place,
    pub(super) kind: Kind,
    /// Reported already: treated as absent from then on, so that the rest can be checked.
    pub(super) pruned: bool,
}

/// The three kinds of value.
pub(super) enum Kind {
    Scalar {
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One line of a mapping.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: Node,
}

/// What is wrong at a place, before its path is known.
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) text: String,
}

/// Reads one document. `None` with at least one fault if there is no tree at all.
pub(super) fn read(text: &str) -> (Option<Node>, Vec<Fault>) {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        faults: Vec::new(),
    };
    let tree = match builder.document() {
        Ok(tree) => tree,
        Err(fault) => {
            builder.faults.push(fault);
            None
        }
    };
    (tree, builder.faults)
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    faults: Vec<Fault>,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(Fault {
                place: place(*error.marker()),
                text: format!("this is not YAML: {}", error.info()),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Fault> {
        let mut tree = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(tree),
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if tree.is_some() => {
                    return Err(Fault {
                        place: place(span.start),
                        text: "a second document starts here: a config file is one".to_owned(),
                    });
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    tree = Some(self.node(event, span, 0)?);
                }
                _ => return Ok(tree),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Fault> {
        let place = place(span.start);
        if depth > DEPTH_MAX {
            return Err(Fault {
                place,
                text: format!("nested deeper than {DEPTH_MAX} levels"),
            });
        }
        let mut pruned = false;
        let kind = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(place, anchor, tag.is_some());
                scalar(text, style)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(place, anchor, tag.is_some());
                self.list(depth)?
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(place, anchor, tag.is_some());
                self.map(depth)?
            }
            Event::Alias(anchor) => {
                self.refuse_extras(place, anchor.max(1), false);
                pruned = true;
                scalar(Cow::Borrowed(""), ScalarStyle::Plain)
            }
            // Every other event stands outside of a node.
            _ => scalar(Cow::Borrowed(""), ScalarStyle::Plain),
        };
        Ok(Node {
            place,
            kind,
            pruned,
        })
    }

    fn refuse_extras(&mut self, place: Place, anchor: usize, tag: bool) {
        if anchor > 0 {
            self.faults.push(Fault {
                place,
                text: "anchors (`&name`) and aliases (`*name`) are not used here: \
                       write the value out; a text that starts with `&` or `*` needs quotes"
                    .to_owned(),
            });
        }
        if tag {
            self.faults.push(Fault {
                place,
                text:
                    "tags (`!name`) are not used here: remove it; a text that starts with `!` needs quotes"
                        .to_owned(),
            });
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                return Ok(Kind::List(items));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok(Kind::Map(entries));
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let mut value = self.node(event, span, depth + 1)?;
            let Kind::Scalar { text, .. } = key.kind else {
                self.faults.push(Fault {
                    place: key.place,
                    text: "a key must be a plain text; a value that starts with `{` needs quotes"
                        .to_owned(),
                });
                continue;
            };
            if !seen.insert(text.clone()) {
                let first = entries.iter().find(|entry| entry.key == text);
                self.faults.push(Fault {
                    place: key.place,
                    text: format!(
                        "the key {text:?} is there twice; first in line {}: keep one",
                        first.map_or(0, |entry| entry.key_place.line)
                    ),
                });
                value.pruned = true;
            }
            entries.push(Entry {
                key: text,
                key_place: key.place,
                value,
            });
        }
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Kind {
    Kind::Scalar {
        text: text.into_owned(),
        plain: style == ScalarStyle::Plain,
    }
}

fn place(marker: Marker) -> Place {
    Place {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

/// A path from the root to a value, as the code that reads the values goes it: `At::Root.key("routes").index(0)`.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Root,
    Key(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

impl<'a> At<'a> {
    pub(super) fn key(&'a self, key: &'a str) -> At<'a> {
        At::Key(self, key)
    }

    pub(super) fn index(&'a self, index: usize) -> At<'a> {
        At::Index(self, index)
    }
}

/// Where a path leads.
pub(super) struct Located {
    /// The path with the file's own indexes.
    pub(super) path: String,
    /// Of the value, or of the closest thing above it that is there.
    pub(super) place: Place,
    /// The value, or something above it, has been reported already.
    pub(super) pruned: bool,
}

impl Node {
    /// Where `at` leads. Indexes count what was not pruned, as the shapes that were read do.
    pub(super) fn locate(&self, at: At<'_>) -> Located {
        self.walk(at).0
    }

    fn walk(&self, at: At<'_>) -> (Located, Option<&Node>) {
        let (parent, node) = match at {
            At::Root => {
                let located = Located {
                    path: String::new(),
                    place: self.place,
                    pruned: self.pruned,
                };
                return (located, Some(self));
            }
            At::Key(parent, _) | At::Index(parent, _) => self.walk(*parent),
        };
        let mut located = parent;
        let child = match (at, node.map(|node| &node.kind)) {
            (At::Key(_, key), kind) => {
                push_key(&mut located.path, key);
                let entries = match kind {
                    Some(Kind::Map(entries)) => entries.as_slice(),
                    _ => &[],
                };
                let mut named = entries.iter().filter(|entry| entry.key == key);
                named.next().map(|entry| &entry.value)
            }
            (At::Index(_, index), kind) => {
                let items = match kind {
                    Some(Kind::List(items)) => items.as_slice(),
                    _ => &[],
                };
                let mut kept = items.iter().enumerate().filter(|(_, item)| !item.pruned);
                let (own, item) = kept
                    .nth(index)
                    .map_or((index, None), |(own, item)| (own, Some(item)));
                push_index(&mut located.path, own);
                item
            }
            (At::Root, _) => None,
        };
        if let Some(child) = child {
            located.place = child.place;
            located.pruned |= child.pruned;
        }
        (located, child)
    }

    /// Whether something directly in the value at `at` has been reported already.
    pub(super) fn is_incomplete(&self, at: At<'_>) -> bool {
        self.walk(at).1.is_some_and(Self::has_pruned_child)
    }

    /// Whether something directly in this value has been reported already.
    pub(super) fn has_pruned_child(&self) -> bool {
        match &self.kind {
            Kind::Scalar { .. } => false,
            Kind::List(items) => items.iter().any(|item| item.pruned),
            Kind::Map(entries) => entries.iter().any(|entry| entry.value.pruned),
        }
    }

    /// The child at `index` in the file, with its step of the path appended to `path`.
    pub(super) fn child(&mut self, index: usize, path: &mut String) -> Option<&mut Node> {
        match &mut self.kind {
            Kind::Scalar { .. } => None,
            Kind::List(items) => {
                push_index(path, index);
                items.get_mut(index)
            }
            Kind::Map(entries) => {
                let entry = entries.get_mut(index)?;
                push_key(path, &entry.key);
                Some(&mut entry.value)
            }
        }
    }
}

fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    let simple = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(simple) {
        path.push_str(key);
    } else {
        path.push_str(&format!("{key:?}"));
    }
}

fn push_index(path: &mut String, index: usize) {
    path.push_str(&format!("[{index}]"));
}
