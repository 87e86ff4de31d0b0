//! How values are shown to people.

/// Control characters become `�`: names come from elsewhere, and a terminal obeys escape sequences.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// A time span in the words that options take: `30d`, `1h 30m`, `0s`.
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
    }
}
