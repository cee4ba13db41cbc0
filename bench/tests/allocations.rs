//! The hot path allocates nothing: not for packets of known sessions, not for those that open one.
#![allow(clippy::unwrap_used, reason = "a test")]

use bench::cases::{self, World};
use bench::node::Ring;
use packet::MemoryBuf;

#[test]
fn no_packet_allocates_memory() {
    for case in cases::all(2_000) {
        let ring = Ring::new(1024, || Some(MemoryBuf::with_tailroom(&[], 1600)));
        let mut world = World::open(ring, &case).unwrap();
        // Whatever is made on first use is made.
        (0..4).for_each(|_| world.step());
        let counted = allocation_counter::measure(|| (0..200).for_each(|_| world.step()));
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0), "{}", case.name);
        world.check().unwrap();
    }
    // Each packet of this one opens a session, once only.
    let case = cases::all(u32::MAX).into_iter().find(|case| case.new).unwrap();
    let ring = Ring::new(1024, || Some(MemoryBuf::with_tailroom(&[], 1600)));
    let mut world = World::open(ring, &case).unwrap();
    (0..4).for_each(|_| world.step());
    let counted = allocation_counter::measure(|| (0..200).for_each(|_| world.step()));
    assert_eq!(counted.count_total, 0, "{}", case.name);
    world.check().unwrap();
}
