//! One worker and two: the base point's sessions, each worker with its own half of the flows, its own generator and ring,
//! and a core of its own. In pairs: one alone, then both; the ratio of what passes.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bench::cases::BASE;
use bench::clock::blocks;
use bench::memory::{self, Pages};
use bench::node::{Node, Size, Worker};
use bench::order::Order;
use bench::record::{Raw, Record};
use bench::ways::{self, Sizes, Tunnel};
use bench::world::Drill;
use clap::Parser;
use dpdk::{Eal, Mbuf, Mempool, MempoolConfig};
use vrouter::datapath::{BURST, Variant};

/// One worker and two.
#[derive(Debug, Parser)]
struct Options {
    /// How long a run takes.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Pairs.
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    raw: Raw,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut recorder = options.raw.recorder()?;
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if cores.len() < 2 {
        return recorder.keep(&Record::fact("workers", "two workers", "not measured: one core only"));
    }
    let eal = options.pages.eal(64)?;
    let pool = MempoolConfig { name: "workers".into(), count: 8191, data_room: 2048, cache: 256 };
    let pool = Mempool::new(&eal, &pool)?;
    let size =
        Size { sessions: [BASE + BASE / 8 + 1024, BASE / 4], workers: 2, express: Some(Variant::best()) };
    let mut node = Node::new(&size, Vec::new())?;
    let way = || ways::out(2, Sizes::Smallest, Tunnel::Udp, false);
    let mut lanes = Vec::new();
    for number in 0..2 {
        let mut worker = node.worker(memory::ring(&pool, 1024))?;
        let own = || (0..BASE).filter(|flow| flow % 2 == number);
        for order in [Order::of(own()), Order::of(own())] {
            let mut drill = Drill::new(way(), order);
            (0..BASE as usize / 2 / BURST + 1).for_each(|_| step(&mut worker, &mut drill));
        }
        let order = Order::shuffled_of(own());
        lanes.push((worker, Drill::new(way(), order)));
    }
    ensure!(node.flows().len() == BASE as usize, "{} sessions", node.flows().len());

    let time = Duration::from_secs_f64(options.seconds);
    let hz = eal.tsc_hz() as f64 / 1e6;
    let (mut one, mut two, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..options.pairs {
        let alone = &mut lanes[pair % 2..=pair % 2];
        let single = run(&eal, alone, pair % 2, time)?.first().map(|ticks| hz / ticks).context("a worker")?;
        let double: f64 = run(&eal, &mut lanes, 0, time)?.iter().map(|ticks| hz / ticks).sum();
        one.push(single);
        two.push(double);
        ratios.push(double / single);
    }
    for (worker, _) in &lanes {
        let accounting = worker.counters().accounting();
        ensure!(accounting.holds() && accounting.sent == accounting.received, "{accounting:?}");
    }
    let best = ratios.iter().copied().fold(0.0, f64::max);
    let figure = |row: &str, unit, runs| Record::new("workers", row, "base point", unit, runs);
    recorder.keep(&figure("one worker", "M/s", one))?;
    recorder.keep(&figure("two workers", "M/s", two))?;
    recorder.keep(&figure("two to one, pair by pair", "×", ratios).asked(1.9, 1.9).with("best pair", best))
}

/// Ticks per packet of each worker, all at the same time, on cores from `first` on.
fn run(eal: &Eal, lanes: &mut [(Worker<Mbuf>, Drill)], first: usize, time: Duration) -> Result<Vec<f64>> {
    let together = Barrier::new(lanes.len());
    thread::scope(|scope| {
        let threads: Vec<_> = (first..)
            .zip(lanes)
            .map(|(core, (worker, drill))| {
                let together = &together;
                scope.spawn(move || {
                    let registered = eal.register_thread(Some(core));
                    memory::prefer_this_thread();
                    together.wait();
                    let ticks = blocks(time, usize::MAX, || step(worker, drill)).median;
                    registered.map(|_| ticks)
                })
            })
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(ticks) => all.push(ticks?),
                Err(_) => bail!("a worker failed"),
            }
        }
        Ok(all)
    })
}

fn step(worker: &mut Worker<Mbuf>, drill: &mut Drill) {
    let mut burst = drill.receive(worker, BURST);
    worker.run(drill.way().interface, &mut burst);
}
