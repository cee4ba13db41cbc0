//! A set of the 256 values of one byte that also numbers its members.

/// A set of bytes; members are numbered in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranks {
    /// One bit per byte: words of 64, each as its lower and its upper half, lest padding follows what is before.
    words: [[u32; 2]; 4],
    /// How many members the words before this one have. 192 at most.
    before: [u8; 4],
}

impl Ranks {
    /// The word that has the bit of `byte`.
    #[inline]
    fn word(&self, byte: u8) -> u64 {
        let [low, high] = self.words[usize::from(byte >> 6)];
        u64::from(high) << 32 | u64::from(low)
    }

    /// The set without the numbers.
    pub(crate) fn bits(&self) -> Bits {
        Bits([0, 64, 128, 192].map(|byte| self.word(byte)))
    }

    /// How many members are not above `byte`.
    #[inline]
    pub(crate) fn up_to(&self, byte: u8) -> usize {
        let below = self.word(byte) << (63 - (byte & 63));
        usize::from(self.before[usize::from(byte >> 6)]) + below.count_ones() as usize
    }

    #[inline]
    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.word(byte) >> (byte & 63) & 1 == 1
    }

    /// The number of members.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.up_to(255)
    }

    pub(crate) fn with(self, byte: u8) -> Self {
        let mut bits = self.bits();
        bits.set(byte, true);
        bits.into()
    }

    pub(crate) fn without(self, byte: u8) -> Self {
        let mut bits = self.bits();
        bits.set(byte, false);
        bits.into()
    }

    /// The members above `low` and not above `high`, in ascending order.
    pub(crate) fn between(&self, low: u8, high: u8) -> impl Iterator<Item = u8> {
        let Bits(words) = self.bits();
        (low >> 6..=high >> 6).flat_map(move |i| {
            let base = i << 6;
            let mut word = words[usize::from(i)];
            word &= if low < base { u64::MAX } else { u64::MAX << (low & 63) << 1 };
            word &= if high > base | 63 { u64::MAX } else { u64::MAX >> (63 - (high & 63)) };
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as u8)?;
                word &= word - 1;
                Some(base + bit)
            })
        })
    }
}

/// A set of bytes that is being changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits([u64; 4]);

impl Bits {
    /// Whether `byte` is a member from now on.
    pub(crate) fn set(&mut self, byte: u8, member: bool) {
        let word = &mut self.0[usize::from(byte >> 6)];
        *word = *word & !(1 << (byte & 63)) | u64::from(member) << (byte & 63);
    }
}

impl From<Bits> for Ranks {
    fn from(Bits(words): Bits) -> Self {
        let mut before = [0; 4];
        let mut sum = 0;
        for (before, word) in before.iter_mut().zip(words) {
            *before = sum as u8;
            sum += word.count_ones();
        }
        Self { words: words.map(|word| [word as u32, (word >> 32) as u32]), before }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{Bits, Ranks};

    proptest! {
        #[test]
        fn members_are_numbered_in_order(
            members: BTreeSet<u8>, probe: u8, high: u8,
        ) {
            let ranks = members.iter().fold(Ranks::default(), |ranks, byte| ranks.with(*byte));
            prop_assert_eq!(ranks.len(), members.len());
            prop_assert_eq!(ranks.contains(probe), members.contains(&probe));
            prop_assert_eq!(ranks.up_to(probe), members.range(..=probe).count());
            let rest = ranks.without(probe);
            prop_assert!(!rest.contains(probe));
            prop_assert!((0..=255).all(|b| rest.contains(b) == (b != probe && members.contains(&b))));
            let (low, high) = (probe.min(high), probe.max(high));
            let between = members.iter().copied().filter(|byte| (low..=high).contains(byte) && *byte != low);
            prop_assert!(ranks.between(low, high).eq(between));
        }
    }

    #[test]
    fn all_256_values_fit() {
        let full = Ranks::from(Bits([u64::MAX; 4]));
        assert_eq!((full.len(), full.up_to(0), full.up_to(200)), (256, 1, 201));
        assert!(full.between(0, 255).eq(1..=255));
    }
}
