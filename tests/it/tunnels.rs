//! What has been opened with a session ends with it, everywhere within a second: WebSockets and
//! streams of events, over every protocol. Uploads and downloads in flight finish.

use crate::support::gateway::{command, write_config};
use crate::support::person::{Browser, location};
use crate::support::tls::{self, certificate};
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Setup, live, secret};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;

const ACCOUNT: &str = "/.vestibule/account";
/// The promise is a second; the rest is for a machine that does other things, too.
const PROMISED: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    gateway: Gateway,
    inbox: Inbox,
    setup: Setup,
    _certificates: tempfile::TempDir,
}

impl World {
    async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let inbox = Inbox::start().await;
        let certificates = tempfile::tempdir().expect("folder");
        certificate(certificates.path(), "files");
        let setup = Setup::accounts(live::backend().await, inbox.address)
            .with_tls(certificates.path(), &["files"]);
        let setup = change(setup);
        let gateway = Gateway::start(&setup);
        gateway.add_user("anna", PASSWORD, PHONE);
        Self {
            gateway,
            inbox,
            setup,
            _certificates: certificates,
        }
    }

    async fn new() -> Self {
        Self::with(|setup| setup).await
    }

    /// A token of anna's, verified on this device.
    async fn verified(&self, device: &str) -> String {
        let token = self.gateway.sign_in("anna", PASSWORD, device).await;
        let (gateway, inbox) = (&self.gateway, &self.inbox);
        gateway.verify(inbox, &token, device, PHONE).await;
        token
    }

    async fn socket(&self, token: &str, device: &str) -> Open {
        let stream = TcpStream::connect(self.gateway.listeners[0]).await;
        let socket = live::websocket(stream.expect("connect"), token, device).await;
        Open::socket(socket.expect("upgrade")).await
    }

    /// By the cookies of a browser that has signed in.
    async fn socket_of(&self, browser: &Browser) -> Open {
        let stream = TcpStream::connect(self.gateway.listeners[0]).await;
        let by = [("cookie", &*browser.jar()), ("origin", "http://files")];
        let socket = live::websocket_by(stream.expect("connect"), "files", &by).await;
        Open::socket(socket.expect("upgrade")).await
    }

    /// A call of Ziik's API; the status of its answer.
    async fn ziik(&self, token: &str, path: &str, body: Value) -> u16 {
        let request = self.gateway.http.post(self.gateway.url(path));
        let request = request.bearer_auth(token).header("x-device-id", "laptop");
        let answer = request.body(body.to_string()).send().await;
        answer.expect("answer").status().as_u16()
    }

    async fn verify_ziik(&self, token: &str, phone: &str) {
        let path = "/api/two-factor/send-verification";
        assert_eq!(self.ziik(token, path, json!({})).await, 204);
        let code = json!({"key": self.inbox.code_for(phone)});
        assert_eq!(self.ziik(token, "/api/two-factor/verify", code).await, 204);
    }

    async fn tls_socket(&self, token: &str, device: &str) -> Open {
        let stream = tls::connect(self.gateway.listeners[1], "files").await;
        let socket = live::websocket(stream, token, device).await;
        Open::socket(socket.expect("upgrade")).await
    }

    /// `/endless`, over plain HTTP/1.1, HTTP/1.1 under TLS or HTTP/2; `accepts`: the client says that it
    /// is a stream of events that it wants.
    async fn events(&self, over: Over, token: &str, device: &str, accepts: bool) -> Open {
        let (plain, tls) = (self.gateway.listeners[0], self.gateway.listeners[1]);
        let url = match over {
            Over::Plain => format!("http://{plain}/endless"),
            Over::Tls1 | Over::Tls2 => format!("https://{tls}/endless"),
        };
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
        let client = match over {
            Over::Plain | Over::Tls1 => client.http1_only(),
            Over::Tls2 => client,
        };
        let mut request = client
            .build()
            .expect("client")
            .get(url)
            .bearer_auth(token)
            .header("x-device-id", device);
        if accepts {
            request = request.header("accept", "text/event-stream");
        }
        let answer = request.send().await.expect("answer");
        assert_eq!(answer.status(), 200);
        let is_h2 = answer.version() == http::Version::HTTP_2;
        assert_eq!(is_h2, over == Over::Tls2);
        Open::events(answer).await
    }

    fn revoke(&self, args: &[&str]) -> Instant {
        let output = self.gateway.cli(&[&["session", "revoke"], args].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Instant::now()
    }

    fn sessions(&self) -> Vec<Value> {
        self.gateway.cli_list(&["session", "list", "--json"])
    }

    /// The newest session's number.
    fn newest(&self) -> String {
        self.sessions()[0]["id"].as_i64().expect("id").to_string()
    }

    async fn status(&self, token: &str, device: &str) -> u16 {
        let request = self.gateway.get("/x", token, device);
        request.send().await.expect("answer").status().as_u16()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Plain,
    Tls1,
    Tls2,
}

/// Something that is open, watched in the background: when it has ended.
struct Open {
    ended: oneshot::Receiver<Instant>,
}

impl Open {
    /// It has echoed once.
    async fn socket<S>(mut socket: WebSocketStream<S>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        socket.send("are you there?".into()).await.expect("send");
        let echoed = socket.next().await.expect("message").expect("message");
        assert_eq!(echoed.into_text().expect("text").as_str(), "are you there?");
        Self::watch(async move { while let Some(Ok(_)) = socket.next().await {} })
    }

    /// Its first event has come.
    async fn events(mut answer: reqwest::Response) -> Self {
        let first = answer.chunk().await.expect("event").expect("event");
        assert_eq!(&first[..], b"data: 0\n\n");
        Self::watch(async move { while let Ok(Some(_)) = answer.chunk().await {} })
    }

    fn watch(until: impl Future<Output = ()> + Send + 'static) -> Self {
        let (say, ended) = oneshot::channel();
        tokio::spawn(async move {
            until.await;
            let _ = say.send(Instant::now());
        });
        Self { ended }
    }

    fn is_open(&mut self) -> bool {
        matches!(
            self.ended.try_recv(),
            Err(oneshot::error::TryRecvError::Empty)
        )
    }

    /// It must have ended within a second of `since`.
    async fn ends(self, since: Instant, what: &str) {
        let ended = tokio::time::timeout(PATIENCE, self.ended).await;
        let ended = ended.unwrap_or_else(|_| panic!("{what} is still open"));
        let took = ended.expect("watched").saturating_duration_since(since);
        println!("{what} ended {took:?} after the session");
        assert!(took <= PROMISED, "{what}: {took:?}");
    }
}

#[tokio::test]
async fn a_revoked_session_ends_what_it_opened_over_every_protocol() {
    let world = World::new().await;
    let token = world.verified("laptop").await;
    let number = world.newest();
    let other = world.verified("phone").await;
    let laptop = "laptop";
    let mut spared = vec![
        ("another's socket", world.socket(&other, "phone").await),
        (
            "another's events",
            world.events(Over::Plain, &other, "phone", true).await,
        ),
    ];
    let opened = [
        ("socket", world.socket(&token, laptop).await),
        ("socket of no device", world.socket(&token, "").await),
        ("socket under TLS", world.tls_socket(&token, laptop).await),
        (
            "events",
            world.events(Over::Plain, &token, laptop, true).await,
        ),
        (
            "events under TLS",
            world.events(Over::Tls1, &token, laptop, true).await,
        ),
        (
            "events over HTTP/2",
            world.events(Over::Tls2, &token, laptop, true).await,
        ),
        (
            "events that nobody announced",
            world.events(Over::Plain, &token, laptop, false).await,
        ),
        (
            "the same over HTTP/2",
            world.events(Over::Tls2, &token, laptop, false).await,
        ),
    ];
    assert_eq!(world.sessions().len(), 2);
    let revoked = world.revoke(&["--id", &number]);
    for (what, open) in opened {
        open.ends(revoked, what).await;
    }
    for (what, open) in &mut spared {
        assert!(open.is_open(), "{what}");
    }
    assert_eq!(world.status(&token, laptop).await, 401);
    assert_eq!(world.status(&other, "phone").await, 200);
    let (_, last) = spared.swap_remove(0);
    last.ends(world.revoke(&["--user", "anna"]), "the other's socket")
        .await;
}

#[tokio::test]
async fn every_way_of_ending_a_session_ends_its_socket() {
    let world = World::new().await;
    for (what, args) in [
        ("by its number", &["session", "revoke", "--id", ""][..]),
        ("by its user", &["session", "revoke", "--user", "anna"]),
        ("everybody's", &["session", "revoke", "--all"]),
        ("by a reset", &["user", "reset-2fa", "anna"]),
        (
            "by its device",
            &["session", "revoke", "--device", "laptop"],
        ),
        (
            "by its token",
            &["session", "revoke", "--token-file", "its.token"],
        ),
        (
            "by a new password",
            &["user", "set", "anna", "--password-file", "anna.password"],
        ),
        ("with its user", &["user", "remove", "anna"]),
    ] {
        let token = world.verified("laptop").await;
        let open = world.socket(&token, "laptop").await;
        let number = world.newest();
        let file = world.gateway.dir.path().join("its.token");
        std::fs::write(file, &token).expect("token");
        let args: Vec<&str> = args
            .iter()
            .map(|arg| if arg.is_empty() { &*number } else { *arg })
            .collect();
        let output = world.gateway.cli(&args);
        assert!(output.status.success(), "{what}");
        open.ends(Instant::now(), what).await;
    }
}

#[tokio::test]
async fn what_a_person_ends_on_the_pages_ends_its_sockets() {
    let world = World::new().await;
    let mut browser = Browser::new(&world.gateway);
    let sign_in = "/.vestibule/sign-in?return_to=/x";
    let came_in = browser.comes_in(&world.inbox, sign_in).await;
    assert_eq!(came_in.status(), 200);
    let mut own = world.socket_of(&browser).await;

    let token = world.verified("laptop").await;
    let open = world.socket(&token, "laptop").await;
    let number = world.newest();
    let fields = [("action", "end"), ("session", number.as_str())];
    let ended = browser.fill(ACCOUNT, &fields).await;
    let at = Instant::now();
    assert_eq!(location(&ended), format!("{ACCOUNT}?done=session"));
    open.ends(at, "the one that was ended").await;

    let (one, other) = (
        world.verified("laptop").await,
        world.verified("phone").await,
    );
    let opened = [
        ("one of the others", world.socket(&one, "laptop").await),
        (
            "events of another",
            world.events(Over::Tls2, &other, "phone", true).await,
        ),
    ];
    let ended = browser.fill(ACCOUNT, &[("action", "end-others")]).await;
    let at = Instant::now();
    assert_eq!(location(&ended), format!("{ACCOUNT}?done=others"));
    for (what, open) in opened {
        open.ends(at, what).await;
    }
    assert!(own.is_open(), "the one that ends all others is spared");

    let signed_out = browser.fill("/.vestibule/sign-out", &[]).await;
    let at = Instant::now();
    assert_eq!(location(&signed_out), "/.vestibule/sign-out");
    own.ends(at, "by signing out").await;
}

#[tokio::test]
async fn what_an_editor_resets_ends_its_socket() {
    let world = World::with(|setup| setup.with("dialects: [iogates]", "dialects: [ziik]")).await;
    let edith = "+4587654321";
    let more = ["--phone", edith, "--can-edit-users"];
    world.gateway.add_user_with("edith", PASSWORD, &more);
    let [token, editor] = [("anna", PHONE), ("edith", edith)].map(|(name, phone)| {
        let world = &world;
        async move {
            let token = world.gateway.sign_in(name, PASSWORD, "laptop").await;
            world.verify_ziik(&token, phone).await;
            token
        }
    });
    let (token, editor) = (token.await, editor.await);
    let open = world.socket(&token, "laptop").await;
    let mut spared = world.socket(&editor, "laptop").await;
    let anna = world.sessions().into_iter().find(|it| it["name"] == "anna");
    let anna = anna.expect("anna's session")["user"].clone();
    let path = format!("/api/users/{anna}/two-factor/reset");
    let reset = world.ziik(&editor, &path, json!({})).await;
    let at = Instant::now();
    assert_eq!(reset, 204);
    open.ends(at, "by an editor's reset").await;
    assert!(spared.is_open());
}

#[tokio::test]
async fn a_family_of_tokens_ends_with_the_sockets_of_all_its_tokens() {
    let world = World::with(|setup| {
        setup
            .with(
                "delivery:\n",
                "tokens: {issuer: https://files.example.org}\ndelivery:\n",
            )
            .with("dialects: [iogates]", "dialects: [iogates, conduit]")
    })
    .await;
    let root = world.gateway.sign_in("anna", PASSWORD, "laptop").await;
    let post = async |path: &str, body: String| -> Value {
        let url = world.gateway.url(&format!("/authentication/twoFa/{path}"));
        let request = world.gateway.http.post(url).bearer_auth(&root);
        let request = request.header("x-device-id", "laptop").body(body);
        let answer = request.send().await.expect("answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    };
    post("authorize", String::new()).await;
    let code = json!({"code": world.inbox.code_for(PHONE)});
    let tokens = post("verify", code.to_string()).await;
    let text = |name: &str| secret(tokens[name].as_str().expect("token"));
    let (access, refresh) = (text("accessToken"), text("refreshToken"));
    let open = world.socket(&access, "laptop").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", &refresh)];
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let url = world.gateway.url("/.vestibule/token");
        let request = world.gateway.http.post(url).form(&form);
        let answer = request.header("x-device-id", "laptop").send().await;
        statuses.push(answer.expect("answer").status().as_u16());
    }
    let at = Instant::now();
    assert_eq!(statuses, [200, 400], "the second use ends the family");
    open.ends(at, "by a refresh token that was used twice")
        .await;
}

#[tokio::test]
async fn a_revocation_in_the_store_alone_is_seen_by_the_running_gateway() {
    let world = World::new().await;
    let token = world.verified("laptop").await;
    let open = world.socket(&token, "laptop").await;
    // The same config without the socket: the command has nobody to ask and writes into the store.
    let dir = world.gateway.dir.path();
    let deaf = world.setup.clone().with(", socket: admin/admin.sock", "");
    write_config(dir, &deaf);
    let args = ["session", "revoke", "--all", "--config", "vestibule.yaml"];
    let output = command(dir, &args).output().expect("vestibule");
    assert!(output.status.success(), "{output:?}");
    open.ends(Instant::now(), "by another process").await;
    assert_eq!(world.status(&token, "laptop").await, 401);
}

#[tokio::test]
async fn a_socket_ends_with_the_time_of_its_session() {
    let world =
        World::with(|setup| setup.with("codes:", "sessions: {lifetime: 4s, idle: 4s}\ncodes:"))
            .await;
    let token = world.verified("laptop").await;
    let verified = Instant::now();
    let opened = [
        ("the socket", world.socket(&token, "laptop").await),
        (
            "the events",
            world.events(Over::Tls2, &token, "laptop", true).await,
        ),
    ];
    for (what, open) in opened {
        open.ends(verified + Duration::from_secs(4), what).await;
        // The clock counts whole seconds.
        assert!(
            verified.elapsed() >= Duration::from_secs(3),
            "{what}: {:?}",
            verified.elapsed()
        );
    }
}

/// Revoked while it is being opened: before, between the permit and the answer, or just after.
#[tokio::test]
async fn a_socket_opened_while_its_session_is_revoked_does_not_stay() {
    let world = World::new().await;
    for round in 0..8 {
        let token = world.verified("laptop").await;
        let number = world.newest();
        let address = world.gateway.listeners[0];
        let opening = tokio::spawn(async move {
            let mut opened = Vec::new();
            for _ in 0..200 {
                let stream = TcpStream::connect(address).await.expect("connect");
                match live::websocket(stream, &token, "laptop").await {
                    Ok(socket) => opened.push(socket),
                    Err(_) => break,
                }
            }
            opened
        });
        tokio::time::sleep(Duration::from_millis(5 * round)).await;
        let args = [
            "session",
            "revoke",
            "--id",
            &number,
            "--config",
            "vestibule.yaml",
        ];
        let mut revoking = tokio::process::Command::from(command(world.gateway.dir.path(), &args));
        assert!(revoking.status().await.expect("vestibule").success());
        let revoked = Instant::now();
        let opened = opening.await.expect("opened");
        println!("{} were opened in round {round}", opened.len());
        for mut socket in opened {
            let open = Open::watch(async move { while let Some(Ok(_)) = socket.next().await {} });
            open.ends(revoked, "a socket of the race").await;
        }
    }
}

/// Sends a body in pieces over some seconds, in the midst of which all sessions are revoked; returns
/// what the upload is answered.
async fn slow_upload<S>(world: &World, mut stream: S, token: &str) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = format!(
        "PUT /up HTTP/1.1\r\nHost: files\r\nAuthorization: Bearer {token}\r\nX-Device-Id: laptop\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n6\r\nfirst \r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("head");
    stream.flush().await.expect("head");
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.revoke(&["--all"]);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        stream.write_all(b"5\r\nmore \r\n").await.expect("piece");
        stream.flush().await.expect("piece");
    }
    assert_eq!(world.status(token, "laptop").await, 401, "a new request");
    stream.write_all(b"0\r\n\r\n").await.expect("end");
    stream.flush().await.expect("end");
    let mut answer = Vec::new();
    // Under TLS the end may come without its own word.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_upload_in_flight_finishes_after_its_session_has_ended() {
    let world = World::new().await;
    let token = world.verified("laptop").await;
    let plain = TcpStream::connect(world.gateway.listeners[0]).await;
    let plain = slow_upload(&world, plain.expect("connect"), &token).await;
    let token = world.verified("laptop").await;
    let secure = tls::connect(world.gateway.listeners[1], "files").await;
    let secure = slow_upload(&world, secure, &token).await;
    for answer in [plain, secure] {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(
            answer.ends_with("21") || answer.contains("\r\n21\r\n"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn the_last_of_a_share_ends_with_it() {
    let world = World::new().await;
    let args = ["share", "add", "--path", "/", "--phone", PHONE, "--json"];
    let share = world.gateway.cli_json(&args);
    let link = secret(share["token"].as_str().expect("token"));
    let (gateway, inbox) = (&world.gateway, &world.inbox);
    gateway.verify(inbox, &link, "phone", PHONE).await;
    let open = world.socket(&link, "phone").await;
    let shares = world.gateway.cli_list(&["share", "list", "--json"]);
    let id = shares[0]["id"].as_i64().expect("id").to_string();
    assert!(
        world
            .gateway
            .cli(&["share", "revoke", &id])
            .status
            .success()
    );
    open.ends(Instant::now(), "by its share").await;
}
