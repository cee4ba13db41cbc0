//! The node's own IP stack behind the fabric port (SEMANTICS 22): what it has to say and hear passes, whatever
//! happens to controllers, tenants and the daemon itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::frames::{self, write};
use crate::harness::{Daemon, is_root, wait_for, wrap};
use crate::namespace::Namespace;
use crate::objects::{NULL, repeat, workload, workload_with};

/// The node's fabric port 10.1.0.66 on the cable's outer end, and its twin, which outlives the daemon.
const NODE: &str = "- vrf: {id: 0, name: fabric}
- interface: {id: 9, name: fabric, role: FABRIC, mac: '02:00:0a:01:00:42', addresses: ['10.1.0.66/24', '2001:db8:a::42/64'],
    device: {af_packet: {interface: outer}}}
- interface: {id: 10, name: host, role: HOST, twin_of: 9, device: {tap: {name: host, persist: true}}}
";

pub(crate) const SERVER: &str = "
import socket, sys, threading
def serve(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
server = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)
print('ready', flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
";

pub(crate) const CLIENT: &str = "
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60)
print('ready', flush=True)
answers = connection.makefile()
for line in sys.stdin:
    connection.sendall(line.encode())
    print(answers.readline(), end='', flush=True)
";

/// A process that is spoken to line by line.
pub(crate) struct Speaker {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Speaker {
    pub(crate) fn start(namespace: &Namespace, program: &str, address: &str, port: &str) -> Self {
        let mut command = namespace.command("python3", &["-c", program, address, port]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut speaker = Self { process, input, output: BufReader::new(output) };
        assert_eq!(speaker.hears(), "ready\n", "{address} port {port}");
        speaker
    }

    /// Tells it a line.
    pub(crate) fn is_told(&mut self, line: &str) {
        self.input.write_all(line.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// The next line that it says.
    pub(crate) fn hears(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Connections between the node and its peer, opened from either side, that must go on.
struct Conversations {
    clients: Vec<Speaker>,
    _servers: Vec<Speaker>,
}

impl Conversations {
    /// The node serves something like ssh, its peer something like BGP, over both families.
    fn open(node: &Namespace, peer: &Namespace) -> Self {
        let sides = [
            (peer, node, "10.1.0.66", "22"),
            (node, peer, "10.1.0.1", "179"),
            (peer, node, "2001:db8:a::42", "22"),
            (node, peer, "2001:db8:a::1", "179"),
        ];
        let servers = sides.map(|(_, server, address, port)| Speaker::start(server, SERVER, address, port));
        let clients = sides.map(|(client, _, address, port)| Speaker::start(client, CLIENT, address, port));
        let mut conversations = Self { clients: clients.into(), _servers: servers.into() };
        conversations.go_on("hello");
        conversations
    }

    fn go_on(&mut self, text: &str) {
        let line = format!("{text}\n");
        for client in &mut self.clients {
            client.is_told(&line);
        }
        for client in &mut self.clients {
            assert_eq!(client.hears(), line);
        }
    }
}

/// A node and its peer on a cable; the node's addresses are on its twin.
struct Scene {
    node: Namespace,
    peer: Namespace,
    daemon: Daemon,
}

impl Scene {
    /// A node whose daemon has these objects in its configuration, and no address yet.
    fn bare(test: &str, objects: &str) -> Self {
        let (node, peer) = (Namespace::new(&format!("{test}-n")), Namespace::new(&format!("{test}-p")));
        node.cable(&peer);
        let daemon = Daemon::start_wrapped(&["ip", "netns", "exec", &node.0], objects);
        Self { node, peer, daemon }
    }

    /// A node that is reached through its twin.
    fn new(test: &str) -> Self {
        let scene = Self::bare(test, NODE);
        scene.address();
        scene.reachable();
        scene
    }

    /// Gives the twin and the peer their addresses.
    fn address(&self) {
        self.deafen();
        let (node, peer) = (&self.node, &self.peer);
        for (namespace, interface, addresses) in [
            (node, "host", ["10.1.0.66/24", "2001:db8:a::42/64"]),
            (peer, "inner", ["10.1.0.1/24", "2001:db8:a::1/64"]),
        ] {
            for address in addresses {
                let nodad = if address.contains(':') { &["nodad"][..] } else { &[] };
                namespace.run("ip", &[&["address", "add", address, "dev", interface], nodad].concat());
            }
            namespace.run("ip", &["link", "set", interface, "up"]);
        }
    }

    /// A packet socket takes nothing away: without this the node's stack would hear its peer by the cable as well, and
    /// not need the twin. With another MAC than the vRouter's it takes nothing that comes by the cable for its own.
    fn deafen(&self) {
        self.node.run("sysctl", &["-qw", "net.ipv4.conf.outer.arp_ignore=1"]);
        self.node.run("ip", &["link", "set", "outer", "address", "02:00:00:00:00:99"]);
    }

    fn reachable(&self) {
        for (namespace, address) in [
            (&self.node, "10.1.0.1"),
            (&self.peer, "10.1.0.66"),
            (&self.node, "2001:db8:a::1"),
            (&self.peer, "2001:db8:a::42"),
        ] {
            wait_for(address, || namespace.succeeds("ping", &["-c", "1", "-W", "1", address]));
        }
    }
}

/// Rules that let nothing through, for every tenant and for the fabric's own network.
const DENIAL: &str = "- network_policy: {id: 1, name: nothing, rules: [{id: 1, action: DENY}]}
- security_group: {id: 7, name: nothing}
- vrf: {id: 0, name: fabric, network_policies: [1]}
- vrf: {id: 1, name: red, network_policies: [1]}
";

#[test]
fn nothing_that_tenants_do_or_are_denied_keeps_the_node_from_being_reached() {
    if !is_root("nothing_that_tenants_do_or_are_denied_keeps_the_node_from_being_reached") {
        return;
    }
    let mut scene = Scene::new("tenants");
    // No controller has spoken.
    let mut conversations = Conversations::open(&scene.node, &scene.peer);

    // The objects of the configuration cannot be changed: VRF 0 keeps its own, tenants deny everything.
    let denial: String =
        DENIAL.lines().filter(|line| !line.contains("id: 0")).map(|line| format!("{line}\n")).collect();
    let fields = "policy: true, security_groups: [7],";
    scene.daemon.apply(&[denial.as_str(), &workload_with(1, NULL, fields)].concat());
    conversations.go_on("denied");

    // A workload opens more conversations than there is room for, and asks more than anybody answers.
    let flood: Vec<Vec<u8>> = (0..6_000).map(|port| frames::udp(3, 4, 1_024 + port)).collect();
    write(&scene.daemon.path("flood.pcap"), &flood);
    let open = "- vrf: {id: 2, name: blue}\n".to_owned()
        + &workload(3, &repeat("flood.pcap"))
            .replace("vrf: 1", "vrf: 2")
            .replace("gateways", "policy: true, gateways")
        + &workload(4, NULL).replace("vrf: 1", "vrf: 2");
    scene.daemon.apply(&open);
    wait_for("the flow table to be full", || {
        scene.daemon.stats().drops.iter().any(|drop| drop.reason == "flow_table_full" && drop.packets > 0)
    });
    conversations.go_on("crowded");
    scene.reachable();
}

/// The same rules for the network that the fabric port itself is in, written by a controller.
#[test]
fn rules_of_the_fabrics_own_network_are_for_workloads_and_not_for_the_node() {
    if !is_root("rules_of_the_fabrics_own_network_are_for_workloads_and_not_for_the_node") {
        return;
    }
    let mut scene = Scene::bare("rules", "");
    scene.daemon.apply(&[NODE, DENIAL].concat());
    scene.address();
    scene.reachable();
    Conversations::open(&scene.node, &scene.peer).go_on("denied");
}

/// A daemon that ends, however, takes the node's connectivity with it, but not the node's connections: its twin stays
/// in the kernel, with its addresses.
#[test]
fn the_nodes_connections_outlive_the_daemon() {
    if !is_root("the_nodes_connections_outlive_the_daemon") {
        return;
    }
    let scene = Scene::new("restart");
    let mut conversations = Conversations::open(&scene.node, &scene.peer);
    let Scene { node, peer, daemon } = scene;
    let directory = daemon.kill();
    let daemon = Daemon::start_in(directory, |command| wrap(command, &["ip", "netns", "exec", &node.0]));
    let mut scene = Scene { node, peer, daemon };
    scene.deafen();
    conversations.go_on("after a kill");
    let (received, sent) = scene.daemon.packets("host");
    assert!(received >= 4 && sent >= 4, "{received} packets came from the node and {sent} went there");
    scene.reachable();
}
