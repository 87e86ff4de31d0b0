//! The forms of texts: hosts, paths, numbers, names. Pure; each error says how to mend the text.

use std::net::{IpAddr, Ipv6Addr};

type Checked<T> = Result<T, String>;

/// A host as routes match it: lower case, no trailing dot, no port; `*.` in front, or `*` alone.
pub(super) fn host(text: &str) -> Checked<String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let address = inner.parse::<Ipv6Addr>();
        return address
            .map(|address| format!("[{address}]"))
            .map_err(|_| format!("{text:?} is not an IPv6 address in brackets, like \"[::1]\""));
    }
    if text.contains("://") || text.contains('/') {
        return Err(format!(
            "{text:?}: write the host alone, like files.example.org"
        ));
    }
    if text.contains(':') {
        return Err(format!("{text:?}: hosts match without the port: remove it"));
    }
    let lower = text.to_ascii_lowercase();
    let canonical = lower.strip_suffix('.').unwrap_or(&lower);
    let name = canonical.strip_prefix("*.").unwrap_or(canonical);
    if name.contains('*') {
        return Err(format!(
            "{text:?}: `*` may stand only in front, like *.example.org"
        ));
    }
    if !name.is_ascii() {
        return Err(format!(
            "{text:?}: write a name with other letters in its xn-- form"
        ));
    }
    if !is_host_name(name) {
        return Err(format!(
            "{text:?} is not a host name, like files.example.org"
        ));
    }
    Ok(canonical.to_owned())
}

/// A host name or an IPv4 address.
pub(super) fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// `host:port` of a server, in two parts; an IPv6 address has lost its brackets.
pub(super) fn server(text: &str) -> Checked<(String, u16)> {
    if text.contains("://") {
        return Err(format!(
            "{text:?}: write host:port; TLS is switched on by `tls: true`, a path cannot be set"
        ));
    }
    let wrong = || format!("{text:?} is not host:port, like 127.0.0.1:5000");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|port| digits && *port > 0);
    let port = port.ok_or_else(wrong)?;
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let valid = match inner {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    if !valid {
        return Err(wrong());
    }
    Ok((inner.unwrap_or(host).to_owned(), port))
}

/// A name that a certificate can be asked for: no address.
pub(super) fn server_name(text: &str) -> Checked<String> {
    if text.parse::<IpAddr>().is_ok() || !is_host_name(text) {
        return Err(format!(
            "{text:?} is not a name that a certificate is made out to: write a host name"
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// A path in the canonical form that requests are matched in (RFC 3986 section 6).
pub(super) fn path(text: &str) -> Checked<()> {
    if !text.starts_with('/') {
        return Err(format!("{text:?}: a path starts with `/`"));
    }
    if text.contains(['?', '#']) {
        return Err(format!(
            "{text:?}: write the path alone, without `?` or `#`"
        ));
    }
    if text.contains("//") {
        return Err(format!("{text:?}: write one `/` in place of `//`"));
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(format!(
            "{text:?}: write the path without `.` and `..` segments"
        ));
    }
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '%' {
            rest = escape(text, rest)?;
            continue;
        }
        if !c.is_ascii_alphanumeric() && !"/-._~!$&'()*+,;=:@".contains(c) {
            let mut bytes = [0; 4];
            let escaped: String = c
                .encode_utf8(&mut bytes)
                .bytes()
                .map(|byte| format!("%{byte:02X}"))
                .collect();
            return Err(format!("{text:?}: write {c:?} as {escaped}"));
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    Ok(())
}

/// Checks the `%XX` in front of `rest` and returns what follows it.
fn escape<'t>(text: &str, rest: &'t str) -> Checked<&'t str> {
    let digits = rest
        .get(1..3)
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let (Some(digits), Some(byte)) = (digits, byte) else {
        return Err(format!(
            "{text:?}: `%` needs two hex digits; write % itself as %25"
        ));
    };
    let upper = digits.to_ascii_uppercase();
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        return Err(format!("{text:?}: write %{digits} as {}", char::from(byte)));
    }
    if byte.is_ascii_control() || matches!(byte, b'/' | b'\\') {
        return Err(format!(
            "{text:?}: a request with %{digits} is refused before it is matched"
        ));
    }
    if upper != digits {
        return Err(format!("{text:?}: write %{digits} as %{upper}"));
    }
    Ok(rest.get(3..).unwrap_or_default())
}

/// The prefix before `{token}` of a path like `/share/{token}`.
pub(super) fn token_path(text: &str) -> Checked<String> {
    let Some(prefix) = text
        .strip_suffix("{token}")
        .filter(|prefix| prefix.ends_with('/'))
    else {
        return Err(format!(
            "{text:?}: the last segment must be {{token}}, like \"/share/{{token}}\""
        ));
    };
    path(prefix)?;
    Ok(prefix.to_owned())
}

/// A JSON pointer (RFC 6901) to a part of a document.
pub(super) fn pointer(text: &str) -> Checked<()> {
    if !text.starts_with('/') {
        return Err(format!(
            "{text:?} is not a JSON pointer, like /profile/username"
        ));
    }
    let escapes_well = text
        .split('~')
        .skip(1)
        .all(|rest| rest.starts_with(['0', '1']));
    if !escapes_well {
        return Err(format!("{text:?}: in a JSON pointer, write ~ as ~0"));
    }
    Ok(())
}

/// Two letters of ISO 3166 alpha-2, in upper case.
pub(super) fn country(text: &str) -> Checked<String> {
    let upper = text.to_ascii_uppercase();
    if upper == "UK" {
        return Err(format!("{text:?}: the United Kingdom is GB"));
    }
    if upper.len() != 2 || upper.parse::<phonenumber::country::Id>().is_err() {
        return Err(format!(
            "{text:?} is not a country: write two letters of ISO 3166, like DK"
        ));
    }
    Ok(upper)
}

/// A method; they are case-sensitive, and all that are in use are in upper case.
pub(super) fn method(text: &str) -> Checked<http::Method> {
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(format!(
            "{text:?}: write methods in upper case, like {}",
            text.to_ascii_uppercase()
        ));
    }
    http::Method::from_bytes(text.as_bytes())
        .map_err(|_| format!("{text:?} is not an HTTP method, like DELETE"))
}

/// A name that operators choose, for logs and metrics.
pub(super) fn name(text: &str) -> Checked<()> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(valid) {
        return Err(format!(
            "{text:?} is not a name: write up to 64 letters, digits, `-`, `_` and `.`"
        ));
    }
    Ok(())
}

/// A token of RFC 9110 section 5.6.2: what a cookie may be named.
pub(super) fn token(text: &str) -> Checked<()> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(valid) {
        return Err(format!("{text:?} is not a name that a cookie can have"));
    }
    Ok(())
}

/// The SID of a thing at Twilio's: two letters and 32 hex digits.
pub(super) fn is_sid(text: &str, letters: &str) -> bool {
    text.strip_prefix(letters)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A number in E.164's form; whether it exists is not looked at (a provider's test numbers do not).
pub(super) fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

/// An absolute http or https URL without user, query and fragment; whether it is plain http to
/// another machine. A text that may hold a password or key is not quoted.
pub(super) fn url(text: &str) -> Checked<bool> {
    if text.contains(['?', '#']) {
        return Err("the URL has a `?` or `#`: put its parameters into `query`".to_owned());
    }
    if text.contains('@') {
        return Err(
            "the URL has an `@`: put a user and password into `headers` (authorization)".to_owned(),
        );
    }
    if text.contains(['{', '}']) {
        return Err(format!(
            "{text:?}: {{phone}} and {{text}} are not filled into a URL: put them into `query`"
        ));
    }
    absolute(text, "https://sms.example.org/send")
}

/// The URL of a collector of traces, as [`url`].
pub(super) fn collector_url(text: &str) -> Checked<bool> {
    if text.contains(['?', '#', '@']) {
        return Err(
            "the URL has a `?`, `#` or `@`: put a user, a password or a key into `headers`"
                .to_owned(),
        );
    }
    absolute(text, "http://127.0.0.1:4318/v1/traces")
}

/// The URL of an issuer: https, or http on this machine. It may have a query, as some key sets do.
pub(super) fn issuer_url(text: &str) -> Checked<()> {
    if text.contains('@') {
        return Err("the URL has an `@`: a user and password cannot stand in it".to_owned());
    }
    if text.contains('#') {
        return Err(format!("{text:?}: write the URL without `#`"));
    }
    match absolute(text, "https://login.example.org/keys")? {
        false => Ok(()),
        true => Err(format!(
            "{text:?}: whoever is on the way could answer in the issuer's name: write https://"
        )),
    }
}

/// An absolute URL; whether it is plain http to another machine.
fn absolute(text: &str, example: &str) -> Checked<bool> {
    let wrong = || format!("{text:?} is not a URL, like {example}");
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let host = uri
        .host()
        .filter(|host| !host.is_empty())
        .ok_or_else(wrong)?;
    match uri.scheme_str() {
        Some("https") => Ok(false),
        Some("http") => {
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            let local = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
            Ok(!local)
        }
        _ => Err(format!("{text:?}: a URL starts with https:// or http://")),
    }
}

/// Who signs tokens: a URL without query and fragment (OpenID Connect Discovery 1.0 section 3).
pub(super) fn issuer(text: &str) -> Checked<String> {
    let wrong =
        || format!("{text:?} is not an issuer: write a URL, like https://files.example.org");
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let is_http = matches!(uri.scheme_str(), Some("https" | "http"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    if !is_http || !has_host || text.contains(['?', '#', '@']) {
        return Err(wrong());
    }
    Ok(text.to_owned())
}

/// Whom a signed token is for.
pub(super) fn audience(text: &str) -> Checked<&str> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(format!(
            "{text:?} is not an audience: write a name or a URL, as the backend knows itself"
        ));
    }
    Ok(text)
}

/// An origin as browsers send it (RFC 6454): scheme, host, and a port that is not the default.
pub(super) fn origin(text: &str) -> Checked<String> {
    if text == "*" || text == "null" {
        return Err(format!("{text:?} would let any page in: name each origin"));
    }
    let wrong = || format!("{text:?} is not an origin, like https://app.example.org");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let default_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return Err(wrong()),
    };
    if rest.contains(['/', '@', '?', '#']) {
        return Err(format!(
            "{text:?}: an origin has no path: write scheme, host and port alone"
        ));
    }
    let authority: http::uri::Authority = rest.parse().map_err(|_| wrong())?;
    if authority.host().is_empty() || authority.host().contains('*') {
        return Err(wrong());
    }
    let lower = rest.to_ascii_lowercase();
    Ok(format!(
        "{scheme}://{}",
        lower.strip_suffix(default_port).unwrap_or(&lower)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let good = [
            ("*", "*"),
            ("Files.Example.ORG.", "files.example.org"),
            ("*.example.org", "*.example.org"),
            ("[::1]", "[::1]"),
            ("127.0.0.1", "127.0.0.1"),
            ("localhost", "localhost"),
        ];
        for (text, canonical) in good {
            assert_eq!(host(text).as_deref(), Ok(canonical));
        }
        for text in [
            "",
            ".",
            "a..b",
            "a:80",
            "http://a",
            "a/b",
            "a.*.b",
            "**",
            "*.",
            "blåbær.dk",
            "-a",
            "a b",
            "[::1",
            "[a]",
            "a@b",
        ] {
            assert!(host(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn servers() {
        assert_eq!(server("[::1]:80"), Ok(("::1".to_owned(), 80)));
        assert_eq!(server("files:5000"), Ok(("files".to_owned(), 5000)));
        for text in [
            "files",
            "files:0",
            "files:65536",
            ":80",
            "http://a:80",
            "a:80/x",
            "::1:80",
            "a:+80x",
        ] {
            assert!(server(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn paths() {
        for text in ["/", "/a/b", "/a/", "/a%20b", "/a.b/..c", "/%C3%A6/"] {
            assert_eq!(path(text), Ok(()), "{text:?}");
        }
        let bad = [
            ("a", "starts with `/`"),
            ("/a?b", "without `?`"),
            ("//a", "one `/`"),
            ("/a/../b", "`.` and `..`"),
            ("/a/.", "`.` and `..`"),
            ("/a b", "write ' ' as %20"),
            ("/æ", "write 'æ' as %C3%A6"),
            ("/%41", "write %41 as A"),
            ("/%c3%a6", "write %c3 as %C3"),
            ("/%2F", "refused before it is matched"),
            ("/%5c", "refused before it is matched"),
            ("/%00", "refused before it is matched"),
            ("/%4", "two hex digits"),
            ("/%+1", "two hex digits"),
            ("/a\\b", "%5C"),
        ];
        for (text, mend) in bad {
            let error = path(text).unwrap_err();
            assert!(error.contains(mend), "{text:?}: {error}");
        }
    }

    #[test]
    fn other_forms() {
        assert_eq!(token_path("/share/{token}").as_deref(), Ok("/share/"));
        for text in ["/share/{id}", "/s{token}", "/{token}/x", "share/{token}"] {
            assert!(token_path(text).is_err(), "{text:?}");
        }
        assert_eq!(pointer("/a~0/b~1"), Ok(()));
        assert!(pointer("a").is_err() && pointer("/a~2").is_err() && pointer("").is_err());
        assert_eq!(country("dk").as_deref(), Ok("DK"));
        assert!(country("UK").is_err() && country("DNK").is_err() && country("QQ").is_err());
        assert!(method("get").is_err() && method("A B").is_err() && method("PROPFIND").is_ok());
        assert!(is_e164("+15005550006") && !is_e164("15005550006") && !is_e164("+0123456789"));
        assert!(name("a-b_c.d").is_ok() && name("a b").is_err() && name("").is_err());
    }

    #[test]
    fn urls_and_origins() {
        assert_eq!(url("https://sms.example.org/send"), Ok(false));
        assert_eq!(url("http://127.0.0.1:13013/x"), Ok(false));
        assert_eq!(url("http://[::1]:13013/x"), Ok(false));
        assert_eq!(url("http://sms.example.org/x"), Ok(true));
        for text in [
            "ftp://a/",
            "a",
            "/a",
            "https://u:p@a/",
            "https://a/?b=c",
            "https://a/{phone}",
            "https://",
        ] {
            assert!(url(text).is_err(), "{text:?}");
        }
        assert!(!url("https://u:hunter2@a/").unwrap_err().contains("hunter2"));
        assert_eq!(
            origin("https://App.example.org:443").as_deref(),
            Ok("https://app.example.org")
        );
        assert_eq!(
            origin("http://localhost:3000").as_deref(),
            Ok("http://localhost:3000")
        );
        for text in [
            "*",
            "null",
            "app.example.org",
            "https://a/",
            "https://*.a",
            "ftp://a",
            "https://",
        ] {
            assert!(origin(text).is_err(), "{text:?}");
        }
    }
}
