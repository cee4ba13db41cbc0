//! Packets cut by hand and put together again.

use packet::join::{self, join};
use packet::{DropReason, MemoryBuf, PacketBuf, parse};
use proptest::prelude::*;

use crate::support::*;

/// The packet in fragments of `size` bytes of payload, as frames.
fn cut(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let ipv6 = packet[0] >> 4 == 6;
    let (header, body) = packet.split_at(if ipv6 { 40 } else { 20 });
    let pieces = body.chunks(size).enumerate();
    pieces
        .map(|(n, piece)| {
            let (place, more) = ((n * size) as u16, (n + 1) * size < body.len());
            let mut fragment = header.to_vec();
            if ipv6 {
                fragment.extend(fragment_header(header[6], place, more, 77));
                fragment[6] = 44;
            }
            fragment.extend(piece);
            let length = fragment.len() as u16;
            if ipv6 {
                fragment[4..6].copy_from_slice(&(length - 40).to_be_bytes());
            } else {
                fragment[2..4].copy_from_slice(&length.to_be_bytes());
                fragment_ipv4(&mut fragment, place, more, 77);
            }
            // The link pads short frames.
            let mut frame = ethernet(&fragment);
            frame.resize(frame.len().max(60), 0);
            frame
        })
        .collect()
}

fn joined(pieces: &[Vec<u8>], room: usize, marked: bool) -> Result<Vec<u8>, DropReason> {
    let facts: Vec<_> = pieces.iter().map(|piece| parse::ethernet(piece).unwrap()).collect();
    let payload = |n: usize| join::payload(&pieces[n], &facts[n]).unwrap().1;
    let mut out = MemoryBuf::with_tailroom(&[], room);
    let rest = (1..pieces.len()).map(payload);
    join(&mut out, (&pieces[0], &facts[0]), rest, marked).map(|()| out.data().to_vec())
}

proptest! {
    #[test]
    fn what_is_put_together_is_what_was_cut(
        ends in any_ends(), body in prop::collection::vec(any::<u8>(), 50..3000), size in 1_usize..200,
    ) {
        let whole = packet(UDP, &ends, &body);
        let pieces = cut(&whole, size * 8);
        prop_assume!(pieces.len() > 1);
        let again = joined(&pieces, 4000, false).unwrap();
        prop_assert_eq!(&again[..14], &pieces[0][..14]);
        assert_sound(&again, 14);
        let meta = parse::ethernet(&again).unwrap();
        prop_assert!(packet::fragment(&again, &meta).is_none(), "it is whole");
        prop_assert_eq!(usize::from(meta.end), again.len());
        // The headers that the fragments had of their own apart.
        let header = if ends.ipv6 { 40 } else { 20 };
        prop_assert_eq!(&again[usize::from(meta.l4)..], &whole[header..]);
        let before = parse_ip(&whole).unwrap();
        prop_assert_eq!((meta.src, meta.dst, meta.protocol), (before.src, before.dst, before.protocol));
        prop_assert_eq!((meta.ttl, meta.traffic_class), (before.ttl, before.traffic_class));
    }
}

#[test]
fn congestion_on_a_piece_is_congestion_on_the_whole() {
    for ends in [ENDS4, ENDS6] {
        let pieces = cut(&packet(UDP, &ends, &[7; 100]), 48);
        let again = joined(&pieces, 400, true).unwrap();
        assert_sound(&again, 14);
        assert!(join::is_marked(&parse::ethernet(&again).unwrap()));
        assert!(!join::is_marked(&parse::ethernet(&joined(&pieces, 400, false).unwrap()).unwrap()));
    }
}

#[test]
fn a_whole_without_room_or_of_impossible_length_is_refused() {
    let pieces = cut(&packet(UDP, &ENDS4, &[7; 100]), 48);
    assert_eq!(joined(&pieces, 100, false), Err(DropReason::MultiSegment));
    let whole = [ethernet(&packet(UDP, &ENDS4, &[7; 100]))];
    let facts = parse::ethernet(&whole[0]).unwrap();
    let mut out = MemoryBuf::new(&[]);
    assert_eq!(
        join(&mut out, (&whole[0], &facts), std::iter::empty(), false),
        Err(DropReason::InvalidIpHeader),
        "no fragment"
    );
    for ends in [ENDS4, ENDS6] {
        let pieces = cut(&packet(UDP, &ends, &[7; 100]), 48);
        let facts = parse::ethernet(&pieces[0]).unwrap();
        let mut out = MemoryBuf::with_tailroom(&[], 1 << 17);
        let rest = std::iter::repeat_n(&[0; 60_000][..], 2);
        assert_eq!(join(&mut out, (&pieces[0], &facts), rest, false), Err(DropReason::InvalidIpHeader));
    }
}
