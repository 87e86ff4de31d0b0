//! The demo's file server: one that is installed, started on a free port; or one that runs already.

use super::DemoError;
use super::scratch::Scratch;
use crate::cli::args;
use std::ffi::OsStr;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long a file server may take to start.
const START_MAX: Duration = Duration::from_secs(30);

pub(super) struct Backend {
    /// What it is, for people.
    pub(super) about: String,
    /// `host:port`
    pub(super) address: String,
    /// A file that is there.
    pub(super) file: &'static str,
    pub(super) share_path: &'static str,
    child: Option<Child>,
}

impl Backend {
    /// Starts or names the file server that the arguments ask for.
    pub(super) async fn start(args: &args::Demo, scratch: &Scratch) -> Result<Self, DemoError> {
        let unknown = |about, address, child| Self {
            about,
            address,
            file: "/",
            share_path: "/",
            child,
        };
        if let Some(address) = &args.upstream {
            return Ok(unknown(address.clone(), address.clone(), None));
        }
        let server = Server::installed().ok_or(DemoError::NoFileServer)?;
        if let Some(dir) = &args.dir {
            let dir = std::fs::canonicalize(dir).map_err(|cause| DemoError::Directory {
                path: dir.clone(),
                cause,
            })?;
            let (address, child) = server.start(&dir, false, scratch).await?;
            let about = format!("{} of {} (read-only)", server.name, dir.display());
            return Ok(unknown(about, address.to_string(), Some(child)));
        }
        let (address, child) = server.start(&scratch.samples()?, true, scratch).await?;
        Ok(Self {
            about: format!("{} with sample files", server.name),
            address: address.to_string(),
            file: "/hello.txt",
            share_path: "/photos/",
            child: Some(child),
        })
    }

    /// Stops the file server, if it is ours.
    pub(super) async fn stop(self) {
        if let Some(mut child) = self.child {
            let _ = child.kill().await;
        }
    }
}

struct Server {
    name: &'static str,
    program: PathBuf,
}

impl Server {
    fn installed() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        ["dufs", "copyparty"].into_iter().find_map(|name| {
            let program = find(&path, name)?;
            Some(Self { name, program })
        })
    }

    /// Starts it on `dir` and waits until it answers.
    async fn start(
        &self,
        dir: &Path,
        writable: bool,
        scratch: &Scratch,
    ) -> Result<(SocketAddr, Child), DemoError> {
        let fail = |cause: String| DemoError::FileServer {
            program: self.name,
            cause,
        };
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let address = port.map_err(|error| fail(error.to_string()))?;
        let log_path = scratch.path().join("file-server.log");
        let log = File::create(&log_path).map_err(|error| fail(error.to_string()))?;
        let mut child = self
            .command(dir, writable, address)
            .env("XDG_CONFIG_HOME", scratch.path().join("file-server"))
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| fail(error.to_string()))?;
        let said = || std::fs::read_to_string(&log_path).unwrap_or_default();
        let deadline = Instant::now() + START_MAX;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(fail(format!("it ended with {status}\n{}", said())));
            }
            if Instant::now() > deadline {
                return Err(fail(format!("it did not answer within 30 s\n{}", said())));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok((address, child))
    }

    fn command(&self, dir: &Path, writable: bool, at: SocketAddr) -> Command {
        let mut command = Command::new(&self.program);
        let port = at.port().to_string();
        if self.name == "dufs" {
            command.args(["--bind", "127.0.0.1", "--port", &port]);
            if writable {
                command.arg("--allow-all");
            }
            command.arg(dir);
        } else {
            command.args(["-q", "-i", "127.0.0.1", "-p", &port]);
            command.args(["--no-thumb", "--no-robots", "--daw"]);
            // It sees every client at the gateway's address, and would ban that.
            command.args([
                "--ban-404",
                "no",
                "--ban-403",
                "no",
                "--ban-422",
                "no",
                "--ban-url",
                "no",
            ]);
            let mut volume = dir.as_os_str().to_owned();
            volume.push(if writable { "::rwmd" } else { "::r" });
            command.arg("-v").arg(volume);
        }
        command
    }
}

/// The first executable of that name in a `PATH`.
fn find(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|file| {
            std::fs::metadata(file)
                .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executables_are_found() {
        let tmp = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| tmp.path().join(name));
        for (dir, mode) in [(&first, 0o644), (&second, 0o755)] {
            std::fs::create_dir(dir).unwrap();
            std::fs::write(dir.join("dufs"), "").unwrap();
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(dir.join("dufs"), mode).unwrap();
        }
        let path = std::env::join_paths([&first, &second]).unwrap();
        assert_eq!(find(&path, "dufs"), Some(second.join("dufs")));
        assert_eq!(find(&path, "copyparty"), None);
    }
}
