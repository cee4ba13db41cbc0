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
    pub(crate) fn from_words(words: [u64; 4]) -> Self {
        let mut before = [0; 4];
        let mut sum = 0;
        for (before, word) in before.iter_mut().zip(words) {
            *before = sum as u8;
            sum += word.count_ones();
        }
        Self { words: words.map(|word| [word as u32, (word >> 32) as u32]), before }
    }

    /// The word that has the bit of `byte`.
    #[inline]
    fn word(&self, byte: u8) -> u64 {
        let [low, high] = self.words[usize::from(byte >> 6)];
        u64::from(high) << 32 | u64::from(low)
    }

    fn words(&self) -> [u64; 4] {
        [0, 64, 128, 192].map(|byte| self.word(byte))
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
        let mut words = self.words();
        words[usize::from(byte >> 6)] |= 1 << (byte & 63);
        Self::from_words(words)
    }

    pub(crate) fn without(self, byte: u8) -> Self {
        let mut words = self.words();
        words[usize::from(byte >> 6)] &= !(1 << (byte & 63));
        Self::from_words(words)
    }

    /// Calls with the number and the value of each member, in ascending order.
    #[inline]
    pub(crate) fn for_each(&self, mut call: impl FnMut(usize, u8)) {
        let mut number = 0;
        for (mut word, base) in self.words().into_iter().zip([0_u8, 64, 128, 192]) {
            while word != 0 {
                call(number, base + word.trailing_zeros() as u8);
                number += 1;
                word &= word - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Ranks;

    fn listed(ranks: &Ranks) -> Vec<u8> {
        let mut all = Vec::new();
        ranks.for_each(|number, byte| {
            assert_eq!(number, all.len());
            all.push(byte);
        });
        all
    }

    proptest! {
        #[test]
        fn members_are_numbered_in_order(members: BTreeSet<u8>, probe: u8) {
            let ranks = members.iter().fold(Ranks::default(), |ranks, byte| ranks.with(*byte));
            prop_assert_eq!(listed(&ranks), members.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(ranks.len(), members.len());
            prop_assert_eq!(ranks.contains(probe), members.contains(&probe));
            prop_assert_eq!(ranks.up_to(probe), members.range(..=probe).count());
            let rest: Vec<_> = members.iter().filter(|byte| **byte != probe).copied().collect();
            prop_assert_eq!(listed(&ranks.without(probe)), rest);
        }
    }

    #[test]
    fn all_256_values_fit() {
        let full = Ranks::from_words([u64::MAX; 4]);
        assert_eq!((full.len(), full.up_to(0), full.up_to(200)), (256, 1, 201));
    }
}
