//! CRC32c as SCTP uses it (RFC 9260 §6.8, appendix A). Linear over the message, so a change of four bytes
//! is a difference that depends on nothing but those bytes and how many follow them.

use crate::bytes;

/// The polynomial of CRC32c, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

/// The checksum field of an SCTP packet as it goes on the wire, computed as if the field were zero. `None`
/// if the segment is shorter than its common header.
pub(crate) fn sctp(segment: &[u8]) -> Option<[u8; 4]> {
    let (before, rest) = segment.split_first_chunk::<8>()?;
    let (_, after) = rest.split_first_chunk::<4>()?;
    let crc = run(run(run(!0, before), &[0; 4]), after);
    Some((!crc).to_le_bytes())
}

/// Updates the checksum field of an SCTP packet whose first four bytes (the ports) change from `old` to
/// what they are now. A wrong checksum stays wrong by the same difference.
pub(crate) fn sctp_ports_changed(segment: &mut [u8], old: [u8; 4]) {
    let (Some(new), Some(field)) = (bytes::chunk::<4>(segment, 0), bytes::chunk::<4>(segment, 8)) else {
        return;
    };
    let changed = u32::from_be_bytes(*new) ^ u32::from_be_bytes(old);
    let mut difference = run(0, &changed.to_be_bytes());
    for _ in 4..segment.len() {
        difference = step(difference, 0);
    }
    let updated = u32::from_le_bytes(*field) ^ difference;
    bytes::put(segment, 8, updated.to_le_bytes());
}

fn run(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| step(crc, *byte))
}

#[inline]
fn step(crc: u32, byte: u8) -> u32 {
    (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)]
}
