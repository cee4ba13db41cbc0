//! Headers, written from their RFCs.

use std::net::IpAddr;

/// The source port of tunnel packets that are received.
const TUNNEL_SOURCE: u16 = 50_000;

pub(super) fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

pub(super) fn ipv4_header(bytes: &mut [u8], protocol: u8, ttl: u8, source: [u8; 4], destination: [u8; 4]) {
    let [high, low] = (bytes.len() as u16).to_be_bytes();
    bytes[..12].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0x40, 0, ttl, protocol, 0, 0]);
    bytes[12..16].copy_from_slice(&source);
    bytes[16..20].copy_from_slice(&destination);
    let sum = folded(sum(&bytes[..20]));
    bytes[10..12].copy_from_slice(&sum);
}

pub(super) fn ipv6_header(bytes: &mut [u8], protocol: u8, ttl: u8, source: [u8; 16], destination: [u8; 16]) {
    let [high, low] = (bytes.len() as u16 - 40).to_be_bytes();
    bytes[..8].copy_from_slice(&[0x60, 0, 0, 0, high, low, protocol, ttl]);
    bytes[8..24].copy_from_slice(&source);
    bytes[24..40].copy_from_slice(&destination);
}

/// Of a tunnel: any source port will do, and no checksum.
pub(super) fn udp_header(port: u16, carried: usize) -> [u8; 8] {
    let ([s0, s1], [d0, d1]) = (TUNNEL_SOURCE.to_be_bytes(), port.to_be_bytes());
    let [l0, l1] = (carried as u16 + 8).to_be_bytes();
    [s0, s1, d0, d1, l0, l1, 0, 0]
}

pub(super) fn label_entry(label: u32, ttl: u8) -> [u8; 4] {
    (label << 12 | 1 << 8 | u32::from(ttl)).to_be_bytes()
}

/// The sum of 16-bit words, unfolded; an even number of bytes.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
}

/// The checksum of a sum (RFC 1071). (0, which means "none" in UDP, is one flow of 65 536: it is no tunnel's.)
#[inline]
pub(super) fn folded(sum: u32) -> [u8; 2] {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    match !(sum as u16) {
        0 => [0xff, 0xff],
        sum => sum.to_be_bytes(),
    }
}
