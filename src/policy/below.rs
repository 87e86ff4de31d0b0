//! What a request takes along: who copies, moves or deletes a folder does so with all that is in it, and
//! so must be asked for what the rules below it ask (RFC 4918 sections 9.6, 9.8 and 9.9).
//!
//! Whether a path is a folder nobody knows here. A file has no rule below it, and nothing changes for it.

use super::fit::{hides, is_for, is_within, lies_in};
use super::{Asker, Target, stricter};
use crate::config::model::{Requirement, Rule};
use http::header::CONNECTION;
use http::{HeaderMap, Method};

/// How far a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To what its path names, and what a listing of that shows.
    Itself,
    /// To everything below, too.
    Below,
}

impl Reach {
    /// Of a method that is not known here, everything below is thought to be meant. So is it where WebDAV
    /// leaves `Depth` out (RFC 4918 section 10.2), or names a search in the body (RFC 3253, RFC 5323).
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let is_shallow = match *method {
            Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::OPTIONS => true,
            Method::DELETE => false,
            _ => match method.as_str() {
                "MKCOL" | "PROPPATCH" | "UNLOCK" => true,
                "PROPFIND" => matches!(depth(headers), Some(b"0" | b"1")),
                "LOCK" => depth(headers) == Some(b"0"),
                _ => false,
            },
        };
        match is_shallow {
            true => Self::Itself,
            false => Self::Below,
        }
    }
}

/// The `Depth` that the backend will see; `None`: perhaps none.
fn depth(headers: &HeaderMap) -> Option<&[u8]> {
    let mut lines = headers.get_all("depth").iter();
    let (Some(depth), None) = (lines.next(), lines.next()) else {
        return None;
    };
    // Another proxy behind this one drops what `Connection` names.
    let is_it = |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(b"depth");
    let names = |line: &http::HeaderValue| line.as_bytes().split(|it| *it == b',').any(is_it);
    let is_dropped = headers.get_all(CONNECTION).iter().any(names);
    (!is_dropped).then_some(depth.as_bytes())
}

/// A rule below a folder that asks for more than the folder itself, and the rules before it.
#[derive(Clone, Copy, Debug)]
pub enum Below<'a> {
    Asks(&'a Rule),
    /// It would, or not, by who asks.
    Depends(&'a Rule),
    /// It has a say elsewhere: it is for other networks.
    Elsewhere(&'a Rule),
}

/// The strictest of `own`, what the path itself is asked, and of every rule below it whatever its methods,
/// but for what the rules before leave nothing of. `None`: it depends on who asks. `tell` hears of the rules
/// that have a say, in their order.
pub(super) fn of<'a>(
    target: &Target<'a>,
    path: &str,
    asker: Asker<'_>,
    own: Requirement,
    mut tell: impl FnMut(Below<'a>),
) -> Option<Requirement> {
    let mut asked = own;
    for (nth, rule) in target.route.rules.iter().enumerate() {
        let both = stricter(asked, rule.require);
        if both == asked {
            continue;
        }
        let before = target.route.rules.iter().take(nth);
        let say = has_say(target, rule, path, asker, before, &mut tell);
        if let Some(say) = say {
            tell(say);
        }
        match say {
            Some(Below::Asks(_)) => asked = both,
            Some(Below::Depends(_)) => return None,
            Some(Below::Elsewhere(_)) | None => {}
        }
    }
    Some(asked)
}

/// What a rule has to say of what is below `path`.
fn has_say<'a>(
    target: &Target<'a>,
    rule: &'a Rule,
    path: &str,
    asker: Asker<'_>,
    before: impl Iterator<Item = &'a Rule> + Clone,
    tell: &mut impl FnMut(Below<'a>),
) -> Option<Below<'a>> {
    let is_meant = is_for(&rule.people, asker);
    if is_meant == Some(false) {
        return None;
    }
    let mut depends = false;
    for place in rule.paths.iter().filter(|place| lies_in(place, path)) {
        if !is_within(rule, target.address) {
            return Some(Below::Elsewhere(rule));
        }
        match is_hidden(target, (rule, place), asker, before.clone(), tell) {
            Some(true) => {}
            Some(false) if is_meant.is_some() => return Some(Below::Asks(rule)),
            Some(false) | None => depends = true,
        }
    }
    depends.then_some(Below::Depends(rule))
}

/// Whether an earlier rule leaves nothing of what a rule says of a place. `None`: by who asks.
fn is_hidden<'a>(
    target: &Target<'_>,
    (rule, place): (&Rule, &str),
    asker: Asker<'_>,
    before: impl Iterator<Item = &'a Rule>,
    tell: &mut impl FnMut(Below<'a>),
) -> Option<bool> {
    let mut hidden = Some(false);
    for other in before.filter(|other| hides(other, rule, place)) {
        let is_here = is_within(other, target.address);
        match is_for(&other.people, asker) {
            Some(false) => {}
            _ if !is_here => tell(Below::Elsewhere(other)),
            Some(true) => return Some(true),
            None => hidden = None,
        }
    }
    hidden
}

#[cfg(test)]
mod tests;
