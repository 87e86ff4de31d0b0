//! How values are shown to people.

/// Control characters become `�`: names come from elsewhere, and a terminal obeys escape sequences. So do those that
/// turn the direction of what follows (UAX #9): a name could make the rest of its line read otherwise.
pub(super) fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.replace(steers, "\u{fffd}")
}

/// A time span: `30d`, `1h 30m`, `0s`.
pub(super) fn span(secs: u64) -> String {
    let units = [
        (secs / 86_400, 'd'),
        (secs / 3_600 % 24, 'h'),
        (secs / 60 % 60, 'm'),
        (secs % 60, 's'),
    ];
    let parts = units.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    match parts.is_empty() {
        true => "0s".to_owned(),
        false => parts.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_in_the_units_that_they_have() {
        let shown = [0, 59, 600, 5_400, 2_592_000, 93_784].map(span);
        let wanted = ["0s", "59s", "10m", "1h 30m", "30d", "1d 2h 3m 4s"];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        for turns in "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars() {
            assert_eq!(plain(&format!("a{turns}b")), "a\u{fffd}b", "{turns:?}");
        }
        // Letters of any script stay, and so do the joiners that some need.
        for stays in ["שלום", "नमस्ते", "می\u{200c}خواهم", "Å 🏳\u{200d}🌈"]
        {
            assert_eq!(plain(stays), stays);
        }
    }
}
