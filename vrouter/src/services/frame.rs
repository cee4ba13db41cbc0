//! What workloads sent, as far as services look at it, and frames back to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::PacketBuilder;
use packet::encap::{EthernetHeader, push_ethernet};
use packet::{Facts, MemoryBuf, Meta, PacketBuf, parse};

use crate::tables::Interface;

const UDP_HEADER: usize = 8;
/// Hop limit of everything but neighbour discovery (RFC 1700).
const HOPS: u8 = 64;
/// "Could not possibly have been forwarded by a router" (RFC 4861 §4.2).
const HOPS_OF_ND: u8 = 255;
const BROADCAST: [u8; 6] = [0xff; 6];

/// A received packet, parsed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'f> {
    pub(super) frame: &'f [u8],
    pub(super) meta: Meta,
}

impl<'f> Received<'f> {
    /// Nothing if it is no IP packet in Ethernet: a worker would not have handed it up.
    pub(super) fn parse(frame: &'f [u8]) -> Option<Self> {
        parse::ethernet(frame).ok().map(|meta| Self { frame, meta })
    }

    pub(super) fn source_mac(&self) -> [u8; 6] {
        self.frame.get(6..12).and_then(|mac| mac.first_chunk().copied()).unwrap_or_default()
    }

    pub(super) const fn is_multicast(&self) -> bool {
        self.meta.facts.contains(Facts::MULTICAST)
    }

    pub(super) fn source(&self) -> SocketAddr {
        SocketAddr::new(ip(self.meta.is_ipv6(), &self.meta.src), self.meta.src_port)
    }

    pub(super) fn destination(&self) -> SocketAddr {
        SocketAddr::new(ip(self.meta.is_ipv6(), &self.meta.dst), self.meta.dst_port)
    }

    /// What the UDP header announces. Its checksum is not looked at: the link to a workload is memory, and a guest may
    /// leave checksums to a device that never comes (SEMANTICS 13).
    pub(super) fn datagram(&self) -> &'f [u8] {
        let l4 = usize::from(self.meta.l4);
        self.frame.get(l4 + UDP_HEADER..usize::from(self.meta.end)).unwrap_or_default()
    }
}

fn ip(v6: bool, address: &packet::Address) -> IpAddr {
    let [a, b, c, d, ..] = *address;
    if v6 { Ipv6Addr::from(*address).into() } else { Ipv4Addr::new(a, b, c, d).into() }
}

/// The MAC of a destination on a workload's link: a group's, or the workload's.
fn mac_of(workload: [u8; 6], destination: IpAddr) -> [u8; 6] {
    match destination {
        IpAddr::V4(Ipv4Addr::BROADCAST) => BROADCAST,
        IpAddr::V6(v6) if v6.is_multicast() => packet::nd::multicast_mac(&v6.octets()),
        _ => workload,
    }
}

/// The way to a workload: its MAC and ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) workload: [u8; 6],
    pub(super) gateway: [u8; 6],
}

impl From<&Interface> for Link {
    fn from(row: &Interface) -> Self {
        Self { workload: row.mac, gateway: row.gateway_mac }
    }
}

impl Link {
    /// A UDP datagram in its frame. Addresses of different families give nothing.
    pub(super) fn udp(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
        let Some(builder) = self.network(from.ip(), to.ip(), HOPS) else { return Vec::new() };
        let builder = builder.udp(from.port(), to.port());
        let mut frame = Vec::with_capacity(builder.size(payload.len()));
        written(builder.write(&mut frame, payload).is_ok(), frame)
    }

    /// An ICMPv6 message of neighbour discovery: `head` is what follows the checksum.
    pub(super) fn discovery(
        &self,
        from: Ipv6Addr,
        to: Ipv6Addr,
        kind: u8,
        head: [u8; 4],
        body: &[u8],
    ) -> Vec<u8> {
        let Some(builder) = self.network(from.into(), to.into(), HOPS_OF_ND) else { return Vec::new() };
        let builder = builder.icmpv6_raw(kind, 0, head);
        let mut frame = Vec::with_capacity(builder.size(body.len()));
        written(builder.write(&mut frame, body).is_ok(), frame)
    }

    /// The reset that answers a TCP segment; nothing for what none is due to.
    pub(super) fn reset(&self, received: &Received<'_>) -> Option<Vec<u8>> {
        let mut buf = MemoryBuf::new(received.frame);
        let reset = packet::tcp_reset(&mut buf, &received.meta).ok()?;
        let header = EthernetHeader { destination: self.workload, source: self.gateway, vlan: None };
        push_ethernet(&mut buf, &header, reset.ether_type).ok()?;
        Some(buf.data().to_vec())
    }

    fn network(
        &self,
        from: IpAddr,
        to: IpAddr,
        hops: u8,
    ) -> Option<etherparse::PacketBuilderStep<etherparse::IpHeaders>> {
        let ethernet = PacketBuilder::ethernet2(self.gateway, mac_of(self.workload, to));
        Some(match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), hops),
            (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from.octets(), to.octets(), hops),
            _ => return None,
        })
    }
}

/// A frame that is too long for its headers is none.
fn written(whole: bool, frame: Vec<u8>) -> Vec<u8> {
    if whole { frame } else { Vec::new() }
}
