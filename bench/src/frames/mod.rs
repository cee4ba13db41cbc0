//! Frames of numbered flows: what a generator would send, and what must come out.
//!
//! Nothing here is the data path's: headers are written from their RFCs, so that an output can be compared
//! with what is expected of it.

mod headers;

use std::net::IpAddr;

use packet::PacketBuf;
use packet::buf::HEADROOM;

use headers::{folded, ipv4_header, ipv6_header, label_entry, sum, udp_header, v6};

/// A MAC address.
pub type Mac = [u8; 6];

/// Flows that share an address and differ by port.
const PORTS: u64 = 32_768;
/// The port of flow 0.
const FIRST_PORT: u16 = 1024;
/// Bytes of a frame in which there are headers, before and after any change. Behind them all is zero and nobody writes.
const HEAD: usize = 128;
/// Bytes of an IP packet in the smallest frame: 64 on the wire, with Ethernet's header and check sequence.
pub const SMALLEST: usize = 46;

const MPLS_OVER_UDP: u16 = 6635;
const VXLAN: u16 = 4789;
const UDP: u8 = 17;
const GRE: u8 = 47;

/// Which end of a packet tells the flows apart: its address counts in the low 16 bits, its port in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// The sender.
    Source,
    /// The receiver.
    Destination,
}

/// A tunnel's outer header.
#[derive(Clone, Copy, Debug)]
pub enum Encapsulation {
    /// RFC 7510, with this label and label TTL.
    MplsOverUdp(u32, u8),
    /// RFC 4023, with this label and label TTL.
    MplsOverGre(u32, u8),
    /// RFC 7348, with this VNI and the inner MACs (sender, receiver).
    Vxlan(u32, Mac, Mac),
}

/// A frame, and where the number of a flow goes in it.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    /// The low 16 bits of the numbered address.
    address: usize,
    port: usize,
    base: u16,
    /// Checksum fields that cover the address or the port; their sums without them.
    header_sum: Option<(usize, u32)>,
    transport_sum: (usize, u32),
    /// The outer UDP source port, if there is one.
    entropy: Option<usize>,
}

impl Template {
    /// UDP between two ends of one family on ports 5000, with this TTL, without a link-layer header, in the smallest
    /// frame.
    #[must_use]
    pub fn udp(source: IpAddr, destination: IpAddr, ttl: u8, numbered: Numbered) -> Self {
        Self::udp_of(SMALLEST, source, destination, ttl, numbered)
    }

    /// The same in an IP packet of `length` bytes (even; at least as many as its headers).
    #[must_use]
    pub fn udp_of(length: usize, source: IpAddr, destination: IpAddr, ttl: u8, numbered: Numbered) -> Self {
        let (mut bytes, header) = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut bytes = vec![0; length.max(28)];
                ipv4_header(&mut bytes, UDP, ttl, source.octets(), destination.octets());
                bytes[10..12].fill(0);
                (bytes, 20)
            }
            (source, destination) => {
                let mut bytes = vec![0; length.max(48)];
                ipv6_header(&mut bytes, UDP, ttl, v6(source), v6(destination));
                (bytes, 40)
            }
        };
        let length = (bytes.len() - header) as u16;
        bytes[header..header + 2].copy_from_slice(&5000_u16.to_be_bytes());
        bytes[header + 2..header + 4].copy_from_slice(&5000_u16.to_be_bytes());
        bytes[header + 4..header + 6].copy_from_slice(&length.to_be_bytes());
        let (addresses, width) = if header == 20 { (12, 4) } else { (8, 16) };
        let (address, port) = match numbered {
            Numbered::Source => (addresses + width - 2, header),
            Numbered::Destination => (addresses + 2 * width - 2, header + 2),
        };
        let base = u16::from_be_bytes([bytes[address], bytes[address + 1]]);
        bytes[address..address + 2].fill(0);
        bytes[port..port + 2].fill(0);
        let header_sum = (header == 20).then(|| (10, sum(&bytes[..20])));
        let pseudo = sum(&bytes[addresses..header]) + u32::from(UDP) + u32::from(length);
        let transport_sum = (header + 6, pseudo + sum(&bytes[header..]));
        Self { bytes, address, port, base, header_sum, transport_sum, entropy: None }
    }

    /// With an Ethernet header in front.
    #[must_use]
    pub fn between(self, source: Mac, destination: Mac) -> Self {
        let ether_type = if self.bytes[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
        self.behind(&[&destination[..], &source, &ether_type].concat())
    }

    /// In a tunnel between two IPv4 ends.
    #[must_use]
    pub fn inside(self, encapsulation: Encapsulation, source: [u8; 4], destination: [u8; 4]) -> Self {
        let carried = match encapsulation {
            Encapsulation::MplsOverUdp(label, ttl) => {
                let carried = self.behind(&label_entry(label, ttl));
                let header = udp_header(MPLS_OVER_UDP, carried.bytes.len());
                carried.behind(&header)
            }
            Encapsulation::MplsOverGre(label, ttl) => {
                self.behind(&label_entry(label, ttl)).behind(&[0, 0, 0x88, 0x47])
            }
            Encapsulation::Vxlan(vni, from, to) => {
                let carried = self.between(from, to).behind(&(vni << 8).to_be_bytes()).behind(&[8, 0, 0, 0]);
                let header = udp_header(VXLAN, carried.bytes.len());
                carried.behind(&header)
            }
        };
        let gre = matches!(encapsulation, Encapsulation::MplsOverGre(..));
        let mut outer = vec![0; 20];
        outer.extend(&carried.bytes);
        ipv4_header(&mut outer, if gre { GRE } else { UDP }, 64, source, destination);
        outer.truncate(20);
        let mut tunnelled = carried.behind(&outer);
        tunnelled.entropy = (!gre).then_some(20);
        tunnelled
    }

    /// Puts bytes in front.
    fn behind(mut self, header: &[u8]) -> Self {
        let length = header.len();
        self.bytes.splice(..0, header.iter().copied());
        self.address += length;
        self.port += length;
        self.header_sum = self.header_sum.map(|(at, sum)| (at + length, sum));
        self.transport_sum.0 += length;
        self.entropy = self.entropy.map(|at| at + length);
        self
    }

    /// Bytes of a frame.
    #[must_use]
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The frame of flow `n`.
    #[must_use]
    pub fn frame(&self, n: u64) -> Vec<u8> {
        let mut frame = self.bytes.clone();
        self.number(&mut frame, n);
        frame
    }

    /// Whether a frame is that of flow `n`, whatever its entropy port; the port must be in RFC 7510's range.
    #[must_use]
    pub fn matches(&self, frame: &[u8], n: u64) -> bool {
        let mut expected = self.frame(n);
        if let Some(at) = self.entropy {
            let Some(port) = frame.get(at..at + 2) else { return false };
            if port[0] < 0xc0 {
                return false;
            }
            expected[at..at + 2].copy_from_slice(port);
        }
        expected == frame
    }

    /// Restores a buffer that held any other frame, where a device would have put it, to the frame of flow `n`: its
    /// headers, for the bytes behind them were zero when the buffer was new and still are.
    #[inline]
    pub fn restore<B: PacketBuf>(&self, buf: &mut B, n: u64) {
        let (headroom, end) = (buf.headroom(), HEADROOM + self.bytes.len());
        let long = buf.grow_back(end.saturating_sub(headroom + buf.len()));
        let placed = if headroom < HEADROOM {
            buf.shrink_front(HEADROOM - headroom)
        } else {
            buf.grow_front(headroom - HEADROOM)
        };
        debug_assert!(long && placed);
        buf.truncate(self.bytes.len());
        let data = buf.data_mut();
        let head = self.bytes.len().min(HEAD);
        data[..head].copy_from_slice(&self.bytes[..head]);
        self.number(data, n);
    }

    #[inline]
    fn number(&self, data: &mut [u8], n: u64) {
        let address = self.base + (n / PORTS) as u16;
        let port = FIRST_PORT + (n % PORTS) as u16;
        data[self.address..self.address + 2].copy_from_slice(&address.to_be_bytes());
        data[self.port..self.port + 2].copy_from_slice(&port.to_be_bytes());
        if let Some((at, sum)) = self.header_sum {
            data[at..at + 2].copy_from_slice(&folded(sum + u32::from(address)));
        }
        let (at, sum) = self.transport_sum;
        data[at..at + 2].copy_from_slice(&folded(sum + u32::from(address) + u32::from(port)));
    }
}

#[cfg(test)]
mod tests {
    use packet::{L4Checksum, Label, MemoryBuf, checksum, encap, parse};

    use super::*;

    fn inner(v6: bool) -> Template {
        let (source, destination) = if v6 {
            (IpAddr::from([0xfd, 0, 0, 1, 0, 0, 0, 9]), IpAddr::from([0xfd, 0, 0, 2, 0, 0, 0, 0]))
        } else {
            (IpAddr::from([10, 0, 0, 9]), IpAddr::from([172, 16, 0, 0]))
        };
        Template::udp(source, destination, 64, Numbered::Destination)
    }

    #[test]
    fn frames_of_all_flows_are_intact_and_different() {
        for v6 in [false, true] {
            let template = inner(v6).between([2; 6], [4; 6]);
            let mut seen = std::collections::BTreeSet::new();
            for n in (0..100_000).step_by(7_919) {
                let frame = template.frame(n);
                let meta = parse::ethernet(&frame).unwrap();
                assert_eq!(checksum::verify(&frame, &meta), checksum::Verification::Correct, "flow {n}");
                assert!(seen.insert((meta.dst, meta.dst_port)));
            }
        }
    }

    #[test]
    fn tunnels_can_be_read() {
        for (encapsulation, overhead) in [
            (Encapsulation::MplsOverUdp(40, 63), 32),
            (Encapsulation::MplsOverGre(40, 63), 28),
            (Encapsulation::Vxlan(40, [6; 6], [8; 6]), 50),
        ] {
            let template =
                inner(false).inside(encapsulation, [10, 1, 0, 2], [10, 1, 0, 1]).between([2; 6], [4; 6]);
            let frame = template.frame(70_000);
            assert_eq!(frame.len(), 14 + overhead + 46);
            let outer = parse::ethernet(&frame).unwrap();
            let tunnel = encap::pop(&frame, &outer, L4Checksum::Unknown).unwrap().unwrap();
            assert_eq!(tunnel.label, Label(40));
            let meta = tunnel.parse_inner(&frame).unwrap();
            assert_eq!(checksum::verify(&frame, &meta), checksum::Verification::Correct);
            assert_eq!((meta.dst_port, &meta.dst[..4]), (1024 + 4464, &[172, 16, 0, 2][..]));
        }
    }

    #[test]
    fn any_buffer_is_restored() {
        let template = inner(false).between([2; 6], [4; 6]);
        for (headroom, length) in [(128, 0), (40, 200), (200, 3), (0, 64), (90, 96)] {
            let mut buf = MemoryBuf::with_room(&vec![0xee; length], headroom, 600);
            template.restore(&mut buf, 5);
            assert_eq!(
                (buf.data(), buf.headroom()),
                (&template.frame(5)[..], HEADROOM),
                "{headroom}+{length}"
            );
        }
    }

    #[test]
    fn long_frames_are_zero_behind_their_headers() {
        let (source, destination) = (IpAddr::from([10, 0, 0, 9]), IpAddr::from([172, 16, 0, 0]));
        let template = |length| {
            Template::udp_of(length, source, destination, 64, Numbered::Destination).between([2; 6], [4; 6])
        };
        let mut buf = MemoryBuf::with_tailroom(&[], 1600);
        for length in [1500, SMALLEST, 552, 1500] {
            template(length).restore(&mut buf, 9);
            assert_eq!(buf.data(), template(length).frame(9));
            let meta = parse::ethernet(buf.data()).unwrap();
            assert_eq!(checksum::verify(buf.data(), &meta), checksum::Verification::Correct);
        }
    }

    #[test]
    fn a_frame_matches_its_own_flow_whatever_its_entropy() {
        let template = inner(false)
            .inside(Encapsulation::MplsOverUdp(40, 63), [10, 1, 0, 2], [10, 1, 0, 1])
            .between([2; 6], [4; 6]);
        let mut frame = template.frame(5);
        frame[34..36].copy_from_slice(&60_000_u16.to_be_bytes());
        assert!(template.matches(&frame, 5) && !template.matches(&frame, 6));
        frame[34..36].copy_from_slice(&40_000_u16.to_be_bytes());
        assert!(!template.matches(&frame, 5), "no dynamic port");
        assert!(!template.matches(&frame[..30], 5));
    }
}
