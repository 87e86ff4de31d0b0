//! A new program in the old one's place: sockets outlive the gateway, so nobody is refused.
//!
//! `support/manager.py` does what systemd does for the shipped unit, and for one with a socket unit.

use crate::support::gateway::write_config;
use crate::support::{Gateway, PASSWORD, PHONE, Setup, Site, client, free_port, secret, wait_for};
use axum::body::{Body, Bytes};
use axum::routing::get;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/manager.py");
/// How long a start may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A gateway under a service manager.
struct Managed {
    manager: Child,
    orders: ChildStdin,
    /// What manager and gateway say.
    heard: mpsc::Receiver<String>,
}

impl Managed {
    /// Starts one on the config in `dir`, passing it sockets on the addresses of `listen`.
    fn start(dir: &Path, listen: &[String]) -> Self {
        let mut command = Command::new("python3");
        command.arg(SCRIPT);
        for address in listen {
            command.args(["--listen", address]);
        }
        let mut manager = command
            .args([env!("CARGO_BIN_EXE_vestibule"), "serve"])
            .args(["--config", "vestibule.yaml"])
            .current_dir(dir)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3");
        let (say, heard) = mpsc::channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(manager.stdout.take().expect("stdout")),
            Box::new(manager.stderr.take().expect("stderr")),
        ];
        for output in outputs {
            let say = say.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    println!("{line}");
                    let _ = say.send(line);
                }
            });
        }
        let orders = manager.stdin.take().expect("stdin");
        Self {
            manager,
            orders,
            heard,
        }
    }

    /// Waits for a line with this in it, and returns it with all lines before.
    fn until(&self, mark: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.heard.recv_timeout(LIMIT);
            lines.push(line.unwrap_or_else(|_| panic!("waited for `{mark}`")));
            if lines.last().is_some_and(|line| line.contains(mark)) {
                return lines;
            }
        }
    }

    fn order(&mut self, word: &str) {
        writeln!(self.orders, "{word}").expect("manager");
    }

    fn stop(mut self) {
        self.order("stop");
        self.until("exited 0");
        let ended = self.manager.wait().expect("manager");
        assert!(ended.success());
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        // Not killed: the gateway would notice nothing of that.
        let _ = writeln!(self.orders, "stop");
        let _ = self.manager.wait();
    }
}

/// A folder with a config that listens on `address`, and a store key.
fn folder(setup: &Setup) -> TempDir {
    let dir = TempDir::new().expect("folder");
    let key = secret(crate::support::config::STORE_KEY);
    std::fs::write(dir.path().join("store.key"), key).expect("key");
    write_config(dir.path(), setup);
    dir
}

/// A file server with a quick file and one that takes two seconds.
async fn file_server() -> SocketAddr {
    let slow = async || {
        let pieces = (0..20_u8).map(|n| (Bytes::from(vec![n; 1_000]), Duration::from_millis(100)));
        Body::from_stream(futures_util::stream::unfold(pieces, async |mut pieces| {
            let (piece, pause) = pieces.next()?;
            tokio::time::sleep(pause).await;
            Some((Ok::<_, std::convert::Infallible>(piece), pieces))
        }))
    };
    let app = axum::Router::new()
        .route("/public/slow", get(slow))
        .fallback(async || "hello");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("backend");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Clients that ask one thing after the other, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    /// Two clients that connect anew for each request, and two that keep their connection.
    fn start(url: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let ask = |keeps: bool| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let url = url.to_owned();
            let kept = client();
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let once = client();
                    let http = if keeps { &kept } else { &once };
                    match http.get(&url).send().await {
                        Ok(answer) if answer.status() == 200 => {
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(answer) => failures.push(answer.status().to_string()),
                        Err(error) => failures.push(format!("keeps={keeps} {error:?}")),
                    }
                }
                failures
            })
        };
        let clients = [false, false, true, true].map(ask).into();
        Self {
            stop,
            answered,
            clients,
        }
    }

    /// Waits for so many more answers.
    async fn answers(&self, more: usize) {
        let before = self.answered.load(Ordering::SeqCst);
        wait_for("answers", LIMIT, async || {
            (self.answered.load(Ordering::SeqCst) >= before + more).then_some(())
        })
        .await;
    }

    /// Every request that was not answered with 200.
    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.expect("client"));
        }
        failures
    }
}

/// Restarts a gateway under load, by either way that its sockets can outlive it.
async fn restarts_refuse_nobody(from_a_socket_unit: bool) {
    let (backend, port) = (file_server().await, free_port());
    let address = format!("127.0.0.1:{port}");
    let listen = format!("listeners:\n  - address: {address}");
    let setup = Setup::accounts(backend, "127.0.0.1:9".parse().expect("address"))
        .with("listeners:\n  - address: 127.0.0.1:0", &listen);
    let dir = folder(&setup);
    let passed = if from_a_socket_unit {
        vec![address.clone()]
    } else {
        Vec::new()
    };
    let mut gateway = Managed::start(dir.path(), &passed);
    gateway.until("vestibule is ready");
    let load = Load::start(&format!("http://{address}/public/hello"));
    for _ in 0..2 {
        load.answers(20).await;
        // In flight when the gateway is stopped.
        let slow = client().get(format!("http://{address}/public/slow"));
        let slow = tokio::spawn(async move { slow.send().await?.bytes().await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        gateway.order("restart");
        let whole = slow.await.expect("task").expect("a whole file");
        assert_eq!(whole.len(), 20_000);
        let said = gateway.until("vestibule is ready");
        let took_over = |line: &String| line.contains("listening on a socket that was passed");
        assert!(said.iter().any(took_over), "{said:#?}");
        // The second gateway had the store for itself: the first one had let go of it.
        let exited = said.iter().position(|line| line == "exited 0");
        let started = said.iter().rposition(|line| line.starts_with("started "));
        assert!(exited.is_some() && exited < started, "{said:#?}");
        load.answers(20).await;
    }
    assert_eq!(load.end().await, Vec::<String>::new());
    gateway.stop();
    let gone = reqwest::Client::new().get(format!("http://{address}/public/hello"));
    assert!(gone.send().await.is_err(), "the manager has let go of them");
}

#[tokio::test]
async fn a_restart_with_kept_sockets_refuses_nobody() {
    restarts_refuse_nobody(false).await;
}

#[tokio::test]
async fn a_restart_with_a_socket_unit_refuses_nobody() {
    restarts_refuse_nobody(true).await;
}

#[tokio::test]
async fn a_socket_that_the_config_does_not_know_is_an_error_that_says_so() {
    let setup = Setup::accounts(
        "127.0.0.1:9".parse().expect("address"),
        "127.0.0.1:9".parse().expect("address"),
    );
    let dir = folder(&setup.with(
        "address: 127.0.0.1:0\ntimeouts",
        "address: 0.0.0.0:1\ntimeouts",
    ));
    let address = format!("127.0.0.1:{}", free_port());
    let gateway = Managed::start(dir.path(), std::slice::from_ref(&address));
    let said = gateway.until("LISTEN_FDS");
    let message = said.last().expect("a line");
    assert!(message.contains(&address), "{message}");
    assert!(message.contains("0.0.0.0:1"), "{message}");
    assert!(message.contains("ListenStream="), "{message}");
}

#[tokio::test]
async fn a_listener_that_moves_takes_its_old_socket_away() {
    let (backend, ports) = (file_server().await, [free_port(), free_port()]);
    let setup = Setup::accounts(backend, "127.0.0.1:9".parse().expect("address"));
    let on = |port: u16| {
        let listen = format!("listeners:\n  - address: 127.0.0.1:{port}");
        setup
            .clone()
            .with("listeners:\n  - address: 127.0.0.1:0", &listen)
    };
    let dir = folder(&on(ports[0]));
    let mut gateway = Managed::start(dir.path(), &[]);
    gateway.until("vestibule is ready");
    write_config(dir.path(), &on(ports[1]));
    gateway.order("restart");
    gateway.until(&format!("closed vestibule-127.0.0.1-{}", ports[0]));
    let url = format!("http://127.0.0.1:{}/public/hello", ports[1]);
    wait_for("the new address", LIMIT, async || {
        client().get(&url).send().await.ok()
    })
    .await;
    // Nobody holds the old one.
    TcpListener::bind(("127.0.0.1", ports[0])).expect("the old address is free");
    gateway.stop();
}

#[tokio::test]
async fn sessions_are_there_after_an_upgrade() {
    let Site {
        gateway,
        inbox,
        setup,
        ..
    } = Site::accounts().await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.verified(&inbox, "anna", "laptop").await;
    let mut gateway = gateway;
    gateway.signal("TERM");
    gateway.ends(LIMIT).await;
    let gateway = Gateway::start_in(gateway.kill(), &setup);
    let answer = gateway.get("/x", &token, "laptop").send().await;
    assert_eq!(answer.expect("answer").status(), 200);
}
