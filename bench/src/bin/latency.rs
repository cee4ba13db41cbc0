//! The base point under packets that come at a rate: how many a second pass without a loss (a search as in RFC 2544
//! §26.1, with trials of a second), and how long they take at parts of that rate.

use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, ensure};
use bench::cases::{self, BASE, BASE_NAME};
use bench::load::{DESCRIPTORS, Load, Report};
use bench::memory::{self, Pages};
use bench::order::Order;
use bench::record::{Raw, Record};
use bench::world::World;
use clap::Parser;
use dpdk::{Mempool, MempoolConfig};

/// Latency and the loss-free rate.
#[derive(Debug, Parser)]
struct Options {
    /// How long a trial takes.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Searches, and trials at each rate.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    raw: Raw,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let eal = options.pages.eal(64)?;
    memory::prefer_this_thread();
    let _registered = eal.register_thread(None)?;
    let pool = MempoolConfig { name: "latency".into(), count: 4095, data_room: 2048, cache: 256 };
    let pool = Mempool::new(&eal, &pool)?;
    let case = cases::all(BASE).into_iter().find(|case| case.name == BASE_NAME).context("the base point")?;
    let mut world = World::open(|| memory::ring(&pool, 1024), &case)?;
    world.drill(&case)?;
    let (_node, worker) = world.into_parts();
    let mut load = Load::new(worker, case.measured.clone(), BASE, Order::shuffled(BASE), eal.tsc_hz())?;
    let never = AtomicBool::new(false);

    let mut recorder = options.raw.recorder()?;
    let mut greatest = Vec::new();
    let mut found = Vec::new();
    for _ in 0..options.runs {
        greatest.push(load.greatest_rate(64 * 64) / 1e6);
        found.push(load.loss_free_rate(options.seconds / 4.0) / 1e6);
    }
    let none = Record::new("loss", "no packet lost", "base point", "M/s", found);
    let most = bench::clock::median(&none.runs);
    recorder.keep(&none.with("packets that wait at most", DESCRIPTORS as f64))?;
    recorder.keep(&Record::new("loss", "greatest rate, no clock", "base point", "M/s", greatest))?;

    for percent in [10.0, 50.0, 80.0, 90.0, 100.0] {
        let reports: Vec<_> = (0..options.runs)
            .map(|_| load.run(most * 1e6 * percent / 100.0, options.seconds, &never))
            .collect();
        check(&load, &reports)?;
        let lost: u64 = reports.iter().map(Report::lost).sum();
        for (quantile, at) in [
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.9999, "99.99 %"),
            (1.0, "all"),
        ] {
            let microseconds = reports
                .iter()
                .map(|report| report.latency.value_at_quantile(quantile) as f64 / 1e3)
                .collect();
            let row = format!("{percent:.0} % of the loss-free rate");
            recorder.keep(
                &Record::new("latency", row, at, "µs", microseconds).with("packets lost", lost as f64),
            )?;
        }
    }
    Ok(())
}

/// What the worker took it has sent, once and in order.
fn check(load: &Load<dpdk::Mbuf>, reports: &[Report]) -> Result<()> {
    let accounting = load.counters().accounting();
    ensure!(accounting.holds(), "{accounting:?}");
    for report in reports {
        ensure!(report.missing == 0 && report.disordered == 0, "{report:?}");
    }
    Ok(())
}
