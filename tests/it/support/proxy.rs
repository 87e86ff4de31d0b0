//! The proxies of `config/examples/proxies`, started on those very files: only ports, folders and certificates are other ones.

use super::process::{Process, START_LIMIT};
use super::{Gateway, free_port, tls, wait_for};
use reqwest::Client;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

/// The site's name in the examples.
pub(crate) const SITE: &str = "files.example.org";
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples");

/// What the name of a proxy stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
    HaProxy,
    Traefik,
    Envoy,
}

/// One of them, in front of a file server and a gateway.
pub(crate) struct Proxy {
    _process: Process,
    _dir: TempDir,
    /// Knows where the site is, follows no redirect, and believes the certificate.
    pub(crate) http: Client,
    /// `https://files.example.org:port`.
    pub(crate) base: String,
    pub(crate) address: SocketAddr,
}

/// The text of an example, with each of `changes` made; all of them must be there.
pub(crate) fn example(name: &str, changes: &[(&str, &str)]) -> String {
    let mut text = std::fs::read_to_string(format!("{EXAMPLES}/{name}")).expect(name);
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has no `{from}`");
        text = text.replace(from, to);
    }
    text
}

impl Proxy {
    /// Starts one whose gateway listens as `config/examples/forward-auth.yaml` says.
    pub(crate) async fn start(kind: Kind, gateway: &Gateway, files: SocketAddr) -> Self {
        let dir = TempDir::new().expect("folder");
        tls::certificate(dir.path(), "files");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let [clients, questions] = gateway.listeners[..] else {
            panic!("two listeners are needed");
        };
        let own = [files, clients, questions].map(|it| it.to_string());
        let places = [
            ("127.0.0.1:5000", own[0].as_str()),
            ("127.0.0.1:8080", &own[1]),
            ("127.0.0.1:8081", &own[2]),
        ];
        let process = match kind {
            Kind::Nginx => nginx(dir.path(), &places, address),
            Kind::Caddy => caddy(dir.path(), &places, address),
            Kind::HaProxy => haproxy(dir.path(), &places, address),
            Kind::Traefik => traefik(dir.path(), &places, address),
            Kind::Envoy => envoy(dir.path(), &places, address),
        };
        let http = client(address).build().expect("client");
        let base = format!("https://{SITE}:{}", address.port());
        let url = format!("{base}/public/ready");
        wait_for("the proxy", START_LIMIT, async || {
            let answer = http.get(&url).send().await.ok();
            answer.filter(|it| it.status() == 200)
        })
        .await;
        Self {
            _process: process,
            _dir: dir,
            http,
            base,
            address,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A client that speaks HTTP/1.1, where the other one speaks HTTP/2.
    pub(crate) fn http1(&self) -> Client {
        client(self.address).http1_only().build().expect("client")
    }
}

fn client(address: SocketAddr) -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
        .resolve(SITE, address)
        .timeout(std::time::Duration::from_secs(120))
}

/// An example with its certificate in `dir`, and with `more` changed.
fn placed(name: &str, dir: &Path, places: &[(&str, &str)], more: &[(&str, &str)]) -> String {
    let tls = format!("{}/files.", dir.display());
    let tls = [("/etc/vestibule/tls/files.", tls.as_str())];
    example(&format!("proxies/{name}"), &[places, &tls, more].concat())
}

fn nginx(dir: &Path, places: &[(&str, &str)], address: SocketAddr) -> Process {
    let (folder, listen) = (dir.display(), format!("listen {address} ssl http2;"));
    let dropped = format!("include {EXAMPLES}/proxies/nginx-dropped.conf;");
    let more = [
        ("listen 443 ssl http2;", listen.as_str()),
        ("include /etc/nginx/nginx-dropped.conf;", &dropped),
    ];
    let site = placed("nginx.conf", dir, places, &more);
    std::fs::write(dir.join("site.conf"), site).expect("config");
    // The package's build keeps its temporary files where only root may write: name our own.
    let conf = format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         include {folder}/site.conf;\n}}\n"
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, conf).expect("config");
    let log = dir.join("error.log");
    Process::spawn("nginx", |command| {
        command.arg("-c").arg(&file).arg("-e").arg(&log)
    })
}

fn caddy(dir: &Path, places: &[(&str, &str)], address: SocketAddr) -> Process {
    let site = format!("https://{SITE}:{} {{\n\tbind 127.0.0.1\n", address.port());
    let more = [("files.example.org {\n", site.as_str())];
    let site = placed("Caddyfile", dir, places, &more);
    // No port 80, and no admin port, on a machine that may have a Caddy of its own.
    let file = dir.join("Caddyfile");
    std::fs::write(
        &file,
        format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}"),
    )
    .expect("config");
    Process::spawn("caddy", |command| {
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("HOME", dir)
            .env("XDG_DATA_HOME", dir.join("data"))
            .env("XDG_CONFIG_HOME", dir.join("config"))
    })
}

fn haproxy(dir: &Path, places: &[(&str, &str)], address: SocketAddr) -> Process {
    let folder = dir.display();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).expect(name);
    std::fs::write(dir.join("both.pem"), read("files.pem") + &read("files.key")).expect("pem");
    let bind = format!("bind {address} ssl crt {folder}/both.pem");
    let lua = format!("lua-load {EXAMPLES}/proxies/vestibule.lua");
    let more = [
        ("bind :443 ssl crt /etc/haproxy/files.pem", bind.as_str()),
        ("lua-load /etc/haproxy/vestibule.lua", &lua),
    ];
    let conf = example("proxies/haproxy.cfg", &[places, &more].concat());
    let file = dir.join("haproxy.cfg");
    std::fs::write(&file, conf).expect("config");
    Process::spawn("haproxy", |command| command.arg("-db").arg("-f").arg(&file))
}

fn traefik(dir: &Path, places: &[(&str, &str)], address: SocketAddr) -> Process {
    let dynamic = dir.join("dynamic.yaml");
    let site = placed("traefik.yaml", dir, places, &[]);
    std::fs::write(&dynamic, site).expect("config");
    let (listen, named) = (format!("\"{address}\""), dynamic.display().to_string());
    let more = [
        ("\":443\"", listen.as_str()),
        ("/etc/traefik/vestibule.yaml", &named),
    ];
    let own = example("proxies/traefik-static.yaml", &more);
    // It asks nobody for a newer version.
    let quiet = "global: {checkNewVersion: false, sendAnonymousUsage: false}\n";
    let file = dir.join("static.yaml");
    std::fs::write(&file, format!("{own}{quiet}")).expect("config");
    Process::spawn("traefik", |command| command.arg("--configFile").arg(&file))
}

fn envoy(dir: &Path, places: &[(&str, &str)], address: SocketAddr) -> Process {
    // Here each address is in two parts.
    let split = |address: &str| {
        let (host, port) = address.rsplit_once(':').expect("a port");
        format!("{{address: {host}, port_value: {port}}}")
    };
    let listen = split(&address.to_string());
    let socket = |(from, to): &(&str, &str)| (split(from), split(to));
    let sockets: Vec<_> = places.iter().map(socket).collect();
    let mut more = vec![("{address: 0.0.0.0, port_value: 443}", listen.as_str())];
    more.extend(sockets.iter().map(|(from, to)| (&**from, &**to)));
    // The question's own URL.
    let [.., question] = places else {
        panic!("no places")
    };
    let conf = placed("envoy.yaml", dir, &[*question], &more);
    let file = dir.join("envoy.yaml");
    std::fs::write(&file, conf).expect("config");
    Process::spawn("envoy", |command| {
        command
            .args(["--disable-hot-restart", "--concurrency", "1", "-c"])
            .arg(&file)
    })
}
