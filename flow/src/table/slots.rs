//! Free sessions, and sessions that are no longer found but may still be in a worker's hands.
//!
//! Each worker takes and returns sessions at its own [`WorkerSlots`], last in first out, which exchanges
//! batches with a shared pool. A removed session waits there, in *limbo*, until every worker has passed a
//! burst boundary (SEMANTICS 16); only then is it counted to the end, reported and free again.

use crate::atomic::{AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::table::cold::Cold;
use crate::table::{EndReason, FlowTable, SessionSink};

/// Most sessions that move between a worker and the pool at once.
const BATCH: u32 = 64;
/// Most sessions in a worker's limbo.
const LIMBO: usize = 1 << 16;

/// Free sessions of one family, chained through their cold records.
#[derive(Debug)]
pub(crate) struct Pool {
    chain: Mutex<Chain>,
    /// How many the chain holds, for a look without the lock.
    free: AtomicU32,
    /// The highest number that was ever handed out.
    high_water: AtomicU32,
    /// Numbers of the family: first, and one past the last.
    pub(crate) numbers: std::ops::Range<u32>,
}

#[derive(Debug)]
struct Chain {
    head: u32,
    len: u32,
}

impl Pool {
    /// A pool of all the sessions with these numbers, handed out in ascending order at first.
    pub(crate) fn new(numbers: std::ops::Range<u32>, cold: &[Cold]) -> Self {
        let mut head = 0;
        for number in numbers.clone().rev() {
            if let Some(record) = cold.get(number as usize) {
                record.set_next_free(head);
                head = number;
            }
        }
        let len = numbers.len() as u32;
        Self {
            chain: Mutex::new(Chain { head, len }),
            free: AtomicU32::new(len),
            high_water: AtomicU32::new(numbers.start),
            numbers,
        }
    }

    /// Sessions in the pool.
    pub(crate) fn free(&self) -> u32 {
        self.free.load(Ordering::Relaxed)
    }

    /// Whether so few are left (a sixteenth) that sessions worth less should make room.
    pub(crate) fn is_low(&self) -> bool {
        self.free() < self.numbers.len() as u32 / 16
    }

    /// Whether hardly any are left (a thirty-second).
    pub(crate) fn is_very_low(&self) -> bool {
        self.free() < self.numbers.len() as u32 / 32
    }

    /// The numbers that have ever been in use.
    pub(crate) fn used(&self) -> std::ops::Range<u32> {
        self.numbers.start..self.high_water.load(Ordering::Relaxed)
    }

    /// Moves up to `most` sessions into `to`, so that the lowest of them is taken first.
    fn take(&self, most: u32, cold: &[Cold], to: &mut Vec<u32>) {
        let mut chain = lock(&self.chain);
        let start = to.len();
        let mut highest = 0;
        while chain.len > 0 && ((to.len() - start) as u32) < most {
            let Some(record) = cold.get(chain.head as usize) else { break };
            to.push(chain.head);
            highest = highest.max(chain.head);
            chain.head = record.next_free();
            chain.len -= 1;
        }
        self.free.store(chain.len, Ordering::Relaxed);
        self.high_water.fetch_max(highest + 1, Ordering::Relaxed);
        drop(chain);
        if let Some(taken) = to.get_mut(start..) {
            taken.reverse();
        }
    }

    /// Takes sessions back.
    fn give(&self, from: impl Iterator<Item = u32>, cold: &[Cold]) {
        let mut chain = lock(&self.chain);
        for number in from {
            if let Some(record) = cold.get(number as usize) {
                record.set_next_free(chain.head);
                chain.head = number;
                chain.len += 1;
            }
        }
        self.free.store(chain.len, Ordering::Relaxed);
    }
}

/// How many sessions a worker has inserted and removed: one writer, no sharing.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct WorkerCounts {
    inserted: AtomicU64,
    removed: AtomicU64,
}

impl WorkerCounts {
    /// Sessions inserted less sessions removed, which may be another worker's: negative is possible.
    pub(crate) fn balance(&self) -> u64 {
        let inserted = self.inserted.load(Ordering::Relaxed);
        inserted.wrapping_sub(self.removed.load(Ordering::Relaxed))
    }

    pub(crate) fn count_inserted(&self) {
        self.inserted.store(self.inserted.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(crate) fn count_removed(&self) {
        self.removed.store(self.removed.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// A worker's own part in allocation: free sessions at hand, and its limbo. `O` is an observation of the
/// grace-period machinery, opaque here.
#[derive(Debug)]
pub struct WorkerSlots<O> {
    pub(crate) worker: usize,
    /// Free sessions of each family (IPv4, IPv6).
    at_hand: [Vec<u32>; 2],
    batch: [u32; 2],
    /// Removed since the last observation.
    open: Vec<(u32, EndReason)>,
    /// Removed before `observation`.
    waiting: Vec<(u32, EndReason)>,
    observation: Option<O>,
    limbo: usize,
}

impl<O> WorkerSlots<O> {
    pub(crate) fn new(worker: usize, table: &FlowTable) -> Self {
        let workers = table.workers.len().max(1) as u32;
        let sessions = table.pools.each_ref().map(|pool| pool.numbers.len() as u32);
        // Small tables in small portions: what one worker has at hand, another cannot use.
        let batch = sessions.map(|sessions| (sessions / 16 / workers).clamp(1, BATCH));
        let limbo = (sessions.iter().sum::<u32>() as usize).min(LIMBO);
        Self {
            worker,
            at_hand: batch.map(|batch| Vec::with_capacity(2 * batch as usize + 1)),
            batch,
            open: Vec::with_capacity(limbo),
            waiting: Vec::with_capacity(limbo),
            observation: None,
            limbo,
        }
    }

    /// A free session of a family.
    pub(crate) fn take(&mut self, v6: bool, table: &FlowTable) -> Option<u32> {
        let family = usize::from(v6);
        let at_hand = &mut self.at_hand[family];
        if at_hand.is_empty() {
            table.pools[family].take(self.batch[family], &table.cold, at_hand);
        }
        at_hand.pop()
    }

    /// The session that will be taken after `ahead` others, if it is at hand.
    pub(crate) fn peek(&self, v6: bool, ahead: usize) -> Option<u32> {
        self.at_hand[usize::from(v6)].iter().rev().nth(ahead).copied()
    }

    /// Returns a session that nobody else can know.
    pub(crate) fn give(&mut self, v6: bool, number: u32, table: &FlowTable) {
        let family = usize::from(v6);
        let at_hand = &mut self.at_hand[family];
        at_hand.push(number);
        let batch = self.batch[family] as usize;
        if at_hand.len() > 2 * batch {
            table.pools[family].give(at_hand.drain(..batch), &table.cold);
        }
    }

    /// Whether one more session may be removed now.
    pub(crate) fn has_room(&self) -> bool {
        self.open.len() < self.limbo
    }

    /// Puts a removed session into limbo.
    pub(crate) fn retire(&mut self, number: u32, reason: EndReason) {
        self.open.push((number, reason));
    }

    /// Sessions in limbo.
    #[must_use]
    pub fn in_limbo(&self) -> usize {
        self.open.len() + self.waiting.len()
    }

    /// Lets limbo proceed; to be called between bursts. `observe` marks this moment, `passed` tells whether
    /// every worker has passed a boundary since a mark. Sessions whose time has come are counted to the end,
    /// reported to `sink` and freed.
    #[inline]
    pub fn advance(
        &mut self,
        table: &FlowTable,
        observe: impl FnOnce() -> O,
        passed: impl FnOnce(&O) -> bool,
        sink: &mut impl SessionSink,
    ) {
        if self.waiting.is_empty() && self.open.is_empty() {
            return;
        }
        self.advance_limbo(table, observe, passed, sink);
    }

    #[cold]
    fn advance_limbo(
        &mut self,
        table: &FlowTable,
        observe: impl FnOnce() -> O,
        passed: impl FnOnce(&O) -> bool,
        sink: &mut impl SessionSink,
    ) {
        if !self.waiting.is_empty() {
            if !self.observation.as_ref().is_none_or(passed) {
                return;
            }
            self.free_waiting(table, sink);
        }
        if !self.open.is_empty() {
            std::mem::swap(&mut self.open, &mut self.waiting);
            self.observation = Some(observe());
        }
    }

    fn free_waiting(&mut self, table: &FlowTable, sink: &mut impl SessionSink) {
        let mut waiting = std::mem::take(&mut self.waiting);
        for (number, reason) in waiting.drain(..) {
            table.finish(number, reason, sink);
            self.give(table.is_v6(number), number, table);
        }
        self.waiting = waiting;
    }

    /// Gives everything back when a worker ends. The caller makes sure that no worker is inside a burst, so
    /// that limbo needs no waiting.
    pub fn release(mut self, table: &FlowTable, sink: &mut impl SessionSink) {
        self.free_waiting(table, sink);
        std::mem::swap(&mut self.open, &mut self.waiting);
        self.free_waiting(table, sink);
        for (at_hand, pool) in self.at_hand.iter_mut().zip(&table.pools) {
            pool.give(at_hand.drain(..).rev(), &table.cold);
        }
    }
}
