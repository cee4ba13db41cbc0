//! Whose packet is it: port → interface → VRF; or label / VNI → next hop or VRF. Tunnels end here.

use nexthop::Target;
use packet::encap::{self, Encapsulation};
use packet::protocol::ether_type;
use packet::{DropReason, Facts, InterfaceId, Label, Meta, PacketBuf};

use super::burst::{Origin, Slot, Verdict};
use super::{Context, Datapath, host};
use crate::tables::{Interface, Role, Tables};

/// Where the pipeline goes on with a packet.
pub(super) enum Class {
    /// To be routed.
    Route,
    /// To another interface as it is: between a fabric interface and its HOST twin.
    Twin(InterfaceId),
}

impl<B: PacketBuf> Datapath<B> {
    pub(super) fn classify(&mut self, cx: &Context<'_>, arrival: InterfaceId) {
        let Some(interface) = cx.tables.interface(arrival) else {
            for i in self.burst.live() {
                self.burst.end(i, Verdict::Dropped(DropReason::InterfaceUnknown));
            }
            return;
        };
        for i in self.burst.live() {
            if interface.role == Role::Fabric
                && self.burst.meta[i].facts.contains(Facts::FRAGMENT)
                && self.gather(cx, interface, i)
            {
                continue;
            }
            let burst = &mut self.burst;
            let (Some(buf), meta, slot) = (&mut burst.bufs[i], &mut burst.meta[i], &mut burst.slot[i]) else {
                continue;
            };
            slot.vrf = interface.vrf;
            let class = match interface.role {
                Role::Virtual => from_workload(interface, buf, meta, slot),
                Role::Fabric => match from_fabric(cx.tables, interface, buf, meta, slot) {
                    Ok(Class::Twin(_)) if self.is_for_workload(cx, interface, i) => Ok(Class::Route),
                    class => class,
                },
                Role::Host => host::classify(interface, buf, meta, slot),
            };
            match class {
                Ok(Class::Route) => {}
                Ok(Class::Twin(twin)) => self.hand_over(cx, i, twin),
                Err(reason) => self.burst.end(i, Verdict::Dropped(reason)),
            }
        }
    }

    /// Sends a frame on as it is.
    pub(super) fn hand_over(&mut self, cx: &Context<'_>, i: usize, out: InterfaceId) {
        let Some(interface) = cx.tables.interface(out) else {
            return self.burst.end(i, Verdict::Dropped(DropReason::InterfaceDown));
        };
        self.burst.end(i, Verdict::Queued);
        if let Some(buf) = self.burst.bufs[i].take() {
            self.outputs.push(interface, buf);
        }
    }
}

fn from_workload<B: PacketBuf>(
    interface: &Interface,
    buf: &B,
    meta: &Meta,
    slot: &mut Slot,
) -> Result<Class, DropReason> {
    slot.origin = Origin::Workload;
    let Some(mac) = source_mac(buf.data()) else { return Err(DropReason::Truncated) };
    if meta.facts.contains(Facts::VLAN) {
        return Err(DropReason::UnsupportedVlan);
    }
    if !interface.owns_mac(mac) {
        return Err(DropReason::InvalidSource);
    }
    // Neighbour discovery, router solicitations and DHCP have their own checks in the local stage.
    let bound = meta.ether_type == ether_type::ARP
        || meta.src == [0; 16]
        || interface.owns_source(meta.is_ipv6(), &meta.src, mac);
    if bound { Ok(Class::Route) } else { Err(DropReason::InvalidSource) }
}

fn from_fabric<B: PacketBuf>(
    tables: &Tables,
    interface: &Interface,
    buf: &mut B,
    meta: &mut Meta,
    slot: &mut Slot,
) -> Result<Class, DropReason> {
    slot.origin = Origin::Plain;
    let data = buf.data();
    let Some(mac) = destination_mac(data) else { return Err(DropReason::Truncated) };
    let group = mac[0] & 1 != 0;
    if !group && mac != interface.mac {
        return Err(DropReason::WrongMac);
    }
    if meta.ether_type == ether_type::ARP {
        return Ok(Class::Route);
    }
    let ours = interface.addresses(meta.is_ipv6()).contains(&meta.dst);
    if ours && let Some(tunnel) = encap::pop(data, meta, buf.l4_checksum()) {
        return decapsulate(tables, interface, buf, meta, slot, tunnel?);
    }
    if ours
        && meta.facts.contains(Facts::L4)
        && let Some(id) = interface.node_port(meta.is_ipv6(), &meta.dst, meta.protocol, meta.dst_port)
    {
        slot.direct = id;
        return Ok(Class::Route);
    }
    match interface.twin {
        // What the node's own stack is to see goes there untouched (SEMANTICS 22); replies to our own
        // neighbour requests and what is said about our own tunnels are looked at here first.
        Some(twin)
            if (ours || group || is_link_local(meta))
                && !is_neighbour_discovery(meta)
                && encap::TunnelTooBig::read(buf.data(), meta).is_none() =>
        {
            Ok(Class::Twin(twin))
        }
        _ => Ok(Class::Route),
    }
}

fn is_link_local(meta: &Meta) -> bool {
    match meta.dst {
        [169, 254, ..] => meta.is_ipv4(),
        [0xfe, second, ..] => meta.is_ipv6() && second & 0xc0 == 0x80,
        _ => false,
    }
}

pub(super) fn is_neighbour_discovery(meta: &Meta) -> bool {
    meta.facts.contains(Facts::NEIGHBOUR_DISCOVERY)
}

fn decapsulate<B: PacketBuf>(
    tables: &Tables,
    interface: &Interface,
    buf: &mut B,
    meta: &mut Meta,
    slot: &mut Slot,
    tunnel: encap::Tunnel,
) -> Result<Class, DropReason> {
    let label = tunnel.label;
    let target = match tunnel.encapsulation {
        Encapsulation::Vxlan => tables.vnis.get(label).ok_or(DropReason::InvalidVni)?,
        Encapsulation::MplsOverUdp | Encapsulation::MplsOverGre => match tables.labels.get(label) {
            Some(target) => target,
            // Explicit null says nothing but the family: the packet belongs to the tunnel's own VRF.
            None if label == Label::IPV4_EXPLICIT_NULL || label == Label::IPV6_EXPLICIT_NULL => {
                Target::Vrf(interface.vrf)
            }
            None => return Err(DropReason::InvalidLabel),
        },
    };
    match target {
        Target::NextHop(id) => slot.direct = id,
        Target::Vrf(vrf) => slot.vrf = vrf,
    }
    slot.origin = Origin::Tunnel;
    slot.peer = tables.peers.get(&tunnel.outer_src);
    *meta = tunnel.parse_inner(buf.data())?;
    encap::ecn_decapsulate(tunnel.outer_ecn, buf.data_mut(), meta)?;
    // What the device said about checksums spoke of the outer packet (SEMANTICS 13).
    buf.set_l4_checksum(packet::L4Checksum::Unknown);
    meta.facts |= Facts::DECAPSULATED;
    Ok(Class::Route)
}

pub(super) fn destination_mac(data: &[u8]) -> Option<[u8; 6]> {
    data.first_chunk().copied()
}

pub(super) fn source_mac(data: &[u8]) -> Option<[u8; 6]> {
    data.get(6..12)?.first_chunk().copied()
}
