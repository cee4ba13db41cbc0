//! The hot path allocates nothing: not for packets of known sessions, not for those that open one.
#![allow(clippy::unwrap_used, reason = "a test")]

use bench::cases;
use bench::node::Ring;
use bench::world::World;
use packet::MemoryBuf;

#[test]
fn no_packet_allocates_memory() {
    // Those that open sessions have so many.
    for case in cases::all(500_000) {
        if case.flows > 2_000 && !case.new {
            continue;
        }
        let ring = || Ring::new(1024, || Some(MemoryBuf::with_tailroom(&[], 1600)));
        let mut world = World::open(ring, &case).unwrap();
        let mut drill = world.drill(&case).unwrap();
        // Whatever is made on first use is made.
        (0..4).for_each(|_| world.step(&mut drill));
        let counted = allocation_counter::measure(|| (0..200).for_each(|_| world.step(&mut drill)));
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0), "{}", case.name);
        world.check(&drill).unwrap();
    }
}
