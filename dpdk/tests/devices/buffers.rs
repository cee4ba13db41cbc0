//! Mempools and packets.

use dpdk::{
    Burst, ChecksumRequest, Eal, Mbuf, Mempool, MempoolConfig, MempoolError, Port, RxQueue, Transport,
    TxQueue,
};
use packet::{L4Checksum, MemoryBuf, PacketBuf};
use proptest::prelude::*;

use crate::common::{eal, frame, pool};

#[test]
fn a_pool_counts_what_is_out_and_gets_everything_back() {
    let pool = pool(100);
    assert_eq!((pool.capacity(), pool.in_use(), pool.available()), (100, 0, 100));
    let one = pool.alloc().unwrap();
    let some: Vec<_> = std::iter::from_fn(|| pool.alloc()).take(64).collect();
    assert_eq!((pool.in_use(), pool.available()), (65, 35));
    let rest: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!((some.len(), rest.len()), (64, 35));
    drop(one);
    assert_eq!(pool.in_use(), 99);
    drop((some, rest));
    assert_eq!((pool.in_use(), pool.available()), (0, 100));
}

#[test]
fn bad_pools_are_refused_by_the_name_of_the_setting() {
    let good = || MempoolConfig { name: "good".into(), count: 64, data_room: 512, cache: 0 };
    let cases = [
        ("name", MempoolConfig { name: String::new(), ..good() }),
        ("name", MempoolConfig { name: "a b".into(), ..good() }),
        ("name", MempoolConfig { name: "n".repeat(21), ..good() }),
        ("count", MempoolConfig { count: 0, ..good() }),
        ("data_room", MempoolConfig { data_room: 63, ..good() }),
        ("data_room", MempoolConfig { data_room: 65_500, ..good() }),
        ("cache", MempoolConfig { cache: 513, count: 4096, ..good() }),
        ("cache", MempoolConfig { cache: 44, ..good() }),
    ];
    for (expected, config) in cases {
        match Mempool::new(eal(), &config) {
            Err(MempoolError::Invalid { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn a_pool_that_does_not_fit_says_how_much_it_needs() {
    let config = MempoolConfig { name: "huge".into(), count: 400_000_000, ..MempoolConfig::default() };
    let error = Mempool::new(eal(), &config).unwrap_err();
    assert!(matches!(error, MempoolError::NoMemory { .. }), "{error}");
    assert!(error.to_string().contains("MB for 400000000 packets"), "{error}");
}

#[test]
fn a_name_is_taken_once() {
    let config = MempoolConfig { name: "taken".into(), count: 64, cache: 0, ..MempoolConfig::default() };
    let _first = Mempool::new(eal(), &config).unwrap();
    assert!(matches!(Mempool::new(eal(), &config), Err(MempoolError::NameTaken { name }) if name == "taken"));
}

#[test]
fn a_new_packet_is_empty_with_room_on_both_sides() {
    let pool = pool(64);
    let packet = pool.alloc().unwrap();
    assert_eq!((packet.len(), packet.headroom(), packet.tailroom()), (0, 128, 2048));
    assert_eq!(packet.l4_checksum(), L4Checksum::Unknown);
    assert!(pool.alloc_copy(&frame(0, 2048)).is_some());
    assert!(pool.alloc_copy(&frame(0, 2049)).is_none(), "too long");
    assert_eq!(pool.in_use(), 1);
}

#[test]
fn a_checksum_request_reads_as_partial_until_it_is_withdrawn() {
    let pool = pool(64);
    let mut packet = pool.alloc_copy(&frame(1, 100)).unwrap();
    let header = ChecksumRequest { l2_len: 14, l3_len: 20, ipv6: false, header: true, transport: None };
    packet.request_checksum(header);
    assert_eq!(packet.l4_checksum(), L4Checksum::Unknown, "the IPv4 header is not the transport's");
    for transport in [Transport::Tcp, Transport::Udp, Transport::Sctp] {
        packet.request_checksum(ChecksumRequest { transport: Some(transport), ..header });
        assert_eq!(packet.l4_checksum(), L4Checksum::Partial);
    }
    packet.set_l4_checksum(L4Checksum::Verified);
    assert_eq!(packet.l4_checksum(), L4Checksum::Verified);
}

#[test]
fn packets_and_queues_move_between_threads() {
    fn moves<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    moves::<(Mbuf, Burst, RxQueue, TxQueue, Port)>();
    is_shared::<(Eal, Mempool)>();
}

#[test]
fn the_version_and_the_clock_are_known() {
    assert!(Eal::version().starts_with("DPDK "), "{}", Eal::version());
    assert!(eal().tsc_hz() > 100_000_000);
    let before = dpdk::tsc::now();
    assert!(dpdk::tsc::now() > before);
}

#[derive(Clone, Debug)]
enum Step {
    GrowFront(usize),
    ShrinkFront(usize),
    GrowBack(usize),
    Truncate(usize),
    Write(usize, u8),
    Checksum(L4Checksum),
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![Just(L4Checksum::Unknown), Just(L4Checksum::Verified), Just(L4Checksum::Partial)];
    let n = || prop_oneof![3 => 0..200_usize, 1 => 0..70_000_usize];
    prop_oneof![
        n().prop_map(Step::GrowFront),
        n().prop_map(Step::ShrinkFront),
        n().prop_map(Step::GrowBack),
        n().prop_map(Step::Truncate),
        (0..2000_usize, any::<u8>()).prop_map(|(at, byte)| Step::Write(at, byte)),
        state.prop_map(Step::Checksum),
    ]
}

fn apply<B: PacketBuf>(buffer: &mut B, step: &Step) -> bool {
    match *step {
        Step::GrowFront(n) => {
            let done = buffer.grow_front(n);
            // What appears is old bytes: make them comparable.
            if done {
                buffer.data_mut()[..n].fill(1);
            }
            done
        }
        Step::GrowBack(n) => {
            let done = buffer.grow_back(n);
            if done {
                let len = buffer.len();
                buffer.data_mut()[len - n..].fill(2);
            }
            done
        }
        Step::ShrinkFront(n) => buffer.shrink_front(n),
        Step::Truncate(n) => {
            buffer.truncate(n);
            true
        }
        Step::Write(at, byte) => buffer.data_mut().get_mut(at).map(|to| *to = byte).is_some(),
        Step::Checksum(state) => {
            buffer.set_l4_checksum(state);
            true
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_packet_behaves_like_plain_memory(len in 0..1500_usize, steps in prop::collection::vec(step(), 0..30)) {
        let pool = shared_pool();
        let mut model = MemoryBuf::with_tailroom(&frame(3, len), 2048 - len);
        let mut packet: Mbuf = pool.alloc_copy(&frame(3, len)).unwrap();
        for step in &steps {
            prop_assert_eq!(apply(&mut packet, step), apply(&mut model, step), "{:?}", step);
            prop_assert_eq!(packet.data(), model.data());
            prop_assert_eq!((packet.headroom(), packet.tailroom()), (model.headroom(), model.tailroom()));
            prop_assert_eq!((packet.len(), packet.is_empty()), (model.len(), model.is_empty()));
            prop_assert_eq!(packet.l4_checksum(), model.l4_checksum());
        }
        drop(packet);
        prop_assert_eq!(pool.in_use(), 0);
    }
}

fn shared_pool() -> &'static Mempool {
    static POOL: std::sync::OnceLock<Mempool> = std::sync::OnceLock::new();
    POOL.get_or_init(|| pool(16))
}
