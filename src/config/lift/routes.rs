//! Virtual hosts and their policies.

use super::Lift;
use super::syntax;
use crate::config::model::{CredentialSource, Dialect, OwnCookie, Route};
use crate::config::raw;
use crate::config::tree::At;
use crate::config::values::Credential;
use std::collections::BTreeMap;

/// The parameters of the local endpoints: no token travels under their names.
const RESERVED_PARAMETERS: [&str; 3] = ["deviceId", "authcode", "fresh"];

impl Lift<'_> {
    pub(super) fn routes(&mut self, raw: &raw::Config, at: At<'_>) -> Option<Vec<Route>> {
        let mend = "write at least one, or nothing is served";
        let routes = self.filled(raw.routes.as_deref(), at, mend)?;
        let mut names = BTreeMap::new();
        let mut hosts = BTreeMap::new();
        let mut lifted = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            let at = at.index(index);
            let name = self.route_name(route, at, &mut names);
            let own_hosts = self.hosts(route, at.key("hosts"), &mut hosts);
            self.references(raw, route, at);
            self.warn_of_no_success_tokens(raw, route, at);
            self.warn_of_rules(raw, route, at);
            self.takes_passwords(raw, route, at);
            self.remembers_own(raw, route, at);
            let is_own = is_of_accounts(raw, route);
            let route = self.route(route, raw.tokens.algorithm, at);
            lifted.push(
                name.zip(own_hosts)
                    .zip(route)
                    .map(|((name, hosts), route)| {
                        let mut route = Route {
                            name,
                            hosts,
                            ..route
                        };
                        route.forward.passwords |= !is_own;
                        if is_own {
                            route.credentials.push(CredentialSource::OwnCookie);
                        }
                        route
                    }),
            );
        }
        self.warn_of_no_delivery(raw, at);
        lifted.into_iter().collect()
    }

    /// Everything but the name and the hosts, which are checked across routes.
    fn route(
        &mut self,
        raw: &raw::Route,
        algorithm: raw::SigningAlgorithm,
        at: At<'_>,
    ) -> Option<Route> {
        let credentials = self.credentials(&raw.credentials, at.key("credentials"));
        let dialects = self.dialects(&raw.dialects, at.key("dialects"));
        let rules = self.rules(&raw.rules, at.key("rules"));
        let background = self.background(&raw.background, at.key("background"));
        let at_region = at.key("phone_region");
        let region = raw.phone_region.as_deref();
        let phone_region = region.and_then(|text| self.checked(syntax::country(text), at_region));
        let forward = self.forward(&raw.forward, raw.name.as_deref(), at.key("forward"));
        if raw.require == raw::Require::None {
            self.warn(
                at.key("require"),
                "every path that no rule names is open to all: better rules for the open ones",
            );
        }
        let freshness = (raw.within, raw.max_idle, raw.assurance.as_ref());
        let require = self.requirement(raw.require, freshness, at);
        Some(Route {
            name: String::new(),
            hosts: Vec::new(),
            upstream: raw.upstream.clone()?,
            identity: raw.identity.clone()?,
            credentials: credentials?,
            dialects,
            rules: rules?,
            require: require?,
            line: self.line(at),
            background: background?,
            remember: self.remember(raw.remember, at.key("remember")),
            self_enrolment: raw.self_enrolment,
            phone_region,
            forward: forward?,
            token_algorithm: raw.token_algorithm.unwrap_or(algorithm).into(),
            cors_origins: self.origins(raw.cors.as_ref(), at.key("cors")),
            encoded_slashes: matches!(raw.encoded_slashes, raw::EncodedSlashes::Keep),
            service_workers: matches!(raw.service_workers, raw::ServiceWorkers::Allow),
            body_bytes_max: raw.body_bytes_max,
        })
    }

    fn route_name<'r>(
        &mut self,
        raw: &'r raw::Route,
        at: At<'_>,
        names: &mut BTreeMap<&'r str, usize>,
    ) -> Option<String> {
        let at = at.key("name");
        let mend = "write a name of your own, for logs and metrics";
        let name = self.required(raw.name.as_ref(), at, mend)?;
        self.checked(syntax::name(name), at)?;
        let line = self.line(at);
        if let Some(first) = names.insert(name, line) {
            self.error(
                at,
                format!("there is a route {name:?} already (line {first}): write another name"),
            );
            return None;
        }
        Some(name.clone())
    }

    fn hosts(
        &mut self,
        raw: &raw::Route,
        at: At<'_>,
        seen: &mut BTreeMap<String, usize>,
    ) -> Option<Vec<String>> {
        let mend = "write the names that clients ask for, like [files.example.org], or [\"*\"]";
        let raw = self.filled(raw.hosts.as_deref(), at, mend)?;
        let mut hosts = Vec::new();
        for (index, text) in raw.iter().enumerate() {
            let at = at.index(index);
            let Some(host) = self.checked(syntax::host(text), at) else {
                continue;
            };
            let line = self.line(at);
            if let Some(first) = seen.insert(host.clone(), line) {
                self.error(
                    at,
                    format!("{host:?} is taken already (line {first}): a host has one route"),
                );
                continue;
            }
            hosts.push(host);
        }
        (hosts.len() == raw.len()).then_some(hosts)
    }

    fn references(&mut self, raw: &raw::Config, route: &raw::Route, at: At<'_>) {
        let upstreams = raw
            .upstreams
            .iter()
            .flat_map(BTreeMap::keys)
            .map(String::as_str);
        let upstreams: Vec<&str> = upstreams.collect();
        self.reference(
            route.upstream.as_ref(),
            at.key("upstream"),
            ("upstream", "upstreams"),
            &upstreams,
        );
        let identities = raw
            .identities
            .iter()
            .flat_map(BTreeMap::keys)
            .map(String::as_str);
        let identities: Vec<&str> = identities.collect();
        self.reference(
            route.identity.as_ref(),
            at.key("identity"),
            ("identity", "identities"),
            &identities,
        );
    }

    /// `kind` is the thing in the singular, and the section that defines it.
    fn reference(
        &mut self,
        name: Option<&String>,
        at: At<'_>,
        (thing, section): (&str, &str),
        defined: &[&str],
    ) {
        let root = At::Root;
        let section_at = root.key(section);
        let Some(name) = self.required(name, at, &format!("write a name of `{section}`")) else {
            return;
        };
        // One that is there but was wrong has been reported; so has a section.
        if defined.contains(&name.as_str()) || self.is_pruned(section_at.key(name)) {
            return;
        }
        let known: Vec<String> = defined
            .iter()
            .map(|known| format!("{known} (line {})", self.line(section_at.key(known))))
            .collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        self.error(
            at,
            format!("there is no {thing} {name:?}; defined: {known}"),
        );
    }

    /// Where a route takes passwords, somebody must be able to say whether one is right.
    fn takes_passwords(&mut self, raw: &raw::Config, route: &raw::Route, at: At<'_>) {
        let is_basic = |one: &Credential| matches!(one, Credential::Basic);
        let Some(index) = route.credentials.iter().position(is_basic) else {
            return;
        };
        let identities = raw.identities.as_ref();
        let identity = identities.zip(route.identity.as_ref());
        let Some(identity) = identity.and_then(|(all, name)| all.get(name)) else {
            return;
        };
        let at_credentials = at.key("credentials");
        let at = at_credentials.index(index);
        if identity.jwt.is_some() || identity.introspection.is_some() {
            let text = "goes with `accounts` and `learn` only: this identity's tokens are another's, \
                        who is not asked about passwords";
            self.error(at, text);
        }
        self.warn_of_shared_networks(raw, at);
        if identity.learn.is_some() && route.self_enrolment {
            let text = "with `self_enrolment`, a password is taken only where the answer to `probe` names \
                        the user: others are refused, for a backend may take several spellings of a name";
            self.warn(at, text);
        }
        let is_unprobed = |learn: &raw::Learn| learn.probe.is_none();
        if identity.learn.as_ref().is_some_and(is_unprobed) {
            let text = "needs a `probe` in the identity's `learn`: a path of the backend that answers 2xx \
                        to the right name and password alone";
            self.error(at, text);
        }
    }

    /// A client that sends a password and names no device is known by its network.
    fn warn_of_shared_networks(&mut self, raw: &raw::Config, at: At<'_>) {
        let mut listeners = raw.listeners.iter().flatten();
        if raw.trusted_proxies.is_empty() && listeners.any(|listener| listener.tls.is_none()) {
            let text = "without `trusted_proxies`, all clients behind a proxy are in one network, and who \
                        lets in one of them lets in everybody with that password: name your proxies";
            self.warn(at, text);
        }
    }

    fn credentials(&mut self, raw: &[Credential], at: At<'_>) -> Option<Vec<CredentialSource>> {
        self.filled(Some(raw), at, "write at least one, like [bearer]")?;
        let mut sources = Vec::new();
        for (index, credential) in raw.iter().enumerate() {
            let at = at.index(index);
            let Some(source) = self.credential(credential, at) else {
                continue;
            };
            if sources.contains(&source) {
                self.error(at, "is there twice: keep one");
            }
            sources.push(source);
        }
        (sources.len() == raw.len()).then_some(sources)
    }

    fn credential(&mut self, raw: &Credential, at: At<'_>) -> Option<CredentialSource> {
        match raw {
            Credential::Bearer => Some(CredentialSource::Bearer),
            Credential::Basic => Some(CredentialSource::Basic),
            Credential::Cookie(name) => {
                let at = at.key("cookie");
                self.checked(syntax::token(name), at)?;
                if OwnCookie::NAMES.contains(&name.as_str()) {
                    self.error(
                        at,
                        "this cookie is Vestibule's own: name the one that your backend sets",
                    );
                    return None;
                }
                Some(CredentialSource::Cookie(name.clone()))
            }
            Credential::Query(name) => {
                let at = at.key("query");
                if name.is_empty() || name.chars().any(char::is_control) {
                    self.error(at, format!("{name:?} is not a name of a parameter"));
                    return None;
                }
                if RESERVED_PARAMETERS.contains(&name.as_str()) {
                    self.error(
                        at,
                        format!("{name:?} has a meaning of its own: a token cannot travel in it"),
                    );
                    return None;
                }
                Some(CredentialSource::Query(name.clone()))
            }
            Credential::Path(path) => {
                let prefix = self.checked(syntax::token_path(path), at.key("path"))?;
                Some(CredentialSource::Path(prefix))
            }
        }
    }

    fn dialects(&mut self, raw: &[raw::Dialect], at: At<'_>) -> Vec<Dialect> {
        let mut dialects = Vec::new();
        for (index, dialect) in raw.iter().enumerate() {
            let dialect = match dialect {
                raw::Dialect::IoGates => Dialect::IoGates,
                raw::Dialect::Ziik => Dialect::Ziik,
                raw::Dialect::B2Core => Dialect::B2Core,
                raw::Dialect::Conduit => Dialect::Conduit,
            };
            if dialects.contains(&dialect) {
                self.error(at.index(index), "is there twice: keep one");
            }
            dialects.push(dialect);
        }
        dialects
    }

    fn origins(&mut self, raw: Option<&raw::Cors>, at: At<'_>) -> Vec<String> {
        let at = at.key("origins");
        let Some(cors) = raw else {
            return Vec::new();
        };
        let mend = "write the origins of the pages, like [\"https://app.example.org\"]";
        let raw = self.filled(cors.origins.as_deref(), at, mend);
        let mut origins = Vec::new();
        for (index, text) in raw.unwrap_or_default().iter().enumerate() {
            origins.extend(self.checked(syntax::origin(text), at.index(index)));
        }
        origins
    }

    /// Success tokens come of a challenge by mail.
    fn warn_of_no_success_tokens(&mut self, raw: &raw::Config, route: &raw::Route, at: At<'_>) {
        let gives = |other: &raw::Route| {
            other.identity == route.identity && other.dialects.contains(&raw::Dialect::B2Core)
        };
        if raw.delivery.email.is_some() && raw.routes.iter().flatten().any(gives) {
            return;
        }
        let text = "nobody is given a success token: these paths stay closed to all. It takes \
                    `delivery.email`, and the dialect b2core on a route of this identity";
        let asks = |require: raw::Require| require == raw::Require::SuccessToken;
        if asks(route.require) {
            self.warn(at.key("require"), text);
        }
        for (index, rule) in route.rules.iter().enumerate() {
            if rule.require.is_some_and(asks) {
                self.warn(at.key("rules").index(index).key("require"), text);
            }
        }
    }

    /// A second factor that nobody can pass: no code is sent, and nobody can set an app up.
    fn warn_of_no_delivery(&mut self, raw: &raw::Config, at: At<'_>) {
        let root = At::Root;
        let is_pruned = self.is_pruned(root.key("delivery"));
        if is_pruned || !raw.delivery.sms.is_empty() {
            return;
        }
        let routes = raw.routes.as_deref().unwrap_or_default();
        let asks = |route: &raw::Route| {
            let mut rules = route.rules.iter();
            !route.self_enrolment
                && (route.require == raw::Require::TwoFactor
                    || rules.any(|rule| rule.require == Some(raw::Require::TwoFactor)))
        };
        if let Some(index) = routes.iter().position(asks) {
            self.warn(
                at.index(index),
                "asks for a second factor, but `delivery.sms` has no provider: nobody can get a code",
            );
        }
    }

    /// Identities and upstreams that no route names.
    pub(super) fn unused(&mut self, raw: &raw::Config) {
        let root = At::Root;
        let routes = raw.routes.as_deref().unwrap_or_default();
        for name in raw.upstreams.iter().flat_map(BTreeMap::keys) {
            if !routes
                .iter()
                .any(|route| route.upstream.as_ref() == Some(name))
            {
                self.warn(root.key("upstreams").key(name), "no route uses it");
            }
        }
        for name in raw.identities.iter().flat_map(BTreeMap::keys) {
            if !routes
                .iter()
                .any(|route| route.identity.as_ref() == Some(name))
            {
                self.warn(root.key("identities").key(name), "no route uses it");
            }
        }
    }
}

/// Whether the route's users sign in at Vestibule's own page.
pub(super) fn is_of_accounts(raw: &raw::Config, route: &raw::Route) -> bool {
    let identities = raw.identities.as_ref();
    let identity = route.identity.as_ref().zip(identities);
    let identity = identity.and_then(|(name, all)| all.get(name));
    matches!(
        identity,
        Some(raw::Identity {
            accounts: Some(_),
            ..
        })
    )
}
