//! What routers of the underlay say of tunnel packets.

use packet::encap::{Encapsulation, TunnelTooBig};
use packet::icmp::{self, IcmpError};
use packet::meta::v4;
use packet::{MemoryBuf, PacketBuf, parse};

use crate::support::*;

/// An outer packet as this node sends it, and what carries it.
fn sent(v6: bool, encapsulation: Encapsulation) -> (Ends, Vec<u8>) {
    let (src, dst) = if v6 { (A6, B6) } else { (A4, B4) };
    let dst_port = if encapsulation == Encapsulation::Vxlan { 4789 } else { 6635 };
    let ends = Ends { src, dst, src_port: 50_000, dst_port, ipv6: v6 };
    let packet = match encapsulation {
        Encapsulation::MplsOverGre => ip(GRE, &ends, &[&[0, 0, 0x88, 0x47][..], &[0; 60]].concat()),
        _ => packet(UDP, &ends, &[0; 60]),
    };
    (ends, packet)
}

fn told(packet: &[u8], v6: bool, kind: IcmpError) -> Vec<u8> {
    let mut buf = MemoryBuf::new(&ethernet(packet));
    let meta = parse::ethernet(buf.data()).unwrap();
    let router = if v6 { B6 } else { v4([10, 9, 9, 9]) };
    icmp::error(&mut buf, &meta, kind, &router).unwrap();
    ethernet(buf.data())
}

fn read(frame: &[u8]) -> Option<TunnelTooBig> {
    TunnelTooBig::read(frame, &parse::ethernet(frame).unwrap())
}

const KINDS: [Encapsulation; 3] =
    [Encapsulation::MplsOverUdp, Encapsulation::MplsOverGre, Encapsulation::Vxlan];

#[test]
fn every_kind_of_tunnel_is_recognised_in_both_families() {
    for (v6, least) in [(false, 576), (true, 1280)] {
        for encapsulation in KINDS {
            let (ends, packet) = sent(v6, encapsulation);
            for mtu in [1, least - 1, least, 1400, 65_535] {
                let message = told(&packet, v6, IcmpError::TooBig { mtu });
                let expected = TunnelTooBig {
                    source: ends.src,
                    destination: ends.dst,
                    ipv6: v6,
                    encapsulation,
                    mtu: mtu.max(least),
                };
                assert_eq!(read(&message), Some(expected));
            }
            assert_eq!(read(&told(&packet, v6, IcmpError::TooBig { mtu: 0 })), None, "not told what fits");
        }
    }
}

#[test]
fn other_errors_other_packets_and_damaged_messages_are_not_listened_to() {
    for v6 in [false, true] {
        let (ends, packet) = sent(v6, Encapsulation::MplsOverUdp);
        let others = [IcmpError::TimeExceeded, IcmpError::PortUnreachable, IcmpError::HostUnreachable];
        for other in others {
            assert_eq!(read(&told(&packet, v6, other)), None, "{other:?}");
        }
        let too_big = IcmpError::TooBig { mtu: 1300 };
        let mut damaged = told(&packet, v6, too_big);
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(read(&damaged), None);
        let elsewhere = Ends { dst_port: 53, ..ends };
        assert_eq!(read(&told(&super::support::packet(UDP, &elsewhere, &[0; 60]), v6, too_big)), None);
        let tcp = super::support::packet(TCP, &ends, &[0; 60]);
        assert_eq!(read(&told(&tcp, v6, too_big)), None);
        let gre = ip(GRE, &ends, &[&[0, 0, 8, 0][..], &[0; 60]].concat());
        assert_eq!(read(&told(&gre, v6, too_big)), None, "GRE that carries no MPLS");
        assert_eq!(read(&ethernet(&packet)), None, "no ICMP at all");
    }
}
