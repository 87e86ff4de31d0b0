//! What Vestibule's own pages look like, and where they are.

/// The pages' section of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portal {
    /// Where all of Vestibule's own paths begin: canonical, without a slash at its end.
    pub prefix: String,
    /// What the service is called; `None`: as in messages.
    pub name: Option<String>,
    pub logo: Option<Logo>,
    pub support: Option<Support>,
    pub colors: Colors,
}

impl Portal {
    /// The prefix where none is configured.
    pub const PREFIX: &str = "/.vestibule";

    /// Where clients find a path of Vestibule's own, which the program writes with
    /// [`Portal::PREFIX`]. Other paths are where they are.
    #[must_use]
    pub fn address(&self, written: &str) -> String {
        let rest = written.strip_prefix(Self::PREFIX);
        rest.map_or_else(
            || written.to_owned(),
            |rest| format!("{}{rest}", self.prefix),
        )
    }
}

impl Default for Portal {
    fn default() -> Self {
        Self {
            prefix: Self::PREFIX.to_owned(),
            name: None,
            logo: None,
            support: None,
            colors: Colors::default(),
        }
    }
}

/// A picture, as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    pub kind: LogoKind,
    pub bytes: Vec<u8>,
}

/// The formats that every browser shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoKind {
    Png,
    Svg,
    WebP,
    Jpeg,
}

impl LogoKind {
    /// Bytes of the largest logo.
    pub const BYTES_MAX: usize = 256 << 10;

    /// What a file is by its first bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
        match bytes {
            _ if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => Some(Self::Png),
            _ if bytes.starts_with(b"\xff\xd8\xff") => Some(Self::Jpeg),
            _ if is_webp => Some(Self::WebP),
            _ => {
                let text = std::str::from_utf8(bytes).ok()?.trim_start();
                let is_xml = text.starts_with("<svg") || text.starts_with("<?xml");
                (is_xml && text.contains("<svg")).then_some(Self::Svg)
            }
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Svg => "image/svg+xml",
            Self::WebP => "image/webp",
            Self::Jpeg => "image/jpeg",
        }
    }
}

/// Whom people ask who cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    Text(String),
    /// An http or https URL.
    Url(String),
    /// An email address.
    Mail(String),
}

/// The colours of the pages, by day and by night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors {
    pub light: Palette,
    pub dark: Palette,
}

/// The colours of one scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Buttons and links.
    pub accent: Color,
    pub text: Color,
    pub background: Color,
    /// What text stands on, before the background.
    pub surface: Color,
}

impl Default for Colors {
    fn default() -> Self {
        Self {
            light: Palette {
                accent: Color(0x0b, 0x57, 0xd0),
                text: Color(0x1b, 0x1f, 0x24),
                background: Color(0xf6, 0xf7, 0xf9),
                surface: Color::WHITE,
            },
            dark: Palette {
                accent: Color(0x8a, 0xb4, 0xf8),
                text: Color(0xe6, 0xe8, 0xeb),
                background: Color(0x15, 0x18, 0x1c),
                surface: Color(0x1e, 0x23, 0x28),
            },
        }
    }
}

/// A colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

impl Color {
    pub const BLACK: Self = Self(0, 0, 0);
    pub const WHITE: Self = Self(255, 255, 255);

    /// Reads `#rrggbb`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let is_hex = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
        let [_, red, green, blue] = value.to_be_bytes();
        Some(Self(red, green, blue))
    }

    /// The contrast between two colours, 1 to 21 (WCAG 2.2).
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Black or white, whichever is read better on it: always at 4.5:1 or more.
    #[must_use]
    pub fn ink(self) -> Self {
        match self.contrast(Self::WHITE) >= self.contrast(Self::BLACK) {
            true => Self::WHITE,
            false => Self::BLACK,
        }
    }

    /// The relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            match value <= 0.04045 {
                true => value / 12.92,
                false => ((value + 0.055) / 1.055).powf(2.4),
            }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }
}

impl std::fmt::Display for Color {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// A cookie of Vestibule's own, which is never forwarded, and in which no token of others travels.
#[derive(Clone, Copy, Debug)]
pub struct OwnCookie {
    tls: &'static str,
    plain: &'static str,
}

impl OwnCookie {
    /// Tells browsers apart.
    pub const DEVICE: Self = Self {
        tls: "__Host-vestibule_device",
        plain: "vestibule_device",
    };
    /// The token of whoever has signed in on a page, or opened a share link.
    pub const TOKEN: Self = Self {
        tls: "__Host-vestibule_token",
        plain: "vestibule_token",
    };
    /// By which a browser is remembered.
    pub const BROWSER: Self = Self {
        tls: "__Host-vestibule_browser",
        plain: "vestibule_browser",
    };
    /// All their names.
    pub const NAMES: [&str; 6] = [
        Self::DEVICE.tls,
        Self::DEVICE.plain,
        Self::TOKEN.tls,
        Self::TOKEN.plain,
        Self::BROWSER.tls,
        Self::BROWSER.plain,
    ];

    /// Its name: over TLS one that a browser takes from this very host alone (RFC 6265bis, `__Host-`).
    #[must_use]
    pub const fn name(self, tls: bool) -> &'static str {
        match tls {
            true => self.tls,
            false => self.plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_as_they_are_written() {
        for text in ["#000000", "#ffffff", "#0b57d0"] {
            assert_eq!(Color::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Color::parse("#0B57D0"), Color::parse("#0b57d0"));
        for bad in [
            "",
            "0b57d0",
            "#fff",
            "#0b57d0ff",
            "#+b57d0",
            "#0b57dø",
            "red",
        ] {
            assert_eq!(Color::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        let between = |a: &str, b: &str| {
            let contrast = Color::parse(a).unwrap().contrast(Color::parse(b).unwrap());
            (contrast * 100.0).round() / 100.0
        };
        assert_eq!(between("#000000", "#ffffff"), 21.0);
        assert_eq!(between("#777777", "#ffffff"), 4.48);
        assert_eq!(between("#ffffff", "#767676"), 4.54);
        assert_eq!(between("#123456", "#123456"), 1.0);
    }

    #[test]
    fn something_can_be_read_on_every_colour() {
        for value in (0..=255_u8).step_by(5) {
            for color in [
                Color(value, value, value),
                Color(value, 0, 255),
                Color(255, value, 0),
            ] {
                assert!(color.contrast(color.ink()) >= 4.5, "{color}");
            }
        }
    }

    #[test]
    fn a_logo_is_known_by_its_bytes() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], Some(LogoKind::Png)),
            (b"\xff\xd8\xff\xe0", Some(LogoKind::Jpeg)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(LogoKind::WebP)),
            (b"\n<svg xmlns=''/>", Some(LogoKind::Svg)),
            (b"<?xml version='1.0'?><svg/>", Some(LogoKind::Svg)),
            (b"<?xml version='1.0'?><html/>", None),
            (b"<html><svg/></html>", None),
            (b"GIF89a", None),
            (b"RIFF", None),
            (b"", None),
        ] {
            assert_eq!(LogoKind::of(bytes), kind, "{bytes:?}");
        }
    }
}
