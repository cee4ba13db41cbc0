//! A node in the middle of a case: its sessions are open, and one burst after the other comes in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use arrayvec::ArrayVec;
use flow::{Sweeper, Timeouts};
use packet::{PacketBuf, WorkerId};
use vrouter::datapath::BURST;

use crate::cases::{Case, Popularity};
use crate::node::{Node, Ring, Size, Unheard, Worker};
use crate::order::Order;
use crate::rules;
use crate::ways::Way;

/// Flows of which every frame is compared with what the long way makes of it.
const COMPARED: u32 = 4096;

/// Sessions that one step of the sweep looks at, as the ageing thread has it.
const STEP: usize = 65_536;

/// The sessions of some cases.
#[derive(Debug)]
pub struct World<B> {
    node: Node,
    worker: Worker<B>,
    /// The same without the short way through the pipeline, for the first flows.
    twin: Worker<B>,
    flows: u32,
    new: bool,
}

/// What comes in, and in which order.
#[derive(Debug)]
pub struct Drill {
    way: Way,
    order: Order,
}

impl<B: PacketBuf> World<B> {
    /// A node in which the sessions of a case are open.
    ///
    /// # Errors
    /// No memory, or a packet that did not leave as it must.
    pub fn open(mut ring: impl FnMut() -> Ring<B>, case: &Case) -> Result<Self> {
        let mut node = |flows: u32, express| -> Result<(Node, Worker<B>)> {
            let sessions = room(flows, case);
            let more = if case.rules == 0 { Vec::new() } else { rules::objects(case.rules)? };
            let mut node = Node::new(&Size { sessions, workers: 1, express }, more)?;
            let worker = node.worker(ring())?;
            Ok((node, worker))
        };
        let (_, twin) = node(case.flows.min(COMPARED), None)?;
        let (node, worker) = node(case.flows, Some(case.variant))?;
        let mut world = Self { node, worker, twin, flows: case.flows, new: case.new };
        if let Some((_, opening)) = &case.opening {
            world.visit(opening)?;
        }
        Ok(world)
    }

    /// Gets ready for one of its cases: every session is used once in the direction that will be measured.
    ///
    /// # Errors
    /// A packet that did not leave as it must.
    pub fn drill(&mut self, case: &Case) -> Result<Drill> {
        if !self.new {
            self.visit(&case.measured)?;
        }
        Ok(Drill { way: case.measured.clone(), order: order(case) })
    }

    /// Sends one frame of every flow, and compares those that are compared.
    fn visit(&mut self, way: &Way) -> Result<()> {
        let compared = self.flows.min(COMPARED);
        self.compare(way)?;
        for first in (compared..self.flows).step_by(BURST) {
            pass(&mut self.worker, way, first..(first + BURST as u32).min(self.flows))?;
            // A sample of them, at every place of a burst in the end.
            let count = (self.flows - first).min(BURST as u32);
            let sampled = first + (first / BURST as u32) % count;
            let behind = (first + count - sampled) as usize;
            let frame = self.worker.ring().newest(behind).next().context("a frame")?;
            expect(way, sampled, frame.data())?;
        }
        let sessions = self.node.flows().len();
        ensure!(sessions == 0 || sessions == self.flows as usize, "{sessions} sessions");
        Ok(())
    }

    /// Sends a frame of each of the first flows, and the same through the twin: both leave as expected, byte by byte.
    fn compare(&mut self, way: &Way) -> Result<()> {
        let compared = self.flows.min(COMPARED);
        for first in (0..compared).step_by(BURST) {
            let flows = first..(first + BURST as u32).min(compared);
            pass(&mut self.worker, way, flows.clone())?;
            pass(&mut self.twin, way, flows.clone())?;
            let ours = self.worker.ring().newest(flows.len());
            for ((flow, ours), twins) in flows.clone().zip(ours).zip(self.twin.ring().newest(flows.len())) {
                expect(way, flow, ours.data())?;
                let (ours, twins) = (ours.data(), twins.data());
                ensure!(ours == twins, "flow {flow} left as\n{ours:02x?}, the long way as\n{twins:02x?}");
            }
        }
        Ok(())
    }

    /// Everything that came in has left, and what leaves now is right.
    ///
    /// # Errors
    /// A packet that did not leave as it must, or that is not accounted for.
    pub fn check(&mut self, drill: &Drill) -> Result<()> {
        for worker in [&self.worker, &self.twin] {
            let accounting = worker.counters().accounting();
            ensure!(accounting.holds(), "{accounting:?}");
            ensure!(accounting.sent == accounting.received, "not everything left: {accounting:?}");
        }
        self.compare(&drill.way)
    }

    /// Ends all sessions as the ageing thread does, long after their last packet; returns how many there were.
    ///
    /// # Errors
    /// Some stay.
    pub fn tear_down(&mut self) -> Result<usize> {
        /// Milliseconds since the last packet.
        const SILENCE: u64 = 3_600_000;
        let (flows, sessions) = (Arc::clone(self.node.flows()), self.node.flows().len());
        let mut slots = flows.worker(WorkerId(1)).context("the sweeper's part")?;
        let mut sweeper = Sweeper::new(Timeouts::default());
        let boundaries = self.worker.boundaries().clone();
        let epoch = self.node.tables().epoch;
        for _ in 0..sessions / STEP + 4 {
            self.worker.advance(SILENCE);
            sweeper.step(&flows, &mut slots, self.worker.now().tick(), epoch, STEP, &mut Unheard);
            // What was removed is free when the worker has passed a boundary.
            for _ in 0..2 {
                slots.advance(&flows, || boundaries.observe(), |seen| boundaries.passed(*seen), &mut Unheard);
                self.worker.idle();
            }
        }
        slots.release(&flows, &mut Unheard);
        ensure!(flows.is_empty(), "{} of {sessions} sessions stay", flows.len());
        Ok(sessions)
    }

    /// Its node and its worker.
    #[must_use]
    pub fn into_parts(self) -> (Node, Worker<B>) {
        (self.node, self.worker)
    }

    /// One burst: frames restored, the pipeline, the frames taken back.
    #[inline]
    pub fn step(&mut self, drill: &mut Drill) {
        let mut burst = drill.receive(&mut self.worker, BURST);
        measured_burst(&mut self.worker, &drill.way, &mut burst);
    }

    /// The same without the pipeline.
    #[inline]
    pub fn step_empty(&mut self, drill: &mut Drill) {
        let mut burst = drill.receive(&mut self.worker, BURST);
        empty_burst(&mut self.worker, &mut burst);
    }
}

impl Drill {
    /// `flows` in the same direction, in an order of their own.
    #[must_use]
    pub const fn new(way: Way, order: Order) -> Self {
        Self { way, order }
    }

    /// What comes in.
    #[must_use]
    pub const fn way(&self) -> &Way {
        &self.way
    }

    /// The next `count` frames.
    #[inline]
    pub fn receive<B: PacketBuf>(&mut self, worker: &mut Worker<B>, count: usize) -> ArrayVec<B, BURST> {
        let mut burst = ArrayVec::new();
        for _ in 0..count {
            let Some(mut buf) = worker.ring().pop() else { break };
            let flow = self.order.draw();
            self.way.of(flow).received.restore(&mut buf, flow);
            burst.push(buf);
        }
        burst
    }
}

/// Sessions of each family for so many flows: an eighth more than are there and a quarter for the other family, as is the
/// proportion in vrouterd's settings; or just so many that the index is as full as the case says.
fn room(flows: u32, case: &Case) -> [u32; 2] {
    let (own, other) = match case.load {
        0 => (flows + flows / 8 + 1024, flows / 4 + 1024),
        // A table that is full has 85 of 100 slots of its index in use; from 80 on, half-open sessions make room.
        load => ((u64::from(flows) * 85 / u64::from(load)) as u32 + 1024, 1024),
    };
    if case.name.contains("v6") { [other, own] } else { [own, other] }
}

/// The order of a case. Those of many flows take a while to make: they are kept.
fn order(case: &Case) -> Order {
    type Made = Mutex<BTreeMap<(u32, bool), Order>>;
    static MADE: Made = Made::new(BTreeMap::new());
    if case.new {
        return Order::ascending(case.flows);
    }
    let zipf = case.popularity == Popularity::Zipf;
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || if zipf { Order::zipf(case.flows) } else { Order::shuffled(case.flows) };
    made.entry((case.flows, zipf)).or_insert_with(make).clone()
}

/// Sends a frame of each of these flows.
fn pass<B: PacketBuf>(worker: &mut Worker<B>, way: &Way, flows: std::ops::Range<u32>) -> Result<()> {
    let mut burst = ArrayVec::<B, BURST>::new();
    for flow in flows.map(u64::from) {
        let mut buf = worker.ring().pop().context("a buffer")?;
        way.of(flow).received.restore(&mut buf, flow);
        burst.push(buf);
    }
    worker.run(way.interface, &mut burst);
    worker.refill();
    Ok(())
}

/// The frame is one of those that are expected of the flow.
fn expect(way: &Way, flow: u32, frame: &[u8]) -> Result<()> {
    let flow = u64::from(flow);
    let expected = &way.of(flow).expected;
    ensure!(
        expected.iter().any(|expected| expected.matches(frame, flow)),
        "flow {flow} left as\n{frame:02x?}, not as\n{:02x?}",
        expected.iter().map(|expected| expected.frame(flow)).collect::<Vec<_>>()
    );
    Ok(())
}

/// What callgrind counts: `--toggle-collect=*measured_burst*`.
#[inline(never)]
fn measured_burst<B: PacketBuf>(worker: &mut Worker<B>, way: &Way, burst: &mut ArrayVec<B, BURST>) {
    worker.run(way.interface, burst);
}

#[inline(never)]
fn empty_burst<B: PacketBuf>(worker: &mut Worker<B>, burst: &mut ArrayVec<B, BURST>) {
    worker.ring().give(burst);
}
