//! A whole vRouter in one thread and plain memory: the control side, one worker's data path, ports that are
//! lists of frames, and a clock that its user moves. What golden cases, fuzzers and benchmarks drive.

mod frame;

use std::net::IpAddr;
use std::sync::Arc;

use agent_api::v1;
use arrayvec::ArrayVec;
use flow::FlowTable;
use flow::policy::RuleSet;
use packet::{DropReason, InterfaceId, MemoryBuf, PacketBuf, PortId, WorkerId};
use sync::{Boundaries, Counter, Observation, Reader};

use crate::control::{Control, MemoryPorts, Owner, Settings};
use crate::datapath::{
    Accounting, BURST, Context, Datapath, DatapathConfig, Event, EventQueue, Explanation, Now, Ports,
    Variant, WorkerCounters, explain,
};
use crate::tables::{RuleSink, Tables};

pub use frame::Frame;
use frame::Pool;

/// How large a simulated vRouter is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Sessions of each family.
    pub sessions: u32,
    /// Frames that it may hold in all; while there are as many, it makes none of its own.
    pub buffers: usize,
    /// See [`DatapathConfig::express`].
    pub express: Option<Variant>,
}

impl Default for Size {
    fn default() -> Self {
        Self { sessions: 4096, buffers: 4096, express: Some(Variant::best()) }
    }
}

/// Frames that left, and the buffers for those to come.
#[derive(Debug)]
struct Wire {
    sent: Vec<(PortId, Frame)>,
    pool: Pool,
    buffers: usize,
    /// Ports that take nothing, as a full ring does.
    full: Vec<PortId>,
}

impl Ports<Frame> for Wire {
    fn send(&mut self, port: PortId, frames: &mut ArrayVec<Frame, BURST>) {
        if !self.full.contains(&port) {
            self.sent.extend(frames.drain(..).map(|frame| (port, frame)));
        }
    }

    fn allocate(&mut self) -> Option<Frame> {
        (self.pool.out() < self.buffers).then(|| self.pool.lend(MemoryBuf::with_tailroom(&[], 9216)))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Simulator {
    control: Control<MemoryPorts>,
    reader: Reader<Tables>,
    boundaries: Boundaries,
    flows: FlowTable,
    datapath: Datapath<Frame>,
    counters: Arc<WorkerCounters>,
    events: Arc<EventQueue<Frame>>,
    wire: Wire,
    owner: Owner,
    seed: u64,
    now: Now,
}

/// Nobody wants to hear of sessions that end.
struct Unheard;

impl flow::SessionSink for Unheard {
    fn traffic(&mut self, _: &flow::Traffic) {}

    fn ended(&mut self, _: &flow::SessionView, _: flow::EndReason) {}
}

impl Simulator {
    /// An empty vRouter.
    ///
    /// # Errors
    /// A size that cannot be had.
    pub fn new(seed: u64, size: Size) -> Result<Self, flow::ConfigError> {
        let settings = Settings { workers: 1, ..Settings::default() };
        let (control, mut readers) = Control::new(settings, MemoryPorts::default());
        let config = flow::Config {
            sessions_v4: size.sessions,
            sessions_v6: size.sessions,
            seed,
            interfaces: 65_536,
            workers: 1,
        };
        let flows = FlowTable::new(&config)?;
        let reader = readers.remove(0);
        let counters = Arc::new(WorkerCounters::default());
        let events = Arc::new(EventQueue::new(1024, 1024));
        let slots = flows.worker::<Observation>(WorkerId(0)).ok_or(flow::ConfigError::TooManySessions)?;
        let datapath = Datapath::new(
            &DatapathConfig { worker: WorkerId(0), seed, express: size.express },
            slots,
            Arc::clone(&counters),
            Arc::clone(&events),
        );
        Ok(Self {
            boundaries: control.boundaries(),
            control,
            reader,
            flows,
            datapath,
            counters,
            events,
            wire: Wire { sent: Vec::new(), pool: Pool::default(), buffers: size.buffers, full: Vec::new() },
            owner: Owner::peer("controller").unwrap_or_else(Owner::config),
            seed,
            now: Now { milliseconds: 1 << 20 },
        })
    }

    /// Applies one batch as an ordinary controller; it is in effect afterwards.
    pub fn apply(&mut self, operations: Vec<v1::Operation>) -> v1::BatchResult {
        // The only worker is not inside a burst now.
        self.reader.offline();
        let batch = v1::Batch { operations, ..v1::Batch::default() };
        let result = self.control.apply(&self.owner, batch);
        self.reader.online();
        self.release();
        result
    }

    /// Makes a neighbour known without asking it.
    pub fn install_neighbour(&mut self, interface: InterfaceId, address: IpAddr, mac: [u8; 6]) {
        self.reader.offline();
        // An interface that is no fabric interface has no neighbours.
        drop(self.control.install_neighbour(interface, address, mac));
        self.control.publish();
        self.control.settle();
        self.reader.online();
        self.release();
    }

    /// The control side.
    pub fn control(&mut self) -> &mut Control<MemoryPorts> {
        &mut self.control
    }

    /// The tables in effect.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables> {
        self.control.tables()
    }

    /// The sessions.
    #[must_use]
    pub fn flows(&self) -> &FlowTable {
        &self.flows
    }

    /// The interface with this name.
    #[must_use]
    pub fn interface(&self, name: &str) -> Option<InterfaceId> {
        let rows = &self.tables().interfaces;
        rows.iter().find(|(_, row)| &*row.name == name).map(|(_, row)| row.id)
    }

    /// Hands in a burst of frames (at most [`BURST`] of them) and sees them to their ends.
    pub fn inject(&mut self, interface: InterfaceId, frames: impl IntoIterator<Item = MemoryBuf>) {
        let pool = &self.wire.pool;
        let mut burst: ArrayVec<Frame, BURST> =
            frames.into_iter().take(BURST).map(|frame| pool.lend(frame)).collect();
        let tables = self.reader.refresh();
        let cx = Context { tables, flows: &self.flows, now: self.now };
        if burst.iter().all(PacketBuf::is_whole) {
            self.datapath.run(&cx, interface, &mut burst, &mut self.wire);
        } else {
            self.datapath.run_super_frames(&cx, interface, &mut burst, &mut self.wire);
        }
        self.housekeeping();
    }

    /// The clock, in milliseconds.
    #[must_use]
    pub const fn milliseconds(&self) -> u64 {
        self.now.milliseconds
    }

    /// Moves the clock and lets timers run.
    pub fn advance(&mut self, milliseconds: u64) {
        self.now.milliseconds += milliseconds;
        self.housekeeping();
        self.release();
    }

    /// What a worker does between bursts.
    fn housekeeping(&mut self) {
        let tables = self.reader.refresh();
        self.datapath.housekeeping(tables, &self.flows, &self.boundaries, &mut Unheard);
    }

    /// Flows, packets and bytes that a rule has decided; `None` if there is no such rule.
    #[must_use]
    pub fn decided(&self, set: RuleSet, rule: u32) -> Option<[u64; 3]> {
        let tables = self.tables();
        self.flows.report_all(&mut RuleSink(tables));
        let mut rows = tables.rules.iter().map(|(_, row)| row);
        rows.find(|row| (row.name.set, row.name.rule) == (set, rule)).map(|row| row.counters.get())
    }

    fn release(&mut self) {
        let tables = self.reader.refresh();
        let cx = Context { tables, flows: &self.flows, now: self.now };
        self.datapath.release(&cx, &mut self.wire);
    }

    /// Events for the control thread and the services thread, oldest first of each.
    pub fn events(&mut self) -> impl Iterator<Item = Event<Frame>> + '_ {
        std::iter::from_fn(|| self.events.pop().or_else(|| self.events.pop_request()))
    }

    /// Takes the frames that left: interface and frame, in order.
    pub fn take_output(&mut self) -> Vec<(InterfaceId, Vec<u8>)> {
        let tables = Arc::clone(self.tables());
        let by_port =
            |port| tables.interfaces.iter().find(|(_, row)| row.port == Some(port)).map(|(_, row)| row.id);
        let sent = std::mem::take(&mut self.wire.sent);
        sent.into_iter().filter_map(|(port, frame)| Some((by_port(port)?, frame.data().to_vec()))).collect()
    }

    /// Frames that are not back in the pool: they wait inside, or for [`Self::take_output`] or
    /// [`Self::events`].
    #[must_use]
    pub fn frames_out(&self) -> usize {
        self.wire.pool.out()
    }

    /// Makes the port behind an interface take nothing more, or everything again.
    pub fn set_full(&mut self, port: PortId, full: bool) {
        self.wire.full.retain(|other| *other != port);
        if full {
            self.wire.full.push(port);
        }
    }

    /// The accounting equation's terms.
    #[must_use]
    pub fn accounting(&self) -> Accounting {
        self.counters.accounting()
    }

    /// The worker's counters.
    #[must_use]
    pub fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// Drops by reason, those that happened.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        let drops = self.counters.drops.iter().map(Counter::get);
        DropReason::ALL.iter().copied().zip(drops).filter(|(_, count)| *count > 0)
    }

    /// What would happen to a frame.
    #[must_use]
    pub fn explain(&self, interface: InterfaceId, frame: &[u8]) -> Option<Explanation> {
        let tables = self.tables();
        let cx = Context { tables, flows: &self.flows, now: self.now };
        explain(&cx, self.seed, |of| Some(self.datapath.recall(of)), interface, frame)
    }
}
