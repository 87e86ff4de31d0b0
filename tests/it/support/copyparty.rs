//! A real file server: copyparty, with a folder that everyone may read and write.

use super::{client, free_port, program, wait_for};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) struct Copyparty {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) dir: PathBuf,
}

impl Copyparty {
    /// Serves `dir`, with `/hello.txt` and `/docs/plan.txt` in it.
    pub(crate) async fn start(dir: &Path) -> Self {
        std::fs::create_dir_all(dir.join("docs")).expect("folder");
        std::fs::write(dir.join("hello.txt"), "hello from behind\n").expect("file");
        std::fs::write(dir.join("docs/plan.txt"), "the plan\n").expect("file");
        let port = free_port();
        let child = Command::new(program("copyparty"))
            .args([
                "-q",
                "-i",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "--daw",
                "--no-thumb",
                "--no-robots",
            ])
            .args([
                "--ban-404",
                "no",
                "--ban-403",
                "no",
                "--ban-422",
                "no",
                "--ban-url",
                "no",
            ])
            .arg("-v")
            .arg(format!("{}::rwmd", dir.display()))
            .env("XDG_CONFIG_HOME", dir.join("../copyparty-config"))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("copyparty");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let http = client();
        wait_for("copyparty", Duration::from_secs(30), async || {
            http.get(format!("http://{address}/hello.txt"))
                .send()
                .await
                .ok()
                .filter(|it| it.status() == 200)
        })
        .await;
        Self {
            child,
            address,
            dir: dir.to_owned(),
        }
    }
}

impl Drop for Copyparty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
