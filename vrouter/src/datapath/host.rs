//! The node's own IP stack behind a HOST interface, as a neighbour of the workloads (SEMANTICS 22). What it sends to the
//! gateway's MAC is routed like a workload's packet, and whom it asks for is answered if the vRouter leads there; all
//! else is between the stack and the underlay.

use packet::protocol::ether_type;
use packet::{Address, DropReason, Meta, PacketBuf};

use super::burst::{Origin, Slot};
use super::classify::{Class, destination_mac, is_neighbour_discovery};
use super::routes;
use crate::tables::{Interface, NextHop, Role, Tables};

/// Whether a frame of the stack is looked at: those to the gateway, and the questions who has an address.
pub(super) fn is_for_vrouter(interface: &Interface, frame: &[u8]) -> bool {
    let (Some(mac), Some(&[t0, t1])) = (destination_mac(frame), frame.get(12..14)) else { return false };
    mac == interface.gateway_mac
        || match u16::from_be_bytes([t0, t1]) {
            ether_type::ARP => true,
            // A solicited-node group (RFC 4291 §2.7.1).
            ether_type::IPV6 => mac.starts_with(&[0x33, 0x33, 0xff]),
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
    let to_gateway = destination_mac(buf.data()) == Some(interface.gateway_mac);
    let asks = meta.ether_type == ether_type::ARP || is_neighbour_discovery(meta);
    match interface.twin {
        Some(fabric) if !to_gateway && !asks => Ok(Class::Twin(fabric)),
        _ => Ok(Class::Route),
    }
}

/// Whether packets of the stack for this address go to workloads, here or elsewhere, and not to the underlay itself.
pub(super) fn leads_to_workloads(tables: &Tables, interface: &Interface, v6: bool, target: &Address) -> bool {
    let Some(route) = routes::lookup(tables, interface.vrf, v6, target) else { return false };
    match tables.next_hop(route.next_hop()) {
        Some(NextHop::Interface(to)) => {
            tables.interface(to.interface).is_some_and(|interface| interface.role == Role::Virtual)
        }
        Some(NextHop::SourceNat(_)) => tables.node_at(interface.vrf, v6, target).is_none(),
        Some(NextHop::Tunnel(_) | NextHop::Ecmp(_) | NextHop::Vrf(_)) => true,
        Some(NextHop::Discard | NextHop::Reject | NextHop::Receive | NextHop::Resolve(_)) | None => false,
    }
}
