//! Longest matches and updates per second, and bytes per route.
//!
//! `fib` measures all tables; `fib --table internet --table hosts` only these.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use bench::clock::median;
use bench::order::Order;
use bench::record::{Raw, Record, Recorder};
use bench::routes::{self, Place, Shape};
use clap::Parser;
use nexthop::Vrfs;

/// Lookups at once: what a worker receives in one burst.
const BURST: usize = 64;
/// Bursts in a block, between two looks at the clock: short, so that few are interrupted.
const BLOCK: usize = 64;
/// Lookups in a round: through all addresses of a large table, again and again through those of a small one.
const ROUND: usize = 1_000_000;
/// Routes changed in one generation, and generations.
const BATCH: usize = 10_000;
const BATCHES: usize = 20;

/// Millions of lookups a second that are asked for, and that are accepted; bytes per route that are asked for.
type Asked = (Option<(f64, f64)>, Option<f64>);

const TABLES: [(&str, usize, Shape, Asked); 5] = [
    ("internet", 1_000_000, Shape::Internet, (Some((150.0, 150.0)), Some(8.0))),
    ("deep", 1_000_000, Shape::Deep, (Some((80.0, 80.0)), None)),
    ("tenants", 4_096 * 250, Shape::Tenants, (None, Some(16.0))),
    ("hosts", 1_000_000, Shape::Hosts, (Some((150.0, 150.0)), Some(16.0))),
    ("internet6", 200_000, Shape::Internet6, (Some((100.0, 60.0)), None)),
];

/// Longest matches.
#[derive(Debug, Parser)]
struct Options {
    /// Only this table.
    #[arg(long)]
    table: Vec<String>,
    /// Rounds of a million lookups in a run; a run's figure is its middle block.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Runs.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    raw: Raw,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut recorder = options.raw.recorder()?;
    for (name, count, shape, asked) in TABLES {
        if options.table.is_empty() || options.table.iter().any(|table| table == name) {
            measure(&options, &mut recorder, (name, count, shape), asked)?;
        }
    }
    Ok(())
}

/// A table of some sizes, the last of which is the one that is asked for.
fn measure(
    options: &Options,
    recorder: &mut Recorder,
    (name, count, shape): (&str, usize, Shape),
    (rate, bytes_asked): Asked,
) -> Result<()> {
    for count in [1_000, 10_000, 100_000, count] {
        let prefixes = routes::prefixes(count, shape);
        let at = size(count);
        let full = count > 100_000;
        let runs =
            |figure: &mut dyn FnMut() -> f64| (0..options.runs).map(|_| figure() / 1e6).collect::<Vec<_>>();
        let inserts = runs(&mut || {
            let start = Instant::now();
            black_box(routes::table(&prefixes));
            count as f64 / start.elapsed().as_secs_f64()
        });
        let mut table = routes::table(&prefixes);
        let bytes: usize = table.iter().map(|vrf| table.memory(vrf)).sum();
        let lookups = runs(&mut || lookups(&table, &prefixes, shape, options.rounds));
        let mut lookups = Record::new("fib lookups", name, &at, "M/s", lookups);
        lookups.asked = rate.filter(|_| full);
        recorder.keep(&lookups)?;
        if full {
            let updates = runs(&mut || updates(&mut table, &prefixes));
            recorder.keep(&Record::new("fib updates", name, &at, "M/s", updates).asked(2.0, 2.0))?;
            recorder.keep(&Record::new("fib updates", name, "from nothing", "M/s", inserts))?;
            let mut bytes =
                Record::new("fib memory", name, &at, "bytes a route", vec![bytes as f64 / count as f64]);
            bytes.asked = bytes_asked.map(|asked| (asked, asked));
            recorder.keep(&bytes)?;
        }
    }
    Ok(())
}

fn size(count: usize) -> String {
    match count {
        count if count >= 1_000_000 => format!("{:.0} M", count as f64 / 1e6),
        count if count >= 1_000 => format!("{} k", count / 1000),
        count => count.to_string(),
    }
}

/// Lookups per second of the middle block.
fn lookups(table: &Vrfs, prefixes: &[Place], shape: Shape, rounds: usize) -> f64 {
    let mut results = [None; BURST];
    if shape == Shape::Internet6 {
        let keys = routes::addresses6(prefixes);
        blocks(&keys, rounds, |keys| {
            table.lookup_burst6(keys, &mut results);
            black_box(&results);
        })
    } else {
        let keys = routes::addresses(prefixes);
        blocks(&keys, rounds, |keys| {
            table.lookup_burst4(keys, &mut results);
            black_box(&results);
        })
    }
}

fn blocks<T: Clone>(keys: &[T], rounds: usize, mut burst: impl FnMut(&[T])) -> f64 {
    let keys: Vec<T> = keys.iter().cycle().take(ROUND.max(keys.len())).cloned().collect();
    let mut rates = Vec::new();
    for _ in 0..rounds {
        for block in keys.chunks_exact(BLOCK * BURST) {
            let start = Instant::now();
            block.chunks_exact(BURST).for_each(&mut burst);
            rates.push(block.len() as f64 / start.elapsed().as_secs_f64());
        }
    }
    median(&rates)
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
