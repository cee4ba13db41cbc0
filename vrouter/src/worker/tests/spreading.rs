//! Two workers, one of which receives everything that a gateway sends by MPLS over GRE.

use etherparse::{IpNumber, Ipv4Header, PacketBuilder};
use proptest::prelude::*;

use super::*;

const OBJECTS: &str = "
- vrf: {id: 0, name: fabric}
- vrf: {id: 1, name: red}
- interface: {id: 1, name: fabric, role: FABRIC, vrf: 0, mac: '02:00:0a:01:00:42', addresses: ['10.1.0.66/24'],
    device: {'null': {}}}
- interface: {id: 2, name: vm, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:01:02', addresses: ['10.1.1.3'],
    gateways: ['10.1.1.1'], policy: true, security_groups: [1], device: {'null': {}}}
- security_group: {id: 1, name: udp, rules: [{id: 1, direction: INGRESS, protocol: 17}]}
- next_hop: {id: 1, resolve: {interface: 1}}
- next_hop: {id: 10, interface: {interface: 2}}
- next_hop: {id: 11, tunnel: {encapsulation: MPLS_OVER_GRE, destination: '10.1.0.194'}}
- mpls_label: {label: 25, next_hop: 10}
- route: {vrf: 0, prefix: '10.1.0.0/24', next_hop: 1}
- route: {vrf: 1, prefix: '10.1.1.3/32', next_hop: 10}
- route: {vrf: 1, prefix: '10.2.0.0/16', next_hop: 11}
";

const FABRIC: PortId = PortId(0);
const VM: PortId = PortId(1);
const FLOWS: u8 = 16;
/// The flow that comes in fragments.
const CUT: u8 = 3;

struct Pair {
    control: Control<MemoryPorts>,
    workers: Vec<Worker<Memory, Unheard>>,
    counters: Vec<Arc<WorkerCounters>>,
    fabric: Wire,
    vm: Wire,
    now: u64,
    /// By flow: the number of the next packet to arrive, and of the last to leave.
    arrived: [u32; FLOWS as usize],
    left: [u32; FLOWS as usize],
    put: u64,
    delivered: u64,
}

impl Pair {
    /// The first worker receives from the fabric, worker `sender` has the workload's only transmit queue.
    fn new(sender: usize) -> Self {
        let settings = Settings { workers: 2, ..Settings::default() };
        let (mut control, readers) = Control::new(settings, MemoryPorts::default());
        let config = flow::Config { sessions_v4: 1024, sessions_v6: 16, seed: 1, interfaces: 9, workers: 2 };
        let flows = Arc::new(FlowTable::new(&config).unwrap());
        control.execute(&Owner::peer("test").unwrap(), batch(OBJECTS)).unwrap();
        control.publish();
        let (mut workers, mut mailboxes, mut counters) = (Vec::new(), Vec::new(), Vec::new());
        for ((id, tables), spread) in (0..).map(WorkerId).zip(readers).zip(spreads(2, 1)) {
            let counted = Arc::new(WorkerCounters::default());
            let events = Arc::new(EventQueue::new(16, 16));
            let config = DatapathConfig { worker: id, seed: 1, express: Some(Variant::best()) };
            let slots = flows.worker(id).unwrap();
            let mailbox = Arc::new(Mailbox::new());
            workers.push(Worker::new(Parts {
                id,
                tables,
                boundaries: control.boundaries(),
                flows: Arc::clone(&flows),
                datapath: Datapath::new(&config, slots, Arc::clone(&counted), events),
                counters: Arc::clone(&counted),
                mailbox: Arc::clone(&mailbox),
                pool: MemoryPool::new(100),
                sink: Unheard,
                clock: Clock::system(),
                poll: PollMode::Busy,
                spread,
            }));
            mailboxes.push(mailbox);
            counters.push(counted);
        }
        let (fabric, vm) = (Wire::new(100_000), Wire::new(100_000));
        let handoff = Arc::new(Handoff::new());
        mailboxes[sender].ask(Command::AddOutput(VM, Output::Shared(vm.tx(), Arc::clone(&handoff))));
        mailboxes[1 - sender].ask(Command::AddOutput(VM, Output::Through(handoff)));
        let input = Input { port: FABRIC, queue: 0, interface: InterfaceId(1), rx: fabric.clone() };
        mailboxes[0].ask(Command::AddInput(input));
        let counts = [0; FLOWS as usize];
        let (arrived, left) = (counts, counts);
        Self { control, workers, counters, fabric, vm, now: 5, arrived, left, put: 0, delivered: 0 }
    }

    fn turn(&mut self, worker: usize) -> bool {
        self.workers[worker].turn(Now { milliseconds: self.now })
    }

    /// The next packet of a flow arrives.
    fn arrive(&mut self, flow: u8) {
        let number = &mut self.arrived[usize::from(flow)];
        *number += 1;
        let frames = if flow == CUT { fragments(flow, *number) } else { vec![gre(&udp(flow, *number))] };
        for frame in frames {
            self.fabric.put(&frame);
            self.put += 1;
        }
    }

    /// A poll finds so many packets waiting.
    fn poll(&mut self, packets: usize) {
        for packet in 0..packets {
            self.arrive((packet % usize::from(FLOWS)) as u8);
        }
        self.turn(0);
    }

    /// Looks at what the workload got: each flow's packets in the order in which they arrived.
    fn receive(&mut self) {
        for frame in self.vm.take() {
            let data = frame.data();
            let flow = data[29];
            // Behind the UDP header, which later fragments do not have.
            let at = if data[21] == 0 { 42 } else { 34 };
            let number = u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
            let last = &mut self.left[usize::from(flow)];
            // Fragments that come with their first follow it a burst later: only their number is looked at.
            assert!(flow == CUT || number > *last, "flow {flow}: {number} after {last}");
            *last = number;
            self.delivered += 1;
        }
    }

    /// Nothing is on its way any more.
    fn settle(&mut self) {
        while self.turn(0) | self.turn(1) {}
        self.receive();
    }

    fn sum(&self, of: impl Fn(&WorkerCounters) -> u64) -> u64 {
        self.counters.iter().map(|counters| of(counters)).sum()
    }

    /// Each packet was received by one worker and ended once. Returns how many found no room in a lane.
    fn account(&self) -> u64 {
        for counters in &self.counters {
            assert!(counters.accounting().holds(), "{:?}", counters.accounting());
        }
        // Who does not come to its work loses packets, by name: those handed over, and those it was to send.
        let dropped = |reason| self.sum(|counters| counters.drops[reason as usize].get());
        let [full, unsent] = [DropReason::SpreadFull, DropReason::TxFull].map(dropped);
        assert_eq!(self.sum(|counters| counters.received.get()), self.put);
        assert_eq!(self.sum(|counters| counters.accounting().dropped), full + unsent, "{:?}", self.counters);
        assert_eq!(self.delivered + full + unsent, self.put);
        assert_eq!(self.sum(|c| c.handed_over.get()), self.sum(|c| c.taken_over.get()));
        let tables = self.control.tables();
        let row = tables.interface(InterfaceId(1)).unwrap();
        assert_eq!(row.counters.iter().map(|worker| worker.rx_packets.get()).sum::<u64>(), self.put);
        full
    }
}

/// From 10.2.0.`flow` to the workload, with a number.
fn udp(flow: u8, number: u32) -> Vec<u8> {
    let mut packet = Vec::new();
    let payload = [&number.to_be_bytes()[..], &[0; 12], &number.to_be_bytes(), &[0; 4]].concat();
    let headers = PacketBuilder::ipv4([10, 2, 0, flow], [10, 1, 1, 3], 64).udp(5000, 80);
    headers.write(&mut packet, &payload).unwrap();
    packet
}

/// The same in two fragments, both of which show the number.
fn fragments(flow: u8, number: u32) -> Vec<Vec<u8>> {
    let whole = udp(flow, number);
    let cut = |place: u16, more: bool, payload: &[u8]| {
        let mut header = Ipv4Header::from_slice(&whole).unwrap().0;
        header.total_len = 20 + payload.len() as u16;
        header.identification = number as u16;
        header.dont_fragment = false;
        header.more_fragments = more;
        header.fragment_offset = (place / 8).try_into().unwrap();
        header.header_checksum = header.calc_header_checksum();
        let mut packet = Vec::new();
        header.write(&mut packet).unwrap();
        packet.extend(payload);
        gre(&packet)
    };
    vec![cut(0, true, &whole[20..44]), cut(24, false, &whole[44..])]
}

/// The packet as the gateway sends it.
fn gre(inner: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0x0a, 1, 0, 0x42, 2, 0, 0x0a, 1, 0, 0xc2, 8, 0];
    let length = 8 + inner.len() as u16;
    Ipv4Header::new(length, 64, IpNumber::GRE, [10, 1, 0, 194], [10, 1, 0, 66])
        .unwrap()
        .write(&mut frame)
        .unwrap();
    frame.extend([0, 0, 0x88, 0x47, 0, 1, 0x91, 63]);
    frame.extend(inner);
    frame
}

#[test]
fn a_hot_queue_is_spread_until_it_has_been_quiet_for_a_second() {
    let mut pair = Pair::new(1);
    for _ in 0..63 {
        pair.poll(BURST - 8);
        pair.turn(1);
    }
    assert_eq!(pair.counters[0].handed_over.get(), 0, "not yet hot");
    for _ in 0..20 {
        pair.poll(BURST - 8);
        pair.turn(1);
    }
    let [a, b] = [0, 1].map(|worker| pair.counters[worker].taken_over.get());
    assert_eq!(a, 0, "all is received by the first");
    assert!(b > 200, "{b} of about 1000");
    for flow in 0..FLOWS {
        pair.arrive(flow);
    }
    pair.settle();
    assert!(pair.counters[1].taken_over.get() > b, "few packets are spread too, while it lasts");
    pair.now += 1000;
    let [a, b] = [0, 1].map(|worker| pair.counters[worker].received.get());
    pair.poll(16);
    pair.settle();
    assert_eq!([0, 1].map(|worker| pair.counters[worker].received.get()), [a + 17, b]);
    assert_eq!(pair.account(), 0);
}

#[test]
fn flows_are_taken_back_only_when_their_owner_is_done_with_them() {
    let mut pair = Pair::new(0);
    for _ in 0..70 {
        pair.poll(BURST - 8);
    }
    let handed = pair.counters[0].handed_over.get();
    assert!(handed > 0);
    pair.now += 2000;
    pair.poll(16);
    assert!(pair.counters[0].handed_over.get() > handed, "the owner has not come so far");
    pair.settle();
    let handed = pair.counters[0].handed_over.get();
    pair.poll(16);
    pair.settle();
    assert_eq!(pair.counters[0].handed_over.get(), handed);
    assert_eq!(pair.account(), 0);
}

#[test]
fn an_owner_without_room_costs_its_own_flows_only() {
    let mut pair = Pair::new(0);
    for _ in 0..200 {
        pair.poll(BURST - 8);
        pair.receive();
    }
    let own = pair.counters[0].sent.get();
    pair.settle();
    let full = pair.account();
    assert!(full > 0 && pair.counters[1].taken_over.get() == 1024, "{full} dropped");
    assert!(own > pair.put / 4, "the receiver went on");
}

#[test]
fn frames_of_an_interface_that_is_gone_meanwhile_are_not_taken_for_another_ones() {
    let mut pair = Pair::new(0);
    for _ in 0..70 {
        pair.poll(BURST - 8);
    }
    let waiting = pair.counters[0].handed_over.get();
    assert!(waiting > 0);
    let owner = Owner::peer("test").unwrap();
    let fabric = OBJECTS.lines().skip(3).take(2).collect::<Vec<_>>().join("\n");
    let keys = "
- route: {vrf: 0, prefix: '10.1.0.0/24', next_hop: 1}
- next_hop: {id: 1, resolve: {interface: 1}}
";
    let gone = [keys, &fabric].concat();
    let delete = agent_api::yaml::parse(&gone).unwrap().iter().map(agent_api::key_of).collect::<Vec<_>>();
    let operations =
        delete.into_iter().map(|key| Operation { operation: Some(operation::Operation::Delete(key)) });
    pair.control.execute(&owner, Batch { operations: operations.collect(), ..Batch::default() }).unwrap();
    pair.control.publish();
    pair.control.execute(&owner, batch(&fabric)).unwrap();
    pair.control.publish();
    while pair.turn(1) {}
    let counters = &pair.counters[1];
    assert_eq!(counters.drops[DropReason::InterfaceUnknown as usize].get(), waiting);
    assert!(counters.accounting().holds());
}

#[test]
fn a_flow_has_one_owner_whoever_receives_it_and_each_worker_has_a_share() {
    let mut spreads = spreads::<MemoryBuf>(4, 1);
    let arrival = Arrival { interface: InterfaceId(1), born: 1 };
    let flow = |frame: &MemoryBuf| frame.data()[14 + 20 + 8 + 15];
    let mut owners = [None; 64];
    for receiver in [0, 2, 2] {
        let mut frames: ArrayVec<_, BURST> =
            (0..64).map(|flow| MemoryBuf::new(&gre(&udp(flow, 1)))).collect();
        let mut refused = ArrayVec::new();
        let handed = spreads[receiver].hand_over(arrival, &mut frames, &mut refused);
        assert_eq!((frames.len() + handed, refused.len()), (64, 0));
        let own = frames.iter().map(|frame| (receiver, flow(frame))).collect::<Vec<_>>();
        let mut got = own;
        for (owner, spread) in spreads.iter_mut().enumerate() {
            let mut taken = ArrayVec::new();
            spread.takers.iter_mut().for_each(|taker| _ = taker.take(&mut taken));
            got.extend(taken.iter().map(|frame| (owner, flow(frame))));
        }
        for (owner, flow) in got {
            assert_eq!(*owners[usize::from(flow)].get_or_insert(owner), owner, "flow {flow}");
        }
    }
    for worker in 0..4 {
        let share = owners.iter().filter(|owner| **owner == Some(worker)).count();
        assert!(share > 4, "worker {worker} has {share} of 64");
    }
}

#[test]
fn a_worker_that_holds_packets_back_does_not_begin_to_spread() {
    let spread = &spreads::<MemoryBuf>(2, 1)[0];
    let frames: Vec<_> = (0..BURST).map(|_| MemoryBuf::new(&gre(&udp(1, 1)))).collect();
    let now = Now { milliseconds: 5 };
    let mut queue = Spreading::default();
    let courses: Vec<_> = (0..100).map(|_| spread.polled(&mut queue, &frames, now, true)).collect();
    assert!(courses.iter().all(|course| *course == Course::Alone));
    assert_eq!(spread.polled(&mut queue, &frames, now, false), Course::Spread);
    assert_eq!(spread.polled(&mut queue, &frames, now, true), Course::Spread, "it does not end so either");
}

/// How polls follow each other.
#[derive(Clone, Debug)]
struct Phase {
    polls: usize,
    /// Packets that each finds.
    packets: usize,
    /// Turns of the other worker for every four polls.
    turns: usize,
    /// Milliseconds that each takes.
    time: u64,
}

fn phases() -> impl Strategy<Value = Vec<Phase>> {
    let flood = (30_usize..100, 30_usize..56, 0_usize..9);
    let calm = (1_usize..20, 0_usize..20, 0_usize..9, 0_u64..300);
    let phase = prop_oneof![
        2 => flood.prop_map(|(polls, packets, turns)| Phase { polls, packets, turns, time: 0 }),
        1 => calm.prop_map(|(polls, packets, turns, time)| Phase { polls, packets, turns, time }),
    ];
    proptest::collection::vec(phase, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_doubled_or_overtaken_however_often_spreading_begins_and_ends(
        phases in phases(), sender in 0_usize..2,
    ) {
        let mut pair = Pair::new(sender);
        for phase in phases {
            for poll in 0..phase.polls {
                pair.now += phase.time;
                pair.poll(phase.packets);
                for _ in 0..(poll % 4 + 1) * phase.turns / 4 - (poll % 4) * phase.turns / 4 {
                    pair.turn(1);
                }
                pair.receive();
            }
        }
        pair.settle();
        pair.account();
    }
}
