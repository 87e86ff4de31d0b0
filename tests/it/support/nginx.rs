//! A real WebDAV origin for big files: nginx with `dav_methods`.

use super::free_port;
use super::process::Process;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) struct Nginx {
    _process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) root: PathBuf,
}

impl Nginx {
    /// Serves `dir/root`, writable by PUT, DELETE, MKCOL, COPY and MOVE.
    pub(crate) async fn start(dir: &Path) -> Self {
        let (root, port) = (dir.join("root"), free_port());
        std::fs::create_dir_all(&root).expect("folder");
        std::fs::write(root.join("ready.txt"), "ready\n").expect("file");
        // The package's build keeps its temporary files where only root may write: name our own.
        let conf = format!(
            "daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/error.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n  access_log off; client_max_body_size 0; client_body_temp_path {dir}/body;\n\
             proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;\n\
             server {{ listen 127.0.0.1:{port}; root {root};\n\
             location / {{ dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; dav_access user:rw; }} }}\n}}\n",
            dir = dir.display(),
            root = root.display(),
        );
        let file = dir.join("nginx.conf");
        std::fs::write(&file, conf).expect("config");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let url = format!("http://{address}/ready.txt");
        let log = dir.join("error.log");
        let process = Process::start("nginx", &url, |command| {
            command.arg("-c").arg(&file).arg("-e").arg(&log)
        })
        .await;
        Self {
            _process: process,
            address,
            root,
        }
    }
}
