//! A frame in one line, as tshark would put it, with tunnels taken apart.

use std::net::Ipv4Addr;

use etherparse::{
    ArpOperation, EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice, UdpSlice,
};

/// Tunnels in tunnels are taken apart this far.
const MAX_DEPTH: usize = 4;

const MPLS_UNICAST: EtherType = EtherType(0x8847);
const TRANSPARENT_ETHERNET: EtherType = EtherType(0x6558);

/// What an Ethernet frame is, from all of it or from its first bytes.
pub(crate) fn summary(frame: &[u8]) -> String {
    ethernet(frame, 0)
}

fn ethernet(frame: &[u8], depth: usize) -> String {
    if depth == MAX_DEPTH {
        return "…".into();
    }
    let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else {
        return format!("truncated Ethernet frame, {} bytes", frame.len());
    };
    let vlans: String = packet.vlan_ids().iter().map(|id| format!("vlan {} ", id.value())).collect();
    vlans + &layers(&packet, depth)
}

fn ip(bytes: &[u8], depth: usize) -> String {
    if depth == MAX_DEPTH {
        return "…".into();
    }
    match LaxSlicedPacket::from_ip(bytes) {
        Ok(packet) => layers(&packet, depth),
        Err(_) => "malformed IP packet".into(),
    }
}

fn layers(packet: &LaxSlicedPacket<'_>, depth: usize) -> String {
    let (source, destination, length) = match &packet.net {
        None => return unknown(packet, depth),
        Some(LaxNetSlice::Arp(arp)) => return describe_arp(&arp.to_packet()),
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let length = header.payload_len().ok().map(usize::from);
            (header.source_addr().to_string(), header.destination_addr().to_string(), length)
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let length = usize::from(header.payload_length()).checked_sub(ip.extensions().slice().len());
            (header.source_addr().to_string(), header.destination_addr().to_string(), length)
        }
    };
    let what = match (&packet.transport, packet.ip_payload()) {
        (Some(TransportSlice::Tcp(tcp)), _) => describe_tcp(tcp, length),
        (Some(TransportSlice::Udp(udp)), _) => describe_udp(udp, depth),
        (Some(TransportSlice::Icmpv4(icmp)), _) => {
            describe_icmp("ICMP", icmp.type_u8(), icmp.code_u8(), icmp.bytes5to8(), ICMP)
        }
        (Some(TransportSlice::Icmpv6(icmp)), _) => {
            describe_icmp("ICMPv6", icmp.type_u8(), icmp.code_u8(), icmp.bytes5to8(), ICMPV6)
        }
        (Some(TransportSlice::Igmp(_)), _) => "IGMP".into(),
        (None, Some(payload)) if payload.fragmented => format!("{} fragment", protocol(payload.ip_number)),
        (None, Some(payload)) if payload.ip_number == IpNumber::GRE => describe_gre(payload.payload, depth),
        (None, Some(payload)) if packet.stop_err.is_some() => {
            format!("truncated {}", protocol(payload.ip_number))
        }
        (None, Some(payload)) => protocol(payload.ip_number),
        (None, None) => "truncated".into(),
    };
    format!("{source} → {destination} {what}")
}

fn unknown(packet: &LaxSlicedPacket<'_>, depth: usize) -> String {
    match packet.ether_payload() {
        Some(payload) if payload.ether_type == MPLS_UNICAST => describe_mpls(payload.payload, depth),
        Some(payload) if packet.stop_err.is_some() => {
            format!("malformed packet of ethertype {:#06x}", payload.ether_type.0)
        }
        Some(payload) => format!("ethertype {:#06x}", payload.ether_type.0),
        None => "no payload".into(),
    }
}

fn protocol(number: IpNumber) -> String {
    number.keyword_str().map_or_else(|| format!("protocol {}", number.0), str::to_uppercase)
}

fn describe_arp(arp: &etherparse::ArpPacket) -> String {
    let address = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
        Ok(bytes) => Ipv4Addr::from(bytes).to_string(),
        Err(_) => "?".into(),
    };
    let (sender, target) = (address(arp.sender_protocol_addr()), address(arp.target_protocol_addr()));
    match arp.operation {
        ArpOperation::REQUEST => format!("ARP who has {target}? tell {sender}"),
        ArpOperation::REPLY => {
            let mac: Vec<_> = arp.sender_hw_addr().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("ARP {sender} is at {}", mac.join(":"))
        }
        ArpOperation(other) => format!("ARP operation {other}"),
    }
}

fn describe_tcp(tcp: &TcpSlice<'_>, length: Option<usize>) -> String {
    let flags = [
        (tcp.fin(), "FIN"),
        (tcp.syn(), "SYN"),
        (tcp.rst(), "RST"),
        (tcp.psh(), "PSH"),
        (tcp.ack(), "ACK"),
        (tcp.urg(), "URG"),
    ];
    let flags: Vec<_> = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
    let mut text = format!(
        "TCP {} → {} [{}] Seq={}",
        tcp.source_port(),
        tcp.destination_port(),
        flags.join(", "),
        tcp.sequence_number()
    );
    if tcp.ack() {
        text += &format!(" Ack={}", tcp.acknowledgment_number());
    }
    if let Some(length) = length.and_then(|length| length.checked_sub(tcp.header_slice().len())) {
        text += &format!(" Len={length}");
    }
    text
}

fn describe_udp(udp: &UdpSlice<'_>, depth: usize) -> String {
    let (from, to) = (udp.source_port(), udp.destination_port());
    match (to, udp.payload()) {
        (6635 | 51234, payload) => format!("UDP {from} → {to} {}", describe_mpls(payload, depth)),
        (4789, [flags, _, _, _, v0, v1, v2, _, inner @ ..]) => {
            let valid = if flags & 0x08 == 0 { " without I flag" } else { "" };
            let vni = u32::from_be_bytes([0, *v0, *v1, *v2]);
            format!("UDP {from} → {to} VXLAN{valid} vni {vni} | {}", ethernet(inner, depth + 1))
        }
        _ => format!("UDP {from} → {to} Len={}", usize::from(udp.length()).saturating_sub(8)),
    }
}

/// RFC 2784 and 2890: the checksum, key and sequence fields are there if their bits are.
fn describe_gre(bytes: &[u8], depth: usize) -> String {
    let [flags, version, p0, p1, rest @ ..] = bytes else { return "truncated GRE".into() };
    if version & 7 != 0 {
        return format!("GRE version {}", version & 7);
    }
    let optional = 4 * (flags & 0b1011_0000).count_ones() as usize;
    let Some(inner) = rest.get(optional..) else { return "truncated GRE".into() };
    match EtherType(u16::from_be_bytes([*p0, *p1])) {
        MPLS_UNICAST => format!("GRE {}", describe_mpls(inner, depth)),
        EtherType::IPV4 | EtherType::IPV6 => format!("GRE | {}", ip(inner, depth + 1)),
        TRANSPARENT_ETHERNET => format!("GRE | {}", ethernet(inner, depth + 1)),
        other => format!("GRE ethertype {:#06x}", other.0),
    }
}

/// RFC 3032: label 20 bits, traffic class 3, bottom of stack 1, TTL 8. What follows an IP packet's first
/// nibble tells; anything else is taken for an Ethernet frame.
fn describe_mpls(bytes: &[u8], depth: usize) -> String {
    let mut text = "MPLS".to_owned();
    let mut rest = bytes;
    loop {
        let [b0, b1, b2, ttl, inner @ ..] = rest else { return text + " truncated" };
        let entry = u32::from_be_bytes([0, *b0, *b1, *b2]);
        text += &format!(" label {} ttl {ttl}", entry >> 4);
        rest = inner;
        if entry & 1 != 0 {
            break;
        }
    }
    let inner = match rest.first().map(|byte| byte >> 4) {
        None => return text,
        Some(4 | 6) => ip(rest, depth + 1),
        Some(_) => ethernet(rest, depth + 1),
    };
    format!("{text} | {inner}")
}

/// The types that operators meet, and whether they carry an identifier and a sequence number.
type IcmpTypes = &'static [(u8, &'static str, bool)];

const ICMP: IcmpTypes = &[
    (0, "echo reply", true),
    (3, "unreachable", false),
    (5, "redirect", false),
    (8, "echo request", true),
    (11, "time exceeded", false),
    (12, "parameter problem", false),
];

const ICMPV6: IcmpTypes = &[
    (1, "unreachable", false),
    (2, "packet too big", false),
    (3, "time exceeded", false),
    (4, "parameter problem", false),
    (128, "echo request", true),
    (129, "echo reply", true),
    (133, "router solicitation", false),
    (134, "router advertisement", false),
    (135, "neighbour solicitation", false),
    (136, "neighbour advertisement", false),
];

fn describe_icmp(name: &str, kind: u8, code: u8, rest: [u8; 4], types: IcmpTypes) -> String {
    let [id0, id1, seq0, seq1] = rest;
    match types.iter().find(|(number, ..)| *number == kind) {
        None => format!("{name} type {kind} code {code}"),
        Some((_, what, true)) => {
            let (id, sequence) = (u16::from_be_bytes([id0, id1]), u16::from_be_bytes([seq0, seq1]));
            format!("{name} {what} id={id} seq={sequence}")
        }
        Some((_, what, false)) if code == 0 => format!("{name} {what}"),
        Some((_, what, false)) => format!("{name} {what} code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{ArpEthIpv4Packet, ArpOperation, EtherType as E, PacketBuilder};

    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn tcp() -> Vec<u8> {
        let builder = PacketBuilder::ipv4([10, 1, 1, 3], [10, 1, 2, 4], 63).tcp(45116, 22, 7, 1024).syn();
        let mut packet = Vec::new();
        builder.write(&mut packet, &[]).unwrap();
        packet
    }

    fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
        let builder =
            PacketBuilder::ethernet2(MAC, MAC).ipv4([10, 1, 0, 66], [10, 1, 0, 194], 64).udp(49152, port);
        let mut packet = Vec::new();
        builder.write(&mut packet, payload).unwrap();
        packet
    }

    fn raw(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(MAC, MAC).ipv4([10, 1, 0, 66], [10, 1, 0, 194], 64);
        let mut packet = Vec::new();
        builder.write(&mut packet, IpNumber(protocol), payload).unwrap();
        packet
    }

    fn ether(ether_type: u16, payload: &[u8]) -> Vec<u8> {
        [&MAC[..], &MAC, &ether_type.to_be_bytes(), payload].concat()
    }

    const TCP: &str = "10.1.1.3 → 10.1.2.4 TCP 45116 → 22 [SYN] Seq=7 Len=0";

    #[test]
    fn a_plain_packet_is_told_as_tshark_tells_it() {
        assert_eq!(summary(&ether(0x0800, &tcp())), TCP);
        assert_eq!(summary(&udp(53, &[1, 2, 3])), "10.1.0.66 → 10.1.0.194 UDP 49152 → 53 Len=3");
        let mut reply = Vec::new();
        PacketBuilder::ethernet2(MAC, MAC)
            .ipv6([0x20; 16], [0xfd; 16], 64)
            .tcp(80, 4000, 1, 99)
            .ack(8)
            .psh()
            .write(&mut reply, b"hello")
            .unwrap();
        assert_eq!(
            summary(&reply),
            "2020:2020:2020:2020:2020:2020:2020:2020 → fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd \
             TCP 80 → 4000 [PSH, ACK] Seq=1 Ack=8 Len=5"
        );
        assert_eq!(summary(&raw(89, &[0; 20])), "10.1.0.66 → 10.1.0.194 OSPFIGP");
        assert_eq!(summary(&raw(253, &[0; 20])), "10.1.0.66 → 10.1.0.194 protocol 253");
        assert_eq!(summary(&raw(2, &[0x16, 0, 0, 0, 224, 0, 0, 5])), "10.1.0.66 → 10.1.0.194 IGMP");
    }

    #[test]
    fn tunnels_are_taken_apart() {
        let label = [0, 2, 0x81, 63];
        let mpls = [&label[..], &tcp()].concat();
        let outer = "10.1.0.66 → 10.1.0.194";
        assert_eq!(
            summary(&udp(6635, &mpls)),
            format!("{outer} UDP 49152 → 6635 MPLS label 40 ttl 63 | {TCP}")
        );
        assert_eq!(
            summary(&udp(51234, &mpls)),
            format!("{outer} UDP 49152 → 51234 MPLS label 40 ttl 63 | {TCP}")
        );
        let gre = [&[0, 0, 0x88, 0x47], &mpls[..]].concat();
        assert_eq!(summary(&raw(47, &gre)), format!("{outer} GRE MPLS label 40 ttl 63 | {TCP}"));
        let keyed = [&[0xb0, 0, 0x08, 0x00][..], &[0; 12], &tcp()].concat();
        assert_eq!(summary(&raw(47, &keyed)), format!("{outer} GRE | {TCP}"));
        let vxlan = [&[8, 0, 0, 0, 0, 0, 100, 0], &ether(0x0800, &tcp())[..]].concat();
        assert_eq!(summary(&udp(4789, &vxlan)), format!("{outer} UDP 49152 → 4789 VXLAN vni 100 | {TCP}"));
        let invalid = [&[0, 0, 0, 0, 0, 0, 100, 0], &ether(0x0800, &tcp())[..]].concat();
        assert_eq!(
            summary(&udp(4789, &invalid)),
            format!("{outer} UDP 49152 → 4789 VXLAN without I flag vni 100 | {TCP}")
        );
        let stack = [&[0, 1, 0x00, 9], &mpls[..]].concat();
        assert_eq!(summary(&ether(0x8847, &stack)), format!("MPLS label 16 ttl 9 label 40 ttl 63 | {TCP}"));
        let bridged = [&label[..], &ether(0x0800, &tcp())].concat();
        assert_eq!(summary(&ether(0x8847, &bridged)), format!("MPLS label 40 ttl 63 | {TCP}"));
    }

    #[test]
    fn icmp_and_arp_say_what_they_want() {
        let icmp = |bytes: &[u8]| summary(&raw(1, bytes));
        let outer = "10.1.0.66 → 10.1.0.194";
        assert_eq!(icmp(&[8, 0, 0, 0, 0, 7, 0, 1]), format!("{outer} ICMP echo request id=7 seq=1"));
        assert_eq!(icmp(&[3, 4, 0, 0, 0, 0, 5, 120]), format!("{outer} ICMP unreachable code 4"));
        assert_eq!(icmp(&[11, 0, 0, 0, 0, 0, 0, 0]), format!("{outer} ICMP time exceeded"));
        assert_eq!(icmp(&[40, 2, 0, 0, 0, 0, 0, 0]), format!("{outer} ICMP type 40 code 2"));

        let arp = |operation| {
            let arp = ArpEthIpv4Packet {
                operation,
                sender_mac: MAC,
                sender_ipv4: [10, 1, 1, 3],
                target_mac: [0; 6],
                target_ipv4: [10, 1, 1, 1],
            };
            summary(&ether(E::ARP.0, &arp.to_bytes()))
        };
        assert_eq!(arp(ArpOperation::REQUEST), "ARP who has 10.1.1.1? tell 10.1.1.3");
        assert_eq!(arp(ArpOperation::REPLY), "ARP 10.1.1.3 is at 02:00:00:00:00:01");
        assert_eq!(arp(ArpOperation(9)), "ARP operation 9");
    }

    #[test]
    fn a_vlan_a_fragment_and_an_unknown_ethertype_are_named() {
        assert_eq!(summary(&ether(0x8100, &[&[0, 5, 8, 0], &tcp()[..]].concat())), format!("vlan 5 {TCP}"));
        assert_eq!(summary(&ether(0x88cc, &[1, 2, 3])), "ethertype 0x88cc");
        let mut fragment = ether(0x0800, &tcp());
        fragment[20] = 0x20;
        assert_eq!(summary(&fragment), "10.1.1.3 → 10.1.2.4 TCP fragment");
    }

    #[test]
    fn a_cut_frame_is_told_as_far_as_it_goes() {
        let whole = udp(6635, &[&[0, 2, 0x81, 63][..], &tcp()].concat());
        assert_eq!(summary(&whole[..10]), "truncated Ethernet frame, 10 bytes");
        assert_eq!(summary(&whole[..36]), "10.1.0.66 → 10.1.0.194 truncated UDP");
        let outer = "10.1.0.66 → 10.1.0.194 UDP 49152 → 6635";
        assert_eq!(summary(&whole[..44]), format!("{outer} MPLS truncated"));
        assert_eq!(summary(&whole[..46]), format!("{outer} MPLS label 40 ttl 63"));
        assert_eq!(summary(&whole[..50]), format!("{outer} MPLS label 40 ttl 63 | malformed IP packet"));
    }

    #[test]
    fn no_bytes_whatever_make_it_panic_or_run_away() {
        let mut seed = 1_u64;
        let mut byte = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        };
        let whole = udp(6635, &[&[0, 2, 0x81, 63][..], &tcp()].concat());
        for round in 0..20_000 {
            let mut frame = whole.clone();
            for _ in 0..round % 5 {
                let at = usize::from(byte()) % frame.len();
                frame[at] = byte();
            }
            frame.truncate(usize::from(byte()));
            let _ = summary(&frame);
        }
        // VXLAN in VXLAN in VXLAN …
        let mut nested = ether(0x0800, &tcp());
        for _ in 0..100 {
            nested = udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0], &nested[..]].concat());
        }
        assert!(summary(&nested).ends_with("| …"));
    }
}
