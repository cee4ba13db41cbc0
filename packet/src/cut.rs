//! Fragmentation of an IPv4 packet that is too big for a link and allows it (RFC 791 §3.2).

use crate::buf::PacketBuf;
use crate::bytes;
use crate::checksum;
use crate::meta::Meta;

/// The "more fragments" bit of the fragment field.
const MORE: u16 = 0x2000;
/// The offset, in units of eight bytes.
const OFFSET: u16 = 0x1fff;
/// The longest IPv4 header.
const MAX_HEADER: usize = 60;

/// The header that all fragments but the first have: options without the copied flag stay in the first.
struct LaterHeader {
    bytes: [u8; MAX_HEADER],
    length: usize,
}

/// How one packet is cut for one MTU.
pub struct Cut<'p> {
    header: &'p [u8],
    body: &'p [u8],
    later: LaterHeader,
    mtu: usize,
    at: usize,
}

impl<'p> Cut<'p> {
    /// Prepares to cut the IPv4 packet that `meta` describes into fragments of at most `mtu` bytes. `None` if
    /// it is no IPv4 packet, forbids it, or no eight bytes of payload would fit.
    #[must_use]
    pub fn new(data: &'p [u8], meta: &Meta, mtu: u16) -> Option<Self> {
        if !meta.is_ipv4() || meta.facts.contains(crate::Facts::DF) {
            return None;
        }
        let packet = data.get(usize::from(meta.l3)..usize::from(meta.end))?;
        let (header, body) = packet.split_at_checked(usize::from(*packet.first()? & 15) * 4)?;
        let later = LaterHeader::new(header)?;
        let mtu = usize::from(mtu);
        (mtu >= header.len() + 8 && mtu >= later.length + 8).then_some(Self {
            header,
            body,
            later,
            mtu,
            at: 0,
        })
    }

    /// How many fragments are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        let mut at = self.at;
        let mut count = 0;
        while at < self.body.len() {
            at += self.room(at);
            count += 1;
        }
        count
    }

    /// Writes the next fragment into the empty buffer `out`, network header first. `false` if none is left or
    /// `out` has no room for it.
    #[must_use]
    pub fn next_into<B: PacketBuf>(&mut self, out: &mut B) -> bool {
        let Some(piece) = self.body.get(self.at..).filter(|rest| !rest.is_empty()) else { return false };
        let piece = &piece[..piece.len().min(self.room(self.at))];
        let header = if self.at == 0 { self.header } else { &self.later.bytes[..self.later.length] };
        let total = header.len() + piece.len();
        if !out.is_empty() || !out.grow_back(total) {
            return false;
        }
        let data = out.data_mut();
        data[..header.len()].copy_from_slice(header);
        data[header.len()..total].copy_from_slice(piece);
        let field = bytes::u16_at(self.header, 6).unwrap_or(0);
        let last = self.at + piece.len() == self.body.len();
        let more = if last { field & MORE } else { MORE };
        let offset = (field & OFFSET) + (self.at / 8) as u16;
        bytes::put(data, 0, [0x40 | (header.len() / 4) as u8]);
        bytes::put(data, 2, (total as u16).to_be_bytes());
        bytes::put(data, 6, (more | offset & OFFSET).to_be_bytes());
        bytes::put(data, 10, [0, 0]);
        let sum = checksum::internet(&data[..header.len()]);
        bytes::put(data, 10, sum.to_be_bytes());
        self.at += piece.len();
        true
    }

    /// Payload of the fragment that begins at `at`: a multiple of eight bytes, so that the next one's offset
    /// can be said.
    fn room(&self, at: usize) -> usize {
        let header = if at == 0 { self.header.len() } else { self.later.length };
        (self.mtu - header) & !7
    }
}

impl std::fmt::Debug for Cut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cut")
            .field("body", &self.body.len())
            .field("mtu", &self.mtu)
            .field("at", &self.at)
            .finish()
    }
}

impl LaterHeader {
    fn new(header: &[u8]) -> Option<Self> {
        const COPIED: u8 = 0x80;
        let mut bytes = [0; MAX_HEADER];
        let fixed = header.get(..20)?;
        bytes[..20].copy_from_slice(fixed);
        let mut length = 20;
        let mut at = 20;
        while let Some(&kind) = header.get(at) {
            let size = match kind {
                0 => break,
                1 => 1,
                _ => usize::from(*header.get(at + 1)?).max(2),
            };
            if kind & COPIED != 0 {
                let option = header.get(at..at + size)?;
                bytes.get_mut(length..length + size)?.copy_from_slice(option);
                length += size;
            }
            at += size;
        }
        // End-of-options bytes up to a whole word: they are zero already.
        Some(Self { bytes, length: length.next_multiple_of(4) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryBuf, parse};
    use proptest::prelude::*;

    fn packet(options: &[u8], body: usize, field: u16) -> Vec<u8> {
        let header = 20 + options.len();
        let mut bytes = vec![0; header + body];
        bytes[0] = 0x40 | (header / 4) as u8;
        bytes[2..4].copy_from_slice(&((header + body) as u16).to_be_bytes());
        bytes[4..6].copy_from_slice(&[0x12, 0x34]);
        bytes[6..8].copy_from_slice(&field.to_be_bytes());
        bytes[8..10].copy_from_slice(&[64, 99]);
        bytes[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        bytes[20..header].copy_from_slice(options);
        for (i, byte) in bytes[header..].iter_mut().enumerate() {
            *byte = (i * 7) as u8;
        }
        let sum = checksum::internet(&bytes[..header]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn cut(whole: &[u8], mtu: u16) -> Vec<Vec<u8>> {
        let meta = parse::ip(whole, 0).unwrap();
        let mut cut = Cut::new(whole, &meta, mtu).unwrap();
        let announced = cut.remaining();
        let mut pieces = Vec::new();
        loop {
            let mut out = MemoryBuf::new(&[]);
            if !cut.next_into(&mut out) {
                break;
            }
            pieces.push(out.data().to_vec());
        }
        assert_eq!(pieces.len(), announced);
        pieces
    }

    proptest! {
        #[test]
        fn the_pieces_fit_and_put_together_are_the_packet(
            body in 1_usize..3000, mtu in 68_u16..1600, base in 0_u16..100, more: bool,
        ) {
            let field = base | if more { MORE } else { 0 };
            // What carries "more fragments" is a multiple of eight bytes long.
            let body = if more { body.next_multiple_of(8) } else { body };
            let whole = packet(&[], body, field);
            let mut together = Vec::new();
            let pieces = cut(&whole, mtu);
            for (i, piece) in pieces.iter().enumerate() {
                prop_assert!(piece.len() <= usize::from(mtu));
                let meta = parse::ip(piece, 0).unwrap();
                let field = u16::from_be_bytes([piece[6], piece[7]]);
                prop_assert_eq!(usize::from(field & OFFSET), usize::from(base) + together.len() / 8);
                let last = i + 1 == pieces.len();
                prop_assert_eq!(field & MORE != 0, !last || more);
                prop_assert_eq!(&piece[4..6], &[0x12, 0x34]);
                together.extend_from_slice(&piece[usize::from(meta.l4)..]);
            }
            prop_assert_eq!(&together[..], &whole[20..]);
        }
    }

    #[test]
    fn only_options_with_the_copied_flag_go_along() {
        // A loose source route (copied), a NOP, a record route (not copied), end.
        let options = [131, 3, 4, 1, 7, 3, 4, 0];
        let pieces = cut(&packet(&options, 100, 0), 68);
        assert_eq!(pieces[0][20..28], options);
        assert_eq!(pieces[1][0], 0x46);
        assert_eq!(pieces[1][20..24], [131, 3, 4, 0]);
    }

    #[test]
    fn each_piece_is_as_long_as_its_own_header_allows() {
        // A record route of 16 bytes stays in the first piece: 36 + 32 bytes, then 20 + 48.
        let options = [7, 15, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let lengths: Vec<_> = cut(&packet(&options, 100, 0), 68).iter().map(Vec::len).collect();
        assert_eq!(lengths, [68, 68, 40]);
    }

    #[test]
    fn what_forbids_it_or_leaves_no_room_is_not_cut() {
        let whole = packet(&[], 100, 0x4000);
        assert!(Cut::new(&whole, &parse::ip(&whole, 0).unwrap(), 68).is_none());
        let whole = packet(&[], 100, 0);
        let meta = parse::ip(&whole, 0).unwrap();
        assert!(Cut::new(&whole, &meta, 27).is_none());
        assert!(Cut::new(&whole, &meta, 28).is_some());
    }

    #[test]
    fn a_buffer_without_room_takes_nothing() {
        let whole = packet(&[], 100, 0);
        let mut cut = Cut::new(&whole, &parse::ip(&whole, 0).unwrap(), 68).unwrap();
        assert!(!cut.next_into(&mut MemoryBuf::with_tailroom(&[], 30)));
        assert!(!cut.next_into(&mut MemoryBuf::with_tailroom(&[1], 100)));
        assert!(cut.next_into(&mut MemoryBuf::with_tailroom(&[], 68)));
    }
}
