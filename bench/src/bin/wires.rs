//! End to end over DPDK's virtual devices, for comparison with programs that can only be measured so: packets come out
//! of a capture file that `net_pcap` repeats without end, and what leaves goes to `net_null`.
//!
//! `wires --write FILE …` writes the capture file; `wires --read FILE …` measures receiving and sending alone and then with
//! the pipeline between.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use arrayvec::ArrayVec;
use bench::clock::{BLOCK, blocks};
use bench::memory::Pages;
use bench::node::{Node, Ring, Size, Worker};
use bench::order::Order;
use bench::record::{Raw, Record};
use bench::ways::{self, Sizes, Tunnel, Way};
use clap::{Parser, ValueEnum};
use dpdk::{
    Device, DeviceKind, Eal, Mbuf, Mempool, MempoolConfig, Port, PortConfig, Queues, RxQueue, TxQueue,
};
use packet::PortId;
use pcap_file::pcap::{PcapPacket, PcapWriter};
use vrouter::datapath::{BURST, Ports, Variant};

/// Bytes of memory for one packet, with what DPDK adds, generously: it wants some in one piece.
const PACKET: u32 = 4096;

/// Where packets go.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    /// MPLS over UDP to one of two nodes: the base point.
    Udp,
    /// MPLS over GRE.
    Gre,
    /// VXLAN.
    Vxlan,
}

/// The pipeline over virtual devices.
#[derive(Debug, Parser)]
struct Options {
    /// Write the frames of all flows to this capture file.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Receive from this capture file.
    #[arg(long)]
    read: Option<PathBuf>,
    /// Where packets go.
    #[arg(long, value_enum, default_value = "udp")]
    to: To,
    /// Flows, one packet each.
    #[arg(long, default_value_t = 1000)]
    flows: u32,
    /// How they are called in the table.
    #[arg(long, default_value = "1k")]
    at: String,
    /// How long a run takes.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Runs.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    raw: Raw,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (tunnel, name) = match options.to {
        To::Udp => (Tunnel::Udp, "vRouter: rules, NAT, ECMP, MPLSoUDP"),
        To::Gre => (Tunnel::Gre, "vRouter: rules, NAT, MPLSoGRE"),
        To::Vxlan => (Tunnel::Vxlan, "vRouter: rules, NAT, VXLAN"),
    };
    let way = ways::out(2, Sizes::Smallest, tunnel, false);
    match (&options.write, &options.read) {
        (Some(file), None) => write(file, &way, options.flows),
        (None, Some(file)) => measure(file, &way, name, &options),
        _ => anyhow::bail!("either --write or --read"),
    }
}

/// The frames of all flows, shuffled.
fn write(path: &PathBuf, way: &Way, flows: u32) -> Result<()> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut writer = PcapWriter::new(BufWriter::new(file))?;
    let mut order = Order::shuffled(flows);
    for _ in 0..flows {
        let flow = order.draw();
        let frame = way.of(flow).received.frame(flow);
        writer.write_packet(&PcapPacket::new(Duration::ZERO, frame.len() as u32, &frame))?;
    }
    Ok(())
}

/// The device that everything goes to.
struct Sink {
    queue: TxQueue,
    pool: Mempool,
}

impl Ports<Mbuf> for Sink {
    #[inline]
    fn send(&mut self, _: PortId, frames: &mut ArrayVec<Mbuf, BURST>) {
        self.queue.send(frames);
    }

    fn allocate(&mut self) -> Option<Mbuf> {
        self.pool.alloc()
    }
}

fn measure(file: &std::path::Path, way: &Way, name: &str, options: &Options) -> Result<()> {
    let count = (options.flows + 8192).next_power_of_two() - 1;
    let memory_mb = (u64::from(count) * u64::from(PACKET)).div_ceil(1 << 20) as u32 + 64;
    let eal = options.pages.eal(memory_mb)?;
    let _registered = eal.register_thread(None)?;
    let pool =
        Mempool::new(&eal, &MempoolConfig { name: "wires".into(), count, data_room: 2048, cache: 256 })?;
    let source = DeviceKind::Pcap {
        rx_file: Some(file.display().to_string()),
        tx_file: None,
        infinite_rx: true,
        rx_interface: None,
        tx_interface: None,
    };
    let (_source, source) = open(&eal, &pool, source)?;
    let (_sink, sink) = open(&eal, &pool, DeviceKind::Null { generate: false })?;
    let mut rx = source.rx.into_iter().next().context("a receive queue")?;
    let queue = sink.tx.into_iter().next().context("a transmit queue")?;
    let mut sink = Sink { queue, pool: pool.clone() };

    let size = Size {
        sessions: [options.flows + options.flows / 8 + 1024, 1024],
        workers: 1,
        express: Some(Variant::best()),
    };
    let mut node = Node::new(&size, Vec::new())?;
    let mut worker = node.worker(Ring::new(0, || None))?;
    let time = Duration::from_secs_f64(options.seconds);
    let mut floors = Vec::new();
    let mut runs = Vec::new();
    // Every flow is seen, and seen again.
    (0..2 * options.flows as usize / BURST + 2 * BLOCK)
        .for_each(|_| forward(&mut rx, &mut worker, way, &mut sink));
    ensure!(node.flows().len() == options.flows as usize, "{} sessions", node.flows().len());
    for _ in 0..options.runs {
        floors.push(blocks(time / 2, usize::MAX, || pass(&mut rx, &mut sink)).median);
        runs.push(blocks(time, usize::MAX, || forward(&mut rx, &mut worker, way, &mut sink)).median);
    }
    let accounting = worker.counters().accounting();
    ensure!(accounting.holds() && accounting.sent == accounting.received, "{accounting:?}");
    let mut recorder = options.raw.recorder()?;
    let nets: Vec<_> = runs.iter().zip(&floors).map(|(run, floor)| run - floor).collect();
    recorder.keep(&Record::new("peers", "our loop: receive and send", &options.at, "ticks", floors))?;
    let memory = format!("{:?}", eal.memory_mode());
    let net = bench::clock::median(&nets);
    let mut record = Record::new("peers", name, &options.at, "ticks", runs).with("without the devices", net);
    record.text = memory;
    recorder.keep(&record)
}

fn open(eal: &Eal, pool: &Mempool, kind: DeviceKind) -> Result<(Port, Queues)> {
    let mut port = eal.attach(&Device::new(kind))?;
    port.configure(&PortConfig::default(), pool)?;
    let queues = port.start()?;
    Ok((port, queues))
}

/// A burst from the source to the sink as it is.
fn pass(rx: &mut RxQueue, sink: &mut Sink) {
    let mut burst = ArrayVec::new();
    rx.receive(&mut burst);
    sink.queue.send(&mut burst);
}

/// A burst through the pipeline.
fn forward(rx: &mut RxQueue, worker: &mut Worker<Mbuf>, way: &Way, sink: &mut Sink) {
    let mut burst = ArrayVec::new();
    rx.receive(&mut burst);
    worker.run_to(way.interface, &mut burst, sink);
}
