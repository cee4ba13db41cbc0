//! Properties of many flows on the whole data path, in one thread and plain memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod closing;
mod ecmp;
mod epochs;
mod limits;
mod moves;
mod neighbours;
mod node_services;
mod path_mtu;
mod policies;
mod reassembly;
mod rebirth;
mod rules;
mod services;
mod source_nat;
mod sources;
mod super_frames;

use agent_api::v1::{Operation, operation};
use agent_api::yaml;
use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, NetSlice, PacketBuilder, SlicedPacket, TransportSlice,
};
use packet::{InterfaceId, MemoryBuf};
use vrouter::datapath::BURST;
use vrouter::simulator::{Simulator, Size};

/// The networks and the fabric port of a compute node.
const FABRIC: &str = r#"
- vrf: {id: 0, name: fabric}
- vrf: {id: 1, name: red}
- interface: {id: 1, name: fabric, role: FABRIC, vrf: 0, mac: "02:00:0a:01:00:42", addresses: ["10.1.0.66/24"], device: {null: {}}}
"#;

/// A compute node with a fabric port and what `objects` (YAML) says.
fn node(sessions: u32, objects: &str) -> Simulator {
    let mut node = Simulator::new(1, Size { sessions, buffers: 1 << 20, ..Size::default() }).unwrap();
    put(&mut node, FABRIC);
    put(&mut node, objects);
    node
}

/// A workload with this id and address in VRF 1, and its route.
fn workload(id: u32, address: &str, more: &str) -> String {
    format!(
        r#"
- interface: {{id: {id}, name: vm{id}, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:00:{id:02x}", addresses: ["{address}"], gateways: ["10.1.1.1"], policy: true, device: {{null: {{}}}}{more}}}
- next_hop: {{id: {id}, interface: {{interface: {id}}}}}
- route: {{vrf: 1, prefix: "{address}/32", next_hop: {id}}}
"#
    )
}

fn put(node: &mut Simulator, objects: &str) {
    let put = |object| Operation { operation: Some(operation::Operation::Put(object)) };
    let result = node.apply(yaml::parse(objects).unwrap().into_iter().map(put).collect());
    assert_eq!((result.code, result.message.as_str()), (0, ""));
}

fn delete(node: &mut Simulator, objects: &str) {
    let delete =
        |object| Operation { operation: Some(operation::Operation::Delete(agent_api::key_of(&object))) };
    let result = node.apply(yaml::parse(objects).unwrap().iter().cloned().map(delete).collect());
    assert_eq!((result.code, result.message.as_str()), (0, ""));
}

/// Makes the underlay's gateways known.
fn neighbours(node: &mut Simulator, addresses: &[&str]) {
    for (n, address) in (1_u8..).zip(addresses) {
        node.install_neighbour(InterfaceId(1), address.parse().unwrap(), [2, 0, 0, 0xff, 0, n]);
    }
}

fn ethernet(id: u8) -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, id], [0, 0, 0x5e, 0, 1, 0])
}

/// A UDP packet from workload `id`.
fn udp(id: u8, source: [u8; 4], destination: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    ethernet(id).ipv4(source, destination, 64).udp(ports.0, ports.1).write(&mut frame, &[0; 8]).unwrap();
    frame
}

/// A TCP SYN from workload `id`.
fn syn(id: u8, source: [u8; 4], destination: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    ethernet(id)
        .ipv4(source, destination, 64)
        .tcp(ports.0, ports.1, 1000, 64_240)
        .syn()
        .write(&mut frame, &[])
        .unwrap();
    frame
}

/// A UDP packet without a frame, as another node sends it.
fn packet(source: [u8; 4], destination: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4(source, destination, 63).udp(ports.0, ports.1).write(&mut packet, &[0; 8]).unwrap();
    packet
}

/// MPLS over UDP from another node, 10.1.0.`node`, around a packet.
fn from_node(node: u8, label: u32, packet: &[u8]) -> Vec<u8> {
    let payload = [&(label << 12 | 1 << 8 | 63).to_be_bytes(), packet].concat();
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0xff, 0, 1], [2, 0, 0x0a, 1, 0, 0x42])
        .ipv4([10, 1, 0, node], [10, 1, 0, 66], 64)
        .udp(50_000, 6635)
        .write(&mut frame, &payload)
        .unwrap();
    // RFC 7510 §3.1: no checksum over IPv4.
    frame[40..42].fill(0);
    frame
}

/// Sends frames in full bursts and returns what left.
fn send(node: &mut Simulator, interface: u16, frames: &[Vec<u8>]) -> Vec<(InterfaceId, Vec<u8>)> {
    let mut left = Vec::new();
    for burst in frames.chunks(BURST) {
        node.inject(InterfaceId(interface), burst.iter().map(|frame| MemoryBuf::new(frame)));
        left.extend(node.take_output());
        assert!(node.accounting().holds(), "{:?}", node.accounting());
    }
    left
}

fn drops(node: &Simulator, name: &str) -> u64 {
    node.drops().find(|(reason, _)| reason.name() == name).map_or(0, |(_, count)| count)
}

/// A question who has `target`, by a station of the underlay.
fn arp_request(station: [u8; 6], sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let arp = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        ArpOperation::REQUEST,
        &station,
        &sender,
        &[0; 6],
        &target,
    );
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(station, [0xff; 6]).arp(arp.unwrap()).write(&mut frame).unwrap();
    frame
}

/// Source, destination and ports of a packet of UDP over IPv4.
type Ends = ([u8; 4], [u8; 4], u16, u16);

/// The ends of the packet in a frame.
fn ends(frame: &[u8]) -> Ends {
    ends_of(&SlicedPacket::from_ethernet(frame).unwrap())
}

/// The ends of the packet in a tunnel packet (MPLS over UDP).
fn inside(frame: &[u8]) -> Ends {
    let outer = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(TransportSlice::Udp(udp)) = &outer.transport else { panic!("no UDP outside") };
    ends_of(&SlicedPacket::from_ip(&udp.payload()[4..]).unwrap())
}

/// The outer destination of a tunnel packet and the inner source port.
fn tunnel(frame: &[u8]) -> ([u8; 4], u16) {
    (ends(frame).1, inside(frame).2)
}

fn ends_of(packet: &SlicedPacket<'_>) -> Ends {
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("no IPv4") };
    let Some(TransportSlice::Udp(udp)) = &packet.transport else { panic!("no UDP") };
    (ip.header().source(), ip.header().destination(), udp.source_port(), udp.destination_port())
}
