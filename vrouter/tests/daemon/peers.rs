//! Devices whose other end is another process: memif, vhost-user and virtio-user between two daemons.

use std::time::Instant;

use crate::frames;
use crate::harness::{Daemon, wait_for};
use crate::objects::{NETWORK, replay, workload};

const FRAMES: u16 = 200;

// The two ends of each kind of connection.
const MEMIF_SERVER: &str = "{memif: {id: 1, server: true, socket: $SOCKET}}";
const MEMIF_CLIENT: &str = "{memif: {id: 1, socket: $SOCKET}}";
const VHOST_SERVER: &str = "{vhost_user: {socket: $SOCKET, server: true}}";
const VHOST_CLIENT: &str = "{vhost_user: {socket: $SOCKET}}";
const VIRTIO_SERVER: &str = "{virtio_user: {socket: $SOCKET, server: true}}";
const VIRTIO_CLIENT: &str = "{virtio_user: {socket: $SOCKET}}";

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
    assert_eq!(sender.stop().status.code(), Some(0));
}

#[test]
fn memif_joins_two_daemons() {
    cross(MEMIF_SERVER, MEMIF_CLIENT);
}

#[test]
fn vhost_user_serves_a_virtio_user_device() {
    cross(VHOST_SERVER, VIRTIO_CLIENT);
}

#[test]
fn vhost_user_connects_to_a_virtio_user_device_that_listens() {
    cross(VHOST_CLIENT, VIRTIO_SERVER);
}

/// Whoever watches `watched` is told that the process at its other end was killed. `first` names the end that
/// listens, and so has to be there first.
fn told_when_the_peer_goes(watched: &str, other: &str, first: End) {
    let mut watching = Daemon::start();
    let mut peer = Daemon::start_sharing(&watching);
    let socket = watching.path("peer").display().to_string();
    let object = |number, device: &str| workload(number, &device.replace("$SOCKET", &socket));
    let (watched, other) = (object(1, watched), object(2, other));
    watching.apply(NETWORK);
    peer.apply(NETWORK);
    // A virtio-user server becomes a device when its peer has connected: its controller asks again.
    let (mut mine, mut theirs) = (false, false);
    wait_for("both ends to be attached", || {
        if first == End::Watched || theirs {
            mine = mine || watching.try_apply(&watched).code == 0;
        }
        if first == End::Other || mine {
            theirs = theirs || peer.try_apply(&other).code == 0;
        }
        mine && theirs
    });
    wait_for("the peers to meet", || watching.is_up("vm1") && peer.is_up("vm2"));
    let mut events = watching.watch_links();
    drop(peer.kill());
    let gone = Instant::now();
    let change = watching.told(&mut events);
    println!("told {:?} after its peer was gone", gone.elapsed());
    assert_eq!((change.interface, change.name.as_str(), change.up), (1, "vm1", false));
    assert!(!change.reason.is_empty());
    assert_eq!(watching.stop().status.code(), Some(0));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Watched,
    Other,
}

#[test]
fn a_memif_server_tells_that_its_client_went() {
    told_when_the_peer_goes(MEMIF_SERVER, MEMIF_CLIENT, End::Watched);
}

#[test]
fn a_memif_client_tells_that_its_server_went() {
    told_when_the_peer_goes(MEMIF_CLIENT, MEMIF_SERVER, End::Other);
}

#[test]
fn a_vhost_user_server_tells_that_its_guest_went() {
    told_when_the_peer_goes(VHOST_SERVER, VIRTIO_CLIENT, End::Watched);
}

#[test]
fn a_vhost_user_client_tells_that_its_guest_went() {
    told_when_the_peer_goes(VHOST_CLIENT, VIRTIO_SERVER, End::Watched);
}

#[test]
fn a_virtio_user_client_tells_that_its_switch_went() {
    told_when_the_peer_goes(VIRTIO_CLIENT, VHOST_SERVER, End::Other);
}

#[test]
fn a_virtio_user_server_tells_that_its_switch_went() {
    told_when_the_peer_goes(VIRTIO_SERVER, VHOST_CLIENT, End::Other);
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
