//! What pages are made of besides themselves: the style, the operator's colours, the script, the
//! logo. Open to all, kept by browsers for some minutes.

use super::super::{Call, Reply, encode, target};
use super::said::Stop;
use crate::config::model::{Color, Colors, Palette};
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

const STYLE: &str = include_str!("../../../templates/style.css");
const SCRIPT: &str = include_str!("../../../templates/page.js");
/// An SVG that is opened by itself is a document: it may do nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
/// Not long: an upgrade or a reload brings others under the same names.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// `GET /.vestibule/assets/{name}`.
pub(super) fn answer(call: &Call) -> Result<Reply, Stop> {
    let (kind, bytes) = asset(call).ok_or(Stop::NotFound)?;
    let tag = format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..16]);
    let known = call.headers.get_all(IF_NONE_MATCH).iter();
    let mut known = known.filter_map(|value| value.to_str().ok());
    let is_known = known.any(|tags| tags.split(',').any(|one| is_same(one.trim(), &tag)));
    let reply = match is_known {
        true => encode::empty(StatusCode::NOT_MODIFIED),
        false => encode::reply(StatusCode::OK, kind, bytes),
    };
    let reply = encode::header(reply, ETAG, &tag);
    let mut reply = encode::header(reply, CONTENT_SECURITY_POLICY, POLICY);
    let headers = reply.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, KEPT);
    Ok(reply)
}

/// The asset's type and its bytes.
fn asset(call: &Call) -> Option<(&'static str, Bytes)> {
    let portal = &call.route.portal;
    Some(match target::last_segment(&call.path).as_str() {
        "style.css" => (
            "text/css; charset=utf-8",
            Bytes::from_static(STYLE.as_bytes()),
        ),
        "theme.css" => ("text/css; charset=utf-8", theme(&portal.colors).into()),
        "page.js" => (
            "text/javascript; charset=utf-8",
            Bytes::from_static(SCRIPT.as_bytes()),
        ),
        "logo" => {
            let logo = portal.logo.as_ref()?;
            (logo.kind.media_type(), Bytes::copy_from_slice(&logo.bytes))
        }
        _ => return None,
    })
}

/// Whether a tag that a client knows stands for the same bytes (RFC 9110 section 13.1.2).
fn is_same(known: &str, tag: &str) -> bool {
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}

/// The operator's colours, over those of the style.
fn theme(colors: &Colors) -> String {
    let (light, dark) = (palette(&colors.light), palette(&colors.dark));
    format!(":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n")
}

fn palette(colors: &Palette) -> String {
    let Palette {
        accent,
        text,
        background,
        surface,
    } = colors;
    let on_accent = accent.ink();
    // What is said of a problem must be readable on any surface.
    let bad = match surface.ink() {
        Color::BLACK => "#b3261e",
        _ => "#f2b8b5",
    };
    format!(
        "--act: {accent}; --on-act: {on_accent}; --ink: {text}; --paper: {background}; --card: {surface}; --bad: {bad};"
    )
}
