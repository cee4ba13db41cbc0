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
    let mut daemon = Daemon::start_wrapped(&["ip", "netns", "exec", &name]);
    let interface = format!(
        "- interface: {{id: 1, name: vm1, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:01', addresses: ['10.0.0.1'],
    gateways: ['10.0.0.254'], device: {device}}}\n"
    );
    daemon.apply(&[NETWORK, &interface].concat());
    daemon
}

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
