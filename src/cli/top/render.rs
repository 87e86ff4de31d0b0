//! A view → lines for a terminal, or for a file. Pure.

use super::view::{OUTCOMES, Pace, Route, View};
use crate::cli::shown::span;
use crate::observe::stats::{Outcomes, Server};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Verbs of the store that are shown.
const VERBS_MAX: usize = 6;
/// Seconds above which an upstream's 95th percentile is marked as slow.
const SLOW_SECS: f64 = 1.0;

/// What a piece of text means; what it looks like is [`Style::code`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Heading,
    Bad,
}

impl Style {
    /// SGR parameters (ECMA-48 section 8.3.117).
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Heading => "1",
            Self::Bad => "1;31",
        }
    }
}

/// One line in pieces.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<(Style, String)>);

impl Line {
    fn plain(text: impl Into<String>) -> Self {
        Self::default().with(Style::Plain, text)
    }

    fn heading(text: impl Into<String>) -> Self {
        Self::default().with(Style::Heading, text)
    }

    fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// As text of at most `width` characters, without what would only be blank.
    pub(super) fn text(&self, width: usize, colours: bool) -> String {
        let (mut out, mut room) = (String::new(), width);
        for (style, text) in &self.0 {
            let piece: String = text.chars().take(room).collect();
            room -= piece.chars().count();
            match style {
                Style::Plain => out.push_str(&piece),
                _ if !colours => out.push_str(&piece),
                style => {
                    let _ = write!(out, "\x1b[{}m{piece}\x1b[0m", style.code());
                }
            }
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// Everything, from the top down: what does not fit is at the end.
pub(super) fn lines(view: &View) -> Vec<Line> {
    let mut lines = vec![Line::heading(heading(view)), Line::plain(holds(view))];
    section(&mut lines, requests(view));
    section(&mut lines, gate(view));
    let upstreams = view.upstreams.iter();
    section(&mut lines, paces("UPSTREAM", upstreams, SLOW_SECS));
    lines.extend(view.servers_down.iter().map(down));
    let verbs = view.store.iter().take(VERBS_MAX);
    section(&mut lines, paces("STORE", verbs, SLOW_SECS));
    section(&mut lines, outcomes("CODES since start", &view.challenges));
    section(&mut lines, outcomes("MESSAGES since start", &view.messages));
    section(&mut lines, events(view));
    lines
}

fn section(lines: &mut Vec<Line>, more: Vec<Line>) {
    if !more.is_empty() {
        lines.push(Line::default());
        lines.extend(more);
    }
}

fn heading(view: &View) -> String {
    format!(
        "vestibule {}   up {}   over the last {:.0} s",
        view.version,
        span(view.up_secs),
        view.over_secs
    )
}

fn holds(view: &View) -> String {
    format!(
        "connections {} of {} (refused {}/s)   sessions {} (in memory {})   files {} of {}   memory {} MiB",
        view.connections,
        view.connections_max,
        rate(view.connections_refused_per_second),
        view.sessions,
        view.hot_sessions,
        view.open_files,
        view.open_files_max,
        view.resident_bytes >> 20
    )
}

fn rate(per_second: f64) -> String {
    if per_second == 0.0 {
        "0".to_owned()
    } else if per_second < 99.95 {
        format!("{per_second:.1}")
    } else {
        format!("{per_second:.0}")
    }
}

/// Seconds, in the unit that suits them; `-` for none.
fn time(secs: Option<f64>) -> String {
    let Some(secs) = secs else {
        return "-".to_owned();
    };
    let units = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")];
    let unit = units.into_iter().find(|(unit, _)| secs >= *unit);
    let (unit, name) = unit.unwrap_or((1e-9, "ns"));
    let value = secs / unit;
    match value {
        ..10.0 => format!("{value:.1} {name}"),
        _ => format!("{value:.0} {name}"),
    }
}

fn requests(view: &View) -> Vec<Line> {
    let mut head = format!("{:<20}{:>10}", "REQUESTS per second", "all");
    for outcome in OUTCOMES {
        let _ = write!(head, "{outcome:>width$}", width = outcome_width(outcome));
    }
    let mut lines = vec![Line::heading(head)];
    lines.extend(
        view.routes
            .iter()
            .map(|route| route_line(&route.route, route)),
    );
    if view.routes.len() != 1 {
        lines.push(route_line("together", &view.all_routes));
    }
    lines
}

/// Columns are as wide as their heads, with a gap.
fn outcome_width(outcome: &str) -> usize {
    outcome.len().max(8) + 2
}

fn route_line(name: &str, route: &Route) -> Line {
    let name: String = name.chars().take(17).collect();
    let mut line = Line::plain(format!("  {name:<18}{:>10}", rate(route.per_second)));
    for outcome in OUTCOMES {
        let per_second = route.by_outcome.get(outcome).copied().unwrap_or_default();
        let style = match outcome {
            "failed" if per_second > 0.0 => Style::Bad,
            _ => Style::Plain,
        };
        let width = outcome_width(outcome);
        line = line.with(style, format!("{:>width$}", rate(per_second)));
    }
    line
}

fn gate(view: &View) -> Vec<Line> {
    let gate = &view.gate;
    let times = format!(
        "  {} a second   p50 {}   p95 {}   p99 {}",
        rate(gate.per_second),
        time(gate.p50),
        time(gate.p95),
        time(gate.p99)
    );
    vec![Line::heading("DECISIONS").with(Style::Plain, times)]
}

fn paces<'a>(title: &str, all: impl Iterator<Item = &'a Pace>, slow: f64) -> Vec<Line> {
    let line = |it: &Pace| {
        let name: String = it.name.chars().take(27).collect();
        let errors = match it.errors_per_second > 0.0 {
            true => Style::Bad,
            false => Style::Plain,
        };
        let late = match it.p95.is_some_and(|p95| p95 >= slow) {
            true => Style::Bad,
            false => Style::Plain,
        };
        Line::plain(format!("  {name:<28}{:>10}", rate(it.per_second)))
            .with(errors, format!("{:>12}", rate(it.errors_per_second)))
            .with(Style::Plain, format!("{:>11}", time(it.p50)))
            .with(late, format!("{:>11}", time(it.p95)))
            .with(Style::Plain, format!("{:>11}", time(it.p99)))
    };
    let mut lines: Vec<Line> = all.map(line).collect();
    if !lines.is_empty() {
        let head = format!(
            "{title:<30}{:>10}{:>12}{:>11}{:>11}{:>11}",
            "a second", "errors/s", "p50", "p95", "p99"
        );
        lines.insert(0, Line::heading(head));
    }
    lines
}

fn down(server: &Server) -> Line {
    let text = format!("  {} {} is down", server.upstream, server.server);
    Line::default().with(Style::Bad, text)
}

/// A table with a column for every outcome that there is.
fn outcomes(title: &str, all: &[Outcomes]) -> Vec<Line> {
    let columns: BTreeSet<&String> = all.iter().flat_map(|it| it.counts.keys()).collect();
    if columns.is_empty() {
        return Vec::new();
    }
    let mut head = format!("{title:<24}");
    for column in &columns {
        let _ = write!(head, "{column:>12}");
    }
    let line = |it: &Outcomes| {
        let mut text = format!("  {:<22}", it.name);
        for column in &columns {
            let count = it.counts.get(*column).copied().unwrap_or_default();
            let _ = write!(text, "{count:>12}");
        }
        Line::plain(text)
    };
    let lines = all.iter().map(line);
    std::iter::once(Line::heading(head)).chain(lines).collect()
}

fn events(view: &View) -> Vec<Line> {
    let lost = match view.events_lost {
        0 => Style::Plain,
        _ => Style::Bad,
    };
    let mut line = Line::heading("EVENTS since start")
        .with(Style::Plain, format!("  lockouts {}", view.lockouts))
        .with(lost, format!("  lost {}", view.events_lost));
    for (kind, count) in &view.events {
        line = line.with(Style::Plain, format!("  {kind} {count}"));
    }
    vec![line]
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::busy;
    use super::*;

    fn text(view: &View, width: usize, colours: bool) -> String {
        let lines = lines(view);
        let text: Vec<_> = lines.iter().map(|line| line.text(width, colours)).collect();
        text.join("\n")
    }

    #[test]
    fn a_busy_gateway() {
        insta::assert_snapshot!(text(&busy(), 120, false));
    }

    #[test]
    fn a_gateway_that_has_just_started() {
        insta::assert_snapshot!(text(&View::default(), 120, false));
    }

    #[test]
    fn a_narrow_terminal_cuts_lines_and_never_within_a_colour() {
        let narrow = text(&busy(), 40, false);
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 40),
            "{narrow}"
        );
        let coloured = text(&busy(), 40, true);
        for line in coloured.lines().filter(|line| line.contains('\x1b')) {
            assert_eq!(
                line.matches("\x1b[0m").count() * 2,
                line.matches('\x1b').count()
            );
        }
        assert!(!text(&busy(), 120, false).contains('\x1b'));
    }

    #[test]
    fn failures_and_slowness_are_marked() {
        let mut view = busy();
        view.upstreams[0].p95 = Some(2.5);
        let coloured = text(&view, 200, true);
        assert!(
            coloured.contains("\x1b[1;31m        2.0\x1b[0m") || coloured.contains("2.0\x1b[0m")
        );
        assert!(coloured.contains("2.5 s\x1b[0m"), "{coloured}");
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let shown = [3e-7, 2.5e-6, 0.000_9, 0.012, 1.26, 75.0].map(|secs| time(Some(secs)));
        let wanted = ["300 ns", "2.5 µs", "900 µs", "12 ms", "1.3 s", "75 s"];
        assert_eq!(shown, wanted);
        assert_eq!(time(None), "-");
        assert_eq!(
            [0.0, 0.04, 99.94, 1234.5].map(rate),
            ["0", "0.0", "99.9", "1234"]
        );
    }
}
