//! Codes by mail, against a real SMTP server: what arrives, what is never sent twice, and what the
//! connection must be before anything is said on it.

use crate::support::config::STORE_KEY;
use crate::support::gateway::write_config;
use crate::support::smtpd::{Received, Smtpd};
use crate::support::{Gateway, Inbox, Setup, free_port, secret, wait_for};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vestibule::auth::{Deliver as _, DeliveryError};
use vestibule::delivery::{Observer, Providers};
use vestibule::factor::one_time::{self, Mail};
use vestibule::secret::Secret;

const CODE: &str = "314159";
const PASSWORD: &str = "mail-password-hunter2";
const TO: &str = "anna@example.org";

/// Providers set up from a config file, and what the metrics are told.
struct Post {
    providers: Providers,
    outcomes: Arc<Mutex<Vec<(&'static str, &'static str)>>>,
}

impl Post {
    /// `smtp` is the server's URL, `more` further keys of `delivery.email`.
    fn new(dir: &Path, smtp: &str, more: &str) -> Self {
        std::fs::write(dir.join("store.key"), STORE_KEY).expect("key");
        let yaml = format!(
            "listeners: [{{address: \"127.0.0.1:0\"}}]\n\
             store: {{url: \"memory:\", key: {{file: store.key}}}}\n\
             delivery:\n  email: {{smtp: \"{smtp}\", from: \"Sørens Filer, A/S <no-reply@files.example>\"{more}}}\n\
             identities: {{local: {{accounts: {{}}}}}}\n\
             upstreams: {{files: {{servers: [\"127.0.0.1:5000\"]}}}}\n\
             routes: [{{name: files, hosts: [\"*\"], upstream: files, identity: local}}]\n"
        );
        let file = dir.join("vestibule.yaml");
        std::fs::write(&file, yaml).expect("config");
        let config = vestibule::config::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&outcomes);
        let observer: Observer = Arc::new(move |provider, outcome| {
            told.lock().expect("outcomes").push((provider, outcome));
        });
        let providers = Providers::new(&config.delivery, observer).expect("providers");
        Self {
            providers,
            outcomes,
        }
    }

    fn to(server: &Smtpd) -> Self {
        let dir = TempDir::new().expect("folder");
        Self::new(dir.path(), &format!("smtp://127.0.0.1:{}", server.port), "")
    }

    async fn send(&self, to: &str) -> Result<&'static str, DeliveryError> {
        self.providers.email(&Secret::new(to), &code()).await
    }

    /// The outcomes since the last call.
    fn outcomes(&self) -> Vec<&'static str> {
        let all = std::mem::take(&mut *self.outcomes.lock().expect("outcomes"));
        assert!(all.iter().all(|(provider, _)| *provider == "smtp"));
        all.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

fn code() -> Mail {
    let wording = one_time::Wording {
        words: vestibule::words::Words::default(),
        service: "Sørens Filer",
        lifetime: Duration::from_secs(600),
    };
    wording.mail(&secret(CODE))
}

/// A CA (`ca.pem`) and a certificate for `name` that it has signed.
fn certificates(name: &str) -> TempDir {
    let dir = TempDir::new().expect("folder");
    let write =
        |file: &str, text: String| std::fs::write(dir.path().join(file), text).expect("PEM");
    let ca_key = rcgen::KeyPair::generate().expect("key");
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("CA");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    write("ca.pem", ca.self_signed(&ca_key).expect("CA").pem());
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("key");
    let server = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("certificate");
    write(
        "server.pem",
        server.signed_by(&key, &issuer).expect("certificate").pem(),
    );
    write("server.key", key.serialize_pem());
    dir
}

fn is_the_code(mail: &Received) {
    assert_eq!(mail.sender, "no-reply@files.example");
    assert_eq!(mail.recipients, [TO]);
    assert_eq!(mail.header("To"), TO);
    assert_eq!(
        mail.header("From"),
        "\"Sørens Filer, A/S\" <no-reply@files.example>"
    );
    assert_eq!(mail.header("Subject"), "Your code for Sørens Filer");
    assert_eq!(mail.text, code().text.expose());
    assert!(
        mail.text
            .starts_with("314159 is your code for Sørens Filer.")
    );
}

#[tokio::test]
async fn a_mail_arrives_as_a_client_should_show_it() {
    let server = Smtpd::start(&[]);
    let post = Post::to(&server);
    assert_eq!(post.send(TO).await, Ok("smtp"));
    assert_eq!(post.outcomes(), ["accepted"]);
    let mail = server.next();
    is_the_code(&mail);
    assert!(!mail.tls && mail.user.is_empty());
    assert_eq!(mail.hello, "files.example");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.header("MIME-Version"), "1.0");
    assert_eq!(mail.header("Content-Type"), "text/plain; charset=\"utf-8\"");
    assert!(mail.ascii, "no server needs 8BITMIME");
    let id = mail.header("Message-ID");
    assert!(
        id.starts_with('<') && id.ends_with("@files.example>"),
        "{id}"
    );
    assert!(mail.has("Date"));
    assert!(!mail.text.contains("://"));
    assert_eq!(post.send(TO).await, Ok("smtp"));
    let second = server.next();
    assert_ne!(second.header("Message-ID"), id);
    assert_eq!(second.peer, mail.peer, "the connection is kept");
    assert_eq!(server.rest().len(), 0);
}

#[tokio::test]
async fn nothing_in_a_mail_becomes_a_header_a_command_or_an_end() {
    let server = Smtpd::start(&[]);
    let post = Post::to(&server);
    for to in [
        "anna@example.org\r\nBcc: eve@example.org",
        "anna@example.org>\r\nRCPT TO:<eve@example.org",
        "anna@example.org\nDATA",
        "anna@example.org, eve@example.org",
        "<anna@example.org>",
        "\"anna\r\nBcc: eve\"@example.org",
        "anna@example.org\u{0}",
        "søren@example.org",
        "@example.org",
        "",
    ] {
        assert_eq!(
            post.send(to).await,
            Err(DeliveryError::BadRecipient),
            "{to:?}"
        );
    }
    assert_eq!(post.outcomes(), [""; 0], "the server was not asked");
    let text = "1\n.\n..two\r\n.\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<eve@example.org>\rø\n";
    let mail = Mail {
        subject: "Files\r\nBcc: eve@example.org\r\n\r\nbody".to_owned(),
        text: Secret::new(text),
    };
    assert_eq!(
        post.providers.email(&Secret::new(TO), &mail).await,
        Ok("smtp")
    );
    let mail = server.next();
    assert_eq!(mail.recipients, [TO]);
    assert!(!mail.has("Bcc"), "{mail:?}");
    let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
    assert_eq!(lines(&mail.text), lines(text));
    assert_eq!(server.rest().len(), 0);
}

#[tokio::test]
async fn starttls_and_implicit_tls_with_a_ca_of_ones_own_and_a_password() {
    for (tls, scheme) in [("starttls", "smtp+starttls"), ("implicit", "smtps")] {
        let dir = certificates("127.0.0.1");
        let login = ["--user", "files", "--password", PASSWORD];
        let server = Smtpd::with_tls(tls, dir.path(), &login);
        let url = format!("{scheme}://127.0.0.1:{}", server.port);
        std::fs::write(dir.path().join("right"), secret(PASSWORD)).expect("password");
        let more = ", username: files, password: {file: right}, ca: ca.pem";
        let post = Post::new(dir.path(), &url, more);
        assert_eq!(post.send(TO).await, Ok("smtp"), "{scheme}");
        let mail = server.next();
        is_the_code(&mail);
        assert!(mail.tls, "{scheme}");
        assert_eq!(mail.user, "files");

        std::fs::write(dir.path().join("wrong"), "not-the-password").expect("password");
        let more = ", username: files, password: {file: wrong}, ca: ca.pem";
        let post = Post::new(dir.path(), &url, more);
        assert_eq!(post.send(TO).await, Err(DeliveryError::NotAccepted));
        assert_eq!(post.outcomes(), ["refused"]);
        // Nobody signs in: the server says 530 to MAIL, which is not the recipient's fault.
        let post = Post::new(dir.path(), &url, ", ca: ca.pem");
        assert_eq!(post.send(TO).await, Err(DeliveryError::NotAccepted));
        assert_eq!(post.outcomes(), ["refused"]);
        assert_eq!(server.rest().len(), 0);
    }
}

#[tokio::test]
async fn a_server_can_be_tried_without_a_mail() {
    let dir = certificates("127.0.0.1");
    let login = ["--user", "files", "--password", PASSWORD];
    let server = Smtpd::with_tls("starttls", dir.path(), &login);
    let url = format!("smtp+starttls://127.0.0.1:{}", server.port);
    std::fs::write(dir.path().join("right"), secret(PASSWORD)).expect("password");
    std::fs::write(dir.path().join("wrong"), "not-the-password").expect("password");
    let reach = async |url: &str, more: &str| {
        let post = Post::new(dir.path(), url, &format!(", timeout: 8s{more}"));
        let reached = post.providers.reach_mail().await;
        assert_eq!(post.outcomes(), [""; 0], "nothing was sent");
        reached.map_err(|error| error.to_string())
    };
    let with = |file: &str| format!(", username: files, password: {{file: {file}}}, ca: ca.pem");
    assert_eq!(reach(&url, &with("right")).await, Ok(()));
    let refused = reach(&url, &with("wrong")).await;
    let refused = refused.expect_err("refused");
    assert!(
        refused.starts_with("the sign-in failed with status 535"),
        "{refused}"
    );
    let unknown = reach(&url, ", username: files, password: {file: right}").await;
    let unknown = unknown.expect_err("an unknown certificate");
    assert!(unknown.starts_with("STARTTLS failed: "), "{unknown}");
    let dead = format!("smtp://127.0.0.1:{}", free_port());
    let dead = reach(&dead, "").await.expect_err("nobody");
    assert!(dead.contains("refused"), "{dead}");
    assert_eq!(server.rest().len(), 0);
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_nothing() {
    for (tls, scheme) in [("starttls", "smtp+starttls"), ("implicit", "smtps")] {
        for (name, more) in [("127.0.0.1", ""), ("other.example", ", ca: ca.pem")] {
            let dir = certificates(name);
            let server = Smtpd::with_tls(tls, dir.path(), &[]);
            let url = format!("{scheme}://127.0.0.1:{}", server.port);
            let post = Post::new(dir.path(), &url, more);
            assert_eq!(post.send(TO).await, Err(DeliveryError::NotAccepted));
            assert_eq!(post.outcomes(), ["unreachable"], "{scheme} {name}");
            assert_eq!(server.rest().len(), 0);
        }
    }
}

#[tokio::test]
async fn where_tls_is_required_a_server_without_it_gets_neither_code_nor_password() {
    let dir = TempDir::new().expect("folder");
    let server = Smtpd::start(&["--user", "files", "--password", PASSWORD]);
    std::fs::write(dir.path().join("password"), secret(PASSWORD)).expect("password");
    let more = ", timeout: 4s, username: files, password: {file: password}";
    for (scheme, outcome) in [("smtp+starttls", "refused"), ("smtps", "unreachable")] {
        let url = format!("{scheme}://127.0.0.1:{}", server.port);
        let post = Post::new(dir.path(), &url, more);
        assert_eq!(post.send(TO).await, Err(DeliveryError::NotAccepted));
        assert_eq!(post.outcomes(), [outcome], "{scheme}");
    }
    // The same server by the scheme that trusts this machine: signed in without TLS.
    let post = Post::new(
        dir.path(),
        &format!("smtp://127.0.0.1:{}", server.port),
        more,
    );
    assert_eq!(post.send(TO).await, Ok("smtp"));
    let mail = server.next();
    assert_eq!((mail.user.as_str(), mail.tls), ("files", false));
    assert_eq!(server.rest().len(), 0);
}

#[tokio::test]
async fn on_this_machine_starttls_is_used_where_it_is_offered() {
    let dir = certificates("a-name-nobody-asked-for.example");
    let server = Smtpd::with_tls("starttls", dir.path(), &[]);
    let post = Post::to(&server);
    assert_eq!(post.send(TO).await, Ok("smtp"));
    assert!(server.next().tls);
}

#[tokio::test]
async fn what_the_server_says_of_a_recipient_is_told_apart() {
    let server = Smtpd::start(&[]);
    let post = Post::to(&server);
    for (to, error) in [
        ("nobody@example.org", DeliveryError::BadRecipient),
        ("later@example.org", DeliveryError::NotAccepted),
        ("spam@example.org", DeliveryError::NotAccepted),
    ] {
        assert_eq!(post.send(to).await, Err(error), "{to}");
        assert_eq!(post.outcomes(), ["refused"], "{to}");
    }
    // A refusal leaves nothing behind that could spoil the next mail.
    assert_eq!(post.send(TO).await, Ok("smtp"));
    is_the_code(&server.next());
    assert_eq!(server.rest().len(), 0);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    let server = Smtpd::start(&[]);
    let post = Post::to(&server);
    assert_eq!(post.send("last@example.org").await, Ok("smtp"));
    let first = server.next();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(post.send(TO).await, Ok("smtp"));
    let second = server.next();
    is_the_code(&second);
    assert_ne!(first.peer, second.peer);
    assert_eq!(post.outcomes(), ["accepted", "accepted"]);
    assert_eq!(server.rest().len(), 0);
}

#[tokio::test]
async fn a_mail_that_the_server_may_have_is_never_sent_again() {
    let server = Smtpd::start(&[]);
    let dir = TempDir::new().expect("folder");
    let url = format!("smtp://127.0.0.1:{}", server.port);
    let post = Post::new(dir.path(), &url, ", timeout: 4s");
    // So that a connection is kept, which is where a retry would come from.
    for (to, outcome) in [("cut@example.org", "lost"), ("slow@example.org", "timeout")] {
        assert_eq!(post.send(TO).await, Ok("smtp"));
        is_the_code(&server.next());
        let start = Instant::now();
        assert_eq!(post.send(to).await, Err(DeliveryError::NotAccepted));
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(post.outcomes(), ["accepted", outcome], "{to}");
        assert_eq!(server.next().recipients, [to]);
    }
    assert_eq!(server.rest().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_down_or_never_speaks_is_given_up() {
    let dir = TempDir::new().expect("folder");
    let down = format!("smtp://127.0.0.1:{}", free_port());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("listener");
    let silent = format!("smtp://{}", silent.local_addr().expect("address"));
    for url in [down, silent, "smtps://mail.invalid".to_owned()] {
        let post = Post::new(dir.path(), &url, ", timeout: 2s");
        let start = Instant::now();
        assert_eq!(
            post.send(TO).await,
            Err(DeliveryError::NotAccepted),
            "{url}"
        );
        assert_eq!(post.outcomes(), ["unreachable"], "{url}");
        assert!(start.elapsed() < Duration::from_secs(15), "{url}");
    }
}

#[tokio::test]
async fn many_mails_at_once_arrive_once_each() {
    let server = Smtpd::start(&[]);
    let post = Arc::new(Post::to(&server));
    let sending: Vec<_> = (0..20)
        .map(|number| {
            let post = Arc::clone(&post);
            tokio::spawn(async move { post.send(&format!("p{number}@example.org")).await })
        })
        .collect();
    for sent in sending {
        assert_eq!(sent.await.expect("task"), Ok("smtp"));
    }
    let mut recipients: Vec<_> = server
        .rest()
        .into_iter()
        .flat_map(|mail| mail.recipients)
        .collect();
    recipients.sort();
    let mut expected: Vec<_> = (0..20).map(|it| format!("p{it}@example.org")).collect();
    expected.sort();
    assert_eq!(recipients, expected);
}

#[tokio::test]
async fn without_a_server_no_mail_is_sent() {
    let observer: Observer = Arc::new(|_, _| {});
    let config = vestibule::config::model::Delivery::default();
    let providers = Providers::new(&config, observer).expect("providers");
    let sent = providers.email(&Secret::new(TO), &code()).await;
    assert_eq!(sent, Err(DeliveryError::NotConfigured));
}

#[tokio::test]
async fn the_gateway_starts_with_a_mail_server_and_a_reload_takes_another() {
    let inbox = Inbox::start().await;
    let with = |smtp: &str| {
        let email = format!("delivery:\n  email: {{smtp: \"{smtp}\", from: files@example.org}}");
        Setup::accounts(inbox.address, inbox.address).with("delivery:", &email)
    };
    let gateway = Gateway::start(&with("smtps://mail.example.org"));
    let metrics = format!("http://{}/metrics", gateway.admin.expect("admin"));
    for (smtp, outcome) in [
        ("smtp://127.0.0.1", "applied"),
        ("smtp://anna:hunter2@127.0.0.1", "refused"),
    ] {
        write_config(gateway.dir.path(), &with(smtp));
        gateway.signal("HUP");
        let counted = format!("vestibule_config_reloads_total{{outcome=\"{outcome}\"}} 1");
        wait_for("the reload", Duration::from_secs(10), async || {
            let answer = gateway.http.get(&metrics).send().await.expect("answer");
            let text = answer.text().await.expect("metrics");
            text.contains(&counted).then_some(())
        })
        .await;
    }
}

#[test]
fn the_log_holds_no_address_code_or_password() {
    let dir = certificates("127.0.0.1");
    let printed = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&printed);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || Printer(Arc::clone(&writer)))
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let login = ["--user", "files", "--password", PASSWORD];
            let server = Smtpd::with_tls("implicit", dir.path(), &login);
            let url = format!("smtps://127.0.0.1:{}", server.port);
            std::fs::write(dir.path().join("right"), PASSWORD).expect("password");
            std::fs::write(dir.path().join("wrong"), "hunter2-the-wrong").expect("password");
            for password in ["right", "wrong"] {
                let more = format!(", username: files, password: {{file: {password}}}, ca: ca.pem");
                let post = Post::new(dir.path(), &url, &more);
                for to in [TO, "nobody@example.org", "cut@example.org", "a@b@c"] {
                    let _ = post.send(to).await;
                }
            }
            let post = Post::new(dir.path(), &url, "");
            let _ = post.send(TO).await;
        });
    });
    let printed = String::from_utf8(printed.lock().expect("log").clone()).expect("text");
    for told in ["550", "535", "lost", "accepted", "UnknownIssuer"] {
        assert!(printed.contains(told), "{told} is missing from\n{printed}");
    }
    for hidden in [
        "anna",
        "nobody",
        "example.org",
        CODE,
        "hunter2",
        "your code",
    ] {
        assert!(!printed.contains(hidden), "{hidden} in {printed}");
    }
}

#[derive(Clone)]
struct Printer(Arc<Mutex<Vec<u8>>>);

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
