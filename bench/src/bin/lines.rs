//! Which worker writes which line of memory on the fast path, and that none is written by two.
//!
//! Another process has a node with two workers, each in a thread of its own that waits to be told. From here its whole
//! memory is read before and after the bursts of one worker and then of the other; whatever differs was written in between,
//! and nobody else runs there. (A line that is written and then has the same bytes as before is not seen: the clock moves and
//! all counters count, so what a burst has to remember does differ.)

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use arrayvec::ArrayVec;
use bench::node::{Node, Ring, Size, Worker};
use bench::order::Order;
use bench::record::{Raw, Record};
use bench::ways::{self, Sizes, Tunnel};
use bench::world::Drill;
use clap::{Parser, ValueEnum};
use packet::MemoryBuf;
use vrouter::datapath::{BURST, Variant};

const FLOWS: u32 = 8_192;
const LINE: usize = 64;
/// Bursts that a worker is told to do at once: each flow about once.
const BURSTS: usize = FLOWS as usize / BURST;

/// What the two workers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Share {
    /// One has the packets that workloads send, the other one the answers to the same packets.
    Directions,
    /// Each has its own flows, in the same direction.
    Flows,
    /// Both have the same packets, as no device would hand them out: to see that this is seen.
    Everything,
}

/// Which worker writes which line.
#[derive(Debug, Parser)]
struct Options {
    /// Be the process that is looked at, and listen here.
    #[arg(long)]
    child: Option<PathBuf>,
    /// What its workers do.
    #[arg(long, value_enum, default_value = "directions")]
    share: Share,
    #[command(flatten)]
    raw: Raw,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(socket) = &options.child {
        return child(socket, options.share);
    }
    let mut recorder = options.raw.recorder()?;
    for (share, row) in [
        (Share::Directions, "one sends what workloads say, the other one the answers"),
        (Share::Flows, "each has flows of its own"),
        (Share::Everything, "both have the same packets (a check of the method)"),
    ] {
        let [one, other] = written(share)?;
        let both: BTreeMap<_, _> = one
            .iter()
            .map(|(mapping, lines)| {
                (mapping, other.get(mapping).map_or(0, |other| lines.intersection(other).count()))
            })
            .collect();
        println!("{row}\n{:>34} {:>9} {:>9} {:>9}", "mapping", "first", "second", "both");
        let mappings: BTreeSet<_> = one.keys().chain(other.keys()).collect();
        let count = |of: &Written, mapping: &Mapping| of.get(mapping).map_or(0, BTreeSet::len);
        for mapping in mappings {
            let (first, second) = (count(&one, mapping), count(&other, mapping));
            let shared = both.get(mapping).copied().unwrap_or(0);
            println!("{:>16x} – {:>15x} {first:>9} {second:>9} {shared:>9}", mapping.0, mapping.1);
        }
        let sum = |of: &Written| of.values().map(BTreeSet::len).sum::<usize>() as f64;
        let shared: usize = both.values().sum();
        let mut record = Record::new("lines", row, "", "lines by both", vec![shared as f64])
            .with("by the first", sum(&one))
            .with("by the second", sum(&other));
        if share == Share::Everything {
            ensure!(shared > 0, "two workers with the same packets must have been seen to share");
        } else {
            record = record.asked(0.0, 0.0);
        }
        recorder.keep(&record)?;
        ensure!(sum(&one) > f64::from(FLOWS) / 2.0, "not even the sessions were written");
        ensure!(shared == 0 || share == Share::Everything, "{shared} lines are written by both workers");
    }
    Ok(())
}

/// First and last address of a piece of memory.
type Mapping = (u64, u64);
/// Lines by number, in each piece of memory.
type Written = BTreeMap<Mapping, BTreeSet<u64>>;

/// Ends the other process.
struct Looked(Child);

impl Drop for Looked {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What each of the two workers writes.
fn written(share: Share) -> Result<[Written; 2]> {
    let directory = tempfile::Builder::new().prefix("vrouter-bench-").tempdir()?;
    let socket = directory.path().join("lines.sock");
    let listener = UnixListener::bind(&socket)?;
    let name = share.to_possible_value().context("a name")?;
    let process = Command::new(std::env::current_exe()?)
        .args(["--share", name.get_name(), "--child"])
        .arg(&socket)
        .stdin(Stdio::null())
        .spawn()?;
    let looked = Looked(process);
    let mut workers = BTreeMap::new();
    while workers.len() < 2 {
        let (mut stream, _) = listener.accept()?;
        let mut number = [0];
        stream.read_exact(&mut number)?;
        workers.insert(number[0], stream);
    }
    let mut tell = |number: u8| -> Result<()> {
        let stream = workers.get_mut(&number).context("a worker")?;
        stream.write_all(&[1])?;
        Ok(stream.read_exact(&mut [0])?)
    };
    // What is written once only is written.
    for number in [0, 1, 0, 1] {
        tell(number)?;
    }
    let mut before = snapshot(looked.0.id())?;
    let mut written = [Written::new(), Written::new()];
    for (number, written) in (0..).zip(&mut written) {
        tell(number)?;
        let after = snapshot(looked.0.id())?;
        *written = differing(&before, &after);
        before = after;
    }
    Ok(written)
}

/// The memory of a process that it can write.
fn snapshot(process: u32) -> Result<BTreeMap<Mapping, Vec<u8>>> {
    let memory = File::open(format!("/proc/{process}/mem"))?;
    let mut all = BTreeMap::new();
    for line in fs::read_to_string(format!("/proc/{process}/maps"))?.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let (Some((first, end)), true) = (range.split_once('-'), rights.starts_with("rw")) else { continue };
        let (first, end) = (u64::from_str_radix(first, 16)?, u64::from_str_radix(end, 16)?);
        let mut bytes = vec![0; (end - first) as usize];
        // What the kernel keeps to itself cannot be read.
        if memory.read_exact_at(&mut bytes, first).is_ok() {
            all.insert((first, end), bytes);
        }
    }
    Ok(all)
}

fn differing(before: &BTreeMap<Mapping, Vec<u8>>, after: &BTreeMap<Mapping, Vec<u8>>) -> Written {
    let mut written = Written::new();
    for (mapping, after) in after {
        let Some(before) = before.get(mapping) else { continue };
        let lines = before.chunks(LINE).zip(after.chunks(LINE)).enumerate();
        let lines: BTreeSet<u64> =
            lines.filter(|(_, (before, after))| before != after).map(|(n, _)| n as u64).collect();
        if !lines.is_empty() {
            written.insert(*mapping, lines);
        }
    }
    written
}

/// The process that is looked at.
fn child(socket: &Path, share: Share) -> Result<()> {
    let size = Size { sessions: [2 * FLOWS, 1024], workers: 2, express: Some(Variant::best()) };
    let mut node = Node::new(&size, Vec::new())?;
    let ring = || Ring::new(1024, || Some(MemoryBuf::with_tailroom(&[], 1600)));
    let out = || ways::out(2, Sizes::Smallest, Tunnel::Udp, false);
    let back = || ways::back(Sizes::Smallest, Tunnel::Udp, false);
    let mut workers = [node.worker(ring())?, node.worker(ring())?];
    // Sessions are opened by the first worker, and answered.
    let [first, _] = &mut workers;
    for way in [out(), back(), out()] {
        let mut drill = Drill::new(way, Order::ascending(FLOWS));
        (0..BURSTS).for_each(|_| burst(first, &mut drill));
    }
    ensure!(node.flows().len() == FLOWS as usize, "{} sessions", node.flows().len());
    let half = |number: u32| Order::of((0..FLOWS).filter(|flow| flow % 2 == number));
    let drills = match share {
        Share::Directions => [(out(), Order::shuffled(FLOWS)), (back(), Order::shuffled(FLOWS))],
        Share::Flows => [(out(), half(0)), (out(), half(1))],
        Share::Everything => [(out(), Order::shuffled(FLOWS)), (out(), Order::shuffled(FLOWS))],
    };
    let threads: Vec<_> = (0_u8..)
        .zip(workers.into_iter().zip(drills))
        .map(|(number, (worker, (way, order)))| {
            let socket = socket.to_owned();
            thread::spawn(move || serve(&socket, number, worker, Drill::new(way, order)))
        })
        .collect();
    for thread in threads {
        match thread.join() {
            Ok(done) => done?,
            Err(_) => bail!("a worker failed"),
        }
    }
    Ok(())
}

/// Does bursts whenever it is told to, until nobody tells it any more.
fn serve(socket: &Path, number: u8, mut worker: Worker<MemoryBuf>, mut drill: Drill) -> Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(&[number])?;
    let mut told = [0];
    while stream.read_exact(&mut told).is_ok() {
        // Later than before, so that what keeps the time changes.
        worker.advance(1_000);
        (0..BURSTS).for_each(|_| burst(&mut worker, &mut drill));
        stream.write_all(&told)?;
    }
    let accounting = worker.counters().accounting();
    ensure!(accounting.holds() && accounting.sent == accounting.received, "{accounting:?}");
    Ok(())
}

fn burst(worker: &mut Worker<MemoryBuf>, drill: &mut Drill) {
    let mut frames: ArrayVec<MemoryBuf, BURST> = drill.receive(worker, BURST);
    worker.run(drill.way().interface, &mut frames);
}
