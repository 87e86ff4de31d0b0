//! Forward-auth through the proxies that people have: the real ones, on the files of `config/examples/proxies`.

mod forged;

use self::forged::what_a_client_forges_comes_to_nothing;
use crate::support::gateway::Gateway;
use crate::support::iogates::{Backend, Seen};
use crate::support::person::{Browser, location};
use crate::support::proxy::{Kind, Proxy, SITE, example};
use crate::support::{Inbox, PASSWORD, PHONE, Setup, live, program, secret, tls, wait_for};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio_tungstenite::tungstenite;

const DEVICE: &str = "laptop";

/// What `config/examples/forward-auth.yaml` says, with places of a test's own. Vestibule itself has no file server: only
/// the proxy that asks it reaches one.
fn setup(sms: &str) -> Setup {
    let provider = format!(
        "    - http: {{url: \"http://{sms}/send\", method: GET, query: {{to: \"{{phone}}\", text: \"{{text}}\"}}}}\n"
    );
    let twilio = "    - twilio:\n        account_sid: AC00000000000000000000000000000000\n        \
                  auth_token: {file: twilio.token}\n        from: \"+15005550006\"\n";
    let yaml = example(
        "forward-auth.yaml",
        &[
            ("127.0.0.1:8080", "127.0.0.1:0"),
            ("127.0.0.1:8081", "127.0.0.1:0"),
            ("127.0.0.1:9180", "127.0.0.1:0"),
            ("/run/vestibule/admin.sock", "admin/admin.sock"),
            ("/var/lib/vestibule/vestibule.db", "vestibule.db"),
            ("${CREDENTIALS_DIRECTORY}/store.key", "store.key"),
            (twilio, &provider),
            (
                "dialects: [iogates]",
                "dialects: [iogates]\n    forward: {assertion: true}",
            ),
            ("127.0.0.1:5000", "127.0.0.1:9"),
        ],
    );
    let yaml = format!(
        "{yaml}log: {{level: trace}}\ncodes: {{resend_after: 0s}}\nlimits: {{per_user_per_hour: 1000, per_number_per_hour: 1000}}\n"
    );
    Setup { yaml }
}

struct World {
    backend: Backend,
    inbox: Inbox,
    gateway: Gateway,
    proxy: Proxy,
}

impl World {
    async fn start(kind: Kind) -> Self {
        let backend = Backend::start().await;
        let files = backend.address;
        Self::in_front_of(kind, backend, files).await
    }

    /// With another file server than the one that tells what it has seen.
    async fn in_front_of(kind: Kind, backend: Backend, files: SocketAddr) -> Self {
        let inbox = Inbox::start().await;
        let gateway = Gateway::start(&setup(&inbox.address.to_string()));
        gateway.add_user("anna", PASSWORD, PHONE);
        let proxy = Proxy::start(kind, &gateway, files).await;
        backend.forget();
        Self {
            backend,
            inbox,
            gateway,
            proxy,
        }
    }

    fn request(&self, line: &str) -> RequestBuilder {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("method");
        self.proxy.http.request(method, self.proxy.url(path))
    }

    /// By somebody with a token.
    fn by(&self, token: &str, line: &str) -> RequestBuilder {
        self.request(line)
            .bearer_auth(token)
            .header("x-device-id", DEVICE)
    }

    /// Signs in through the proxy.
    async fn sign_in(&self) -> String {
        let account = json!({"username": "anna", "password": PASSWORD, "deviceId": DEVICE});
        let request = self
            .request("POST /api/authtoken")
            .body(account.to_string());
        let answer = request.send().await.expect("answer");
        assert_eq!(answer.status(), 200, "sign-in");
        let body: Value = answer.json().await.expect("JSON");
        secret(body["token"].as_str().expect("token"))
    }

    /// Passes the second factor through the proxy.
    async fn verify(&self, token: &str) {
        let path = format!("GET /api/apiauth/twofactorsms/{token}");
        let started = self.by(token, &path).send().await.expect("answer");
        assert_eq!(started.status(), 200, "start");
        let code = self.inbox.code_for(PHONE);
        let request = self.by(token, &path).query(&[("authcode", code)]);
        let verified = request.send().await.expect("answer");
        assert_eq!(verified.status(), 200, "verify");
    }

    async fn verified(&self) -> String {
        let token = self.sign_in().await;
        self.verify(&token).await;
        token
    }

    /// Sends what must be refused, and never reach the file server.
    async fn refused(&self, request: RequestBuilder, status: u16) -> Response {
        let shown = format!("{request:?}");
        let answer = request.send().await.expect("answer");
        let seen = self.backend.forget();
        assert_eq!(answer.status(), status, "{shown}");
        assert!(seen.is_empty(), "{shown} reached the backend: {seen:?}");
        answer
    }

    /// Sends what must pass, and gives what the file server saw of it.
    async fn passed(&self, request: RequestBuilder) -> (Seen, String) {
        let shown = format!("{request:?}");
        let answer = request.send().await.expect("answer");
        let status = answer.status();
        let body = answer.text().await.expect("text");
        assert_eq!(status, 200, "{shown}: {body}");
        let mut seen = self.backend.forget();
        assert_eq!(seen.len(), 1, "{shown}: {seen:?}");
        (seen.remove(0), body)
    }

    /// Sends a target as it is written, which no client library does.
    async fn curl(&self, target: &str) -> u16 {
        self.curl_with(target, &[]).await
    }

    async fn curl_with(&self, target: &str, more: &[&str]) -> u16 {
        let port = self.proxy.address.port();
        let output = tokio::process::Command::new(program("curl"))
            .args(["-sk", "--path-as-is", "--max-time", "20", "-o", "/dev/null"])
            .args(["-w", "%{http_code}", "--request-target", target])
            .args(["--resolve", &format!("{SITE}:{port}:127.0.0.1")])
            .args(more)
            .arg(format!("https://{SITE}:{port}/"))
            .output()
            .await
            .expect("curl");
        let code = String::from_utf8_lossy(&output.stdout);
        code.parse().unwrap_or_else(|_| panic!("{code}: {target}"))
    }
}

fn with(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    let add = |request: RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
    headers.iter().fold(request, add)
}

async fn a_browser_is_led_to_the_sign_in_and_back(kind: Kind) {
    let world = World::start(kind).await;
    let mut browser = Browser::at(&world.proxy.http, &world.proxy.base);
    let refused = browser.get("/docs/a?b=c").await;
    let sign_in = location(&refused);
    let page = "/.vestibule/sign-in?return_to=/docs/a%3Fb%3Dc";
    assert!(sign_in.ends_with(page), "{sign_in}");
    assert!(world.backend.forget().is_empty());
    let file = browser.comes_in(&world.inbox, &sign_in).await;
    assert_eq!(
        (file.status().as_u16(), file.url().path()),
        (200, "/docs/a")
    );
    let seen = world.backend.forget();
    let [seen] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(seen.target, "/docs/a?b=c");
    assert_eq!(seen.headers["x-vestibule-user"], "anna");
    assert_eq!(seen.headers["x-vestibule-factor"], "sms");
    let assertion = seen.headers["x-vestibule-assertion"]
        .to_str()
        .expect("text");
    assert_eq!(assertion.split('.').count(), 3, "a signed token");
    // The cookies of Vestibule's own pages are for nobody else, whoever forwards.
    let text = format!("{:?}", seen.headers);
    for cookie in &browser.cookies {
        assert!(cookie.0.starts_with("__Host-vestibule_"), "{cookie:?}");
        assert!(
            !text.contains(&cookie.1) && !text.contains(&cookie.0),
            "{text}"
        );
    }
    let denied = browser.get("/internal/x").await;
    assert_eq!(denied.status(), 403);
    assert!(
        denied.text().await.expect("page").starts_with("<!"),
        "a page"
    );
    // A page of elsewhere changes nothing by that cookie.
    let cookie = browser
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let cookie = cookie.collect::<Vec<_>>().join("; ");
    let forged = world.request("DELETE /docs/a").header("cookie", &cookie);
    world
        .refused(forged.header("sec-fetch-site", "cross-site"), 403)
        .await;
}

async fn a_program_is_told_how_to_go_on_and_let_in(kind: Kind) {
    let world = World::start(kind).await;
    let anonymous = world.refused(world.request("GET /docs/a"), 401).await;
    let challenge = anonymous.headers()["www-authenticate"]
        .to_str()
        .expect("text");
    assert!(
        challenge.starts_with("Basic ") || challenge.starts_with("Bearer "),
        "{challenge}"
    );
    let kind_of = anonymous.headers()["content-type"].to_str().expect("text");
    assert_eq!(kind_of, "application/problem+json");

    let token = world.sign_in().await;
    let refused = world.refused(world.by(&token, "GET /docs/a"), 401).await;
    let body: Value = refused.json().await.expect("JSON");
    assert_eq!(body["auth_required"], true, "{body}");
    let portal = body["portal_url"].as_str().expect("a URL");
    assert!(portal.starts_with(&world.proxy.base), "{portal}");
    world.verify(&token).await;
    world.backend.forget();

    let (seen, body) = world.passed(world.by(&token, "GET /docs/a?b=c")).await;
    assert_eq!(
        (seen.target.as_str(), body.as_str()),
        ("/docs/a?b=c", "GET /docs/a 0 bytes\n")
    );
    assert_eq!(
        seen.headers["authorization"],
        format!("Bearer {token}").as_str()
    );
    // An upload, and what WebDAV adds.
    let megabyte = vec![7_u8; 1 << 20];
    let put = world.by(&token, "PUT /docs/big").body(megabyte.clone());
    let (_, body) = world.passed(put).await;
    assert_eq!(body, "PUT /docs/big 1048576 bytes\n");
    let copy = |to: &str| {
        let to = world.proxy.url(to);
        world.by(&token, "COPY /docs/a").header("destination", to)
    };
    let (seen, _) = world.passed(copy("/docs/b")).await;
    assert!(
        seen.headers["destination"]
            .to_str()
            .expect("text")
            .ends_with("/docs/b")
    );
    let (seen, _) = world.passed(copy("/docs/a,%20b/c,d")).await;
    let to = seen.headers["destination"].to_str().expect("text");
    assert!(to.ends_with("/docs/a,%20b/c,d"), "{to}");
    world.refused(copy("/internal/b"), 403).await;
    for second in ["/internal/b", "x:/internal/b", "internal/b"] {
        let twice = copy("/public/b").header("destination", second);
        let status = twice.send().await.expect("answer").status().as_u16();
        let seen = world.backend.forget();
        // Envoy keeps the first one alone, and asks about that.
        let expected = if kind == Kind::Envoy { 200 } else { 400 };
        assert_eq!(status, expected, "{second}");
        let destinations = seen.iter().flat_map(|it| it.headers.get_all("destination"));
        for destination in destinations {
            let path = destination.to_str().expect("text");
            assert!(path.ends_with("/public/b"), "{second}: {path}");
        }
        assert!(seen.iter().all(one_destination), "{second}");
    }
    world
        .refused(world.by(&token, "GET /internal/x"), 403)
        .await;
    // A folder goes with what is below it; a look into it does not.
    world.refused(world.by(&token, "DELETE /"), 403).await;
    world.refused(world.by(&token, "PROPFIND /"), 403).await;
    let look = world.by(&token, "PROPFIND /").header("depth", "1");
    world.passed(look).await;
    // Nobody's upload, and that of somebody who is not verified.
    let put = world.request("PUT /docs/big").body(megabyte.clone());
    world.refused(put, 401).await;
    let put = world.request("PUT /docs/big").bearer_auth(&token);
    let put = put.header("x-device-id", "other").body(megabyte);
    world.refused(put, 401).await;

    let revoked = world.gateway.cli(&["session", "revoke", "--user", "anna"]);
    assert!(revoked.status.success());
    wait_for("the end", Duration::from_secs(1), async || {
        let answer = world
            .by(&token, "GET /docs/a")
            .send()
            .await
            .expect("answer");
        (answer.status() == 401).then_some(())
    })
    .await;
}

fn one_destination(seen: &Seen) -> bool {
    seen.headers.get_all("destination").iter().count() == 1
}

async fn a_websocket_opens_for_who_may(kind: Kind) {
    let (seen, files) = (Backend::start().await, live::backend().await);
    let world = World::in_front_of(kind, seen, files).await;
    let token = world.sign_in().await;
    let bearer = format!("Bearer {token}");
    let open = async || {
        let stream = tls::connect(world.proxy.address, SITE).await;
        let by = [("authorization", &*bearer), ("x-device-id", DEVICE)];
        let host = format!("{SITE}:{}", world.proxy.address.port());
        live::websocket_by(stream, &host, &by).await
    };
    match open().await {
        Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 401),
        other => panic!("{other:?}"),
    }
    world.verify(&token).await;
    let mut socket = open().await.expect("upgrade");
    for said in ["one", "two"] {
        socket.send(said.into()).await.expect("send");
        let echoed = socket.next().await.expect("message").expect("message");
        assert_eq!(echoed.into_text().expect("text").as_str(), said);
    }
}

async fn nothing_passes_while_vestibule_is_down(kind: Kind) {
    let mut world = World::start(kind).await;
    let token = world.verified().await;
    world.backend.forget();
    world.passed(world.by(&token, "GET /docs/a")).await;
    world.gateway.child.kill().expect("kill");
    world.gateway.child.wait().expect("wait");
    for line in ["GET /public/x", "PUT /docs/a"] {
        let answer = world.by(&token, line).send().await.expect("answer");
        assert!(
            answer.status().is_server_error(),
            "{line}: {}",
            answer.status()
        );
        assert!(world.backend.forget().is_empty(), "{line}");
    }
}

/// The questions of docs/forward-auth.md, asked as they stand there.
#[tokio::test]
async fn the_guides_questions_are_answered_as_it_says() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/forward-auth.md");
    let guide = std::fs::read_to_string(guide).expect("guide");
    let (_, rest) = guide.split_once("```sh\n").expect("a block");
    let (block, _) = rest.split_once("```").expect("its end");
    let said = |line: &str| Some(line.split_once("# ")?.1.split_once("  ")?.0.to_owned());
    let said: Vec<String> = block.lines().filter_map(said).collect();
    assert_eq!(said.len(), 5, "{said:?}");
    let gateway = Gateway::start(&setup("127.0.0.1:9"));
    let block = block.replace("127.0.0.1:8081", &gateway.listeners[1].to_string());
    let output = tokio::process::Command::new("bash")
        .args(["-c", &block])
        .output()
        .await
        .expect("bash");
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told.lines().collect::<Vec<_>>(), said);
}

macro_rules! through {
    ($($name:ident: $kind:expr,)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn a_browser_is_led_to_the_sign_in_and_back() {
                super::a_browser_is_led_to_the_sign_in_and_back($kind).await;
            }

            #[tokio::test]
            async fn a_program_is_told_how_to_go_on_and_let_in() {
                super::a_program_is_told_how_to_go_on_and_let_in($kind).await;
            }

            #[tokio::test]
            async fn what_a_client_forges_comes_to_nothing() {
                super::what_a_client_forges_comes_to_nothing($kind).await;
            }

            #[tokio::test]
            async fn a_websocket_opens_for_who_may() {
                super::a_websocket_opens_for_who_may($kind).await;
            }

            #[tokio::test]
            async fn nothing_passes_while_vestibule_is_down() {
                super::nothing_passes_while_vestibule_is_down($kind).await;
            }
        }
    )*};
}

through! {
    nginx: Kind::Nginx,
    caddy: Kind::Caddy,
    haproxy: Kind::HaProxy,
    traefik: Kind::Traefik,
    envoy: Kind::Envoy,
}
