//! HTTP/1.1 and HTTP/2, TLS with several certificates, WebSocket, event streams, ranges, WebDAV by a
//! real client.

use crate::support::copyparty::Copyparty;
use crate::support::live;
use crate::support::tls::certificate;
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Setup, program, secret};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

async fn signed_in(gateway: &Gateway, inbox: &Inbox) -> String {
    gateway.add_user("anna", PASSWORD, PHONE);
    gateway.verified(inbox, "anna", "laptop").await
}

fn curl(args: &[&str]) -> String {
    let output = Command::new(program("curl"))
        .args(["-sS", "-k", "--max-time", "30"])
        .args(args)
        .output();
    let output = output.expect("curl");
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The names in the certificate that is shown for `sni`.
fn shown(address: SocketAddr, sni: &str, more: &[&str]) -> String {
    let script = format!(
        "openssl s_client -connect {address} -servername {sni} {} </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName",
        more.join(" ")
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("openssl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn tls_serves_both_protocols_and_the_certificate_that_was_asked_for() {
    let inbox = Inbox::start().await;
    let share = tempfile::tempdir().expect("folder");
    let files = Copyparty::start(&share.path().join("files")).await;
    certificate(share.path(), "files.test");
    certificate(share.path(), "docs.test");
    let setup = Setup::accounts(files.address, inbox.address)
        .with_tls(share.path(), &["files.test", "docs.test"]);
    let gateway = Gateway::start(&setup);
    let token = signed_in(&gateway, &inbox).await;
    let tls = gateway.listeners[1];

    let url = format!("https://files.test:{}/hello.txt", tls.port());
    let resolve = format!("files.test:{}:127.0.0.1", tls.port());
    let bearer = format!("Authorization: Bearer {token}");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let text = curl(&[
            flag,
            "--resolve",
            &resolve,
            "-H",
            &bearer,
            "-H",
            "X-Device-Id: laptop",
            "-w",
            " %{http_version} %{http_code}",
            &url,
        ]);
        assert_eq!(text, format!("hello from behind\n {version} 200"));
        let refused = curl(&[
            flag,
            "--resolve",
            &resolve,
            "-w",
            " %{http_code}",
            "-o",
            "/dev/null",
            &url,
        ]);
        assert_eq!(refused, " 401");
    }
    // More than one flow-control window goes up over HTTP/2, with the answer's bytes back.
    let body = share.path().join("h2.bin");
    let sent: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&body, &sent).expect("file");
    let put = curl(&[
        "--http2",
        "--resolve",
        &resolve,
        "-H",
        &bearer,
        "-H",
        "X-Device-Id: laptop",
        "-o",
        "/dev/null",
        "-w",
        "%{http_version} %{http_code}",
        "-T",
        body.to_str().expect("path"),
        &url.replace("hello.txt", "h2.bin"),
    ]);
    assert_eq!(put, "2 201");
    assert!(
        std::fs::read(files.dir.join("h2.bin")).expect("file") == sent,
        "the upload arrived whole"
    );
    for flag in ["--tlsv1.3", "--tls-max 1.2"] {
        let text = curl(
            &[
                flag.split(' ').collect::<Vec<_>>(),
                vec![
                    "--resolve",
                    &resolve,
                    "-H",
                    &bearer,
                    "-H",
                    "X-Device-Id: laptop",
                    &url,
                ],
            ]
            .concat(),
        );
        assert_eq!(text, "hello from behind\n", "{flag}");
    }
    assert!(shown(tls, "docs.test", &[]).contains("docs.test"));
    assert!(shown(tls, "files.test", &[]).contains("files.test"));
    assert!(
        shown(tls, "unknown.test", &[]).contains("files.test"),
        "the first is the default"
    );
    assert_eq!(
        shown(tls, "files.test", &["-tls1_1"]),
        "",
        "TLS 1.1 is refused"
    );

    // A new certificate is in use after SIGHUP; a broken one changes nothing.
    std::fs::copy(
        share.path().join("docs.test.pem"),
        share.path().join("files.test.pem"),
    )
    .expect("copy");
    gateway.signal("HUP");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(
        shown(tls, "files.test", &[]).contains("files.test"),
        "a certificate without its key is not taken"
    );
    certificate(share.path(), "renewed.test");
    std::fs::copy(
        share.path().join("renewed.test.pem"),
        share.path().join("files.test.pem"),
    )
    .expect("copy");
    std::fs::copy(
        share.path().join("renewed.test.key"),
        share.path().join("files.test.key"),
    )
    .expect("copy");
    gateway.signal("HUP");
    crate::support::wait_for("the new certificate", Duration::from_secs(10), async || {
        shown(tls, "renewed.test", &[])
            .contains("renewed.test")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn ranges_expect_and_chunked_uploads_work() {
    let inbox = Inbox::start().await;
    let dir = tempfile::tempdir().expect("folder");
    let nginx = crate::support::nginx::Nginx::start(dir.path()).await;
    let gateway = Gateway::start(&Setup::accounts(nginx.address, inbox.address));
    let token = signed_in(&gateway, &inbox).await;
    let range = gateway
        .get("/ready.txt", &token, "laptop")
        .header("range", "bytes=1-3")
        .send()
        .await
        .expect("answer");
    assert_eq!(range.status(), 206);
    assert_eq!(range.headers()["content-range"], "bytes 1-3/6");
    assert_eq!(range.text().await.expect("text"), "ead");

    let bearer = format!("Authorization: Bearer {token}");
    let body = dir.path().join("body.bin");
    std::fs::write(&body, vec![b'z'; 300_000]).expect("file");
    let data = format!("@{}", body.display());
    let expect = curl(&[
        "-X",
        "PUT",
        "-H",
        "Expect: 100-continue",
        "-H",
        &bearer,
        "--data-binary",
        &data,
        "-w",
        "%{http_code}",
        &gateway.url("/expect.bin"),
    ]);
    assert!(expect.ends_with("201"), "{expect}");
    let chunked = curl(&[
        "-X",
        "PUT",
        "-H",
        "Transfer-Encoding: chunked",
        "-H",
        &bearer,
        "--data-binary",
        &data,
        "-w",
        "%{http_code}",
        &gateway.url("/chunked.bin"),
    ]);
    assert!(chunked.ends_with("201"), "{chunked}");
    for name in ["expect.bin", "chunked.bin"] {
        assert_eq!(
            std::fs::read(nginx.root.join(name)).expect("file"),
            vec![b'z'; 300_000],
            "{name}"
        );
    }
    let head = gateway
        .http
        .head(gateway.url("/ready.txt"))
        .bearer_auth(&token)
        .send()
        .await
        .expect("answer");
    assert_eq!(
        (
            head.status().as_u16(),
            head.headers()["content-length"].as_bytes()
        ),
        (200, &b"6"[..])
    );
    let mkcol = reqwest::Method::from_bytes(b"MKCOL").expect("method");
    let made = gateway
        .http
        .request(mkcol, gateway.url("/new/"))
        .bearer_auth(&token)
        .send()
        .await
        .expect("answer");
    assert_eq!(made.status(), 201);
}

#[tokio::test]
async fn a_webdav_client_lists_uploads_and_downloads() {
    let inbox = Inbox::start().await;
    let share = tempfile::tempdir().expect("folder");
    let files = Copyparty::start(&share.path().join("files")).await;
    let gateway = Gateway::start(&Setup::accounts(files.address, inbox.address));
    let token = signed_in(&gateway, &inbox).await;
    let local = share.path().join("local");
    std::fs::create_dir_all(&local).expect("folder");
    std::fs::write(local.join("up.txt"), "from rclone\n").expect("file");
    let rclone = |token: &str, args: &[&str]| {
        Command::new(program("rclone"))
            .args([
                "--config",
                "/dev/null",
                "--webdav-vendor",
                "other",
                "--retries",
                "1",
                "--low-level-retries",
                "1",
            ])
            .args([
                "--webdav-url",
                &gateway.url("/"),
                "--webdav-bearer-token",
                token,
                "--header",
                "X-Device-Id: laptop",
            ])
            .args(args)
            .output()
            .expect("rclone")
    };
    let listed = rclone(&token, &["lsf", ":webdav:docs"]);
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout),
        "plan.txt\n",
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let copied = rclone(
        &token,
        &["copy", local.to_str().expect("path"), ":webdav:docs"],
    );
    assert!(
        copied.status.success(),
        "{}",
        String::from_utf8_lossy(&copied.stderr)
    );
    assert_eq!(
        std::fs::read_to_string(files.dir.join("docs/up.txt")).expect("file"),
        "from rclone\n"
    );
    let moved = rclone(
        &token,
        &["moveto", ":webdav:docs/up.txt", ":webdav:docs/moved.txt"],
    );
    assert!(
        moved.status.success(),
        "{}",
        String::from_utf8_lossy(&moved.stderr)
    );
    assert!(files.dir.join("docs/moved.txt").exists());
    let unverified = secret(&gateway.sign_in("anna", PASSWORD, "tablet").await);
    let refused = Command::new(program("rclone"))
        .args([
            "--config",
            "/dev/null",
            "--webdav-vendor",
            "other",
            "--retries",
            "1",
            "--low-level-retries",
            "1",
        ])
        .args([
            "--webdav-url",
            &gateway.url("/"),
            "--webdav-bearer-token",
            &unverified,
            "lsf",
            ":webdav:docs",
        ])
        .output()
        .expect("rclone");
    assert!(!refused.status.success(), "no second factor, no list");
    assert_eq!(String::from_utf8_lossy(&refused.stdout), "");
}

#[tokio::test]
async fn websockets_and_event_streams_pass_and_may_be_quiet() {
    use futures_util::{SinkExt as _, StreamExt as _};
    let inbox = Inbox::start().await;
    let backend = live::backend().await;
    // Both are quiet for longer than a body or an upstream answer may be.
    let setup = Setup::accounts(backend, inbox.address)
        .with("body: 60s", "body: 1s")
        .with(
            &format!("servers: [\"{backend}\"]"),
            &format!("servers: [\"{backend}\"], timeouts: {{read: 1s}}"),
        );
    let gateway = Gateway::start(&setup);
    let token = signed_in(&gateway, &inbox).await;

    let stream = tokio::net::TcpStream::connect(gateway.listeners[0])
        .await
        .expect("connect");
    let mut socket = live::websocket(stream, &token, "").await.expect("upgrade");
    for text in ["first", "second, after a pause"] {
        socket.send(text.into()).await.expect("send");
        let echoed = socket.next().await.expect("message").expect("message");
        assert_eq!(echoed.into_text().expect("text").as_str(), text);
        tokio::time::sleep(Duration::from_millis(1600)).await;
    }

    let events = gateway
        .get("/events", &token, "laptop")
        .header("accept", "text/event-stream")
        .send()
        .await;
    let events = events.expect("answer");
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert_eq!(
        events.text().await.expect("text"),
        "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    );
}

#[tokio::test]
async fn keep_alive_serves_many_requests_on_one_connection() {
    let inbox = Inbox::start().await;
    let dir = tempfile::tempdir().expect("folder");
    let nginx = crate::support::nginx::Nginx::start(dir.path()).await;
    let gateway = Gateway::start(&Setup::accounts(nginx.address, inbox.address));
    let token = signed_in(&gateway, &inbox).await;
    let mut stream = TcpStream::connect(gateway.listeners[0]).expect("connect");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("timeout");
    for _ in 0..20 {
        write!(
            stream,
            "GET /ready.txt HTTP/1.1\r\nHost: f\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .expect("send");
        let mut answer = Vec::new();
        let mut chunk = [0; 2048];
        while !answer.ends_with(b"ready\n") {
            let read = stream.read(&mut chunk).expect("answer");
            assert!(read > 0, "the connection stays open");
            answer.extend_from_slice(&chunk[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_silent_client_is_asked_whether_it_is_still_there() {
    let inbox = Inbox::start().await;
    let gateway = Gateway::start(&Setup::accounts(inbox.address, inbox.address));
    let client = TcpStream::connect(gateway.listeners[0]).expect("connect");
    let ends = [gateway.listeners[0], client.local_addr().expect("address")];
    // An IPv4 address is written as its bytes stand in memory (proc_pid_net(5)).
    let [local, remote] = ends.map(|end| format!("0100007F:{:04X}", end.port()));
    // The kernel's clock ticks 100 times a second there: the first probe comes within 120 s,
    // where its own default is two hours.
    crate::support::wait_for("a keepalive timer", Duration::from_secs(10), async || {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("table");
        let fields = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|fields| fields[1..3] == [&local, &remote])?;
        let (kind, ticks) = fields[5].split_once(':').expect("a timer");
        let ticks = u64::from_str_radix(ticks, 16).expect("ticks");
        (kind == "02" && (1..=12_000).contains(&ticks)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_address_holds_no_more_connections_than_it_may() {
    let inbox = Inbox::start().await;
    let setup = Setup::accounts(inbox.address, inbox.address)
        .with("store:", "connections: {per_address_max: 2}\nstore:");
    let gateway = Gateway::start(&setup);
    let connect = || {
        let stream = TcpStream::connect(gateway.listeners[0]).expect("connect");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("timeout");
        stream
    };
    let is_served = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"GET /x HTTP/1.1\r\nHost: f\r\n\r\n");
        let mut answer = [0; 1024];
        let read = stream.read(&mut answer).unwrap_or(0);
        answer[..read].starts_with(b"HTTP/1.1 401")
    };
    let (mut first, mut second) = (connect(), connect());
    assert!(is_served(&mut first) && is_served(&mut second));
    assert!(!is_served(&mut connect()), "the third is closed");
    drop(first);
    crate::support::wait_for("room for one more", Duration::from_secs(20), async || {
        is_served(&mut connect()).then_some(())
    })
    .await;
    assert!(is_served(&mut second), "the others are left alone");
    let metrics = format!("http://{}/metrics", gateway.admin.expect("admin"));
    let metrics = gateway.http.get(metrics).send().await.expect("answer");
    let text = metrics.text().await.expect("text");
    let refused = text
        .lines()
        .find_map(|line| line.strip_prefix("vestibule_connections_refused_total "));
    assert!(refused.is_some_and(|count| count != "0"), "{refused:?}");
}
