//! The pipeline in TSC ticks per packet: the worker's own burst function, with counters, flow accounting and
//! epoch checks on, over buffers that are restored for each burst; the same loop without the pipeline is
//! subtracted. Frames of 64 bytes, flows in an order that the cache cannot guess.
//!
//! `pipeline` prints a table; `pipeline --case NAME --count BURSTS` runs that many measured bursts and no
//! more, for counting instructions.

use anyhow::{Result, bail, ensure};
use arrayvec::ArrayVec;
use bench::Shuffle;
use bench::frames::Template;
use bench::node::{FABRIC, LABEL, Node, WORKLOAD};
use clap::Parser;
use dpdk::{Eal, EalConfig, Mbuf, MemoryMode, Mempool, MempoolConfig, tsc};
use packet::PacketBuf;
use vrouter::datapath::BURST;

/// Bursts in a block: one reading of the clock at each end.
const BLOCK: usize = 64;

/// The pipeline in ticks per packet.
#[derive(Debug, Parser)]
struct Options {
    /// Only cases whose name contains this.
    #[arg(long, default_value = "")]
    case: String,
    /// Blocks of 64 bursts per run.
    #[arg(long, default_value_t = 400)]
    blocks: usize,
    /// Runs; the table shows the median of their medians and the least.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The most flows: cases with more are left out.
    #[arg(long, default_value_t = 1_000_000)]
    flows: u64,
    /// Run this many bursts of the case and print nothing else.
    #[arg(long)]
    count: Option<usize>,
    /// Ordinary pages instead of huge ones.
    #[arg(long)]
    no_huge: bool,
}

/// What is measured.
#[derive(Clone)]
struct Case {
    name: String,
    flows: u64,
    /// What opens the sessions, and where.
    open: Option<(u16, Template)>,
    /// What is measured, and where it arrives.
    interface: u16,
    template: Template,
    /// Every packet is a new flow.
    new: bool,
}

const VM2: [u8; 6] = [2, 0, 0, 0, 0, 2];
const VM4: [u8; 6] = [2, 0, 0, 0, 0, 4];
const GATEWAY: [u8; 6] = [0, 0, 0x5e, 0, 1, 0];
const NODE: [u8; 6] = [2, 0, 0x0a, 1, 0, 0x42];
const PEER: [u8; 6] = [2, 0, 0x0a, 1, 0, 0xc2];
const OUTSIDE: [u8; 4] = [172, 16, 0, 0];

fn cases(most: u64) -> Vec<Case> {
    let out = Template::udp(([10, 1, 1, 2], OUTSIDE), (VM2, GATEWAY), 16, 64);
    let back = Template::udp((OUTSIDE, [101, 101, 101, 2]), (PEER, NODE), 12, 64)
        .in_mpls(([10, 1, 0, 194], [10, 1, 0, 66]), LABEL);
    let local = Template::udp(([10, 1, 1, 2], [10, 1, 1, 3]), (VM2, GATEWAY), 16, 64);
    let plain = Template::udp(([10, 1, 1, 4], [10, 2, 0, 0]), (VM4, GATEWAY), 16, 64);
    let mut cases = Vec::new();
    for flows in [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|flows| *flows <= most) {
        let case = |name: &str, open: Option<&Template>, interface, template: &Template| Case {
            name: format!("{name} {flows}"),
            flows,
            open: open.map(|open| (WORKLOAD, open.clone())),
            interface,
            template: template.clone(),
            new: false,
        };
        cases.push(case("vm-to-fabric policy+floating-ip+MPLSoUDP", Some(&out), WORKLOAD, &out));
        cases.push(case("fabric-to-vm MPLSoUDP+floating-ip+policy", Some(&out), FABRIC, &back));
    }
    let case = |name: &str, flows, open: Option<&Template>, interface, template: &Template, new| Case {
        name: name.to_owned(),
        flows,
        open: open.map(|open| (WORKLOAD, open.clone())),
        interface,
        template: template.clone(),
        new,
    };
    cases.push(case("vm-to-vm policy 1000", 1000, Some(&local), WORKLOAD, &local, false));
    cases.push(case("plain hop, packet mode 1000", 1000, None, 4, &plain, false));
    cases.push(case("new flows policy+floating-ip", most.min(500_000), None, WORKLOAD, &out, true));
    cases
}

fn main() -> Result<()> {
    let options = Options::parse();
    let memory = if options.no_huge { MemoryMode::NoHuge } else { MemoryMode::Auto };
    let eal =
        Eal::init(&EalConfig { memory, memory_mb: 64, file_prefix: "bench".into(), ..EalConfig::default() })?;
    let _registered = eal.register_thread(None)?;
    let pool = Mempool::new(
        &eal,
        &MempoolConfig { name: "bench".into(), count: 4095, data_room: 2048, cache: 256 },
    )?;
    let cases: Vec<_> =
        cases(options.flows).into_iter().filter(|case| case.name.contains(&options.case)).collect();
    if cases.is_empty() {
        bail!("no case is named like {:?}", options.case);
    }
    if let Some(bursts) = options.count {
        let mut world = World::open(&pool, &cases[0])?;
        for _ in 0..bursts {
            world.step();
        }
        return Ok(());
    }
    println!(
        "memory {:?}, TSC {:.0} MHz, 64-byte frames, bursts of {BURST}",
        eal.memory_mode(),
        eal.tsc_hz() as f64 / 1e6
    );
    println!("{:<52} {:>8} {:>8} {:>8} {:>8}", "case", "median", "least", "empty", "Mpps");
    for case in &cases {
        let (mut medians, mut empties) = (Vec::new(), Vec::new());
        for _ in 0..options.runs {
            let mut world = World::open(&pool, case)?;
            let blocks =
                if case.new { (case.flows as usize / (BLOCK * BURST)).max(1) } else { options.blocks };
            medians.push(world.measure(blocks, World::step));
            empties.push(world.measure(blocks.min(100), World::empty));
            world.check()?;
        }
        let (median, empty) = (middle(&mut medians), middle(&mut empties));
        let least = medians[0] - empty;
        let mpps = eal.tsc_hz() as f64 / 1e6 / (median - empty);
        println!("{:<52} {:>8.1} {:>8.1} {:>8.1} {:>8.2}", case.name, median - empty, least, empty, mpps);
    }
    Ok(())
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A node in the middle of a case.
struct World {
    node: Node,
    case: Case,
    order: Shuffle,
    expected: u64,
}

impl World {
    fn open(pool: &Mempool, case: &Case) -> Result<Self> {
        let sessions = u32::try_from(case.flows + case.flows / 8 + 1024)?;
        let node = Node::new(pool, sessions)?;
        let mut world = Self { node, case: case.clone(), order: Shuffle::new(case.flows), expected: 0 };
        if let Some((interface, template)) = case.open.clone() {
            for first in (0..case.flows).step_by(BURST) {
                let last = (first + BURST as u64).min(case.flows);
                world.send(interface, &template, first..last);
            }
            ensure!(
                world.node.flows.len() as u64 == case.flows,
                "{} sessions of {}",
                world.node.flows.len(),
                case.flows
            );
        }
        Ok(world)
    }

    fn send(&mut self, interface: u16, template: &Template, flows: impl Iterator<Item = u64>) {
        let mut burst = ArrayVec::<Mbuf, BURST>::new();
        for flow in flows {
            let Some(mut buf) = self.node.sink.free.pop() else { break };
            template.write(&mut buf, flow);
            burst.push(buf);
        }
        self.expected += burst.len() as u64;
        self.node.run(interface, &mut burst);
    }

    /// One measured burst.
    #[inline]
    fn step(&mut self) {
        let mut burst = ArrayVec::<Mbuf, BURST>::new();
        self.fill(&mut burst);
        measured_burst(&mut self.node, self.case.interface, &mut burst);
    }

    /// The same without the pipeline.
    #[inline]
    fn empty(&mut self) {
        let mut burst = ArrayVec::<Mbuf, BURST>::new();
        self.fill(&mut burst);
        self.node.sink.free.extend(burst.drain(..));
        self.expected -= BURST as u64;
    }

    #[inline]
    fn fill(&mut self, burst: &mut ArrayVec<Mbuf, BURST>) {
        for _ in 0..BURST {
            let Some(mut buf) = self.node.sink.free.pop() else { break };
            self.case.template.write(&mut buf, self.order.draw());
            burst.push(buf);
        }
        self.expected += BURST as u64;
    }

    /// The median block, in ticks per packet.
    fn measure(&mut self, blocks: usize, mut burst: impl FnMut(&mut Self)) -> f64 {
        let mut ticks: Vec<f64> = (0..blocks)
            .map(|_| {
                let start = tsc::now();
                (0..BLOCK).for_each(|_| burst(self));
                (tsc::now() - start) as f64 / (BLOCK * BURST) as f64
            })
            .collect();
        middle(&mut ticks)
    }

    /// Every packet has left, and looks as it should.
    fn check(&mut self) -> Result<()> {
        let accounting = self.node.counters.accounting();
        ensure!(accounting.holds(), "{accounting:?}");
        ensure!(
            accounting.sent == self.expected,
            "{} of {} packets left: {accounting:?}",
            accounting.sent,
            self.expected
        );
        let frame = self.node.sink.free.last().map_or(&[][..], |buf| buf.data());
        ensure!(!frame.is_empty(), "nothing left the pipeline");
        Ok(())
    }
}

/// What callgrind counts: `--toggle-collect='*measured_burst*'`.
#[inline(never)]
fn measured_burst(node: &mut Node, interface: u16, burst: &mut ArrayVec<Mbuf, BURST>) {
    node.run(interface, burst);
}
