//! What does not count as use of a session, and which browsers are remembered.

use super::Lift;
use super::routes::is_of_accounts;
use super::syntax;
use crate::config::model::{Background, Remember};
use crate::config::raw;
use crate::config::tree::At;
use crate::config::values;

impl Lift<'_> {
    pub(super) fn background(
        &mut self,
        raw: &[raw::Background],
        at: At<'_>,
    ) -> Option<Vec<Background>> {
        let mut lifted = Vec::new();
        for (index, one) in raw.iter().enumerate() {
            let at = at.index(index);
            let (at_methods, at_paths) = (at.key("methods"), at.key("paths"));
            let methods = self.each(one.methods.as_deref(), at_methods, |lift, text, at| {
                lift.checked(syntax::method(text), at)
            });
            let mend = "write the paths that are polled, like [/api/notifications]";
            let texts = self.filled(one.paths.as_deref(), at_paths, mend)?;
            let mut paths = Vec::new();
            for (index, text) in texts.iter().enumerate() {
                paths.push(self.rule_path(text, at_paths.index(index)));
            }
            if texts.iter().any(|path| path == "/") {
                let text = "covers every path: nothing keeps a session from idling out";
                self.warn(at_paths, text);
            }
            lifted.push(Background {
                methods: methods?,
                paths: paths.into_iter().collect::<Option<_>>()?,
                line: self.line(at),
            });
        }
        Some(lifted)
    }

    pub(super) fn remember(&mut self, raw: values::Remember, at: At<'_>) -> Remember {
        match raw {
            values::Remember::Never => Remember::Never,
            values::Remember::For(period) => Remember::For(self.period(period, at)),
            values::Remember::Forever => Remember::Forever,
        }
    }

    /// A browser is recognised when somebody signs in at our own page, and nowhere else.
    pub(super) fn remembers_own(&mut self, raw: &raw::Config, route: &raw::Route, at: At<'_>) {
        let identities = raw.identities.as_ref().zip(route.identity.as_ref());
        // One that does not exist has been reported.
        let is_known = identities.is_some_and(|(all, name)| all.contains_key(name));
        if route.remember == values::Remember::Never || is_of_accounts(raw, route) || !is_known {
            return;
        }
        let text = "goes with an identity of `accounts` only: browsers are remembered where people sign in \
                    at Vestibule's own page";
        self.error(at.key("remember"), text);
    }
}
