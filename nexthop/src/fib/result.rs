//! What a route says, in eight bytes.

use std::fmt;
use std::num::NonZeroU64;

use packet::{GroupSetId, Label, NextHopId};

const FIELD: u64 = 0xff_ffff;

/// What a lookup finds: next hop (24 bits), label or VNI to push (24), groups of the workloads behind the
/// route (16). `Option<FibResult>` takes eight bytes too.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct FibResult(NonZeroU64);

impl FibResult {
    /// A route that drops: the built-in next hop 0.
    pub const DISCARD: Self = Self::new(NextHopId(0), Label::NONE, GroupSetId(0));

    /// A result. Bits beyond 24 of the next hop and the label are cut off; discard (next hop 0) pushes nothing, so it
    /// has no label whatever is given.
    #[must_use]
    pub const fn new(next_hop: NextHopId, label: Label, groups: GroupSetId) -> Self {
        let next_hop = next_hop.0 as u64 & FIELD;
        let label = if next_hop == 0 { FIELD } else { label.0 as u64 & FIELD };
        // Never zero: with next hop 0 the label is not.
        match NonZeroU64::new(next_hop << 40 | label << 16 | groups.0 as u64) {
            Some(word) => Self(word),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// The next hop.
    #[inline]
    #[must_use]
    pub const fn next_hop(self) -> NextHopId {
        NextHopId((self.0.get() >> 40) as u32)
    }

    /// The label or VNI to push; `Label::NONE` leaves it to the next hop.
    #[inline]
    #[must_use]
    pub const fn label(self) -> Label {
        Label((self.0.get() >> 16 & FIELD) as u32)
    }

    /// The security groups of the workloads behind the route.
    #[inline]
    #[must_use]
    pub const fn groups(self) -> GroupSetId {
        GroupSetId(self.0.get() as u16)
    }

    /// As a word, which is never zero.
    #[inline]
    pub(crate) const fn to_word(self) -> u64 {
        self.0.get()
    }

    /// From a word; zero is none.
    #[inline]
    pub(crate) const fn from_word(word: u64) -> Option<Self> {
        match NonZeroU64::new(word) {
            Some(word) => Some(Self(word)),
            None => None,
        }
    }
}

impl fmt::Debug for FibResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("FibResult");
        f.field("next_hop", &self.next_hop().0);
        if self.label().is_some() {
            f.field("label", &self.label().0);
        }
        f.field("groups", &self.groups().0).finish()
    }
}

#[cfg(test)]
mod tests {
    use packet::{GroupSetId, Label, NextHopId};

    use super::FibResult;

    #[test]
    fn the_three_parts_come_back_at_their_edges() {
        for next_hop in [1, 5, 0xff_ffff] {
            for label in [Label(0), Label(16), Label(0xf_ffff), Label::NONE] {
                for groups in [0, 1, u16::MAX] {
                    let result = FibResult::new(NextHopId(next_hop), label, GroupSetId(groups));
                    assert_eq!(result.next_hop(), NextHopId(next_hop));
                    assert_eq!(result.label(), label);
                    assert_eq!(result.groups(), GroupSetId(groups));
                    assert_eq!(FibResult::from_word(result.to_word()), Some(result));
                }
            }
        }
    }

    #[test]
    fn discard_has_no_label_so_no_result_is_zero() {
        let discard = FibResult::new(NextHopId(0), Label(0), GroupSetId(0));
        assert_eq!(discard, FibResult::DISCARD);
        assert_eq!(discard.label(), Label::NONE);
        assert_eq!(FibResult::new(NextHopId(0), Label(3), GroupSetId(7)).groups(), GroupSetId(7));
        assert_eq!(FibResult::new(NextHopId(1 << 24), Label(0), GroupSetId(0)), FibResult::DISCARD);
        assert_eq!(FibResult::from_word(0), None);
        assert_eq!(size_of::<Option<FibResult>>(), 8);
    }

    #[test]
    fn a_result_is_shown_without_the_label_it_does_not_have() {
        let shown = |label| format!("{:?}", FibResult::new(NextHopId(5), label, GroupSetId(1)));
        assert_eq!(shown(Label(32)), "FibResult { next_hop: 5, label: 32, groups: 1 }");
        assert_eq!(shown(Label::NONE), "FibResult { next_hop: 5, groups: 1 }");
    }
}
