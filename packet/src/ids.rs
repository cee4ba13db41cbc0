//! The names that cross rooms: ids are values chosen by the controller, never pointers.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The id as a table index.
            #[inline]
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(/// A routing table, 0..=65535. VRF 0 is the fabric's by convention.
    VrfId(u16));
id!(/// An interface (Contrail: vif), 1..=65535; 0 means "none".
    InterfaceId(u16));
id!(/// A next hop, 24 bits; 0 is the built-in discard.
    NextHopId(u32));
id!(/// A resolved neighbour's slot in the adjacency table of one generation.
    AdjacencyId(u32));
id!(/// What a route tells about the workloads behind it (security groups, network, tags), interned by the control
    /// side; 0 is nothing.
    GroupSetId(u16));
id!(/// A tag of workloads ("tier=web"), interned by the control side.
    TagId(u16));
id!(/// One of the daemon's workers, 0-based.
    WorkerId(u8));
id!(/// A DPDK port number.
    PortId(u16));

/// A label or VNI as the data path carries it: 24 bits are enough for both.
/// `Label::NONE` where there is none; MPLS labels use the low 20 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Label(pub u32);

impl Label {
    /// No label or VNI.
    pub const NONE: Self = Self(0xff_ffff);
    /// IPv4 explicit null (RFC 3032 §2.1).
    pub const IPV4_EXPLICIT_NULL: Self = Self(0);
    /// IPv6 explicit null (RFC 3032 §2.1).
    pub const IPV6_EXPLICIT_NULL: Self = Self(2);
    /// Implicit null: never on the wire (RFC 3032 §2.1).
    pub const IMPLICIT_NULL: Self = Self(3);

    /// Whether there is one.
    #[inline]
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 != Self::NONE.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Label, NextHopId, VrfId};

    #[test]
    fn an_id_is_an_index_and_shows_its_number() {
        assert_eq!(VrfId(65535).index(), 65535);
        assert!(Label(16).is_some() && Label(0).is_some() && !Label::NONE.is_some());
        assert_eq!(NextHopId(0xff_ffff).index(), 0xff_ffff);
        assert_eq!(VrfId(7).to_string(), "7");
    }

    #[test]
    fn every_label_and_vni_but_one_is_some() {
        assert!(!Label::NONE.is_some());
        assert!(Label(0).is_some() && Label(0xf_ffff).is_some() && Label(0xff_fffe).is_some());
    }
}
