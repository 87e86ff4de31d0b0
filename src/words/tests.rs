//! Holds the words together: the files of all languages, and the places that use them.

use super::*;
use fluent_syntax::ast::{
    self, CallArguments, Entry, Expression, InlineExpression, Pattern, PatternElement,
};
use http::HeaderValue;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const TAGS: [&str; 5] = ["en", "de", "da", "es", "fr"];

/// Messages with the names of their variables.
type Messages = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path, end));
        } else if path.to_str().unwrap().ends_with(end) {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn in_pattern(pattern: &Pattern<String>, found: &mut BTreeSet<String>) {
    for element in &pattern.elements {
        if let PatternElement::Placeable { expression } = element {
            in_expression(expression, found);
        }
    }
}

fn in_expression(expression: &Expression<String>, found: &mut BTreeSet<String>) {
    match expression {
        Expression::Inline(inline) => in_inline(inline, found),
        Expression::Select { selector, variants } => {
            in_inline(selector, found);
            for variant in variants {
                in_pattern(&variant.value, found);
            }
        }
    }
}

fn in_inline(inline: &InlineExpression<String>, found: &mut BTreeSet<String>) {
    match inline {
        InlineExpression::VariableReference { id } => {
            found.insert(id.name.clone());
        }
        InlineExpression::Placeable { expression } => in_expression(expression, found),
        InlineExpression::FunctionReference { arguments, .. } => {
            let CallArguments { positional, .. } = arguments;
            positional
                .iter()
                .for_each(|inline| in_inline(inline, found));
        }
        InlineExpression::StringLiteral { .. } | InlineExpression::NumberLiteral { .. } => {}
        InlineExpression::MessageReference { .. } | InlineExpression::TermReference { .. } => {
            panic!("a message stands for itself: no references")
        }
    }
}

/// The messages of one file.
fn messages(path: &Path) -> Messages {
    let text = std::fs::read_to_string(path).unwrap();
    let parsed: ast::Resource<String> = fluent_syntax::parser::parse(text)
        .unwrap_or_else(|(_, errors)| panic!("{}: {errors:?}", path.display()));
    let mut all = Messages::new();
    for entry in parsed.body {
        match entry {
            Entry::Message(message) => {
                let mut variables = BTreeSet::new();
                assert!(message.attributes.is_empty(), "{}", message.id.name);
                in_pattern(&message.value.unwrap(), &mut variables);
                let name = message.id.name;
                let twice = all.insert(name.clone(), variables);
                assert!(twice.is_none(), "{}: {name} is there twice", path.display());
            }
            Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) => {}
            Entry::Term(_) | Entry::Junk { .. } => panic!("{}: {entry:?}", path.display()),
        }
    }
    all
}

/// All messages of a language, by file.
fn of_language(tag: &str) -> BTreeMap<String, Messages> {
    let dir = root().join("locales").join(tag);
    let named = |path: PathBuf| {
        let page = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (page, messages(&path))
    };
    files(&dir, ".ftl").into_iter().map(named).collect()
}

fn english() -> Messages {
    of_language("en").into_values().flatten().collect()
}

#[test]
fn every_language_has_the_same_messages() {
    let english = of_language("en");
    for tag in TAGS {
        let other = of_language(tag);
        assert_eq!(
            english.keys().collect::<Vec<_>>(),
            other.keys().collect::<Vec<_>>(),
            "the files of {tag}"
        );
        for (page, messages) in &other {
            for (name, variables) in messages {
                assert!(
                    name.starts_with(&format!("{page}-")),
                    "{tag}/{page}: {name}"
                );
                assert_eq!(english[page].get(name), Some(variables), "{tag}: {name}");
            }
            for name in english[page].keys() {
                assert!(messages.contains_key(name), "{tag} has no {name}");
            }
        }
    }
}

#[test]
fn every_file_is_embedded_whole() {
    for language in &*LANGUAGES {
        for name in of_language(language.tag).into_values().flatten() {
            assert!(
                language.bundle.has_message(&name.0),
                "{}: {}",
                language.tag,
                name.0
            );
        }
    }
}

/// The places that say something: templates, and the program without its tests.
fn users() -> Vec<(String, String)> {
    let templates = files(&root().join("templates"), ".html");
    let mut sources = files(&root().join("src/local"), ".rs");
    sources.extend(["src/factor/one_time.rs", "src/words.rs"].map(|path| root().join(path)));
    let shown = |path: &PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    let all = templates.iter().chain(&sources);
    let read = all.map(|path| (shown(path), std::fs::read_to_string(path).unwrap()));
    let read = read.filter(|(path, _)| !path.contains("tests"));
    read.map(|(path, text)| {
        let end = text.find("#[cfg(test)]").unwrap_or(text.len());
        let lines = text[..end].lines();
        let code: Vec<_> = lines
            .filter(|line| !line.trim().starts_with("//"))
            .collect();
        (path, code.join("\n"))
    })
    .collect()
}

/// The literal that begins here, and what follows it.
fn literal(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"')?.split_once('"')
}

/// What follows the bracket that this text is inside of.
fn behind_bracket(text: &str) -> &str {
    let mut depth = 1;
    let mut in_text = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => in_text = !in_text,
            '(' if !in_text => depth += 1,
            ')' if !in_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

/// Each `say("key")` with the names of the `.with("name", …)` behind it.
fn said(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut all = Vec::new();
    for (at, call) in text.match_indices("say(") {
        let Some((key, rest)) = literal(text[at + call.len()..].trim_start()) else {
            continue;
        };
        let mut rest = behind_bracket(rest).trim_start();
        let mut names = BTreeSet::new();
        while let Some(next) = rest.strip_prefix(".with(") {
            let (name, behind) = literal(next.trim_start()).unwrap();
            names.insert(name.to_owned());
            rest = behind_bracket(behind).trim_start();
        }
        all.push((key.to_owned(), names));
    }
    all
}

#[test]
fn what_is_said_is_there_with_its_variables() {
    let english = english();
    let mut seen = 0;
    for (path, text) in users() {
        for (key, names) in said(&text) {
            seen += 1;
            assert_eq!(english.get(&key), Some(&names), "{path}: {key}");
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn a_key_in_the_program_is_a_message_and_every_message_is_used() {
    let english = english();
    let pages: Vec<String> = of_language("en").into_keys().collect();
    let mut unused: BTreeSet<&String> = english.keys().collect();
    for (path, text) in users() {
        // Templates have names of classes that look like keys: there, only `say` counts.
        let is_program = path.ends_with(".rs");
        let quoted = |key: &str| match is_program {
            true => format!("\"{key}\""),
            false => format!("say(\"{key}\")"),
        };
        unused.retain(|key| !text.contains(&quoted(key)));
        if !is_program {
            continue;
        }
        for page in &pages {
            for (at, _) in text.match_indices(&format!("\"{page}-")) {
                let (word, _) = literal(&text[at..]).unwrap();
                let is_like_a_key = word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
                if is_like_a_key {
                    assert!(english.contains_key(word), "{path}: no message {word}");
                }
            }
        }
    }
    assert!(unused.is_empty(), "nothing says {unused:?}");
}

fn asked(value: &str) -> &'static str {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(value).unwrap());
    Words::of(&headers).tag()
}

#[test]
fn the_language_is_the_one_that_is_liked_best() {
    assert_eq!(Words::of(&HeaderMap::new()).tag(), "en");
    for (value, tag) in [
        ("de", "de"),
        ("DA-dk", "da"),
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "fr"),
        ("en;q=0.5, es;q=0.9", "es"),
        ("nl, de;q=0.5", "de"),
        ("de;q=0, da;q=0.1", "da"),
        ("sv", "en"),
        ("*", "en"),
        ("", "en"),
        ("de;q=x", "en"),
        (";;,,=", "en"),
        ("deutsch", "en"),
    ] {
        assert_eq!(asked(value), tag, "{value}");
    }
    let mut lines = HeaderMap::new();
    for line in ["sv, en;q=0.5", "da;q=0.8"] {
        lines.append(ACCEPT_LANGUAGE, HeaderValue::from_static(line));
    }
    assert_eq!(Words::of(&lines).tag(), "da", "lines make one list");
}

#[test]
fn sentences_are_filled() {
    let mut headers = HeaderMap::new();
    let said = |headers: &HeaderMap, secs| Words::of(headers).span(secs).to_string();
    assert_eq!(said(&headers, 0), "1 second");
    assert_eq!(said(&headers, 30), "30 seconds");
    assert_eq!(said(&headers, 121), "3 minutes");
    assert_eq!(said(&headers, 7201), "3 hours");
    headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("de"));
    assert_eq!(said(&headers, 1), "1 Sekunde");
    let missing = Words::of(&headers).say("nothing-of-the-kind").to_string();
    assert_eq!(missing, "nothing-of-the-kind");
}
