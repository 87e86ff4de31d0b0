//! The shape of `portal`: Vestibule's own pages.

use crate::config::model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Vestibule's own pages: where they are, and what they look like.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Portal {
    /// Where all of Vestibule's own paths begin; nothing below it is ever forwarded.
    pub(in crate::config) prefix: String,
    /// What people call your service. Without it, the first host of the routes.
    #[schemars(extend("examples" = ["Example Files"]))]
    pub(in crate::config) name: Option<String>,
    /// A picture at the top of each page: a PNG, SVG, WebP or JPEG file of 256 KiB at most.
    #[schemars(extend("examples" = ["logo.svg"]))]
    pub(in crate::config) logo: Option<String>,
    /// Whom people ask who cannot go on: a line of text, a URL or an email address.
    #[schemars(extend("examples" = ["help@example.org", "https://example.org/help", "Call 1234 on weekdays."]))]
    pub(in crate::config) support: Option<String>,
    pub(in crate::config) colors: Colors,
}

impl Default for Portal {
    fn default() -> Self {
        Self {
            prefix: model::Portal::PREFIX.to_owned(),
            name: None,
            logo: None,
            support: None,
            colors: Colors::default(),
        }
    }
}

/// The colours of the pages, as `#rrggbb`.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Colors {
    /// By day.
    pub(in crate::config) light: Palette,
    /// For those whose system is dark.
    pub(in crate::config) dark: Palette,
}

/// The colours of one scheme.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Palette {
    /// Buttons and links.
    #[schemars(extend("examples" = ["#0b57d0"]))]
    pub(in crate::config) accent: Option<String>,
    pub(in crate::config) text: Option<String>,
    pub(in crate::config) background: Option<String>,
    /// What text stands on, before the background.
    pub(in crate::config) surface: Option<String>,
}
