//! An interface (Contrail: vif) as workers see it.

use std::sync::Arc;

use flow::Scope;
use flow::policy::CompiledPolicy;
use packet::{Address, DropReason, InterfaceId, NextHopId, PortId, TagId, VrfId};
use sync::Counter;

use super::{FloatingIp, HostServices, LinkLocalService, Pin, PinKey, SourceNat};

/// What stands behind an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The underlay: tunnels end here.
    Fabric,
    /// A workload.
    Virtual,
    /// The node's own IP stack: the twin of a fabric interface.
    Host,
}

/// How packets from the fabric prove where they come from (SEMANTICS 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rpf {
    /// The outer source must be a next hop of the route back, any member of an ECMP group.
    #[default]
    Strict,
    /// Any tunnel destination known to this node.
    Loose,
    /// Not checked.
    Off,
}

/// A further source that a workload may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPair {
    /// Network address.
    pub network: Address,
    /// Prefix length, 0..=32 or 0..=128.
    pub length: u8,
    /// Whether it is IPv6.
    pub v6: bool,
    /// The MAC that goes with it.
    pub mac: [u8; 6],
}

/// Ports of an address of the node that lead to workloads (Kubernetes: NodePort).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePort {
    /// Whether the address is IPv6.
    pub v6: bool,
    /// The node's address.
    pub address: Address,
    /// 6, 17 or 132.
    pub protocol: u8,
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
    /// Who picks the workload.
    pub next_hop: NextHopId,
}

/// One row of the interface table.
#[derive(Clone, Debug)]
pub struct Interface {
    /// The controller's id.
    pub id: InterfaceId,
    /// The operator's name.
    pub name: Arc<str>,
    /// What stands behind it.
    pub role: Role,
    /// The port that carries it; `None` while the device is absent.
    pub port: Option<PortId>,
    /// Where its packets are routed.
    pub vrf: VrfId,
    /// VIRTUAL: the workload's MAC. FABRIC, HOST: the port's own.
    pub mac: [u8; 6],
    /// VIRTUAL: the MAC the vRouter uses towards the workload.
    pub gateway_mac: [u8; 6],
    /// IPv4 addresses: the workload's, or the node's on a fabric interface.
    pub addresses_v4: Arc<[Address]>,
    /// IPv6 addresses.
    pub addresses_v6: Arc<[Address]>,
    /// Further sources the workload may use.
    pub pairs: Arc<[AddressPair]>,
    /// IPv4 addresses the vRouter answers for towards the workload; the first sends ICMP errors.
    pub gateways_v4: Arc<[Address]>,
    /// IPv6 addresses the vRouter answers for.
    pub gateways_v6: Arc<[Address]>,
    /// L3 MTU in bytes.
    pub mtu: u16,
    /// Packets to and from it need the flow stage (SEMANTICS 3).
    pub needs_flow: bool,
    /// Security groups are enforced.
    pub policy: bool,
    /// The bound groups, compiled; shared by interfaces with the same groups.
    pub security: Arc<CompiledPolicy>,
    /// The workload's tags, ascending.
    pub tags: Arc<[TagId]>,
    /// Most sessions; 0 = no limit of its own.
    pub flow_limit: u32,
    /// How packets from the fabric prove their origin.
    pub rpf: Rpf,
    /// TCP flows may begin in mid-stream.
    pub tcp_pickup: bool,
    /// ICMP errors sent towards this interface, per second.
    pub icmp_errors_per_second: u32,
    /// Floating IPs that translate for this interface, in order of id.
    pub floating_ips: Arc<[Arc<FloatingIp>]>,
    /// VIRTUAL: pools of source NAT that its workload may use, in order of id.
    pub source_nats: Arc<[Arc<SourceNat>]>,
    /// VIRTUAL: services outside that its workload reaches under addresses of its own network, in order of id.
    pub link_local: Arc<[LinkLocalService]>,
    /// FABRIC: which of its own addresses are a pool's too, and the scope of that pool's replies.
    pub shared: Arc<[(bool, Address, Scope)]>,
    /// FABRIC: ports of its own addresses that lead to workloads.
    pub node_ports: Arc<[NodePort]>,
    /// Flows that a controller has pinned, in order of key.
    pub pins: Arc<[Pin]>,
    /// VIRTUAL: the lowest interface next hop that delivers here, 0 if there is none.
    pub delivery: NextHopId,
    /// VIRTUAL: what the vRouter itself serves to the workload.
    pub services: Option<Arc<HostServices>>,
    /// FABRIC: its HOST twin. HOST: the fabric interface.
    pub twin: Option<InterfaceId>,
    /// The epoch at which groups, rules, membership or floating IPs of this interface last changed.
    pub epoch: u32,
    /// The epoch at which it was created: what is older speaks of another interface that had this id.
    pub born: u32,
    /// Counters, one block per worker.
    pub counters: Arc<InterfaceCounters>,
}

impl Interface {
    /// Whether packets to and from it need the flow stage (SEMANTICS 3).
    #[inline]
    #[must_use]
    pub const fn needs_flow(&self) -> bool {
        self.needs_flow
    }

    /// Who picks among workloads for a port of one of the fabric interface's own addresses, if any does.
    #[must_use]
    pub fn node_port(&self, v6: bool, address: &Address, protocol: u8, port: u16) -> Option<NextHopId> {
        let called = |node: &&NodePort| {
            (node.v6, &node.address, node.protocol) == (v6, address, protocol)
                && (node.first..=node.last).contains(&port)
        };
        self.node_ports.iter().find(called).map(|node| node.next_hop)
    }

    /// The scope of replies to workloads that leave with this address of the fabric interface, if any do.
    #[inline]
    #[must_use]
    pub fn shares(&self, v6: bool, address: &Address) -> Option<Scope> {
        self.shared.iter().find(|shared| (shared.0, &shared.1) == (v6, address)).map(|shared| shared.2)
    }

    /// What a controller has pinned for a flow of this interface.
    #[must_use]
    pub fn pin(&self, key: &PinKey) -> Option<&Pin> {
        self.pins.get(self.pins.binary_search_by_key(key, |pin| pin.key).ok()?)
    }

    /// Its addresses of one family.
    #[inline]
    #[must_use]
    pub fn addresses(&self, v6: bool) -> &[Address] {
        if v6 { &self.addresses_v6 } else { &self.addresses_v4 }
    }

    /// The gateway addresses of one family.
    #[inline]
    #[must_use]
    pub fn gateways(&self, v6: bool) -> &[Address] {
        if v6 { &self.gateways_v6 } else { &self.gateways_v4 }
    }

    /// Whether a workload may send from this address with this MAC.
    #[must_use]
    pub fn owns_source(&self, v6: bool, address: &Address, mac: [u8; 6]) -> bool {
        (mac == self.mac && self.addresses(v6).contains(address))
            || self.pairs.iter().any(|pair| pair.v6 == v6 && pair.mac == mac && pair.covers(address))
            // A link-local source is the workload's own business on its link (RFC 4291 §2.5.6).
            || (v6 && mac == self.mac && address[0] == 0xfe && address[1] & 0xc0 == 0x80)
    }

    /// Whether a workload may send with this MAC at all.
    #[inline]
    #[must_use]
    pub fn owns_mac(&self, mac: [u8; 6]) -> bool {
        mac == self.mac || self.pairs.iter().any(|pair| pair.mac == mac)
    }
}

impl AddressPair {
    /// Whether the pair's prefix covers this address (of the pair's own family).
    #[must_use]
    pub fn covers(&self, address: &Address) -> bool {
        let whole = usize::from(self.length / 8).min(16);
        let rest = self.length % 8;
        let mask = if rest == 0 { 0 } else { 0xff_u8 << (8 - rest) };
        self.network[..whole] == address[..whole]
            && (rest == 0 || whole >= 16 || (self.network[whole] ^ address[whole]) & mask == 0)
    }
}

/// Counters of one interface. They outlive generations: every row of the same interface shares them.
#[derive(Debug)]
pub struct InterfaceCounters {
    workers: Box<[WorkerInterfaceCounters]>,
    /// Where those write who are no worker: an explanation must not count.
    nobody: WorkerInterfaceCounters,
}

/// One worker's share: written by that worker only.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerInterfaceCounters {
    /// Packets received on the interface.
    pub rx_packets: Counter,
    /// Bytes received.
    pub rx_bytes: Counter,
    /// Packets the device took.
    pub tx_packets: Counter,
    /// Bytes the device took.
    pub tx_bytes: Counter,
    /// Drops of packets that arrived here, by reason.
    pub drops: [Counter; DropReason::COUNT],
}

impl InterfaceCounters {
    /// Zeroed counters for `workers` workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| WorkerInterfaceCounters::default()).collect(),
            nobody: WorkerInterfaceCounters::default(),
        }
    }

    /// The block of one worker; one that nobody reads for an unknown worker.
    #[inline]
    #[must_use]
    pub fn worker(&self, worker: packet::WorkerId) -> &WorkerInterfaceCounters {
        self.workers.get(worker.index()).unwrap_or(&self.nobody)
    }

    /// The blocks of all workers.
    pub fn iter(&self) -> impl Iterator<Item = &WorkerInterfaceCounters> {
        self.workers.iter()
    }
}

impl Default for InterfaceCounters {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Default for WorkerInterfaceCounters {
    fn default() -> Self {
        Self {
            rx_packets: Counter::default(),
            rx_bytes: Counter::default(),
            tx_packets: Counter::default(),
            tx_bytes: Counter::default(),
            drops: std::array::from_fn(|_| Counter::default()),
        }
    }
}
