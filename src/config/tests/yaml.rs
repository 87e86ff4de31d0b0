//! YAML that is refused, and texts that must not make anything panic.

use super::*;

#[test]
fn yaml_is_refused_where_it_surprises() {
    let cases = [
        ("a: [1\n", "c.yaml:2:1: this is not YAML:"),
        ("a:\n\tb: 1\n", "this is not YAML:"),
        ("", "c.yaml: is empty"),
        ("# only a comment\n", "c.yaml: is empty"),
        ("- a\n", "c.yaml:1:1: expected a mapping"),
        ("text\n", "c.yaml:1:1: expected a mapping"),
    ];
    for (text, start) in cases {
        let found = bad(text);
        assert!(
            found.len() == 1 && found[0].contains(start),
            "{text:?}: {found:?}"
        );
    }
    let extra = |line: &str| format!("{SMALL}{line}\n");
    let cases = [
        (extra("sudo: &a 10m"), "c.yaml:18:10: anchors (`&name`)"),
        (extra("sudo: !!str 10m"), "c.yaml:18:13: tags (`!name`)"),
        (
            extra("store: {}"),
            "c.yaml:18:1: the key \"store\" is there twice; first in line 3",
        ),
        (
            extra("---\nsudo: 10m"),
            "c.yaml:18:1: a second document starts here",
        ),
        (extra("? {a: b}\n: c"), "a key must be a plain text"),
        (extra("<<: {sudo: 10m}"), "c.yaml:18:1: \"<<\": unknown key"),
    ];
    for (text, start) in cases {
        let found = bad(&text);
        assert!(
            found.len() == 1 && found[0].contains(start),
            "{text:?}: {found:?}"
        );
    }
    let found = bad(&extra("sudo: &a 10m\nthreads: *a"));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn bombs_are_refused_soon() {
    let mut bomb = "a0: &a0 [x, x]\n".to_owned();
    for level in 1..40 {
        bomb.push_str(&format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
    }
    assert!(bad(&bomb).concat().contains("anchors"));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert!(
        bad(&deep)[0].contains("nested deeper than 32"),
        "{:?}",
        bad(&deep)
    );
    let many: String = (0..200).map(|n| format!("key{n}: 1\n")).collect();
    let found = bad(&many);
    assert_eq!(found.len(), 51);
    assert!(
        found
            .iter()
            .any(|line| line.contains("more than 50 errors"))
    );
}

proptest::proptest! {
    /// Whatever the text: an answer, and never an empty list of errors.
    #[test]
    fn no_text_makes_it_panic(text in "[-a-z:{}\\[\\]&*!|>'\"%@#,? \\n\\t0-9]{0,200}") {
        if let Err(errors) = parsed(&text) {
            assert!(errors.iter().count() > 0);
        }
    }

    /// A good file with a piece cut out or put in.
    #[test]
    fn no_damage_makes_it_panic(at in 0_usize..4000, cut in 0_usize..40, put in "[-a-z:{}\\[\\]&*!|\" \\n]{0,6}") {
        let mut chars: Vec<char> = committed("vestibule.yaml").chars().filter(char::is_ascii).collect();
        let at = at.min(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, put.chars());
        let text: String = chars.into_iter().collect();
        if let Err(errors) = parsed(&text) {
            assert!(errors.iter().count() > 0);
        }
    }
}
