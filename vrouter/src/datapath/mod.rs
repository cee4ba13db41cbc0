//! What a worker does with packets. Read [`pipeline`] first: it is the packet's way from top to bottom.
//! Nothing here knows DPDK, threads or gRPC: frames are anything that is a [`PacketBuf`], ports anything
//! that implements [`Ports`].

mod addresses;
mod burst;
mod classify;
mod counters;
mod cut;
mod decide;
mod dispatch;
mod event;
mod explain;
mod express;
mod flows;
mod forward;
mod fragment;
mod hold;
mod host;
mod icmp;
mod local;
mod memory;
mod miss;
mod moved;
mod pipeline;
mod reassembly;
mod receive;
mod routes;
mod rules;
mod segment;
mod source_nat;
mod transmit;
mod walk;

use std::sync::Arc;

use arrayvec::ArrayVec;
use flow::{EndReason, FlowTable, HalfId, SessionSink, Ticks, WorkerSlots};
use packet::hash::FlowHasher;
use packet::{PacketBuf, PortId, WorkerId};
use sync::{Boundaries, Observation};

pub use burst::{BURST, Bits, Burst, Leaf, Origin, Slot, Verdict};
pub use counters::{Accounting, WorkerCounters};
pub use dispatch::Variant;
pub use event::{DropSample, Event, EventQueue, PuntClass, SAMPLE_BYTES};
pub use explain::{Explanation, Step, explain};
pub use memory::{Memory, MemoryOf};
pub(crate) use source_nat::Releasing;

use crate::tables::Tables;

/// What the pipeline needs of the world of devices.
pub trait Ports<B> {
    /// Sends frames from the front; those that remain in `frames` were not taken.
    fn send(&mut self, port: PortId, frames: &mut ArrayVec<B, BURST>);
    /// An empty buffer for a packet of our own; `None` when the pool is empty.
    fn allocate(&mut self) -> Option<B>;
}

/// The time, read once per burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back.
    pub milliseconds: u64,
}

impl Now {
    /// The flow table's clock.
    #[inline]
    #[must_use]
    pub const fn tick(self) -> Ticks {
        Ticks::at(std::time::Duration::from_millis(self.milliseconds))
    }
}

/// What a data path is told when it is made.
#[derive(Clone, Debug)]
pub struct DatapathConfig {
    /// Which worker it belongs to.
    pub worker: WorkerId,
    /// Keys the flow and entropy hashes; from the system's random source unless a test fixes it.
    pub seed: u64,
    /// For which CPU the short way was compiled that common packets of established sessions take through the pipeline;
    /// `None`: they take the long way, which gives the same answers.
    pub express: Option<Variant>,
}

/// A worker that does not exist, for explanations: what it counts goes nowhere, and it takes nothing that others lack
/// then.
const NOBODY: WorkerId = WorkerId(u8::MAX);

/// One worker's data path: everything that belongs to this worker alone.
#[derive(Debug)]
pub struct Datapath<B> {
    worker: WorkerId,
    seed: u64,
    /// Of packets, for entropy and ECMP.
    hasher: FlowHasher,
    slots: WorkerSlots<Observation>,
    counters: Arc<WorkerCounters>,
    events: Arc<EventQueue<B>>,
    burst: Burst<B>,
    express: express::Express,
    staged: flows::Staged,
    outputs: transmit::Outputs<B>,
    hold: hold::Hold<B>,
    fragments: fragment::Fragments<B>,
    reassembly: reassembly::Reassembly<B>,
    limiter: icmp::Limiter,
    identification: u16,
}

impl<B: PacketBuf> Datapath<B> {
    /// A data path that takes sessions from `slots` and reports to `counters` and `events`.
    #[must_use]
    pub fn new(
        config: &DatapathConfig,
        slots: WorkerSlots<Observation>,
        counters: Arc<WorkerCounters>,
        events: Arc<EventQueue<B>>,
    ) -> Self {
        Self {
            worker: config.worker,
            seed: config.seed,
            hasher: FlowHasher::new(config.seed),
            slots,
            counters,
            events,
            burst: Burst::new(),
            express: express::Express::new(config.express),
            staged: flows::Staged::default(),
            outputs: transmit::Outputs::new(),
            hold: hold::Hold::new(),
            fragments: fragment::Fragments::new(),
            reassembly: reassembly::Reassembly::new(),
            limiter: icmp::Limiter::new(),
            // Each worker has its own 1/16 of the identification space (SEMANTICS 27).
            identification: u16::from(config.worker.0 & 15) << 12,
        }
    }

    /// Frames that wait for a neighbour.
    #[must_use]
    pub fn held(&self) -> usize {
        self.hold.len()
    }

    /// Between bursts: sessions that ended are freed once every worker has passed a boundary since.
    #[inline]
    pub fn housekeeping(
        &mut self,
        tables: &Tables,
        flows: &FlowTable,
        boundaries: &Boundaries,
        sink: &mut impl SessionSink,
    ) {
        let sink = &mut Releasing { tables, inner: sink };
        self.slots.advance(flows, || boundaries.observe(), |seen| boundaries.passed(*seen), sink);
    }

    /// Gives everything back when the worker ends and nobody is inside a burst.
    pub fn finish(self, flows: &FlowTable, sink: &mut impl SessionSink) {
        self.slots.release(flows, sink);
    }

    /// Ends a session: its packets miss from now on.
    fn end_session(&mut self, cx: &Context<'_>, id: HalfId, reason: EndReason) {
        if let Some(session) = cx.flows.reference(id) {
            cx.flows.remove(&mut self.slots, session, reason);
        }
    }
}

/// What the stages read: one generation, the sessions, the time.
#[derive(Clone, Copy, Debug)]
pub struct Context<'t> {
    /// The generation of this burst.
    pub tables: &'t Tables,
    /// The sessions of all workers.
    pub flows: &'t FlowTable,
    /// The time of this burst.
    pub now: Now,
}
