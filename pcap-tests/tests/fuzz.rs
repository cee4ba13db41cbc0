//! Damaged packets against the whole pipeline: the golden frames, mutated, through tables with every kind of
//! object that change meanwhile. After each burst the accounting equation holds and no frame is lost; what
//! leaves by a workload's or a fabric interface can be read. A twin that knows no short way for common packets
//! sends the same frames.
//!
//! Runs are deterministic. `FUZZ_PACKETS` says how many packets, `FUZZ_SEED` which; a failure prints the seed
//! and the burst.
#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use agent_api::v1::{Object, Operation, operation};
use agent_api::{key_of, yaml};
use packet::{DropReason, InterfaceId, MemoryBuf};
use pcap_tests::case::{self, Change, Event};
use vrouter::datapath::{self, Variant};
use vrouter::simulator::{Simulator, Size};
use vrouter::tables::Role;

/// Packets unless `FUZZ_PACKETS` says otherwise.
const PACKETS: u64 = 1_200_000;
/// Bursts after which the tables and sessions begin anew.
const EPISODE: u64 = 2_000;
/// Frames kept of those that left, to come back as answers.
const ECHOES: usize = 512;
/// The longest frame that is made.
const LONGEST: usize = 2_000;

#[test]
fn no_byte_string_upsets_the_pipeline() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
    };
    let packets = number("FUZZ_PACKETS", PACKETS);
    let seed = number("FUZZ_SEED", 1);
    let world = World::load();
    let (mut done, mut episode, mut parted) = (0, 0, 0);
    let mut ends = datapath::Accounting::default();
    let mut drops = BTreeMap::new();
    while done < packets {
        let mut run = Run::new(&world, seed + episode);
        for _ in 0..EPISODE {
            if done >= packets || run.parted {
                break;
            }
            done += run.burst(&world);
        }
        run.finish();
        parted += u64::from(run.parted);
        ends += run.simulator.accounting();
        run.simulator.drops().for_each(|(reason, count)| *drops.entry(reason.name()).or_default() += count);
        episode += 1;
    }
    println!("{done} packets from seed {seed} in {episode} episodes, {parted} of them cut short: {ends:?}");
    let mut drops: Vec<(&str, u64)> = drops.into_iter().collect();
    drops.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    println!("{} drop reasons: {drops:?}", drops.len());
    // Most are damaged, but it would be no test of the pipeline if few got through its gates.
    assert!(ends.sent > done / 20, "hardly anything was forwarded: {ends:?}");
    assert!(drops.len() >= 40, "packets ended in few ways");
    assert!(parted * 10 <= episode, "the twins' resets part too often");
    assert!(ends.consumed > 0 && ends.punted > 0 && ends.originated > 0 && ends.copied > 0, "{ends:?}");
}

/// What all episodes share.
struct World {
    tables: Vec<Object>,
    others: Vec<Object>,
    /// Golden frames and the interfaces they come in by.
    seeds: Vec<(String, Vec<u8>)>,
}

impl World {
    fn load() -> Self {
        let cases = case::load_all(&case::root()).expect("the cases can be read");
        let seeds = cases.into_iter().flat_map(|case| case.steps).filter_map(|step| match step.event {
            Event::Packet { interface, frame } => Some((interface, frame)),
            Event::Change(_) => None,
        });
        Self {
            tables: yaml::parse(include_str!("fuzz.yaml")).expect("the tables can be read"),
            others: yaml::parse(include_str!("fuzz-changes.yaml")).expect("the changes can be read"),
            seeds: seeds.collect(),
        }
    }
}

/// One vRouter and what it is fed.
struct Run {
    seed: u64,
    random: Random,
    simulator: Simulator,
    /// The same vRouter, in which every packet goes through all stages.
    twin: Simulator,
    /// The two went different ways for a good reason, and nothing can be compared from then on. See [`Run::have_parted`].
    parted: bool,
    /// Frames that left, as they would come back.
    echoes: Vec<(String, Vec<u8>)>,
}

impl Run {
    fn new(world: &World, seed: u64) -> Self {
        // Few sessions, so that tables and limits are full most of the time.
        let size = Size { sessions: 600, buffers: 3_000, ..Size::default() };
        // Each episode is of the next variant of the short way; the twin has none.
        let variants: Vec<_> = Variant::available().collect();
        let variant = variants[seed as usize % variants.len()];
        let [simulator, twin] = [Some(variant), None].map(|express| {
            let mut simulator = Simulator::new(seed, Size { express, ..size }).expect("a small vRouter");
            let result = simulator.apply(Change::put(world.tables.clone()).operations());
            assert_eq!(result.code, 0, "{} {:?} {}", result.message, result.object, result.field);
            simulator
        });
        let random = Random(seed);
        let mut run = Self { seed, random, simulator, twin, parted: false, echoes: Vec::new() };
        for address in ["10.1.0.1", "10.1.0.194", "10.1.0.195", "2001:db8:a::c2", "2001:db8:a::c4"] {
            run.resolve("fabric", address);
        }
        run
    }

    fn interface(&self, name: &str) -> InterfaceId {
        self.simulator.interface(name).unwrap_or(InterfaceId(u16::MAX))
    }

    fn resolve(&mut self, interface: &str, address: &str) {
        let interface = self.interface(interface);
        let mac = [2, 0, 0x0a, 1, 0, self.random.below(256) as u8];
        for simulator in [&mut self.simulator, &mut self.twin] {
            simulator.install_neighbour(interface, address.parse().expect("an address"), mac);
        }
    }

    /// One burst, and what may happen around it. Returns the number of packets.
    fn burst(&mut self, world: &World) -> u64 {
        self.disturb(world);
        let count = 1 + self.random.below(64);
        let (name, _) = self.random.pick(&world.seeds);
        let interface = self.interface(name);
        let frames: Vec<_> = (0..count).map(|_| self.frame(world, name)).collect();
        let fed = catch_unwind(AssertUnwindSafe(|| self.feed(interface, &frames)));
        if let Err(panic) = fed {
            eprintln!("seed {}, interface {name}, a burst of {count}:", self.seed);
            frames.iter().for_each(|frame| eprintln!("{}", hex(frame)));
            resume_unwind(panic);
        }
        count as u64
    }

    fn feed(&mut self, arrival: InterfaceId, frames: &[Vec<u8>]) {
        let before = self.simulator.accounting();
        if let Some(frame) = frames.first().filter(|_| self.random.one_in(8)) {
            let told = self.simulator.explain(arrival, frame);
            assert!(told.is_some_and(|told| !told.verdict.is_empty()));
            assert_eq!(self.simulator.accounting(), before, "an explanation changes nothing");
        }
        // What rings and mempools hold has room in front and behind, or has none.
        let bufs = || {
            frames.iter().enumerate().map(|(i, frame)| match i % 16 {
                0 => MemoryBuf::with_room(frame, 0, 0),
                1 => MemoryBuf::with_room(frame, 20, 7),
                _ => MemoryBuf::with_tailroom(frame, 600),
            })
        };
        self.simulator.inject(arrival, bufs());
        self.twin.inject(arrival, bufs());
        let after = self.simulator.accounting();
        assert!(after.holds(), "{after:?}");
        assert_eq!(after.received, before.received + frames.len() as u64);
        self.parted = self.have_parted();
        if self.parted {
            return;
        }
        self.take_output(arrival);
        self.simulator.events().for_each(drop);
        self.twin.events().for_each(drop);
        assert_eq!(after, self.twin.accounting(), "the twin's packets ended otherwise");
        let held = self.simulator.accounting().held;
        assert_eq!(
            self.simulator.frames_out() as u64,
            held,
            "frames that are not back, and frames that wait"
        );
        let capacity: usize = self.simulator.flows().capacity().iter().sum();
        assert!(self.simulator.flows().len() <= capacity);
    }

    /// Packets that go the short way come before the others of their burst. Two things are told by the last packet that said
    /// something: which reset is valid (the acknowledgement it is held against), and through which of several tunnels replies
    /// go (the one that a packet came through).
    fn have_parted(&self) -> bool {
        let told = |node: &Simulator| {
            let invalid = node.drops().find(|(reason, _)| *reason == DropReason::TcpInvalid);
            (invalid, node.counters().ecmp_repin.get())
        };
        told(&self.simulator) != told(&self.twin)
    }

    /// What left can be read again, unless it only passed between the fabric and the HOST twin.
    fn take_output(&mut self, arrival: InterfaceId) {
        let role =
            |run: &Self, id| run.simulator.tables().interface(id).map(|row| (row.role, row.name.to_string()));
        let from_host = role(self, arrival).is_some_and(|(role, _)| role == Role::Host);
        let output = self.simulator.take_output();
        let (ours, theirs) = (by_interface(&output), by_interface(&self.twin.take_output()));
        for interface in ours.keys().chain(theirs.keys()) {
            let frames =
                |sent: &BTreeMap<InterfaceId, Vec<Vec<u8>>>| sent.get(interface).cloned().unwrap_or_default();
            let (ours, theirs) = (frames(&ours), frames(&theirs));
            for at in 0..ours.len().max(theirs.len()) {
                let (ours, theirs) = (ours.get(at), theirs.get(at));
                let hex = |frame: Option<&Vec<u8>>| frame.map(|frame| hex(frame));
                assert_eq!(
                    hex(ours),
                    hex(theirs),
                    "interface {interface}, frame {at}: the twin's is another"
                );
            }
        }
        for (out, frame) in output {
            let Some((role, name)) = role(self, out) else { continue };
            if !from_host && role != Role::Host {
                let read = packet::parse::ethernet(&frame);
                assert!(read.is_ok(), "{name} sent what nobody can read: {read:?} {}", hex(&frame));
            }
            if self.random.one_in(4) {
                let mut echo = frame;
                turn_round(&mut echo);
                mend(&mut echo);
                if self.echoes.len() < ECHOES {
                    self.echoes.push((name, echo));
                } else {
                    let at = self.random.below(ECHOES);
                    self.echoes[at] = (name, echo);
                }
            }
        }
    }

    /// The clock, the tables, the neighbours and the devices do not stand still.
    fn disturb(&mut self, world: &World) {
        match self.random.below(64) {
            0..20 => {
                let milliseconds = self.random.below(40);
                self.both(|simulator| simulator.advance(milliseconds as u64));
            }
            20 => {
                let milliseconds = self.random.below(5_000);
                self.both(|simulator| simulator.advance(milliseconds as u64));
            }
            21..28 => {
                let count = 1 + self.random.below(3);
                let operations: Vec<_> = (0..count).map(|_| self.change(world)).collect();
                // Some are refused, and then nothing has changed.
                self.both(|simulator| drop(simulator.apply(operations.clone())));
            }
            28 => {
                let address = *self.random.pick(&["10.1.0.196", "10.1.0.1", "10.2.0.7", "2001:db8:a::c3"]);
                let interface = if address.starts_with("10.2") { "fabric2" } else { "fabric" };
                self.resolve(interface, address);
            }
            29 | 30 => {
                let rows: Vec<_> =
                    self.simulator.tables().interfaces.iter().filter_map(|(_, row)| row.port).collect();
                let port = *self.random.pick(&rows);
                let full = self.random.one_in(4);
                self.both(|simulator| simulator.set_full(port, full));
            }
            _ => {}
        }
        self.take_output(InterfaceId(0));
        let accounting = self.simulator.accounting();
        assert!(accounting.holds(), "between bursts, seed {}: {accounting:?}", self.seed);
    }

    fn both(&mut self, mut what: impl FnMut(&mut Simulator)) {
        what(&mut self.simulator);
        what(&mut self.twin);
    }

    fn change(&mut self, world: &World) -> Operation {
        let operation = match self.random.below(8) {
            0 => operation::Operation::Delete(key_of(self.random.pick(&world.tables))),
            1 | 2 => operation::Operation::Put(self.random.pick(&world.others).clone()),
            _ => operation::Operation::Put(self.random.pick(&world.tables).clone()),
        };
        Operation { operation: Some(operation) }
    }

    /// A frame for this interface: a golden one or an answer, mostly damaged.
    fn frame(&mut self, world: &World, interface: &str) -> Vec<u8> {
        let mut frame = self.original(world, interface).to_vec();
        for _ in 0..self.random.below(4) {
            let other = self.original(world, interface);
            mutate(&mut self.random, &mut frame, &other);
        }
        if !self.random.one_in(4) {
            mend(&mut frame);
        }
        frame.truncate(LONGEST);
        frame
    }

    fn original(&mut self, world: &World, interface: &str) -> Vec<u8> {
        let any = self.random.one_in(16);
        let from = if self.random.one_in(3) && !self.echoes.is_empty() { &self.echoes } else { &world.seeds };
        // Most frames mean something only where they belong.
        for _ in 0..64 {
            let (name, frame) = self.random.pick(from);
            if any || name == interface {
                return frame.clone();
            }
        }
        self.random.pick(&world.seeds).1.clone()
    }

    /// Time runs out for all that waits.
    fn finish(&mut self) {
        for _ in 0..3 {
            self.simulator.advance(5_000);
        }
        self.simulator.take_output();
        self.simulator.events().for_each(drop);
        let accounting = self.simulator.accounting();
        assert!(accounting.holds() && accounting.held == 0, "seed {}: {accounting:?}", self.seed);
        assert_eq!(self.simulator.frames_out(), 0, "seed {}", self.seed);
    }
}

/// Frames per interface, in order. The identification of an outer header that may be fragmented is left out, with the
/// checksum: the twin numbers its packets in another order.
fn by_interface(output: &[(InterfaceId, Vec<u8>)]) -> BTreeMap<InterfaceId, Vec<Vec<u8>>> {
    let mut frames: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (interface, frame) in output {
        let mut frame = frame.clone();
        if frame.len() >= 34 && frame[12..14] == [8, 0] && frame[20] & 0x40 == 0 {
            frame[18..20].fill(0);
            frame[24..26].fill(0);
        }
        frames.entry(*interface).or_default().push(frame);
    }
    frames
}

/// One change to a frame.
fn mutate(random: &mut Random, frame: &mut Vec<u8>, other: &[u8]) {
    if frame.is_empty() {
        frame.extend_from_slice(other);
    }
    let length = frame.len().max(1);
    // Headers are where decisions are made.
    let at = if random.one_in(3) { random.below(length) } else { random.below(length.min(90)) };
    match random.below(12) {
        0 | 1 => {
            for _ in 0..=random.below(4) {
                flip(random, frame, at);
            }
        }
        2 => frame.truncate(at),
        3 => {
            let more = random.below(64);
            frame.extend((0..more).map(|_| random.below(256) as u8));
        }
        4 => {
            frame.truncate(at);
            frame.extend(other.iter().skip(random.below(other.len().max(1))));
        }
        5 => {
            let wrong = [0, 1, 7, 8, 19, 20, 21, length, length - 1, length + 1, 0x7fff, 0x8000, 0xffff];
            put(frame, at, &(*random.pick(&wrong) as u16).to_be_bytes());
        }
        6 => {
            // The other's headers in front of this one's payload, or the other way round.
            let cut = random.below(60);
            let rest = frame.split_off(cut.min(frame.len()));
            frame.clear();
            frame.extend(other.iter().take(random.below(60)));
            frame.extend(rest);
        }
        7 => {
            // A packet in a packet.
            let depth = 14 + random.below(64);
            let inner = frame.split_off(14.min(frame.len()));
            frame.clear();
            frame.extend(other.iter().take(depth));
            frame.extend(inner);
        }
        8 => put(frame, at, &[random.below(256) as u8; 4]),
        9 => ports(random, frame),
        10 => fragment(random, frame),
        _ => turn_round(frame),
    }
}

fn flip(random: &mut Random, frame: &mut [u8], near: usize) {
    let at = near + random.below(4);
    if let Some(byte) = frame.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

/// Other ports: another conversation.
fn ports(random: &mut Random, frame: &mut [u8]) {
    let l4 = if frame.get(12) == Some(&0x86) { 54 } else { 34 };
    let port = random.below(256) as u16 * 257;
    put(frame, l4 + 2 * random.below(2), &port.to_be_bytes());
}

/// Makes an IPv4 packet a fragment, or none any more.
fn fragment(random: &mut Random, frame: &mut [u8]) {
    let place = [0, 0x2000, 0x2001, 0x2002, 0x2004, 4, 8, 16, 0x1fff];
    if frame.get(12..14) == Some(&[8, 0]) {
        put(frame, 18, &[0, random.below(4) as u8]);
        put(frame, 20, &(*random.pick(&place) as u16).to_be_bytes());
    }
}

/// Swaps sender and receiver: what left comes back.
fn turn_round(frame: &mut [u8]) {
    swap(frame, 0, 6, 6);
    turn_network(frame, 14);
    if let Some(inner) = inner(frame) {
        turn_network(frame, inner);
    }
}

fn turn_network(frame: &mut [u8], l3: usize) {
    let (addresses, width, l4) = match frame.get(l3).map(|first| first >> 4) {
        Some(4) => (l3 + 12, 4, l3 + 20),
        Some(6) => (l3 + 8, 16, l3 + 40),
        _ => return,
    };
    swap(frame, addresses, addresses + width, width);
    if inner(frame).is_none_or(|inner| inner == l3) {
        swap(frame, l4, l4 + 2, 2);
    }
}

fn swap(frame: &mut [u8], one: usize, other: usize, length: usize) {
    if frame.len() >= one.max(other) + length {
        (0..length).for_each(|i| frame.swap(one + i, other + i));
    }
}

/// Where the packet in a tunnel begins, if it looks like one.
fn inner(frame: &[u8]) -> Option<usize> {
    let (protocol, l4) = match frame.get(14)? >> 4 {
        4 => (*frame.get(23)?, 34),
        6 => (*frame.get(20)?, 54),
        _ => return None,
    };
    match (protocol, frame.get(l4 + 2..l4 + 4)?) {
        (17, [0x19, 0xeb] | [0xc8, 0x22]) => Some(l4 + 12),
        (17, [0x12, 0xb5]) => Some(l4 + 30),
        (47, [0x88, 0x47]) => Some(l4 + 8),
        _ => None,
    }
}

/// Makes lengths and header checksums right again, so that the damage gets beyond the parser.
fn mend(frame: &mut [u8]) {
    if let Some(inner) = inner(frame) {
        mend_network(frame, inner);
    }
    mend_network(frame, 14);
}

fn mend_network(frame: &mut [u8], l3: usize) {
    let length = frame.len().saturating_sub(l3) as u16;
    match frame.get(l3).map(|first| first >> 4) {
        Some(4) => {
            let header = usize::from(frame[l3] & 15) * 4;
            put(frame, l3 + 2, &length.to_be_bytes());
            put(frame, l3 + 10, &[0, 0]);
            let Some(bytes) = frame.get(l3..l3 + header) else { return };
            let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
            let folded = (sum & 0xffff) + (sum >> 16);
            let folded = (folded & 0xffff) + (folded >> 16);
            put(frame, l3 + 10, &(!(folded as u16)).to_be_bytes());
            if frame.get(l3 + 9) == Some(&17) {
                put(frame, l3 + header + 4, &length.saturating_sub(header as u16).to_be_bytes());
            }
        }
        Some(6) => {
            put(frame, l3 + 4, &length.saturating_sub(40).to_be_bytes());
            if frame.get(l3 + 6) == Some(&17) {
                put(frame, l3 + 44, &length.saturating_sub(40).to_be_bytes());
            }
        }
        _ => {}
    }
}

fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = frame.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SplitMix64: the same numbers everywhere and always.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
