//! Who has passed a burst boundary since some moment.
//!
//! There is one clock, ticked by whoever wants to know when all readers have let go of what they could
//! see until now. At each boundary a reader looks at the clock (one acquire load) and, only if it has
//! moved, copies it to its own cache line, its *mark*. `mark >= tick` then says two things:
//!
//! - everything the reader did before that boundary is over (the mark is stored with release), and
//! - everything it does afterwards sees what was written before the tick (the clock was read with acquire
//!   from a read-modify-write that released).
//!
//! A sleeping reader's mark is [`OFFLINE`], which is larger than every tick, so it delays nobody. Coming back is
//! Dekker's pattern: the reader stores its mark, fences, reads the clock; the observer ticks the clock, fences, reads the
//! marks. With both fences sequentially consistent, either the observer sees the reader awake and waits for
//! it, or the reader sees the tick and all that was written before it.

use std::sync::Arc;

use crossbeam::utils::CachePadded;

use crate::primitive::{AtomicU64, Ordering, fence};

/// The mark of a reader that sleeps, has not started or is gone.
pub(crate) const OFFLINE: u64 = u64::MAX;
/// The mark of a reader that is about to look at the clock: it has passed nothing.
const JOINING: u64 = 0;

/// The clock and the readers' marks.
#[derive(Debug)]
pub(crate) struct Clock {
    now: CachePadded<AtomicU64>,
    marks: Box<[CachePadded<AtomicU64>]>,
}

impl Clock {
    /// A clock with `readers` marks, all offline.
    pub(crate) fn new(readers: usize) -> Self {
        Self {
            now: CachePadded::new(AtomicU64::new(1)),
            marks: (0..readers).map(|_| CachePadded::new(AtomicU64::new(OFFLINE))).collect(),
        }
    }

    /// The clock as it stands.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Acquire)
    }

    /// Moves the clock. What was written before is seen by every reader whose mark reaches the result.
    pub(crate) fn tick(&self) -> u64 {
        let tick = self.now.fetch_add(1, Ordering::AcqRel) + 1;
        fence(Ordering::SeqCst);
        tick
    }

    /// Announces that `reader` awakes; the clock read afterwards is fresh enough.
    pub(crate) fn join(&self, reader: usize) {
        if let Some(mark) = self.marks.get(reader) {
            mark.store(JOINING, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
    }

    /// Sets the mark of `reader`: a clock reading, or [`OFFLINE`].
    pub(crate) fn mark(&self, reader: usize, value: u64) {
        if let Some(mark) = self.marks.get(reader) {
            mark.store(value, Ordering::Release);
        }
    }

    /// The readers that are awake and have not yet passed `tick`.
    pub(crate) fn behind(&self, tick: u64) -> impl Iterator<Item = usize> + '_ {
        let behind = move |mark: &CachePadded<AtomicU64>| mark.load(Ordering::Acquire) < tick;
        self.marks.iter().enumerate().filter(move |(_, mark)| behind(mark)).map(|(reader, _)| reader)
    }

    /// Whether every reader that is awake has passed `tick`.
    pub(crate) fn passed(&self, tick: u64) -> bool {
        self.behind(tick).next().is_none()
    }
}

/// A moment: see [`Boundaries::observe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observation(u64);

/// Tells when every reader has passed a burst boundary, for memory that is reused without being part of a
/// published value, such as freed flow entries.
#[derive(Clone, Debug)]
pub struct Boundaries {
    clock: Arc<Clock>,
}

impl Boundaries {
    pub(crate) fn new(clock: Arc<Clock>) -> Self {
        Self { clock }
    }

    /// Marks this moment. What the caller unlinked before can no longer be reached by a reader that has
    /// passed a boundary since.
    ///
    /// Costs one shared write, and one write of each reader to its own line at its next boundary: observe
    /// once per batch of freed things, not once per thing.
    #[must_use]
    pub fn observe(&self) -> Observation {
        Observation(self.clock.tick())
    }

    /// Whether every online reader has passed a boundary since `observation`. The caller's own reader, if it
    /// has one, counts like the others.
    #[must_use]
    pub fn passed(&self, observation: Observation) -> bool {
        self.clock.passed(observation.0)
    }

    /// The online readers, by index, that have not passed a boundary since `observation`: for the alarm about a
    /// worker that is stuck.
    pub fn laggards(&self, observation: Observation) -> impl Iterator<Item = usize> + '_ {
        self.clock.behind(observation.0)
    }
}
