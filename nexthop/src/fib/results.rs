//! The results that tries point to, each distinct one once.
//!
//! An internet table has a million prefixes and a handful of results: numbers instead of results make the
//! nodes small. A result stays for as long as some route uses it; a number that has become free is given to the next new
//! result, so numbers stay small too.

use super::hosts::Hosts;
use super::result::FibResult;
use super::route::INDEX_BITS;
use crate::paged::Paged;

/// A result and by how many routes it is used, or a free number.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The result; if free, one more than the next free number, or 0.
    word: u64,
    /// 0: free.
    uses: u32,
}

/// A persistent table from numbers to results, as words, and back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    slots: Paged<Slot>,
    /// What lookups read: the results that are used.
    read: Paged<FibResult, 256>,
    /// One more than the number of each result.
    numbers: Hosts<u64>,
    /// One more than the number that was freed last, or 0.
    free: u64,
}

impl Results {
    /// The result with this number.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<FibResult> {
        self.read.get(number).copied()
    }

    /// The number of a result, which one more route uses. None if there are 2^24 results already.
    pub(crate) fn take(&mut self, result: FibResult) -> Option<u32> {
        let word = result.to_word();
        if let Some(number) = self.numbers.get(word) {
            let number = (number - 1) as u32;
            self.slots.get_mut(number)?.uses += 1;
            return Some(number);
        }
        let number = match self.free.checked_sub(1) {
            Some(number) => {
                self.free = self.slots.get(number as u32)?.word;
                number as u32
            }
            None => u32::try_from(self.slots.len()).ok().filter(|number| number >> INDEX_BITS == 0)?,
        };
        self.slots.set(number, Slot { word, uses: 1 });
        self.read.set(number, result);
        self.numbers.insert(word, u64::from(number) + 1);
        Some(number)
    }

    /// One route less uses the number; returns its result.
    pub(crate) fn release(&mut self, number: u32) -> Option<FibResult> {
        let slot = self.slots.get_mut(number).filter(|slot| slot.uses > 0)?;
        let result = slot.word;
        slot.uses -= 1;
        if slot.uses == 0 {
            slot.word = self.free;
            self.free = u64::from(number) + 1;
            self.numbers.remove(result);
            self.read.remove(number);
        }
        FibResult::from_word(result)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{FibResult, Results};

    proptest! {
        #[test]
        fn each_result_has_one_number_for_as_long_as_it_is_used(
            steps in prop::collection::vec((1..8_u64, any::<bool>()), 0..80),
        ) {
            let mut results = Results::default();
            // Number and uses.
            let mut twin = BTreeMap::<u64, (u32, u32)>::new();
            let mut most = 0;
            for (result, take) in steps {
                let word = FibResult::from_word(result).unwrap();
                if take {
                    let number = results.take(word).unwrap();
                    let entry = twin.entry(result).or_insert((number, 0));
                    prop_assert_eq!(entry.0, number);
                    entry.1 += 1;
                } else if let Some((number, uses)) = twin.get_mut(&result) {
                    prop_assert_eq!(results.release(*number), Some(word));
                    *uses -= 1;
                    if *uses == 0 {
                        prop_assert_eq!(results.get(*number), None);
                        prop_assert_eq!(results.release(*number), None);
                        twin.remove(&result);
                    }
                }
                most = most.max(twin.len());
                for (result, (number, _)) in &twin {
                    prop_assert_eq!(results.get(*number), FibResult::from_word(*result));
                    prop_assert!((*number as usize) < most, "free numbers are used first");
                }
            }
            prop_assert_eq!(results.get(1_000), None);
        }
    }
}
