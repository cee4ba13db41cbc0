//! Devices on kernel interfaces, in a network namespace of their own: the kernel is the workload.

use crate::harness::{Daemon, config, is_root, output, vrouterd, wait_for, wrap};
use crate::host::{CLIENT, SERVER, Speaker};
use crate::namespace::Namespace;
use crate::objects::{self, NETWORK};

/// A daemon in the namespace, with the workload 10.0.0.1 behind `device`.
fn daemon_in(namespace: &Namespace, device: &str) -> Daemon {
    with_workload(Daemon::start_wrapped(&["ip", "netns", "exec", &namespace.0], ""), device)
}

fn with_workload(mut daemon: Daemon, device: &str) -> Daemon {
    let interface = format!(
        "- interface: {{id: 1, name: vm1, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:01', addresses: ['10.0.0.1'],
    gateways: ['10.0.0.254'], device: {device}}}\n"
    );
    daemon.apply(&[NETWORK, &interface].concat());
    daemon
}

/// The node's fabric port 10.1.0.66 on the cable's outer end.
const FABRIC: &str = "- vrf: {id: 0, name: fabric}
- interface: {id: 9, name: fabric, role: FABRIC, addresses: ['10.1.0.66/24'],
    device: {af_packet: {interface: outer}}}
";

fn gateway_answers(namespace: &Namespace) {
    wait_for("the gateway to answer", || namespace.succeeds("ping", &["-c", "1", "-W", "1", "10.0.0.254"]));
    assert!(namespace.succeeds("ping", &["-c", "20", "-i", "0.01", "-W", "2", "10.0.0.254"]));
}

/// Whoever watches is told that workload 1's link goes and comes with the kernel's `interface`.
fn pulled(daemon: &mut Daemon, namespace: &Namespace, interface: &str) {
    wait_for("the link to be up", || daemon.is_up("vm1"));
    let mut events = daemon.watch_links();
    for state in ["down", "up"] {
        namespace.run("ip", &["link", "set", interface, state]);
        let change = daemon.told(&mut events);
        assert_eq!((change.name.as_str(), change.up), ("vm1", state == "up"));
        assert_eq!(change.reason.is_empty(), change.up, "{}", change.reason);
    }
}

#[test]
fn a_tap_is_a_kernel_interface_that_comes_and_goes() {
    if !is_root("a_tap_is_a_kernel_interface_that_comes_and_goes") {
        return;
    }
    let namespace = Namespace::new("tap");
    let mut daemon = daemon_in(&namespace, "{tap: {name: vm1}}");
    namespace.become_workload("vm1");
    gateway_answers(&namespace);
    pulled(&mut daemon, &namespace, "vm1");
    gateway_answers(&namespace);
    assert_eq!(daemon.stop().status.code(), Some(0));
    assert!(!namespace.succeeds("ip", &["link", "show", "vm1"]), "it went with the daemon");
}

/// One test per driver on a cable between two namespaces.
fn cabled(test: &str, device: &str) {
    if !is_root(test) {
        return;
    }
    let (node, workload) = (Namespace::new(&format!("{test}-n")), Namespace::new(&format!("{test}-w")));
    node.cable(&workload);
    workload.become_workload("inner");
    let mut daemon = daemon_in(&node, device);
    gateway_answers(&workload);

    // The cable is pulled and put back.
    pulled(&mut daemon, &workload, "inner");
    gateway_answers(&workload);
    assert_eq!(daemon.stop().status.code(), Some(0));
}

#[test]
fn af_packet_takes_over_a_kernel_interface() {
    cabled("afp", "{af_packet: {interface: outer}}");
}

/// A kernel leaves checksums to its end of the cable, which has none to leave them to; a packet socket at the other end
/// does not say so.
#[test]
fn af_packet_completes_the_checksums_that_a_kernel_leaves_to_the_cable() {
    if !is_root("af_packet_completes_the_checksums_that_a_kernel_leaves_to_the_cable") {
        return;
    }
    let (node, workload, other) =
        (Namespace::new("csum-n"), Namespace::new("csum-w"), Namespace::new("csum-o"));
    node.cable(&workload);
    workload.run("ethtool", &["-K", "inner", "tx", "on", "tso", "off", "gso", "off"]);
    workload.become_workload("inner");
    let mut daemon = daemon_in(&node, "{af_packet: {interface: outer}}");
    daemon.apply(&objects::workload(2, "{tap: {name: vm2}}"));
    daemon.apply("- next_hop: {id: 1, interface: {interface: 1}}\n- route: {vrf: 1, prefix: 10.0.0.1/32, next_hop: 1}\n");
    // Not in the node's stack, which would answer from its own end of the cable.
    node.run("ip", &["link", "set", "vm2", "netns", &other.0]);
    other.run("ip", &["link", "set", "vm2", "address", "02:00:00:00:00:02", "up"]);
    other.run("ip", &["address", "add", "10.0.0.2/24", "dev", "vm2"]);
    let _server = Speaker::start(&other, SERVER, "10.0.0.2", "80");
    let mut client = Speaker::start(&workload, CLIENT, "10.0.0.2", "80");
    client.is_told("checksums\n");
    assert_eq!(client.hears(), "checksums\n");
}

#[test]
fn af_xdp_takes_over_a_kernel_interface() {
    cabled("xdp", "{af_xdp: {interface: outer}}");
}

#[test]
fn libpcap_takes_over_a_kernel_interface() {
    cabled("cap", "{pcap: {rx_interface: outer, tx_interface: outer}}");
}

/// What a killed daemon leaves in the kernel, an XDP program for one, does not keep the next one from its device.
fn killed(test: &str, device: &str) {
    if !is_root(test) {
        return;
    }
    let (node, workload) = (Namespace::new(&format!("{test}-n")), Namespace::new(&format!("{test}-w")));
    node.cable(&workload);
    workload.become_workload("inner");
    let first = daemon_in(&node, device);
    gateway_answers(&workload);
    let directory = first.kill();
    let second = Daemon::start_in(directory, |command| wrap(command, &["ip", "netns", "exec", &node.0]));
    let mut second = with_workload(second, device);
    gateway_answers(&workload);
    assert!(second.is_up("vm1"));
    assert_eq!(second.stop().status.code(), Some(0));
}

#[test]
fn after_a_kill_af_packet_takes_over_the_interface_again() {
    killed("kafp", "{af_packet: {interface: outer}}");
}

#[test]
fn after_a_kill_af_xdp_takes_over_the_interface_again() {
    killed("kxdp", "{af_xdp: {interface: outer}}");
}

#[test]
fn after_a_kill_the_tap_of_the_same_name_is_made_again() {
    if !is_root("after_a_kill_the_tap_of_the_same_name_is_made_again") {
        return;
    }
    let namespace = Namespace::new("ktap");
    let first = daemon_in(&namespace, "{tap: {name: vm1}}");
    namespace.become_workload("vm1");
    gateway_answers(&namespace);
    let directory = first.kill();
    let second = Daemon::start_in(directory, |command| wrap(command, &["ip", "netns", "exec", &namespace.0]));
    let second = with_workload(second, "{tap: {name: vm1}}");
    namespace.become_workload("vm1");
    gateway_answers(&namespace);
    assert_eq!(second.stop().status.code(), Some(0));
    assert!(!namespace.succeeds("ip", &["link", "show", "vm1"]), "it went with the daemon");
}

#[test]
fn a_start_that_fails_takes_back_the_tap_that_it_had_made() {
    if !is_root("a_start_that_fails_takes_back_the_tap_that_it_had_made") {
        return;
    }
    let namespace = Namespace::new("ftap");
    let directory = tempfile::tempdir().unwrap();
    let objects = "[[objects.inline]]\nvrf = { id = 1, name = 'red' }
[[objects.inline]]
interface = { id = 1, name = 'a', role = 'VIRTUAL', vrf = 1, mac = '02:00:00:00:00:01', device = { tap = { name = 'vm1' } } }
[[objects.inline]]
interface = { id = 2, name = 'b', role = 'VIRTUAL', vrf = 1, mac = '02:00:00:00:00:02', device = { af_packet = { interface = 'missing' } } }
";
    std::fs::write(directory.path().join("vrouter.toml"), config(directory.path()) + objects).unwrap();
    let mut command = vrouterd(directory.path());
    wrap(&mut command, &["ip", "netns", "exec", &namespace.0]);
    let output = output(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("interface 2") && said.contains("missing"), "{said}");
    assert!(!namespace.succeeds("ip", &["link", "show", "vm1"]), "the tap is left: {said}");
}

/// A kernel that plays the other node: its VXLAN device is the router behind MAC ...:b2.
#[test]
fn a_kernels_vxlan_device_and_ours_understand_each_other() {
    if !is_root("a_kernels_vxlan_device_and_ours_understand_each_other") {
        return;
    }
    let (node, peer) = (Namespace::new("vx-n"), Namespace::new("vx-p"));
    node.cable(&peer);
    peer.run("ip", &["address", "add", "10.1.0.194/24", "dev", "inner"]);
    let ends = ["local", "10.1.0.194", "remote", "10.1.0.66", "dstport", "4789", "dev", "inner"];
    peer.run("ip", &[&["link", "add", "vx", "type", "vxlan", "id", "2002"][..], &ends].concat());
    peer.run("ip", &["link", "set", "vx", "address", "02:00:00:00:00:b2", "up"]);
    peer.run("ip", &["address", "add", "10.0.0.2/32", "dev", "vx"]);
    peer.run("ip", &["route", "add", "10.0.0.1/32", "dev", "vx"]);
    peer.run("ip", &["neighbour", "add", "10.0.0.1", "lladdr", "00:00:5e:00:01:00", "dev", "vx"]);

    let mut daemon = daemon_in(&node, "{tap: {name: vm1}}");
    let objects = "- next_hop: {id: 1, interface: {interface: 1}}
- route: {vrf: 1, prefix: '10.0.0.1/32', next_hop: 1}
- next_hop: {id: 2, tunnel: {encapsulation: VXLAN, destination: '10.1.0.194', label: 2002,
    router_mac: '02:00:00:00:00:b2'}}
- route: {vrf: 1, prefix: '10.0.0.2/32', next_hop: 2}
- vni: {vni: 2002, vrf: 1}
";
    daemon.apply(&[FABRIC, objects].concat());
    node.become_workload("vm1");
    wait_for("the first answer", || node.succeeds("ping", &["-c", "1", "-W", "1", "10.0.0.2"]));
    for (namespace, address) in [(&node, "10.0.0.2"), (&peer, "10.0.0.1")] {
        assert!(namespace.succeeds("ping", &["-c", "20", "-i", "0.01", "-W", "2", "-s", "1400", address]));
    }
    let (received, sent) = daemon.packets("fabric");
    assert!(received >= 41 && sent >= 41, "all of it went through the tunnel");
}

/// The node's own IP stack behind the fabric port (SEMANTICS 22), before any controller has spoken.
#[test]
fn the_nodes_own_traffic_passes_through_the_twin() {
    if !is_root("the_nodes_own_traffic_passes_through_the_twin") {
        return;
    }
    let (node, peer) = (Namespace::new("twin-n"), Namespace::new("twin-p"));
    node.cable(&peer);
    peer.run("ip", &["address", "add", "10.1.0.1/24", "dev", "inner"]);
    let objects = format!(
        "{FABRIC}- interface: {{id: 2, name: host, role: HOST, twin_of: 9, device: {{tap: {{name: host}}}}}}\n"
    );
    let mut daemon = Daemon::start_wrapped(&["ip", "netns", "exec", &node.0], &objects);
    node.run("ip", &["address", "add", "10.1.0.66/24", "dev", "host"]);
    node.run("ip", &["link", "set", "host", "up"]);
    for (namespace, address) in [(&node, "10.1.0.1"), (&peer, "10.1.0.66")] {
        wait_for("the first answer", || namespace.succeeds("ping", &["-c", "1", "-W", "1", address]));
        assert!(namespace.succeeds("ping", &["-c", "20", "-i", "0.01", "-W", "2", address]));
    }
    assert!(daemon.accounting().sent > 80);
}
