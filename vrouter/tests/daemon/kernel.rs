//! Devices on kernel interfaces, in a network namespace of their own: the kernel is the workload.

use std::process::Command;

use crate::harness::{Daemon, is_root, wait_for};
use crate::objects::NETWORK;

/// A network namespace, deleted when dropped.
struct Namespace(String);

impl Namespace {
    fn new(test: &str) -> Self {
        let name = format!("vr-test-{}-{test}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let namespace = Self(name);
        namespace.run("ip", &["link", "set", "lo", "up"]);
        namespace
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        run("ip", &[&["netns", "exec", &self.0, program], arguments].concat());
    }

    fn succeeds(&self, program: &str, arguments: &[&str]) -> bool {
        let output = Command::new("ip").args(["netns", "exec", &self.0, program]).args(arguments).output();
        output.unwrap().status.success()
    }

    /// Two kernel interfaces on one cable: `outer` for the vRouter, `inner` in this namespace's other stack.
    fn cable(&self, other: &Self) {
        run(
            "ip",
            &[
                "link", "add", "outer", "netns", &self.0, "type", "veth", "peer", "name", "inner", "netns",
                &other.0,
            ],
        );
        for (namespace, name) in [(self, "outer"), (other, "inner")] {
            // The kernel finishes checksums: the device does not see that they are not.
            namespace.run("ethtool", &["-K", name, "tx", "off"]);
            namespace.run("ip", &["link", "set", name, "up"]);
        }
    }

    /// Makes the kernel's end the workload 10.0.0.1.
    fn become_workload(&self, interface: &str) {
        self.run("ip", &["link", "set", interface, "address", "02:00:00:00:00:01"]);
        self.run("ip", &["link", "set", interface, "up"]);
        self.run("ip", &["address", "add", "10.0.0.1/24", "dev", interface]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A daemon in the namespace, with the workload 10.0.0.1 behind `device`.
fn daemon_in(namespace: &Namespace, device: &str) -> Daemon {
    let name = namespace.0.clone();
    let mut daemon = Daemon::start_wrapped(&["ip", "netns", "exec", &name], "");
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

#[test]
fn a_tap_is_a_kernel_interface_that_comes_and_goes() {
    if !is_root("a_tap_is_a_kernel_interface_that_comes_and_goes") {
        return;
    }
    let namespace = Namespace::new("tap");
    let daemon = daemon_in(&namespace, "{tap: {name: vm1}}");
    namespace.become_workload("vm1");
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
    workload.run("ip", &["link", "set", "inner", "down"]);
    wait_for("the link to go down", || !daemon.is_up("vm1"));
    workload.run("ip", &["link", "set", "inner", "up"]);
    wait_for("the link to come back", || daemon.is_up("vm1"));
    gateway_answers(&workload);
    assert_eq!(daemon.stop().status.code(), Some(0));
}

#[test]
fn af_packet_takes_over_a_kernel_interface() {
    cabled("afp", "{af_packet: {interface: outer}}");
}

#[test]
fn af_xdp_takes_over_a_kernel_interface() {
    cabled("xdp", "{af_xdp: {interface: outer}}");
}

#[test]
fn libpcap_takes_over_a_kernel_interface() {
    cabled("cap", "{pcap: {rx_interface: outer, tx_interface: outer}}");
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
