//! `explain`: what the policy asks of a request, and why. It reads a URL as the gateway reads a request,
//! and puts it to the same rules; it asks nothing of the backend, and lets nobody in.

mod text;

use super::args;
use super::client::{self, Client};
use super::error::CliError;
use crate::config;
use crate::config::model::{Policy, Remember, Requirement, Rule};
use crate::digest::DigestKeys;
use crate::edge::watch;
use crate::local::table;
use crate::operator::users::UserLine;
use crate::policy::{self, Asker, Below, Decided, Demand, Miss, Person, Reach, Target};
use crate::request::{Peer, RequestHead};
use crate::route::{Route, Routes};
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde::Serialize;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// An address of nobody, where none was given.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Why a request cannot be explained.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExplainError {
    #[error("`{0}` is not a URL: write it whole, like https://files.example.org/dir/file")]
    Url(String),
    #[error("`{0}` is not a method: write it in upper case, like PUT")]
    Method(String),
    #[error("`{0}` cannot stand in a Destination header")]
    Destination(String),
}

/// What becomes of a request, as far as the policy says.
#[derive(Debug, Default, Serialize)]
struct Explanation {
    method: String,
    url: String,
    /// Where the client is taken to be; `None`: nobody said.
    address: Option<IpAddr>,
    /// The canonical form, unless the request is malformed.
    host: Option<String>,
    path: Option<String>,
    destination: Option<String>,
    route: Option<InRoute>,
    who: Who,
    /// What is settled before any rule is asked.
    settled: Option<Settled>,
    /// The path is polled: its requests are no use of a session. The line that says so.
    background: Option<usize>,
    readings: Vec<Reading>,
    /// What is asked of this request; `None`: it is settled, or depends on who asks or from where.
    asks: Option<Asks>,
}

#[derive(Debug, Serialize)]
struct InRoute {
    name: String,
    line: usize,
    identity: String,
    upstream: String,
    /// How long a verified pair lives, and how long without a request.
    session_lifetime_secs: u64,
    session_idle_secs: u64,
    /// Whether a browser is remembered in which a factor was passed.
    remember: Remembers,
    /// Whether users set up their first factor by themselves.
    self_enrolment: bool,
}

/// As the config says it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Remembers {
    Never,
    ForSecs(u64),
    Forever,
}

impl From<Remember> for Remembers {
    fn from(remember: Remember) -> Self {
        match remember {
            Remember::Never => Self::Never,
            Remember::For(span) => Self::ForSecs(span.as_secs()),
            Remember::Forever => Self::Forever,
        }
    }
}

/// Who asks.
#[derive(Debug, Default, Serialize)]
struct Who {
    user: Option<String>,
    /// `None`: they are unknown, and rules for groups cannot be judged.
    groups: Option<Vec<String>>,
    /// Where the groups are from, or why they are unknown.
    groups_from: String,
}

impl Who {
    /// Whom the rules are asked about.
    fn asker(&self) -> Asker<'_> {
        Asker {
            name: self.user.as_deref(),
            groups: self.groups.as_deref(),
        }
    }

    /// What is said of a user whose groups could not be looked up.
    fn warning(&self) -> Option<String> {
        let user = self.user.as_ref().filter(|_| self.groups.is_none())?;
        let why = &self.groups_from;
        Some(format!(
            "rules for groups are not judged: those of `{user}` are {why}"
        ))
    }
}

impl Explanation {
    /// Whether a rule that was asked before the one that decided is for networks, and nobody said in which
    /// the client is.
    fn needs_address(&self) -> bool {
        let mut readings = self.readings.iter();
        readings.any(|it| {
            let steps = it.rules.iter().any(|step| step.needs_address);
            steps || it.below.iter().any(|step| step.needs_address)
        })
    }
}

/// An answer that no rule has a say in.
#[derive(Debug, Serialize)]
struct Settled {
    /// `None`: the request goes on to a page, an endpoint or the backend.
    status: Option<u16>,
    why: String,
}

/// One reading of a path, with the rules that were asked about it.
#[derive(Debug, Serialize)]
struct Reading {
    path: String,
    is_destination: bool,
    rules: Vec<Step>,
    /// Of what decided: a rule, or the route.
    line: Option<usize>,
    decided_by: &'static str,
    /// Of a request that takes along what is below: the rules there that ask for more.
    below: Vec<StepBelow>,
}

/// A rule below the path.
#[derive(Debug, Serialize)]
struct StepBelow {
    line: usize,
    /// It depends on who asks.
    depends: bool,
    /// It depends on where the client is, and nobody said.
    needs_address: bool,
}

#[derive(Debug, Serialize)]
struct Step {
    line: usize,
    /// Why it does not match; `None`: it does, or depends on what is not known.
    missed: Option<&'static str>,
    /// It depends on where the client is, and nobody said.
    needs_address: bool,
}

/// What is asked.
#[derive(Debug, Serialize)]
struct Asks {
    require: &'static str,
    within_secs: Option<u64>,
    max_idle_secs: Option<u64>,
}

impl From<Requirement> for Asks {
    fn from(requirement: Requirement) -> Self {
        let (require, within, max_idle) = match requirement {
            Requirement::Nothing => ("none", None, None),
            Requirement::Token => ("token", None, None),
            Requirement::TwoFactor { within, max_idle } => ("two_factor", within, max_idle),
            Requirement::SuccessToken => ("success_token", None, None),
            Requirement::Deny => ("deny", None, None),
        };
        Self {
            require,
            within_secs: within.map(|it| it.as_secs()),
            max_idle_secs: max_idle.map(|it| it.as_secs()),
        }
    }
}

/// A URL, taken apart as a client does it.
struct Asked {
    method: Method,
    headers: HeaderMap,
    target: String,
    tls: bool,
}

impl Asked {
    fn read(args: &args::Explain) -> Result<Self, ExplainError> {
        let wrong = || ExplainError::Url(args.url.clone());
        let method = Method::from_bytes(args.method.as_bytes()).ok();
        let method = method.filter(|it| !it.as_str().contains(|c: char| c.is_ascii_lowercase()));
        let method = method.ok_or_else(|| ExplainError::Method(args.method.clone()))?;
        let (scheme, rest) = args.url.split_once("://").ok_or_else(wrong)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong()),
        };
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        if authority.is_empty() || authority.contains('@') {
            return Err(wrong());
        }
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(authority).map_err(|_| wrong())?);
        if let Some(destination) = &args.destination {
            let value = HeaderValue::from_str(destination);
            let value = value.map_err(|_| ExplainError::Destination(destination.clone()))?;
            headers.insert("destination", value);
        }
        let target = match target.starts_with('/') {
            true => target.to_owned(),
            false => format!("/{target}"),
        };
        Ok(Self {
            method,
            headers,
            target,
            tls,
        })
    }
}

/// Explains a request, on standard output.
pub(super) fn explain(path: &Path, args: &args::Explain) -> Result<(), CliError> {
    let config = config::policy(path)?;
    let asked = Asked::read(args)?;
    let known = async |identity: &str| who(path, args, identity).await;
    let explanation = super::block_on(explained(&config, args, &asked, known))?;
    if let Some(warning) = explanation.who.warning() {
        warn(&warning, args.output.json);
    }
    let shown = match args.output.json {
        true => serde_json::to_value(&explanation)?.to_string() + "\n",
        false => text::of(&explanation),
    };
    super::say(&shown);
    Ok(())
}

/// Says on standard error what an explanation leaves open.
fn warn(warning: &str, json: bool) {
    let text = match json {
        true => serde_json::json!({ "warning": warning }).to_string(),
        false => format!("warning: {warning}"),
    };
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `who` says who asks, where that matters: a user of the identity that it is given.
async fn explained(
    config: &Policy,
    args: &args::Explain,
    asked: &Asked,
    who: impl AsyncFnOnce(&str) -> Who,
) -> Explanation {
    let mut told = Explanation {
        method: asked.method.to_string(),
        url: args.url.clone(),
        address: args.address.map(|it| it.to_canonical()),
        ..Explanation::default()
    };
    let peer = Peer {
        address: args.address.unwrap_or(NOWHERE),
        tls: asked.tls,
        trusted_proxies: &[],
    };
    let uri = Uri::from_static("/");
    let target = asked.target.as_bytes();
    let head = match RequestHead::read(&asked.method, &uri, target, &asked.headers, peer) {
        Ok(head) => head,
        Err(malformed) => {
            told.settled = settled(400, malformed.to_string());
            return told;
        }
    };
    told.host = Some(head.host.to_string());
    told.path = Some(head.path.to_string());
    told.destination = head.destination.as_deref().map(str::to_owned);
    // No token is looked at: whatever the keys are.
    let keys = DigestKeys::derive(&[0; 32]);
    let routes = Routes::of(&config.routes, &config.identities, &config.portal, &keys);
    let Some(route) = routes.find(&head.host) else {
        told.settled = settled(404, "no route has this host".to_owned());
        return told;
    };
    told.route = Some(InRoute {
        name: route.config.name.clone(),
        line: route.config.line,
        identity: route.config.identity.clone(),
        upstream: route.config.upstream.clone(),
        session_lifetime_secs: config.sessions.lifetime.as_secs(),
        session_idle_secs: config.sessions.idle.as_secs(),
        remember: route.config.remember.into(),
        self_enrolment: route.config.self_enrolment,
    });
    told.settled = settled_by(&head, route);
    if told.settled.is_none() {
        told.who = who(&route.config.identity).await;
        judge(&mut told, &head, route);
    }
    told
}

fn settled(status: u16, why: String) -> Option<Settled> {
    let status = Some(status);
    Some(Settled { status, why })
}

/// What is answered before any rule is asked.
fn settled_by(head: &RequestHead<'_>, route: &Route) -> Option<Settled> {
    if *head.method == Method::CONNECT || *head.method == Method::TRACE {
        return settled(405, "this method is never forwarded".to_owned());
    }
    if let Err(malformed) = head.check_encoded_slashes(route.config.encoded_slashes) {
        return settled(400, malformed.to_string());
    }
    if let Some(endpoint) = table::find(route, &head.path) {
        if !endpoint.methods.contains(&head.method.as_str()) {
            let takes = endpoint.methods.join(", ");
            let why = format!("Vestibule answers this path itself, and takes {takes} there");
            return settled(405, why);
        }
        return Some(Settled {
            status: None,
            why: format!(
                "Vestibule answers this itself ({}): no rule is asked, but to whom every path is closed, this \
                 is too",
                route.address(endpoint.path)
            ),
        });
    }
    if route.own_path(&head.path).is_some() {
        return settled(
            404,
            "this path is Vestibule's own, and there is nothing at it".to_owned(),
        );
    }
    watch::sign_in(route, head).map(|_| Settled {
        status: None,
        why: "this is the backend's sign-in: it is forwarded without a token, unless a rule denies it"
            .to_owned(),
    })
}

/// Who asks, with the groups that are given or known.
async fn who(file: &Path, args: &args::Explain, identity: &str) -> Who {
    let given = !args.group.is_empty();
    if given || args.user.is_none() {
        return Who {
            user: args.user.clone(),
            groups: given.then(|| args.group.clone()),
            groups_from: match given {
                true => "as given",
                false => "nobody was given: --user and --group say who asks",
            }
            .to_owned(),
        };
    }
    let user = args.user.clone().unwrap_or_default();
    let found: Result<UserLine, CliError> = async {
        let api = Client::open(file).await?;
        let query = [("identity", Some(identity.to_owned()))];
        let found = api.get(&client::of("/v1/users", &user), &query).await;
        api.close().await?;
        found
    }
    .await;
    match found {
        Ok(found) => Who {
            user: Some(found.name),
            groups: Some(found.groups),
            groups_from: "as the store has them".to_owned(),
        },
        Err(error) => Who {
            user: Some(user),
            groups: None,
            groups_from: format!("unknown ({}), --group gives them", unasked(&error)),
        },
    }
}

/// Why the store could not be asked, in one line.
fn unasked(error: &CliError) -> String {
    match error {
        CliError::Config(_) => "the store cannot be asked where files of the config are missing: \
                                `vestibule check` says which"
            .to_owned(),
        error => error.to_string().trim_end().to_owned(),
    }
}

fn judge(told: &mut Explanation, head: &RequestHead<'_>, route: &Route) {
    let target = Target {
        route: &route.config,
        method: head.method,
        reach: Reach::of(head.method, head.headers),
        path: &head.path,
        destination: head.destination.as_deref(),
        address: head.client.address,
    };
    let background = policy::background(&route.config, head.method, &head.path);
    told.background = background.map(|it| it.line);
    let asker = told.who.asker();
    let readings = policy::trace(&target, asker);
    let depends = readings.iter().any(|it| {
        let below = it.below.iter().any(|it| matches!(it, Below::Depends(_)));
        below || matches!(it.decided, Decided::Depends(_))
    });
    told.readings = readings
        .iter()
        .map(|it| reading(it, route, told.address))
        .collect();
    told.asks = match policy::required(target) {
        _ if told.needs_address() => None,
        Demand::Fixed(requirement) => Some(requirement.into()),
        Demand::ByPerson(_) if depends => None,
        // No rule has looked at what is not known.
        demand => Some(demand.of(person(asker)).into()),
    };
}

fn person(asker: Asker<'_>) -> Person<'_> {
    Person {
        name: asker.name.unwrap_or_default(),
        groups: asker.groups.unwrap_or_default(),
    }
}

fn reading(of: &policy::Reading<'_>, route: &Route, address: Option<IpAddr>) -> Reading {
    let step = |(rule, miss): &(&Rule, Miss)| {
        let needs_address = *miss == Miss::Network && address.is_none();
        Step {
            line: rule.line,
            missed: (!needs_address).then(|| missed(*miss)),
            needs_address,
        }
    };
    let mut rules: Vec<Step> = of.missed.iter().map(step).collect();
    let (line, decided_by) = match of.decided {
        Decided::Rule(rule) => (Some(rule.line), "rule"),
        Decided::Depends(rule) => (Some(rule.line), "who asks"),
        Decided::Route => (Some(route.config.line), "route"),
        Decided::Unreadable => (None, "path"),
    };
    if let (Some(line), "rule" | "who asks") = (line, decided_by) {
        rules.push(Step {
            line,
            missed: None,
            needs_address: false,
        });
    }
    Reading {
        // Within rules an encoded slash is told apart from one by its escape.
        path: of.path.replace("%252F", "%2F"),
        is_destination: of.is_destination,
        rules,
        line,
        decided_by,
        below: below(&of.below, address),
    }
}

fn below(rules: &[Below<'_>], address: Option<IpAddr>) -> Vec<StepBelow> {
    let step = |rule: &Below<'_>| {
        let (rule, depends, needs_address) = match *rule {
            Below::Asks(rule) => (rule, false, false),
            Below::Depends(rule) => (rule, true, false),
            Below::Elsewhere(_) if address.is_some() => return None,
            Below::Elsewhere(rule) => (rule, false, true),
        };
        Some(StepBelow {
            line: rule.line,
            depends,
            needs_address,
        })
    };
    rules.iter().filter_map(step).collect()
}

fn missed(miss: Miss) -> &'static str {
    match miss {
        Miss::Method => "it is for other methods",
        Miss::Path => "it is for other paths",
        Miss::Network => "it is for other networks",
        Miss::People => "it is for other people",
    }
}

#[cfg(test)]
mod tests;
