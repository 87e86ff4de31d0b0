//! A real file server: copyparty, with a folder that everyone may read and write.

use super::free_port;
use super::process::Process;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) struct Copyparty {
    _process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) dir: PathBuf,
}

impl Copyparty {
    /// Serves `dir`, with `/hello.txt` and `/docs/plan.txt` in it.
    pub(crate) async fn start(dir: &Path) -> Self {
        std::fs::create_dir_all(dir.join("docs")).expect("folder");
        std::fs::write(dir.join("hello.txt"), "hello from behind\n").expect("file");
        std::fs::write(dir.join("docs/plan.txt"), "the plan\n").expect("file");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let url = format!("http://{address}/hello.txt");
        let process = Process::start("copyparty", &url, |command| {
            command
                .args(["-q", "-i", "127.0.0.1", "-p", &address.port().to_string()])
                .args(["--daw", "--no-thumb", "--no-robots"])
                .args(["--ban-404", "no", "--ban-403", "no"])
                .args(["--ban-422", "no", "--ban-url", "no"])
                .arg("-v")
                .arg(format!("{}::rwmd", dir.display()))
                .env("XDG_CONFIG_HOME", dir.join("../copyparty-config"))
                .current_dir(dir)
        })
        .await;
        Self {
            _process: process,
            address,
            dir: dir.to_owned(),
        }
    }
}
