//! What a hot session costs in memory, and how long the map's scans take at a million of them.
//!
//! `cargo bench --bench memory`

mod support;

use std::sync::Arc;
use std::time::Duration;
use support::counting::{self, Counting};
use support::{key, nanos_per_call, print_machine, table};
use vestibule::auth::ports::Which;
use vestibule::clock::{Clock, SystemClock, Timestamp};
use vestibule::digest::SessionKey;
use vestibule::gate::session::{Factor, Holder, Session};
use vestibule::gate::{Gate, Known, Unavailable, Witness};
use vestibule::id::{SessionId, UserId};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const GOAL_BYTES: f64 = 160.0;

/// A store that is never asked.
struct Nobody;

#[async_trait::async_trait]
impl Witness for Nobody {
    async fn holder(&self, _: &str, _: &str) -> Result<Known, Unavailable> {
        Err(Unavailable)
    }

    async fn session(&self, _: SessionKey) -> Result<Option<Session>, Unavailable> {
        Err(Unavailable)
    }

    async fn spend_success(
        &self,
        _realm: &str,
        _success: &str,
        _token: Option<&str>,
    ) -> Result<Option<Holder>, Unavailable> {
        Ok(None)
    }
}

fn main() {
    print_machine();
    let rows: Vec<_> = [250_000, 500_000, 1_000_000].map(measure).into();
    println!(
        "each session has a user of its own, with a name of 12 letters; goal: {GOAL_BYTES} bytes at 1,000,000\n"
    );
    table(
        &[
            "hot sessions",
            "bytes per session",
            "resident bytes per session",
        ],
        &rows,
    );
    scans();
}

fn measure(count: u64) -> Vec<String> {
    let resident = resident_bytes();
    let before = counting::bytes();
    let gate = filled(count, 2 * count as usize);
    assert_eq!(gate.sweep().0 as u64, count);
    let bytes = (counting::bytes() - before) as f64 / count as f64;
    let resident = resident_bytes().saturating_sub(resident) as f64 / count as f64;
    vec![
        count.to_string(),
        format!("{bytes:.1}"),
        format!("{resident:.1}"),
    ]
}

fn scans() {
    let count = 1_000_000;
    let gate = filled(count, count as usize);
    let took = |run: &dyn Fn()| format!("{:.0}", nanos_per_call(1, |_| run()) / 1e6);
    let one_more = || gate.remember(SessionKey(key(count)), &session(count as i64));
    let row = |name: &str, millis| vec![name.to_owned(), millis];
    table(
        &["scan of 1,000,000 sessions", "ms of CPU"],
        &[
            row(
                "sweep",
                took(&|| {
                    gate.sweep();
                }),
            ),
            row(
                "take_seen",
                took(&|| {
                    gate.take_seen();
                }),
            ),
            row(
                "forget one user",
                took(&|| gate.forget(Which::User(UserId(-1)))),
            ),
            row("an insertion that evicts", took(&one_more)),
            row("forget all", took(&|| gate.forget(Which::All))),
        ],
    );
}

fn filled(count: u64, hot_max: usize) -> Gate {
    let idle = Duration::from_secs(86_400);
    let gate = Gate::new(Arc::new(Nobody), Arc::new(SystemClock), hot_max, idle);
    for n in 0..count {
        gate.remember(SessionKey(key(n)), &session(n as i64));
    }
    gate
}

fn session(n: i64) -> Session {
    let now = SystemClock.now();
    Session {
        id: SessionId(n),
        holder: Holder {
            user: UserId(n),
            name: format!("user{n:08}").into(),
            terms: None,
        },
        factor: Factor::Sms,
        verified_at: now,
        expires_at: Timestamp(now.0 + 1_000_000),
        last_seen_at: now,
        longest_pause_secs: 0,
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0u64) * 4_096
}
