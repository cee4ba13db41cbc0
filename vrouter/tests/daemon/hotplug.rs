//! Ports come and go under load.

use std::time::Instant;

use agent_api::v1::{Key, key};

use crate::frames;
use crate::harness::{Daemon, wait_for};
use crate::objects::{NETWORK, NULL, repeat, workload};

/// The keys of what [`workload`] makes.
fn keys(number: u8) -> [Key; 3] {
    let route =
        agent_api::v1::RouteKey { vrf: 1, prefix: format!("10.0.0.{number}/32"), ..Default::default() };
    [key::Key::Route(route), key::Key::NextHop(number.into()), key::Key::Interface(number.into())]
        .map(|key| Key { key: Some(key) })
}

/// A pair forwards at full speed while a port of each kind is added and removed a hundred times.
#[test]
fn a_hundred_ports_come_and_go_without_a_lost_packet_next_door() {
    const ROUNDS: u8 = 100;
    const KINDS: [&str; 4] = [
        "{ring: {name: r}}",
        "{memif: {id: 1, server: true, socket: $DIR/memif}}",
        "{vhost_user: {socket: $DIR/vhost, server: true}}",
        "{pcap: {tx_file: $DIR/out.pcap}}",
    ];
    let sent: Vec<_> = (0..256).map(|i| frames::udp(1, 2, 1000 + i)).collect();
    let mut daemon = Daemon::start_with("", |directory| frames::write(&directory.join("in.pcap"), &sent));
    daemon.apply(&[NETWORK, &workload(1, &repeat("in.pcap")), &workload(2, NULL)].concat());
    wait_for("the pair to forward", || daemon.packets("vm2").1 > 0);

    let (start, before) = (Instant::now(), daemon.packets("vm2").1);
    for round in 0..ROUNDS {
        let kind = KINDS[usize::from(round) % KINDS.len()];
        let sent = daemon.packets("vm2").1;
        daemon.apply(&workload(3, kind));
        daemon.delete(keys(3));
        wait_for("the pair to go on", || daemon.packets("vm2").1 > sent);
    }
    let passed = daemon.packets("vm2").1 - before;
    let rate = passed as f64 / start.elapsed().as_secs_f64();
    assert!(rate >= 100_000.0, "the load was only {rate} packets per second");

    // No packet may be on its way while it is counted.
    daemon.delete(keys(1));
    let accounting = daemon.accounting();
    assert_eq!((accounting.dropped, accounting.sent), (0, accounting.received));
    let stopped = daemon.stop();
    assert_eq!(stopped.status.code(), Some(0));
    assert!(!stopped.log.contains("not given back"), "{}", stopped.log);
}
