//! How tokens become users; [`super::issuers`] has those that others issue.

use super::Lift;
use super::syntax;
use crate::config::model::{Identity, Learn};
use crate::config::raw;
use crate::config::tree::At;
use std::collections::BTreeMap;

impl Lift<'_> {
    pub(super) fn identities(
        &mut self,
        raw: Option<&BTreeMap<String, raw::Identity>>,
        at: At<'_>,
    ) -> BTreeMap<String, Identity> {
        let mend = "write at least one, like `local: {accounts: {}}`";
        let raw = self.required(raw, at, mend);
        let mut identities = BTreeMap::new();
        for (name, identity) in raw.into_iter().flatten() {
            let at = at.key(name);
            self.checked(syntax::name(name), at);
            identities.extend(
                self.identity(identity, at)
                    .map(|lifted| (name.clone(), lifted)),
            );
        }
        identities
    }

    fn identity(&mut self, raw: &raw::Identity, at: At<'_>) -> Option<Identity> {
        match (&raw.learn, &raw.accounts, &raw.jwt, &raw.introspection) {
            (Some(learn), None, None, None) => {
                self.learn(learn, at.key("learn")).map(Identity::Learn)
            }
            (None, Some(_), None, None) => Some(Identity::Accounts),
            (None, None, Some(jwt), None) => self.jwt(jwt, at.key("jwt")).map(Identity::Jwt),
            (None, None, None, Some(introspection)) => self
                .introspection(introspection, at.key("introspection"))
                .map(Identity::Introspection),
            (None, None, None, None) if self.is_incomplete(at) => None,
            _ => {
                self.error(
                    at,
                    "write one of `learn: {…}`, `accounts: {}`, `jwt: {…}` or `introspection: {…}`",
                );
                None
            }
        }
    }

    fn learn(&mut self, raw: &raw::Learn, at: At<'_>) -> Option<Learn> {
        let at_endpoint = at.key("endpoint");
        let mend = "write the path of the backend's sign-in, like /api/authtoken";
        let endpoint = self.required(raw.endpoint.as_ref(), at_endpoint, mend);
        let endpoint = endpoint.and_then(|path| self.canonical(path, at_endpoint));
        let token = self.pointer(raw.token.as_ref(), at.key("token"), "/token");
        let user = self.pointer(raw.user.as_ref(), at.key("user"), "/profile/username");
        let more = [
            (&raw.phone, "phone"),
            (&raw.email, "email"),
            (&raw.groups, "groups"),
        ];
        for (pointer, key) in more {
            if let Some(pointer) = pointer {
                self.checked(syntax::pointer(pointer), at.key(key));
            }
        }
        if raw.phone.is_none() && !self.is_pruned(at.key("phone")) {
            self.warn(
                at,
                "without `phone`, nobody who is learned here has a number that a code could be sent to",
            );
        }
        if let Some(path) = &raw.probe {
            self.canonical(path, at.key("probe"));
        }
        let lifetime = raw
            .lifetime
            .map(|period| self.period(period, at.key("lifetime")));
        Some(Learn {
            endpoint: endpoint?,
            token: token?,
            user: user?,
            phone: raw.phone.clone(),
            email: raw.email.clone(),
            groups: raw.groups.clone(),
            probe: raw.probe.clone(),
            lifetime,
        })
    }

    fn canonical(&mut self, path: &str, at: At<'_>) -> Option<String> {
        self.checked(syntax::path(path), at)?;
        Some(path.to_owned())
    }

    fn pointer(&mut self, text: Option<&String>, at: At<'_>, example: &str) -> Option<String> {
        let mend = format!("write a JSON pointer into the sign-in's answer, like {example}");
        let text = self.required(text, at, &mend)?;
        self.checked(syntax::pointer(text), at)?;
        Some(text.clone())
    }
}
