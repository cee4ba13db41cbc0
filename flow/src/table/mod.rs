//! The flow table: one, shared and preallocated.
//!
//! Lookups take no lock. A session is a pair of halves with one lifetime; the index finds a half by its key.
//! Inserts lock the buckets concerned and nothing else. A session that is removed stays readable until every
//! worker has passed a burst boundary, so what a lookup found is good for the rest of the burst; references
//! that live longer carry a generation ([`SessionRef`]).

mod bucket;
mod cold;
mod counter;
mod evict;
mod half;
mod ids;
mod index;
mod insert;
mod interfaces;
mod machine;
mod refusal;
mod slots;
mod sweep;
mod view;
mod wire;

use packet::hash::FlowHasher;
use packet::{InterfaceId, WorkerId};

pub use half::{Half, NewHalf, Verdict};
pub use ids::{HalfId, SessionId};
pub use insert::{InsertError, NewSession, RekeyError};
pub use packet::rewrite::Translation;
pub use slots::WorkerSlots;
pub use sweep::{OLDEST_EPOCH, Sweep, Sweeper};
pub use view::{EndReason, HalfView, SessionRef, SessionSink, SessionView, Traffic};
pub use wire::{Probe, Wire, WireKey};

use crate::atomic::{AtomicU32, Ordering};
use crate::key::FlowKey;
use bucket::SLOTS;
use cold::Cold;
use counter::Giants;
use half::Line;
use index::{Hash, Index};
use interfaces::Interfaces;
use machine::{preallocate, prefetch};
use slots::{Pool, WorkerCounts};

/// Packets that are looked up together: a burst.
const BURST: usize = 64;
/// Rules that a session remembers: for each of its two ends one of the security groups and one of the network
/// policies.
pub const RULES: usize = 4;

/// How large a table is to be. All memory is taken when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// IPv4 sessions, 184 bytes each.
    pub sessions_v4: u32,
    /// IPv6 sessions, 312 bytes each.
    pub sessions_v6: u32,
    /// Seed of the hash.
    pub seed: u64,
    /// Interface ids are below this number (at most 65 536).
    pub interfaces: u32,
    /// Threads that insert or remove: workers, and the one that sweeps.
    pub workers: u8,
}

/// Why a table cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Both families together may have 2³⁰ sessions.
    TooManySessions,
    /// There is no memory for so many.
    NoMemory,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooManySessions => f.write_str("more than 2^30 sessions"),
            Self::NoMemory => f.write_str("no memory for so many sessions"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The halves of an IPv4 session.
#[derive(Debug, Default)]
#[repr(C, align(128))]
struct SessionV4([Line; 2]);

/// The halves of an IPv6 session.
#[derive(Debug, Default)]
#[repr(C, align(128))]
struct SessionV6([[Line; 2]; 2]);

/// See the module.
#[derive(Debug)]
pub struct FlowTable {
    hasher: FlowHasher,
    index: Index,
    /// IPv4 sessions by number; number 0 does not exist.
    v4: Box<[SessionV4]>,
    /// IPv6 sessions by number less `v6_base`.
    v6: Box<[SessionV6]>,
    v6_base: u32,
    cold: Box<[Cold]>,
    /// Stands in for a half that is in no table.
    absent: Line,
    pools: [Pool; 2],
    workers: Box<[WorkerCounts]>,
    interfaces: Interfaces,
    denied: AtomicU32,
    denied_limit: u32,
    /// Where eviction looks next, per family.
    eviction: [AtomicU32; 2],
    giants: Giants,
}

impl FlowTable {
    /// A table of this size, all of it allocated and touched.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let sessions = u64::from(config.sessions_v4) + u64::from(config.sessions_v6);
        // 8.5 entries in ten slots: above, inserts begin to move entries for room.
        let buckets = (2 * sessions * 2).div_ceil(17).max(2);
        Self::with_buckets(config, buckets as usize)
    }

    pub(crate) fn with_buckets(config: &Config, buckets: usize) -> Result<Self, ConfigError> {
        let v6_base = config.sessions_v4.saturating_add(1);
        let end = v6_base.saturating_add(config.sessions_v6);
        if end > 1 << 30 {
            return Err(ConfigError::TooManySessions);
        }
        Self::allocate(config, buckets, v6_base..end).ok_or(ConfigError::NoMemory)
    }

    fn allocate(config: &Config, buckets: usize, numbers_v6: std::ops::Range<u32>) -> Option<Self> {
        let std::ops::Range { start: v6_base, end } = numbers_v6;
        let cold: Box<[Cold]> = preallocate(end as usize)?;
        let pools = [Pool::new(1..v6_base, &cold), Pool::new(v6_base..end, &cold)];
        Some(Self {
            hasher: FlowHasher::new(config.seed),
            index: Index::new(buckets)?,
            v4: preallocate(v6_base as usize)?,
            v6: preallocate(config.sessions_v6 as usize)?,
            v6_base,
            cold,
            absent: Line::default(),
            pools,
            workers: (0..config.workers.max(1)).map(|_| WorkerCounts::default()).collect(),
            interfaces: Interfaces::new(config.interfaces.min(1 << 16)),
            denied: AtomicU32::new(0),
            denied_limit: ((end - 1) / 8).max(1),
            eviction: [AtomicU32::new(0), AtomicU32::new(0)],
            giants: Giants::default(),
        })
    }

    /// A worker's part in allocation. Each worker (and the sweeper) has one; ids at or beyond the configured
    /// number get `None`.
    #[must_use]
    pub fn worker<O>(&self, worker: WorkerId) -> Option<WorkerSlots<O>> {
        (worker.index() < self.workers.len()).then(|| WorkerSlots::new(worker.index(), self))
    }

    /// The hasher: the same key hashes the same elsewhere.
    #[inline]
    #[must_use]
    pub const fn hasher(&self) -> &FlowHasher {
        &self.hasher
    }

    /// Sessions that it can hold: IPv4, IPv6.
    #[must_use]
    pub fn capacity(&self) -> [usize; 2] {
        self.pools.each_ref().map(|pool| pool.numbers.len())
    }

    /// Sessions that live now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.workers.iter().fold(0, |sum: u64, worker| sum.wrapping_add(worker.balance())) as usize
    }

    /// Whether no session lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Denied sessions that live now, and how many there may be: an eighth of all.
    #[must_use]
    pub fn denied(&self) -> (u32, u32) {
        (self.denied.load(Ordering::Relaxed), self.denied_limit)
    }

    /// Sessions of an interface: those whose packets its workload sends or may answer.
    #[must_use]
    pub fn sessions_of(&self, interface: InterfaceId) -> u32 {
        self.interfaces.row(interface).sessions()
    }

    /// Finds the half of each key, as [`Self::lookup`] does, for a burst at once: all hashes, then all
    /// buckets, then all halves, so that the misses of the cache overlap. `out` is filled as far as there
    /// are keys.
    #[inline]
    pub fn lookup_burst(&self, keys: &[FlowKey], out: &mut [Option<HalfId>]) {
        for (keys, out) in keys.chunks(BURST).zip(out.chunks_mut(BURST)) {
            let mut hashes = [Hash(0); BURST];
            let mut numbers = [0_u32; BURST];
            for (key, hash) in keys.iter().zip(&mut hashes) {
                *hash = self.hash(key);
                self.index.prefetch(*hash);
            }
            for ((key, hash), number) in keys.iter().zip(&hashes).zip(&mut numbers) {
                *number = self.index.candidate(*hash).unwrap_or(0);
                self.prefetch(*number, key.v6);
            }
            for (((key, hash), number), out) in keys.iter().zip(&hashes).zip(&numbers).zip(out) {
                *out = if self.has_key(*number, key) {
                    HalfId::from_number(*number)
                } else {
                    self.find(key, *hash)
                };
            }
        }
    }

    /// Finds the half of a key.
    #[inline]
    #[must_use]
    pub fn lookup(&self, key: &FlowKey) -> Option<HalfId> {
        self.find(key, self.hash(key))
    }

    /// Asks the cache for where [`Self::lookup`] of a key will begin.
    #[inline]
    pub fn prefetch_lookup(&self, key: &FlowKey) {
        self.index.prefetch(self.hash(key));
    }

    /// Asks the cache for what [`Self::insert`] will touch behind the forward key, which was looked up in vain already: the
    /// bucket of the reverse one and a free session. For the `ahead`-th of several inserts that follow (0 = the next one),
    /// so that their misses of the cache overlap.
    #[inline]
    pub fn prefetch_insert<O>(&self, slots: &WorkerSlots<O>, reverse: &FlowKey, ahead: usize) {
        self.prefetch_lookup(reverse);
        if let Some(session) = slots.peek(reverse.v6, ahead) {
            self.prefetch(session * 2, reverse.v6);
            self.prefetch(session * 2 + 1, reverse.v6);
            if let Some(cold) = self.cold.get(session as usize) {
                prefetch(cold);
            }
        }
    }

    /// A half, as found by a lookup. (A number of another table gives a half of zeros.)
    #[inline]
    #[must_use]
    pub fn half(&self, half: HalfId) -> Half<'_> {
        self.half_of(half.number())
    }

    #[inline]
    fn hash(&self, key: &FlowKey) -> Hash {
        Hash(key.hash(&self.hasher))
    }

    #[inline]
    fn find(&self, key: &FlowKey, hash: Hash) -> Option<HalfId> {
        self.index.find(hash, |number| self.has_key(number, key)).and_then(HalfId::from_number)
    }

    #[inline(always)]
    fn has_key(&self, number: u32, key: &FlowKey) -> bool {
        if key.v6 {
            self.lines_v6(number).is_some_and(|lines| Half::v6(lines).has_key_v6(key))
        } else {
            self.line_v4(number).is_some_and(|line| Half::v4(line).has_key_v4(key.tail(), key.v4_word()))
        }
    }

    #[inline(always)]
    fn prefetch(&self, number: u32, v6: bool) {
        if v6 {
            if let Some([first, last]) = self.lines_v6(number) {
                prefetch(first);
                prefetch(last);
            }
        } else if let Some(line) = self.line_v4(number) {
            prefetch(line);
        }
    }

    #[inline(always)]
    fn line_v4(&self, number: u32) -> Option<&Line> {
        self.v4.get((number >> 1) as usize).map(|session| &session.0[number as usize & 1])
    }

    #[inline(always)]
    fn lines_v6(&self, number: u32) -> Option<&[Line; 2]> {
        let at = (number >> 1).wrapping_sub(self.v6_base) as usize;
        self.v6.get(at).map(|session| &session.0[number as usize & 1])
    }

    #[inline]
    fn half_of(&self, number: u32) -> Half<'_> {
        if let Some(line) = self.line_v4(number) {
            Half::v4(line)
        } else if let Some(lines) = self.lines_v6(number) {
            Half::v6(lines)
        } else {
            Half::v4(&self.absent)
        }
    }

    /// Both halves of a session.
    #[inline]
    fn halves(&self, session: u32) -> [Half<'_>; 2] {
        [self.half_of(session * 2), self.half_of(session * 2 + 1)]
    }

    #[inline]
    fn is_v6(&self, session: u32) -> bool {
        session >= self.v6_base
    }
}

const _: () = assert!(size_of::<SessionV4>() == 128 && size_of::<SessionV6>() == 256);
const _: () = assert!(size_of::<Cold>() == 40 && size_of::<bucket::Bucket>() == 64 && SLOTS == 10);

#[cfg(test)]
mod tests;
