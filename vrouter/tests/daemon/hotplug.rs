//! Ports come and go under load.

use agent_api::v1::{Key, key};

use crate::harness::{Daemon, wait_for};
use crate::objects::{NETWORK, workload};
use crate::traffic::{Report, Traffic};

/// Packets per second that the pair next door is offered, and what it carries where the machine has time for it.
const OFFERED: u64 = 120_000;
const EXPECTED: f64 = 100_000.0;

/// The keys of what [`workload`] makes.
fn keys(number: u8) -> [Key; 3] {
    let route =
        agent_api::v1::RouteKey { vrf: 1, prefix: format!("10.0.0.{number}/32"), ..Default::default() };
    [key::Key::Route(route), key::Key::NextHop(number.into()), key::Key::Interface(number.into())]
        .map(|key| Key { key: Some(key) })
}

/// A pair forwards what another process offers it while a port is added and removed a hundred times, each kind in
/// turn; some packets pass with the port there, and some without it.
fn come_and_go() -> Report {
    const ROUNDS: u8 = 100;
    const STEP: u64 = 600;
    const KINDS: [&str; 4] = [
        "{ring: {name: r}}",
        "{memif: {id: 1, server: true, socket: $DIR/memif}}",
        "{vhost_user: {socket: $DIR/vhost, server: true}}",
        "{pcap: {tx_file: $DIR/out.pcap}}",
    ];
    let mut daemon = Daemon::start();
    daemon.apply(NETWORK);
    let traffic = Traffic::start(&mut daemon, OFFERED);
    let go_on = || {
        let received = traffic.received();
        wait_for("the pair to go on", || traffic.received() >= received + STEP);
    };
    go_on();
    for round in 0..ROUNDS {
        daemon.apply(&workload(3, KINDS[usize::from(round) % KINDS.len()]));
        go_on();
        daemon.delete(keys(3));
        go_on();
    }
    let report = traffic.stop();
    println!("{ROUNDS} ports came and went: {report}");
    assert_eq!(report.lost, 0, "{report}");

    let accounting = daemon.accounting();
    assert_eq!((accounting.received, accounting.sent, accounting.dropped), (report.sent, report.sent, 0));
    // All packet buffers are where they came from: the daemon counts them when its ports are gone.
    let stopped = daemon.stop();
    assert_eq!(stopped.status.code(), Some(0));
    assert!(!stopped.log.contains("not given back"), "{}", stopped.log);
    report
}

#[test]
fn a_hundred_ports_come_and_go_without_a_lost_packet_next_door() {
    // Nothing may ever be lost. It says more the more was offered, for which other tests may leave no time: so again
    // then, but a rate is never asserted.
    let mut reports = (0..5).map(|_| come_and_go());
    if !reports.any(|report| report.rate() >= EXPECTED) {
        println!("this machine was never idle enough for {EXPECTED} packets per second");
    }
}
