//! The three kinds of entry in a trie node, each packed into a word.
//!
//! A node at depth `d` stands for the addresses that share `d` leading bits; the next eight bits are the *slot*. A
//! route is *short* in that node if it is `d..=d+8` bits long, so that it covers whole slots, and *long* if it lies
//! within one slot. Entries hold the number of a result in the table that all nodes share.

/// Most long routes in one node.
pub(crate) const LONGS: usize = 32;
/// Longest suffix of a long route, in bits behind the slot.
pub(crate) const LONG_BITS: u8 = 24;
/// Bits of a result's number.
pub(crate) const INDEX_BITS: u32 = 27;
const INDEX: u32 = (1 << INDEX_BITS) - 1;

/// What neighbouring slots share: the longest short route that covers them, and whether there are longer routes inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run(u32);

impl Run {
    /// Longer routes are inside: long entries of the slot, or a child.
    const MORE: u32 = 1 << INDEX_BITS;
    /// Numbers below this fit the narrow form.
    const NARROW: u32 = 1 << 11;

    #[inline]
    pub(crate) fn from_wide(bits: u32) -> Self {
        Self(bits)
    }
    pub(crate) fn to_wide(self) -> u32 {
        self.0
    }

    /// From the form in 16 bits: the same with fewer bits for the number.
    #[inline]
    pub(crate) fn from_narrow(bits: u16) -> Self {
        let bits = u32::from(bits);
        Self(bits >> 11 << INDEX_BITS | bits & (Self::NARROW - 1))
    }
    /// The form in 16 bits, if the number fits.
    pub(crate) fn to_narrow(self) -> Option<u16> {
        (self.index() < Self::NARROW).then_some((self.0 >> INDEX_BITS << 11 | self.index()) as u16)
    }

    /// 0 if no short route covers the slot, else one more than its bits in this node (0..=8).
    #[inline]
    pub(crate) fn rank(self) -> u8 {
        (self.0 >> 28) as u8
    }

    /// The result's number; meaningful if a route covers the slot.
    #[inline]
    pub(crate) fn index(self) -> u32 {
        self.0 & INDEX
    }

    #[inline]
    pub(crate) fn more(self) -> bool {
        self.0 & Self::MORE != 0
    }

    /// The same slot covered by a route of `rank` (0: by none) with this result.
    pub(crate) fn covered(self, rank: u8, index: u32) -> Self {
        Self(self.0 & Self::MORE | u32::from(rank) << 28 | index & INDEX)
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
pub(crate) struct Hidden(u64);

impl Hidden {
    pub(crate) fn new(short: Short, index: u32) -> Self {
        Self(u64::from(short.heap()) << 32 | u64::from(index))
    }
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }
    pub(crate) fn short(self) -> Short {
        Short::from_heap((self.0 >> 32) as u16)
    }
    pub(crate) fn index(self) -> u32 {
        self.0 as u32
    }
}

/// A route within one slot: from the top, slot (8 bits), 31 - bits behind the slot (5), suffix (24), result (27). As
/// numbers, entries sort by slot, then longest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Long(u64);

impl Long {
    /// The route of `8 + bits` (`bits` 1..=[`LONG_BITS`]) leading bits of `window`, the address from the node's depth on.
    pub(crate) fn new(window: u64, bits: u8, index: u32) -> Self {
        let bits = bits.clamp(1, LONG_BITS);
        let suffix = window << 8 >> (64 - bits) << (LONG_BITS - bits);
        let order = u64::from(31 - bits) << 51;
        Self(window >> 56 << 56 | order | suffix << INDEX_BITS | u64::from(index & INDEX))
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
        31 - (self.0 >> 51 & 31) as u8
    }

    #[inline]
    pub(crate) fn index(self) -> u32 {
        self.0 as u32 & INDEX
    }

    /// The route's address from the node's depth on.
    pub(crate) fn window(self) -> u64 {
        self.0 >> 56 << 56 | self.0 << 13 >> 40 << 32
    }

    /// Whether an address of the same slot, given from the node's depth on, is within the route.
    #[inline]
    pub(crate) fn covers(self, window: u64) -> bool {
        // 64 - bits; what is below the suffix is shifted out.
        let rest = 33 + (self.0 >> 51 & 31);
        (window << 8 ^ self.0 << 13) >> (rest & 63) == 0
    }

    /// Whether both are the same route, whatever their results.
    pub(crate) fn same_route(self, other: Self) -> bool {
        self.0 >> INDEX_BITS == other.0 >> INDEX_BITS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Hidden, INDEX, LONG_BITS, Long, Run, Short};

    proptest! {
        #[test]
        fn a_long_route_comes_back_and_covers_what_shares_its_bits(
            window: u64, bits in 1..=LONG_BITS, index in 0..=INDEX, flip in 0..64_u32,
        ) {
            let long = Long::new(window, bits, index);
            prop_assert_eq!((long.slot(), long.bits(), long.index()), ((window >> 56) as u8, bits, index));
            prop_assert_eq!(long.window(), window >> (56 - bits) << (56 - bits));
            prop_assert!(long.covers(window));
            if flip < 56 {
                prop_assert_eq!(long.covers(window ^ 1 << flip), flip < u32::from(56 - bits));
            }
            let other = Long::new(window, bits, index ^ 1);
            prop_assert!(long.same_route(other) && long != other);
            prop_assert!(bits == LONG_BITS || !long.same_route(Long::new(window, bits + 1, index)));
            prop_assert!(long.slot() == 255 || long < Long::new(window.wrapping_add(1 << 56), bits, 0), "by slot");
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
        let hidden = Hidden::new(Short::covering(77, 3), INDEX);
        assert_eq!((hidden.short(), hidden.index()), (Short::covering(77, 3), INDEX));
        assert_eq!(Hidden::from_bits(hidden.to_bits()), hidden);
    }

    #[test]
    fn a_run_keeps_its_parts_apart() {
        let run = Run::default();
        assert_eq!((run.rank(), run.more()), (0, false));
        let run = run.covered(9, INDEX).with_more(true);
        assert_eq!((run.rank(), run.index(), run.more()), (9, INDEX, true));
        assert_eq!(Run::from_wide(run.to_wide()), run);
        assert_eq!((run.to_narrow(), run.covered(9, 2048).to_narrow()), (None, None));
        let run = run.covered(1, 2047);
        assert_eq!((run.rank(), run.index(), run.more()), (1, 2047, true));
        assert_eq!(run.to_narrow().map(Run::from_narrow), Some(run));
        let plain = run.with_more(false);
        assert_eq!((plain.rank(), plain.index(), plain.more()), (1, 2047, false));
        assert_eq!(plain.to_narrow().map(Run::from_narrow), Some(plain));
        assert_eq!(plain.covered(0, 0), Run::default());
    }
}
