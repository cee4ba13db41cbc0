//! The results that tries point to, each distinct one once.
//!
//! An internet table has a million prefixes and a handful of results: numbers instead of results make the
//! nodes small. A result stays for as long as some route uses it; a number that has become free is given to the next new
//! result, so numbers stay small too.

use super::entry::INDEX_BITS;
use super::hosts::Hosts;
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
    /// One more than the number of each result.
    numbers: Hosts<u64>,
    /// One more than the number that was freed last, or 0.
    free: u64,
}

impl Results {
    /// The result with this number.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<u64> {
        self.slots.get(number).filter(|slot| slot.uses > 0).map(|slot| slot.word)
    }

    /// The number of a result, which one more route uses. None if there are 2^27 results already.
    pub(crate) fn take(&mut self, result: u64) -> Option<u32> {
        if let Some(number) = self.numbers.get(result) {
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
        self.slots.set(number, Slot { word: result, uses: 1 });
        self.numbers.insert(result, u64::from(number) + 1);
        Some(number)
    }

    /// One route less uses the number; returns its result.
    pub(crate) fn release(&mut self, number: u32) -> Option<u64> {
        let slot = self.slots.get_mut(number).filter(|slot| slot.uses > 0)?;
        let result = slot.word;
        slot.uses -= 1;
        if slot.uses == 0 {
            slot.word = self.free;
            self.free = u64::from(number) + 1;
            self.numbers.remove(result);
        }
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Results;

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
                if take {
                    let number = results.take(result).unwrap();
                    let entry = twin.entry(result).or_insert((number, 0));
                    prop_assert_eq!(entry.0, number);
                    entry.1 += 1;
                } else if let Some((number, uses)) = twin.get_mut(&result) {
                    prop_assert_eq!(results.release(*number), Some(result));
                    *uses -= 1;
                    if *uses == 0 {
                        prop_assert_eq!(results.get(*number), None);
                        prop_assert_eq!(results.release(*number), None);
                        twin.remove(&result);
                    }
                }
                most = most.max(twin.len());
                for (result, (number, _)) in &twin {
                    prop_assert_eq!(results.get(*number), Some(*result));
                    prop_assert!((*number as usize) < most, "free numbers are used first");
                }
            }
            prop_assert_eq!(results.get(1_000), None);
        }
    }
}
