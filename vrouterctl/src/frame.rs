//! Frames given on the command line: hexadecimal text, or a packet of a capture file.

use std::{fs::File, io::Read as _, path::PathBuf, str::FromStr};

use pcap_file::{
    pcap::PcapReader,
    pcapng::{Block, PcapNgReader},
};

use crate::error::Error;

/// One packet of a capture file: `FILE#N`, counted from 1; `FILE` alone is its first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CapturedFrame {
    file: PathBuf,
    number: usize,
}

impl FromStr for CapturedFrame {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (file, number) = match text.rsplit_once('#') {
            Some((file, number)) => {
                (file, number.parse().map_err(|_| format!("{number:?} is no packet number"))?)
            }
            None => (text, 1),
        };
        if number == 0 {
            return Err("packets are counted from 1".into());
        }
        Ok(Self { file: file.into(), number })
    }
}

/// The first bytes of a pcapng file: a section header block.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

impl CapturedFrame {
    /// The frame's bytes.
    ///
    /// # Errors
    /// The file cannot be read, is no pcap or pcapng file, or has fewer packets.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Error> {
        let failed = |error: String| Error::Failed(format!("{}: {error}", self.file.display()));
        let mut bytes = Vec::new();
        let mut file = File::open(&self.file).map_err(|error| failed(error.to_string()))?;
        file.read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
        let packet = if bytes.starts_with(&PCAPNG) { self.of_pcapng(&bytes) } else { self.of_pcap(&bytes) };
        packet.map_err(failed)?.ok_or_else(|| failed(format!("there is no packet {}", self.number)))
    }

    fn of_pcap(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let mut reader = PcapReader::new(bytes).map_err(|error| error.to_string())?;
        let mut count = 0;
        while let Some(packet) = reader.next_packet() {
            let packet = packet.map_err(|error| error.to_string())?;
            count += 1;
            if count == self.number {
                return Ok(Some(packet.data.into_owned()));
            }
        }
        Ok(None)
    }

    fn of_pcapng(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let mut reader = PcapNgReader::new(bytes).map_err(|error| error.to_string())?;
        let mut count = 0;
        while let Some(block) = reader.next_block() {
            let data = match block.map_err(|error| error.to_string())? {
                Block::EnhancedPacket(packet) => packet.data,
                Block::SimplePacket(packet) => packet.data,
                Block::Packet(packet) => packet.data,
                _ => continue,
            };
            count += 1;
            if count == self.number {
                return Ok(Some(data.into_owned()));
            }
        }
        Ok(None)
    }
}

/// Reads hexadecimal text; blanks and colons between bytes do not matter.
///
/// # Errors
/// Another character, or half a byte.
pub(crate) fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.chars().filter(|c| !c.is_whitespace() && *c != ':');
    let digits: Vec<u8> = digits
        .map(|c| {
            c.to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
                .ok_or_else(|| format!("{c:?} is no hexadecimal digit"))
        })
        .collect::<Result<_, _>>()?;
    let (bytes, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("half a byte at the end".into());
    }
    Ok(bytes.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Bytes as hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes as lines of sixteen, with their offset.
pub(crate) fn dump(bytes: &[u8]) -> String {
    let lines = (0..).step_by(16).zip(bytes.chunks(16)).map(|(offset, line): (usize, _)| {
        let bytes: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{offset:04x}  {}\n", bytes.join(" "))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pcap_file::{
        pcap::{PcapPacket, PcapWriter},
        pcapng::{
            PcapNgWriter,
            blocks::{
                enhanced_packet::EnhancedPacketBlock, interface_description::InterfaceDescriptionBlock,
                simple_packet::SimplePacketBlock,
            },
        },
    };

    use super::*;

    #[test]
    fn hex_is_read_as_people_paste_it() {
        assert_eq!(parse_hex("02:00:00 0a\n0B"), Ok(vec![2, 0, 0, 10, 11]));
        assert_eq!(parse_hex(""), Ok(vec![]));
        assert_eq!(parse_hex("0"), Err("half a byte at the end".into()));
        assert_eq!(parse_hex("0x"), Err("'x' is no hexadecimal digit".into()));
        assert_eq!(parse_hex(&hex(&[0, 255, 16])), Ok(vec![0, 255, 16]));
        assert_eq!(dump(&[0; 17]), format!("0000 {}\n0010  00\n", " 00".repeat(16)));
    }

    #[test]
    fn a_packet_of_a_file_is_named_by_its_number() {
        let frame: CapturedFrame = "a#b.pcap#12".parse().unwrap();
        assert_eq!(frame, CapturedFrame { file: "a#b.pcap".into(), number: 12 });
        assert_eq!("a.pcap".parse(), Ok(CapturedFrame { file: "a.pcap".into(), number: 1 }));
        assert!("a.pcap#0".parse::<CapturedFrame>().is_err());
        assert!("a.pcap#first".parse::<CapturedFrame>().is_err());
    }

    #[test]
    fn frames_are_found_in_both_kinds_of_files() {
        let directory = tempfile::tempdir().unwrap();
        let pcap = directory.path().join("a.pcap");
        let mut writer = PcapWriter::new(File::create(&pcap).unwrap()).unwrap();
        for byte in [1, 2] {
            writer.write_packet(&PcapPacket::new(Duration::ZERO, 60, &[byte; 60])).unwrap();
        }
        let pcapng = directory.path().join("a.pcapng");
        let mut writer = PcapNgWriter::new(File::create(&pcapng).unwrap()).unwrap();
        let interface = InterfaceDescriptionBlock {
            linktype: pcap_file::DataLink::ETHERNET,
            snaplen: 0,
            options: vec![],
        };
        writer.write_pcapng_block(interface).unwrap();
        let simple = SimplePacketBlock { original_len: 60, data: (&[1; 60]).into() };
        writer.write_pcapng_block(simple).unwrap();
        let enhanced = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::ZERO,
            original_len: 60,
            data: (&[2; 60]).into(),
            options: vec![],
        };
        writer.write_pcapng_block(enhanced).unwrap();

        for file in [pcap, pcapng] {
            let read = |number| CapturedFrame { file: file.clone(), number }.read();
            assert_eq!(read(1).unwrap(), [1; 60]);
            assert_eq!(read(2).unwrap(), [2; 60]);
            let error = read(3).unwrap_err().to_string();
            assert!(error.ends_with(": there is no packet 3"), "{error}");
        }
    }

    #[test]
    fn what_is_no_capture_file_is_refused_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("text.pcap");
        std::fs::write(&file, "hello, this is no capture").unwrap();
        for file in [file, directory.path().join("absent.pcap")] {
            let error = CapturedFrame { file: file.clone(), number: 1 }.read().unwrap_err();
            assert!(error.to_string().starts_with(&format!("{}: ", file.display())), "{error}");
        }
    }
}
