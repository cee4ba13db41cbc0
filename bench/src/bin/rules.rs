//! Decisions about first packets by 1 000 and 10 000 rules: that they are those of a linear search, and the ticks that they
//! take. A row per number of rules.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bench::clock::median;
use bench::record::{Raw, Record};
use bench::rules::{Header, Headers, agree, groups};
use clap::Parser;
use dpdk::tsc;
use flow::policy::{CompiledPolicy, Direction};

/// Headers that are decided again and again, too many for the branch predictor to learn by heart.
const HEADERS: usize = 1 << 14;
/// Decisions between two looks at the clock.
const BLOCK: usize = 1 << 10;

/// Decisions by many rules.
#[derive(Debug, Parser)]
struct Options {
    /// Headers on which the linear search is asked too, for each number of rules.
    #[arg(long, default_value_t = 10_000_000)]
    headers: u64,
    /// How long a run takes.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Runs.
    #[arg(long, default_value_t = 5)]
    runs: u64,
    #[command(flatten)]
    raw: Raw,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut recorder = options.raw.recorder()?;
    for (count, at) in [(1_000, "1 k rules"), (10_000, "10 k rules")] {
        let groups = groups(count, Direction::Ingress);
        let start = Instant::now();
        let compiled = CompiledPolicy::compile(&groups.iter().collect::<Vec<_>>());
        let compiling = start.elapsed();

        let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
        let agreements: Vec<_> = thread::scope(|scope| {
            let ask = |seed| {
                scope.spawn({
                    let (groups, compiled) = (&groups, &compiled);
                    move || agree(groups, compiled, 100 + seed, options.headers / threads)
                })
            };
            let asking: Vec<_> = (0..threads).map(ask).collect();
            asking.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        let asked: u64 = agreements.iter().map(|agreement| agreement.asked).sum();
        let allowed: u64 = agreements.iter().map(|agreement| agreement.allowed).sum();
        let differ: u64 = agreements.iter().map(|agreement| agreement.differ).sum();
        ensure!(asked == options.headers / threads * threads && differ == 0, "{differ} of {asked} differ");

        let runs = (0..options.runs).map(|run| {
            let headers: Vec<_> = Headers::new(&groups, &compiled, run).take(HEADERS).collect();
            ticks(&compiled, &headers, Duration::from_secs_f64(options.seconds))
        });
        let mut record = Record::new("rules", "one decision", at, "ticks", runs.collect())
            .with("headers on which the linear search agrees", asked as f64)
            .with("allowed, %", 100.0 * allowed as f64 / asked as f64)
            .with("compiled in ms", compiling.as_secs_f64() * 1e3);
        if count == 10_000 {
            record = record.asked(250.0, 250.0);
        }
        recorder.keep(&record)?;
    }
    Ok(())
}

/// Ticks per decision of the middle block.
fn ticks(compiled: &CompiledPolicy, headers: &[Header], time: Duration) -> f64 {
    let start = Instant::now();
    let mut blocks = Vec::new();
    for block in headers.chunks_exact(BLOCK).cycle() {
        let before = tsc::now();
        for header in block {
            black_box(compiled.decide(&header.query()));
        }
        blocks.push((tsc::now() - before) as f64 / BLOCK as f64);
        if start.elapsed() > time {
            break;
        }
    }
    median(&blocks)
}
