//! What a worker does with a packet once a route, a label or a flow has named a next hop.

use std::sync::Arc;

use packet::encap::Encapsulation;
use packet::{Address, AdjacencyId, InterfaceId, Label, VrfId};

use crate::ecmp::EcmpGroup;

/// A next hop as workers see it: resolved by the control side as far as it can be. `T` is what the tunnel keeps for each
/// of its uplinks, such as a prebuilt header.
#[derive(Clone, Debug)]
pub enum NextHop<T> {
    /// Drop silently.
    Discard,
    /// Drop and tell the sender by ICMP.
    Reject,
    /// The packet is for the vRouter itself.
    Receive,
    /// A connected subnet: the destination is the neighbour.
    Resolve {
        /// Where the subnet is.
        interface: InterfaceId,
    },
    /// Out of an interface: to a neighbour there, or, where there is none, to the workload itself.
    Interface {
        /// The out interface.
        interface: InterfaceId,
        /// The gateway, for interfaces that have neighbours.
        neighbour: Option<AdjacencyId>,
    },
    /// Through a tunnel.
    Tunnel(TunnelNextHop<T>),
    /// One of several.
    Ecmp(Arc<EcmpGroup>),
    /// Look the destination up again in another VRF.
    Vrf(VrfId),
}

/// A tunnel and the uplinks that lead to its other end.
#[derive(Clone, Debug)]
pub struct TunnelNextHop<T> {
    /// How packets are carried.
    pub encapsulation: Encapsulation,
    /// Whether the outer header is IPv6.
    pub v6: bool,
    /// L3 MTU of the underlay towards it; 0: that of the out interface.
    pub mtu: u16,
    /// Label or VNI where neither the route nor the ECMP member names one.
    pub label: Label,
    /// The other end.
    pub destination: Address,
    /// One per uplink that its destination resolves to; empty while it does not resolve.
    pub uplinks: Arc<[T]>,
}

impl<T> TunnelNextHop<T> {
    /// The uplink for packets with this hash; none while the destination does not resolve.
    #[inline]
    #[must_use]
    pub fn uplink(&self, hash: u32) -> Option<&T> {
        // Not the bits that chose the ECMP member, lest each member use one uplink only.
        let spread = hash.wrapping_mul(0x85eb_ca6b).rotate_left(15).wrapping_mul(0xc2b2_ae35);
        self.uplinks.get(((u64::from(spread) * self.uplinks.len() as u64) >> 32) as usize)
    }

    /// The label to push: the route's, else the ECMP member's, else the tunnel's.
    #[inline]
    #[must_use]
    pub const fn pushed(&self, route: Label, member: Label) -> Label {
        if route.is_some() {
            route
        } else if member.is_some() {
            member
        } else {
            self.label
        }
    }
}

#[cfg(test)]
mod tests {
    use packet::encap::Encapsulation;
    use packet::{Label, NextHopId};

    use super::{NextHop, TunnelNextHop};
    use crate::ecmp::{EcmpGroup, Member};

    fn tunnel(uplinks: usize) -> TunnelNextHop<usize> {
        TunnelNextHop {
            encapsulation: Encapsulation::MplsOverUdp,
            v6: false,
            mtu: 0,
            label: Label(16),
            destination: packet::meta::v4([10, 0, 0, 1]),
            uplinks: (0..uplinks).collect(),
        }
    }

    #[test]
    fn a_next_hop_fits_a_cache_line() {
        assert!(size_of::<NextHop<u64>>() <= 64);
    }

    #[test]
    fn the_route_names_the_label_else_the_member_else_the_tunnel() {
        let tunnel = tunnel(1);
        assert_eq!(tunnel.pushed(Label(100), Label(200)), Label(100));
        assert_eq!(tunnel.pushed(Label::NONE, Label(200)), Label(200));
        assert_eq!(tunnel.pushed(Label::NONE, Label::NONE), Label(16));
    }

    #[test]
    fn uplinks_share_the_load_of_every_ecmp_member_alike() {
        assert_eq!(tunnel(0).uplink(7), None);
        let tunnel = tunnel(3);
        let member = |next_hop| Member { next_hop: NextHopId(next_hop), label: Label::NONE, weight: 1 };
        let group = EcmpGroup::new([1, 2, 3].map(member)).unwrap();
        let mut counts = [[0_u32; 3]; 3];
        for i in 0..90_000_u32 {
            let hash = i.wrapping_mul(0x9e37_79b9) ^ i.rotate_left(13);
            counts[group.pick(hash).unwrap()][*tunnel.uplink(hash).unwrap()] += 1;
        }
        assert!(counts.iter().flatten().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
    }
}
