//! TCP that a guest leaves to its device to be cut (SEMANTICS 13): segments are packets like all others.

use etherparse::{SlicedPacket, TransportSlice};
use packet::{InterfaceId, MemoryBuf};
use vrouter::simulator::{Simulator, Size};

use super::{drops, ethernet, neighbours, node, put, send, syn, workload};

const A: [u8; 4] = [10, 1, 1, 3];
const B: [u8; 4] = [10, 1, 1, 4];
const REMOTE: [u8; 4] = [10, 9, 0, 1];
const PORTS: (u16, u16) = (40_000, 80);
const TUNNEL: &str = r#"
- next_hop: {id: 101, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.101", label: 101}}
- route: {vrf: 1, prefix: "10.9.0.0/16", next_hop: 101}
"#;

/// TCP of A from this sequence number on.
fn data(to: [u8; 4], sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let tcp = ethernet(2).ipv4(A, to, 64).tcp(PORTS.0, PORTS.1, sequence, 64_240).ack(1).psh();
    tcp.write(&mut frame, payload).unwrap();
    frame[20] = 0x40;
    frame[24..26].fill(0);
    let sum = packet::checksum::internet(&frame[14..34]).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
    frame
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 7 % 251) as u8).collect()
}

/// The TCP payload and sequence number of a packet, whose checksums are right.
fn tcp(packet: &[u8]) -> (u32, Vec<u8>) {
    let sliced = SlicedPacket::from_ip(packet).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
    let meta = packet::parse::ip(packet, 0).unwrap();
    assert_eq!(packet::checksum::verify(packet, &meta), packet::checksum::Verification::Correct);
    (tcp.sequence_number(), tcp.payload().to_vec())
}

/// The payload of packets that follow each other.
fn together<'p>(packets: impl IntoIterator<Item = &'p [u8]>, mut sequence: u32) -> Vec<u8> {
    let mut all = Vec::new();
    for packet in packets {
        let (at, payload) = tcp(packet);
        assert_eq!(at, sequence, "in order");
        sequence += payload.len() as u32;
        all.extend(payload);
    }
    all
}

fn pair() -> Simulator {
    node(4096, &(workload(2, "10.1.1.3", "") + &workload(3, "10.1.1.4", "") + TUNNEL))
}

#[test]
fn sixty_kilobytes_reach_a_local_workload_in_segments_and_in_order() {
    let mut node = pair();
    send(&mut node, 2, &[syn(2, A, B, PORTS)]);
    let payload = bytes(60_000);
    // A packet of the same flow in front and one behind: nobody overtakes.
    let frames = [
        MemoryBuf::new(&data(B, 1001, &payload[..10])),
        MemoryBuf::super_frame(&data(B, 1011, &payload[10..59_990]), 1460, 2048),
        MemoryBuf::new(&data(B, 61_001 - 10, &payload[59_990..])),
    ];
    let before = node.accounting();
    node.inject(InterfaceId(2), frames);
    let out = node.take_output();
    assert!(out.iter().all(|(interface, frame)| interface.0 == 3 && frame.len() <= 1514));
    assert_eq!(together(out.iter().map(|(_, frame)| &frame[14..]), 1001), payload);
    let accounting = node.accounting();
    assert_eq!(accounting.received - before.received, 3, "a super-frame is one");
    assert_eq!(accounting.copied, 59_980_u64.div_ceil(1460) - 1);
    assert!(accounting.holds());
    assert_eq!(node.frames_out(), 0);
}

#[test]
fn segments_take_the_tunnel_and_fit_its_path() {
    let mut node = pair();
    neighbours(&mut node, &["10.1.0.101"]);
    send(&mut node, 2, &[syn(2, A, REMOTE, PORTS)]);
    let payload = bytes(20_000);
    node.inject(InterfaceId(2), [MemoryBuf::super_frame(&data(REMOTE, 1001, &payload), 1428, 2048)]);
    let out = node.take_output();
    assert!(out.iter().all(|(interface, frame)| interface.0 == 1 && frame.len() <= 1514));
    assert_eq!(together(out.iter().map(|(_, frame)| &frame[14 + 32..]), 1001), payload);
}

#[test]
fn segments_that_do_not_fit_are_refused_with_the_mtu_that_does() {
    let mut node = pair();
    neighbours(&mut node, &["10.1.0.101"]);
    send(&mut node, 2, &[syn(2, A, REMOTE, PORTS)]);
    node.inject(InterfaceId(2), [MemoryBuf::super_frame(&data(REMOTE, 1001, &bytes(5840)), 1460, 2048)]);
    let out = node.take_output();
    assert_eq!(drops(&node, "too_big"), 4);
    assert!(!out.is_empty() && out.iter().all(|(interface, _)| interface.0 == 2));
    let told = &out[0].1;
    assert_eq!((&told[34..36], &told[40..42]), (&[3, 4][..], &1468_u16.to_be_bytes()[..]));
    assert!(node.accounting().holds());
}

#[test]
fn a_super_frame_that_cannot_be_cut_is_dropped_by_name_and_the_burst_goes_on() {
    let mut node = pair();
    send(&mut node, 2, &[syn(2, A, B, PORTS)]);
    let whole = data(B, 1001, &bytes(5000));
    let frames = [
        MemoryBuf::super_frame(&whole, 5, 2048),
        MemoryBuf::super_frame(&whole, 1000, 40),
        MemoryBuf::super_frame(&whole, 0, 2048),
        MemoryBuf::new(&data(B, 1001, &[1])),
    ];
    node.inject(InterfaceId(2), frames);
    assert_eq!(node.take_output().len(), 1);
    assert_eq!((drops(&node, "super_frame"), drops(&node, "multi_segment")), (2, 1));
    assert!(node.accounting().holds());
}

#[test]
fn what_finds_no_buffer_is_counted() {
    let mut node = Simulator::new(1, Size { sessions: 64, buffers: 20, ..Size::default() }).unwrap();
    put(&mut node, super::FABRIC);
    put(&mut node, &(workload(2, "10.1.1.3", "") + &workload(3, "10.1.1.4", "")));
    send(&mut node, 2, &[syn(2, A, B, PORTS)]);
    node.inject(InterfaceId(2), [MemoryBuf::super_frame(&data(B, 1001, &bytes(60_000)), 1460, 2048)]);
    let out = node.take_output();
    assert!(!out.is_empty() && out.len() < 20);
    assert_eq!(drops(&node, "no_buffer"), 1);
    assert!(node.accounting().holds());
}
