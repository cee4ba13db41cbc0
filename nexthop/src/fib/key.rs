//! What the FIB needs of an address, so that one trie and one host table serve both families.

use std::fmt::Debug;

/// What a hash table can find again.
pub(crate) trait HashKey: Copy + Debug + Default + Eq + Send + Sync + 'static {
    /// As it is stored in buckets and nodes: needs no more than eight-byte alignment.
    type Stored: Copy + Debug + Default + Eq + Send + Sync + 'static;

    fn store(self) -> Self::Stored;
    fn load(stored: Self::Stored) -> Self;
    /// Spreads the key over 64 bits.
    fn hash(self) -> u64;
}

/// An address as the trie sees it: bits from the most significant down.
pub(crate) trait Key: HashKey + Ord {
    /// Bits of an address.
    const BITS: u8;

    /// The 64 bits from bit `depth` on, zeros behind the end. `depth` is below `BITS`.
    fn window(self, depth: u8) -> u64;
    /// The eight bits from bit `depth` on; `depth` is a multiple of eight, below `BITS`.
    fn byte(self, depth: u8) -> u8;
    /// The address from bit 127 down, zeros behind.
    fn aligned(self) -> u128;
    /// The inverse of [`aligned`](Self::aligned).
    fn from_aligned(aligned: u128) -> Self;
    /// An address with these 64 bits from bit `depth` on, zeros before and behind. `depth` is below `BITS`.
    fn from_window(depth: u8, window: u64) -> Self;
    /// The first `length` bits, zeros behind.
    fn masked(self, length: u8) -> Self;
    /// The last address with the same first `length` bits.
    fn last(self, length: u8) -> Self;
    /// Bits of both.
    fn or(self, other: Self) -> Self;
    /// The next address; 0 behind the last.
    fn next(self) -> Self;
    /// The one before; the last before 0.
    fn previous(self) -> Self;
    /// How many leading bits are the same.
    fn common(self, other: Self) -> u8;
    /// Whether the first `length` bits are the same; `length` is below `BITS`.
    fn agrees(self, other: Self, length: u8) -> bool;
}

/// Lets every bit of a word change every bit of the result: two rounds of multiply and fold high bits back.
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 29).wrapping_mul(0xd6e8_feb8_6659_fd93);
    word ^ word >> 32
}

impl HashKey for u64 {
    type Stored = Self;

    #[inline]
    fn store(self) -> Self {
        self
    }
    #[inline]
    fn load(stored: Self) -> Self {
        stored
    }
    #[inline]
    fn hash(self) -> u64 {
        mix(self)
    }
}

impl HashKey for u32 {
    type Stored = Self;

    #[inline]
    fn store(self) -> Self {
        self
    }
    #[inline]
    fn load(stored: Self) -> Self {
        stored
    }
    #[inline]
    fn hash(self) -> u64 {
        mix(u64::from(self))
    }
}

impl Key for u32 {
    const BITS: u8 = 32;

    #[inline]
    fn window(self, depth: u8) -> u64 {
        u64::from(self) << (32 + (depth & 31))
    }
    #[inline]
    fn byte(self, depth: u8) -> u8 {
        self.rotate_left(u32::from(depth) + 8) as u8
    }
    #[inline]
    fn aligned(self) -> u128 {
        u128::from(self) << 96
    }
    #[inline]
    fn from_aligned(aligned: u128) -> Self {
        (aligned >> 96) as Self
    }
    #[inline]
    fn from_window(depth: u8, window: u64) -> Self {
        (window >> (32 + (depth & 31))) as Self
    }
    #[inline]
    fn masked(self, length: u8) -> Self {
        self & !Self::MAX.checked_shr(u32::from(length)).unwrap_or(0)
    }
    #[inline]
    fn last(self, length: u8) -> Self {
        self | Self::MAX.checked_shr(u32::from(length)).unwrap_or(0)
    }
    #[inline]
    fn or(self, other: Self) -> Self {
        self | other
    }
    #[inline]
    fn next(self) -> Self {
        self.wrapping_add(1)
    }
    #[inline]
    fn previous(self) -> Self {
        self.wrapping_sub(1)
    }
    #[inline]
    fn common(self, other: Self) -> u8 {
        (self ^ other).leading_zeros() as u8
    }
    #[inline]
    fn agrees(self, other: Self, length: u8) -> bool {
        (self ^ other) >> 1 >> (31 - (length & 31)) == 0
    }
}

impl HashKey for u128 {
    type Stored = [u64; 2];

    #[inline]
    fn store(self) -> [u64; 2] {
        [(self >> 64) as u64, self as u64]
    }
    #[inline]
    fn load([high, low]: [u64; 2]) -> Self {
        Self::from(high) << 64 | Self::from(low)
    }
    #[inline]
    fn hash(self) -> u64 {
        let [high, low] = self.store();
        mix(low ^ mix(high))
    }
}

impl Key for u128 {
    const BITS: u8 = 128;

    #[inline]
    fn window(self, depth: u8) -> u64 {
        // In halves: processors have no shift of 128 bits.
        let [high, low] = self.store();
        if depth < 64 { high << depth | low >> 1 >> (63 - depth) } else { low << (depth & 63) }
    }
    #[inline]
    fn byte(self, depth: u8) -> u8 {
        let [high, low] = self.store();
        let half = if depth < 64 { high } else { low };
        half.rotate_left(u32::from(depth) + 8) as u8
    }
    #[inline]
    fn aligned(self) -> u128 {
        self
    }
    #[inline]
    fn from_aligned(aligned: u128) -> Self {
        aligned
    }
    #[inline]
    fn from_window(depth: u8, window: u64) -> Self {
        Self::from(window) << 64 >> (depth & 127)
    }
    #[inline]
    fn masked(self, length: u8) -> Self {
        self & !Self::MAX.checked_shr(u32::from(length)).unwrap_or(0)
    }
    #[inline]
    fn last(self, length: u8) -> Self {
        self | Self::MAX.checked_shr(u32::from(length)).unwrap_or(0)
    }
    #[inline]
    fn or(self, other: Self) -> Self {
        self | other
    }
    #[inline]
    fn next(self) -> Self {
        self.wrapping_add(1)
    }
    #[inline]
    fn previous(self) -> Self {
        self.wrapping_sub(1)
    }
    #[inline]
    fn common(self, other: Self) -> u8 {
        (self ^ other).leading_zeros() as u8
    }
    #[inline]
    fn agrees(self, other: Self, length: u8) -> bool {
        let [high, low] = (self ^ other).store();
        if length < 64 {
            high >> 1 >> (63 - length) == 0
        } else {
            high == 0 && low >> 1 >> (63 - (length & 63)) == 0
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{HashKey, Key};

    fn agrees_with_bits<K: Key>(a: K, b: K, length: u8, bit: impl Fn(K, u8) -> bool) {
        let same = (0..K::BITS).take_while(|i| bit(a, *i) == bit(b, *i)).count();
        assert_eq!(K::load(a.store()), a);
        assert_eq!(K::from_aligned(a.aligned()), a);
        assert_eq!(usize::from(a.common(b)), same);
        assert!((0..K::BITS).all(|i| bit(a.masked(length), i) == (i < length && bit(a, i))));
        assert!((0..K::BITS).all(|i| bit(a.last(length), i) == (i >= length || bit(a, i))));
        assert!((0..K::BITS).all(|i| bit(a.or(b), i) == (bit(a, i) || bit(b, i))));
        assert_eq!(a.next().aligned(), a.aligned().wrapping_add(1 << (128 - u32::from(K::BITS))));
        assert_eq!(a.next().previous(), a);
        assert!((0..128).all(|i| (a.aligned() >> (127 - i) & 1 == 1) == (i < K::BITS && bit(a, i))));
        if length < K::BITS {
            assert_eq!(a.agrees(b, length), same >= usize::from(length));
            let window = a.window(length);
            let end = length.saturating_add(64).min(K::BITS);
            assert_eq!(a.masked(length).or(K::from_window(length, window)), a.masked(end));
            assert_eq!(K::from_window(length, window).masked(length), K::default());
            assert_eq!(a.byte(length & !7), (a.window(length & !7) >> 56) as u8);
            for i in 0..64 {
                let expected = length.checked_add(i).is_some_and(|at| at < K::BITS && bit(a, at));
                assert_eq!(window >> (63 - i) & 1 == 1, expected);
            }
        }
    }

    proptest! {
        #[test]
        fn both_families_mean_the_same_by_it(a: u128, flip in 0..129_u32, length in 0..=128_u8) {
            let b = a ^ 1_u128.checked_shl(flip).unwrap_or(0);
            agrees_with_bits(a, b, length, |k, i| k >> (127 - i) & 1 == 1);
            let (a, b) = ((a >> 96) as u32, (b >> 96) as u32);
            agrees_with_bits(a, b, length % 33, |k, i| k >> (31 - i) & 1 == 1);
        }

        #[test]
        fn neighbours_hash_far_apart(a: u128) {
            prop_assert_ne!(a.hash() >> 32, (a ^ 1).hash() >> 32);
            prop_assert_ne!(a.hash(), (a ^ 1 << 64).hash());
        }
    }
}
