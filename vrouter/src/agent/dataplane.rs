//! What the agent may look at on the workers' side: read-only, and never in a worker's way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_api::v1;
use flow::FlowTable;
use packet::InterfaceId;

use crate::datapath::{self, Context, DropSample, Now, WorkerCounters};
use crate::tables::Tables;

/// Samples kept for `ListDrops`.
const SAMPLES: usize = 4096;

/// One worker as the agent sees it.
pub struct WorkerView {
    /// Its counters.
    pub counters: Arc<WorkerCounters>,
    /// The CPU it is pinned to.
    pub core: Option<u16>,
    /// What it does while no packet comes: "busy", "adaptive" or "interrupt".
    pub poll: &'static str,
    /// Takes its oldest drop sample.
    pub next_sample: Box<dyn Fn() -> Option<DropSample> + Send + Sync>,
}

/// The workers and what they share.
pub struct Dataplane {
    /// All workers, by number.
    pub workers: Vec<WorkerView>,
    /// The sessions.
    pub flows: Arc<FlowTable>,
    /// The seed of the entropy hash.
    pub seed: u64,
    /// The workers' clock, in milliseconds.
    pub clock: Box<dyn Fn() -> u64 + Send + Sync>,
    samples: Mutex<VecDeque<(usize, DropSample)>>,
}

impl Dataplane {
    /// A view of these workers.
    #[must_use]
    pub fn new(
        workers: Vec<WorkerView>,
        flows: Arc<FlowTable>,
        seed: u64,
        clock: Box<dyn Fn() -> u64 + Send + Sync>,
    ) -> Self {
        Self { workers, flows, seed, clock, samples: Mutex::new(VecDeque::with_capacity(SAMPLES)) }
    }

    /// The time of the workers' clock.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { milliseconds: (self.clock)() }
    }

    /// A moment of the workers' clock in nanoseconds since the epoch.
    fn wall_clock(&self, milliseconds: u64) -> u64 {
        let ago = Duration::from_millis((self.clock)().saturating_sub(milliseconds));
        let then = SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH);
        then.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
    }

    /// Tells what would happen to a frame. `None` without memory for it.
    #[must_use]
    pub fn explain(&self, tables: &Tables, arrival: InterfaceId, frame: &[u8]) -> Option<v1::ExplainResponse> {
        let cx = Context { tables, flows: &self.flows, now: self.now() };
        let story = datapath::explain(&cx, self.seed, arrival, frame)?;
        let step = |step: datapath::Step| v1::ExplainStep { stage: step.stage.to_owned(), text: step.text };
        Some(v1::ExplainResponse {
            steps: story.steps.into_iter().map(step).collect(),
            verdict: story.verdict.to_owned(),
            reason: story.reason.to_owned(),
            interface: story.interface.0.into(),
            packet: story.packet,
            generation: tables.generation,
        })
    }

    /// The sampled drops that meet the request, oldest first. They stay in the ring.
    #[must_use]
    pub fn drops(&self, request: &v1::ListDropsRequest) -> Vec<v1::DropSample> {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        for (worker, view) in self.workers.iter().enumerate() {
            while let Some(sample) = (view.next_sample)() {
                if samples.len() == SAMPLES {
                    samples.pop_front();
                }
                samples.push_back((worker, sample));
            }
        }
        samples.make_contiguous().sort_by_key(|(_, sample)| sample.milliseconds);
        let wanted = |(_, sample): &&(usize, DropSample)| {
            (request.reason.is_empty() || request.reason == sample.reason.name())
                && request.interface.is_none_or(|id| id == u32::from(sample.interface.0))
        };
        samples.iter().filter(wanted).map(|(worker, sample)| self.drop_sample(*worker, sample)).collect()
    }

    fn drop_sample(&self, worker: usize, sample: &DropSample) -> v1::DropSample {
        v1::DropSample {
            time_ns: self.wall_clock(sample.milliseconds),
            reason: sample.reason.name().to_owned(),
            interface: sample.interface.0.into(),
            worker: worker as u32,
            rule: String::new(),
            length: sample.length.into(),
            head: sample.head[..usize::from(sample.kept)].to_vec(),
        }
    }
}

impl std::fmt::Debug for Dataplane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataplane").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}
