//! The pages themselves: rendered on the server, escaped, without script and without anything
//! fetched from elsewhere.

use super::super::{Reply, encode};
use crate::auth::ports::FactorKind;
use askama::Template;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};

/// Stands in every page, so that a page is one answer and needs no other path to be open.
const STYLE: &str = include_str!("../../../templates/style.css");

/// The style is let in by its SHA-256 alone: a test keeps the two together.
const POLICY: &str = "default-src 'none'; style-src 'sha256-yGBYz0TJWFSNaSjNKN83rv4MWMnX3i9gyQ2XCBzQCWs='; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The challenge page in one of its states.
#[derive(Template)]
#[template(path = "challenge.html")]
pub(super) struct Challenge<'a> {
    pub(super) service: &'a str,
    /// Where its forms are sent to.
    pub(super) action: &'a str,
    /// What a code can be sent by.
    pub(super) offers: &'a [Offer],
    /// There is an authenticator app, whose codes need no sending.
    pub(super) has_app: bool,
    /// What went wrong, as a sentence.
    pub(super) alert: Option<&'a str>,
    /// A code has just been sent to this masked recipient.
    pub(super) sent_to: Option<&'a str>,
    /// Shows the field for the code.
    pub(super) asks_code: bool,
}

/// A way to get a code.
pub(super) struct Offer {
    pub(super) kind: FactorKind,
    /// Masked.
    pub(super) recipient: String,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    title: &'a str,
    detail: &'a str,
}

/// A page that says one thing and asks for nothing.
pub(in crate::local) fn notice(status: StatusCode, title: &str, detail: &str) -> Reply {
    html(status, &Notice { title, detail })
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
    // Not `no-referrer`: under it browsers send `Origin: null` with the page's own forms, which
    // could no longer be told from a foreign page's.
    encode::header(reply, REFERRER_POLICY, "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;

    #[test]
    fn the_policy_lets_the_style_in_and_nothing_else() {
        let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let digest = suite.common.hash_provider.hash(STYLE.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(digest.as_ref());
        assert!(
            POLICY.contains(&format!("style-src 'sha256-{hash}'")),
            "{hash}"
        );
        assert!(POLICY.starts_with("default-src 'none'"));
        assert!(!POLICY.contains("unsafe"));
        let body = notice(StatusCode::OK, "t", "d").into_body();
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.contains(&format!("<style>{STYLE}</style>")));
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
        assert!(!body.contains("<script") && !body.contains("http"));
    }

    #[test]
    fn what_a_page_shows_is_escaped() {
        let page = Challenge {
            service: "<b>",
            action: "\"><script>",
            offers: &[FactorKind::Sms, FactorKind::Email].map(|kind| Offer {
                kind,
                recipient: "<i>".to_owned(),
            }),
            has_app: true,
            alert: Some("<u>"),
            sent_to: Some("<em>"),
            asks_code: true,
        };
        for asks_code in [true, false] {
            let html = Challenge { asks_code, ..page }.render().unwrap();
            for raw in ["<b>", "<script>", "<i>", "<u>", "<em>"] {
                assert!(!html.contains(raw), "{raw}");
            }
        }
    }
}
