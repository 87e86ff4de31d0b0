//! Asks a backend whose a token is, for tokens that were issued before Vestibule came.
//!
//! The question looks like a forwarded request: the upstream's own host, headers and TLS name, and
//! the next server where one cannot be reached. Only `authorization` is always the token's: a
//! backend that were asked in Vestibule's own name would say that every token is Vestibule's.

use crate::clock::Clock;
use crate::config::model::{Config, Learn, Route, Upstream};
use crate::gate::Unavailable;
use crate::identity::basic::{self, Login};
use crate::identity::learn::{self, LearnedProfile};
use crate::identity::witness::{LearnedToken, Probe};
use crate::secret::Secret;
use async_trait::async_trait;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The largest profile that is read.
const PROFILE_BYTES_MAX: usize = 64 << 10;
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Servers asked for one token.
const TRIES_MAX: usize = 3;

/// One `learn` identity's backend.
pub(super) struct UpstreamProbe {
    servers: Vec<Server>,
    /// The server that answered last: one that is down costs a wait once.
    first: AtomicUsize,
    learn: Learn,
    /// Whether a name that a client has typed may stand for the user. Not where people set up their
    /// first second factor themselves: a backend takes other spellings of a name, and whoever has the
    /// password alone would set one up for a spelling that has none yet.
    takes_typed_names: bool,
    /// For the log.
    identity: String,
    clock: Arc<dyn Clock>,
}

/// Whose a token is.
enum Owner {
    /// As the backend says.
    Told(LearnedProfile),
    /// The name that was typed: the backend has only said that the password is right.
    Typed(String),
}

/// Where a profile is asked for.
pub(super) struct Server {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    phone_region: Option<String>,
}

impl Server {
    /// `server` is `host:port`, `path` the profile's.
    pub(super) fn new(
        route: &Route,
        upstream: &Upstream,
        server: &str,
        path: &str,
    ) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .connect_timeout(upstream.timeouts.connect)
            .timeout(PROBE_TIMEOUT);
        let (builder, url) = match (&upstream.tls, server.rsplit_once(':')) {
            (Some(tls), Some((host, port))) => (
                builder.dns_resolver(Arc::new(Fixed(host.to_owned()))),
                format!("https://{}:{port}{path}", tls.server_name),
            ),
            _ => (builder, format!("http://{server}{path}")),
        };
        Ok(Self {
            client: builder.build()?,
            url,
            headers: headers(route, upstream, server),
            phone_region: route.phone_region.clone(),
        })
    }

    /// Asks as anybody.
    pub(super) fn question(&self) -> reqwest::RequestBuilder {
        self.client.get(&self.url).headers(self.headers.clone())
    }
}

/// What the upstream is configured to get. Its `Host` without a `host` of its own is the client's:
/// here, the first name under which clients come.
fn headers(route: &Route, upstream: &Upstream, server: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &upstream.headers {
        if let Ok(mut value) = HeaderValue::from_str(value.expose()) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    let named = route.hosts.iter().find(|host| !host.contains('*'));
    let host = upstream.host.as_deref().or(named.map(String::as_str));
    if let Ok(host) = HeaderValue::from_str(host.unwrap_or(server)) {
        headers.insert(HOST, host);
    }
    headers.remove(AUTHORIZATION);
    headers
}

/// Connects to one host whatever name the certificate has.
struct Fixed(String);

impl Resolve for Fixed {
    fn resolve(&self, _name: Name) -> Resolving {
        // An IPv6 address stands in brackets in `host:port`.
        let host = self.0.trim_matches(['[', ']']).to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(Box::new(found) as Addrs)
        })
    }
}

impl UpstreamProbe {
    /// The probe of an identity, if it has one and a route.
    pub(super) fn new(
        config: &Config,
        identity: &str,
        learn: &Learn,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, reqwest::Error> {
        let Some(path) = &learn.probe else {
            return Ok(None);
        };
        let mut servers = Vec::new();
        let mut takes_typed_names = true;
        for route in config.routes.iter().filter(|it| it.identity == identity) {
            takes_typed_names &= !route.self_enrolment;
            if let Some(upstream) = config.upstreams.get(&route.upstream) {
                for server in &upstream.servers {
                    servers.push(Server::new(route, upstream, server, path)?);
                }
            }
        }
        Ok((!servers.is_empty()).then(|| Self {
            servers,
            first: AtomicUsize::new(0),
            learn: learn.clone(),
            takes_typed_names,
            identity: identity.to_owned(),
            clock,
        }))
    }

    /// The first answer's head, with the server it came from. Without a token, as anybody.
    async fn ask(&self, token: Option<&str>) -> Option<(&Server, reqwest::Response)> {
        let (count, first) = (self.servers.len(), self.first.load(Ordering::Relaxed));
        for index in (first..).map(|n| n % count).take(count.min(TRIES_MAX)) {
            let server = self.servers.get(index)?;
            let request = server.question();
            let request = match token {
                Some(token) if basic::is_basic(token) => {
                    let mut value = HeaderValue::from_str(token).ok()?;
                    value.set_sensitive(true);
                    request.header(AUTHORIZATION, value)
                }
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            match request.send().await {
                Ok(answer) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Some((server, answer));
                }
                Err(error) => {
                    let can_be_tried_elsewhere = error.is_connect();
                    failed(error);
                    if !can_be_tried_elsewhere {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Whose a name and a password are that the backend has just taken, given the profile that it told.
    /// One that takes everybody has said nothing: it is asked as anybody, too.
    async fn owner(
        &self,
        token: &str,
        told: Option<LearnedProfile>,
    ) -> Result<Option<Owner>, Unavailable> {
        let Some(login) = Login::of(token) else {
            return Ok(None);
        };
        let (_, to_anybody) = self.ask(None).await.ok_or(Unavailable)?;
        let takes_anybody = to_anybody.status().is_success();
        match told {
            Some(told) if takes_anybody => {
                let guest = self.profile_in(to_anybody).await?;
                let is_own = guest.is_none_or(|guest| guest.user != told.user);
                Ok(is_own.then_some(Owner::Told(told)))
            }
            Some(told) => Ok(Some(Owner::Told(told))),
            None if takes_anybody => {
                tracing::error!(
                    identity = self.identity,
                    "the probe's path answers everybody, so that no password can be verified by it: \
                     set `probe` to a path that needs one"
                );
                Err(Unavailable)
            }
            None if !self.takes_typed_names => {
                tracing::error!(
                    identity = self.identity,
                    "the probe's answer does not name the user, and a route lets people set up their                      first second factor themselves: no password is taken. Set `probe` to a path that                      answers with the profile, or `self_enrolment: false`"
                );
                Err(Unavailable)
            }
            // As one user, however a backend that does not look at case has it spelled.
            None => Ok(Some(Owner::Typed(login.user.to_lowercase()))),
        }
    }

    /// The profile that an answer tells.
    async fn profile_in(
        &self,
        mut answer: reqwest::Response,
    ) -> Result<Option<LearnedProfile>, Unavailable> {
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > PROFILE_BYTES_MAX {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        Ok(learn::parse_profile(&self.learn, &body))
    }

    /// Whether the backend has taken the token. A password that it answers with anything but a refusal
    /// has not been judged: a wrong path must not cost its owner a delay.
    fn is_taken(&self, token: &str, status: StatusCode) -> Result<bool, Unavailable> {
        if status.is_success() {
            return Ok(true);
        }
        let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if status.is_server_error() || basic::is_basic(token) && !is_refused {
            let status = status.as_u16();
            tracing::warn!(
                identity = self.identity,
                status,
                "the backend's profile cannot be asked for"
            );
            return Err(Unavailable);
        }
        Ok(false)
    }
}

fn failed(error: reqwest::Error) -> Unavailable {
    // Without the URL's query and never with the header: only the kind of failure.
    tracing::warn!(error = %error.without_url(), "the backend's profile cannot be asked for");
    Unavailable
}

#[async_trait]
impl Probe for UpstreamProbe {
    async fn probe(&self, realm: &str, token: &str) -> Result<Option<LearnedToken>, Unavailable> {
        let (server, answer) = self.ask(Some(token)).await.ok_or(Unavailable)?;
        if !self.is_taken(token, answer.status())? {
            return Ok(None);
        }
        let told = self.profile_in(answer).await?;
        let owner = match basic::is_basic(token) {
            true => self.owner(token, told).await?,
            false => told.map(Owner::Told),
        };
        let Some(owner) = owner else {
            return Ok(None);
        };
        let (profile, is_typed) = match owner {
            Owner::Told(profile) => (profile, false),
            Owner::Typed(user) => {
                let typed = LearnedProfile {
                    user,
                    phone: None,
                    email: None,
                    groups: None,
                };
                (typed, true)
            }
        };
        let region = server.phone_region.as_deref();
        let lifetime = self.learn.lifetime;
        Ok(Some(LearnedToken {
            realm: realm.to_owned(),
            token: Secret::new(token),
            user: profile.user,
            is_typed,
            phone: profile
                .phone
                .as_deref()
                .and_then(|raw| super::learner::readable(raw, region)),
            email: profile.email,
            groups: profile.groups,
            said_at: None,
            device: None,
            expires_at: lifetime.map(|lifetime| self.clock.now().after(lifetime)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::config::model::Identity;
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A backend that writes down what it gets and knows every token.
    async fn backend() -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                request.truncate(read);
                written.lock().unwrap().push(request);
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"username\":\"ann\"}";
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (address, seen)
    }

    /// An address where nobody listens.
    async fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    fn probe(upstream: &str, hosts: &str) -> Arc<dyn Probe> {
        probe_with(upstream, hosts, "")
    }

    /// `more` is put into the route.
    fn probe_with(upstream: &str, hosts: &str, more: &str) -> Arc<dyn Probe> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let text = format!(
            "listeners: [{{address: 127.0.0.1:0}}]
store: {{url: \"memory:\", key: BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=}}
identities: {{id: {{learn: {{endpoint: /in, token: /token, user: /username, probe: /me}}}}}}
upstreams: {{files: {{{upstream}}}}}
routes: [{{name: files, hosts: [{hosts}], upstream: files, identity: id{more}}}]
"
        );
        let parsed = crate::config::parse(&text, Path::new("/c.yaml"), &crate::config::System);
        let (config, _) = parsed.unwrap_or_else(|errors| panic!("{errors}"));
        let Identity::Learn(learn) = &config.identities["id"] else {
            panic!("{:?}", config.identities);
        };
        let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
        let probe = UpstreamProbe::new(&config, "id", learn, clock);
        Arc::new(probe.unwrap().unwrap())
    }

    fn texts(seen: &Mutex<Vec<Vec<u8>>>) -> Vec<String> {
        let taken = std::mem::take(&mut *seen.lock().unwrap());
        taken
            .iter()
            .map(|it| String::from_utf8_lossy(it).to_ascii_lowercase())
            .collect()
    }

    #[tokio::test]
    async fn the_question_is_what_the_upstream_is_configured_to_get() {
        let (address, seen) = backend().await;
        let upstream = format!(
            "servers: [\"{address}\"], host: inside.test, \
             headers: {{x-api-key: hunter2, authorization: Basic us}}"
        );
        let learned = probe(&upstream, "files.test").probe("id", "t0ken").await;
        assert_eq!(learned.unwrap().unwrap().user, "ann");
        let request = texts(&seen).remove(0);
        assert!(request.starts_with("get /me http/1.1\r\n"), "{request}");
        for line in [
            "host: inside.test",
            "x-api-key: hunter2",
            "authorization: bearer t0ken",
        ] {
            assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
        }
        assert!(!request.contains("basic us"), "asked in our own name");
    }

    #[tokio::test]
    async fn the_host_is_what_a_client_would_ask_for() {
        let (address, seen) = backend().await;
        let upstream = format!("servers: [\"{address}\"]");
        for (hosts, host) in [
            ("\"*.test\", files.test", "files.test".to_owned()),
            ("\"*\"", address.to_string()),
        ] {
            let learned = probe(&upstream, hosts).probe("id", "t0ken").await;
            assert!(learned.unwrap().is_some());
            let request = texts(&seen).remove(0);
            assert!(
                request.contains(&format!("\r\nhost: {host}\r\n")),
                "{request}"
            );
        }
    }

    #[tokio::test]
    async fn the_next_server_is_asked_where_one_is_down() {
        let (address, seen) = backend().await;
        let (down, also_down) = (nobody().await, nobody().await);
        let upstream = format!("servers: [\"{down}\", \"{address}\"]");
        let probe_two = probe(&upstream, "files.test");
        for _ in 0..2 {
            assert!(probe_two.probe("id", "t0ken").await.unwrap().is_some());
        }
        assert_eq!(texts(&seen).len(), 2);
        let upstream = format!("servers: [\"{down}\", \"{also_down}\"]");
        let answer = probe(&upstream, "files.test").probe("id", "t0ken").await;
        assert!(answer.is_err(), "unknown is not the same as not taken");
    }

    #[tokio::test]
    async fn the_tls_name_is_the_configured_one() {
        let (address, seen) = backend().await;
        let upstream = format!("servers: [\"{address}\"], tls: {{server_name: inside.test}}");
        // Its answer is no TLS: what counts is which name was asked for (RFC 6066, in the clear).
        let answer = probe(&upstream, "files.test").probe("id", "t0ken").await;
        assert!(answer.is_err());
        assert!(texts(&seen).remove(0).contains("inside.test"));
    }

    /// A backend that answers `GET` with and without credentials as told: a status and a body each.
    async fn answering(with: &'static str, without: &'static str) -> Arc<dyn Probe> {
        answering_on("", with, without).await
    }

    async fn answering_on(more: &str, with: &'static str, without: &'static str) -> Arc<dyn Probe> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
                let is_known = request.contains("\r\nauthorization: basic ");
                let (status, body) = if is_known { with } else { without }
                    .split_once(' ')
                    .unwrap();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        probe_with(&format!("servers: [\"{address}\"]"), "files.test", more)
    }

    /// `Ann:pw`.
    const PASSWORD: &str = "Basic QW5uOnB3";

    #[tokio::test]
    async fn a_name_and_a_password_are_asked_about_as_they_came() {
        let (address, seen) = backend().await;
        let upstream = format!("servers: [\"{address}\"]");
        let answer = probe(&upstream, "files.test").probe("id", PASSWORD).await;
        // This one knows everybody as ann.
        assert!(answer.unwrap().is_none());
        let requests = texts(&seen);
        let line = "\r\nauthorization: basic qw5uonb3\r\n";
        assert!(requests[0].contains(line), "{requests:?}");
        assert!(!requests[1].contains("authorization"), "{requests:?}");
    }

    #[tokio::test]
    async fn a_typed_name_is_nobodys_where_people_enrol_themselves() {
        const ANN: &str = "200 {\"username\":\"Ann\"}";
        for (more, with, wanted) in [
            ("", ANN, Ok(("Ann", false))),
            (", self_enrolment: true", ANN, Ok(("Ann", false))),
            ("", "200 hello", Ok(("ann", true))),
            (", self_enrolment: true", "200 hello", Err(Unavailable)),
        ] {
            let probe = answering_on(more, with, "401 ").await;
            let answer = probe.probe("id", PASSWORD).await;
            let user = answer.map(|learned| learned.map(|it| (it.user, it.is_typed)));
            let wanted = wanted.map(|(name, is_typed)| Some((name.to_owned(), is_typed)));
            assert_eq!(user, wanted, "{more:?} {with:?}");
        }
    }

    #[tokio::test]
    async fn a_password_is_right_if_the_backend_takes_it_and_not_everybody() {
        const ANN: &str = "200 {\"username\":\"ann\"}";
        for (with, without, wanted) in [
            (ANN, "401 ", Ok(Some("ann"))),
            (ANN, "200 {\"username\":\"*\"}", Ok(Some("ann"))),
            (ANN, "200 hello", Ok(Some("ann"))),
            (ANN, ANN, Ok(None)),
            ("200 hello", "401 ", Ok(Some("ann"))),
            ("204 ", "403 ", Ok(Some("ann"))),
            ("200 hello", "200 hello", Err(())),
            ("401 ", "401 ", Ok(None)),
            ("403 ", "401 ", Ok(None)),
            ("404 ", "404 ", Err(())),
            ("302 ", "401 ", Err(())),
            ("500 ", "401 ", Err(())),
        ] {
            let answer = answering(with, without).await.probe("id", PASSWORD).await;
            let user = answer.map(|learned| learned.map(|learned| learned.user));
            let wanted = wanted
                .map(|user| user.map(str::to_owned))
                .map_err(|()| Unavailable);
            assert_eq!(user, wanted, "{with:?} {without:?}");
        }
    }
}
