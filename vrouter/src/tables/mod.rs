//! One generation of everything that forwards: an immutable, cheaply cloned value. The control thread
//! edits its own copy and publishes clones; a worker reads one generation for a whole burst.

mod floating_ip;
mod interface;
mod link_local;
mod membership;
mod next_hop;
mod peers;
mod pin;
mod rule;
mod services;
mod source_nat;

pub use floating_ip::{FloatingIp, NatDirection, PortMap};
pub use interface::{
    AddressPair, Interface, InterfaceCounters, NodePort, Role, Rpf, WorkerInterfaceCounters,
};
pub use link_local::LinkLocalService;
pub use membership::Membership;
pub use next_hop::{Affinity, Delivery, Ecmp, EcmpLeaf, NextHop, Tunnel, TunnelMember};
pub use peers::{PeerId, Peers};
pub use pin::{Pin, PinKey};
pub use rule::{RuleCounters, RuleRow, RuleSink};
pub use services::{HostServices, Subnet, link_local};
pub use source_nat::{Outside, OutsideAddress, SourceNat};

use std::sync::Arc;

use flow::policy::network::CompiledNetworkPolicy;
use nexthop::{MplsLabels, Paged, Vnis, Vrfs};
use packet::{Address, GroupSetId, InterfaceId, NextHopId, VrfId};

/// One generation. `Default` is the empty one: it drops everything by name.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Counts published generations; 0 before the first.
    pub generation: u64,
    /// The generation of the last change that can alter a cached flow decision (SEMANTICS 17). A session
    /// validated at or after it needs no closer look.
    pub epoch: u32,
    /// By [`InterfaceId`].
    pub interfaces: Paged<Arc<Interface>>,
    /// Route tables of all VRFs.
    pub vrfs: Vrfs,
    /// By [`NextHopId`].
    pub next_hops: Paged<NextHop>,
    /// What an MPLS label on a received packet names.
    pub labels: MplsLabels,
    /// What a VNI on a received packet names.
    pub vnis: Vnis,
    /// What routes tell about the workloads behind them; by [`GroupSetId`].
    pub memberships: Paged<Arc<Membership>>,
    /// The policies of networks that have any; by the network's primary VRF.
    pub network_policies: Paged<Arc<CompiledNetworkPolicy>>,
    /// Rules by the numbers that sessions keep.
    pub rules: Paged<RuleRow>,
    /// Neighbours that ARP or ND resolved (or gave up on), by (interface, address).
    pub neighbours: Neighbours,
    /// Tunnel destinations known to this node.
    pub peers: Peers,
    /// The node's own addresses behind which its IP stack listens: those of fabric interfaces with a HOST twin.
    pub node: Arc<[NodeAddress]>,
    /// Pools of source NAT, by the controller's id.
    pub source_nats: Paged<Arc<SourceNat>>,
}

impl Tables {
    /// The interface with this id.
    #[inline]
    #[must_use]
    pub fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces.get(u32::from(id.0)).map(|i| &**i)
    }

    /// The next hop with this id; 0 is the built-in discard.
    #[inline]
    #[must_use]
    pub fn next_hop(&self, id: NextHopId) -> Option<&NextHop> {
        self.next_hops.get(id.0)
    }

    /// The pool of source NAT with this id.
    #[inline]
    #[must_use]
    pub fn source_nat(&self, id: u16) -> Option<&SourceNat> {
        self.source_nats.get(u32::from(id)).map(|nat| &**nat)
    }

    /// The HOST interface behind which the node's own stack has this address.
    #[must_use]
    pub fn node_at(&self, vrf: VrfId, v6: bool, address: &Address) -> Option<InterfaceId> {
        let own = |node: &&NodeAddress| (node.vrf, node.v6, &node.address) == (vrf, v6, address);
        self.node.iter().find(own).map(|node| node.twin)
    }

    /// What a route tells about the workloads behind it; `None` if nothing.
    #[inline]
    #[must_use]
    pub fn membership(&self, id: GroupSetId) -> Option<&Membership> {
        self.memberships.get(u32::from(id.0)).map(|membership| &**membership)
    }

    /// The security groups that a route tells, sorted.
    #[inline]
    #[must_use]
    pub fn group_set(&self, id: GroupSetId) -> &[u32] {
        self.membership(id).map_or(&[], |membership| &membership.groups)
    }

    /// The policies of a network; `None` if it has none.
    #[inline]
    #[must_use]
    pub fn network_policy(&self, network: VrfId) -> Option<&CompiledNetworkPolicy> {
        self.network_policies.get(u32::from(network.0)).map(|policy| &**policy)
    }

    /// The epoch at which any route of this VRF last changed.
    #[inline]
    #[must_use]
    pub fn vrf_epoch(&self, vrf: VrfId) -> u32 {
        self.vrfs.epoch(vrf)
    }

    /// The epoch of the last change that can alter a decision about an interface's sessions, as far as it is an end of
    /// them: its own row, or the routes of its VRF. A VRF counts as changed when one that it looks into has.
    #[inline]
    #[must_use]
    pub fn settled(&self, interface: &Interface) -> u32 {
        self.newest([interface.epoch, self.vrf_epoch(interface.vrf)])
    }

    /// The newest of several epochs of the past; this one if there are none. Long ago is long ago: epochs wrap.
    #[inline]
    #[must_use]
    pub fn newest(&self, epochs: impl IntoIterator<Item = u32>) -> u32 {
        let age =
            epochs.into_iter().map(|epoch| self.epoch.wrapping_sub(epoch).min(flow::OLDEST_EPOCH)).min();
        self.epoch.wrapping_sub(age.unwrap_or(0))
    }
}

/// An address of the node's own IP stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// The fabric's VRF.
    pub vrf: VrfId,
    /// Whether it is IPv6.
    pub v6: bool,
    /// The address.
    pub address: Address,
    /// The HOST interface that leads to the stack.
    pub twin: InterfaceId,
}

/// What is known about one neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    /// Frames go to this MAC.
    Resolved([u8; 6]),
    /// It did not answer; packets for it are dropped as `neighbour_failed` until it is asked again.
    Failed,
}

/// Neighbours by (interface, address): a persistent map that costs one page per change.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// Interfaces play the VRF, neighbours are host routes, the result's next hop indexes `entries`.
    index: Vrfs,
    entries: Paged<NeighbourState>,
}

impl Neighbours {
    /// The neighbour's state; `None` while nobody has asked for it.
    #[inline]
    #[must_use]
    pub fn get(&self, interface: InterfaceId, v6: bool, address: &Address) -> Option<NeighbourState> {
        let found = if v6 {
            self.index.lookup6(VrfId(interface.0), u128::from_be_bytes(*address))
        } else {
            self.index.lookup4(VrfId(interface.0), v4_number(address))
        }?;
        self.entries.get(found.next_hop().0).copied()
    }

    /// Writes what is known under the slot that the control side gave this neighbour.
    pub fn set(
        &mut self,
        slot: u32,
        interface: InterfaceId,
        v6: bool,
        address: &Address,
        state: NeighbourState,
    ) {
        self.entries.set(slot, state);
        let result = nexthop::FibResult::new(NextHopId(slot), packet::Label::NONE, GroupSetId(0));
        self.index.add(VrfId(interface.0));
        self.index.insert(VrfId(interface.0), host_prefix(v6, address), result);
    }

    /// Forgets a neighbour and its slot.
    pub fn remove(&mut self, slot: u32, interface: InterfaceId, v6: bool, address: &Address) {
        self.entries.remove(slot);
        self.index.remove(VrfId(interface.0), host_prefix(v6, address));
    }
}

fn host_prefix(v6: bool, address: &Address) -> nexthop::Prefix {
    let ip = if v6 {
        std::net::IpAddr::from(*address)
    } else {
        std::net::IpAddr::from([address[0], address[1], address[2], address[3]])
    };
    nexthop::Prefix::host(ip)
}

/// An IPv4 [`Address`] as a number, host order.
#[inline]
#[must_use]
pub const fn v4_number(address: &Address) -> u32 {
    u32::from_be_bytes([address[0], address[1], address[2], address[3]])
}
