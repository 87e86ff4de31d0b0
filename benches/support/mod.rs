//! What the benches share: tables, the machine's name, random keys. Plain binaries, no harness.
#![allow(dead_code, reason = "each bench uses a part")]

pub mod counting;
pub mod load;
pub mod process;
pub mod routes;

/// Prints rows under a heading, as a Markdown table that PERFORMANCE.md can take over.
pub fn table(heading: &[&str], rows: &[Vec<String>]) {
    let widths: Vec<usize> = heading
        .iter()
        .enumerate()
        .map(|(n, title)| {
            let cells = rows.iter().filter_map(|row| row.get(n)).map(String::len);
            cells.chain([title.len()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[&str]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("| {} |", padded.join(" | "));
    };
    line(heading);
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    println!("|-{}-|", rule.join("-|-"));
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    println!();
}

/// Says on which machine the figures were measured.
pub fn print_machine() {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("unknown CPU");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("machine: {model}, {cores} cores\n");
}

/// A fixed sequence of random numbers (splitmix64): the same at every run.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

/// The `n`-th key, as random as a digest.
pub fn key(n: u64) -> [u8; 32] {
    let mut out = [0; 32];
    for (part, chunk) in out.chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&mix(n * 4 + part as u64 + 1).to_le_bytes());
    }
    out
}

/// Nanoseconds of CPU time per call of `run`, over `calls` calls: a neighbour on the same core slows
/// the clock on the wall, not this one. Meant for spells of 100 ms and more.
pub fn nanos_per_call(calls: u64, mut run: impl FnMut(u64)) -> f64 {
    let start = cpu_nanos();
    for n in 0..calls {
        run(n);
    }
    (cpu_nanos() - start) as f64 / calls as f64
}

/// Nanoseconds that this thread has had a core.
pub fn cpu_nanos() -> u64 {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = said.split(' ').next();
    first.and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

/// The middle one; the upper of the two middle ones if there is an even number.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The least.
pub fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
