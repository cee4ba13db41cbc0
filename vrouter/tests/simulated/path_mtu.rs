//! A router of the underlay says that a tunnel packet was too big (SEMANTICS 11).

use packet::icmp::{self, IcmpError};
use packet::{InterfaceId, MemoryBuf, PacketBuf, parse};
use vrouter::datapath::{Event, PuntClass};
use vrouter::simulator::Simulator;

use super::{ethernet, neighbours, node, send, workload};

const TUNNELS: &str = r#"
- next_hop: {id: 101, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.101", label: 101}}
- next_hop: {id: 102, tunnel: {encapsulation: MPLS_OVER_GRE, destination: "10.1.0.101", label: 102}}
- next_hop: {id: 103, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.102", label: 103}}
- route: {vrf: 1, prefix: "10.9.1.0/24", next_hop: 101}
- route: {vrf: 1, prefix: "10.9.2.0/24", next_hop: 102}
- route: {vrf: 1, prefix: "10.9.3.0/24", next_hop: 103}
"#;

/// 1400 bytes of IPv4 that must not be fragmented.
fn big(destination: [u8; 4]) -> Vec<u8> {
    let mut frame = Vec::new();
    ethernet(2)
        .ipv4([10, 1, 1, 3], destination, 64)
        .udp(1000, 2000)
        .write(&mut frame, &[0; 1400 - 28])
        .unwrap();
    frame[14 + 6] = 0x40;
    let mut sum: u32 = (0..20)
        .step_by(2)
        .filter(|at| *at != 10)
        .map(|at| u32::from(u16::from_be_bytes([frame[14 + at], frame[15 + at]])))
        .sum();
    sum = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    frame
}

/// What a router at 10.1.0.1 answers to a frame that the node sent.
fn too_big(sent: &[u8], mtu: u16) -> Vec<u8> {
    let mut buf = MemoryBuf::new(sent);
    let meta = parse::ethernet(sent).unwrap();
    icmp::error(&mut buf, &meta, IcmpError::TooBig { mtu }, &packet::meta::v4([10, 1, 0, 1])).unwrap();
    [&[2, 0, 0x0a, 1, 0, 0x42, 2, 0, 0, 0xff, 0, 9, 8, 0][..], buf.data()].concat()
}

/// The control side hears what the worker handed up; how many there were of the class.
fn hear(node: &mut Simulator) -> usize {
    let events: Vec<_> = node.events().collect();
    let mut heard = 0;
    for event in events {
        if let Event::Punt { class: PuntClass::PathMtu, interface, frame } = event {
            heard += 1;
            node.control().hear(interface, frame.data());
        }
    }
    // Whatever batch comes next publishes it.
    node.apply(Vec::new());
    heard
}

/// Sends a big packet into each of the three networks: which of them went into their tunnels, and what the others
/// were told.
fn passes(node: &mut Simulator) -> [Result<Vec<u8>, u16>; 3] {
    [1, 2, 3].map(|network| {
        let out = send(node, 2, &[big([10, 9, network, 1])]);
        match &out[..] {
            [(InterfaceId(1), frame)] => Ok(frame.clone()),
            [(InterfaceId(2), frame)] => {
                assert_eq!(frame[34..36], [3, 4], "fragmentation needed");
                Err(u16::from_be_bytes([frame[40], frame[41]]))
            }
            other => panic!("{other:?}"),
        }
    })
}

fn told(passed: &[Result<Vec<u8>, u16>; 3]) -> [u16; 3] {
    [0, 1, 2].map(|n| passed[n].as_ref().err().copied().unwrap_or(0))
}

#[test]
fn what_the_underlay_says_of_a_tunnel_limits_that_tunnel_for_ten_minutes() {
    let mut node = node(1000, &(workload(2, "10.1.1.3", "") + TUNNELS));
    neighbours(&mut node, &["10.1.0.101", "10.1.0.102"]);
    let now = node.milliseconds();
    node.control().advance(now);
    let passed = passes(&mut node);
    assert_eq!(told(&passed), [0, 0, 0]);
    let sent = passed[0].clone().unwrap();

    send(&mut node, 1, &[too_big(&sent, 1300)]);
    assert_eq!(hear(&mut node), 1);
    assert_eq!(told(&passes(&mut node)), [1300 - 32, 0, 0], "the tunnel that was named, and no other");

    // Less counts at once, more does not; what every link carries is the least.
    for (mtu, expected) in [(1200, 1200), (1400, 1200), (100, 576)] {
        send(&mut node, 1, &[too_big(&sent, mtu)]);
        assert_eq!(hear(&mut node), 1);
        assert_eq!(told(&passes(&mut node)), [expected - 32, 0, 0]);
    }
    let later = node.milliseconds() + 599_000;
    node.control().advance(later);
    node.apply(Vec::new());
    assert_eq!(told(&passes(&mut node))[0], 576 - 32);
    node.control().advance(later + 600_000);
    node.apply(Vec::new());
    assert_eq!(told(&passes(&mut node)), [0, 0, 0], "forgotten: the path may be wider now");
}

#[test]
fn a_message_that_names_no_packet_of_ours_changes_nothing() {
    let mut node = node(1000, &(workload(2, "10.1.1.3", "") + TUNNELS));
    neighbours(&mut node, &["10.1.0.101", "10.1.0.102"]);
    let passed = passes(&mut node);
    let sent = passed[0].clone().unwrap();
    // (offset in the frame that the node sent, value)
    let lies: [(usize, u8); 3] = [
        // From another node than this, to another than that of the tunnel, to another port.
        (14 + 15, 67),
        (14 + 19, 7),
        (14 + 22, 0),
    ];
    for (at, value) in lies {
        let mut lie = sent.clone();
        lie[at] = value;
        // The router would have seen a good header.
        let header = &mut lie[14..34];
        header[10..12].fill(0);
        let mut sum: u32 =
            header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        sum = (sum & 0xffff) + (sum >> 16);
        let checksum = !(((sum & 0xffff) + (sum >> 16)) as u16);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        send(&mut node, 1, &[too_big(&lie, 600)]);
        hear(&mut node);
        assert_eq!(told(&passes(&mut node)), [0, 0, 0], "byte {at}");
    }
    // A damaged message.
    let mut damaged = too_big(&sent, 600);
    damaged[40] ^= 1;
    send(&mut node, 1, &[damaged]);
    assert_eq!(hear(&mut node), 0);
    // A tunnel of the other kind to the same node.
    let gre = passed[1].clone().unwrap();
    send(&mut node, 1, &[too_big(&gre, 600)]);
    assert_eq!(hear(&mut node), 1);
    assert_eq!(told(&passes(&mut node)), [0, 600 - 28, 0]);
}
