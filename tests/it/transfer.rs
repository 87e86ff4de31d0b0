//! Big transfers stream both ways in constant memory, and survive a reload and a drain.

use crate::support::gateway::write_config;
use crate::support::nginx::Nginx;
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Setup, program, wait_for};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

struct World {
    gateway: Gateway,
    nginx: Nginx,
    setup: Setup,
    token: String,
    dir: tempfile::TempDir,
}

async fn world() -> World {
    let inbox = Inbox::start().await;
    let dir = tempfile::tempdir().expect("folder");
    let nginx = Nginx::start(dir.path()).await;
    let setup = Setup::accounts(nginx.address, inbox.address);
    let gateway = Gateway::start(&setup);
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.verified(&inbox, "anna", "laptop").await;
    World {
        gateway,
        nginx,
        setup,
        token,
        dir,
    }
}

fn sha256(file: &Path) -> String {
    let output = Command::new(program("sha256sum"))
        .arg(file)
        .output()
        .expect("sha256sum");
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_whitespace().next().expect("digest").to_owned()
}

#[tokio::test]
async fn a_gibibyte_goes_up_and_down_in_constant_memory() {
    let world = world().await;
    let (up, down) = (
        world.dir.path().join("up.bin"),
        world.dir.path().join("down.bin"),
    );
    let made = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "head -c 1073741824 /dev/urandom > '{}'",
            up.display()
        ))
        .status();
    assert!(made.expect("head").success());
    let authorization = format!("Authorization: Bearer {}", world.token);
    let url = world.gateway.url("/big.bin");
    let curl = |args: &[&str]| {
        let output = Command::new(program("curl"))
            .args(["-sS", "--fail", "--max-time", "300", "-H", &authorization])
            .args(args)
            .arg(&url)
            .output()
            .expect("curl");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let before = world.gateway.memory_kib("VmHWM");
    curl(&["-T", up.to_str().expect("path")]);
    curl(&["-o", down.to_str().expect("path")]);
    let grown = world.gateway.memory_kib("VmHWM") - before;
    assert!(grown < 48 * 1024, "1 GiB each way took {grown} KiB more");
    let sent = sha256(&up);
    assert_eq!(sent, sha256(&world.nginx.root.join("big.bin")));
    assert_eq!(sent, sha256(&down));
}

#[tokio::test]
async fn a_refused_upload_of_50_mib_reads_its_401() {
    let world = world().await;
    let body = world.dir.path().join("50m.bin");
    std::fs::write(&body, vec![7_u8; 50 << 20]).expect("file");
    // With and without `Expect: 100-continue`, which curl sends for bodies of this size.
    for expect in ["Expect: 100-continue", "Expect:"] {
        let output = Command::new(program("curl"))
            .args([
                "-sS",
                "--max-time",
                "120",
                "-w",
                "\n%{http_code}",
                "-H",
                expect,
                "-T",
            ])
            .arg(&body)
            .arg(world.gateway.url("/refused.bin"))
            .output()
            .expect("curl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.ends_with("\n401"),
            "{expect}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            text.contains("\"status\":401"),
            "the whole problem document: {text}"
        );
    }
    assert!(
        !world.nginx.root.join("refused.bin").exists(),
        "nothing reached the origin"
    );
}

/// An upload whose first half has been sent.
struct HalfSent {
    stream: TcpStream,
    rest: usize,
}

const UPLOAD: usize = 8 << 20;

fn begin_upload(world: &World, path: &str) -> HalfSent {
    let mut stream = TcpStream::connect(world.gateway.listeners[0]).expect("connect");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("timeout");
    write!(
        stream,
        "PUT {path} HTTP/1.1\r\nHost: files\r\nAuthorization: Bearer {}\r\nContent-Length: {UPLOAD}\r\n\r\n",
        world.token
    )
    .expect("head");
    stream.write_all(&vec![b'x'; UPLOAD / 2]).expect("half");
    HalfSent {
        stream,
        rest: UPLOAD - UPLOAD / 2,
    }
}

fn finish_upload(mut upload: HalfSent) -> String {
    upload
        .stream
        .write_all(&vec![b'y'; upload.rest])
        .expect("other half");
    let mut answer = vec![0; 4096];
    let read = upload.stream.read(&mut answer).expect("answer");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn an_upload_in_flight_survives_a_reload() {
    let world = world().await;
    let upload = begin_upload(&world, "/reload.bin");
    write_config(
        world.gateway.dir.path(),
        &world.setup.clone().with("[/closed/]", "[/now-closed/]"),
    );
    world.gateway.signal("HUP");
    wait_for("the reload", Duration::from_secs(10), async || {
        let closed = world
            .gateway
            .get("/now-closed/x", &world.token, "laptop")
            .send()
            .await
            .expect("answer");
        (closed.status() == 403).then_some(())
    })
    .await;
    assert!(finish_upload(upload).starts_with("HTTP/1.1 201"));
    assert_eq!(
        std::fs::metadata(world.nginx.root.join("reload.bin"))
            .expect("file")
            .len(),
        UPLOAD as u64
    );
}

#[tokio::test]
async fn an_upload_in_flight_survives_sigterm_and_then_the_process_ends() {
    let mut world = world().await;
    let upload = begin_upload(&world, "/drain.bin");
    world.gateway.signal("TERM");
    let address = world.gateway.listeners[0];
    wait_for(
        "the listener to close",
        Duration::from_secs(10),
        async || TcpStream::connect(address).err(),
    )
    .await;
    assert!(
        world.gateway.child.try_wait().expect("wait").is_none(),
        "still draining"
    );
    let answer = finish_upload(upload);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    world.gateway.ends(Duration::from_secs(10)).await;
    assert_eq!(
        std::fs::metadata(world.nginx.root.join("drain.bin"))
            .expect("file")
            .len(),
        UPLOAD as u64
    );
}

#[tokio::test]
async fn sigterm_ends_an_idle_gateway_at_once() {
    let mut world = world().await;
    // An idle keep-alive connection is no reason to wait.
    let idle = world
        .gateway
        .get("/ready.txt", &world.token, "laptop")
        .send()
        .await
        .expect("answer");
    assert_eq!(idle.text().await.expect("text"), "ready\n");
    world.gateway.signal("TERM");
    world.gateway.ends(Duration::from_secs(5)).await;
}
