//! A set of the 256 values of one byte that also numbers its members.

/// A set of bytes; members are numbered in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranks {
    words: [u64; 4],
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
        Self { words, before }
    }

    /// How many members are not above `byte`.
    #[inline]
    pub(crate) fn up_to(&self, byte: u8) -> usize {
        let word = usize::from(byte >> 6);
        let below = self.words[word] << (63 - (byte & 63));
        usize::from(self.before[word]) + below.count_ones() as usize
    }

    #[inline]
    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.words[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// The number of members.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.up_to(255)
    }

    pub(crate) fn with(mut self, byte: u8) -> Self {
        self.words[usize::from(byte >> 6)] |= 1 << (byte & 63);
        Self::from_words(self.words)
    }

    pub(crate) fn without(mut self, byte: u8) -> Self {
        self.words[usize::from(byte >> 6)] &= !(1 << (byte & 63));
        Self::from_words(self.words)
    }

    /// The members in ascending order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        self.words.into_iter().zip([0_u8, 64, 128, 192]).flat_map(|(mut word, base)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as u8)?;
                word &= word - 1;
                Some(base + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Ranks;

    proptest! {
        #[test]
        fn members_are_numbered_in_order(members: BTreeSet<u8>, probe: u8) {
            let ranks = members.iter().fold(Ranks::default(), |ranks, byte| ranks.with(*byte));
            prop_assert!(ranks.iter().eq(members.iter().copied()));
            prop_assert_eq!(ranks.len(), members.len());
            prop_assert_eq!(ranks.contains(probe), members.contains(&probe));
            prop_assert_eq!(ranks.up_to(probe), members.range(..=probe).count());
            let rest = members.iter().filter(|byte| **byte != probe).copied();
            prop_assert!(ranks.without(probe).iter().eq(rest));
        }
    }

    #[test]
    fn all_256_values_fit() {
        let full = Ranks::from_words([u64::MAX; 4]);
        assert_eq!((full.len(), full.up_to(0), full.up_to(200)), (256, 1, 201));
    }
}
