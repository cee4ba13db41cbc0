//! Devices whose other end is another process: memif, vhost-user and virtio-user between two daemons.

use agent_api::v1::{WatchEvent, WatchRequest, watch_event::Event};

use crate::frames;
use crate::harness::{Daemon, wait_for};
use crate::objects::{NETWORK, replay, workload};

const FRAMES: u16 = 200;

/// Sends frames of workload 1 from one daemon through `near` to another one's `far`, which delivers them.
fn cross(near: &str, far: &str) {
    let sent: Vec<_> = (0..FRAMES).map(|i| frames::udp(1, 9, 1000 + i)).collect();
    let mut sender = Daemon::start_with("", |directory| frames::write(&directory.join("in.pcap"), &sent));
    let mut receiver = Daemon::start_sharing(&sender);
    let socket = sender.path("peer").display().to_string();
    let near = near.replace("$SOCKET", &socket);
    let far = far.replace("$SOCKET", &socket);
    let near = format!(
        "- interface: {{id: 9, name: near, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:09', addresses: ['10.0.0.9'],
    device: {near}}}
- next_hop: {{id: 9, interface: {{interface: 9}}}}
- route: {{vrf: 1, prefix: '10.0.0.9/32', next_hop: 9}}
"
    );
    let far = format!(
        "{NETWORK}- interface: {{id: 5, name: far, role: VIRTUAL, vrf: 1, mac: '00:00:5e:00:01:00',
    gateway_mac: '02:00:00:00:00:09', addresses: ['10.0.0.200'], allowed_address_pairs: [{{prefix: '10.0.0.0/24'}}],
    device: {far}}}
- interface: {{id: 6, name: last, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:06', addresses: ['10.0.0.9'],
    device: {{'null': {{}}}}}}
- next_hop: {{id: 6, interface: {{interface: 6}}}}
- route: {{vrf: 1, prefix: '10.0.0.9/32', next_hop: 6}}
"
    );
    sender.apply(&[NETWORK, &near].concat());
    // A virtio-user server becomes a device when its peer has connected: its controller asks again.
    wait_for("the device", || receiver.try_apply(&far).code == 0);
    wait_for("the peers to meet", || sender.is_up("near") && receiver.is_up("far"));
    sender.apply(&workload(1, &replay("in.pcap")));
    wait_for("all frames", || receiver.packets("last").1 == u64::from(FRAMES));
    let (sent, received) = (sender.accounting(), receiver.accounting());
    assert_eq!((sent.sent, sent.dropped), (FRAMES.into(), 0));
    assert_eq!((received.received, received.dropped), (FRAMES.into(), 0));

    // The peer goes: whoever watches is told.
    let watching = WatchRequest { interfaces: true, ..WatchRequest::default() };
    let mut events = sender.runtime.block_on(sender.client.watch(watching)).unwrap().into_inner();
    drop(receiver);
    let event = sender.runtime.block_on(events.message()).unwrap();
    let Some(WatchEvent { event: Some(Event::Interface(change)), .. }) = event else { panic!("{event:?}") };
    assert_eq!((change.name.as_str(), change.up), ("near", false));
    assert!(!change.reason.is_empty());
    assert_eq!(sender.stop().status.code(), Some(0));
}

#[test]
fn memif_joins_two_daemons() {
    cross("{memif: {id: 1, server: true, socket: $SOCKET}}", "{memif: {id: 1, socket: $SOCKET}}");
}

#[test]
fn vhost_user_serves_a_virtio_user_device() {
    cross("{vhost_user: {socket: $SOCKET, server: true}}", "{virtio_user: {socket: $SOCKET}}");
}

#[test]
fn vhost_user_connects_to_a_virtio_user_device_that_listens() {
    cross("{vhost_user: {socket: $SOCKET}}", "{virtio_user: {socket: $SOCKET, server: true}}");
}

/// As a guest that is restarted: the port stays, the peer comes back.
#[test]
fn a_peer_that_comes_back_is_served_again() {
    let mut server = Daemon::start();
    server.apply(&[NETWORK, &workload(2, "{memif: {id: 1, server: true, socket: $DIR/peer}}")].concat());
    let socket = server.path("peer").display().to_string();
    for _ in 0..3 {
        let mut peer = Daemon::start_sharing(&server);
        peer.apply(&[NETWORK, &workload(3, &format!("{{memif: {{id: 1, socket: {socket}}}}}"))].concat());
        wait_for("the peers to meet", || server.is_up("vm2"));
        drop(peer.kill());
        wait_for("the link to go down", || !server.is_up("vm2"));
    }
}
