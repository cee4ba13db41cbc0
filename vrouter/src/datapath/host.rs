//! The node's own IP stack behind a HOST interface, as a neighbour of the workloads (SEMANTICS 22). What it sends to the
//! gateway's MAC is routed like a workload's packet, and whom it asks for is answered if the vRouter leads there; all
//! else is between the stack and the underlay.

use packet::protocol::ether_type;
use packet::{Address, DropReason, Facts, Meta, PacketBuf};

use super::burst::{Origin, Slot};
use super::classify::Class;
use super::walk;
use crate::tables::{Interface, NextHop, Role, Tables};

/// Whether a frame of the stack is looked at: those to the gateway, and the questions who has an address.
pub(super) fn is_for_vrouter(interface: &Interface, frame: &[u8]) -> bool {
    let Some([a, b, c, d, e, f, _, _, _, _, _, _, t0, t1]) = frame.first_chunk() else { return false };
    let solicited_node = [*a, *b, *c] == [0x33, 0x33, 0xff];
    [*a, *b, *c, *d, *e, *f] == interface.gateway_mac
        || match u16::from_be_bytes([*t0, *t1]) {
            ether_type::ARP => true,
            ether_type::IPV6 => solicited_node,
            _ => false,
        }
}

/// Where the pipeline goes on with such a frame.
pub(super) fn classify<B: PacketBuf>(
    interface: &Interface,
    buf: &B,
    meta: &Meta,
    slot: &mut Slot,
) -> Result<Class, DropReason> {
    slot.origin = Origin::Workload;
    let to_gateway = buf.data().first_chunk() == Some(&interface.gateway_mac);
    let asks = meta.ether_type == ether_type::ARP || meta.facts.contains(Facts::NEIGHBOUR_DISCOVERY);
    match interface.twin {
        Some(fabric) if !to_gateway && !asks => Ok(Class::Twin(fabric)),
        _ => Ok(Class::Route),
    }
}

/// Whether packets of the stack for this address go to workloads, here or elsewhere, and not to the underlay itself.
pub(super) fn leads_to_workloads(tables: &Tables, interface: &Interface, v6: bool, target: &Address) -> bool {
    let Some(route) = walk::lookup(tables, interface.vrf, v6, target) else { return false };
    match tables.next_hop(route.next_hop()) {
        Some(NextHop::Interface(to)) => {
            tables.interface(to.interface).is_some_and(|interface| interface.role == Role::Virtual)
        }
        Some(NextHop::SourceNat(_)) => tables.node_at(interface.vrf, v6, target).is_none(),
        Some(NextHop::Tunnel(_) | NextHop::Ecmp(_) | NextHop::Vrf(_)) => true,
        Some(NextHop::Discard | NextHop::Reject | NextHop::Receive | NextHop::Resolve(_)) | None => false,
    }
}
