//! The thread that ends silent sessions (SEMANTICS 24): a bounded step of the sweep at a time, as one more
//! reader of the tables beside the workers, so that none of them is disturbed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flow::{
    EndReason, FlowTable, Scope, SessionSink, SessionView, Sweep, Sweeper, Timeouts, Traffic, WorkerSlots,
};
use sync::{Boundaries, Observation, Reader};

use super::Clock;
use crate::datapath::{Now, Releasing};
use crate::tables::Tables;

/// Between two steps, or several where the table is large: a whole sweep takes 2 s.
const PAUSE: Duration = Duration::from_millis(50);
/// Most sessions that one step looks at: some milliseconds, in which no change of the tables takes effect.
const STEP: usize = 65_536;

/// What the thread works with.
pub struct Ageing<S> {
    /// It is a reader like the workers.
    pub tables: Reader<Tables>,
    /// Who has passed a burst boundary.
    pub boundaries: Boundaries,
    /// The sessions.
    pub flows: Arc<FlowTable>,
    /// Its part in the allocation of sessions.
    pub slots: WorkerSlots<Observation>,
    /// How long a silent session is kept.
    pub timeouts: Timeouts,
    /// The workers' time.
    pub clock: Clock,
    /// Who hears of sessions.
    pub sink: S,
}

/// The running thread; ends when it is dropped.
#[derive(Debug)]
pub struct AgeingThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl AgeingThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start<S: SessionSink + Send + 'static>(ageing: Ageing<S>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = thread::Builder::new().name("ageing".to_owned()).spawn(move || ageing.run(&seen))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for AgeingThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the ageing thread has panicked");
            }
        }
    }
}

impl<S: SessionSink> Ageing<S> {
    fn run(mut self, stop: &AtomicBool) {
        let mut sweeper = Sweeper::new(self.timeouts.clone());
        while !stop.load(Ordering::Acquire) {
            let now = Now { milliseconds: self.clock.milliseconds() };
            if self.step(&mut sweeper, now).looked_at < STEP {
                thread::park_timeout(PAUSE);
            }
        }
    }

    fn step(&mut self, sweeper: &mut Sweeper, now: Now) -> Sweep {
        let tables = self.tables.refresh();
        let mut sink = Releasing { tables, inner: &mut Wanted { tables, inner: &mut self.sink } };
        let sweep = sweeper.step(&self.flows, &mut self.slots, now.tick(), tables.epoch, STEP, &mut sink);
        let boundaries = &self.boundaries;
        self.slots.advance(&self.flows, || boundaries.observe(), |seen| boundaries.passed(*seen), &mut sink);
        self.tables.offline();
        sweep
    }
}

/// Adds to a sink what the tables know: which interfaces still exist.
struct Wanted<'a, S> {
    tables: &'a Tables,
    inner: &'a mut S,
}

impl<S> Wanted<'_, S> {
    fn stands(&self, scope: Scope) -> bool {
        scope.interface().is_none_or(|id| self.tables.interface(id).is_some())
    }
}

impl<S: SessionSink> SessionSink for Wanted<'_, S> {
    fn traffic(&mut self, traffic: &Traffic) {
        self.inner.traffic(traffic);
    }

    fn ended(&mut self, session: &SessionView, reason: EndReason) {
        self.inner.ended(session, reason);
    }

    fn is_wanted(&mut self, forward: Scope, reverse: Scope) -> bool {
        self.stands(forward) && self.stands(reverse) && self.inner.is_wanted(forward, reverse)
    }
}

impl<S> std::fmt::Debug for Ageing<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ageing").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}
