//! Canonical host → route.

use crate::config::model;
use crate::digest::{DigestKeys, RealmKeys};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A route with what a request needs of it made ready.
#[derive(Debug)]
pub struct Route {
    pub config: model::Route,
    /// The keys of its identity's realm.
    pub keys: RealmKeys,
    /// Its identity.
    pub identity: model::Identity,
    /// What Vestibule's own pages look like, and where they are.
    pub portal: Arc<model::Portal>,
}

impl Route {
    /// Where clients find a path of Vestibule's own: see [`model::Portal::address`]. What is behind share
    /// links is written with `/share/`.
    #[must_use]
    pub fn address(&self, written: &str) -> String {
        match (
            written.strip_prefix("/share/"),
            self.share_prefixes().next(),
        ) {
            (Some(rest), Some(prefix)) => format!("{prefix}{rest}"),
            _ => self.portal.address(written),
        }
    }

    /// What stands before the tokens of Vestibule's own share links: each is a path that ends in `/`.
    pub fn share_prefixes(&self) -> impl Iterator<Item = &str> {
        let is_own = matches!(self.identity, model::Identity::Accounts);
        let sources = self.config.credentials.iter().filter(move |_| is_own);
        sources.filter_map(|source| match source {
            model::CredentialSource::Path(prefix) => Some(prefix.as_str()),
            _ => None,
        })
    }

    /// The part of a canonical path that is a share link: its prefix and one segment.
    #[must_use]
    pub fn share_link<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.share_prefixes().find_map(|prefix| {
            let rest = path.strip_prefix(prefix)?;
            let segment = rest.split('/').next().filter(|it| !it.is_empty())?;
            path.get(..prefix.len() + segment.len())
        })
    }

    /// What follows the prefix of Vestibule's own paths in a canonical path, its slash first; `None`
    /// for the paths of others.
    #[must_use]
    pub fn own_path<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.portal.prefix.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

/// All routes by host (few, so that comparing them is faster than hashing): exact names first, then the longest `*.suffix`, then `*`.
#[derive(Debug)]
pub struct Routes {
    all: Vec<Arc<Route>>,
    exact: BTreeMap<String, Arc<Route>>,
    /// `.example.org` for `*.example.org`.
    suffixes: BTreeMap<String, Arc<Route>>,
    any: Option<Arc<Route>>,
}

impl Routes {
    /// Builds the table from a validated config. Of two routes with one host the first has it; a
    /// route whose identity does not exist is left out, so that its hosts are closed.
    #[must_use]
    pub fn new(config: &model::Config, keys: &DigestKeys) -> Self {
        Self::of(&config.routes, &config.identities, &config.portal, keys)
    }

    /// The same, from the parts of a config that it is about.
    #[must_use]
    pub fn of(
        all: &[model::Route],
        identities: &BTreeMap<String, model::Identity>,
        portal: &model::Portal,
        keys: &DigestKeys,
    ) -> Self {
        let mut routes = Self {
            all: Vec::new(),
            exact: BTreeMap::new(),
            suffixes: BTreeMap::new(),
            any: None,
        };
        let portal = Arc::new(portal.clone());
        for route in all {
            if let Some(identity) = identities.get(&route.identity) {
                routes.add(Arc::new(Route {
                    config: route.clone(),
                    keys: keys.realm(&route.identity),
                    identity: identity.clone(),
                    portal: Arc::clone(&portal),
                }));
            }
        }
        routes
    }

    fn add(&mut self, route: Arc<Route>) {
        for host in &route.config.hosts {
            if host == "*" {
                self.any.get_or_insert_with(|| Arc::clone(&route));
                continue;
            }
            let (table, key) = match host.strip_prefix('*') {
                Some(suffix) => (&mut self.suffixes, suffix),
                None => (&mut self.exact, host.as_str()),
            };
            table
                .entry(key.to_owned())
                .or_insert_with(|| Arc::clone(&route));
        }
        self.all.push(route);
    }

    /// The route of a canonical host. No allocation.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&Arc<Route>> {
        if let Some(route) = self.exact.get(host) {
            return Some(route);
        }
        if !self.suffixes.is_empty() {
            // From the left, so that the longest suffix comes first.
            let suffixes = host.match_indices('.').filter_map(|(at, _)| host.get(at..));
            for suffix in suffixes {
                if let Some(route) = self.suffixes.get(suffix) {
                    return Some(route);
                }
            }
        }
        self.any.as_ref()
    }

    /// Every route, in the order of the config.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::route;

    /// Routes named after their position, with these hosts.
    fn routes(hosts: &[&[&str]]) -> Routes {
        let mut routes = Routes {
            all: Vec::new(),
            exact: BTreeMap::new(),
            suffixes: BTreeMap::new(),
            any: None,
        };
        for (number, hosts) in hosts.iter().enumerate() {
            let mut config = route(Vec::new());
            config.name = number.to_string();
            config.hosts = hosts.iter().map(ToString::to_string).collect();
            routes.add(Arc::new(Route {
                config,
                keys: DigestKeys::derive(&[0; 32]).realm("test"),
                identity: model::Identity::Accounts,
                portal: Arc::default(),
            }));
        }
        routes
    }

    fn found(routes: &Routes, host: &str) -> Option<String> {
        routes.find(host).map(|route| route.config.name.clone())
    }

    #[test]
    fn own_paths_are_below_the_prefix() {
        let routes = routes(&[&["*"]]);
        let route = routes.find("a").unwrap();
        for (path, own) in [
            ("/.vestibule", Some("")),
            ("/.vestibule/", Some("/")),
            ("/.vestibule/x/y", Some("/x/y")),
            ("/.vestibulex", None),
            ("/.Vestibule/x", None),
            ("/.vestibule;a/x", None),
            ("/a/.vestibule/x", None),
            ("/", None),
        ] {
            assert_eq!(route.own_path(path), own, "{path}");
        }
        let moved = Route {
            config: route.config.clone(),
            keys: route.keys.clone(),
            identity: route.identity.clone(),
            portal: Arc::new(model::Portal {
                prefix: "/door/in".to_owned(),
                ..model::Portal::default()
            }),
        };
        assert_eq!(moved.own_path("/door/in/x"), Some("/x"));
        assert_eq!(moved.own_path("/.vestibule/x"), None);
        assert_eq!(moved.address("/.vestibule/x"), "/door/in/x");
        assert_eq!(moved.address("/api/x"), "/api/x");
        assert_eq!(route.address("/.vestibule/x"), "/.vestibule/x");
    }

    #[test]
    fn the_closest_name_wins() {
        let routes = routes(&[
            &["*"],
            &["*.example.org"],
            &["*.deep.example.org"],
            &["files.example.org", "other.test"],
            &["files.example.org"],
        ]);
        for (host, name) in [
            ("files.example.org", "3"),
            ("other.test", "3"),
            ("a.example.org", "1"),
            ("a.b.example.org", "1"),
            ("a.deep.example.org", "2"),
            ("a.b.deep.example.org", "2"),
            ("deep.example.org", "1"),
            ("example.org", "0"),
            ("badexample.org", "0"),
            ("[::1]", "0"),
        ] {
            assert_eq!(found(&routes, host).as_deref(), Some(name), "{host}");
        }
        let names: Vec<_> = routes
            .iter()
            .map(|route| route.config.name.as_str())
            .collect();
        assert_eq!(names, ["0", "1", "2", "3", "4"]);
    }

    #[test]
    fn an_unknown_host_has_no_route() {
        let routes = routes(&[&["*.example.org"], &["files.test"]]);
        for host in ["example.org", "test", "files.test.org", "xfiles.test", ""] {
            assert_eq!(found(&routes, host), None, "{host}");
        }
    }
}
