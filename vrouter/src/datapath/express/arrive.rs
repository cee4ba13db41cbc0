//! Common packets as they come in: whose they are, and where their network header is.

use flow::{Scope, Wire, WireKey};
use nexthop::Target;
use packet::common::{Family, Ipv4, Ipv6};
use packet::encap::{self, Opened};
use packet::{Address, L4Checksum, PacketBuf};

use super::Lane;
use crate::tables::{Interface, NextHop, PeerId, Role, Tables};

/// Looks at a frame of one kind of interface.
pub(super) trait Receive {
    /// Whether frames come through tunnels.
    const TUNNEL: bool;

    /// The packet in a frame, and the key of its session; `None` for a frame that has to be looked at more closely.
    fn receive<F: Wire, B: PacketBuf>(&mut self, buf: &B) -> Option<(Lane, WireKey<F::Addresses>)>;
}

/// Whether a frame is what nearly all are: a sender that left its checksum to the device is rare on a wire.
#[inline(always)]
pub(super) fn is_plain<B: PacketBuf>(buf: &B) -> bool {
    buf.l4_checksum() != L4Checksum::Partial
}

/// Frames of a workload: from its own MAC and one of its first addresses.
pub(super) struct FromWorkload {
    /// Of their sessions; [`Scope::NONE`] where there are none.
    scope: Scope,
    /// The source MAC, and the ethertype behind it.
    from: u64,
    sources: [Address; FromWorkload::SOURCES],
}

impl FromWorkload {
    /// Addresses that are looked at here; a workload seldom has more.
    const SOURCES: usize = 4;
    const ETHERNET: usize = 14;

    /// `None` for an interface without addresses of the family: whatever its workload sends has to be looked at.
    pub(super) fn new(arrival: &Interface, scope: Scope, v6: bool) -> Option<Self> {
        let own = arrival.addresses(v6);
        // The first stands for those that are not there.
        let mut sources = [*own.first()?; Self::SOURCES];
        for (source, address) in sources.iter_mut().zip(own) {
            *source = *address;
        }
        let kind = if v6 { Ipv6::ETHER_TYPE } else { Ipv4::ETHER_TYPE };
        let from = mac_word(&arrival.mac) | u64::from(kind.swap_bytes()) << 48;
        Some(Self { scope, from, sources })
    }
}

impl Receive for FromWorkload {
    const TUNNEL: bool = false;

    #[inline(always)]
    fn receive<F: Wire, B: PacketBuf>(&mut self, buf: &B) -> Option<(Lane, WireKey<F::Addresses>)> {
        /// A DHCP request, which is no conversation of the workload's.
        const DHCP: [u32; 2] = [68 << 16 | 67, 546 << 16 | 547];
        let data = buf.data();
        let header: &[u8; Self::ETHERNET] = data.first_chunk()?;
        if u64::from_le_bytes(*header.last_chunk()?) != self.from {
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
    mac: u64,
    /// What was found out of tunnels in this burst, by the low bits of label and source.
    known: [Known; FromFabric::MEMO],
}

/// A tunnel and a label in it.
#[derive(Clone, Copy)]
struct Known {
    outer: [u64; 4],
    /// The label, and what kind of it.
    tag: u64,
    scope: Scope,
    peer: PeerId,
}

impl<'t> FromFabric<'t> {
    /// A power of two; a burst seldom speaks of more.
    const MEMO: usize = 16;

    pub(super) fn new(tables: &'t Tables, arrival: &'t Interface) -> Self {
        let nothing = Known { outer: [0; 4], tag: u64::MAX, scope: Scope::NONE, peer: PeerId::UNKNOWN };
        Self { tables, arrival, mac: mac_word(&arrival.mac), known: [nothing; Self::MEMO] }
    }

    /// The scope and the peer of a tunnel packet to this node.
    #[inline(always)]
    fn known(&mut self, opened: &Opened) -> Option<(Scope, PeerId)> {
        let kind = u64::from(opened.inner_is_ethernet) << 32 | u64::from(opened.outer_v6) << 33;
        let tag = u64::from(opened.label.0) | kind;
        // The last byte of an IPv4 source, of an IPv6 source, and the label.
        let at = (opened.outer[0] >> 24 ^ opened.outer[1] >> 56 ^ tag) as usize % Self::MEMO;
        let known = &mut self.known[at];
        let [a, b, c, d] = opened.outer;
        let [e, f, g, h] = known.outer;
        if (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) | (tag ^ known.tag) != 0 {
            let (scope, peer) = find(self.tables, self.arrival, opened)?;
            *known = Known { outer: opened.outer, tag, scope, peer };
        }
        Some((known.scope, known.peer))
    }
}

/// Whether a tunnel ends here and whose its packets are: if its label or VNI names a workload with flows.
#[inline(never)]
fn find(tables: &Tables, arrival: &Interface, opened: &Opened) -> Option<(Scope, PeerId)> {
    let (source, destination) = opened.outer_addresses();
    if !arrival.addresses(opened.outer_v6).contains(&destination) {
        return None;
    }
    let peer = tables.peers.get(&source);
    let named = if opened.inner_is_ethernet {
        tables.vnis.get(opened.label)
    } else {
        tables.labels.get(opened.label)
    };
    let Target::NextHop(id) = named? else { return None };
    let NextHop::Interface(delivery) = tables.next_hop(id)? else { return None };
    let interface = tables.interface(delivery.interface)?;
    let fits = interface.role == Role::Virtual && interface.needs_flow() && peer != PeerId::UNKNOWN;
    fits.then(|| (Scope::to_workload(interface.id), peer))
}

/// A MAC in the lower 48 bits, in the order of memory.
const fn mac_word(&[a, b, c, d, e, f]: &[u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

impl Receive for FromFabric<'_> {
    const TUNNEL: bool = true;

    #[inline(always)]
    fn receive<F: Wire, B: PacketBuf>(&mut self, buf: &B) -> Option<(Lane, WireKey<F::Addresses>)> {
        const MAC: u64 = 0xffff_ffff_ffff;
        let data = buf.data();
        if u64::from_le_bytes(*data.first_chunk()?) & MAC != self.mac {
            return None;
        }
        let checked = buf.l4_checksum() != L4Checksum::Unknown;
        let opened = encap::open(data, checked, F::ETHER_TYPE)?;
        let (l3, end) = (usize::from(opened.l3), usize::from(opened.end));
        let carried = data.get(..end)?;
        if carried.get(l3)? >> 4 != if F::V6 { 6 } else { 4 } {
            return None;
        }
        let common = F::read(carried, l3)?;
        let (scope, peer) = self.known(&opened)?;
        if encap::marks_congestion(opened.outer_ecn, common.traffic_class) {
            return None;
        }
        Some((Lane::new(&common, opened.l3, peer.0), WireKey::new(&common, scope)))
    }
}
