//! A compute node for measuring: tables made through the control side in the API's own words, workers' data paths,
//! and ports that only count.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use agent_api::v1::{Batch, Object, Operation, operation};
use agent_api::yaml;
use anyhow::{Context as _, Result, ensure};
use arrayvec::ArrayVec;
use flow::{FlowTable, SessionSink};
use packet::{InterfaceId, PacketBuf, PortId, WorkerId};
use sync::{Boundaries, Observation, Reader};
use vrouter::control::{Control, MemoryPorts, Owner, Settings};
use vrouter::datapath::{
    BURST, Context, Datapath, DatapathConfig, EventQueue, Now, Ports, Variant, WorkerCounters,
};
use vrouter::tables::Tables;

/// The hash seed of every run.
pub const SEED: u64 = 1;

/// The node's objects.
pub const OBJECTS: &str = include_str!("node.yaml");

/// Neighbours of the fabric that are known.
const NEIGHBOURS: [u8; 4] = [194, 195, 196, 197];

/// A ring of buffers, as a device has: each burst takes the oldest, and what is sent goes behind the newest.
pub struct Ring<B> {
    frames: VecDeque<B>,
    /// Where buffers come from in place of those that were dropped.
    allocate: Box<dyn FnMut() -> Option<B> + Send>,
    size: usize,
}

impl<B> Ring<B> {
    /// A ring of `size` buffers.
    pub fn new(size: usize, allocate: impl FnMut() -> Option<B> + Send + 'static) -> Self {
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

/// Nobody wants to hear of sessions that end.
#[derive(Clone, Copy, Debug)]
pub struct Unheard;

impl SessionSink for Unheard {
    fn traffic(&mut self, _: &flow::Traffic) {}

    fn ended(&mut self, _: &flow::SessionView, _: flow::EndReason) {}
}

/// How large a node is.
#[derive(Clone, Debug)]
pub struct Size {
    /// IPv4 and IPv6 sessions.
    pub sessions: [u32; 2],
    /// Workers.
    pub workers: u8,
    /// See [`DatapathConfig::express`].
    pub express: Option<Variant>,
}

/// What a node's workers share.
#[derive(Debug)]
pub struct Node {
    /// Keeps the published tables alive.
    control: Control<MemoryPorts>,
    readers: VecDeque<Reader<Tables>>,
    flows: Arc<FlowTable>,
    express: Option<Variant>,
}

impl Node {
    /// A node with these objects besides [`OBJECTS`].
    ///
    /// # Errors
    /// No memory, or objects that are refused.
    pub fn new(size: &Size, more: Vec<Object>) -> Result<Self> {
        let settings = Settings { workers: size.workers.into(), ..Settings::default() };
        let (mut control, readers) = Control::new(settings, MemoryPorts::default());
        let flows = FlowTable::new(&flow::Config {
            sessions_v4: size.sessions[0],
            sessions_v6: size.sessions[1],
            seed: SEED,
            interfaces: 65_536,
            workers: size.workers + 1,
        })?;
        program(&mut control, yaml::parse(OBJECTS)?)?;
        program(&mut control, more)?;
        for host in NEIGHBOURS {
            let known =
                control.install_neighbour(InterfaceId(1), [10, 1, 0, host].into(), [2, 0, 10, 1, 0, host]);
            ensure!(known.is_ok(), "neighbour {host} cannot be made known");
        }
        control.publish();
        control.settle();
        Ok(Self { control, readers: readers.into(), flows: Arc::new(flows), express: size.express })
    }

    /// The next of its workers.
    ///
    /// # Errors
    /// It has no more.
    pub fn worker<B: PacketBuf>(&mut self, ring: Ring<B>) -> Result<Worker<B>> {
        let mut reader = self.readers.pop_front().context("no more workers")?;
        let worker = WorkerId(reader.index() as u8);
        reader.online();
        let slots = self.flows.worker::<Observation>(worker).context("a worker's sessions")?;
        let counters = Arc::new(WorkerCounters::default());
        let config = DatapathConfig { worker, seed: SEED, express: self.express };
        let events = Arc::new(EventQueue::new(64, 64));
        Ok(Worker {
            boundaries: self.control.boundaries(),
            reader,
            flows: Arc::clone(&self.flows),
            datapath: Datapath::new(&config, slots, Arc::clone(&counters), events),
            counters,
            now: Now { milliseconds: 1 << 20 },
            ring,
        })
    }

    /// Its sessions.
    #[must_use]
    pub fn flows(&self) -> &Arc<FlowTable> {
        &self.flows
    }

    /// Its tables.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables> {
        self.control.tables()
    }

    /// Its control side.
    #[must_use]
    pub fn into_control(self) -> Control<MemoryPorts> {
        self.control
    }
}

/// Puts objects; every worker is asleep.
fn program(control: &mut Control<MemoryPorts>, objects: Vec<Object>) -> Result<()> {
    let put = |object| Operation { operation: Some(operation::Operation::Put(object)) };
    let operations = objects.into_iter().map(put).collect();
    let owner = Owner::peer("bench").context("an owner")?;
    let result = control.apply(&owner, Batch { operations, ..Batch::default() });
    ensure!(result.code == 0, "{} ({:?} {})", result.message, result.object, result.field);
    Ok(())
}

/// One worker of a node.
#[derive(Debug)]
pub struct Worker<B> {
    reader: Reader<Tables>,
    boundaries: Boundaries,
    flows: Arc<FlowTable>,
    datapath: Datapath<B>,
    counters: Arc<WorkerCounters>,
    now: Now,
    ring: Ring<B>,
}

impl<B: PacketBuf> Worker<B> {
    /// One burst, as the worker's loop has it: the newest generation, the pipeline, what is due between bursts.
    #[inline]
    pub fn run(&mut self, interface: InterfaceId, burst: &mut ArrayVec<B, BURST>) {
        let tables = self.reader.refresh();
        let cx = Context { tables, flows: &self.flows, now: self.now };
        self.datapath.run(&cx, interface, burst, &mut self.ring);
        self.datapath.housekeeping(tables, &self.flows, &self.boundaries, &mut Unheard);
    }

    /// The same with other ports.
    #[inline]
    pub fn run_to(
        &mut self,
        interface: InterfaceId,
        burst: &mut ArrayVec<B, BURST>,
        ports: &mut impl Ports<B>,
    ) {
        let tables = self.reader.refresh();
        let cx = Context { tables, flows: &self.flows, now: self.now };
        self.datapath.run(&cx, interface, burst, ports);
        self.datapath.housekeeping(tables, &self.flows, &self.boundaries, &mut Unheard);
    }

    /// Nothing to do: the newest generation, what is due between bursts.
    #[inline]
    pub fn idle(&mut self) {
        let tables = self.reader.refresh();
        self.datapath.housekeeping(tables, &self.flows, &self.boundaries, &mut Unheard);
    }

    /// It sleeps: nobody waits for it.
    pub fn sleep(&mut self) {
        self.reader.offline();
    }

    /// Tells when every worker has passed a burst boundary.
    #[must_use]
    pub fn boundaries(&self) -> &Boundaries {
        &self.boundaries
    }

    /// Moves its clock.
    pub fn advance(&mut self, milliseconds: u64) {
        self.now.milliseconds += milliseconds;
    }

    /// Its clock.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }

    /// Replaces buffers that were dropped; not part of what is measured.
    pub fn refill(&mut self) {
        self.ring.refill();
    }

    /// Its counters.
    #[must_use]
    pub fn counters(&self) -> &Arc<WorkerCounters> {
        &self.counters
    }

    /// Where frames come from and go to.
    #[inline]
    pub fn ring(&mut self) -> &mut Ring<B> {
        &mut self.ring
    }
}
