//! Counting the starts of a leaf that are not behind an address: many at once, without a branch.

use zerocopy::FromBytes;
use zerocopy::IntoBytes;

macro_rules! count {
    ($name:ident, $start:ty, $lanes:literal) => {
        /// How many starts are not behind an address.
        #[inline]
        pub(crate) fn $name(starts: &[u64], address: $start) -> usize {
            let steps = <[[$start; $lanes]]>::ref_from_bytes(starts.as_bytes()).unwrap_or_default();
            let mut counts = [0 as $start; $lanes];
            for step in steps {
                for (count, start) in counts.iter_mut().zip(step) {
                    *count += <$start>::from(*start <= address);
                }
            }
            counts.iter().map(|count| *count as usize).sum()
        }
    };
}
count!(count16, u16, 8);
count!(count32, u32, 4);
count!(count64, u64, 2);

/// The same for starts of two words, the more significant one first.
pub(crate) fn count128(starts: &[u64], address: u128) -> usize {
    let (starts, _) = starts.as_chunks::<2>();
    starts.iter().filter(|[high, low]| u128::from(*high) << 64 | u128::from(*low) <= address).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::{FromBytes, IntoBytes};

    use super::{count16, count32, count64, count128};
    use crate::fib::machine::{not_behind16, not_behind32};

    proptest! {
        #[test]
        fn starts_not_behind_an_address_are_counted(mut words: [u64; 16], address: u64, pick in 0..64_usize) {
            let pairs = |words: &[u64]| words.chunks(2).map(|w| u128::from(w[0]) << 64 | u128::from(w[1])).collect::<Vec<_>>();
            let starts16 = <[u16]>::ref_from_bytes(words.as_bytes()).unwrap();
            for address in [address as u16, starts16[pick], 0, u16::MAX] {
                let expected = starts16.iter().filter(|start| **start <= address).count();
                prop_assert_eq!(count16(&words, address), expected);
                let bits = not_behind16(&words, address);
                prop_assert!((0..64).all(|i| (bits >> i & 1 == 1) == (starts16[i] <= address)));
                prop_assert_eq!(not_behind16(words.first_chunk::<8>().unwrap(), address), bits & 0xffff_ffff);
            }
            let starts32 = <[u32]>::ref_from_bytes(words.as_bytes()).unwrap();
            for address in [address as u32, starts32[pick / 2], 0, u32::MAX] {
                let bits = not_behind32(&words, address);
                prop_assert!((0..64).all(|i| (bits >> i & 1 == 1) == starts32.get(i).is_some_and(|s| *s <= address)));
                prop_assert_eq!(count32(&words, address), starts32.iter().filter(|start| **start <= address).count());
            }
            for address in [address, words[pick / 4], 0, u64::MAX] {
                prop_assert_eq!(count64(&words, address), words.iter().filter(|start| **start <= address).count());
            }
            words[0] = words[2];
            for address in [pairs(&words)[pick / 8], pairs(&words)[pick / 8].wrapping_sub(1), 0, u128::MAX] {
                prop_assert_eq!(count128(&words, address), pairs(&words).iter().filter(|start| **start <= address).count());
            }
        }
    }
}
