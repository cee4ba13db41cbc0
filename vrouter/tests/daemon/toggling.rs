//! When the answer to a batch is read, no packet meets the old policy any more (SEMANTICS 18).

use agent_api::v1::PacketOutMessage;

use crate::frames;
use crate::harness::{Daemon, wait_for};
use crate::objects::{NETWORK, NULL, workload_with};

const ROUNDS: u32 = 1000;

fn group(open: bool) -> String {
    let rules = if open { "[{id: 1, direction: INGRESS, protocol: 17}]" } else { "[]" };
    format!("- security_group: {{id: 7, name: g, rules: {rules}}}\n")
}

/// Opens and closes workload 2 for UDP, and each time sends one packet of the same flow to it the moment the
/// answer is there. The packet goes out of interface 1, a ring without another end, and so is received there.
fn toggle(poll: &str) {
    let mut daemon = Daemon::start_with(&format!("[workers]\npoll = '{poll}'\n"), |_| {});
    let egress = "- security_group: {id: 8, name: anywhere, rules: [{id: 1, direction: EGRESS}]}\n";
    let workloads = [
        workload_with(1, "{ring: {name: loop}}", "policy: true, security_groups: [8],"),
        workload_with(2, NULL, "policy: true, security_groups: [7],"),
    ];
    daemon.apply(&[NETWORK, &group(false), egress, &workloads.concat()].concat());
    let packet = frames::udp(1, 2, 1000);
    let mut expected = (0, 0);
    for round in 0..ROUNDS {
        let open = round % 2 == 0;
        daemon.apply(&group(open));
        let message = PacketOutMessage { interface: 1, packet: packet.clone(), ingress: false };
        let sent = daemon.runtime.block_on(daemon.client.packet_out(tokio_stream::iter([message])));
        assert_eq!(sent.unwrap().into_inner().accepted, 1);
        if open {
            expected.0 += 1
        } else {
            expected.1 += 1
        }
        let mut seen = (0, 0);
        wait_for("the packet to end", || {
            let stats = daemon.stats();
            let dropped = stats.drops.iter().find(|drop| drop.reason == "security_group");
            let delivered = stats.interfaces.iter().find(|interface| interface.name == "vm2");
            seen = (delivered.map_or(0, |i| i.tx_packets), dropped.map_or(0, |drop| drop.packets));
            seen.0 + seen.1 == u64::from(round + 1)
        });
        assert_eq!(seen, expected, "round {round}: the rule is {}", if open { "there" } else { "gone" });
    }
    let accounting = daemon.accounting();
    assert_eq!((accounting.originated, accounting.received), (ROUNDS.into(), ROUNDS.into()));
}

#[test]
fn a_toggled_rule_is_never_late_with_a_busy_worker() {
    toggle("busy");
}

#[test]
fn a_toggled_rule_is_never_late_with_a_sleeping_worker() {
    toggle("adaptive");
}
