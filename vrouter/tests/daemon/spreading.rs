//! Everything that one gateway sends by MPLS over GRE arrives in one queue, and two workers treat it.

use std::collections::HashMap;
use std::path::Path;

use crate::frames;
use crate::harness::{Daemon, wait_for};
use crate::objects::{NETWORK, NULL, record, repeat, replay, workload_with};

const FLOWS: u16 = 250;
const PACKETS: u32 = 240;
/// Packets that wait for a worker at most.
const ROOM: u64 = 1024;
/// Where a delivered frame has its source port, and its number.
const PORT: usize = 34;
const NUMBER: usize = 42;

/// A packet from 10.0.0.9 to workload 2, as the gateway 192.0.2.2 sends it to 192.0.2.1.
fn tunnelled(flow: u16, number: u32) -> Vec<u8> {
    let mut inner = frames::udp(9, 2, 1000 + flow).split_off(14);
    // No UDP checksum: the number differs from packet to packet.
    inner[26..28].fill(0);
    inner[28..32].copy_from_slice(&number.to_be_bytes());
    let mut frame = vec![2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2, 8, 0];
    let length = inner.len() as u16 + 8;
    let gre = etherparse::IpNumber::GRE;
    let header = etherparse::Ipv4Header::new(length, 64, gre, [192, 0, 2, 2], [192, 0, 2, 1]).unwrap();
    header.write(&mut frame).unwrap();
    frame.extend([0, 0, 0x88, 0x47, 0, 1, 0x91, 63]);
    frame.extend(inner);
    frame
}

/// So many packets of each flow, the flows in turn.
fn write(directory: &Path, packets: u32) {
    let frames: Vec<_> =
        (0..packets).flat_map(|number| (0..FLOWS).map(move |flow| tunnelled(flow, number))).collect();
    frames::write(&directory.join("in.pcap"), &frames);
}

/// A daemon with two workers, the first of which receives from the fabric.
fn start(fabric: &str, workload: &str, packets: u32) -> Daemon {
    let mut daemon = Daemon::start_with("[workers]\ncount = 2\n", |directory| write(directory, packets));
    let fabric = format!(
        "- vrf: {{id: 0, name: fabric}}
- interface: {{id: 1, name: fabric, role: FABRIC, vrf: 0, mac: '02:00:00:00:01:01', addresses: ['192.0.2.1/24'],
    device: {fabric}}}
- security_group: {{id: 7, name: udp, rules: [{{id: 1, direction: INGRESS, protocol: 17}}]}}
- next_hop: {{id: 20, resolve: {{interface: 1}}}}
- next_hop: {{id: 21, tunnel: {{encapsulation: MPLS_OVER_GRE, destination: 192.0.2.2}}}}
- mpls_label: {{label: 25, next_hop: 2}}
- route: {{vrf: 0, prefix: 192.0.2.0/24, next_hop: 20}}
- route: {{vrf: 1, prefix: 10.0.0.9/32, next_hop: 21}}
"
    );
    let workload = workload_with(2, workload, "policy: true, security_groups: [7],");
    daemon.apply(&[NETWORK, &fabric, &workload].concat());
    daemon
}

#[test]
fn both_workers_treat_what_one_gateway_sends_and_each_flow_stays_in_order() {
    let mut daemon = start(&replay("in.pcap"), &record("out.pcap"), PACKETS);
    let all = u64::from(FLOWS) * u64::from(PACKETS);
    wait_for("all packets", || daemon.packets("fabric").0 == all);
    let accounting = daemon.accounting();
    let stats = daemon.stats();
    let dropped: Vec<_> = stats.drops.iter().map(|drop| (drop.reason.as_str(), drop.packets)).collect();
    // Nobody waits for a worker that does not get a CPU.
    assert!(dropped.iter().all(|(reason, _)| ["spread_full", "tx_full"].contains(reason)), "{dropped:?}");
    let [first, second] = &stats.workers[..] else { panic!("two workers") };
    println!("handed over {}, taken over {}, dropped {dropped:?}", first.handed_over, second.taken_over);
    assert_eq!((first.handed_over, first.taken_over), (second.taken_over, second.handed_over));
    assert!(second.taken_over >= ROOM, "as much as finds room while it sleeps: {second:?}");
    for worker in [first, second] {
        let accounting = worker.accounting.unwrap_or_default();
        assert!(crate::harness::balanced(&accounting), "{accounting:?}");
    }
    assert_eq!(accounting.received, all);

    let delivered = daemon.packets("vm2").1;
    let out = daemon.path("out.pcap");
    let stopped = daemon.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    let mut last = HashMap::new();
    let frames = frames::read(&out);
    assert_eq!(frames.len() as u64, delivered);
    for frame in frames {
        let port = u16::from_be_bytes([frame[PORT], frame[PORT + 1]]);
        let number = u32::from_be_bytes(frame[NUMBER..NUMBER + 4].try_into().unwrap());
        let before = last.insert(port, number);
        assert!(before.is_none_or(|before| before < number), "{port}: {number} after {before:?}");
    }
    assert_eq!(last.len(), usize::from(FLOWS), "no flow is left out");
}

#[test]
fn what_is_on_its_way_between_workers_is_given_back_when_the_daemon_stops() {
    let mut daemon = start(&repeat("in.pcap"), NULL, 2);
    wait_for("packets to be handed over", || daemon.stats().workers[0].handed_over > 10_000);
    let stopped = daemon.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    assert!(!stopped.log.contains("were not given back"), "{}", stopped.log);
}
