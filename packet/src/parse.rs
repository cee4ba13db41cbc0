//! One pass from bytes to [`Meta`]. The common case (IPv4 without options, TCP or UDP, no fragment) is a
//! straight line; everything rarer is out of line. No byte string makes it panic, and a packet that comes
//! out of here has headers whose lengths agree with each other and with the frame.

use crate::bytes;
use crate::checksum::Sum;
use crate::drop::DropReason;
use crate::extension;
use crate::meta::{Address, Facts, Meta, icmp_class, v4};
use crate::protocol::{ether_type, ip, udp};

const ETHERNET: usize = 14;
const VLAN_TAG: usize = 4;

/// Facts of a frame that begins with an Ethernet header.
///
/// # Errors
/// The named reason for which no later stage may see the frame.
#[inline]
pub fn ethernet(data: &[u8]) -> Result<Meta, DropReason> {
    ethernet_at(data, 0)
}

/// Facts of a frame whose Ethernet header begins at `at`, for frames inside VXLAN.
///
/// # Errors
/// As [`ethernet`].
#[inline]
pub fn ethernet_at(data: &[u8], at: usize) -> Result<Meta, DropReason> {
    let mut meta = Meta::default();
    frame(data, at, &mut meta)?;
    Ok(meta)
}

/// [`ethernet`] straight into the place where the burst keeps its facts, which saves a copy. What was there
/// is forgotten; after an error nothing can be said of it.
///
/// # Errors
/// As [`ethernet`].
#[inline]
pub fn ethernet_into(data: &[u8], meta: &mut Meta) -> Result<(), DropReason> {
    *meta = Meta::default();
    frame(data, 0, meta)
}

/// Facts of an IP packet at `l3_offset`; its first nibble tells the family (RFC 3032 §2.2 leaves that to
/// the label, and every MPLS label here that carries IP carries either).
///
/// # Errors
/// As [`ethernet`].
#[inline]
pub fn ip(data: &[u8], l3_offset: usize) -> Result<Meta, DropReason> {
    let mut meta = Meta::default();
    match data.get(l3_offset).ok_or(DropReason::Truncated)? >> 4 {
        4 => {
            meta.ether_type = ether_type::IPV4;
            ipv4(data, l3_offset, &mut meta)?;
        }
        6 => {
            meta.ether_type = ether_type::IPV6;
            ipv6(data, l3_offset, &mut meta)?;
        }
        _ => return Err(DropReason::InvalidIpVersion),
    }
    Ok(meta)
}

#[inline]
fn frame(data: &[u8], at: usize, meta: &mut Meta) -> Result<(), DropReason> {
    let header = bytes::chunk::<ETHERNET>(data, at).ok_or(DropReason::Truncated)?;
    meta.ether_type = u16::from_be_bytes([header[12], header[13]]);
    match meta.ether_type {
        ether_type::IPV4 => ipv4(data, at + ETHERNET, meta),
        ether_type::IPV6 => ipv6(data, at + ETHERNET, meta),
        ether_type::VLAN => tagged(data, at + ETHERNET, meta),
        _ => other(data, at + ETHERNET, meta),
    }
}

/// Behind one VLAN tag; a second one is nobody's.
#[cold]
fn tagged(data: &[u8], at: usize, meta: &mut Meta) -> Result<(), DropReason> {
    let tag = bytes::chunk::<VLAN_TAG>(data, at).ok_or(DropReason::Truncated)?;
    meta.ether_type = u16::from_be_bytes([tag[2], tag[3]]);
    meta.vlan = u16::from_be_bytes([tag[0], tag[1]]);
    meta.facts = Facts::VLAN;
    match meta.ether_type {
        ether_type::IPV4 => ipv4(data, at + VLAN_TAG, meta),
        ether_type::IPV6 => ipv6(data, at + VLAN_TAG, meta),
        ether_type::VLAN => Err(DropReason::UnsupportedVlan),
        _ => other(data, at + VLAN_TAG, meta),
    }
}

#[cold]
fn other(data: &[u8], l3: usize, meta: &mut Meta) -> Result<(), DropReason> {
    match meta.ether_type {
        ether_type::ARP => {
            meta.l3 = offset(l3)?;
            meta.end = offset(data.len())?;
            Ok(())
        }
        ether_type::SERVICE_VLAN => Err(DropReason::UnsupportedVlan),
        _ => Err(DropReason::UnsupportedEtherType),
    }
}

/// `Meta` counts in 16 bits; no buffer of a mempool is longer.
#[inline]
fn offset(at: usize) -> Result<u16, DropReason> {
    u16::try_from(at).map_err(|_| DropReason::MultiSegment)
}

#[inline]
fn ipv4(data: &[u8], l3: usize, meta: &mut Meta) -> Result<(), DropReason> {
    const HEADER: usize = 20;
    let header = bytes::chunk::<HEADER>(data, l3).ok_or(DropReason::Truncated)?;
    if header[0] >> 4 != 4 {
        return Err(DropReason::InvalidIpVersion);
    }
    let length = usize::from(header[0] & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if length < HEADER || total < length {
        return Err(DropReason::InvalidIpHeader);
    }
    let whole = data.get(l3..l3 + total).ok_or(DropReason::Truncated)?;
    meta.facts |= Facts::IPV4;
    let sum = if length == HEADER {
        Sum::of(header)
    } else {
        meta.facts |= Facts::OPTIONS;
        whole.get(..length).map_or(Sum::default(), Sum::of)
    };
    if !sum.is_intact() {
        return Err(DropReason::InvalidIpChecksum);
    }
    meta.l3 = offset(l3)?;
    meta.l4 = offset(l3 + length)?;
    meta.end = offset(l3 + total)?;
    meta.src = v4([header[12], header[13], header[14], header[15]]);
    meta.dst = v4([header[16], header[17], header[18], header[19]]);
    meta.traffic_class = header[1];
    meta.ttl = header[8];
    meta.protocol = header[9];
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    if fragment & 0x4000 != 0 {
        meta.facts |= Facts::DF;
    }
    if fragment & 0x3fff != 0 {
        let place = usize::from(fragment & 0x1fff) * 8;
        fragment_facts(meta, place, fragment & 0x2000 != 0, total - length, length)?;
    }
    if !meta.facts.contains(Facts::LATER_FRAGMENT) {
        transport(data, meta)?;
    }
    check_ipv4_addresses(meta)
}

/// A fragment that is not the last carries a multiple of eight bytes (RFC 791 §3.2, RFC 8200 §4.5), none is
/// empty, and together they do not make more than a packet can be.
#[cold]
fn fragment_facts(
    meta: &mut Meta,
    place: usize,
    more: bool,
    length: usize,
    headers: usize,
) -> Result<(), DropReason> {
    if length == 0 || (more && !length.is_multiple_of(8)) || headers + place + length > usize::from(u16::MAX)
    {
        return Err(DropReason::InvalidIpHeader);
    }
    meta.facts |= Facts::FRAGMENT;
    if place != 0 {
        meta.facts |= Facts::LATER_FRAGMENT;
    }
    Ok(())
}

/// RFC 1122 §3.2.1.3 and RFC 1812 §5.3.7: what may not be a source, and what may not leave a host.
#[inline]
fn check_ipv4_addresses(meta: &mut Meta) -> Result<(), DropReason> {
    const LOOPBACK: u8 = 127;
    let (src, dst) = (meta.src_v4(), meta.dst_v4());
    let (src_net, dst_net) = (meta.src[0], meta.dst[0]);
    if src_net & 0xf0 == 0xe0 || src == u32::MAX || src_net == LOOPBACK || dst_net == LOOPBACK || dst_net == 0
    {
        return Err(DropReason::InvalidAddress);
    }
    let asks_dhcp =
        meta.protocol == ip::UDP && (meta.src_port, meta.dst_port) == (udp::DHCP_CLIENT, udp::DHCP_SERVER);
    if src_net == 0 && !(src == 0 && asks_dhcp) {
        return Err(DropReason::InvalidAddress);
    }
    if dst_net & 0xf0 == 0xe0 || dst == u32::MAX {
        meta.facts |= Facts::MULTICAST;
    }
    Ok(())
}

#[inline]
fn ipv6(data: &[u8], l3: usize, meta: &mut Meta) -> Result<(), DropReason> {
    const HEADER: usize = 40;
    let header = bytes::chunk::<HEADER>(data, l3).ok_or(DropReason::Truncated)?;
    if header[0] >> 4 != 6 {
        return Err(DropReason::InvalidIpVersion);
    }
    let end = l3 + HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
    if end > data.len() {
        return Err(DropReason::Truncated);
    }
    meta.facts |= Facts::IPV6 | Facts::DF;
    meta.l3 = offset(l3)?;
    meta.l4 = offset(l3 + HEADER)?;
    meta.end = offset(end)?;
    meta.traffic_class = (header[0] << 4) | (header[1] >> 4);
    meta.ttl = header[7];
    meta.protocol = header[6];
    meta.src.copy_from_slice(&header[8..24]);
    meta.dst.copy_from_slice(&header[24..40]);
    if extension::is_extension(meta.protocol) {
        extension_headers(data, meta)?;
    }
    if !meta.facts.contains(Facts::LATER_FRAGMENT) {
        transport(data, meta)?;
    }
    check_ipv6_addresses(meta)
}

#[cold]
fn extension_headers(data: &[u8], meta: &mut Meta) -> Result<(), DropReason> {
    let start = usize::from(meta.l4);
    let packet = data.get(..usize::from(meta.end)).ok_or(DropReason::Truncated)?;
    let chain = extension::walk(packet, meta.protocol, start).map_err(|reason| match reason {
        // The frame goes on behind the packet: not cut, but wrong.
        DropReason::Truncated if data.len() > packet.len() => DropReason::InvalidIpHeader,
        reason => reason,
    })?;
    meta.facts |= Facts::OPTIONS;
    meta.protocol = chain.protocol;
    meta.l4 = offset(chain.transport)?;
    match chain.fragment {
        // "Atomic" fragments are whole packets (RFC 6946).
        Some(fragment) if fragment.more || fragment.place != 0 => {
            let length = packet.len().saturating_sub(fragment.payload);
            fragment_facts(meta, fragment.place, fragment.more, length, fragment.payload - 8 - start)
        }
        _ => Ok(()),
    }
}

/// RFC 4291 §2.5.2, §2.5.3 and §2.7. Only a node that has no address yet may send from none: it solicits
/// routers, or asks whether its address is taken (RFC 4861 §4.1, §4.3).
#[inline]
fn check_ipv6_addresses(meta: &mut Meta) -> Result<(), DropReason> {
    const UNSPECIFIED: Address = [0; 16];
    const LOOPBACK: Address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    if meta.src[0] == 0xff || meta.src == LOOPBACK || meta.dst == LOOPBACK || meta.dst == UNSPECIFIED {
        return Err(DropReason::InvalidAddress);
    }
    let solicits = meta.facts.contains(Facts::NEIGHBOUR_DISCOVERY) && matches!(meta.l4_flags, 133 | 135);
    if meta.src == UNSPECIFIED && !solicits {
        return Err(DropReason::InvalidAddress);
    }
    if meta.dst[0] == 0xff {
        meta.facts |= Facts::MULTICAST;
    }
    Ok(())
}

/// Ports, and the lengths of the transport header. Only the first fragment of a datagram comes here, and it
/// has to carry the whole header (RFC 1858, RFC 7112).
#[inline]
fn transport(data: &[u8], meta: &mut Meta) -> Result<(), DropReason> {
    let fragment = meta.facts.contains(Facts::FRAGMENT);
    let short = if fragment { DropReason::FragmentTiny } else { DropReason::Truncated };
    let segment = data.get(usize::from(meta.l4)..usize::from(meta.end)).ok_or(DropReason::Truncated)?;
    match meta.protocol {
        ip::TCP => {
            let header = segment.first_chunk::<20>().ok_or(short)?;
            let length = usize::from(header[12] >> 4) * 4;
            if length < 20 {
                return Err(DropReason::InvalidL4);
            }
            if length > segment.len() {
                return Err(if fragment { short } else { DropReason::InvalidL4 });
            }
            meta.l4_flags = header[13];
            ports(meta, [header[0], header[1], header[2], header[3]]);
        }
        ip::UDP => {
            let header = segment.first_chunk::<8>().ok_or(short)?;
            let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
            // A fragment is shorter than its datagram.
            if length < 8 || (length > segment.len() && !fragment) {
                return Err(DropReason::InvalidL4);
            }
            ports(meta, [header[0], header[1], header[2], header[3]]);
        }
        ip::UDP_LITE => {
            let header = segment.first_chunk::<8>().ok_or(short)?;
            let coverage = usize::from(u16::from_be_bytes([header[4], header[5]]));
            // RFC 3828 §3.1: zero is the whole datagram, and less than the header is illegal.
            if matches!(coverage, 1..=7) || (coverage > segment.len() && !fragment) {
                return Err(DropReason::InvalidL4);
            }
            ports(meta, [header[0], header[1], header[2], header[3]]);
        }
        ip::SCTP => {
            let header = segment.first_chunk::<12>().ok_or(short)?;
            ports(meta, [header[0], header[1], header[2], header[3]]);
        }
        ip::ICMP if meta.is_ipv4() => icmp(meta, segment.first_chunk::<8>().ok_or(short)?),
        ip::ICMPV6 if meta.is_ipv6() => icmp(meta, segment.first_chunk::<8>().ok_or(short)?),
        _ => {}
    }
    Ok(())
}

#[inline]
fn ports(meta: &mut Meta, ports: [u8; 4]) {
    meta.src_port = u16::from_be_bytes([ports[0], ports[1]]);
    meta.dst_port = u16::from_be_bytes([ports[2], ports[3]]);
    meta.facts |= Facts::L4;
}

fn icmp(meta: &mut Meta, header: &[u8; 8]) {
    let kind = header[0];
    meta.l4_flags = kind;
    meta.dst_port = icmp_class(meta.protocol, kind);
    if meta.dst_port == 0 {
        meta.src_port = u16::from_be_bytes([header[4], header[5]]);
    }
    meta.facts |= Facts::L4;
    if is_icmp_error(meta.protocol, kind) {
        meta.facts |= Facts::ICMP_ERROR;
    }
    if meta.protocol == ip::ICMPV6 && matches!(kind, 133..=137) {
        meta.facts |= Facts::NEIGHBOUR_DISCOVERY;
    }
}

/// Types that quote the packet they are about: for IPv4 destination unreachable, source quench, redirect,
/// time exceeded, parameter problem (RFC 1122 §3.2.2); for IPv6 all below 128 (RFC 4443 §2.1).
#[inline]
#[must_use]
pub(crate) const fn is_icmp_error(protocol: u8, icmp_type: u8) -> bool {
    match protocol {
        ip::ICMP => matches!(icmp_type, 3 | 4 | 5 | 11 | 12),
        _ => icmp_type < 128,
    }
}
