//! Vestibule's own pages.

use super::Lift;
use crate::config::model::{Color, Colors, Logo, LogoKind, Palette, Portal, Support};
use crate::config::raw;
use crate::config::tree::At;
use crate::config::values::Credential;
use std::collections::BTreeMap;

/// The least contrast at which text is read by most people (WCAG 2.2, 1.4.3).
const CONTRAST_MIN: f64 = 4.5;
/// Characters of a name or a line of support.
const LINE_CHARS_MAX: usize = 200;

impl Lift<'_> {
    pub(super) fn portal(&mut self, raw: &raw::Config, at: At<'_>) -> Option<Portal> {
        let own = &raw.portal;
        let prefix = self.prefix(raw, at.key("prefix"));
        let name = self.line_of_text(own.name.as_deref(), at.key("name"));
        let logo = own.logo.as_deref();
        let logo = logo.and_then(|path| self.logo(path, at.key("logo")));
        let support = self.line_of_text(own.support.as_deref(), at.key("support"));
        let support = support.map(|text| match text.as_str() {
            url if is_web(url) => Support::Url(text),
            address if is_mail(address) => Support::Mail(text),
            _ => Support::Text(text),
        });
        let usual = Colors::default();
        let at_colors = at.key("colors");
        let light = self.palette(&own.colors.light, usual.light, at_colors.key("light"));
        let dark = self.palette(&own.colors.dark, usual.dark, at_colors.key("dark"));
        Some(Portal {
            prefix: prefix?,
            name,
            logo,
            support,
            colors: Colors { light, dark },
        })
    }

    /// A path of plain segments below which no route has anything to find.
    fn prefix(&mut self, raw: &raw::Config, at: At<'_>) -> Option<String> {
        let text = raw.portal.prefix.as_str();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let is_segment = |segment: &str| {
            !segment.is_empty() && !matches!(segment, "." | "..") && segment.chars().all(is_plain)
        };
        let segments = text.strip_prefix('/').map(|rest| rest.split('/'));
        if !segments.is_some_and(|mut all| all.all(is_segment)) {
            let mend = "write a path without a slash at its end, of letters, digits and -._~, like /.vestibule";
            self.error(at, format!("{text:?}: {mend}"));
            return None;
        }
        let taken = paths_looked_at(raw);
        let below = taken.iter().find(|path| {
            let rest = path.strip_prefix(text);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if let Some(path) = below {
            let mend = "nothing below the prefix is forwarded: write another";
            self.error(at, format!("{path:?} is below {text:?}: {mend}"));
            return None;
        }
        Some(text.to_owned())
    }

    /// A text of one line.
    fn line_of_text(&mut self, text: Option<&str>, at: At<'_>) -> Option<String> {
        let text = text?.trim();
        if text.is_empty() {
            self.error(at, "is empty: write a line of text, or remove the key");
        } else if text.chars().any(char::is_control) || text.chars().count() > LINE_CHARS_MAX {
            let mend = format!("must be one line of {LINE_CHARS_MAX} characters at most");
            self.error(at, mend);
        }
        Some(text.to_owned())
    }

    fn logo(&mut self, path: &str, at: At<'_>) -> Option<Logo> {
        let (path, bytes) = self.content(path, at)?;
        let path = path.display();
        if bytes.len() > LogoKind::BYTES_MAX {
            let kib = bytes.len().div_ceil(1024);
            let max = LogoKind::BYTES_MAX >> 10;
            self.error(at, format!("{path} has {kib} KiB: at most {max} are taken"));
            return None;
        }
        let Some(kind) = LogoKind::of(&bytes) else {
            self.error(at, format!("{path} is no PNG, SVG, WebP or JPEG picture"));
            return None;
        };
        Some(Logo { kind, bytes })
    }

    fn palette(&mut self, raw: &raw::Palette, usual: Palette, at: At<'_>) -> Palette {
        let palette = Palette {
            accent: self.color(raw.accent.as_deref(), usual.accent, at.key("accent")),
            text: self.color(raw.text.as_deref(), usual.text, at.key("text")),
            background: self.color(
                raw.background.as_deref(),
                usual.background,
                at.key("background"),
            ),
            surface: self.color(raw.surface.as_deref(), usual.surface, at.key("surface")),
        };
        let inks = [("text", palette.text), ("accent", palette.accent)];
        let papers = [
            ("surface", palette.surface),
            ("background", palette.background),
        ];
        // One colour that is wrong is said once, not with each of its neighbours.
        let worst = inks
            .iter()
            .flat_map(|ink| papers.iter().map(move |paper| (ink, paper)))
            .map(|(ink, paper)| (ink.1.contrast(paper.1), ink, paper))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((contrast, (ink, _), (paper, _))) = worst
            && contrast < CONTRAST_MIN
        {
            let text = format!(
                "`{ink}` on `{paper}` has a contrast of {contrast:.1}:1: many cannot read it; {CONTRAST_MIN}:1 is the least"
            );
            self.warn(at, text);
        }
        palette
    }

    fn color(&mut self, text: Option<&str>, usual: Color, at: At<'_>) -> Color {
        let Some(text) = text else {
            return usual;
        };
        Color::parse(text).unwrap_or_else(|| {
            self.error(
                at,
                format!("{text:?} is not a colour: write #rrggbb, like \"#0b57d0\""),
            );
            usual
        })
    }
}

/// The paths that requests are looked for at besides the pages: a prefix over one would hide it.
fn paths_looked_at(raw: &raw::Config) -> Vec<&str> {
    let identities = raw.identities.iter().flat_map(BTreeMap::values);
    let learned = identities.filter_map(|identity| identity.learn.as_ref()?.endpoint.as_deref());
    let routes = raw.routes.iter().flatten();
    let tokens = routes.flat_map(|route| &route.credentials);
    let tokens = tokens.filter_map(|credential| match credential {
        Credential::Path(path) => Some(path.as_str()),
        Credential::Bearer | Credential::Basic | Credential::Cookie(_) | Credential::Query(_) => {
            None
        }
    });
    learned.chain(tokens).collect()
}

fn is_web(text: &str) -> bool {
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    is_web
        && text
            .parse::<http::Uri>()
            .is_ok_and(|uri| uri.host().is_some())
}

/// Whether a text is most likely meant as an email address.
fn is_mail(text: &str) -> bool {
    let parts = text.split_once('@');
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"@?&#%".contains(c);
    parts.is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.contains('.')
            && (local.chars().chain(domain.chars())).all(is_plain)
    })
}
