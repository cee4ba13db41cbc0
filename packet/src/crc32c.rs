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

/// `POWERS[k]` is x^(8·2^k) modulo the polynomial (reflected, so x^n is bit 31 - n): the factor by which
/// 2^k zero bytes advance a CRC.
const POWERS: [u32; 16] = {
    let mut powers = [1 << 23; 16];
    let mut k = 1;
    while k < 16 {
        powers[k] = multiply(powers[k - 1], powers[k - 1]);
        k += 1;
    }
    powers
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
    let difference = advance(run(0, &changed.to_be_bytes()), segment.len().saturating_sub(4));
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

/// The CRC after `zeros` more bytes of zero; lengths up to 65535.
fn advance(crc: u32, zeros: usize) -> u32 {
    let bits = POWERS.iter().enumerate().filter(|(k, _)| zeros >> k & 1 == 1);
    bits.fold(crc, |crc, (_, power)| multiply(crc, *power))
}

/// Product of two polynomials over GF(2) modulo the CRC's.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 == 1 { (b >> 1) ^ POLYNOMIAL } else { b >> 1 };
        bit >>= 1;
    }
    product
}
