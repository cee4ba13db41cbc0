//! Longest matches and updates per second, and bytes per route.
//!
//! `fib` prints a table; `fib internet hosts` only these cases.

use std::hint::black_box;
use std::time::Instant;

use bench::order::Order;
use bench::routes::{self, Place, Shape};
use nexthop::Vrfs;

/// Lookups at once: what a worker receives in one burst.
const BURST: usize = 64;
/// Each lookup figure is the median of so many rounds through all addresses.
const ROUNDS: usize = 15;
/// Routes changed in one generation, and generations.
const BATCH: usize = 10_000;
const BATCHES: usize = 20;

const CASES: [(&str, usize, Shape); 5] = [
    ("internet", 1_000_000, Shape::Internet),
    ("deep", 1_000_000, Shape::Deep),
    ("tenants", 4_096 * 250, Shape::Tenants),
    ("hosts", 1_000_000, Shape::Hosts),
    ("internet6", 200_000, Shape::Internet6),
];

fn main() {
    let wanted: Vec<_> = std::env::args().skip(1).collect();
    println!(
        "{:<10} {:>9} {:>8} {:>8} {:>8} {:>10} {:>10}",
        "case", "routes", "M/s", "best", "B/route", "inserts/s", "updates/s"
    );
    for (name, count, shape) in CASES {
        if wanted.is_empty() || wanted.iter().any(|case| case == name) {
            measure(name, &routes::prefixes(count, shape), shape);
        }
    }
}

fn measure(name: &str, prefixes: &[Place], shape: Shape) {
    let start = Instant::now();
    let mut table = routes::table(prefixes);
    let inserts = prefixes.len() as f64 / start.elapsed().as_secs_f64();
    let mut results = [None; BURST];
    let mut rates = if shape == Shape::Internet6 {
        let keys = routes::addresses6(prefixes);
        rounds(&keys, |keys| {
            table.lookup_burst6(keys, &mut results);
            black_box(&results);
        })
    } else {
        let keys = routes::addresses(prefixes);
        rounds(&keys, |keys| {
            table.lookup_burst4(keys, &mut results);
            black_box(&results);
        })
    };
    rates.sort_by(f64::total_cmp);
    let bytes: usize = table.iter().map(|vrf| table.memory(vrf)).sum();
    println!(
        "{name:<10} {:>9} {:>8.1} {:>8.1} {:>8.1} {inserts:>10.0} {:>10.0}",
        prefixes.len(),
        rates[ROUNDS / 2] / 1e6,
        rates[ROUNDS - 1] / 1e6,
        bytes as f64 / prefixes.len() as f64,
        updates(&mut table, prefixes),
    );
}

/// Lookups per second of each round.
fn rounds<T>(keys: &[T], mut burst: impl FnMut(&[T])) -> Vec<f64> {
    let round = |_| {
        let start = Instant::now();
        keys.chunks_exact(BURST).for_each(&mut burst);
        keys.len() as f64 / start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).collect()
}

/// Updates per second as the control thread makes them: a clone is published, the copy is edited.
fn updates(table: &mut Vrfs, prefixes: &[Place]) -> f64 {
    let mut order = Order::shuffled(prefixes.len() as u32);
    let start = Instant::now();
    for generation in 0..BATCHES {
        let published = table.clone();
        for n in 0..BATCH {
            let (vrf, prefix) = prefixes[order.draw() as usize];
            table.insert(vrf, prefix, routes::result((generation + n) as u32));
        }
        black_box(published);
    }
    (BATCHES * BATCH) as f64 / start.elapsed().as_secs_f64()
}
