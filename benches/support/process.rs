//! Servers under measurement: started on one core, their CPU time and memory read from `/proc`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server with all of its processes. It ends with this value.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// Starts `command` on `core` and waits until `address` takes connections.
    pub fn start(core: usize, address: &str, command: &[&str]) -> Result<Self, String> {
        let child = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .args(command)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{command:?} does not start: {error}"))?;
        let mut server = Self {
            child,
            address: address.to_owned(),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("{command:?} ended with {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("{command:?} does not listen on {address}"));
            }
            pause(20);
        }
        Ok(server)
    }

    /// User and system time of all its processes so far, in seconds.
    pub fn cpu_secs(&self) -> f64 {
        let ticks: u64 = self.processes().iter().filter_map(|pid| ticks(*pid)).sum();
        ticks as f64 / ticks_per_sec()
    }

    /// Proportional set size of all its processes, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.processes().iter().filter_map(|pid| pss(*pid)).sum()
    }

    /// Itself, its children and theirs (`taskset` becomes the server, it does not stay its parent).
    fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let all: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
            .collect();
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            found.extend(
                all.iter()
                    .filter(|(_, of)| *of == parent)
                    .map(|(pid, _)| pid),
            );
            next += 1;
        }
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A master that is killed leaves its workers; one that is asked to end takes them along.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            pause(20);
        }
    }
}

/// An address on this machine that was free a moment ago.
pub fn free_address() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok(address.to_string())
}

/// Starts an nginx with one worker and `servers` (blocks of its `http`), its files in `folder`.
pub fn nginx(core: usize, address: &str, folder: &Path, servers: &str) -> Result<Server, String> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let at = folder.display();
    let config = format!(
        "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log warn;
        worker_rlimit_nofile 20000; events {{ worker_connections 19000; }}
        http {{ access_log off; keepalive_timeout 300s; keepalive_requests 100000000;
        client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fcgi;
        uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
        {servers} }}"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config).map_err(|error| error.to_string())?;
    let file = file.display().to_string();
    let log = folder.join("error.log").display().to_string();
    Server::start(core, address, &["nginx", "-e", &log, "-c", &file])
}

/// Waits, on a thread that has nothing else to do.
pub fn pause(millis: u64) {
    #[allow(clippy::disallowed_methods, reason = "no I/O thread: a plain bench")]
    std::thread::sleep(Duration::from_millis(millis));
}

/// The fields of `/proc/PID/stat` after the program's name, which may hold spaces: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

fn ticks(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    let field = |n: usize| fields.get(n)?.parse::<u64>().ok();
    Some(field(11)? + field(12)?)
}

fn ticks_per_sec() -> f64 {
    let said = Command::new("getconf").arg("CLK_TCK").output();
    said.ok()
        .and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok())
        .unwrap_or(100.0)
}

fn pss(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}
