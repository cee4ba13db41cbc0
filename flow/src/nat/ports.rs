//! Which ports of an address are taken: a bit each.

use std::ops::RangeInclusive;

use crate::atomic::{AtomicU64, Ordering};

const WORDS: usize = 65_536 / 64;

/// See the module. Any thread takes and gives back.
#[derive(Debug)]
pub(super) struct Ports(Box<[AtomicU64]>);

impl Default for Ports {
    fn default() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Ports {
    /// Takes `preferred` if it is free and in the range, else the first free port of the range from a place that
    /// `hash` names on.
    pub(super) fn claim(&self, preferred: u16, range: &RangeInclusive<u16>, hash: u32) -> Option<u16> {
        if range.contains(&preferred) && self.take(preferred) {
            return Some(preferred);
        }
        // Whoever is quicker has a port that is looked for again: no more often than there are ports.
        (0..=*range.end() - *range.start()).find_map(|_| match self.next_free(range, hash) {
            None => Some(None),
            Some(port) => self.take(port).then_some(Some(port)),
        })?
    }

    /// The port that [`Self::claim`] would take.
    pub(super) fn foresee(&self, preferred: u16, range: &RangeInclusive<u16>, hash: u32) -> Option<u16> {
        if range.contains(&preferred) && !self.is_taken(preferred) {
            return Some(preferred);
        }
        self.next_free(range, hash)
    }

    pub(super) fn release(&self, port: u16) {
        let (word, bit) = self.place(port);
        word.fetch_and(!bit, Ordering::Release);
    }

    pub(super) fn taken(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum()
    }

    fn take(&self, port: u16) -> bool {
        let (word, bit) = self.place(port);
        word.fetch_or(bit, Ordering::Acquire) & bit == 0
    }

    fn is_taken(&self, port: u16) -> bool {
        let (word, bit) = self.place(port);
        word.load(Ordering::Relaxed) & bit != 0
    }

    fn place(&self, port: u16) -> (&AtomicU64, u64) {
        (&self.0[usize::from(port / 64)], 1 << (port % 64))
    }

    /// The first free port from a place in the range that `hash` names, around the end of the range: an outsider
    /// cannot guess it (RFC 6056).
    fn next_free(&self, range: &RangeInclusive<u16>, hash: u32) -> Option<u16> {
        let (first, last) = (*range.start(), *range.end());
        let size = u64::from(last - first) + 1;
        let start = first + ((u64::from(hash) * size) >> 32) as u16;
        self.free_in(start, last).or_else(|| self.free_in(first, start))
    }

    /// The first free port of `first..=last`, a word of bits at a time.
    fn free_in(&self, first: u16, last: u16) -> Option<u16> {
        (first / 64..=last / 64).find_map(|index| {
            let mut free = !self.0[usize::from(index)].load(Ordering::Relaxed);
            if index == first / 64 {
                free &= u64::MAX << (first % 64);
            }
            let port = index * 64 + free.trailing_zeros().min(63) as u16;
            (free != 0 && port <= last).then_some(port)
        })
    }
}
