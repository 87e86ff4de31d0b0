//! What Vestibule adds to a small request, end to end: CPU seconds of the proxy per million gated
//! 1 KiB GETs, and memory per idle connection, against
//!
//! - A: `target/release/vestibule serve`, a session verified before;
//! - B: a bare Pingora pass-through (this binary itself: `end_to_end --bare ADDRESS ORIGIN`);
//! - C: nginx with `auth_request` to a `return 204`, which knows no users at all.
//!
//! The proxy runs on core 0, load (`wrk`) and origin (nginx) on core 1. Rounds are interleaved.
//!
//! A writes one access line per request (to /dev/null here); A' is the same with `log.level: warn`.

mod support;

use async_trait::async_trait;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::prelude::*;
use pingora::server::RunArgs;
use pingora::server::configuration::ServerConf;
use std::env;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::load::{Spell, idle_connections, spell};
use support::process::{Server, free_address, nginx, pause};
use support::{best, median, print_machine, table};
use vestibule::auth::lockout::LockoutPolicy;
use vestibule::auth::ports::{
    Attempt, Attempted, Authority, Deeds, FactorKind, NewChallenge, NewSession, NewUser, Purpose,
    Subjects, Token, Try, Whence,
};
use vestibule::auth::subject::Who;
use vestibule::clock::{Clock as _, SystemClock};
use vestibule::config::model::StoreEngine;
use vestibule::digest::Binding;
use vestibule::entropy::{self, OsEntropy};
use vestibule::secret::Secret;
use vestibule::store;

/// The allocator that ships.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const REALM: &str = "local";
const STORE_KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
const PROXY_CORE: usize = 0;
const LOAD_CORE: usize = 1;
const ROUNDS: usize = 9;
const ROUND_SECS: u32 = 3;
const IDLE_CONNECTIONS: usize = 10_000;
const FILE: &str = "/1k.bin";
/// As `edge::listen` sets them: equal buffers, or the comparison says nothing.
const BUFFER_BYTES: usize = 8 * 1024;
const GOAL_RATIO: f64 = 1.10;
const GOAL_KIB: f64 = 40.0;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [mode, address, origin] = arguments.as_slice()
        && mode == "--bare"
    {
        return serve_bare(address, origin);
    }
    print_machine();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let origin = start_origin(&folder.path().join("origin"))?;
    let mut targets = vec![bare(&origin)?, auth_request(folder.path(), &origin)?];
    targets.insert(
        0,
        vestibule(
            "A': Vestibule, no access lines",
            "warn",
            folder.path(),
            &origin,
        )?,
    );
    targets.insert(
        0,
        vestibule("A: Vestibule", "info", folder.path(), &origin)?,
    );
    compare_cpu(&targets)?;
    compare_memory(targets)
}

/// A proxy under measurement and what its requests carry.
struct Target {
    name: &'static str,
    server: Server,
    headers: Vec<String>,
}

fn compare_cpu(targets: &[Target]) -> Result<(), String> {
    let run = |target: &Target, secs| spell(LOAD_CORE, &target.server, FILE, &target.headers, secs);
    for target in targets {
        run(target, 1)?;
    }
    let mut rounds: Vec<Vec<Spell>> = Vec::new();
    for _ in 0..ROUNDS {
        let round: Result<_, _> = targets
            .iter()
            .map(|target| run(target, ROUND_SECS))
            .collect();
        rounds.push(round?);
    }
    let bare = targets.iter().position(|target| target.name == BARE);
    let rows: Vec<_> = targets
        .iter()
        .enumerate()
        .map(|(n, target)| {
            let of = |pick: fn(&Spell) -> f64| -> Vec<f64> {
                rounds
                    .iter()
                    .filter_map(|round| round.get(n))
                    .map(pick)
                    .collect()
            };
            let cpu = of(|spell| spell.cpu_secs_per_million);
            // Within a round, so that a slow spell of the machine slows both sides.
            let ratios = rounds.iter().filter_map(|round| {
                let bare = round.get(bare?)?.cpu_secs_per_million;
                Some(round.get(n)?.cpu_secs_per_million / bare)
            });
            vec![
                target.name.to_owned(),
                format!("{:.1}", median(cpu.clone())),
                format!("{:.1}", best(&cpu)),
                format!("{:.2}", median(ratios.collect())),
                format!("{:.0}", median(of(|spell| spell.requests_per_sec))),
            ]
        })
        .collect();
    println!(
        "{ROUNDS} interleaved rounds of {ROUND_SECS} s, 64 connections; goal: A at most {GOAL_RATIO:.2} × B\n"
    );
    let heading = [
        "1 KiB GET",
        "CPU s per million, median",
        "best",
        "× bare Pingora, median",
        "requests/s",
    ];
    table(&heading, &rows);
    Ok(())
}

fn compare_memory(targets: Vec<Target>) -> Result<(), String> {
    let mut rows = Vec::new();
    for target in targets {
        let Target {
            name,
            server,
            headers,
        } = target;
        // Load has left its mark on each; what counts is what the connections add.
        pause(1_000);
        let before = server.memory_bytes();
        let open = idle_connections(&server, FILE, &headers, IDLE_CONNECTIONS)?;
        pause(1_000);
        let after = server.memory_bytes();
        drop(open);
        let kib = after.saturating_sub(before) as f64 / IDLE_CONNECTIONS as f64 / 1024.0;
        let mib = |bytes: u64| format!("{:.0}", bytes as f64 / 1024.0 / 1024.0);
        rows.push(vec![
            name.to_owned(),
            mib(before),
            mib(after),
            format!("{kib:.1}"),
        ]);
    }
    println!(
        "{IDLE_CONNECTIONS} kept-alive connections, each after one request; goal: A at most {GOAL_KIB:.0} KiB each\n"
    );
    let heading = [
        "memory (PSS)",
        "MiB before",
        "MiB with connections",
        "KiB per connection",
    ];
    table(&heading, &rows);
    Ok(())
}

fn start_origin(folder: &Path) -> Result<Server, String> {
    let address = free_address()?;
    let root = folder.join("root");
    fs::create_dir_all(&root).map_err(|error| error.to_string())?;
    fs::write(root.join("1k.bin"), [b'x'; 1024]).map_err(|error| error.to_string())?;
    let root = root.display();
    let server =
        format!("server {{ listen {address} backlog=4096; location / {{ root {root}; }} }}");
    nginx(LOAD_CORE, &address, folder, &server)
}

const BARE: &str = "B: bare Pingora";

fn bare(origin: &Server) -> Result<Target, String> {
    let address = free_address()?;
    let myself = env::current_exe().map_err(|error| error.to_string())?;
    let myself = myself.display().to_string();
    let command = [myself.as_str(), "--bare", &address, &origin.address];
    Ok(Target {
        name: BARE,
        server: Server::start(PROXY_CORE, &address, &command)?,
        headers: Vec::new(),
    })
}

fn auth_request(folder: &Path, origin: &Server) -> Result<Target, String> {
    let (address, auth) = (free_address()?, free_address()?);
    let origin = &origin.address;
    // The judge is a server of its own, as a daemon would be, if the cheapest one there can be.
    let servers = format!(
        "upstream origin {{ server {origin}; keepalive 64; }}
        upstream auth {{ server {auth}; keepalive 64; }}
        server {{ listen {auth}; location / {{ return 204; }} }}
        server {{ listen {address} backlog=4096;
          proxy_http_version 1.1; proxy_set_header Connection '';
          location / {{ auth_request /auth; proxy_pass http://origin; }}
          location = /auth {{ internal; proxy_pass http://auth; proxy_pass_request_body off;
            proxy_set_header Content-Length ''; }} }}"
    );
    Ok(Target {
        name: "C: nginx, auth_request",
        server: nginx(PROXY_CORE, &address, &folder.join("auth"), &servers)?,
        headers: Vec::new(),
    })
}

/// The shipped binary in front of the origin, with one pair that has passed its second factor.
fn vestibule(
    name: &'static str,
    level: &str,
    folder: &Path,
    origin: &Server,
) -> Result<Target, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/vestibule");
    if !program.exists() {
        return Err(format!(
            "{} is not built: `cargo build --release`",
            program.display()
        ));
    }
    let folder = folder.join(level);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let token = verified_token(&folder)?;
    let address = free_address()?;
    let config = format!(
        r#"threads: 1
log: {{level: {level}}}
listeners: [{{address: "{address}"}}]
connections: {{per_address_max: 16384}}
store: {{url: "sqlite:{store}", key: "{STORE_KEY}"}}
identities: {{{REALM}: {{accounts: {{}}}}}}
upstreams: {{files: {{servers: ["{origin}"]}}}}
routes: [{{name: files, hosts: ["*"], upstream: files, identity: {REALM}, dialects: [iogates]}}]
"#,
        store = folder.join("bench.db").display(),
        origin = origin.address,
    );
    let file = folder.join("bench.yaml");
    fs::write(&file, config).map_err(|error| error.to_string())?;
    let (program, file) = (program.display().to_string(), file.display().to_string());
    let command = [program.as_str(), "serve", "--config", &file];
    Ok(Target {
        name,
        server: Server::start(PROXY_CORE, &address, &command)?,
        headers: vec![format!("Authorization: Bearer {token}")],
    })
}

/// Makes the store with a user and a verified (token, unnamed device) pair, by the program's own verbs.
fn verified_token(folder: &Path) -> Result<String, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let engine = StoreEngine::Sqlite(folder.join("bench.db"));
        let key = Secret::new(STORE_KEY);
        let (store, keys) = store::open(&engine, &key, Arc::new(OsEntropy))
            .await
            .map_err(|error| error.to_string())?;
        let now = SystemClock.now();
        let user = NewUser {
            realm: REALM.to_owned(),
            name: "anna".to_owned(),
            phone: None,
            email: None,
            password_hash: None,
            can_edit_users: false,
            groups: Vec::new(),
        };
        let user = store
            .create_user(user, now)
            .await
            .map_err(|error| error.to_string())?;
        let user = user.ok_or("the store is not new")?;
        let token = entropy::token(&OsEntropy).map_err(|error| error.to_string())?;
        let realm = keys.realm(REALM);
        let (digest, pair) = (realm.token(&token), realm.session(&token, None));
        let held = Token {
            digest,
            user,
            issued_pair: None,
            scope: None,
            share: None,
            born: None,
            issued_at: now,
            expires_at: None,
        };
        store
            .put_token(held)
            .await
            .map_err(|error| error.to_string())?;
        let bound_to = Binding::from(pair);
        let code = keys.code(bound_to, Purpose::Verify.as_str(), "000000");
        let hour = Duration::from_secs(3600);
        let challenge = NewChallenge {
            bound_to,
            user: Some(user),
            purpose: Purpose::Verify,
            factor: FactorKind::Sms,
            code: Some(code),
            value: None,
            replaces_others: false,
            attempts: 5,
            created_at: now,
            expires_at: now.after(hour),
        };
        store
            .put_challenge(challenge)
            .await
            .map_err(|error| error.to_string())?;
        let policy = LockoutPolicy {
            delay_every: 0,
            first_delay: hour,
            max_delay: hour,
            lock_at: 0,
        };
        let attempt = Attempt {
            user: Some(user),
            tries: vec![Try::Sent {
                bound_to,
                purpose: Purpose::Verify,
                code,
            }],
            subjects: Subjects {
                user: Who::User(user).counted(&keys, policy),
                address: Who::Network([192, 0, 2, 1].into()).counted(&keys, policy),
            },
            token: Some(digest),
            wizard: None,
            grant: None,
            authority: Authority::Verified,
            then: Deeds {
                sessions: vec![NewSession {
                    key: pair,
                    token: digest,
                    user,
                    device_label: None,
                    whence: Whence {
                        address: [127, 0, 0, 1].into(),
                        client: String::new(),
                    },
                    instead_of: None,
                    verified_at: now,
                    expires_at: now.after(hour * 24),
                }],
                ..Deeds::default()
            },
        };
        match store
            .attempt(attempt, now)
            .await
            .map_err(|error| error.to_string())?
        {
            Attempted::Right(_) => Ok(token),
            other => Err(format!("the pair was not verified: {other:?}")),
        }
    })
}

/// Everything to one origin: no gate, no header hygiene, no log.
struct Bare {
    origin: HttpPeer,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    // Pingora's default chain has a compression module, which Vestibule leaves out too.
    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    async fn upstream_peer(
        &self,
        _: &mut Session,
        (): &mut (),
    ) -> Result<Box<HttpPeer>, Box<Error>> {
        Ok(Box::new(self.origin.clone()))
    }
}

fn serve_bare(address: &str, origin: &str) -> Result<(), String> {
    let conf = ServerConf {
        threads: 1,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = pingora::server::Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut peer = HttpPeer::new(origin, false, String::new());
    peer.options.connection_timeout = Some(Duration::from_secs(3));
    let mut service =
        pingora::proxy::http_proxy_service(&server.configuration, Bare { origin: peer });
    let buffers = L4BufferSettings::new(BUFFER_BYTES, BUFFER_BYTES);
    service.add_listener(ListenerConfig::tcp(address).l4_buffer(buffers));
    server.add_service(service);
    server.run(RunArgs::default());
    Ok(())
}
