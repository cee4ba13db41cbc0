//! Network headers of packets that begin here: tunnels' outer ones and our own answers.

/// TTL or hop limit of whatever this node originates.
const TTL: u8 = 64;

/// An IPv4 header without options; lengths, traffic class, identification and checksum are still zero.
pub(crate) fn ipv4(protocol: u8, dont_fragment: bool, source: [u8; 4], destination: [u8; 4]) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[6] = if dont_fragment { 0x40 } else { 0 };
    header[8] = TTL;
    header[9] = protocol;
    header[12..16].copy_from_slice(&source);
    header[16..20].copy_from_slice(&destination);
    header
}

/// An IPv6 header; traffic class, flow label and payload length are still zero.
pub(crate) fn ipv6(protocol: u8, source: [u8; 16], destination: [u8; 16]) -> [u8; 40] {
    let mut header = [0; 40];
    header[0] = 0x60;
    header[6] = protocol;
    header[7] = TTL;
    header[8..24].copy_from_slice(&source);
    header[24..40].copy_from_slice(&destination);
    header
}
