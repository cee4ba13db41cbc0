//! Common packets as they come in: whose they are, and where their network header is.

use flow::{Scope, Wire, WireKey};
use nexthop::Target;
use packet::encap::{self, Opened};
use packet::{Address, L4Checksum, Label, PacketBuf};

use super::Lane;
use crate::tables::{Interface, NextHop, PeerId, Role, Tables};

/// Looks at a frame of one kind of interface.
pub(super) trait Receive {
    /// Whether frames come through tunnels.
    const TUNNEL: bool;

    /// The packet in a frame, and the key of its session; `None` for a frame that has to be looked at more closely.
    fn receive<F: Wire, B: PacketBuf>(&mut self, buf: &B) -> Option<(Lane, WireKey<F::Addresses>)>;
}

/// Frames of a workload: from its own MAC and one of its first addresses.
pub(super) struct FromWorkload {
    scope: Scope,
    mac: [u8; 6],
    sources: [Address; FromWorkload::SOURCES],
}

impl FromWorkload {
    /// Addresses that are looked at here; a workload seldom has more.
    const SOURCES: usize = 4;
    const ETHERNET: usize = 14;

    pub(super) fn new(arrival: &Interface, v6: bool) -> Self {
        let own = arrival.addresses(v6);
        // An address that no packet has from here stands for those that are not there.
        let first = own.first().copied().unwrap_or_default();
        let mut sources = [first; Self::SOURCES];
        for (source, address) in sources.iter_mut().zip(own) {
            *source = *address;
        }
        Self { scope: Scope::from_workload(arrival.id), mac: arrival.mac, sources }
    }
}

impl Receive for FromWorkload {
    const TUNNEL: bool = false;

    #[inline(always)]
    fn receive<F: Wire, B: PacketBuf>(&mut self, buf: &B) -> Option<(Lane, WireKey<F::Addresses>)> {
        /// A DHCP request, which is no conversation of the workload's.
        const DHCP: [u32; 2] = [68 << 16 | 67, 546 << 16 | 547];
        let data = buf.data();
        let &[_, _, _, _, _, _, m0, m1, m2, m3, m4, m5, e0, e1] = data.first_chunk()?;
        if u16::from_be_bytes([e0, e1]) != F::ETHER_TYPE || [m0, m1, m2, m3, m4, m5] != self.mac {
            return None;
        }
        let common = F::read(data, Self::ETHERNET)?;
        let own = self.sources.iter().fold(false, |own, source| own | F::is_from(&common.addresses, source));
        if !own || DHCP.contains(&common.ports) {
            return None;
        }
        Some((Lane::new(&common, Self::ETHERNET as u16, 0), WireKey::new(&common, self.scope)))
    }
}

/// Frames of the fabric: tunnel packets to this node whose label or VNI names a workload.
pub(super) struct FromFabric<'t> {
    tables: &'t Tables,
    arrival: &'t Interface,
    /// What labels and VNIs named, by their low bits: (value with the kind above, scope).
    scopes: [(u32, Scope); FromFabric::MEMO],
    /// Peers by the low bits of their outer address.
    peers: [(Address, PeerId); FromFabric::MEMO],
}

impl<'t> FromFabric<'t> {
    /// Of a power of two; a burst seldom speaks of more.
    const MEMO: usize = 16;

    pub(super) fn new(tables: &'t Tables, arrival: &'t Interface) -> Self {
        Self {
            tables,
            arrival,
            scopes: [(u32::MAX, Scope::NONE); Self::MEMO],
            peers: [([0; 16], PeerId::UNKNOWN); Self::MEMO],
        }
    }

    /// The scope of packets with a label or VNI that names a workload with flows.
    #[inline(always)]
    fn scope(&mut self, opened: &Opened) -> Option<Scope> {
        let value = opened.label.0 | u32::from(opened.inner_is_ethernet) << 31;
        let slot = &mut self.scopes[value as usize % Self::MEMO];
        if slot.0 != value {
            *slot = (value, named(self.tables, opened.label, opened.inner_is_ethernet)?);
        }
        Some(slot.1)
    }

    #[inline(always)]
    fn peer(&mut self, outer: &Address) -> PeerId {
        // IPv4 addresses differ in byte 3, IPv6 ones in byte 15.
        let slot = &mut self.peers[usize::from(outer[3] ^ outer[15]) % Self::MEMO];
        if slot.0 != *outer {
            *slot = (*outer, self.tables.peers.get(outer));
        }
        slot.1
    }
}

/// The scope of what a label or VNI names, if that is a workload with flows.
#[inline(never)]
fn named(tables: &Tables, label: Label, vni: bool) -> Option<Scope> {
    let target = if vni { tables.vnis.get(label) } else { tables.labels.get(label) };
    let Target::NextHop(id) = target? else { return None };
    let NextHop::Interface(delivery) = tables.next_hop(id)? else { return None };
    let interface = tables.interface(delivery.interface)?;
    (interface.role == Role::Virtual && interface.needs_flow()).then(|| Scope::to_workload(interface.id))
}

impl Receive for FromFabric<'_> {
    const TUNNEL: bool = true;

    #[inline(always)]
    fn receive<F: Wire, B: PacketBuf>(&mut self, buf: &B) -> Option<(Lane, WireKey<F::Addresses>)> {
        let data = buf.data();
        let mac = data.first_chunk::<6>()?;
        if *mac != self.arrival.mac {
            return None;
        }
        let checked = buf.l4_checksum() != L4Checksum::Unknown;
        let opened = encap::open(data, checked, F::ETHER_TYPE)?;
        if !self.arrival.addresses(opened.outer_v6).contains(&opened.outer_dst) {
            return None;
        }
        let scope = self.scope(&opened)?;
        let peer = self.peer(&opened.outer_src);
        if peer == PeerId::UNKNOWN {
            return None;
        }
        let (l3, end) = (usize::from(opened.l3), usize::from(opened.end));
        let common = F::read(data.get(..end)?, l3)?;
        if encap::marks_congestion(opened.outer_ecn, common.traffic_class) {
            return None;
        }
        Some((Lane::new(&common, opened.l3, peer.0), WireKey::new(&common, scope)))
    }
}
