//! Raw shapes → the validated model. Every check is here, and none stops another.
//!
//! A lifter returns `None` for what it has reported; the caller goes on with the rest. Nothing that
//! [`super::de`] has reported is reported again.

mod background;
mod delivery;
mod identities;
mod issuers;
mod listeners;
mod mail;
mod portal;
mod routes;
mod rules;
mod sections;
mod syntax;
mod tokens;
mod traces;
mod upstreams;

use super::NamedFile;
use super::error::{Place, Problem};
use super::model;
use super::raw;
use super::sources::{Files, Sources, Unexpanded, expand, is_credential};
use super::tree::{At, Node};
use super::values::SecretSource;
use crate::secret::Secret;
use std::path::{Path, PathBuf};

/// What came of a file.
pub(super) struct Lifted {
    /// There if nothing was wrong, and nothing could be missing.
    pub(super) config: Option<model::Config>,
    /// There even if secrets are missing.
    pub(super) admin: Option<model::Admin>,
    /// The same.
    pub(super) policy: Option<model::Policy>,
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Files that were read.
    pub(super) named: Vec<NamedFile>,
}

/// Lifts the whole file.
pub(super) fn lift(
    raw: &raw::Config,
    tree: &Node,
    file: &Path,
    sources: &dyn Sources,
    files: Files,
) -> Lifted {
    let mut lift = Lift {
        tree,
        file,
        dir: file.parent().unwrap_or(Path::new("")),
        sources,
        files,
        errors: Vec::new(),
        warnings: Vec::new(),
        named: Vec::new(),
        policy: None,
    };
    let admin = lift.admin(&raw.admin, At::Root.key("admin"));
    let config = lift.config(raw, admin.clone());
    Lifted {
        config: config.filter(|_| lift.errors.is_empty() && files == Files::MustExist),
        admin,
        policy: lift.policy,
        errors: lift.errors,
        warnings: lift.warnings,
        named: lift.named,
    }
}

/// The file at hand and what was found so far.
struct Lift<'a> {
    tree: &'a Node,
    file: &'a Path,
    /// What relative paths are relative to.
    dir: &'a Path,
    sources: &'a dyn Sources,
    files: Files,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    named: Vec<NamedFile>,
    policy: Option<model::Policy>,
}

impl Lift<'_> {
    fn config(&mut self, raw: &raw::Config, admin: Option<model::Admin>) -> Option<model::Config> {
        let root = At::Root;
        let listeners = self.listeners(raw.listeners.as_deref(), root.key("listeners"));
        self.port_clashes(raw);
        self.forward_auth(raw);
        let trusted_proxies =
            self.trusted_proxies(&raw.trusted_proxies, root.key("trusted_proxies"));
        let timeouts = self.timeouts(&raw.timeouts, root.key("timeouts"));
        let connections = self.connections(&raw.connections, root.key("connections"));
        let store = self.store(raw.store.as_ref(), root.key("store"));
        let sessions = self.sessions(&raw.sessions, root.key("sessions"));
        let codes = self.codes(&raw.codes, root.key("codes"));
        let limits = self.limits(&raw.limits, root.key("limits"));
        let lockout = self.lockout(&raw.lockout, root.key("lockout"));
        let delivery = self.delivery(&raw.delivery, root.key("delivery"));
        let identities = self.identities(raw.identities.as_ref(), root.key("identities"));
        let upstreams = self.upstreams(raw.upstreams.as_ref(), root.key("upstreams"));
        let routes = self.routes(raw, root.key("routes"));
        let tokens = self.tokens(&raw.tokens, routes.as_deref(), root.key("tokens"));
        let portal = self.portal(raw, root.key("portal"));
        let log = self.log(&raw.log, root.key("log"));
        let traces = self.traces(raw.traces.as_ref(), root.key("traces"));
        self.unused(raw);
        self.policy = Some(model::Policy {
            sessions,
            identities: identities.clone(),
            routes: routes.clone()?,
            portal: portal.clone()?,
        });
        Some(model::Config {
            listeners: listeners?,
            timeouts,
            connections,
            admin: admin?,
            trusted_proxies,
            store: store?,
            sessions,
            codes,
            limits,
            lockout,
            sudo: raw.sudo.0,
            tokens: tokens?,
            delivery: delivery?,
            identities,
            upstreams: upstreams?,
            routes: routes?,
            portal: portal?,
            log,
            traces: traces?,
            threads: usize::from(raw.threads),
        })
    }

    fn problem(&self, at: At<'_>, text: impl Into<String>) -> Option<Problem> {
        let located = self.tree.locate(at);
        (!located.pruned).then(|| Problem {
            file: self.file.to_owned(),
            place: Some(located.place),
            path: located.path,
            text: text.into(),
        })
    }

    /// Reports an error, unless the value has been reported already.
    fn error(&mut self, at: At<'_>, text: impl Into<String>) {
        let problem = self.problem(at, text);
        self.errors.extend(problem);
    }

    fn warn(&mut self, at: At<'_>, text: impl Into<String>) {
        let problem = self.problem(at, text);
        self.warnings.extend(problem);
    }

    /// The line of a value, for messages about another.
    fn line(&self, at: At<'_>) -> usize {
        let Place { line, .. } = self.tree.locate(at).place;
        line
    }

    /// Whether a value was reported while the shapes were read.
    fn is_pruned(&self, at: At<'_>) -> bool {
        self.tree.locate(at).pruned
    }

    /// Whether a part of a value was reported while the shapes were read, so that it lacks something.
    fn is_incomplete(&self, at: At<'_>) -> bool {
        self.tree.is_incomplete(at)
    }

    /// The value of a key that must be there.
    fn required<'r, T>(&mut self, value: Option<&'r T>, at: At<'_>, mend: &str) -> Option<&'r T> {
        if value.is_none() {
            self.error(at, format!("is missing: {mend}"));
        }
        value
    }

    /// The items of a list that must be there and not empty.
    fn filled<'r, T>(&mut self, value: Option<&'r [T]>, at: At<'_>, mend: &str) -> Option<&'r [T]> {
        match value {
            None => self.error(at, format!("is missing: {mend}")),
            Some([]) if self.is_incomplete(at) => {}
            Some([]) => self.error(at, format!("is empty: {mend}")),
            Some(items) => return Some(items),
        }
        None
    }

    /// The result of a check of [`syntax`], reported if it is an error.
    fn checked<T>(&mut self, result: Result<T, String>, at: At<'_>) -> Option<T> {
        result.map_err(|text| self.error(at, text)).ok()
    }

    /// What belongs to a later version: refused, so that nobody relies on what is not done.
    fn later(&mut self, at: At<'_>, what: &str) {
        self.error(
            at,
            format!("{what}: not supported by this version: remove it"),
        );
    }

    /// Something outside of the file is not there.
    fn missing(&mut self, at: At<'_>, text: String) {
        match self.files {
            Files::MustExist => self.error(at, text),
            Files::MayBeMissing => self.warn(at, text),
        }
    }

    /// What stands for something that is not there, where it may be missing.
    fn stand_in<T>(&self, value: T) -> Option<T> {
        (self.files == Files::MayBeMissing).then_some(value)
    }

    /// A path with its variables expanded, relative to the config file.
    fn path(&mut self, text: &str, at: At<'_>) -> Option<PathBuf> {
        match expand(text, self.sources) {
            Ok(path) if path.is_empty() => self.error(at, "is empty: write a path"),
            Ok(path) if path.contains('\0') => self.error(at, "a path cannot hold a NUL"),
            Ok(path) => return Some(self.dir.join(path)),
            Err(error @ Unexpanded::Unset(_)) => self.missing(at, error.to_string()),
            Err(error) => self.error(at, error.to_string()),
        }
        None
    }

    /// The content of a file that must be there.
    fn content(&mut self, path: &str, at: At<'_>) -> Option<(PathBuf, Vec<u8>)> {
        self.named_file(path, at, false)
    }

    /// The same of a file that is nobody else's business.
    fn secret_content(&mut self, path: &str, at: At<'_>) -> Option<(PathBuf, Vec<u8>)> {
        self.named_file(path, at, true)
    }

    fn named_file(
        &mut self,
        text: &str,
        at: At<'_>,
        is_secret: bool,
    ) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.path(text, at)?;
        match self.sources.file(&path) {
            Ok(content) => {
                self.named.push(NamedFile {
                    path: path.clone(),
                    is_secret,
                    is_credential: is_credential(text),
                });
                Some((path, content))
            }
            Err(error) => {
                self.missing(at, format!("cannot read {}: {error}", path.display()));
                None
            }
        }
    }

    /// A secret from where it is. None of its text gets into a message.
    fn secret(&mut self, source: &SecretSource, at: At<'_>) -> Option<Secret> {
        match source {
            SecretSource::Plain(secret) => {
                if secret.expose().is_empty() {
                    self.error(at, "is empty: write {file: PATH} or {env: NAME}");
                    return None;
                }
                Some(secret.clone())
            }
            SecretSource::Env(name) => {
                let value = self.sources.env(name).filter(|value| !value.is_empty());
                if value.is_none() {
                    let text = format!("the environment variable {name} is not set, or empty");
                    self.missing(at.key("env"), text);
                }
                value.map(Secret::new)
            }
            SecretSource::File(path) => {
                let (path, content) = self.secret_content(path, at.key("file"))?;
                let Ok(text) = String::from_utf8(content) else {
                    self.error(at.key("file"), format!("{} is not a text", path.display()));
                    return None;
                };
                let text = Secret::new(text);
                let secret = Secret::new(text.expose().trim_end_matches(['\r', '\n']));
                if secret.expose().is_empty() {
                    self.error(at.key("file"), format!("{} is empty", path.display()));
                    return None;
                }
                Some(secret)
            }
        }
    }

    /// Says that a secret stands in the config file.
    fn warn_of_plain(&mut self, source: &SecretSource, at: At<'_>) {
        if source.is_plain() {
            self.warn(
                at,
                "the secret is written into the config file: better in a file of its own, {file: PATH}",
            );
        }
    }
}
