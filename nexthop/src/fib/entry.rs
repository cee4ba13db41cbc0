//! The three kinds of entry in a trie node, each packed into a word.
//!
//! A node at depth `d` stands for the addresses that share `d` leading bits; the next eight bits are the *slot*. A
//! route is *short* in that node if it is `d..=d+8` bits long, so that it covers whole slots, and *long* if it lies
//! within one slot. All entries point into the node's own list of distinct results.

/// Most results that a node's list can have: 511 short routes, [`LONGS`] long ones, one being exchanged.
pub(crate) const RESULTS: usize = 544;
/// Most long routes in one node.
pub(crate) const LONGS: usize = 32;
/// Longest suffix of a long route, in bits behind the slot.
pub(crate) const LONG_BITS: u8 = 36;

/// What neighbouring slots share: the longest short route that covers them, and whether there are longer routes inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run(u16);

impl Run {
    /// Longer routes are inside: long entries of the slot, or a child.
    const MORE: u16 = 1 << 11;
    const INDEX: u16 = 0x7ff;

    pub(crate) fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
    pub(crate) fn to_bits(self) -> u16 {
        self.0
    }

    /// 0 if no short route covers the slot, else one more than its bits in this node (0..=8).
    #[inline]
    pub(crate) fn rank(self) -> u8 {
        (self.0 >> 12) as u8
    }

    /// The result's place in the list; meaningful if a route covers the slot.
    #[inline]
    pub(crate) fn index(self) -> usize {
        usize::from(self.0 & Self::INDEX)
    }

    #[inline]
    pub(crate) fn more(self) -> bool {
        self.0 & Self::MORE != 0
    }

    /// The same slot covered by a route of `rank` (0: by none), whose result is at `index`.
    pub(crate) fn covered(self, rank: u8, index: usize) -> Self {
        Self(self.0 & Self::MORE | u16::from(rank) << 12 | index as u16 & Self::INDEX)
    }

    pub(crate) fn with_more(self, more: bool) -> Self {
        Self(self.0 & !Self::MORE | if more { Self::MORE } else { 0 })
    }
}

/// A short route by its place in the node: `bits` (0..=8) leading bits of the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) slot: u8,
    pub(crate) bits: u8,
}

impl Short {
    /// The route of `bits` bits that covers `slot`.
    pub(crate) fn covering(slot: u8, bits: u8) -> Self {
        Self { slot: slot & !Self::host_mask(bits), bits }
    }

    pub(crate) fn of_rank(slot: u8, rank: u8) -> Option<Self> {
        Some(Self::covering(slot, rank.checked_sub(1)?))
    }

    pub(crate) fn rank(self) -> u8 {
        self.bits + 1
    }

    /// The last slot.
    pub(crate) fn last(self) -> u8 {
        self.slot | Self::host_mask(self.bits)
    }

    /// A number of its own for each of the 511 short routes: its index in a binary heap.
    pub(crate) fn heap(self) -> u16 {
        (1 << self.bits) | u16::from(self.slot) >> (8 - self.bits)
    }

    pub(crate) fn from_heap(heap: u16) -> Self {
        let bits = (15 - heap.leading_zeros().min(15)) as u8;
        Self { slot: ((heap << (8 - bits)) & 0xff) as u8, bits }
    }

    fn host_mask(bits: u8) -> u8 {
        0xff_u8.checked_shr(u32::from(bits)).unwrap_or(0)
    }
}

/// A short route that no slot shows, because longer ones cover all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hidden(u32);

impl Hidden {
    /// No route: fills the last word.
    pub(crate) const PADDING: Self = Self(0);

    pub(crate) fn new(short: Short, index: usize) -> Self {
        Self(u32::from(short.heap()) << 16 | index as u32)
    }
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
    pub(crate) fn to_bits(self) -> u32 {
        self.0
    }
    pub(crate) fn short(self) -> Short {
        Short::from_heap((self.0 >> 16) as u16)
    }
    pub(crate) fn index(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

/// A route within one slot. As numbers, entries sort by slot, then longest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Long(u64);

impl Long {
    const INDEX: u64 = 0x3fff;

    /// The route of `8 + bits` (`bits` 1..=[`LONG_BITS`]) leading bits of `window`, the address from the node's depth on.
    pub(crate) fn new(window: u64, bits: u8, index: usize) -> Self {
        let bits = bits.clamp(1, LONG_BITS);
        let suffix = window << 8 >> (64 - bits) << (LONG_BITS - bits);
        Self(window >> 56 << 56 | u64::from(63 - bits) << 50 | suffix << 14 | index as u64 & Self::INDEX)
    }

    /// Not above any entry of `slot`, above all entries of lower slots.
    #[inline]
    pub(crate) fn first_of(slot: u8) -> Self {
        Self(u64::from(slot) << 56)
    }

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn slot(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// Bits behind the slot: 1..=[`LONG_BITS`].
    #[inline]
    pub(crate) fn bits(self) -> u8 {
        63 - (self.0 >> 50 & 63) as u8
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        (self.0 & Self::INDEX) as usize
    }

    pub(crate) fn with_index(self, index: usize) -> Self {
        Self(self.0 & !Self::INDEX | index as u64 & Self::INDEX)
    }

    /// The route's address from the node's depth on.
    pub(crate) fn window(self) -> u64 {
        self.0 >> 56 << 56 | self.0 << 14 >> 28 << 20
    }

    /// Whether an address of the same slot, given from the node's depth on, is within the route.
    #[inline]
    pub(crate) fn covers(self, window: u64) -> bool {
        // 64 - bits; what is below the suffix is shifted out.
        let rest = 1 + (self.0 >> 50 & 63);
        (window << 8 ^ self.0 << 14) >> (rest & 63) == 0
    }

    /// Whether both are the same route, whatever their results.
    pub(crate) fn same_route(self, other: Self) -> bool {
        self.with_index(0) == other.with_index(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Hidden, LONG_BITS, Long, RESULTS, Run, Short};

    proptest! {
        #[test]
        fn a_long_route_comes_back_and_covers_what_shares_its_bits(
            window: u64, bits in 1..=LONG_BITS, index in 0..RESULTS, flip in 0..64_u32,
        ) {
            let long = Long::new(window, bits, index);
            prop_assert_eq!((long.slot(), long.bits(), long.index()), ((window >> 56) as u8, bits, index));
            prop_assert_eq!(long.window(), window >> (56 - bits) << (56 - bits));
            prop_assert!(long.covers(window));
            if flip < 56 {
                prop_assert_eq!(long.covers(window ^ 1 << flip), flip < u32::from(56 - bits));
            }
            prop_assert!(long.same_route(long.with_index(index ^ 1)) && long != long.with_index(index ^ 1));
            prop_assert!(long >= Long::first_of(long.slot()));
            prop_assert!(long < Long::first_of(long.slot().saturating_add(1)) || long.slot() == 255);
            prop_assert_eq!(Long::from_bits(long.to_bits()), long);
            if bits < LONG_BITS {
                prop_assert!(Long::new(window ^ 1, bits + 1, 0) < long, "longest first");
            }
        }
    }

    #[test]
    fn each_short_route_has_a_number_of_its_own() {
        let mut seen = Vec::new();
        for bits in 0..=8_u8 {
            for slot in 0..=255_u8 {
                let short = Short::covering(slot, bits);
                assert!((short.slot..=short.last()).contains(&slot));
                assert_eq!(u16::from(short.last() - short.slot) + 1, 256 >> bits);
                assert_eq!(Short::from_heap(short.heap()), short);
                assert_eq!(Short::of_rank(slot, short.rank()), Some(short));
                seen.push(short.heap());
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (1..=511).collect::<Vec<_>>());
        assert_eq!(Short::of_rank(7, 0), None);
        let hidden = Hidden::new(Short::covering(77, 3), 543);
        assert_eq!((hidden.short(), hidden.index()), (Short::covering(77, 3), 543));
        assert_eq!(Hidden::from_bits(hidden.to_bits()), hidden);
        assert_ne!(Hidden::new(Short::covering(0, 0), 0), Hidden::PADDING);
    }

    #[test]
    fn a_run_keeps_its_parts_apart() {
        let run = Run::default();
        assert_eq!((run.rank(), run.more()), (0, false));
        let run = run.covered(9, RESULTS).with_more(true);
        assert_eq!((run.rank(), run.index(), run.more()), (9, RESULTS, true));
        let run = run.covered(1, 3);
        assert_eq!((run.rank(), run.index(), run.more()), (1, 3, true));
        assert_eq!(Run::from_bits(run.to_bits()), run);
        assert_eq!(run.with_more(false).covered(0, 0), Run::default());
    }
}
