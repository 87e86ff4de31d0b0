//! An explanation for people.

use super::{Asks, Explanation, InRoute, Reading, Remembers, Who};
use crate::cli::shown::{plain, span};
use std::fmt::Write as _;

pub(super) fn of(told: &Explanation) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "{name:<12} {}", plain(text));
    };
    line("request", &format!("{} {}", told.method, told.url));
    if let (Some(host), Some(path)) = (&told.host, &told.path) {
        line("read as", &format!("{host} {path}"));
    }
    if let Some(destination) = &told.destination {
        line("to", destination);
    }
    if let Some(route) = &told.route {
        let text = format!(
            "{} (line {}): users of `{}`, in front of `{}`",
            route.name, route.line, route.identity, route.upstream
        );
        line("route", &text);
    }
    if let Some(settled) = &told.settled {
        let text = match settled.status {
            Some(status) => format!("{status}: {}", settled.why),
            None => settled.why.clone(),
        };
        line("answer", &text);
        return out;
    }
    let from = told.address.map(|it| it.to_string());
    line("from", from.as_deref().unwrap_or("no address was given"));
    line("who", &who(&told.who));
    for reading in &told.readings {
        rules(&mut line, reading);
    }
    let text = match told.needs_address() {
        true => "what the rules for networks say: give --address".to_owned(),
        false => asks(told.asks.as_ref()),
    };
    line("asks", &text);
    if let Some(at) = told.background {
        line("use", &format!("no: the path is polled (line {at})"));
    }
    if let Some(route) = &told.route {
        sessions(&mut line, route);
    }
    out
}

fn sessions(line: &mut impl FnMut(&str, &str), route: &InRoute) {
    let text = format!(
        "a verified pair lives for {}, and for {} without a request",
        span(route.session_lifetime_secs),
        span(route.session_idle_secs)
    );
    line("session", &text);
    let span = match route.remember {
        Remembers::Never => None,
        Remembers::ForSecs(secs) => Some(format!("for {}", span(secs))),
        Remembers::Forever => Some("forever".to_owned()),
    };
    if let Some(span) = span {
        let text = format!("remembered {span}, if its user wants that");
        line("browser", &text);
    }
    if route.self_enrolment {
        let text = "whoever has no second factor sets the first one up by themselves";
        line("enrolment", text);
    }
}

fn who(who: &Who) -> String {
    let groups = match &who.groups {
        Some(groups) if groups.is_empty() => format!("in no group ({})", who.groups_from),
        Some(groups) => format!("in {} ({})", groups.join(", "), who.groups_from),
        None => format!("groups: {}", who.groups_from),
    };
    match &who.user {
        Some(user) => format!("{user}, {groups}"),
        None => groups,
    }
}

fn rules(line: &mut impl FnMut(&str, &str), reading: &Reading) {
    let of = match reading.is_destination {
        true => "destination",
        false => "path",
    };
    line(of, &reading.path);
    for step in &reading.rules {
        let verdict = match (step.missed, reading.decided_by) {
            (Some(why), _) => format!("no: {why}"),
            (None, _) if step.needs_address => {
                "depends on where the client is: give --address".to_owned()
            }
            (None, "who asks") => "depends on who asks".to_owned(),
            (None, _) => "matches".to_owned(),
        };
        line(&format!("  line {}", step.line), &verdict);
    }
    if let ("route", Some(at)) = (reading.decided_by, reading.line) {
        line(
            &format!("  line {at}"),
            "no rule matches: `require` of the route",
        );
    }
    for step in &reading.below {
        let verdict = match (step.depends, step.needs_address) {
            (true, _) => "below it, which is taken along: depends on who asks",
            (_, true) => {
                "below it, which is taken along: depends on where the client is: give --address"
            }
            _ => "below it, which is taken along: asks for more",
        };
        line(&format!("  line {}", step.line), verdict);
    }
    if reading.decided_by == "path" {
        line(
            "  closed",
            "the path could be read in a way that no path can",
        );
    }
}

fn asks(asks: Option<&Asks>) -> String {
    let Some(asks) = asks else {
        return "a token, to know who asks; then the rule says".to_owned();
    };
    let mut text = match asks.require {
        "none" => "nothing: open to all",
        "token" => "a known token",
        "two_factor" => "a pair of token and device that has passed its second factor",
        "success_token" => "a success token, besides a verified pair",
        _ => "closed to all",
    }
    .to_owned();
    if let Some(within) = asks.within_secs {
        let _ = write!(text, ", no longer ago than {}", span(within));
    }
    if let Some(idle) = asks.max_idle_secs {
        let _ = write!(
            text,
            ", and was never left alone for longer than {} since",
            span(idle)
        );
    }
    text
}
