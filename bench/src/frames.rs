//! 64-byte frames of numbered flows, written into a buffer from a template: what a generator would send.

use packet::PacketBuf;
use packet::buf::HEADROOM;
use packet::checksum::internet;

/// A frame and where a flow's number goes.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    /// The network header that holds the flow's address.
    network: usize,
    /// The outside address within the network header: 12 = source, 16 = destination.
    address: usize,
    /// The transport port that counts flows.
    port: usize,
    base: u32,
}

const PORT_FLOWS: u64 = 32_768;

impl Template {
    /// UDP over IPv4 from `source` to `destination`, `length` bytes with Ethernet, from MAC `from` to `to`. Flow
    /// `n` has its number in `outside` (12: source, 16: destination address) and in the port of that side.
    #[must_use]
    pub fn udp(ends: ([u8; 4], [u8; 4]), macs: ([u8; 6], [u8; 6]), outside: usize, length: usize) -> Self {
        let mut bytes = vec![0; length];
        bytes[..6].copy_from_slice(&macs.1);
        bytes[6..12].copy_from_slice(&macs.0);
        bytes[12..14].copy_from_slice(&[8, 0]);
        ipv4(&mut bytes[14..], ends, 17);
        udp_header(&mut bytes[34..], 5000, 5000);
        let base = if outside == 12 { ends.0 } else { ends.1 };
        let port = if outside == 12 { 34 } else { 36 };
        Self { bytes, network: 14, address: outside, port, base: u32::from_be_bytes(base) }
    }

    /// The same, carried in MPLS over UDP with a label between `outer` ends.
    #[must_use]
    pub fn in_mpls(mut self, outer: ([u8; 4], [u8; 4]), label: u32) -> Self {
        let inner = self.bytes.split_off(14);
        let mut header = vec![0; 32];
        ipv4(&mut header, outer, 17);
        let total = (32 + inner.len()) as u16;
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header[10..12].fill(0);
        let sum = internet(&header[..20]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        udp_header(&mut header[20..], 50_000, 6635);
        header[24..26].copy_from_slice(&(total - 20).to_be_bytes());
        header[28..32].copy_from_slice(&(label << 12 | 1 << 8 | 64).to_be_bytes());
        self.bytes.extend(header);
        self.network = self.bytes.len();
        self.port += 32;
        self.bytes.extend(inner);
        self
    }

    /// Bytes of a frame.
    #[must_use]
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Puts flow `n`'s frame into a buffer that held any other, at the place where a device would put it.
    #[inline]
    pub fn write<B: PacketBuf>(&self, buf: &mut B, n: u64) {
        let headroom = buf.headroom();
        let placed = if headroom < HEADROOM {
            buf.shrink_front(HEADROOM - headroom)
        } else {
            buf.grow_front(headroom - HEADROOM)
        };
        buf.truncate(0);
        let grown = buf.grow_back(self.bytes.len());
        debug_assert!(placed && grown);
        let data = buf.data_mut();
        data.copy_from_slice(&self.bytes);
        let address = (self.base + (n / PORT_FLOWS) as u32).to_be_bytes();
        let port = (1024 + (n % PORT_FLOWS) as u16).to_be_bytes();
        data[self.network + self.address..self.network + self.address + 4].copy_from_slice(&address);
        data[self.port..self.port + 2].copy_from_slice(&port);
        data[self.network + 10..self.network + 12].fill(0);
        let sum = internet(&data[self.network..self.network + 20]);
        data[self.network + 10..self.network + 12].copy_from_slice(&sum.to_be_bytes());
    }
}

fn ipv4(bytes: &mut [u8], ends: ([u8; 4], [u8; 4]), protocol: u8) {
    let length = bytes.len() as u16;
    bytes[..12].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes[12..16].copy_from_slice(&ends.0);
    bytes[16..20].copy_from_slice(&ends.1);
    let sum = internet(&bytes[..20]);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn udp_header(bytes: &mut [u8], source: u16, destination: u16) {
    let length = bytes.len() as u16;
    bytes[..2].copy_from_slice(&source.to_be_bytes());
    bytes[2..4].copy_from_slice(&destination.to_be_bytes());
    bytes[4..6].copy_from_slice(&length.to_be_bytes());
}
