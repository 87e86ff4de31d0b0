//! The words that people read, on pages and in messages: Fluent messages, in the language that a browser asks
//! for. Knows no page and no request, and says nothing to programs.
//!
//! `locales/<language>/<page>.ftl` are embedded; the messages of `<page>.ftl` begin with `<page>-`. A
//! test holds that every language has the same messages with the same variables, that every key
//! that is used is there, and that none is left over.

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use std::fmt;
use std::sync::LazyLock;

/// The files of one language, by its tag.
macro_rules! language {
    ($tag:literal: $($page:literal)+) => {
        Language::new($tag, &[$(include_str!(concat!("../locales/", $tag, "/", $page, ".ftl"))),+])
    };
}

/// The same pages in every language, the first of which is for those who ask for none of them.
macro_rules! languages {
    ($($page:literal)+) => {[
        language!("en": $($page)+),
        language!("de": $($page)+),
        language!("da": $($page)+),
        language!("es": $($page)+),
        language!("fr": $($page)+),
    ]};
}

/// One name for each page with words: its owner adds it here.
static LANGUAGES: LazyLock<[Language; 5]> = LazyLock::new(|| {
    languages!(
        "page"
        "message"
        "said"
        "notice"
        "failure"
        "challenge"
        "account"
        "enrol"
        "backup"
        "passkey"
        "share"
        "device"
        "sign-in"
        "sign-out"
    )
});

struct Language {
    tag: &'static str,
    bundle: FluentBundle<FluentResource>,
}

impl Language {
    /// What a file has that is no message is left out: a test holds that there is nothing of it.
    fn new(tag: &'static str, files: &[&str]) -> Self {
        let mut bundle = FluentBundle::new_concurrent(tag.parse().into_iter().collect());
        // Marks around what is filled in would stand in email addresses and codes.
        bundle.set_use_isolating(false);
        for file in files {
            let resource = FluentResource::try_new((*file).to_owned());
            let resource = resource.unwrap_or_else(|(rest, _)| rest);
            if let Err(errors) = bundle.add_resource(resource) {
                tracing::error!(tag, ?errors, "a message is there twice");
            }
        }
        Self { tag, bundle }
    }
}

/// The words of one language.
#[derive(Clone, Copy)]
pub struct Words(&'static Language);

impl Default for Words {
    /// English.
    fn default() -> Self {
        let [english, ..] = &*LANGUAGES;
        Self(english)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({})", self.0.tag)
    }
}

impl Words {
    /// In the language that a browser likes best (RFC 9110 section 12.5.4); English if it asks for
    /// none that is here.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(ACCEPT_LANGUAGE).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        let asked = lines.flat_map(|line| line.split(','));
        preferred(asked).map_or_else(Self::default, Self)
    }

    /// In the language of an `Accept-Language` of one line.
    #[must_use]
    pub fn preferred(asked: &str) -> Self {
        preferred(asked.split(',')).map_or_else(Self::default, Self)
    }

    /// The tag (BCP 47), for `lang`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        self.0.tag
    }

    /// The message of this key. What it has variables for is added by [`Sentence::with`].
    #[must_use]
    pub fn say(self, key: &'static str) -> Sentence {
        Sentence {
            words: self,
            key,
            args: FluentArgs::new(),
        }
    }

    /// A time as it was set: `30 days`. What is no whole number of days is told as [`Words::span`] does.
    #[must_use]
    pub fn period(self, secs: u64) -> Sentence {
        const DAY: u64 = 24 * 60 * 60;
        match secs {
            DAY.. if secs.is_multiple_of(DAY) => self.say("page-days").with("count", secs / DAY),
            _ => self.span(secs),
        }
    }

    /// How long something lasts: whole minutes are rounded down, since nobody is to be promised more.
    #[must_use]
    pub fn lasting(self, secs: u64) -> Sentence {
        match secs {
            60 | 120.. => self.say("page-minutes").with("count", secs / 60),
            _ => self.say("page-seconds").with("count", secs),
        }
    }

    /// A time to wait: whole minutes and hours are rounded up, since too early would be refused.
    #[must_use]
    pub fn span(self, secs: u64) -> Sentence {
        let (key, count) = match secs {
            ..120 => ("page-seconds", secs.max(1)),
            120..7200 => ("page-minutes", secs.div_ceil(60)),
            _ => ("page-hours", secs.div_ceil(3600)),
        };
        self.say(key).with("count", count)
    }
}

/// The language of the highest quality, of two the first.
fn preferred<'a>(asked: impl Iterator<Item = &'a str>) -> Option<&'static Language> {
    let mut best: Option<(f32, &Language)> = None;
    for range in asked {
        let (tag, quality) = range.split_once(';').unwrap_or((range, ""));
        let primary = tag.trim().split('-').next().unwrap_or_default();
        let known = LANGUAGES.iter();
        let Some(language) = { known }.find(|known| known.tag.eq_ignore_ascii_case(primary)) else {
            continue;
        };
        let quality = match quality.trim().strip_prefix("q=") {
            Some(number) => number.trim().parse().unwrap_or(0.0),
            None => 1.0,
        };
        if quality > 0.0 && best.is_none_or(|(before, _)| quality > before) {
            best = Some((quality, language));
        }
    }
    best.map(|(_, language)| language)
}

/// A message with what fills its variables; it is text once it is displayed.
pub struct Sentence {
    words: Words,
    key: &'static str,
    args: FluentArgs<'static>,
}

impl Sentence {
    /// Fills a variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Arg) -> Self {
        self.args.set(name, value.value());
        self
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bundle = &self.words.0.bundle;
        let message = bundle.get_message(self.key);
        let Some(pattern) = message.as_ref().and_then(|message| message.value()) else {
            tracing::error!(key = self.key, "there is no such message");
            return f.write_str(self.key);
        };
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, Some(&self.args), &mut errors);
        if !errors.is_empty() {
            tracing::error!(key = self.key, ?errors, "a message could not be filled");
        }
        f.write_str(&text)
    }
}

/// What fills a variable: a text as it is, a number so that a message can depend on it.
pub trait Arg {
    fn value(&self) -> FluentValue<'static>;
}

impl Arg for str {
    fn value(&self) -> FluentValue<'static> {
        FluentValue::from(self.to_owned())
    }
}

impl Arg for String {
    fn value(&self) -> FluentValue<'static> {
        FluentValue::from(self.clone())
    }
}

impl Arg for Sentence {
    fn value(&self) -> FluentValue<'static> {
        FluentValue::from(self.to_string())
    }
}

impl Arg for u64 {
    fn value(&self) -> FluentValue<'static> {
        FluentValue::from(*self)
    }
}

impl Arg for usize {
    fn value(&self) -> FluentValue<'static> {
        FluentValue::from(*self)
    }
}

impl<T: Arg + ?Sized> Arg for &T {
    fn value(&self) -> FluentValue<'static> {
        T::value(self)
    }
}

#[cfg(test)]
mod tests;
