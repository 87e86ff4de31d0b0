//! What every page has: its frame, its headers. Rendered on the server, escaped, with nothing inline
//! and nothing fetched from elsewhere.

use super::super::{Call, Local, Reply, encode};
use super::form::Visit;
use super::said::{Alert, Notice};
use crate::clock::Timestamp;
use crate::config::model::{Portal, Support};
use crate::route::Route;
use crate::words::{Sentence, Words};
use askama::Template;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderMap, HeaderName, StatusCode};

/// Whatever a page is made to hold, it runs nothing but ours and sends nothing elsewhere.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What `WWW-Authenticate` says of a code that did not verify (RFC 9470).
pub(super) const STEP_UP: Option<&str> = Some("insufficient_user_authentication");

/// What windows can reach each other, and what a page may hold (HTML, section 7.1.3 and 7.1.4).
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const EMBEDDER_POLICY: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");

/// The frame of a page: its words, its look, and what its forms carry. Templates know it as `t`.
#[derive(Debug)]
pub(in crate::local) struct Frame<'a> {
    words: Words,
    portal: &'a Portal,
    name: String,
    /// There is a route, so that what pages are made of is there too.
    pub(in crate::local) is_placed: bool,
    /// The value of the hidden field `form`, which every form must have; empty for pages without.
    pub(super) form: String,
}

impl<'a> Frame<'a> {
    /// The frame of a page that this browser is shown on a route.
    pub(in crate::local) fn new(route: &'a Route, headers: &HeaderMap, service: &str) -> Self {
        let portal = &*route.portal;
        Self {
            words: Words::of(headers),
            portal,
            name: service.to_owned(),
            is_placed: true,
            form: String::new(),
        }
    }

    /// The frame of a page for somebody who asks for what nobody has put here: it names nobody.
    pub(in crate::local) fn unplaced(portal: &'a Portal, headers: &HeaderMap) -> Self {
        Self {
            words: Words::of(headers),
            portal,
            name: String::new(),
            is_placed: false,
            form: String::new(),
        }
    }

    pub(super) fn words(&self) -> Words {
        self.words
    }

    /// A message: `{{ t.say("page-skip") }}`, with variables `{{ t.say(…).with("name", value) }}`.
    pub(super) fn say(&self, key: &'static str) -> Sentence {
        self.words.say(key)
    }

    /// A page's title, which says so where something went wrong: it is what is read out first.
    pub(super) fn titled(&self, title: impl std::fmt::Display, is_wrong: bool) -> String {
        let title = title.to_string();
        match is_wrong {
            true => self.say("page-error").with("title", title).to_string(),
            false => title,
        }
    }

    /// The language's tag.
    pub(super) fn language(&self) -> &'static str {
        self.words.tag()
    }

    /// What the service is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where a path of ours is, which is written with `/.vestibule`.
    pub(super) fn at(&self, written: &str) -> String {
        self.portal.address(written)
    }

    pub(super) fn has_logo(&self) -> bool {
        self.is_placed && self.portal.logo.is_some()
    }

    /// The line that says whom to ask, and where it leads if it is an address.
    pub(super) fn support(&self) -> Option<(&str, Option<String>)> {
        let support = self.portal.support.as_ref();
        Some(match support.filter(|_| self.is_placed)? {
            Support::Text(text) => (text, None),
            Support::Url(url) => (url, Some(url.clone())),
            Support::Mail(address) => (address, Some(format!("mailto:{address}"))),
        })
    }
}

/// A time, for people and for scripts.
pub(super) struct Moment(pub(super) Timestamp);

impl Moment {
    pub(super) fn machine(&self) -> String {
        self.0.iso8601()
    }

    /// `2026-11-22 10:05 UTC`: in no language, and at no place. Scripts know both.
    pub(super) fn shown(&self) -> String {
        let text = self.machine().replace('T', " ");
        format!("{} UTC", text.get(..16).unwrap_or_default())
    }
}

impl Local {
    /// The frame of the page that a call is shown.
    pub(super) fn frame<'a>(&self, call: &'a Call) -> Frame<'a> {
        let service = &self.auth.settings.load().service_name;
        Frame::new(&call.route, &call.headers, service)
    }
}

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage<'a> {
    t: &'a Frame<'a>,
    title: Sentence,
    detail: Sentence,
}

/// A page that says one thing and asks for nothing.
pub(in crate::local) fn notice(frame: &Frame<'_>, status: StatusCode, notice: Notice) -> Reply {
    let page = NoticePage {
        t: frame,
        title: frame.say(notice.title),
        detail: frame.say(notice.detail),
    };
    html(status, &page)
}

/// A page on which something may have gone wrong before: under the alert's status, with its headers.
/// `error` is that of `WWW-Authenticate`, where the alert asks for another code or password.
pub(super) fn shown(
    visit: &Visit<'_>,
    alert: Option<Alert>,
    error: Option<&str>,
    page: &impl Template,
) -> Reply {
    match alert {
        None => html(StatusCode::OK, page),
        Some(alert) => alert.on(html(alert.status, page), &visit.call.route, error),
    }
}

/// A page as an answer.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Reply {
    let body = page.render().unwrap_or_else(|error| {
        // Rendering writes to memory and fails only with it.
        tracing::error!(%error, "a page could not be rendered");
        String::new()
    });
    let reply = encode::reply(status, "text/html; charset=utf-8", body);
    let reply = encode::header(reply, CONTENT_SECURITY_POLICY, POLICY);
    // A page of the backend that opens one of ours in a window gets no hold of it. With the embedder's policy
    // as well it is cut off though it asks for the same opener policy; ours have nothing of elsewhere.
    let reply = encode::header(reply, OPENER_POLICY, "same-origin");
    let reply = encode::header(reply, EMBEDDER_POLICY, "require-corp");
    // Never the path: a share link's is a secret, and what it leads to is the upstream's. Not `no-referrer`
    // either: under it browsers send `Origin: null` with the page's own forms, which could no longer be
    // told from a foreign page's.
    encode::header(reply, REFERRER_POLICY, "strict-origin")
}
