//! What the mock tells of things that it does not have.

use agent_api::v1::{
    Accounting, DropSample, DropStats, ExplainResponse, ExplainStep, FlowEntry, FlowEvent, FlowHalf,
    InterfaceChange, InterfaceStats, Key, Neighbour, NeighbourState, ObjectChange, Overrun, PacketInMessage,
    RouteKey, ServiceStats, StatsResponse, TableStats, WatchEvent, WorkerQueue, WorkerStats, key,
    watch_event,
};

/// 2024-05-01 12:00 UTC in nanoseconds.
const NOON: u64 = 1_714_564_800_000_000_000;

/// An Ethernet frame of a TCP SYN from 10.1.1.3 to 10.1.2.4, port 25.
pub const SYN: &[u8] = &[
    0x00, 0x00, 0x5e, 0x00, 0x01, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, // Ethernet
    0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x40, 0x00, 0x40, 0x06, 0x23, 0xc8, 10, 1, 1, 3, 10, 1, 2,
    4, // IPv4
    0x0f, 0xa0, 0x00, 0x19, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 0x02, 0x04, 0x00, 0, 0, 0, 0, // TCP
];

/// The same within MPLS over UDP from 10.1.0.66 to 10.1.0.194, label 40.
fn encapsulated() -> Vec<u8> {
    let outer = [
        0x52, 0x54, 0x00, 0x00, 0x00, 0xc2, 0x52, 0x54, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, // Ethernet
        0x45, 0x00, 0x00, 0x48, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x24, 0x96, 10, 1, 0, 66, 10, 1, 0,
        194, // IPv4
        0xc0, 0x01, 0x19, 0xeb, 0x00, 0x34, 0x00, 0x00, // UDP
        0x00, 0x02, 0x81, 0x3f, // label 40, bottom of stack, TTL 63
    ];
    [&outer[..], &SYN[14..]].concat()
}

fn step(stage: &str, text: &str) -> ExplainStep {
    ExplainStep { stage: stage.into(), text: text.into() }
}

pub fn explanation() -> ExplainResponse {
    ExplainResponse {
        steps: vec![
            step("parse", "IPv4 TCP 10.1.1.3:4000 → 10.1.2.4:25"),
            step("classify", "interface 2 vm1, VRF 1 red"),
            step("flow", "new flow: security group 7 rule 4 allows"),
            step("route", "10.1.2.0/24 → next hop 5, label 40"),
            step("encapsulate", "MPLSoUDP 10.1.0.66 → 10.1.0.194"),
        ],
        verdict: "sent".into(),
        interface: 1,
        packet: encapsulated(),
        generation: 17,
        ..ExplainResponse::default()
    }
}

pub fn refusal() -> ExplainResponse {
    ExplainResponse {
        steps: vec![step("parse", "IPv4 UDP"), step("flow", "no rule of security group 8 allows it")],
        verdict: "dropped".into(),
        reason: "security_group".into(),
        generation: 17,
        ..ExplainResponse::default()
    }
}

pub fn stats() -> StatsResponse {
    let accounting = Accounting {
        received: 1_000,
        originated: 12,
        copied: 3,
        sent: 980,
        consumed: 9,
        punted: 4,
        held: 1,
        dropped: 21,
    };
    let interface = |interface, name: &str, rx_packets, tx_packets, dropped| InterfaceStats {
        interface,
        name: name.into(),
        rx_packets,
        rx_bytes: rx_packets * 100,
        tx_packets,
        tx_bytes: tx_packets * 132,
        dropped,
        flows: u32::from(interface == 2) * 2,
    };
    let drop = |reason: &str, help: &str, packets, interface| DropStats {
        reason: reason.into(),
        help: help.into(),
        packets,
        interface,
    };
    let worker = |worker, core, poll: &str, bursts| WorkerStats {
        worker,
        core,
        poll: poll.into(),
        work_cycles: 250,
        poll_cycles: 500,
        sleep_cycles: 250,
        bursts,
        accounting: Some(accounting),
        queues: vec![
            WorkerQueue { interface: 1, queue: worker },
            WorkerQueue { interface: 2 + worker, queue: 0 },
        ],
        generation: 17,
        handed_over: 0,
        taken_over: 7,
    };
    StatsResponse {
        generation: 17,
        accounting: Some(accounting),
        interfaces: vec![
            interface(1, "fabric0", 600, 500, 10),
            interface(2, "vm1", 300, 400, 11),
            interface(3, "vm2", 0, 0, 0),
        ],
        drops: vec![
            drop("security_group", "No security group rule allows it.", 11, 2),
            drop("security_group", "No security group rule allows it.", 2, 1),
            drop("no_route", "No prefix covers the destination.", 8, 1),
            drop("discard", "The route's next hop is discard.", 0, 1),
            drop("interface_unknown", "No interface stands behind the port.", 0, 0),
        ],
        workers: vec![worker(0, 2, "adaptive", 160), worker(1, -1, "busy", 0)],
        tables: vec![
            TableStats { table: "flows".into(), entries: 3, capacity: 1_048_576 },
            TableStats { table: "routes".into(), entries: 9, capacity: 0 },
        ],
        services: vec![ServiceStats {
            outcome: "dhcp_ack".into(),
            help: "DHCPv4: an address was leased.".into(),
            packets: 5,
        }],
    }
}

pub fn flows() -> Vec<FlowEntry> {
    let half = |scope: &str, source: (&str, u32), destination: (&str, u32), protocol| FlowHalf {
        scope: scope.into(),
        interface: 2,
        vrf: 1,
        source: source.0.into(),
        destination: destination.0.into(),
        source_port: source.1,
        destination_port: destination.1,
        protocol,
        next_hop: 2,
        packets: 10,
        bytes: 1_000,
        ..FlowHalf::default()
    };
    let to_fabric = FlowHalf {
        next_hop: 5,
        label: 40,
        entropy_port: 57_634,
        ..half("from vm1", ("10.1.1.3", 45_116), ("10.1.2.4", 22), 6)
    };
    let translated = FlowHalf {
        nat_source: "101.101.101.2".into(),
        next_hop: 7,
        ..half("from vm1", ("10.1.1.3", 7), ("8.8.8.8", 8), 1)
    };
    vec![
        FlowEntry {
            index: 40_196,
            forward: Some(to_fabric),
            reverse: Some(half("to vm1", ("10.1.2.4", 22), ("10.1.1.3", 45_116), 6)),
            action: "forward".into(),
            rule: "security_group 7 rule 4".into(),
            tcp_state: "established".into(),
            idle_ms: 350,
            age_ms: 3_840_000,
            ..FlowEntry::default()
        },
        FlowEntry {
            index: 7,
            forward: Some(translated),
            reverse: Some(FlowHalf {
                nat_destination: "10.1.1.3".into(),
                ..half("to vm1", ("8.8.8.8", 0), ("101.101.101.2", 7), 1)
            }),
            action: "nat".into(),
            idle_ms: 5_000,
            age_ms: 61_000,
            ..FlowEntry::default()
        },
        FlowEntry {
            index: 99,
            forward: Some(half("to vm1", ("2001:db8:2::4", 4_000), ("2001:db8:1::3", 81), 17)),
            action: "drop".into(),
            reason: "security_group".into(),
            idle_ms: 1_000,
            age_ms: 1_000,
            ..FlowEntry::default()
        },
    ]
}

pub fn neighbours() -> Vec<Neighbour> {
    let neighbour = |address: &str, mac: &str, state: NeighbourState, age_ms| Neighbour {
        interface: 1,
        address: address.into(),
        mac: mac.into(),
        state: state.into(),
        age_ms,
    };
    vec![
        neighbour("10.1.0.1", "52:54:00:00:00:01", NeighbourState::Reachable, 12_000),
        neighbour("10.1.0.194", "52:54:00:00:00:c2", NeighbourState::Stale, 90_000),
        neighbour("fe80::1", "", NeighbourState::Incomplete, 300),
    ]
}

pub fn events() -> Vec<WatchEvent> {
    let events = [
        watch_event::Event::Object(ObjectChange {
            key: Some(Key {
                key: Some(key::Key::Route(RouteKey {
                    vrf: 1,
                    prefix: "10.1.2.0/24".into(),
                    origin: "agent".into(),
                })),
            }),
            deleted: false,
            generation: 18,
            owner: "agent".into(),
        }),
        watch_event::Event::Object(ObjectChange {
            key: Some(Key { key: Some(key::Key::NextHop(5)) }),
            deleted: true,
            generation: 19,
            owner: "agent".into(),
        }),
        watch_event::Event::Interface(InterfaceChange {
            interface: 3,
            name: "vm2".into(),
            up: false,
            reason: "the peer closed the socket".into(),
        }),
        watch_event::Event::Interface(InterfaceChange {
            interface: 2,
            name: "vm1".into(),
            up: true,
            reason: String::new(),
        }),
        watch_event::Event::Neighbour(neighbours().remove(0)),
        watch_event::Event::Neighbour(neighbours().remove(2)),
        watch_event::Event::Flow(FlowEvent { flow: flows().pop(), ended: false, logged: false }),
        watch_event::Event::Flow(FlowEvent { flow: flows().into_iter().next(), ended: true, logged: true }),
        watch_event::Event::Overrun(Overrun { lost: 40 }),
    ];
    (0..)
        .zip(events)
        .map(|(n, event)| WatchEvent { time_ns: NOON + n * 1_000_000, event: Some(event) })
        .collect()
}

pub fn drops() -> Vec<DropSample> {
    vec![
        DropSample {
            time_ns: NOON,
            reason: "security_group".into(),
            interface: 2,
            worker: 1,
            rule: "security_group 8".into(),
            length: 54,
            head: SYN.to_vec(),
        },
        DropSample {
            time_ns: NOON + 1_000,
            reason: "truncated".into(),
            length: 9,
            head: SYN[..9].to_vec(),
            ..DropSample::default()
        },
    ]
}

pub fn punts() -> Vec<PacketInMessage> {
    let punt = |class: &str, packet: Vec<u8>| PacketInMessage {
        time_ns: NOON,
        class: class.into(),
        interface: 2,
        packet,
    };
    vec![punt("dhcp", SYN.to_vec()), punt("arp", encapsulated())]
}
