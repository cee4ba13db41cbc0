//! The memory of a packet: room in front and behind is used to the last byte and never beyond.

use packet::buf::HEADROOM;
use packet::{L4Checksum, MemoryBuf, PacketBuf};

fn buffer() -> MemoryBuf {
    MemoryBuf::with_room(b"abcd", 3, 2)
}

#[test]
fn a_buffer_tells_its_rooms() {
    let buf = buffer();
    assert_eq!((buf.headroom(), buf.len(), buf.tailroom()), (3, 4, 2));
    assert!(!buf.is_empty() && buf.is_whole());
    assert!(MemoryBuf::with_room(b"", 3, 2).is_empty());
    let buf = MemoryBuf::with_tailroom(b"abcd", 7);
    assert_eq!((buf.headroom(), buf.tailroom(), buf.data()), (HEADROOM, 7, &b"abcd"[..]));
    let buf = MemoryBuf::new(&[9; 48]);
    assert_eq!((buf.headroom(), buf.tailroom()), (HEADROOM, 2000));
    assert_eq!(MemoryBuf::new(&[9; 3000]).tailroom(), 0);
}

#[test]
fn the_front_grows_and_shrinks_to_the_last_byte() {
    let mut buf = buffer();
    assert!(!buf.grow_front(4));
    assert_eq!((buf.headroom(), buf.len()), (3, 4));
    assert!(buf.grow_front(3));
    assert_eq!((buf.headroom(), buf.data()), (0, &b"\0\0\0abcd"[..]));
    assert!(buf.shrink_front(5));
    assert_eq!((buf.headroom(), buf.data()), (5, &b"cd"[..]));
    assert!(!buf.shrink_front(3));
    assert_eq!(buf.data(), b"cd");
    assert!(buf.shrink_front(2));
    assert!(buf.is_empty());
}

#[test]
fn the_back_grows_and_is_cut() {
    let mut buf = buffer();
    assert!(!buf.grow_back(3));
    assert!(buf.grow_back(2));
    assert_eq!((buf.data(), buf.tailroom()), (&b"abcd\0\0"[..], 0));
    buf.truncate(7);
    assert_eq!(buf.len(), 6);
    buf.truncate(1);
    assert_eq!((buf.data(), buf.tailroom()), (&b"a"[..], 5));
}

#[test]
fn an_end_is_replaced_by_one_of_any_length() {
    for (at, bytes, result) in [
        (1, &b"xyz"[..], Some(&b"axyz"[..])),
        (1, b"x", Some(b"ax")),
        (0, b"", Some(b"")),
        (4, b"xy", Some(b"abcdxy")),
        (2, b"wxyz", Some(b"abwxyz")),
        (4, b"xyz", None),
        (5, b"", None),
        (5, b"x", None),
    ] {
        let mut buf = buffer();
        assert_eq!(buf.replace_from(at, bytes), result.is_some(), "{bytes:?} at {at}");
        assert_eq!(buf.data(), result.unwrap_or(b"abcd"));
    }
}

#[test]
fn what_is_known_of_the_checksum_goes_with_the_buffer() {
    let mut buf = buffer();
    assert_eq!(buf.l4_checksum(), L4Checksum::Unknown);
    buf.set_l4_checksum(L4Checksum::Partial);
    assert_eq!(buf.clone().l4_checksum(), L4Checksum::Partial);
}

#[test]
fn a_frame_gets_another_front_and_another_end() {
    let mut buf = MemoryBuf::with_room(b"abcdef", 3, 2);
    for (at, end, front) in [(0, 6, 4), (2, 7, 2), (3, 2, 2), (2, 4, 5)] {
        assert!(buf.reframe::<4>(at, end, front).is_none(), "{at} {end} {front}");
        assert_eq!(buf.data(), b"abcdef");
    }
    // The four bytes in front of "c": two of the frame, two before it; three of them are its new front.
    *buf.reframe::<4>(2, 5, 3).unwrap() = *b"wxyz";
    assert_eq!((buf.headroom(), buf.data(), buf.tailroom()), (2, &b"xyzcde"[..], 3));
    assert!(buf.grow_front(1));
    assert_eq!(buf.data(), b"wxyzcde");
    assert_eq!(buf.reframe::<0>(7, 7, 0), Some(&mut []));
    assert!(buf.is_empty());
}
