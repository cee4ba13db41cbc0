//! IPv6 neighbour discovery (RFC 4861): solicitations and advertisements, their checks, and duplicate
//! address detection (RFC 4862 §5.4).

use std::net::Ipv6Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, Icmpv6Packet, Icmpv6Repr, NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

use crate::buf::{L4Checksum, PacketBuf};
use crate::bytes;
use crate::checksum::{self, Verification};
use crate::drop::DropReason;
use crate::encap::Mac;
use crate::header;
use crate::meta::{Address, Facts, Meta};
use crate::protocol::ip;

/// Length of the packets built here: IPv6 header, message, one link-layer address option.
pub const LENGTH: usize = 40 + 24 + 8;

/// "The IP Hop Limit field has a value of 255, i.e., the packet could not possibly have been forwarded by a
/// router" (RFC 4861 §7.1).
const HOP_LIMIT: u8 = 255;
const UNSPECIFIED: Address = [0; 16];
const ALL_NODES: Address = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// A neighbour discovery message that passed the checks of RFC 4861 §6.1.1, §7.1.1 or §7.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A host looks for routers.
    RouterSolicitation {
        /// The sender's MAC, if it says so.
        source_mac: Option<Mac>,
    },
    /// Who has `target`?
    Solicitation {
        /// The address asked for.
        target: Address,
        /// The asker's MAC, if it says so.
        source_mac: Option<Mac>,
    },
    /// `target` is at `target_mac`.
    Advertisement {
        /// The address spoken for.
        target: Address,
        /// Its MAC, if the message says so.
        target_mac: Option<Mac>,
        /// The sender routes.
        router: bool,
        /// Answers a solicitation.
        solicited: bool,
        /// Replaces what is known.
        overrides: bool,
    },
    /// A router advertisement or redirect: the host stack's business, not checked here.
    Other,
}

/// Reads the neighbour discovery message that `meta` describes.
///
/// # Errors
/// `InvalidNd` if a check of RFC 4861 fails, or it is a fragment (RFC 6980 §5).
pub fn parse(data: &[u8], meta: &Meta) -> Result<Message, DropReason> {
    const INVALID: DropReason = DropReason::InvalidNd;
    let sound = meta.facts.contains(Facts::NEIGHBOUR_DISCOVERY)
        && !meta.facts.contains(Facts::FRAGMENT)
        && meta.ttl == HOP_LIMIT
        && data.get(usize::from(meta.l4) + 1) == Some(&0)
        && checksum::verify(data, meta) == Verification::Correct;
    let message = data.get(usize::from(meta.l4)..usize::from(meta.end)).filter(|_| sound).ok_or(INVALID)?;
    if !matches!(meta.l4_flags, 133 | 135 | 136) {
        return Ok(Message::Other);
    }
    let packet = Icmpv6Packet::new_checked(message).map_err(|_| INVALID)?;
    match NdiscRepr::parse(&packet).map_err(|_| INVALID)? {
        NdiscRepr::RouterSolicit { lladdr } if meta.src != UNSPECIFIED || lladdr.is_none() => {
            Ok(Message::RouterSolicitation { source_mac: mac(lladdr) })
        }
        NdiscRepr::NeighborSolicit { target_addr, lladdr } if !target_addr.is_multicast() => {
            let target = target_addr.octets();
            // Duplicate address detection: to the solicited-node group, and without an option that would
            // make somebody store it (RFC 4861 §7.1.1).
            if meta.src == UNSPECIFIED && (lladdr.is_some() || meta.dst != solicited_node(&target)) {
                return Err(INVALID);
            }
            Ok(Message::Solicitation { target, source_mac: mac(lladdr) })
        }
        NdiscRepr::NeighborAdvert { flags, target_addr, lladdr } if !target_addr.is_multicast() => {
            let solicited = flags.contains(NdiscNeighborFlags::SOLICITED);
            if solicited && meta.facts.contains(Facts::MULTICAST) {
                return Err(INVALID);
            }
            Ok(Message::Advertisement {
                target: target_addr.octets(),
                target_mac: mac(lladdr),
                router: flags.contains(NdiscNeighborFlags::ROUTER),
                solicited,
                overrides: flags.contains(NdiscNeighborFlags::OVERRIDE),
            })
        }
        _ => Err(INVALID),
    }
}

/// Whether a solicitation asks if its sender may take the address (RFC 4862 §5.4.2).
#[must_use]
pub fn is_duplicate_probe(meta: &Meta) -> bool {
    meta.src == UNSPECIFIED
}

fn mac(address: Option<RawHardwareAddress>) -> Option<Mac> {
    address.and_then(|address| address.as_bytes().first_chunk().copied())
}

/// The group that everybody with `target` listens on (RFC 4291 §2.7.1).
#[must_use]
pub const fn solicited_node(target: &Address) -> Address {
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, target[13], target[14], target[15]]
}

/// The MAC of an IPv6 multicast address (RFC 2464 §7).
#[must_use]
pub const fn multicast_mac(group: &Address) -> Mac {
    [0x33, 0x33, group[12], group[13], group[14], group[15]]
}

/// An IPv6 packet that asks who has `target`, and where to send its frame: to the solicited-node group, or
/// for a probe (RFC 4861 §7.3.3) to the `known` neighbour itself.
#[must_use]
pub fn solicitation(mac: Mac, source: &Address, target: &Address, known: Option<Mac>) -> (Mac, [u8; LENGTH]) {
    let message = NdiscRepr::NeighborSolicit {
        target_addr: Ipv6Addr::from(*target),
        lladdr: Some(EthernetAddress(mac).into()),
    };
    match known {
        Some(neighbour) => (neighbour, packet(message, source, target)),
        None => {
            let group = solicited_node(target);
            (multicast_mac(&group), packet(message, source, &group))
        }
    }
}

/// Who an advertisement is for, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// The address spoken for.
    pub target: Address,
    /// The packet's source: the target itself, or the proxy that speaks for it.
    pub source: Address,
    /// Where it is.
    pub mac: Mac,
    /// The sender routes: so for gateways, and for whom a gateway answers.
    pub router: bool,
    /// Replaces what is known; not so when a proxy speaks (RFC 4861 §7.2.8).
    pub overrides: bool,
}

impl Advertise {
    /// An unsolicited IPv6 packet to all nodes, and the MAC to send its frame to.
    #[must_use]
    pub fn unsolicited(&self) -> (Mac, [u8; LENGTH]) {
        (multicast_mac(&ALL_NODES), packet(self.message(false), &self.source, &ALL_NODES))
    }

    fn message(&self, solicited: bool) -> NdiscRepr<'static> {
        let mut flags = NdiscNeighborFlags::empty();
        flags.set(NdiscNeighborFlags::ROUTER, self.router);
        flags.set(NdiscNeighborFlags::SOLICITED, solicited);
        flags.set(NdiscNeighborFlags::OVERRIDE, self.overrides);
        NdiscRepr::NeighborAdvert {
            flags,
            target_addr: Ipv6Addr::from(self.target),
            lladdr: Some(EthernetAddress(self.mac).into()),
        }
    }
}

/// Turns the received solicitation's frame into one that carries the advertisement: back to the asker, or to
/// all nodes if that one has no address yet (RFC 4861 §7.2.4). A VLAN tag is kept.
///
/// # Errors
/// `MultiSegment` without room for the answer.
pub fn answer<B: PacketBuf>(buf: &mut B, meta: &Meta, advertise: &Advertise) -> Result<(), DropReason> {
    let asker = bytes::chunk::<6>(buf.data(), 6).copied().ok_or(DropReason::Truncated)?;
    let (mac, packet) = if is_duplicate_probe(meta) {
        advertise.unsolicited()
    } else {
        (asker, packet(advertise.message(true), &advertise.source, &meta.src))
    };
    if !buf.replace_from(usize::from(meta.l3), &packet) {
        return Err(DropReason::MultiSegment);
    }
    bytes::put(buf.data_mut(), 0, mac);
    bytes::put(buf.data_mut(), 6, advertise.mac);
    buf.set_l4_checksum(L4Checksum::Verified);
    Ok(())
}

fn packet(message: NdiscRepr<'_>, source: &Address, destination: &Address) -> [u8; LENGTH] {
    let mut packet = [0; LENGTH];
    let (header, body) = packet.split_at_mut(40);
    header.copy_from_slice(&header::ipv6(ip::ICMPV6, *source, *destination));
    header[4..6].copy_from_slice(&((LENGTH - 40) as u16).to_be_bytes());
    header[7] = HOP_LIMIT;
    Icmpv6Repr::Ndisc(message).emit(
        &Ipv6Addr::from(*source),
        &Ipv6Addr::from(*destination),
        &mut Icmpv6Packet::new_unchecked(body),
        &ChecksumCapabilities::default(),
    );
    packet
}
