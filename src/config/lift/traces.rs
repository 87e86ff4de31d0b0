//! Traces.

use super::{Lift, syntax};
use crate::config::model::Traces;
use crate::config::raw;
use crate::config::tree::At;

impl Lift<'_> {
    /// The outer `None`: something is wrong; the inner one: there are no traces.
    pub(super) fn traces(
        &mut self,
        raw: Option<&raw::Traces>,
        at: At<'_>,
    ) -> Option<Option<Traces>> {
        let Some(raw) = raw else {
            // A section that was reported already is not one that was left out.
            return (!self.is_pruned(at)).then_some(None);
        };
        let at_url = at.key("otlp");
        let mend = "write the collector's address, like http://127.0.0.1:4318/v1/traces";
        let url = self.required(raw.otlp.as_ref(), at_url, mend).cloned();
        let is_in_the_clear = url
            .as_ref()
            .and_then(|url| self.checked(syntax::collector_url(url), at_url));
        if is_in_the_clear == Some(true) {
            let text = "traces go over the network in the clear: write https://";
            self.warn(at_url, text);
        }
        let headers = self.headers(&raw.headers, at.key("headers"));
        let sample = raw.sample.parse().ok();
        let sample = sample.filter(|share| (0.0..=1.0).contains(share));
        if sample.is_none() {
            let text = format!("{:?} is not a share from 0 to 1, like 0.1", raw.sample);
            self.error(at.key("sample"), text);
        }
        if raw.service_name.is_empty() {
            self.error(
                at.key("service_name"),
                "is empty: write a name, or remove it",
            );
        }
        is_in_the_clear?;
        Some(Some(Traces {
            url: url?,
            headers: headers?,
            sample: sample?,
            service_name: raw.service_name.clone(),
        }))
    }
}
