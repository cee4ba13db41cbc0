//! The node that vRouter and workloads run on: its own IP stack behind a HOST interface, and its address, which workloads
//! share towards the outside.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::harness::{Daemon, is_root, wait_for};
use crate::namespace::Namespace;

/// The network of the pod 10.0.0.1, the fabric with its twin, and the ways between them.
const OBJECTS: &str = "
- vrf: {id: 0, name: fabric}
- vrf: {id: 1, name: pods}
- interface: {id: 9, name: fabric, role: FABRIC, addresses: ['10.1.0.66/24'], device: {af_packet: {interface: outer}}}
- interface: {id: 2, name: host, role: HOST, twin_of: 9, device: {tap: {name: host}}}
- security_group: {id: 1, name: closed, rules: [{id: 1, direction: EGRESS}]}
- interface: {id: 1, name: pod, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:01', addresses: ['10.0.0.1'], gateways: ['10.0.0.254'],
    policy: true, security_groups: [1], device: {af_packet: {interface: pod}}}
- next_hop: {id: 1, interface: {interface: 1}}
- next_hop: {id: 2, vrf: {vrf: 0}}
- next_hop: {id: 3, resolve: {interface: 9}}
- route: {vrf: 1, prefix: 10.0.0.1/32, next_hop: 1}
- route: {vrf: 1, prefix: 0.0.0.0/0, next_hop: 2}
";

/// A node with a pod on it, and a host outside.
struct Site {
    daemon: Daemon,
    node: Namespace,
    pod: Namespace,
    outside: Namespace,
}

fn site(test: &str, objects: &str) -> Site {
    let [node, pod, outside] = ["n", "p", "o"].map(|part| Namespace::new(&format!("{test}-{part}")));
    node.cable_as("outer", &outside);
    node.cable_as("pod", &pod);
    outside.run("ip", &["address", "add", "10.1.0.1/24", "dev", "inner"]);
    pod.run("ip", &["link", "set", "inner", "address", "02:00:00:00:00:01"]);
    pod.run("ip", &["address", "add", "10.0.0.1/24", "dev", "inner"]);
    pod.run("ip", &["route", "add", "default", "via", "10.0.0.254"]);
    // The kernel hears of the cable what the vRouter hears: it is not to answer for itself there, only on the twin.
    node.run("sysctl", &["-qw", "net.ipv4.conf.outer.rp_filter=1"]);
    let mut daemon = Daemon::start_wrapped(&["ip", "netns", "exec", &node.0], "");
    daemon.apply(&[OBJECTS, objects].concat());
    node.run("ip", &["address", "add", "10.1.0.66/24", "dev", "host"]);
    node.run("ip", &["link", "set", "host", "up"]);
    node.run("ip", &["route", "add", "10.0.0.0/24", "dev", "host"]);
    Site { daemon, node, pod, outside }
}

fn ping(from: &Namespace, to: &str) -> bool {
    from.succeeds("ping", &["-c", "3", "-i", "0.05", "-W", "2", to])
}

const ROUTE_BACK: &str = "- route: {vrf: 0, prefix: 10.0.0.1/32, next_hop: 1}\n";

#[test]
fn node_and_pod_reach_each_other_as_the_pods_policy_allows() {
    if !is_root("node_and_pod_reach_each_other_as_the_pods_policy_allows") {
        return;
    }
    let Site { mut daemon, node, pod, .. } = site("hostpod", ROUTE_BACK);
    wait_for("the pod to reach the node", || ping(&pod, "10.1.0.66"));
    assert!(!node.succeeds("ping", &["-c", "2", "-i", "0.05", "-W", "1", "10.0.0.1"]), "no rule lets it in");
    daemon.apply(
        "- security_group: {id: 1, name: open, rules: [{id: 1, direction: EGRESS}, {id: 2, direction: INGRESS, prefix: 10.1.0.66/32}]}",
    );
    assert!(ping(&node, "10.0.0.1"));
    assert!(ping(&pod, "10.1.0.66"));
}

/// A program in a namespace that is told what to do line by line and answers line by line.
struct Helper {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Helper {
    fn start(namespace: &Namespace, script: &str) -> Self {
        let mut process = Command::new("ip")
            .args(["netns", "exec", &namespace.0, "python3", "-u", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Tells every caller the address and port it is seen with, on TCP.
const SERVER: &str = "
import socket, sys, threading
server = socket.create_server(('', 7000), backlog=64)
def serve(conn, peer):
    conn.sendall(('%s %d\\n' % peer[:2]).encode())
    while conn.recv(100): pass
    conn.close()
def accept():
    while True: threading.Thread(target=serve, args=server.accept(), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
for line in sys.stdin: print('ready')
";

/// Opens connections from a port and closes them, as it is told.
const CLIENT: &str = "
import socket, sys
open_now = {}
for line in sys.stdin:
    command, port = line.split()
    port = int(port)
    if command == 'close':
        open_now.pop(port).close()
        print('closed')
        continue
    try:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.settimeout(1)
        s.bind(('', port))
        s.connect(('10.1.0.1', 7000))
        open_now[port] = s
        print(s.makefile().readline().strip())
    except OSError:
        s.close()
        print('refused')
";

const POOL: &str =
    "- source_nat: {id: 1, vrf: 0, vrfs: [1], addresses: [10.1.0.66], ports: {first: 40000, last: 40007}}\n";

#[test]
fn pods_share_the_nodes_address_and_a_port_comes_back_when_its_connection_has_ended() {
    if !is_root("pods_share_the_nodes_address_and_a_port_comes_back_when_its_connection_has_ended") {
        return;
    }
    let Site { mut daemon, node, pod, outside } = site("snat", POOL);
    wait_for("the pod to reach the outside", || ping(&pod, "10.1.0.1"));
    assert!(ping(&node, "10.1.0.1"), "the node keeps its address");
    assert!(!ping(&outside, "10.0.0.1"), "nobody outside knows the pod");
    let mut server = Helper::start(&outside, SERVER);
    assert_eq!(server.ask("are you there"), "ready");
    let mut client = Helper::start(&pod, CLIENT);
    assert_eq!(client.ask("open 40003"), "10.1.0.66 40003", "its own port, since that is free");
    let mut seen: Vec<String> = (0..7).map(|n| client.ask(&format!("open {}", 50_000 + n))).collect();
    seen.push("10.1.0.66 40003".to_owned());
    seen.sort();
    let all: Vec<String> = (40_000..=40_007).map(|port| format!("10.1.0.66 {port}")).collect();
    assert_eq!(seen, all);
    assert_eq!(client.ask("open 51000"), "refused");
    let dropped = |daemon: &mut Daemon| {
        let drops = daemon.stats().drops;
        drops.iter().filter(|drop| drop.reason == "snat_exhausted").map(|drop| drop.packets).sum::<u64>()
    };
    assert!(dropped(&mut daemon) > 0);
    assert_eq!(client.ask("close 40003"), "closed");
    let mut port = 52_000;
    wait_for("the port to come back", || {
        port += 1;
        client.ask(&format!("open {port}")) == "10.1.0.66 40003"
    });
    assert!(ping(&node, "10.1.0.1"));
}

#[test]
fn a_link_local_service_on_the_node_answers_pods() {
    if !is_root("a_link_local_service_on_the_node_answers_pods") {
        return;
    }
    let service = "
- source_nat: {id: 1, vrf: 0, vrfs: [1], addresses: [169.254.0.3]}
- link_local_service: {id: 1, name: metadata, address: 169.254.169.254, protocol: 6, port: 80, to_address: 10.1.0.66, to_port: 7000, vrfs: [1]}
";
    let Site { daemon: _daemon, node, pod, .. } = site("lls", service);
    node.run("ip", &["route", "add", "169.254.0.3/32", "dev", "host"]);
    let mut server = Helper::start(&node, SERVER);
    assert_eq!(server.ask("are you there"), "ready");
    let client = CLIENT.replace("('10.1.0.1', 7000)", "('169.254.169.254', 80)");
    let mut client = Helper::start(&pod, &client);
    assert_eq!(client.ask("open 40000"), "169.254.0.3 40000");
}
