//! Frames, and capture files of them.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use etherparse::PacketBuilder;
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};

/// The MAC that vRouters have towards workloads.
pub(crate) const GATEWAY: [u8; 6] = [0, 0, 0x5e, 0, 1, 0];

/// A UDP packet of the workload with this number to its gateway: 10.0.0.`from` to 10.0.0.`to`.
pub(crate) fn udp(from: u8, to: u8, source_port: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(mac(from), GATEWAY)
        .ipv4([10, 0, 0, from], [10, 0, 0, to], 64)
        .udp(source_port, 80)
        .write(&mut frame, &[0; 18])
        .unwrap();
    frame
}

/// The MAC of the workload with this number.
pub(crate) fn mac(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, number]
}

/// Writes a capture file.
pub(crate) fn write(path: &Path, frames: &[Vec<u8>]) {
    let mut writer = PcapWriter::new(File::create(path).unwrap()).unwrap();
    for frame in frames {
        let length = u32::try_from(frame.len()).unwrap();
        writer.write_packet(&PcapPacket::new(Duration::ZERO, length, frame)).unwrap();
    }
}

/// The frames of a capture file.
pub(crate) fn read(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    frames
}
