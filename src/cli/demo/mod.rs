//! `demo`: a file share behind the gateway on this machine, to be tried with a browser and with curl.
//!
//! Everything is real but the phone and the mailbox: a file server that is installed, the gateway as `serve` runs it
//! (from a config file, with an SQLite store), and a user. The "phone" is an HTTP endpoint of this
//! process, to which the templated SMS provider posts; it shows the messages on the terminal, as mails
//! are shown. All files are in one directory, which is gone at the end.

mod backend;
mod phone;
mod scratch;
mod walk;

use super::args;
use super::client::Client;
use super::error::CliError;
use super::serve::{Door, Signals};
use super::{commands, say};
use crate::app::App;
use crate::config;
use crate::edge::sockets::Sockets;
use crate::entropy::{self, OsEntropy};
use crate::observe::log;
use crate::operator::shares::{NewShareLine, RecipientAdd, ShareAdd};
use crate::operator::users::{UserAdd, UserLine};
use crate::secret::Secret;
use backend::Backend;
use http::Method;
use phone::Mailbox;
use scratch::Scratch;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use walk::Lines;

/// The demo user's number: of Denmark's plan, and never sent to.
const PHONE: &str = "+4520123456";
const EMAIL: &str = "demo@files.example";

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum DemoError {
    #[error(
        "no file server is installed here: `make demo` installs copyparty; or `pip install copyparty`, or \
         `cargo install dufs`; or name a running one with --upstream 127.0.0.1:5000"
    )]
    NoFileServer,
    #[error("{program} did not start: {cause}")]
    FileServer {
        program: &'static str,
        cause: String,
    },
    #[error("{} cannot be shared: {cause}", path.display())]
    Directory { path: PathBuf, cause: io::Error },
    #[error("{} cannot be written: {cause}", path.display())]
    Write { path: PathBuf, cause: io::Error },
    #[error("the demo's phone cannot listen: {0}")]
    Phone(io::Error),
    #[error("{address} cannot be listened on ({cause}): choose another address with --listen")]
    Listen {
        address: SocketAddr,
        cause: io::Error,
    },
}

pub(super) fn demo(args: &args::Demo) -> Result<(), CliError> {
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::Runtime)?;
    runtime.block_on(run(args))
}

async fn run(args: &args::Demo) -> Result<(), CliError> {
    let mut signals = Signals::new().map_err(CliError::Runtime)?;
    let listen = free(args.listen)?;
    let scratch = Scratch::new()?;
    let backend = Backend::start(args, &scratch).await?;
    let phone = phone::start().await?;
    scratch.write("store.key", &commands::new_key()?)?;
    let path = scratch.write("vestibule.yaml", &yaml(listen, &backend.address, phone))?;

    let config = config::load(&path)?;
    log::init(&config.log)?;
    let socket = config.admin.socket.clone();
    let app = App::start(config, Sockets::default()).await?;
    let door = Door::open(socket, &app)?;
    app.deliver_through(|sms| Box::new(Mailbox { sms }));
    let lines = people(&Client::of_this_process(app.operator()), listen, &backend).await?;
    say(&lines.text(args.walk, &backend, &path, app.admin()));

    signals.stop().await;
    say("\nThe demo ends.\n");
    app.shutdown().await;
    door.close().await;
    backend.stop().await;
    Ok(())
}

/// The address to listen on, with a real port: it becomes part of the share link.
fn free(address: SocketAddr) -> Result<SocketAddr, DemoError> {
    TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .map_err(|cause| DemoError::Listen { address, cause })
}

fn yaml(listen: SocketAddr, backend: &str, phone: SocketAddr) -> String {
    format!(
        r#"# The demo's config: a complete one, and a fair start for your own.
listeners:
  - address: "{listen}"
admin: {{address: "127.0.0.1:0", socket: admin/admin.sock}}
store: {{url: "sqlite:vestibule.db", key: {{file: store.key}}}}
# So that you can try as often as you like.
codes: {{resend_after: 0s}}
limits: {{per_user_per_hour: 100, per_number_per_hour: 100}}
delivery:
  sms:
    - http: {{url: "http://{phone}/sms", json: '{{"to": "{{phone}}", "text": "{{text}}"}}'}}
  # Never asked: the demo shows its mails on the terminal.
  email: {{smtp: "smtp://127.0.0.1", from: demo@files.example}}
identities:
  local: {{accounts: {{}}}}
upstreams:
  files: {{servers: ["{backend}"]}}
routes:
  - name: files
    hosts: ["*"]
    upstream: files
    identity: local
    credentials: [bearer, {{path: "/share/{{token}}"}}]
    dialects: [iogates, ziik, b2core, conduit]
    self_enrolment: true
portal: {{name: Demo Files, support: "Look at the terminal: codes appear there."}}
log: {{level: warn}}
"#
    )
}

/// Makes the demo's users, one of them without a second factor, and the share link.
async fn people(api: &Client, listen: SocketAddr, backend: &Backend) -> Result<Lines, CliError> {
    let password = typeable()?;
    let user = |name: &str| UserAdd {
        name: name.to_owned(),
        password: Some(password.clone()),
        ..UserAdd::default()
    };
    let demo = UserAdd {
        phone: Some(Secret::new(PHONE)),
        email: Some(Secret::new(EMAIL)),
        ..user("demo")
    };
    for one in [demo, user("nora")] {
        let _: UserLine = api.send(Method::POST, "/v1/users", &[], &one).await?;
    }
    let share = ShareAdd {
        path: backend.share_path.to_owned(),
        recipients: vec![RecipientAdd {
            phone: Some(Secret::new(PHONE)),
            email: None,
        }],
        ..ShareAdd::default()
    };
    let made: NewShareLine = api.send(Method::POST, "/v1/shares", &[], &share).await?;
    Ok(Lines {
        base: format!("http://{listen}"),
        password,
        share_url: made.url.unwrap_or_default(),
        file: backend.file,
    })
}

/// A password that a person can read off and type, also on a phone: `4827-1936-5502`.
fn typeable() -> Result<Secret, CliError> {
    let digits = entropy::digits(&OsEntropy, 12)?;
    let (first, rest) = digits.split_at(4);
    let (second, third) = rest.split_at(4);
    Ok(Secret::new(format!("{first}-{second}-{third}")))
}

impl From<DemoError> for CliError {
    fn from(error: DemoError) -> Self {
        Self::Demo(Box::new(error))
    }
}
