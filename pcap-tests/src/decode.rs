//! A frame as names and values, for people who read a difference. Headers are taken apart by etherparse; only
//! the tunnel shims, which it does not know, are read here.

use std::collections::BTreeMap;

use etherparse::{
    ArpPacketSlice, Icmpv4Slice, Icmpv6Slice, LaxIpv4Slice, LaxIpv6Slice, LaxNetSlice, LaxSlicedPacket,
    LinkSlice, TcpSlice, TransportSlice, UdpSlice,
};

/// One field of a header: `ipv4.ttl`, `63`. Further headers of one kind are `ipv4#2`, …
pub type Field = (String, String);

const MPLS_PORTS: [u16; 2] = [6635, 51234];
const VXLAN_PORT: u16 = 4789;
const GRE: u8 = 47;
const GRE_MPLS: u16 = 0x8847;

/// Takes an Ethernet frame apart, as far as it can be.
#[must_use]
pub fn decode(frame: &[u8]) -> Vec<Field> {
    let mut decoder = Decoder::default();
    decoder.add("frame.length", frame.len());
    decoder.ethernet(frame);
    decoder.fields
}

/// The frame in one line: the addresses, ports and labels of each header.
#[must_use]
pub fn summary(frame: &[u8]) -> String {
    const TELLING: [&str; 10] = [
        "src",
        "dst",
        "source_port",
        "destination_port",
        "label",
        "vni",
        "type",
        "code",
        "operation",
        "target",
    ];
    let mut line = format!("{} bytes", frame.len());
    let mut layer = "";
    let fields = decode(frame);
    for (path, value) in &fields {
        let Some((header, name)) = path.rsplit_once('.') else { continue };
        if TELLING.contains(&name) {
            if header != layer {
                line += &format!(" | {header}");
                layer = header;
            }
            line += &format!(" {value}");
        }
    }
    line
}

#[derive(Default)]
struct Decoder {
    fields: Vec<Field>,
    seen: BTreeMap<&'static str, u32>,
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl Decoder {
    fn add(&mut self, path: &str, value: impl std::fmt::Display) {
        self.fields.push((path.to_owned(), value.to_string()));
    }

    fn header<const N: usize>(&mut self, kind: &'static str, values: [(&str, String); N]) {
        let count = self.seen.entry(kind).or_default();
        *count += 1;
        let name = if *count == 1 { kind.to_owned() } else { format!("{kind}#{count}") };
        for (field, value) in values {
            self.add(&format!("{name}.{field}"), value);
        }
    }

    fn rest(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.header("payload", [("length", bytes.len().to_string()), ("bytes", hex(bytes))]);
        }
    }

    fn ethernet(&mut self, frame: &[u8]) {
        match LaxSlicedPacket::from_ethernet(frame) {
            Ok(sliced) => self.packet(&sliced, frame.get(14..).unwrap_or_default()),
            Err(_) => self.rest(frame),
        }
    }

    fn ip(&mut self, packet: &[u8]) {
        match LaxSlicedPacket::from_ip(packet) {
            Ok(sliced) => self.packet(&sliced, packet),
            Err(_) => self.rest(packet),
        }
    }

    /// `bytes`: what follows the Ethernet header, shown where nothing better is known.
    fn packet(&mut self, sliced: &LaxSlicedPacket<'_>, bytes: &[u8]) {
        if let Some(LinkSlice::Ethernet2(ethernet)) = &sliced.link {
            self.header(
                "ethernet",
                [
                    ("dst", mac(ethernet.destination())),
                    ("src", mac(ethernet.source())),
                    ("ether_type", format!("{:#06x}", ethernet.ether_type().0)),
                ],
            );
        }
        match &sliced.net {
            Some(LaxNetSlice::Ipv4(header)) => self.ipv4(header),
            Some(LaxNetSlice::Ipv6(header)) => self.ipv6(header),
            Some(LaxNetSlice::Arp(arp)) => return self.arp(arp),
            None => return self.rest(bytes),
        }
        match &sliced.transport {
            Some(TransportSlice::Udp(udp)) => self.udp(udp),
            Some(TransportSlice::Tcp(tcp)) => self.tcp(tcp),
            Some(TransportSlice::Icmpv4(icmp)) => self.icmpv4(icmp),
            Some(TransportSlice::Icmpv6(icmp)) => self.icmpv6(icmp),
            _ => match sliced.ip_payload() {
                Some(payload) if payload.ip_number.0 == GRE && !payload.fragmented => {
                    self.gre(payload.payload)
                }
                Some(payload) => self.rest(payload.payload),
                None => {}
            },
        }
    }

    fn ipv4(&mut self, slice: &LaxIpv4Slice<'_>) {
        let ip = slice.header();
        self.header(
            "ipv4",
            [
                ("src", ip.source_addr().to_string()),
                ("dst", ip.destination_addr().to_string()),
                ("dscp", ip.dcp().value().to_string()),
                ("ecn", ip.ecn().value().to_string()),
                ("total_length", ip.total_len().to_string()),
                ("identification", ip.identification().to_string()),
                ("dont_fragment", ip.dont_fragment().to_string()),
                ("more_fragments", ip.more_fragments().to_string()),
                ("fragment_offset", ip.fragments_offset().value().to_string()),
                ("ttl", ip.ttl().to_string()),
                ("protocol", ip.protocol().0.to_string()),
                ("checksum", format!("{:#06x}", ip.header_checksum())),
                ("options", hex(ip.options())),
            ],
        );
    }

    fn ipv6(&mut self, slice: &LaxIpv6Slice<'_>) {
        let ip = slice.header();
        self.header(
            "ipv6",
            [
                ("src", ip.source_addr().to_string()),
                ("dst", ip.destination_addr().to_string()),
                ("dscp", ip.dscp().value().to_string()),
                ("ecn", ip.ecn().value().to_string()),
                ("flow_label", format!("{:#07x}", ip.flow_label().value())),
                ("payload_length", ip.payload_length().to_string()),
                ("next_header", ip.next_header().0.to_string()),
                ("hop_limit", ip.hop_limit().to_string()),
                ("extensions", hex(slice.extensions().slice())),
            ],
        );
    }

    fn arp(&mut self, arp: &ArpPacketSlice<'_>) {
        self.header(
            "arp",
            [
                ("operation", arp.operation().0.to_string()),
                ("sender_mac", hex(arp.sender_hw_addr())),
                ("sender", hex(arp.sender_protocol_addr())),
                ("target_mac", hex(arp.target_hw_addr())),
                ("target", hex(arp.target_protocol_addr())),
            ],
        );
    }

    fn udp(&mut self, udp: &UdpSlice<'_>) {
        self.header(
            "udp",
            [
                ("source_port", udp.source_port().to_string()),
                ("destination_port", udp.destination_port().to_string()),
                ("length", udp.length().to_string()),
                ("checksum", format!("{:#06x}", udp.checksum())),
            ],
        );
        match udp.destination_port() {
            port if MPLS_PORTS.contains(&port) => self.mpls(udp.payload()),
            VXLAN_PORT => self.vxlan(udp.payload()),
            _ => self.rest(udp.payload()),
        }
    }

    fn tcp(&mut self, tcp: &TcpSlice<'_>) {
        let flags = [
            (tcp.fin(), 'F'),
            (tcp.syn(), 'S'),
            (tcp.rst(), 'R'),
            (tcp.psh(), 'P'),
            (tcp.ack(), 'A'),
            (tcp.urg(), 'U'),
            (tcp.ece(), 'E'),
            (tcp.cwr(), 'C'),
        ];
        self.header(
            "tcp",
            [
                ("source_port", tcp.source_port().to_string()),
                ("destination_port", tcp.destination_port().to_string()),
                ("sequence", tcp.sequence_number().to_string()),
                ("acknowledgement", tcp.acknowledgment_number().to_string()),
                ("flags", flags.iter().filter(|(set, _)| *set).map(|(_, letter)| *letter).collect()),
                ("window", tcp.window_size().to_string()),
                ("checksum", format!("{:#06x}", tcp.checksum())),
                ("options", hex(tcp.options())),
            ],
        );
        self.rest(tcp.payload());
    }

    fn icmpv4(&mut self, icmp: &Icmpv4Slice<'_>) {
        let bytes = icmp.slice();
        self.icmp("icmp", bytes, matches!(icmp.type_u8(), 3 | 11 | 12));
    }

    fn icmpv6(&mut self, icmp: &Icmpv6Slice<'_>) {
        self.icmp("icmpv6", icmp.slice(), icmp.type_u8() < 128);
    }

    fn icmp(&mut self, kind: &'static str, bytes: &[u8], error: bool) {
        let byte = |at: usize| bytes.get(at).map(u8::to_string).unwrap_or_default();
        self.header(
            kind,
            [
                ("type", byte(0)),
                ("code", byte(1)),
                ("checksum", word(bytes, 2).map(|sum| format!("{sum:#06x}")).unwrap_or_default()),
                ("word", long(bytes, 4).map(|word| format!("{word:#010x}")).unwrap_or_default()),
            ],
        );
        let rest = bytes.get(8..).unwrap_or_default();
        if error { self.ip(rest) } else { self.rest(rest) }
    }

    fn gre(&mut self, bytes: &[u8]) {
        let (Some(flags), Some(protocol)) = (word(bytes, 0), word(bytes, 2)) else { return self.rest(bytes) };
        self.header("gre", [("flags", format!("{flags:#06x}")), ("protocol", format!("{protocol:#06x}"))]);
        let options = [0x8000, 0x2000, 0x1000].iter().filter(|bit| flags & **bit != 0).count() * 4;
        let rest = bytes.get(4 + options..).unwrap_or_default();
        if protocol == GRE_MPLS { self.mpls(rest) } else { self.rest(rest) }
    }

    fn mpls(&mut self, bytes: &[u8]) {
        let Some(entry) = long(bytes, 0) else { return self.rest(bytes) };
        let last = entry >> 8 & 1 == 1;
        self.header(
            "mpls",
            [
                ("label", (entry >> 12).to_string()),
                ("traffic_class", (entry >> 9 & 7).to_string()),
                ("last", last.to_string()),
                ("ttl", (entry & 0xff).to_string()),
            ],
        );
        let rest = bytes.get(4..).unwrap_or_default();
        if last { self.ip(rest) } else { self.mpls(rest) }
    }

    fn vxlan(&mut self, bytes: &[u8]) {
        let (Some(flags), Some(vni)) = (long(bytes, 0), long(bytes, 4)) else { return self.rest(bytes) };
        self.header(
            "vxlan",
            [
                ("flags", format!("{flags:#010x}")),
                ("vni", (vni >> 8).to_string()),
                ("reserved", (vni & 0xff).to_string()),
            ],
        );
        self.ethernet(bytes.get(8..).unwrap_or_default());
    }
}
