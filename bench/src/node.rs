//! A compute node for measuring: tables made through the control side in the API's own words, one worker's
//! data path on DPDK packets, and ports that only count.

use std::sync::Arc;

use agent_api::v1::{Batch, Operation, operation};
use agent_api::yaml;
use anyhow::{Context as _, Result, ensure};
use arrayvec::ArrayVec;
use dpdk::{Mbuf, Mempool};
use flow::{FlowTable, SessionSink};
use packet::{InterfaceId, PortId, WorkerId};
use sync::{Boundaries, Observation, Reader};
use vrouter::control::{Control, MemoryPorts, Owner, Settings};
use vrouter::datapath::{BURST, Context, Datapath, DatapathConfig, EventQueue, Now, Ports, WorkerCounters};
use vrouter::tables::Tables;

/// Takes every frame and keeps the buffers for the next burst.
#[derive(Debug)]
pub struct Sink {
    /// Buffers to fill.
    pub free: Vec<Mbuf>,
    pool: Mempool,
    /// Frames taken.
    pub taken: u64,
}

impl Ports<Mbuf> for Sink {
    #[inline]
    fn send(&mut self, _: PortId, frames: &mut ArrayVec<Mbuf, BURST>) {
        self.taken += frames.len() as u64;
        self.free.extend(frames.drain(..));
    }

    fn allocate(&mut self) -> Option<Mbuf> {
        self.pool.alloc()
    }
}

struct Unheard;

impl SessionSink for Unheard {
    fn traffic(&mut self, _: &flow::Traffic) {}

    fn ended(&mut self, _: &flow::SessionView, _: flow::EndReason) {}
}

/// The node.
#[derive(Debug)]
pub struct Node {
    control: Control<MemoryPorts>,
    reader: Reader<Tables>,
    boundaries: Boundaries,
    /// Its sessions.
    pub flows: FlowTable,
    datapath: Datapath<Mbuf>,
    /// Its counters.
    pub counters: Arc<WorkerCounters>,
    /// Where frames go.
    pub sink: Sink,
}

/// The workload's id.
pub const WORKLOAD: u16 = 2;
/// The fabric's id.
pub const FABRIC: u16 = 1;
/// The label that names the workload.
pub const LABEL: u32 = 47;

/// A workload with security group and floating IP, a public network behind a tunnel, a second workload, and a
/// third one without any of that.
pub const TABLES: &str = r#"
- vrf: {id: 0, name: fabric}
- vrf: {id: 1, name: red}
- vrf: {id: 2, name: public}
- security_group: {id: 7, name: g, rules: [{id: 1, direction: EGRESS, protocol: 17}, {id: 2, direction: INGRESS, protocol: 17}]}
- interface: {id: 1, name: fabric, role: FABRIC, vrf: 0, mac: "02:00:0a:01:00:42", addresses: ["10.1.0.66/16"], device: {"null": {}}}
- interface: {id: 2, name: vm2, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:00:02", addresses: ["10.1.1.2"], gateways: ["10.1.1.1"], policy: true, security_groups: [7], device: {"null": {}}}
- interface: {id: 3, name: vm3, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:00:03", addresses: ["10.1.1.3"], gateways: ["10.1.1.1"], policy: true, security_groups: [7], device: {"null": {}}}
- interface: {id: 4, name: vm4, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:00:04", addresses: ["10.1.1.4"], gateways: ["10.1.1.1"], device: {"null": {}}}
- interface: {id: 5, name: vm5, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:00:05", addresses: ["10.1.1.5"], allowed_address_pairs: [{prefix: "172.16.0.0/12"}], device: {"null": {}}}
- next_hop: {id: 2, interface: {interface: 2}}
- next_hop: {id: 3, interface: {interface: 3}}
- next_hop: {id: 5, interface: {interface: 5}}
- next_hop: {id: 10, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.194"}}
- route: {vrf: 1, prefix: "10.1.1.2/32", next_hop: 2}
- route: {vrf: 1, prefix: "10.1.1.3/32", next_hop: 3}
- route: {vrf: 1, prefix: "10.1.1.5/32", next_hop: 5}
- route: {vrf: 1, prefix: "10.2.0.0/16", next_hop: 5}
- route: {vrf: 2, prefix: "0.0.0.0/0", next_hop: 10, label: 39}
- route: {vrf: 2, prefix: "101.101.101.2/32", next_hop: 2}
- floating_ip: {id: 1, address: "101.101.101.2", vrf: 2, interfaces: [2]}
- mpls_label: {label: 47, next_hop: 2}
"#;

impl Node {
    /// A node with room for `sessions`, whose packets come from `pool`.
    ///
    /// # Errors
    /// No memory, or tables that are refused.
    pub fn new(pool: &Mempool, sessions: u32) -> Result<Self> {
        let settings = Settings { workers: 1, ..Settings::default() };
        let (mut control, mut readers) = Control::new(settings, MemoryPorts::default());
        let mut reader = readers.pop().context("one reader")?;
        let config =
            flow::Config { sessions_v4: sessions, sessions_v6: 64, seed: 1, interfaces: 65_536, workers: 1 };
        let flows = FlowTable::new(&config)?;
        let counters = Arc::new(WorkerCounters::default());
        let slots = flows.worker::<Observation>(WorkerId(0)).context("a worker's sessions")?;
        let events = Arc::new(EventQueue::new(64, 64));
        let datapath = Datapath::new(
            &DatapathConfig { worker: WorkerId(0), seed: 1 },
            slots,
            Arc::clone(&counters),
            events,
        );
        reader.offline();
        let put = |object| Operation { operation: Some(operation::Operation::Put(object)) };
        let operations = yaml::parse(TABLES)?.into_iter().map(put).collect();
        let owner = Owner::peer("bench").context("an owner")?;
        let result = control.apply(&owner, Batch { operations, ..Batch::default() });
        ensure!(result.code == 0, "{}", result.message);
        let known =
            control.install_neighbour(InterfaceId(FABRIC), [10, 1, 0, 194].into(), [2, 0, 0x0a, 1, 0, 0xc2]);
        ensure!(known.is_ok(), "the gateway cannot be made known");
        control.publish();
        control.settle();
        reader.online();
        let free = (0..4 * BURST).map(|_| pool.alloc().context("a packet")).collect::<Result<_>>()?;
        let sink = Sink { free, pool: pool.clone(), taken: 0 };
        Ok(Self { boundaries: control.boundaries(), control, reader, flows, datapath, counters, sink })
    }

    /// One burst through the worker's own function.
    #[inline]
    pub fn run(&mut self, interface: u16, burst: &mut ArrayVec<Mbuf, BURST>) {
        let tables = self.reader.refresh();
        let cx = Context { tables, flows: &self.flows, now: Now { milliseconds: 1 << 20 } };
        self.datapath.run(&cx, InterfaceId(interface), burst, &mut self.sink);
        self.datapath.housekeeping(&self.flows, &self.boundaries, &mut Unheard);
        // What was dropped is gone: new buffers take its place.
        while self.sink.free.len() < 4 * BURST {
            let Some(buf) = self.sink.pool.alloc() else { break };
            self.sink.free.push(buf);
        }
    }

    /// The control side.
    pub fn control(&mut self) -> &mut Control<MemoryPorts> {
        &mut self.control
    }
}
