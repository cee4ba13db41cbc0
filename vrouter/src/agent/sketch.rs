//! From the sketch of a packet to a whole frame, as it would arrive on an interface.

use std::net::IpAddr;

use agent_api::v1;
use etherparse::{IpNumber, PacketBuilder, PacketBuilderStep, TcpOptionElement};

use crate::tables::{Interface, Role};

/// Bytes behind the headers.
const PAYLOAD: [u8; 32] = [0; 32];
/// TTL or hop limit.
const TTL: u8 = 64;

type Refusal = (&'static str, String);

/// The frame, or the field at fault and why.
pub(super) fn frame(arrival: &Interface, sketch: &v1::PacketSketch) -> Result<Vec<u8>, Refusal> {
    let source = address("source", &sketch.source)?;
    let destination = address("destination", &sketch.destination)?;
    // What a workload sends goes to its gateway; what the fabric brings, to the port.
    let (from, to) = match arrival.role {
        Role::Virtual => (arrival.mac, arrival.gateway_mac),
        Role::Fabric | Role::Host => ([2, 0, 0, 0, 0, 1], arrival.mac),
    };
    let ethernet = PacketBuilder::ethernet2(from, to);
    let ip = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ethernet.ipv4(source.octets(), destination.octets(), TTL)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ethernet.ipv6(source.octets(), destination.octets(), TTL)
        }
        _ => return Err(("destination", format!("{destination} is not of the family of {source}"))),
    };
    transport(ip, sketch, source.is_ipv6())
}

fn transport(
    ip: PacketBuilderStep<etherparse::IpHeaders>,
    sketch: &v1::PacketSketch,
    v6: bool,
) -> Result<Vec<u8>, Refusal> {
    let protocol: u8 = number("protocol", sketch.protocol)?;
    let source_port: u16 = number("source_port", sketch.source_port)?;
    let destination_port: u16 = number("destination_port", sketch.destination_port)?;
    let icmp_type: u8 = number("icmp_type", sketch.icmp_type)?;
    let icmp_code: u8 = number("icmp_code", sketch.icmp_code)?;
    let flags: u8 = number("tcp_flags", sketch.tcp_flags)?;
    let mut frame = Vec::with_capacity(128);
    // Identifier and sequence number of an echo: the identifier is the source port of the sketch.
    let [high, low] = source_port.to_be_bytes();
    let rest = [high, low, 0, 1];
    let written = match protocol {
        6 => {
            let mut tcp = ip.tcp(source_port, destination_port, 1, 65_535);
            let flags = if flags == 0 { SYN } else { flags };
            for (flag, set) in TCP_FLAGS {
                if flags & flag != 0 {
                    tcp = set(tcp);
                }
            }
            if flags == SYN {
                tcp = tcp
                    .options(&[TcpOptionElement::MaximumSegmentSize(1460)])
                    .map_err(|error| ("tcp_flags", error.to_string()))?;
                tcp.write(&mut frame, &[])
            } else {
                tcp.write(&mut frame, &PAYLOAD)
            }
        }
        17 => ip.udp(source_port, destination_port).write(&mut frame, &PAYLOAD),
        1 if !v6 => ip.icmpv4_raw(echo(icmp_type, 8), icmp_code, rest).write(&mut frame, &PAYLOAD),
        58 if v6 => ip.icmpv6_raw(echo(icmp_type, 128), icmp_code, rest).write(&mut frame, &PAYLOAD),
        132 => {
            let [sh, sl] = source_port.to_be_bytes();
            let [dh, dl] = destination_port.to_be_bytes();
            // A common header without chunks (RFC 9260 §3.1).
            let sctp = [sh, sl, dh, dl, 0, 0, 0, 0, 0, 0, 0, 0];
            ip.write(&mut frame, IpNumber(132), &sctp)
        }
        other => ip.write(&mut frame, IpNumber(other), &PAYLOAD),
    };
    written.map_err(|error| ("protocol", error.to_string()))?;
    Ok(frame)
}

/// An ICMP sketch without type asks for an echo.
const fn echo(icmp_type: u8, request: u8) -> u8 {
    if icmp_type == 0 { request } else { icmp_type }
}

const SYN: u8 = 0x02;

type Tcp = PacketBuilderStep<etherparse::TcpHeader>;

/// A flag's bit, and how the builder sets it.
type Flag = (u8, fn(Tcp) -> Tcp);

const TCP_FLAGS: [Flag; 6] = [
    (0x01, |tcp| tcp.fin()),
    (SYN, |tcp| tcp.syn()),
    (0x04, |tcp| tcp.rst()),
    (0x08, |tcp| tcp.psh()),
    (0x10, |tcp| tcp.ack(1)),
    (0x20, |tcp| tcp.urg(0)),
];

fn address(field: &'static str, text: &str) -> Result<IpAddr, Refusal> {
    text.parse().map_err(|_| (field, format!("{text:?} is no IPv4 or IPv6 address")))
}

fn number<T: TryFrom<u32>>(field: &'static str, value: u32) -> Result<T, Refusal> {
    T::try_from(value).map_err(|_| (field, format!("{value} is out of range")))
}
