//! Longest matches and updates per second, and bytes per route. Of lookups the median block and what a tenth of
//! the blocks reach.
//!
//! `fib` prints a table; `fib internet hosts` only these cases.

use std::hint::black_box;
use std::time::Instant;

use bench::order::Order;
use bench::routes::{self, Place, Shape};
use nexthop::Vrfs;

/// Lookups at once: what a worker receives in one burst.
const BURST: usize = 64;
/// Bursts in a block, between two looks at the clock: short, so that few are interrupted.
const BLOCK: usize = 64;
/// Rounds through all addresses; figures are of all their blocks.
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
        "case", "routes", "M/s", "a tenth", "B/route", "inserts/s", "updates/s"
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
        rates[rates.len() / 2] / 1e6,
        rates[rates.len() * 9 / 10] / 1e6,
        bytes as f64 / prefixes.len() as f64,
        updates(&mut table, prefixes),
    );
}

/// Lookups per second of each block.
fn rounds<T>(keys: &[T], mut burst: impl FnMut(&[T])) -> Vec<f64> {
    let mut block = |keys: &[T]| {
        let start = Instant::now();
        keys.chunks_exact(BURST).for_each(&mut burst);
        keys.len() as f64 / start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).flat_map(|_| keys.chunks_exact(BLOCK * BURST).map(&mut block).collect::<Vec<_>>()).collect()
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
