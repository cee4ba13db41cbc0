//! Next hops as workers execute them: everything that can be prepared is.

use std::sync::Arc;

use packet::encap::Template;
use packet::{Address, DropReason, InterfaceId, Label, VrfId};

use super::PeerId;

/// One row of the next-hop table.
#[derive(Clone, Debug, Default)]
pub enum NextHop {
    /// Drop silently.
    #[default]
    Discard,
    /// Drop and tell the sender.
    Reject,
    /// The vRouter's own address.
    Receive,
    /// A connected subnet: the destination itself is the neighbour.
    Resolve(Delivery),
    /// Out of an interface: to its workload, or to a gateway behind a fabric interface.
    Interface(Delivery),
    /// Into a tunnel.
    Tunnel(Arc<Tunnel>),
    /// One of several.
    Ecmp(Arc<Ecmp>),
    /// Look the destination up again in another VRF.
    Vrf(VrfId),
    /// An address of this pool of source NAT: sessions know which workload a packet is for.
    SourceNat(u16),
}

/// Plain delivery out of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The out interface.
    pub interface: InterfaceId,
    /// FABRIC: the neighbour to resolve. Unset on VIRTUAL interfaces and for connected subnets.
    pub neighbour: Option<(bool, Address)>,
    /// L3 MTU in bytes; 0 = the interface's.
    pub mtu: u16,
}

/// A tunnel with everything its packets need.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// The tunnel destination as RPF compares it.
    pub peer: PeerId,
    /// The tunnel destination, for explanations.
    pub destination: Address,
    /// Whether the outer header is IPv6.
    pub v6: bool,
    /// Pushed where neither route nor ECMP member names one.
    pub label: Label,
    /// Why there is no member, if there is none.
    pub unresolved: DropReason,
    /// One per uplink that leads to the destination; empty = unresolved.
    pub members: Arc<[TunnelMember]>,
}

/// One way out for a tunnel.
#[derive(Clone, Debug)]
pub struct TunnelMember {
    /// The fabric interface.
    pub interface: InterfaceId,
    /// The underlay neighbour behind it: IPv6?, address.
    pub neighbour: (bool, Address),
    /// Whether the template holds the neighbour's MAC already.
    pub resolved: bool,
    /// Largest inner L3 packet, SEMANTICS 12.
    pub inner_mtu: u16,
    /// The bytes in front.
    pub template: Template,
}

/// An ECMP group. The pick tables live in `nexthop`; leaves are beside it, in member order.
#[derive(Clone, Debug)]
pub struct Ecmp {
    /// Weighted and resilient pick tables; members by identity (next hop, label).
    pub group: nexthop::EcmpGroup,
    /// The same members with the weight of those only that lead into no tunnel: what came out of one picks among
    /// them. `None`: that is all of them.
    pub untunneled: Option<nexthop::EcmpGroup>,
    /// The same members with the weight of local workloads only, where these come first for other local workloads
    /// (`prefer_local`). `None`: they do not.
    pub local: Option<nexthop::EcmpGroup>,
    /// What a new flow picks by.
    pub affinity: Affinity,
    /// Per member, what the miss path asks about it.
    pub leaves: Vec<EcmpLeaf>,
    /// Whether any member is a local workload: then the group is a service, and its flows are pinned.
    pub service: bool,
}

/// What new flows are spread by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// Addresses, protocol and ports: every flow for itself.
    #[default]
    Flow,
    /// The source address: all flows of a client go to one member.
    Client,
}

/// What a member leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcmpLeaf {
    /// A local workload.
    Local(InterfaceId),
    /// A tunnel to this peer.
    Tunnel(PeerId),
    /// Plain IP out of a fabric interface.
    Plain(InterfaceId),
    /// A member that cannot forward (discard, unknown): never picked.
    Dead,
}
