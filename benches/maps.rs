//! Which map holds the hot sessions: papaya or DashMap? A million entries of the real size.
//!
//! `cargo bench --bench maps`

mod support;

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use support::counting::{self, Counting};
use support::{Random, key, nanos_per_call, print_machine, table};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ENTRIES: u64 = 1_000_000;
const LOOKUPS: u64 = 4_000_000;

/// As many bytes as the gate's entry.
struct Value {
    verified_at: u64,
    _rest: [u64; 7],
}

impl Value {
    fn new(n: u64) -> Self {
        Self {
            verified_at: n,
            _rest: [n; 7],
        }
    }
}

/// As the gate hashes: the head of the digest.
#[derive(Clone, Copy, Default)]
struct Head(u64);

impl Hasher for Head {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(head) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*head);
        }
    }

    fn write_usize(&mut self, _length_prefix: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Clone, Copy, Default)]
struct HeadHashing;

impl BuildHasher for HeadHashing {
    type Hasher = Head;

    fn build_hasher(&self) -> Head {
        Head::default()
    }
}

trait Map: Sync {
    const NAME: &'static str;
    fn new() -> Self;
    fn put(&self, key: [u8; 32], value: Value);
    fn find(&self, key: &[u8; 32]) -> Option<u64>;
    /// Visits and keeps all, as a sweep or a revocation does.
    fn scan(&self);
}

type Papaya = papaya::HashMap<[u8; 32], Value, HeadHashing>;

impl Map for Papaya {
    const NAME: &'static str = "papaya 0.2";

    fn new() -> Self {
        Self::with_hasher(HeadHashing)
    }

    fn put(&self, key: [u8; 32], value: Value) {
        self.pin().insert(key, value);
    }

    fn find(&self, key: &[u8; 32]) -> Option<u64> {
        self.pin().get(key).map(|value| value.verified_at)
    }

    fn scan(&self) {
        self.pin().retain(|_, value| value.verified_at != u64::MAX);
    }
}

type Dash = dashmap::DashMap<[u8; 32], Value, HeadHashing>;

impl Map for Dash {
    const NAME: &'static str = "dashmap 6";

    fn new() -> Self {
        Self::with_hasher(HeadHashing)
    }

    fn put(&self, key: [u8; 32], value: Value) {
        self.insert(key, value);
    }

    fn find(&self, key: &[u8; 32]) -> Option<u64> {
        self.get(key).map(|value| value.verified_at)
    }

    fn scan(&self) {
        self.retain(|_, value| value.verified_at != u64::MAX);
    }
}

fn main() {
    print_machine();
    let own = nanos_per_call(LOOKUPS, |n| {
        black_box(key(n));
    });
    println!(
        "{ENTRIES} entries of 32 + 64 bytes, uniform random; making a key takes {own:.1} ns and is in every figure\n"
    );
    table(
        &[
            "map",
            "bytes per entry",
            "ns per lookup, 1 thread",
            "2 threads",
            "2 threads, 1 % inserts",
            "p99.9 ns beside scans",
            "worst µs beside scans",
        ],
        &[measure::<Papaya>(), measure::<Dash>()],
    );
}

fn measure<M: Map>() -> Vec<String> {
    let before = counting::bytes();
    let map = M::new();
    for n in 0..ENTRIES {
        map.put(key(n), Value::new(n));
    }
    let per_entry = (counting::bytes() - before) as f64 / ENTRIES as f64;
    let one = read(&map, 1, 0);
    let two = read(&map, 2, 0);
    let mixed = read(&map, 2, 100);
    let (tail, worst) = read_beside_scans(&map);
    vec![
        M::NAME.to_owned(),
        format!("{per_entry:.1}"),
        format!("{one:.0}"),
        format!("{two:.0}"),
        format!("{mixed:.0}"),
        format!("{tail}"),
        format!("{:.0}", worst as f64 / 1e3),
    ]
}

/// Nanoseconds per lookup on each of `threads`; one call in `insert_every` replaces an entry.
fn read<M: Map>(map: &M, threads: u64, insert_every: u64) -> f64 {
    let total = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let total = &total;
            scope.spawn(move || {
                let mut random = Random(thread);
                let nanos = nanos_per_call(LOOKUPS, |n| {
                    let key = key(random.below(ENTRIES));
                    if insert_every > 0 && n % insert_every == 0 {
                        map.put(key, Value::new(n));
                    } else {
                        assert!(black_box(map.find(&key)).is_some());
                    }
                });
                total.fetch_add((nanos * 1e3) as u64, Ordering::Relaxed);
            });
        }
    });
    total.into_inner() as f64 / 1e3 / threads as f64
}

/// The 99.9th percentile and the worst of single lookups while another thread scans, in nanoseconds.
fn read_beside_scans<M: Map>(map: &M) -> (u64, u64) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                map.scan();
            }
        });
        let mut random = Random(9);
        let mut times: Vec<u64> = (0..2_000_000)
            .map(|_| {
                let key = key(random.below(ENTRIES));
                let start = Instant::now();
                black_box(map.find(&key));
                start.elapsed().as_nanos() as u64
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        times.sort_unstable();
        let tail = times[times.len() - times.len() / 1_000];
        (tail, times[times.len() - 1])
    })
}
