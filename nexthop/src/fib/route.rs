//! Routes and what they lead to, as the trie keeps them.

use super::key::Key;

/// Bits of a result's number.
pub(crate) const INDEX_BITS: u32 = 24;
const INDEX: u32 = (1 << INDEX_BITS) - 1;

/// A prefix shorter than a whole address, and the number of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route<K> {
    /// Zeros behind the prefix.
    pub(crate) key: K,
    pub(crate) length: u8,
    pub(crate) result: u32,
}

impl<K: Key> Route<K> {
    /// What routes are sorted by: those that cover others come first.
    pub(crate) fn order(&self) -> (K, u8) {
        (self.key, self.length)
    }

    /// The last address.
    pub(crate) fn last(&self) -> K {
        self.key.last(self.length)
    }

    /// The depth of the deepest node that could hold it.
    pub(crate) fn depth(&self) -> u8 {
        self.length.saturating_sub(1) & !7
    }
}

/// The deepest depth, a multiple of eight, at which all these sorted routes have the same bits before them.
pub(crate) fn shared_depth<K: Key>(routes: &[Route<K>]) -> u8 {
    let (Some(first), Some(last)) = (routes.first(), routes.last()) else { return 0 };
    let common = first.key.common(last.key) & !7;
    routes.iter().map(Route::depth).fold(common, u8::min)
}

/// What a place in a node shows: the longest route of the node that covers it, as its length and the number of its result;
/// or nothing. The longer one of two is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shown(u32);

impl Shown {
    pub(crate) const NOTHING: Self = Self(0);

    #[inline(always)]
    pub(crate) fn new(length: u8, result: u32) -> Self {
        Self((u32::from(length) + 1) << INDEX_BITS | result & INDEX)
    }

    /// A result as something longer than any route; nothing if there is none, which `result` 0 must say too. Without a
    /// branch, since nobody could predict it.
    #[inline(always)]
    pub(crate) fn longest(any: bool, result: u32) -> Self {
        Self(u32::from(any).wrapping_neg() << INDEX_BITS | result)
    }

    #[inline(always)]
    pub(crate) fn to_bits(self) -> u32 {
        self.0
    }

    /// The length of the route; none if nothing is shown.
    #[inline(always)]
    pub(crate) fn length(self) -> Option<u8> {
        ((self.0 >> INDEX_BITS) as u8).checked_sub(1)
    }

    /// The number of the result; meaningful if something is shown.
    #[inline(always)]
    pub(crate) fn result(self) -> u32 {
        self.0 & INDEX
    }
}

#[cfg(test)]
mod tests {
    use super::{INDEX, Route, Shown, shared_depth};

    #[test]
    fn what_is_shown_comes_back_and_the_longer_one_is_greater() {
        for (length, result) in [(0, 0), (9, 4_095), (127, INDEX), (17, 2_047)] {
            let shown = Shown::new(length, result);
            assert_eq!((shown.length(), shown.result()), (Some(length), result));
            assert!(shown > Shown::NOTHING && Shown::new(length + 1, 0) > shown);
        }
        assert_eq!(Shown::NOTHING.length(), None);
    }

    #[test]
    fn the_shared_depth_is_that_of_the_shortest_and_of_what_differs() {
        let route = |key: u32, length| Route { key, length, result: 0 };
        assert_eq!(shared_depth::<u32>(&[]), 0);
        assert_eq!(shared_depth(&[route(0x0a01_0200, 24)]), 16);
        assert_eq!(shared_depth(&[route(0x0a01_0200, 25)]), 24);
        assert_eq!(shared_depth(&[route(0x0a01_0200, 25), route(0x0a01_0280, 25)]), 24);
        assert_eq!(shared_depth(&[route(0x0a01_0200, 25), route(0x0a01_0380, 25)]), 16);
        assert_eq!(
            shared_depth(&[route(0x0a01_0000, 17), route(0x0a01_0000, 31), route(0x0a01_0380, 25)]),
            16
        );
        assert_eq!(shared_depth(&[route(0, 0), route(0x0a01_0000, 17)]), 0);
        assert_eq!(route(0x0a00_0000, 8).last(), 0x0aff_ffff);
    }
}
