//! Every status of the local endpoints, asked through [`Local::answer`].

mod account;
mod b2core;
mod browser;
mod conduit;
mod iogates;
mod pages;
mod passkey;
mod people;
mod portal;
mod refusal;
mod remember;
mod share;
mod sign_in;
mod tokens;
mod ziik;

use self::browser::Browser;
use super::{Call, Local, Reply, table};
use crate::auth::fixture::{REALM, World};
use crate::auth::ports::{Sessions as _, Tokens as _};
use crate::clock::Clock;
use crate::config::model::{
    self, CredentialSource, Dialect, Forward, ForwardToken, Identity, Requirement,
};
use crate::gate::session::{Holder, Session};
use crate::gate::{Gate, Known, Unavailable, Witness};
use crate::route::Route;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::sync::Arc;
use std::time::Duration;

const HOST_NAME: &str = "files.example.org";
const PHONE: &str = "+4512345678";

/// Answers the gate from the store alone.
struct FromStore(World);

#[async_trait::async_trait]
impl Witness for FromStore {
    async fn holder(&self, realm: &str, token: &str) -> Result<Known, Unavailable> {
        let digest = self.0.auth.keys.realm(realm).token(token);
        let now = self.0.clock.now();
        let found = self.0.store.token(digest, now).await;
        Ok(match found.map_err(|_| Unavailable)? {
            Some((token, holder)) => Known::Yes {
                holder,
                issued_pair: token.issued_pair,
                fresh_for: None,
            },
            None => Known::No,
        })
    }

    async fn session(
        &self,
        key: crate::digest::SessionKey,
    ) -> Result<Option<Session>, Unavailable> {
        let now = self.0.clock.now();
        self.0
            .store
            .session(key, now)
            .await
            .map_err(|_| Unavailable)
    }

    async fn spend_success(
        &self,
        _realm: &str,
        _success: &str,
        _token: Option<&str>,
    ) -> Result<Option<Holder>, Unavailable> {
        Ok(None)
    }
}

/// The endpoints over a route, and hold of what they stand on.
struct Site {
    local: Local,
    route: Arc<Route>,
    witness: Arc<FromStore>,
}

impl Site {
    fn new() -> Self {
        Self::with(World::new(), |_| {})
    }

    fn with(world: World, change: impl FnOnce(&mut model::Route)) -> Self {
        let mut config = model::Route {
            name: "files".to_owned(),
            hosts: vec![HOST_NAME.to_owned()],
            upstream: "files".to_owned(),
            identity: REALM.to_owned(),
            credentials: vec![
                CredentialSource::Bearer,
                CredentialSource::Cookie("IOGATES".to_owned()),
                CredentialSource::Query("token".to_owned()),
                CredentialSource::Path("/share/".to_owned()),
                CredentialSource::OwnCookie,
            ],
            dialects: vec![Dialect::IoGates],
            rules: Vec::new(),
            require: Requirement::TWO_FACTOR,
            line: 0,
            background: Vec::new(),
            remember: crate::config::model::Remember::Never,
            self_enrolment: false,
            phone_region: None,
            forward: Forward {
                token: ForwardToken::Original,
                passwords: true,
                assertion: false,
                audience: "files".to_owned(),
            },
            token_algorithm: model::SigningAlgorithm::EdDsa,
            cors_origins: Vec::new(),
            encoded_slashes: false,
            service_workers: false,
            body_bytes_max: None,
        };
        change(&mut config);
        let route = Arc::new(Route {
            config,
            keys: world.auth.keys.realm(REALM),
            identity: Identity::Accounts,
            portal: Arc::default(),
        });
        let auth = Arc::clone(&world.auth);
        let clock = Arc::clone(&world.clock);
        let witness = Arc::new(FromStore(world));
        let idle = Duration::from_secs(30 * 86_400);
        let gate = Gate::new(Arc::clone(&witness) as _, clock, 100, idle);
        let local = Local {
            auth,
            gate: Arc::new(gate),
            witness: Arc::clone(&witness) as _,
        };
        Self {
            local,
            route,
            witness,
        }
    }

    fn world(&self) -> &World {
        &self.witness.0
    }

    /// A call of this method to a path with perhaps a query.
    fn call(&self, method: Method, target: &str) -> Call {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(HOST_NAME));
        Call {
            method,
            path: path.to_owned(),
            query,
            host: HOST_NAME.to_owned(),
            headers,
            body: Bytes::new(),
            address: "192.0.2.1".parse().unwrap(),
            tls: true,
            route: Arc::clone(&self.route),
        }
    }

    async fn answer(&self, call: Call) -> Answer {
        let endpoint = table::find(&self.route, &call.path).expect("a local path");
        let reply = self.local.answer(endpoint, call).await;
        assert_eq!(reply.headers()["cache-control"], "no-store");
        Answer(reply)
    }

    /// On a route of several dialects where users enrol by themselves; bob has no factor yet. With
    /// his token on device d1.
    async fn of_bob() -> (Self, String) {
        Self::of_bob_with(|_| {}).await
    }

    /// The same on a route with changes.
    async fn of_bob_with(change: impl FnOnce(&mut model::Route)) -> (Self, String) {
        let site = Self::with(World::new(), |config| {
            config.dialects = vec![Dialect::IoGates, Dialect::Ziik, Dialect::Conduit];
            config.self_enrolment = true;
            change(config);
        });
        let bob = site.world().bare_user("bob").await;
        site.world().caller(bob, "d1").await;
        (site, "token-of-d1".to_owned())
    }

    /// Signs ann in on a device; her token.
    async fn token(&self, device: &str) -> String {
        let call = self.call(Method::POST, "/api/authtoken").json(&format!(
            r#"{{"username": "ann", "password": "right", "deviceId": "{device}"}}"#
        ));
        let answer = self.answer(call).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    }
}

impl Call {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header(
            AUTHORIZATION.as_str().to_owned().leak(),
            &format!("Bearer {token}"),
        )
    }

    fn json(mut self, body: &str) -> Self {
        self.body = Bytes::from(body.to_owned());
        self.header("content-type", "application/json")
    }

    fn form(mut self, body: &str) -> Self {
        self.body = Bytes::from(body.to_owned());
        self.header("content-type", "application/x-www-form-urlencoded")
    }
}

/// An answer, easier to ask about.
struct Answer(Reply);

impl Answer {
    fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(self.0.body()).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.text()).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let value = self.0.headers().get(name)?;
        Some(value.to_str().unwrap())
    }

    /// The value of a cookie that is set.
    fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.0.headers().get_all("set-cookie").iter();
        let mut cookies = lines.filter_map(|line| line.to_str().unwrap().split(';').next());
        cookies.find_map(|cookie| cookie.strip_prefix(name)?.strip_prefix('='))
    }

    /// That it is ioGates' error of this status: a message and nothing else.
    #[track_caller]
    fn is_error(&self, status: u16) {
        assert_eq!(self.status(), status, "{}", self.text());
        let body = self.json();
        let members: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["message"]);
        assert!(!body["message"].as_str().unwrap().is_empty());
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("www-authenticate").is_some(), status == 401);
        let waits = matches!(status, 429 | 503);
        assert_eq!(self.header("retry-after").is_some(), waits);
    }
}

#[tokio::test]
async fn the_method_is_looked_at_first() {
    let site = Site::new();
    for (method, path, allow) in [
        (Method::GET, "/api/authtoken", "POST"),
        (Method::HEAD, "/api/authtoken", "POST"),
        (Method::HEAD, "/api/apiauth/twofactorsms/t", "GET, POST"),
        (Method::PUT, "/api/apiauth/twofactorsms/t", "GET, POST"),
        (Method::DELETE, "/.vestibule/challenge", "GET, HEAD, POST"),
    ] {
        let answer = site.answer(site.call(method.clone(), path)).await;
        assert_eq!(answer.status(), 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        assert_eq!(answer.header("www-authenticate"), None);
    }
    assert_eq!(site.world().inbox.count(), 0);
}

#[test]
fn endpoints_are_there_where_their_route_has_them() {
    let route = |change: fn(&mut model::Route)| Site::with(World::new(), change).route;
    let all = route(|_| {});
    assert!(table::find(&all, "/api/authtoken").is_some());
    assert!(table::find(&all, "/api/apiauth/twofactorsms/t").is_some());
    assert!(table::find(&all, "/.vestibule/challenge").is_some());
    assert!(table::find(&all, "/.vestibule/other").is_none());
    let bare = route(|config| config.dialects.clear());
    assert!(
        table::find(&bare, "/api/authtoken").is_some(),
        "of the identity"
    );
    assert!(table::find(&bare, "/api/apiauth/twofactorsms/t").is_none());
    assert!(table::find(&bare, "/.vestibule/challenge").is_some());
}

#[test]
fn an_upstreams_own_sign_in_is_left_to_it() {
    let site = Site::new();
    let route = Route {
        config: site.route.config.clone(),
        keys: site.route.keys.clone(),
        identity: learned(),
        portal: Arc::default(),
    };
    assert!(table::find(&route, "/api/authtoken").is_none());
    assert!(table::find(&route, "/api/apiauth/twofactorsms/t").is_some());
}

/// An identity whose users sign in at the backend.
fn learned() -> Identity {
    Identity::Learn(model::Learn {
        endpoint: "/api/authtoken".to_owned(),
        token: "/token".to_owned(),
        user: "/profile/username".to_owned(),
        phone: None,
        email: None,
        groups: None,
        probe: None,
        lifetime: None,
    })
}
