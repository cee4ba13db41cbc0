//! Tunnel packets that the underlay has cut (SEMANTICS 14): bounded, and nothing is lost without a name.

use packet::{InterfaceId, MemoryBuf};
use vrouter::simulator::Simulator;

use super::{drops, from_node, node, send, udp, workload};

const FABRIC: u16 = 1;

/// MPLS over UDP from a peer to the node, label 25, around a packet to the workload.
fn tunnel_packet() -> Vec<u8> {
    let inner = udp(9, [10, 9, 0, 1], [10, 1, 1, 3], (53, 5000));
    // Padded: the inner packet ends where it says.
    from_node(101, 25, &[&inner[14..], &[0; 900]].concat())
}

/// A frame in two fragments, the first of 600 bytes of payload.
fn cut(frame: &[u8], identification: u16) -> [Vec<u8>; 2] {
    let piece = |body: &[u8], field: u16| {
        let mut piece = [&frame[..34], body].concat();
        piece[16..18].copy_from_slice(&(20 + body.len() as u16).to_be_bytes());
        piece[18..20].copy_from_slice(&identification.to_be_bytes());
        piece[20..22].copy_from_slice(&field.to_be_bytes());
        piece[24..26].fill(0);
        let sum = packet::checksum::internet(&piece[14..34]).to_be_bytes();
        piece[24..26].copy_from_slice(&sum);
        piece
    };
    [piece(&frame[34..634], 0x2000), piece(&frame[634..], 600 / 8)]
}

fn receiver() -> Simulator {
    let objects = workload(2, "10.1.1.3", "")
        + r#"
- mpls_label: {label: 25, next_hop: 2}
- next_hop: {id: 101, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.101", label: 101}}
- route: {vrf: 1, prefix: "10.9.0.0/16", next_hop: 101}
"#;
    node(4096, &objects)
}

#[test]
fn a_packet_in_pieces_is_delivered_once_all_are_here_and_no_buffer_stays() {
    let mut node = receiver();
    for (n, backwards) in [(1, false), (2, true)] {
        let mut pieces = cut(&tunnel_packet(), n);
        if backwards {
            pieces.reverse();
        }
        assert!(send(&mut node, FABRIC, &pieces[..1]).is_empty());
        assert_eq!(node.accounting().held, 1);
        let out = send(&mut node, FABRIC, &pieces[1..]);
        assert!(matches!(&out[..], [(InterfaceId(2), _)]), "{out:?}");
        // Both in one burst.
        assert_eq!(send(&mut node, FABRIC, &cut(&tunnel_packet(), n + 100)).len(), 1);
    }
    let accounting = node.accounting();
    assert_eq!((accounting.received, accounting.sent, accounting.consumed), (8, 4, 4));
    assert!(accounting.holds() && accounting.held == 0);
    assert_eq!(node.frames_out(), 0);
}

#[test]
fn a_bomb_of_first_pieces_is_bounded_counted_and_over_within_a_second() {
    let mut node = receiver();
    let whole = tunnel_packet();
    for n in 0..1000 {
        send(&mut node, FABRIC, &cut(&whole, n)[..1]);
        assert!(node.accounting().held <= 128 && node.accounting().holds());
    }
    assert_eq!(drops(&node, "fragment_limit"), 1000 - 128, "the oldest give way");
    // The last one is still there.
    assert_eq!(send(&mut node, FABRIC, &cut(&whole, 999)[1..]).len(), 1);
    node.advance(1_100);
    assert_eq!(drops(&node, "outer_fragment"), 127);
    let accounting = node.accounting();
    assert!(accounting.holds() && accounting.held == 0);
    assert_eq!(node.frames_out(), 0);
}

#[test]
fn a_bomb_of_many_pieces_is_bounded_by_the_pieces_too() {
    let mut node = receiver();
    let whole = tunnel_packet();
    for n in 0..100 {
        let [first, _] = cut(&whole, n);
        // The same datagram at ten places, none of them the last.
        for place in 0..10_u16 {
            let mut piece = first.clone();
            piece[20..22].copy_from_slice(&(0x2000 | (place * 75)).to_be_bytes());
            piece[24..26].fill(0);
            let sum = packet::checksum::internet(&piece[14..34]).to_be_bytes();
            piece[24..26].copy_from_slice(&sum);
            node.inject(InterfaceId(FABRIC), [MemoryBuf::new(&piece)]);
            assert!(node.accounting().held <= 512 && node.accounting().holds());
        }
    }
    assert!(drops(&node, "fragment_limit") >= 1000 - 512);
    node.advance(1_100);
    assert_eq!((node.accounting().held, node.frames_out()), (0, 0));
}
