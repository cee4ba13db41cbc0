//! Which next hop or VRF an MPLS label or a VNI names.

use packet::{Label, NextHopId, VrfId};

use crate::paged::Paged;

/// What a label or VNI on a received packet leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This next hop: an interface, as a rule.
    NextHop(NextHopId),
    /// A lookup of the inner destination in this VRF.
    Vrf(VrfId),
}

/// The value cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not in {first}..={last}")]
pub struct LabelRange {
    /// The value.
    pub value: u32,
    /// The lowest that can be.
    pub first: u32,
    /// The highest that can be.
    pub last: u32,
}

/// Bindings of the values `FIRST..=LAST`, as a persistent value.
#[derive(Clone, Debug, Default)]
pub struct Labels<const FIRST: u32, const LAST: u32> {
    targets: Paged<Target>,
}

/// MPLS labels: 20 bits, of which 0 to 15 are reserved (RFC 3032 §2.1).
pub type MplsLabels = Labels<16, 0xf_ffff>;

/// VXLAN network identifiers: 24 bits (RFC 7348 §5), 0 unused.
pub type Vnis = Labels<1, 0xff_ffff>;

impl<const FIRST: u32, const LAST: u32> Labels<FIRST, LAST> {
    /// What `label` leads to.
    #[inline]
    #[must_use]
    pub fn get(&self, label: Label) -> Option<Target> {
        self.targets.get(label.0).copied()
    }

    /// Binds a value and returns what it led to before.
    ///
    /// # Errors
    /// The value is reserved or too large.
    pub fn set(&mut self, label: Label, target: Target) -> Result<Option<Target>, LabelRange> {
        if !(FIRST..=LAST).contains(&label.0) {
            return Err(LabelRange { value: label.0, first: FIRST, last: LAST });
        }
        Ok(self.targets.set(label.0, target))
    }

    /// Releases a value and returns what it led to.
    pub fn remove(&mut self, label: Label) -> Option<Target> {
        self.targets.remove(label.0)
    }

    /// How many values are bound.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether none is bound.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The bindings from `start` on, by ascending value.
    pub fn iter_from(&self, start: Label) -> impl Iterator<Item = (Label, Target)> + '_ {
        self.targets.iter_from(start.0).map(|(value, target)| (Label(value), *target))
    }
}

#[cfg(test)]
mod tests {
    use packet::{Label, NextHopId, VrfId};

    use super::{LabelRange, MplsLabels, Target, Vnis};

    #[test]
    fn labels_are_bound_looked_up_and_released() {
        let mut labels = MplsLabels::default();
        assert!(labels.is_empty());
        assert_eq!(labels.set(Label(16), Target::Vrf(VrfId(3))), Ok(None));
        assert_eq!(labels.set(Label(0xf_ffff), Target::NextHop(NextHopId(9))), Ok(None));
        let snapshot = labels.clone();
        assert_eq!(labels.set(Label(16), Target::Vrf(VrfId(4))), Ok(Some(Target::Vrf(VrfId(3)))));
        assert_eq!((labels.get(Label(16)), labels.get(Label(17))), (Some(Target::Vrf(VrfId(4))), None));
        assert_eq!(labels.remove(Label(16)), Some(Target::Vrf(VrfId(4))));
        assert_eq!((labels.remove(Label(16)), labels.len(), labels.is_empty()), (None, 1, false));
        assert_eq!(snapshot.get(Label(16)), Some(Target::Vrf(VrfId(3))));
        let bound: Vec<_> = snapshot.iter_from(Label(17)).collect();
        assert_eq!(bound, [(Label(0xf_ffff), Target::NextHop(NextHopId(9)))]);
    }

    #[test]
    fn reserved_and_too_large_values_are_refused() {
        let target = Target::Vrf(VrfId(1));
        let refused = LabelRange { value: 15, first: 16, last: 1_048_575 };
        assert_eq!(MplsLabels::default().set(Label(15), target), Err(refused));
        assert_eq!(refused.to_string(), "15 is not in 16..=1048575");
        assert!(MplsLabels::default().set(Label(1 << 20), target).is_err());
        assert!(Vnis::default().set(Label(0), target).is_err());
        assert!(Vnis::default().set(Label(1 << 24), target).is_err());
        assert!(Vnis::default().set(Label(0xff_ffff), target).is_ok());
        assert_eq!(Vnis::default().get(Label(u32::MAX)), None);
    }
}
