//! What a client calls itself (`User-Agent`, RFC 9110 section 10.1.5), in a few words by which a
//! person recognises it. Its own word: it tells sessions apart for people, and decides nothing.

use http::HeaderMap;
use http::header::USER_AGENT;

/// Characters of a name at most.
const NAME_MAX: usize = 40;

/// Browsers by what gives them away. Most claim to be others too: the more special come first.
const BROWSERS: [(&str, &str); 12] = [
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems likewise: Android says Linux too, and an iPhone Mac OS X.
const SYSTEMS: [(&str, &str); 9] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
];

/// What every browser claims to be made of.
const ENGINES: [&str; 5] = ["Mozilla", "AppleWebKit", "Gecko", "KHTML", "Version"];

/// `Firefox on Linux`, `rclone`; empty for a client that says nothing. Letters, digits and the few
/// signs of a token (RFC 9110 section 5.6.2) alone: never markup.
#[must_use]
pub fn words(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|it| it.to_str().ok());
    of_agent(agent.unwrap_or_default())
}

/// The same of the header's text.
#[must_use]
pub fn of_agent(agent: &str) -> String {
    if !agent.starts_with("Mozilla/") {
        return token(agent);
    }
    let known = |table: &[(&str, &'static str)]| {
        let found = table.iter().find(|(mark, _)| agent.contains(mark));
        found.map(|(_, name)| (*name).to_owned())
    };
    let name = known(&BROWSERS).unwrap_or_else(|| product(agent));
    match known(&SYSTEMS) {
        Some(system) => format!("{name} on {system}"),
        None => name,
    }
}

/// The first product behind the comment that is no engine: clients made with a browser's parts name
/// themselves there.
fn product(agent: &str) -> String {
    let outside = agent.split_once(')').map_or(agent, |(_, rest)| rest);
    let named = outside.split_ascii_whitespace().map(token);
    let mut named = named.filter(|name| !name.is_empty() && !ENGINES.contains(&name.as_str()));
    named.next().unwrap_or_else(|| "Mozilla".to_owned())
}

/// The token at the start of a text, cut.
fn token(text: &str) -> String {
    let is_tchar = |c: &char| c.is_ascii_alphanumeric() || "!#$%*+-.^_|~".contains(*c);
    let text = text.trim_ascii_start();
    text.chars().take_while(is_tchar).take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_recognise_their_browsers() {
        for (agent, words) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
                 Gecko) CriOS/140.0.0.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPad",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like \
                 Gecko) Version/18.5 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 HeadlessChrome/140.0.0.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (Linux) mirall/3.16.6 (Nextcloud)",
                "mirall on Linux",
            ),
            ("Mozilla/5.0 (compatible)", "Mozilla"),
        ] {
            assert_eq!(of_agent(agent), words, "{agent}");
        }
    }

    #[test]
    fn other_clients_go_by_their_first_name() {
        for (agent, words) in [
            ("rclone/v1.68.0", "rclone"),
            ("cadaver/0.24 neon/0.33.0", "cadaver"),
            (
                "Microsoft-WebDAV-MiniRedir/10.0.19045",
                "Microsoft-WebDAV-MiniRedir",
            ),
            ("curl", "curl"),
            ("", ""),
            ("<script>alert(1)</script>", ""),
            ("a\u{e9}", "a"),
        ] {
            assert_eq!(of_agent(agent), words, "{agent}");
        }
        assert_eq!(of_agent(&"x".repeat(300)), "x".repeat(40));
    }

    proptest! {
        #[test]
        fn no_client_says_more_than_a_few_plain_words(agent in "(Mozilla/5.0 )?\\PC{0,200}") {
            let words = of_agent(&agent);
            prop_assert!(words.len() <= 40 + " on ChromeOS".len());
            prop_assert!(!words.contains(['<', '>', '&', '"', '\'', '`']));
            prop_assert!(!words.chars().any(char::is_control));
        }
    }
}
