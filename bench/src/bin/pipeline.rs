//! The pipeline in TSC ticks per packet: the worker's own burst function, with counters, flow accounting and
//! epoch checks on, over DPDK packets that are restored for each burst. The same loop without the pipeline is
//! subtracted. Flows come in an order that nothing can guess.
//!
//! `pipeline` measures all cases. `pipeline --case NAME --count BURSTS` runs so many bursts and prints nothing, for
//! counting instructions (`bench/instructions`).

use std::time::Duration;

use anyhow::{Result, ensure};
use bench::cases::{self, BASE_NAME, Case};
use bench::clock::{BLOCK, blocks, cycles_per_tick};
use bench::memory::{self, Pages};
use bench::node::Ring;
use bench::record::{Raw, Record};
use bench::world::World;
use clap::Parser;
use dpdk::{Mbuf, Mempool, MempoolConfig, tsc};
use vrouter::datapath::BURST;

/// The pipeline in ticks per packet.
#[derive(Debug, Parser)]
struct Options {
    /// Only the case with this name, or the cases whose names begin with it and a dash.
    #[arg(long)]
    case: Vec<String>,
    /// How long a run takes.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Runs, each with nodes of its own.
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
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    raw: Raw,
}

/// What was measured of a case so far.
struct Row {
    case: Case,
    runs: Vec<f64>,
    pairs: Vec<f64>,
    empty: f64,
    /// Ticks that the end of a session takes.
    ends: Vec<f64>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let eal = options.pages.eal(64)?;
    let _registered = eal.register_thread(None)?;
    // Two worlds and their twins.
    let count = options.ring.next_power_of_two() as u32 * 8 - 1;
    let pool =
        Mempool::new(&eal, &MempoolConfig { name: "bench".into(), count, data_room: 2048, cache: 256 })?;
    let ring = || memory::ring(&pool, options.ring);
    let wanted = |name: &str| {
        let is = |case: &String| {
            name.strip_prefix(case.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        options.case.is_empty() || options.case.iter().any(is)
    };
    let mut cases = cases::all(options.flows);
    cases.retain(|case| wanted(&case.name) && (case.axis != "instructions" || !options.case.is_empty()));
    ensure!(!cases.is_empty(), "no case has this name");
    if let Some(bursts) = options.count {
        let exact = |case: &&Case| options.case.contains(&case.name);
        let case = cases.iter().find(exact).unwrap_or(&cases[0]);
        let mut world = World::open(ring, case)?;
        let mut drill = world.drill(case)?;
        (0..bursts).for_each(|_| world.step(&mut drill));
        return world.check(&drill);
    }
    let mut recorder = options.raw.recorder()?;
    let clock = format!(
        "TSC {:.0} MHz; the core runs {:.2} times as fast (chains of dependent instructions of known latency, best of 20)",
        eal.tsc_hz() as f64 / 1e6,
        cycles_per_tick()
    );
    recorder.keep(&Record::fact("machine", "clocks", clock))?;
    let pages = format!("{:?} of DPDK; of tables what the kernel gives on request", eal.memory_mode());
    recorder.keep(&Record::fact("machine", "packet memory of the pipeline", pages))?;
    let row = |case| Row { case, runs: Vec::new(), pairs: Vec::new(), empty: 0.0, ends: Vec::new() };
    let mut rows: Vec<_> = cases.into_iter().map(row).collect();
    for run in 1..=options.runs {
        eprintln!("run {run} of {}", options.runs);
        measure(&mut rows, &options, &ring)?;
    }
    let hz = eal.tsc_hz() as f64;
    for Row { case, runs, pairs, empty, ends } in rows {
        let both: Vec<_> = runs.iter().zip(&ends).map(|(begin, end)| hz / (begin + end) / 1e6).collect();
        let at = case.at.clone();
        let record = Record { pairs, ..Record::new(case.axis, case.line, case.at, "ticks", runs) };
        let mut record = record.with("empty", empty).with("flows", f64::from(case.flows));
        (record.asked, record.text) = (case.asked, case.name);
        recorder.keep(&record)?;
        if !ends.is_empty() {
            recorder.keep(&Record::new(case.axis, "its end by the sweep", at.clone(), "ticks", ends))?;
            let record = Record::new(case.axis, "set-up and end on one core", at, "M/s", both);
            recorder.keep(&record.asked(3.0, 3.0))?;
        }
    }
    Ok(())
}

/// One run of every case: those that can share sessions do.
fn measure(rows: &mut [Row], options: &Options, ring: &impl Fn() -> Ring<Mbuf>) -> Result<()> {
    let all = cases::all(u32::MAX);
    let base = all.into_iter().find(|case| case.name == BASE_NAME);
    let mut base = base.map(|case| -> Result<_> {
        let mut world = World::open(ring, &case)?;
        let drill = world.drill(&case)?;
        Ok((world, drill))
    });
    let time = Duration::from_secs_f64(options.seconds);
    let mut done = vec![false; rows.len()];
    for first in 0..rows.len() {
        if done[first] {
            continue;
        }
        let scene = rows[first].case.clone();
        let mut world = World::open(ring, &scene)?;
        for at in first..rows.len() {
            if done[at] || !(at == first || rows[at].case.shares_with(&scene)) {
                continue;
            }
            done[at] = true;
            let row = &mut rows[at];
            let mut drill = world.drill(&row.case)?;
            // Each session is new once only.
            let most = if row.case.new { row.case.flows as usize / (BLOCK * BURST) } else { usize::MAX };
            let before = match &mut base {
                Some(Ok((world, drill))) => net(world, drill, time / 4, usize::MAX).0,
                _ => f64::NAN,
            };
            let (ticks, empty) = net(&mut world, &mut drill, time, most);
            world.check(&drill)?;
            row.runs.push(ticks);
            if row.case.new {
                let before = tsc::now();
                let sessions = world.tear_down()?;
                row.ends.push((tsc::now() - before) as f64 / sessions as f64);
            }
            row.pairs.push(ticks / before);
            row.empty = empty;
        }
    }
    if let Some(base) = base {
        let (mut world, drill) = base?;
        world.check(&drill)?;
    }
    Ok(())
}

/// Ticks per packet without those of the loop around, and those.
fn net(world: &mut World<Mbuf>, drill: &mut bench::world::Drill, time: Duration, most: usize) -> (f64, f64) {
    let full = blocks(time, most, || world.step(drill)).median;
    let empty = blocks(time / 8, usize::MAX, || world.step_empty(drill)).median;
    (full - empty, empty)
}
