//! What a form must bring before a page's handler sees it: it was sent by a page of this origin
//! (Fetch Metadata, `Origin`), by its browser and no script, and that page was shown to this very browser.
//!
//! Each form carries a keyed digest of the device that it was shown to. Nobody else can make one, and
//! the device's cookie cannot be read by a script or set from elsewhere.

use super::super::decode::Fields;
use super::super::{Call, Local, Reply, origin};
use super::page::Frame;
use super::said::Stop;
use super::visitor::Device;
use super::{cookie, passkey};
use http::header::SET_COOKIE;
use http::{HeaderMap, Method};

/// A visit to a page: its call, its frame, and what its form sent. A POST has been checked.
pub(super) struct Visit<'a> {
    pub(super) call: &'a Call,
    pub(super) frame: Frame<'a>,
    /// What a POST sent.
    pub(super) fields: Fields,
    /// The browser's device cookie is set with the page: it has none yet.
    new_device: Option<String>,
}

impl Local {
    /// Begins a visit. A POST that does not come from a page of ours, shown to this browser, goes no
    /// further.
    pub(super) fn visit<'a>(&self, call: &'a Call) -> Result<Visit<'a>, Stop> {
        let keys = &self.auth.keys;
        let is_post = call.method == Method::POST;
        if is_post && !origin::is_own(call) {
            return Err(Stop::Foreign);
        }
        // Whatever the backend serves, a file that somebody has uploaded as well, is of this origin, too:
        // its scripts may neither read our pages nor send our forms. Browsers alone say so.
        let is_scripted = !is_opened(&call.headers);
        if is_scripted && !is_post {
            return Err(Stop::Scripted);
        }
        // With a device that the way back names, no cookie is set: the two would conflict there.
        let known = Device::of(call)?;
        let mut visit = Visit {
            call,
            frame: self.frame(call),
            fields: Fields::default(),
            new_device: None,
        };
        let device = match known.name() {
            Some(device) => device.to_owned(),
            None if is_post => return Err(Stop::NoCookie),
            None => {
                let device = self.new_device()?;
                visit.new_device.insert(device).clone()
            }
        };
        let digest = keys.form(&device);
        if is_post {
            visit.fields = Fields::body(call).map_err(|error| Stop::malformed(&error))?;
            let sent = visit
                .fields
                .text("form")
                .map_err(|error| Stop::malformed(&error))?;
            if !digest.is(&sent.unwrap_or_default()) {
                return Err(Stop::StaleForm);
            }
            if is_scripted && visit.field("action")? != passkey::ASK {
                return Err(Stop::Scripted);
            }
        }
        visit.frame.form = digest.text();
        Ok(visit)
    }

    /// Gives a browser its device cookie with the first page that it is shown.
    pub(super) fn with_device(&self, visit: &Visit<'_>, reply: Reply) -> Reply {
        match &visit.new_device {
            Some(device)
                if reply.status().is_success() && !reply.headers().contains_key(SET_COOKIE) =>
            {
                cookie::set_device(reply, visit.call, device, self.cookie_secs())
            }
            _ => reply,
        }
    }
}

impl Visit<'_> {
    /// A field of the form as text; empty if it is not there.
    pub(super) fn field(&self, name: &'static str) -> Result<String, Stop> {
        let text = self
            .fields
            .text(name)
            .map_err(|error| Stop::malformed(&error))?;
        Ok(text.unwrap_or_default().into_owned())
    }
}

/// Whether a person's browser opens a page or sends its form, as far as it says (Fetch Metadata, section 2.3).
fn is_opened(headers: &HeaderMap) -> bool {
    let mut modes = headers.get_all("sec-fetch-mode").iter();
    modes.all(|mode| mode == "navigate")
}
