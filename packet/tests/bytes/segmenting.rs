//! Super-frames cut into segments, put together again by a reader that knows TCP only.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use packet::segment::segments;
use packet::{DropReason, L4Checksum, MemoryBuf, PacketBuf};
use proptest::prelude::*;

use crate::support::*;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const CWR: u8 = 0x80;
/// Sequence number of the super-frames below: it wraps.
const SEQUENCE: u32 = u32::MAX - 2_000;

/// A super-frame as a guest sends it: its checksum field holds the pseudo header.
fn super_frame(ends: &Ends, options: &[u8], flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(ends.src_port.to_be_bytes());
    segment.extend(ends.dst_port.to_be_bytes());
    segment.extend(SEQUENCE.to_be_bytes());
    segment.extend(0x0102_0304_u32.to_be_bytes());
    segment.extend([((20 + options.len()) / 4 * 16) as u8, flags, 0x12, 0x34, 0xbe, 0xef, 0, 0]);
    segment.extend(options);
    segment.extend(payload);
    let mut packet = ip(TCP, ends, &segment);
    if !ends.ipv6 {
        packet[4..6].copy_from_slice(&[0xff, 0xfe]);
        packet[6] = 0x40;
        seal_ipv4(&mut packet);
    }
    ethernet(&packet)
}

fn cut(frame: &MemoryBuf) -> Result<Vec<Vec<u8>>, DropReason> {
    let mut segments = segments(frame)?;
    let announced = segments.remaining();
    let mut all = Vec::new();
    while segments.remaining() > 0 {
        let mut out = MemoryBuf::with_tailroom(&[], 70_000);
        assert!(segments.next_into(&mut out));
        assert_eq!(out.l4_checksum(), L4Checksum::Verified);
        all.push(out.data().to_vec());
    }
    assert_eq!(all.len(), announced);
    assert!(!segments.next_into(&mut MemoryBuf::new(&[])), "none is left");
    Ok(all)
}

proptest! {
    #[test]
    fn segments_are_packets_and_together_say_what_the_super_frame_said(
        ends in any_ends(), options in 0_usize..=10, flags in any::<u8>(),
        payload in prop::collection::vec(any::<u8>(), 1..20_000), size in 28_u16..3_000, part in 120_usize..4_000,
        padding in 0_usize..8,
    ) {
        let flags = flags & !(SYN | RST);
        let options = vec![1; options * 4];
        let mut frame = super_frame(&ends, &options, flags, &payload);
        frame.extend(vec![0; padding]);
        let segments = cut(&MemoryBuf::super_frame(&frame, size, part)).unwrap();
        let (mut together, last) = (Vec::new(), segments.len() - 1);
        for (n, segment) in segments.iter().enumerate() {
            assert!(assert_sound(segment, 14), "the checksums are right");
            prop_assert_eq!(&segment[..14], &frame[..14]);
            let sliced = SlicedPacket::from_ethernet(segment).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
            prop_assert_eq!(tcp.sequence_number(), SEQUENCE.wrapping_add(together.len() as u32));
            prop_assert_eq!((tcp.acknowledgment_number(), tcp.window_size()), (0x0102_0304, 0x1234));
            prop_assert_eq!(tcp.options(), &options[..]);
            let said = tcp.slice()[13];
            let unsaid = if n == last { 0 } else { FIN | PSH } | if n == 0 { 0 } else { CWR };
            prop_assert_eq!(said, flags & !unsaid);
            if let Some(NetSlice::Ipv4(ip)) = sliced.net {
                prop_assert_eq!(ip.header().identification(), 0xfffe_u16.wrapping_add(n as u16));
                prop_assert!(ip.header().dont_fragment());
            }
            let carried = tcp.payload();
            prop_assert!(carried.len() == usize::from(size) || (n == last && carried.len() < usize::from(size)));
            together.extend_from_slice(carried);
        }
        prop_assert_eq!(together, payload);
    }

    /// Whatever a guest writes, nothing panics, and what comes out is sound.
    #[test]
    fn damage_is_refused_or_cut_into_sound_packets(
        ends in any_ends(), at in 0_usize..80, value: u8, size: u16, part in 1_usize..200,
    ) {
        let mut frame = super_frame(&ends, &[1; 12], ACK | PSH, &[7; 500]);
        frame[at] = value;
        if let Ok(segments) = cut(&MemoryBuf::super_frame(&frame, size, part)) {
            prop_assert!(segments.len() <= 500 / 28 + 2);
        }
    }
}

#[test]
fn a_super_frame_that_makes_no_sense_is_named() {
    let good = super_frame(&ENDS4, &[], ACK, &[7; 500]);
    let refused = |frame: &[u8], size, part| cut(&MemoryBuf::super_frame(frame, size, part)).err();
    let with = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[at] = value;
        seal_ipv4(&mut frame[14..]);
        frame
    };
    assert_eq!(refused(&good, 100, 1000), None);
    assert_eq!(refused(&good, 0, 1000), Some(DropReason::MultiSegment), "no size: only long");
    assert_eq!(refused(&good, 27, 1000), Some(DropReason::SuperFrame), "a bomb");
    assert_eq!(refused(&good, 100, 53), Some(DropReason::SuperFrame), "the header is in two parts");
    assert_eq!(refused(&good[..400], 100, 1000), Some(DropReason::Truncated));
    assert_eq!(refused(&with(23, UDP), 100, 1000), Some(DropReason::SuperFrame));
    assert_eq!(refused(&with(20, 0x20), 100, 1000), Some(DropReason::SuperFrame), "a fragment");
    assert_eq!(refused(&with(46, 0x40), 100, 1000), Some(DropReason::SuperFrame), "a data offset of 16");
    assert_eq!(refused(&with(47, ACK | SYN), 100, 1000), Some(DropReason::SuperFrame));
    assert_eq!(
        refused(&super_frame(&ENDS4, &[], ACK, &[]), 100, 1000),
        Some(DropReason::SuperFrame),
        "nothing"
    );
    let mut wrong = good.clone();
    wrong[24] ^= 1;
    assert_eq!(refused(&wrong, 100, 1000), Some(DropReason::InvalidIpChecksum), "stays wrong");
    let mut arp = good.clone();
    arp[12..14].copy_from_slice(&[8, 6]);
    assert_eq!(refused(&arp, 100, 1000), Some(DropReason::SuperFrame));
    let fragment = ethernet(&ipv6_with(44, &fragment_header(TCP, 0, true, 1), &good[34..], &ENDS6));
    assert_eq!(refused(&fragment, 100, 1000), Some(DropReason::SuperFrame));
}

#[test]
fn extension_headers_and_a_tag_go_along() {
    let options = [TCP, 0, 1, 4, 0, 0, 0, 0];
    let tcp = super_frame(&ENDS6, &[], ACK, &[7; 300])[54..].to_vec();
    let packet = ipv6_with(60, &options, &tcp, &ENDS6);
    for frame in [ethernet(&packet), tagged(&packet, 5)] {
        let l3 = frame.len() - packet.len();
        let segments = cut(&MemoryBuf::super_frame(&frame, 128, 1000)).unwrap();
        assert_eq!(segments.len(), 3);
        for segment in segments {
            assert_eq!(segment[..l3 + 4], frame[..l3 + 4]);
            assert_eq!(segment[l3 + 40..l3 + 48], options);
            assert_sound(&segment, l3);
        }
    }
}

#[test]
fn a_buffer_without_room_takes_nothing() {
    let frame = MemoryBuf::super_frame(&super_frame(&ENDS4, &[], ACK, &[7; 500]), 400, 1000);
    let mut segments = segments(&frame).unwrap();
    assert!(!segments.next_into(&mut MemoryBuf::with_tailroom(&[], 453)));
    assert!(!segments.next_into(&mut MemoryBuf::with_tailroom(&[1], 1000)));
    assert!(segments.next_into(&mut MemoryBuf::with_tailroom(&[], 454)));
    assert_eq!(segments.remaining(), 1);
}
