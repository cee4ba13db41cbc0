//! Devices that need nothing but the process: ring and null, and what is said about devices that cannot be.

use agent_api::v1::{Key, Kind, ListRequest, key};

use crate::frames;
use crate::harness::{Daemon, wait_for};
use crate::objects::{NETWORK, NULL, record, replay, workload, workload_with};

#[test]
fn two_ends_of_a_ring_are_wired_to_each_other() {
    let sent: Vec<_> = (0..100).map(|i| frames::udp(1, 9, 1000 + i)).collect();
    let mut daemon = Daemon::start_with("", |directory| frames::write(&directory.join("in.pcap"), &sent));
    // 1 -> ring -> 5, which lets anything of the network pass, in another VRF -> 6.
    let near = "- interface: {id: 4, name: near, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:04',
    addresses: ['10.0.0.9'], device: {ring: {name: wire}}}
- next_hop: {id: 4, interface: {interface: 4}}
- route: {vrf: 1, prefix: '10.0.0.9/32', next_hop: 4}
";
    let far = "- vrf: {id: 2, name: blue}
- interface: {id: 5, name: far, role: VIRTUAL, vrf: 2, mac: '00:00:5e:00:01:00', gateway_mac: '02:00:00:00:00:04',
    allowed_address_pairs: [{prefix: '10.0.0.0/24'}], addresses: ['10.0.0.200'], device: {ring: {name: wire}}}
- interface: {id: 6, name: last, role: VIRTUAL, vrf: 2, mac: '02:00:00:00:00:06', addresses: ['10.0.0.9'],
    device: {pcap: {tx_file: $DIR/out.pcap}}}
- next_hop: {id: 6, interface: {interface: 6}}
- route: {vrf: 2, prefix: '10.0.0.9/32', next_hop: 6}
";
    daemon.apply(&[NETWORK, near, far, &workload(1, &replay("in.pcap"))].concat());
    wait_for("all frames", || daemon.packets("last").1 == 100);
    assert_eq!(daemon.packets("far"), (100, 0));
    let accounting = daemon.accounting();
    assert_eq!((accounting.received, accounting.sent, accounting.dropped), (200, 200, 0));
    let out = daemon.path("out.pcap");
    let _stopped = daemon.stop();
    assert!(frames::read(&out).iter().all(|frame| frame[22] == 62), "two vRouters' worth of hops");
}

#[test]
fn a_batch_whose_device_does_not_come_is_refused_as_a_whole() {
    let mut daemon = Daemon::start();
    daemon.apply(NETWORK);
    let batch = [workload(1, NULL), workload(2, "{pcap: {rx_file: $DIR/missing.pcap}}")].concat();
    let refused = daemon.try_apply(&batch);
    assert_eq!(refused.code, 9, "FAILED_PRECONDITION: {}", refused.message);
    assert_eq!(refused.object.and_then(|key| key.key), Some(key::Key::Interface(2)));
    assert!(
        refused.field.starts_with("device") && refused.message.contains("missing.pcap"),
        "{}",
        refused.message
    );
    assert!(daemon.stats().interfaces.is_empty(), "the first one is gone again");
    daemon.apply(&workload(1, NULL));
}

#[test]
fn files_outside_the_allowed_directories_are_refused() {
    let mut daemon = Daemon::start();
    daemon.apply(NETWORK);
    for device in [
        "{pcap: {tx_file: /etc/vrouter-test.pcap}}",
        "{vhost_user: {socket: /tmp/vrouter-test, server: true}}",
    ] {
        let refused = daemon.try_apply(&workload(1, device));
        assert_ne!(refused.code, 0, "{device}");
        assert!(refused.field.starts_with("device"), "{}", refused.field);
    }
    assert!(!std::path::Path::new("/etc/vrouter-test.pcap").exists());
}

#[test]
fn a_device_shows_its_driver_its_queue_and_its_link() {
    let mut daemon = Daemon::start();
    daemon.apply(
        &[NETWORK, &workload(1, NULL), &workload(2, "{memif: {id: 3, server: true, socket: $DIR/m}}")]
            .concat(),
    );
    let request = ListRequest { kind: Kind::Interface.into(), ..ListRequest::default() };
    let entries = daemon.runtime.block_on(async {
        daemon.client.list(request).await.unwrap().into_inner().message().await.unwrap().unwrap().entries
    });
    let states: Vec<_> = entries.into_iter().filter_map(|entry| entry.interface).collect();
    assert!(states[0].driver.contains("null") && states[1].driver.contains("memif"), "{states:?}");
    assert_eq!((states[0].up, states[1].up), (true, false));
    assert_eq!(states[1].reason, "no peer is connected");
    assert_eq!((states[0].queues.len(), states[0].queues[0].worker), (1, 0));
}

#[test]
fn an_mtu_that_packet_memory_cannot_hold_is_refused_with_the_setting_that_decides() {
    let mut daemon = Daemon::start();
    daemon.apply(NETWORK);
    let refused = daemon.try_apply(&workload_with(1, NULL, "mtu: 9000,"));
    assert!(refused.message.contains("memory.frame"), "{}", refused.message);
    daemon.apply(&workload_with(1, NULL, "mtu: 1600,"));
}

#[test]
fn a_capture_file_is_whole_when_its_interface_is_deleted() {
    let sent: Vec<_> = (0..50).map(|i| frames::udp(1, 2, 1000 + i)).collect();
    let mut daemon = Daemon::start_with("", |directory| frames::write(&directory.join("in.pcap"), &sent));
    daemon.apply(&[NETWORK, &workload(1, &replay("in.pcap")), &workload(2, &record("out.pcap"))].concat());
    wait_for("all frames", || daemon.packets("vm2").1 == 50);
    let keys = [
        key::Key::Route(agent_api::v1::RouteKey {
            vrf: 1,
            prefix: "10.0.0.2/32".into(),
            ..Default::default()
        }),
        key::Key::NextHop(2),
        key::Key::Interface(2),
    ];
    daemon.delete(keys.map(|key| Key { key: Some(key) }));
    assert_eq!(frames::read(&daemon.path("out.pcap")).len(), 50);
}
