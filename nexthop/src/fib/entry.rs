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

/// What neighbouring slots share: the longest short route that covers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run(u32);

impl Run {
    /// Numbers below this fit the narrow form.
    const NARROW: u32 = 1 << 12;

    /// The route of `rank` (see [`Short::rank`]) with this result.
    pub(crate) fn new(rank: u8, index: u32) -> Self {
        Self(u32::from(rank) << 28 | index & INDEX)
    }

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
        Self(bits >> 12 << 28 | bits & (Self::NARROW - 1))
    }
    /// Whether the number fits the form in 16 bits.
    #[inline]
    pub(crate) fn is_narrow(self) -> bool {
        self.index() < Self::NARROW
    }
    /// The form in 16 bits of a run whose number fits.
    #[inline]
    pub(crate) fn to_narrow(self) -> u16 {
        (self.0 >> 28 << 12 | self.0 & (Self::NARROW - 1)) as u16
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

/// A route within one slot: from the top, slot (8 bits), suffix (24), bits behind the slot (5), result (27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Long(u64);

impl Long {
    /// The route of `8 + bits` (`bits` 1..=[`LONG_BITS`]) leading bits of `window`, the address from the node's depth on.
    pub(crate) fn new(window: u64, bits: u8, index: u32) -> Self {
        let bits = bits.clamp(1, LONG_BITS);
        let prefix = window >> (56 - bits) << (56 - bits);
        Self(prefix | u64::from(bits) << INDEX_BITS | u64::from(index & INDEX))
    }

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn slot(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// Bits behind the slot: 1..=[`LONG_BITS`].
    #[inline]
    pub(crate) fn bits(self) -> u8 {
        (self.0 >> INDEX_BITS & 31) as u8
    }

    #[inline]
    pub(crate) fn index(self) -> u32 {
        self.0 as u32 & INDEX
    }

    /// The route's address from the node's depth on.
    pub(crate) fn window(self) -> u64 {
        self.0 >> 32 << 32
    }

    /// Whether an address, given from the node's depth on, is within the route.
    #[inline]
    pub(crate) fn covers(self, window: u64) -> bool {
        (self.0 ^ window) >> (56_u8.wrapping_sub(self.bits()) & 63) == 0
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
            prop_assert_eq!(long.covers(window ^ 1 << flip), flip < u32::from(56 - bits));
            let other = Long::new(window, bits, index ^ 1);
            prop_assert!(long.same_route(other) && long != other);
            prop_assert!(bits == LONG_BITS || !long.same_route(Long::new(window, bits + 1, index)));
            prop_assert_eq!(Long::from_bits(long.to_bits()), long);
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
        assert_eq!((run.rank(), run), (0, Run::new(0, 0)));
        let run = Run::new(9, INDEX);
        assert_eq!((run.rank(), run.index(), run.is_narrow()), (9, INDEX, false));
        assert_eq!(Run::from_wide(run.to_wide()), run);
        assert!(!Run::new(9, 4096).is_narrow());
        for run in [Run::new(1, 4095), Run::new(9, 4095), Run::new(9, 0), Run::default()] {
            assert!(run.is_narrow());
            assert_eq!(Run::from_narrow(run.to_narrow()), run);
        }
    }
}
