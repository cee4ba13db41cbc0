//! One cache line of the index: ten slots, each a 16-bit tag and the number of a half.
//!
//! ```text
//! word 0, 1   tags of slots 0..=7, 16 bits each, 0 = free
//! word 2      tags of slots 8 and 9 | 16 bits spare | lock 8 | spill 8
//! word 3..=7  numbers of the halves, 32 bits each
//! ```
//! Readers never lock. Writers hold the lock, which is in word 2, so that whoever holds it may write all
//! words with plain stores. A slot is filled number first, tag last; a reader that sees the tag sees the
//! number. `spill` counts the entries whose home this bucket is and that live elsewhere.

use crate::atomic::{AtomicU64, Ordering, back_off};
use crate::table::machine::equal_tags;

/// Slots of a bucket.
pub(crate) const SLOTS: usize = 10;

const LOCK: u64 = 1 << 48;
const SPILL_SHIFT: u32 = 56;

/// See the module.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Bucket {
    words: [AtomicU64; 8],
}

/// What a look at the tags of a bucket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matches {
    /// Bit n: slot n carries the tag.
    pub(crate) slots: u32,
    /// Whether entries of this home live elsewhere.
    pub(crate) spilled: bool,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Bucket {
    /// The slots with this tag. Word 2 is read last: an entry that has moved away is seen either here or
    /// by its trace in `spill`.
    #[inline]
    pub(crate) fn matches(&self, tag: u16) -> Matches {
        let low = self.words[0].load(Ordering::Acquire);
        let middle = self.words[1].load(Ordering::Acquire);
        let high = self.words[2].load(Ordering::Acquire);
        Matches { slots: equal_tags([low, middle, high], tag), spilled: high >> SPILL_SHIFT != 0 }
    }

    /// Whether entries of this home live elsewhere.
    #[inline]
    pub(crate) fn is_spilled(&self) -> bool {
        self.words[2].load(Ordering::Acquire) >> SPILL_SHIFT != 0
    }

    /// The number in a slot (0..=9). Whoever reads a number sees what was done before it was written.
    #[inline]
    pub(crate) fn number(&self, slot: usize) -> u32 {
        let word = self.words[3 + (slot >> 1) % 5].load(Ordering::Acquire);
        (word >> ((slot & 1) * 32)) as u32
    }

    /// A free slot that is not `but`.
    pub(crate) fn free_slot(&self, but: Option<usize>) -> Option<usize> {
        let free = self.matches(0).slots & !but.map_or(0, |slot| 1 << slot);
        (free != 0).then(|| free.trailing_zeros() as usize)
    }

    /// The tags of the occupied slots.
    pub(crate) fn tag(&self, slot: usize) -> u16 {
        (self.words[slot >> 2].load(Ordering::Relaxed) >> ((slot & 3) * 16)) as u16
    }

    /// Fills a free slot. The caller holds the lock.
    pub(crate) fn put(&self, slot: usize, tag: u16, number: u32) {
        let numbers = &self.words[3 + (slot >> 1) % 5];
        let shift = (slot & 1) * 32;
        let kept = numbers.load(Ordering::Relaxed) & !(0xffff_ffff << shift);
        numbers.store(kept | u64::from(number) << shift, Ordering::Release);
        self.set_tag(slot, tag);
    }

    /// Frees a slot. The caller holds the lock.
    pub(crate) fn clear(&self, slot: usize) {
        self.set_tag(slot, 0);
    }

    fn set_tag(&self, slot: usize, tag: u16) {
        let tags = &self.words[slot >> 2];
        let shift = (slot & 3) * 16;
        let kept = tags.load(Ordering::Relaxed) & !(0xffff << shift);
        tags.store(kept | u64::from(tag) << shift, Ordering::Release);
    }

    /// One more entry of this home lives elsewhere. A count that reached 255 stays there for ever: it then
    /// costs lookups a second look, never a miss. The caller holds the lock.
    pub(crate) fn spill_more(&self) {
        let word = self.words[2].load(Ordering::Relaxed);
        if word >> SPILL_SHIFT != 0xff {
            self.words[2].store(word + (1 << SPILL_SHIFT), Ordering::Release);
        }
    }

    /// One less. The caller holds the lock.
    pub(crate) fn spill_less(&self) {
        let word = self.words[2].load(Ordering::Relaxed);
        if !matches!(word >> SPILL_SHIFT, 0 | 0xff) {
            self.words[2].store(word - (1 << SPILL_SHIFT), Ordering::Release);
        }
    }

    /// Takes the lock if it is free.
    pub(crate) fn try_lock(&self) -> bool {
        let word = self.words[2].load(Ordering::Relaxed);
        word & LOCK == 0
            && self.words[2].compare_exchange(word, word | LOCK, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Waits for the lock. Holders never wait for anything while they hold more than the homes of a pair,
    /// which are taken in address order: so there is no deadlock.
    pub(crate) fn lock(&self) {
        let mut attempt = 0;
        while !self.try_lock() {
            back_off(&mut attempt);
        }
    }

    /// Gives the lock back.
    pub(crate) fn unlock(&self) {
        let word = self.words[2].load(Ordering::Relaxed);
        self.words[2].store(word & !LOCK, Ordering::Release);
    }

    #[cfg(test)]
    pub(crate) fn spill(&self) -> u64 {
        self.words[2].load(Ordering::Relaxed) >> SPILL_SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
    }

    #[test]
    fn each_slot_keeps_its_own_tag_and_number() {
        let bucket = Bucket::default();
        for slot in 0..SLOTS {
            assert_eq!(bucket.free_slot(None), Some(slot));
            bucket.put(slot, 0xf000 + slot as u16, 0xffff_fff0 + slot as u32 % 8);
        }
        assert_eq!(bucket.free_slot(None), None);
        for slot in 0..SLOTS {
            let tag = 0xf000 + slot as u16;
            assert_eq!(bucket.matches(tag), Matches { slots: 1 << slot, spilled: false });
            assert_eq!((bucket.tag(slot), bucket.number(slot)), (tag, 0xffff_fff0 + slot as u32 % 8));
        }
        bucket.clear(4);
        assert_eq!(bucket.free_slot(None), Some(4));
        assert_eq!(bucket.free_slot(Some(4)), None);
        assert_eq!(bucket.matches(0xf004).slots, 0);
    }

    #[test]
    fn the_lock_is_exclusive_and_keeps_its_neighbours_in_the_word() {
        let bucket = Bucket::default();
        bucket.put(9, 7, 1);
        bucket.spill_more();
        assert!(bucket.try_lock());
        assert!(!bucket.try_lock());
        bucket.spill_more();
        bucket.put(8, 8, 2);
        bucket.unlock();
        assert!(bucket.try_lock());
        assert_eq!((bucket.spill(), bucket.tag(8), bucket.tag(9)), (2, 8, 7));
    }

    #[test]
    fn the_spill_count_never_falls_below_nothing_nor_back_from_its_ceiling() {
        let bucket = Bucket::default();
        bucket.spill_less();
        assert_eq!(bucket.spill(), 0);
        assert!(!bucket.matches(1).spilled);
        for _ in 0..254 {
            bucket.spill_more();
        }
        bucket.spill_less();
        assert_eq!(bucket.spill(), 253);
        for _ in 0..5 {
            bucket.spill_more();
        }
        assert_eq!(bucket.spill(), 255);
        bucket.spill_less();
        assert_eq!(bucket.spill(), 255);
        assert!(bucket.matches(1).spilled);
    }
}
