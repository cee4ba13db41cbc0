//! A compute node for measuring: tables made through the control side in the API's own words, one worker's
//! data path, and ports that only count.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use agent_api::v1::{Batch, Operation, operation};
use agent_api::yaml;
use anyhow::{Context as _, Result, ensure};
use arrayvec::ArrayVec;
use flow::{FlowTable, SessionSink};
use packet::{InterfaceId, PacketBuf, PortId, WorkerId};
use sync::{Boundaries, Observation, Reader};
use vrouter::control::{Control, MemoryPorts, Owner, Settings};
use vrouter::datapath::{BURST, Context, Datapath, DatapathConfig, EventQueue, Now, Ports, WorkerCounters};
use vrouter::tables::Tables;

/// The hash seed of every run.
const SEED: u64 = 1;

/// The node's objects.
pub const TABLES: &str = include_str!("node.yaml");

/// A ring of buffers, as a device has: each burst takes the oldest, and what is sent goes behind the newest.
pub struct Ring<B> {
    frames: VecDeque<B>,
    /// Where buffers come from in place of those that were dropped.
    allocate: Box<dyn FnMut() -> Option<B>>,
    size: usize,
}

impl<B> Ring<B> {
    /// A ring of `size` buffers.
    pub fn new(size: usize, allocate: impl FnMut() -> Option<B> + 'static) -> Self {
        let mut ring =
            Self { frames: VecDeque::with_capacity(size + BURST), allocate: Box::new(allocate), size };
        ring.refill();
        ring
    }

    /// Replaces what was dropped.
    fn refill(&mut self) {
        while self.frames.len() < self.size {
            let Some(frame) = (self.allocate)() else { break };
            self.frames.push_back(frame);
        }
    }

    /// The oldest buffer.
    #[inline]
    pub fn pop(&mut self) -> Option<B> {
        self.frames.pop_front()
    }

    /// The newest buffers, the newest last.
    pub fn newest(&self, count: usize) -> impl Iterator<Item = &B> {
        self.frames.range(self.frames.len().saturating_sub(count)..)
    }

    /// Puts buffers back as they are.
    #[inline]
    pub fn give(&mut self, frames: &mut ArrayVec<B, BURST>) {
        self.frames.extend(frames.drain(..));
    }
}

impl<B> Ports<B> for Ring<B> {
    #[inline]
    fn send(&mut self, _: PortId, frames: &mut ArrayVec<B, BURST>) {
        self.give(frames);
    }

    fn allocate(&mut self) -> Option<B> {
        (self.allocate)()
    }
}

impl<B> fmt::Debug for Ring<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("frames", &self.frames.len()).finish_non_exhaustive()
    }
}

struct Unheard;

impl SessionSink for Unheard {
    fn traffic(&mut self, _: &flow::Traffic) {}

    fn ended(&mut self, _: &flow::SessionView, _: flow::EndReason) {}
}

/// The node.
#[derive(Debug)]
pub struct Node<B> {
    /// Keeps the published tables alive.
    _control: Control<MemoryPorts>,
    reader: Reader<Tables>,
    boundaries: Boundaries,
    flows: FlowTable,
    datapath: Datapath<B>,
    counters: Arc<WorkerCounters>,
    ring: Ring<B>,
}

impl<B: PacketBuf> Node<B> {
    /// A node with room for so many sessions of each family.
    ///
    /// # Errors
    /// No memory, or tables that are refused.
    pub fn new(ring: Ring<B>, sessions: u32) -> Result<Self> {
        let settings = Settings { workers: 1, ..Settings::default() };
        let (mut control, mut readers) = Control::new(settings, MemoryPorts::default());
        let mut reader = readers.pop().context("one reader")?;
        let flows = FlowTable::new(&flow::Config {
            sessions_v4: sessions,
            sessions_v6: sessions,
            seed: SEED,
            interfaces: 65_536,
            workers: 1,
        })?;
        let counters = Arc::new(WorkerCounters::default());
        let slots = flows.worker::<Observation>(WorkerId(0)).context("a worker's sessions")?;
        let config = DatapathConfig { worker: WorkerId(0), seed: SEED, express: true };
        let events = Arc::new(EventQueue::new(64, 64));
        let datapath = Datapath::new(&config, slots, Arc::clone(&counters), events);
        // The only reader is not inside a burst now: it delays no generation.
        reader.offline();
        let put = |object| Operation { operation: Some(operation::Operation::Put(object)) };
        let operations = yaml::parse(TABLES)?.into_iter().map(put).collect();
        let owner = Owner::peer("bench").context("an owner")?;
        let result = control.apply(&owner, Batch { operations, ..Batch::default() });
        ensure!(result.code == 0, "{} ({:?} {})", result.message, result.object, result.field);
        for host in [194, 195, 196] {
            let known =
                control.install_neighbour(InterfaceId(1), [10, 1, 0, host].into(), [2, 0, 10, 1, 0, host]);
            ensure!(known.is_ok(), "neighbour {host} cannot be made known");
        }
        control.publish();
        control.settle();
        reader.online();
        Ok(Self {
            boundaries: control.boundaries(),
            _control: control,
            reader,
            flows,
            datapath,
            counters,
            ring,
        })
    }

    /// One burst, as the worker's loop has it: the newest generation, the pipeline, what is due between bursts.
    #[inline]
    pub fn run(&mut self, interface: InterfaceId, burst: &mut ArrayVec<B, BURST>) {
        let tables = self.reader.refresh();
        let cx = Context { tables, flows: &self.flows, now: Now { milliseconds: 1 << 20 } };
        self.datapath.run(&cx, interface, burst, &mut self.ring);
        self.datapath.housekeeping(&self.flows, &self.boundaries, &mut Unheard);
    }

    /// Replaces buffers that were dropped; not part of what is measured.
    pub fn refill(&mut self) {
        self.ring.refill();
    }

    /// Its sessions.
    #[must_use]
    pub fn flows(&self) -> &FlowTable {
        &self.flows
    }

    /// Its counters.
    #[must_use]
    pub fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// Where frames come from and go to.
    #[inline]
    pub fn ring(&mut self) -> &mut Ring<B> {
        &mut self.ring
    }
}
