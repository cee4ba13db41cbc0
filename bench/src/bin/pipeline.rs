//! The pipeline in TSC ticks per packet: the worker's own burst function, with counters, flow accounting and
//! epoch checks on, over DPDK packets that are restored for each burst. The same loop without the pipeline is
//! subtracted. The smallest frames; flows in an order that nothing can guess.
//!
//! `pipeline` prints a table. `pipeline --case NAME --count BURSTS` runs so many bursts and prints nothing, for
//! counting instructions (`bench/instructions`).

use anyhow::{Result, ensure};
use bench::cases::{self, Case, World};
use bench::node::Ring;
use bench::routes::{self, Shape};
use clap::Parser;
use dpdk::{Eal, EalConfig, Mbuf, MemoryMode, Mempool, MempoolConfig, tsc};
use vrouter::datapath::BURST;

/// Bursts in a block: the clock is read at each end.
const BLOCK: usize = 64;

/// The pipeline in ticks per packet.
#[derive(Debug, Parser)]
struct Options {
    /// Only the case with this name, or the cases whose names begin with it and a dash.
    #[arg(long)]
    case: Option<String>,
    /// Blocks of 64 bursts in a run.
    #[arg(long, default_value_t = 300)]
    blocks: usize,
    /// Runs, each with a node of its own. The median of their medians is printed, and the least.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Leave out cases with more flows.
    #[arg(long, default_value_t = u32::MAX)]
    flows: u32,
    /// Packets in the ring that bursts come from.
    #[arg(long, default_value_t = 1024)]
    ring: usize,
    /// Run so many bursts of the case and print nothing.
    #[arg(long)]
    count: Option<usize>,
    /// Ordinary pages, even if there are huge ones.
    #[arg(long)]
    no_huge: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let memory = if options.no_huge { MemoryMode::NoHuge } else { MemoryMode::Auto };
    let eal =
        Eal::init(&EalConfig { memory, memory_mb: 64, file_prefix: "bench".into(), ..EalConfig::default() })?;
    let _registered = eal.register_thread(None)?;
    let count = options.ring.next_power_of_two() as u32 * 2 - 1;
    let pool =
        Mempool::new(&eal, &MempoolConfig { name: "bench".into(), count, data_room: 2048, cache: 256 })?;
    let ring = || {
        let pool = pool.clone();
        Ring::<Mbuf>::new(options.ring, move || pool.alloc())
    };
    let wanted = |name: &str| {
        options.case.as_ref().is_none_or(|case| {
            name.strip_prefix(case.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    };
    let cases: Vec<_> = cases::all(options.flows).into_iter().filter(|case| wanted(case.name)).collect();
    ensure!(!cases.is_empty() || wanted("fib"), "no case has this name");
    if let Some(bursts) = options.count {
        let mut world = World::open(ring(), &cases[0])?;
        (0..bursts).for_each(|_| world.step());
        return world.check();
    }
    println!(
        "{:?} memory, TSC {:.0} MHz, {} packets in the ring, bursts of {BURST}; ticks per packet",
        eal.memory_mode(),
        eal.tsc_hz() as f64 / 1e6,
        options.ring
    );
    println!(
        "{:<10} {:>9} {:>8} {:>8} {:>6} {:>6}  what",
        "case", "flows", "median", "least", "empty", "M/s"
    );
    for case in &cases {
        measure(case, &options, ring, eal.tsc_hz())?;
    }
    if wanted("fib") {
        fib(&options, eal.tsc_hz());
    }
    Ok(())
}

fn measure(case: &Case, options: &Options, ring: impl Fn() -> Ring<Mbuf>, hz: u64) -> Result<()> {
    let mut nets = Vec::new();
    let mut empties = Vec::new();
    // Each session is new once only.
    let blocks = if case.new { case.flows as usize / (BLOCK * BURST) } else { options.blocks };
    for _ in 0..options.runs {
        let mut world = World::open(ring(), case)?;
        let full = block_median(blocks, || world.step());
        let empty = block_median(options.blocks.min(100), || world.step_empty());
        world.check()?;
        nets.push(full - empty);
        empties.push(empty);
    }
    print(case.name, case.flows as usize, &mut nets, middle(&mut empties), hz, case.about);
    Ok(())
}

/// Longest matches, a burst at a time.
fn fib(options: &Options, hz: u64) {
    for (shape, about) in [
        (Shape::Internet, "IPv4 longest match, 1 M prefixes of the internet's lengths"),
        (Shape::Hosts, "IPv4 longest match, 1 M whole addresses"),
    ] {
        let prefixes = routes::prefixes(1_000_000, shape);
        let table = routes::table(&prefixes);
        let addresses = routes::addresses(&prefixes);
        let mut results = [None; BURST];
        let mut bursts = addresses.chunks_exact(BURST).cycle();
        let mut medians: Vec<_> = (0..options.runs)
            .map(|_| {
                block_median(options.blocks, || {
                    if let Some(burst) = bursts.next() {
                        table.lookup_burst4(burst, &mut results);
                        std::hint::black_box(&results);
                    }
                })
            })
            .collect();
        print("fib", prefixes.len(), &mut medians, 0.0, hz, about);
    }
}

fn print(name: &str, flows: usize, nets: &mut [f64], empty: f64, hz: u64, about: &str) {
    let median = middle(nets);
    let rate = hz as f64 / 1e6 / median;
    println!("{name:<10} {flows:>9} {median:>8.1} {:>8.1} {empty:>6.1} {rate:>6.2}  {about}", nets[0]);
}

/// Ticks per packet of the middle block.
fn block_median(blocks: usize, mut burst: impl FnMut()) -> f64 {
    let mut ticks: Vec<f64> = (0..blocks.max(1))
        .map(|_| {
            let start = tsc::now();
            (0..BLOCK).for_each(|_| burst());
            (tsc::now() - start) as f64 / (BLOCK * BURST) as f64
        })
        .collect();
    middle(&mut ticks)
}

/// Sorts, and takes the middle.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
