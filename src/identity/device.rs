//! Finds the device a request names. Never a secret, except the device cookie.

use super::cookies;
use crate::config::model::OwnCookie;
use crate::request::{RequestHead, all_bytes};
use http::HeaderName;
use std::borrow::Cow;

const HEADER: HeaderName = HeaderName::from_static("x-device-id");

/// Characters of the longest deviceId.
const DEVICE_CHARS_MAX: usize = 256;

/// Two different devices in one request, or a malformed one: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDevice {
    #[error("the request names two different devices: send one deviceId")]
    Conflict,
    #[error("the deviceId must be 1 to 256 printable characters")]
    Malformed,
    #[error("the device cookie is there twice")]
    CookieTwice,
}

/// The one device named by header `X-Device-Id`, query `deviceId`, `in_body` or our own cookie.
pub fn find<'h>(
    head: &'h RequestHead<'_>,
    in_body: Option<&'h str>,
) -> Result<Option<Cow<'h, str>>, BadDevice> {
    let mut found = find_elsewhere(head, in_body)?;
    if let Some(value) = own_cookie(head)? {
        merge(&mut found, Cow::Borrowed(value))?;
    }
    Ok(found)
}

/// The one device named in any place but our own cookie.
pub fn find_elsewhere<'h>(
    head: &'h RequestHead<'_>,
    in_body: Option<&'h str>,
) -> Result<Option<Cow<'h, str>>, BadDevice> {
    let mut found = None;
    head.signs.device.each(head.headers, &HEADER, |line| {
        let line = std::str::from_utf8(line.as_bytes()).map_err(|_| BadDevice::Malformed)?;
        merge(&mut found, Cow::Borrowed(line))
    })?;
    if let Some(value) = head
        .query_value("deviceId")
        .map_err(|_| BadDevice::Conflict)?
    {
        merge(&mut found, value)?;
    }
    if let Some(value) = in_body {
        merge(&mut found, Cow::Borrowed(value))?;
    }
    Ok(found)
}

/// Our own cookie. Twice, it was put there by somebody else too (a sibling domain, a plain-text
/// connection), and nobody can tell which one is ours.
pub fn own_cookie<'h>(head: &'h RequestHead<'_>) -> Result<Option<&'h str>, BadDevice> {
    once(head, OwnCookie::DEVICE)
}

/// The cookie by which a browser is remembered.
pub fn browser_cookie<'h>(head: &'h RequestHead<'_>) -> Result<Option<&'h str>, BadDevice> {
    once(head, OwnCookie::BROWSER)
}

fn once<'h>(head: &'h RequestHead<'_>, cookie: OwnCookie) -> Result<Option<&'h str>, BadDevice> {
    // A browser that was here over plain HTTP sends that cookie over TLS too: it is not ours there.
    let name = cookie.name(head.client.tls);
    let mut first = None;
    cookies::each(head, name, |value| match first.replace(value) {
        Some(_) => Err(BadDevice::CookieTwice),
        None => Ok(()),
    })?;
    first.transpose().map_err(|_| BadDevice::Malformed)
}

/// Whether a text can name a device.
pub fn is_device(text: &str) -> bool {
    // One byte each, none of them a control character.
    let is_plain = all_bytes(text, |byte| matches!(byte, b' '..=b'~'));
    match is_plain {
        true => (1..=DEVICE_CHARS_MAX).contains(&text.len()),
        false => is_device_in_unicode(text),
    }
}

fn is_device_in_unicode(text: &str) -> bool {
    (1..=DEVICE_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Takes `next` over, which must be what was found before.
fn merge<'h>(found: &mut Option<Cow<'h, str>>, next: Cow<'h, str>) -> Result<(), BadDevice> {
    if !is_device(&next) {
        return Err(BadDevice::Malformed);
    }
    match found {
        Some(before) if *before != next => Err(BadDevice::Conflict),
        _ => {
            *found = Some(next);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::with_head;
    use proptest::prelude::*;

    fn device(
        target: &str,
        given: &[(&'static str, &str)],
        in_body: Option<&str>,
    ) -> Result<Option<String>, BadDevice> {
        let mut all = vec![("host", "files.example.org")];
        all.extend(given);
        with_head("GET", target, &all, |head| {
            find(&head.unwrap(), in_body).map(|device| device.map(Cow::into_owned))
        })
    }

    #[test]
    fn each_place_is_read() {
        let header = ("x-device-id", "phone 1");
        for (target, given, in_body, wanted) in [
            ("/", vec![], None, None),
            ("/", vec![header], None, Some("phone 1")),
            ("/", vec![header, header], None, Some("phone 1")),
            ("/?deviceId=phone+1", vec![], None, Some("phone 1")),
            ("/?deviceId=%C3%B8", vec![], None, Some("ø")),
            ("/", vec![("x-device-id", "ø")], None, Some("ø")),
            ("/", vec![], Some("phone 1"), Some("phone 1")),
            (
                "/",
                vec![("cookie", "a=b; __Host-vestibule_device=xyz")],
                None,
                Some("xyz"),
            ),
            (
                "/",
                vec![(
                    "cookie",
                    "__Host-vestibule_device=xyz; vestibule_device=plain",
                )],
                None,
                Some("xyz"),
            ),
            (
                "/?deviceId=phone%201",
                vec![header],
                Some("phone 1"),
                Some("phone 1"),
            ),
            ("/?deviceid=x", vec![], None, None),
        ] {
            let found = device(target, &given, in_body);
            assert_eq!(found, Ok(wanted.map(str::to_owned)), "{target} {given:?}");
        }
    }

    #[test]
    fn over_tls_only_the_host_cookie_is_ours() {
        let cookies = "vestibule_device=planted; __Host-vestibule_device=xyz";
        let given = [("host", "files.example.org"), ("cookie", cookies)];
        with_head("GET", "/", &given, |head| {
            let mut head = head.unwrap();
            head.client.tls = true;
            assert_eq!(find(&head, None).unwrap().as_deref(), Some("xyz"));
        });
    }

    #[test]
    fn two_devices_conflict() {
        let header = ("x-device-id", "a");
        let cookie = ("cookie", "__Host-vestibule_device=b");
        for (target, given, in_body) in [
            ("/?deviceId=b", vec![header], None),
            ("/", vec![header, ("x-device-id", "b")], None),
            ("/", vec![header], Some("b")),
            ("/", vec![header, cookie], None),
            ("/?deviceId=a&deviceId=b", vec![], None),
            ("/?deviceId=a", vec![], Some("b")),
        ] {
            assert_eq!(
                device(target, &given, in_body),
                Err(BadDevice::Conflict),
                "{target} {given:?}"
            );
        }
    }

    #[test]
    fn our_cookie_comes_once() {
        for given in [
            vec![(
                "cookie",
                "__Host-vestibule_device=a; __Host-vestibule_device=a",
            )],
            vec![
                ("cookie", "__Host-vestibule_device=a"),
                ("cookie", "__Host-vestibule_device=b"),
            ],
            vec![(
                "cookie",
                "__Host-vestibule_device=\u{80}; __Host-vestibule_device=a",
            )],
        ] {
            assert_eq!(
                device("/", &given, None),
                Err(BadDevice::CookieTwice),
                "{given:?}"
            );
        }
    }

    #[test]
    fn malformed_devices_are_refused() {
        let long = "ø".repeat(257);
        for (target, given, in_body) in [
            ("/", vec![("x-device-id", "")], None),
            ("/", vec![("x-device-id", "a\tb")], None),
            ("/?deviceId=", vec![], None),
            ("/?deviceId=a%00b", vec![], None),
            ("/?deviceId=a%C2%85b", vec![], None),
            ("/", vec![], Some("")),
            ("/", vec![], Some("a\nb")),
            ("/", vec![], Some(long.as_str())),
            ("/", vec![("cookie", "__Host-vestibule_device=")], None),
        ] {
            assert_eq!(
                device(target, &given, in_body),
                Err(BadDevice::Malformed),
                "{target} {given:?}"
            );
        }
        assert!(device("/", &[], Some(&"ø".repeat(256))).is_ok());
    }

    proptest! {
        #[test]
        fn a_plain_device_is_judged_as_any_other(text in "[ -~ø\\x00\\x7f\\x85]{0,6}", times in 1..100_usize) {
            let text = text.repeat(times);
            prop_assert_eq!(is_device(&text), is_device_in_unicode(&text));
        }
    }
}
