//! For an address, the prefixes that contain it, longest first.

use std::collections::BTreeMap;

/// No prefix.
const NONE: u32 = u32::MAX;

/// An address as a number, its first bit the highest.
pub(super) trait Bits: Copy + Ord {
    /// Address 0.
    const ZERO: Self;
    /// The address behind this one, if there is any.
    fn next(self) -> Option<Self>;
    /// The last address of the prefix of this length that begins here.
    fn last_of(self, length: u8) -> Self;
}

macro_rules! bits {
    ($number:ty) => {
        impl Bits for $number {
            const ZERO: Self = 0;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn last_of(self, length: u8) -> Self {
                self | <$number>::MAX.checked_shr(u32::from(length)).unwrap_or(0)
            }
        }
    };
}

bits!(u32);
bits!(u128);

/// A set of prefixes of one family with a value each. Prefixes are nested or apart, so the addresses fall
/// into intervals that each have one longest prefix; from there every prefix leads to the next shorter one.
#[derive(Clone, Debug)]
pub(super) struct Prefixes<A, V> {
    /// Where intervals begin, ascending; the first one at 0.
    starts: Box<[A]>,
    /// The longest prefix of each interval.
    longest: Box<[u32]>,
    /// Per prefix: its value, and the next shorter prefix around it.
    prefixes: Box<[(V, u32)]>,
}

impl<A: Bits, V> Prefixes<A, V> {
    /// From prefixes as (first address, length).
    pub(super) fn new(prefixes: BTreeMap<(A, u8), V>) -> Self {
        let mut all = Vec::with_capacity(prefixes.len());
        let mut intervals: Vec<(A, u32)> = vec![(A::ZERO, NONE)];
        // The prefixes around the current address, outermost first, each with its last address.
        let mut around: Vec<(A, u32)> = Vec::new();
        for ((first, length), value) in prefixes {
            close(&mut around, &mut intervals, Some(first));
            let parent = around.last().map_or(NONE, |(_, prefix)| *prefix);
            let prefix = all.len() as u32;
            all.push((value, parent));
            begin(&mut intervals, first, prefix);
            around.push((first.last_of(length), prefix));
        }
        close(&mut around, &mut intervals, None);
        let (starts, longest): (Vec<A>, Vec<u32>) = intervals.into_iter().unzip();
        Self { starts: starts.into(), longest: longest.into(), prefixes: all.into() }
    }

    /// The values of the prefixes that contain `address`, longest first.
    pub(super) fn around(&self, address: A) -> impl Iterator<Item = &V> {
        let interval = self.starts.partition_point(|start| *start <= address);
        let longest = interval.checked_sub(1).and_then(|interval| self.longest.get(interval)).copied();
        let first = longest.and_then(|prefix| self.prefixes.get(prefix as usize));
        std::iter::successors(first, |(_, parent)| self.prefixes.get(*parent as usize))
            .map(|(value, _)| value)
    }

    /// The same prefixes with other values.
    pub(super) fn map<W>(self, mut change: impl FnMut(V) -> W) -> Prefixes<A, W> {
        let prefixes = self.prefixes.into_iter().map(|(value, parent)| (change(value), parent)).collect();
        Prefixes { starts: self.starts, longest: self.longest, prefixes }
    }

    /// Changes each value, given that of the next shorter prefix around it.
    pub(super) fn update(&mut self, mut change: impl FnMut(&mut V, Option<&V>)) {
        // A prefix comes behind those around it.
        for at in 0..self.prefixes.len() {
            let (before, rest) = self.prefixes.split_at_mut(at);
            if let Some((value, parent)) = rest.first_mut() {
                change(value, before.get(*parent as usize).map(|(value, _)| value));
            }
        }
    }
}

/// Ends the prefixes that lie wholly below `address` (`None`: all); at the end of each, the one around it
/// goes on.
fn close<A: Bits>(around: &mut Vec<(A, u32)>, intervals: &mut Vec<(A, u32)>, address: Option<A>) {
    while let Some((last, _)) = around.last().copied().filter(|(last, _)| address.is_none_or(|a| *last < a)) {
        around.pop();
        if let Some(next) = last.next() {
            begin(intervals, next, around.last().map_or(NONE, |(_, prefix)| *prefix));
        }
    }
}

/// From `address` on, `prefix` is the longest.
fn begin<A: Bits>(intervals: &mut Vec<(A, u32)>, address: A, prefix: u32) {
    match intervals.last_mut() {
        Some((start, longest)) if *start == address => *longest = prefix,
        _ => intervals.push((address, prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(address: u128, length: u8) -> u128 {
        address & !u128::MAX.checked_shr(u32::from(length)).unwrap_or(0)
    }

    #[test]
    fn nested_prefixes_come_longest_first() {
        let ten = 10_u128 << 120;
        let all = Prefixes::new(BTreeMap::from([
            ((0, 0), 'a'),
            ((ten, 8), 'b'),
            ((ten, 16), 'c'),
            ((ten, 128), 'd'),
        ]));
        assert_eq!(all.around(ten).collect::<String>(), "dcba");
        assert_eq!(all.around(ten + 1).collect::<String>(), "cba");
        assert_eq!(all.around(ten | 1 << 112).collect::<String>(), "ba");
        assert_eq!(all.around(u128::MAX).collect::<String>(), "a");
    }

    #[test]
    fn the_last_address_of_all_belongs_to_its_prefix() {
        let all = Prefixes::new(BTreeMap::from([((u128::MAX, 128), 'x'), ((u128::MAX << 8, 120), 'y')]));
        assert_eq!(all.around(u128::MAX).collect::<String>(), "xy");
        assert_eq!(all.around(u128::MAX - 1).collect::<String>(), "y");
        assert_eq!(all.around(0).count(), 0);
    }

    #[test]
    fn an_update_sees_the_prefix_around() {
        let ten = 10_u128 << 120;
        let mut all = Prefixes::new(BTreeMap::from([((0, 0), 1), ((ten, 8), 10), ((ten, 16), 100)]));
        all.update(|value, parent| *value += parent.copied().unwrap_or(0));
        assert_eq!(all.around(ten).copied().collect::<Vec<_>>(), [111, 11, 1]);
    }

    proptest! {
        #[test]
        fn all_prefixes_that_contain_an_address_are_found(
            prefixes in prop::collection::vec((0_u128..16, 0_u8..=128), 0..20), low in 0_u128..16, top in 0_u128..16
        ) {
            // Addresses vary in the highest and the lowest four bits.
            let spread = |n: u128| n << 124 | n;
            let set: BTreeMap<_, _> =
                prefixes.iter().map(|(n, length)| ((masked(spread(*n), *length), *length), *length)).collect();
            let address = top << 124 | low;
            let mut expected: Vec<u8> =
                set.keys().filter(|(first, length)| masked(address, *length) == *first).map(|(_, l)| *l).collect();
            expected.reverse();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            let found: Vec<u8> = Prefixes::new(set).around(address).copied().collect();
            prop_assert_eq!(found, expected);
        }
    }
}
