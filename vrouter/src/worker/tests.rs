//! A worker with real tables and devices of plain memory.

mod spreading;

use std::sync::mpsc;
use std::time::Duration;

use agent_api::v1::{Batch, Operation, operation};
use packet::buf::MemoryBuf;
use packet::{InterfaceId, PortId};

use super::memory::{Memory, MemoryPool, Wire};
use super::*;
use crate::control::{Control, MemoryPorts, Owner, Settings};
use crate::datapath::{DatapathConfig, EventQueue, Variant};

/// Nobody wants to hear of sessions that end.
struct Unheard;

impl SessionSink for Unheard {
    fn traffic(&mut self, _: &flow::Traffic) {}
    fn ended(&mut self, _: &flow::SessionView, _: flow::EndReason) {}
}

/// Two workloads of one network.
const OBJECTS: &str = "
- vrf: {id: 1, name: red}
- interface:
    {id: 1, name: a, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:01', addresses: ['10.0.0.1'], device: {'null': {}}}
- interface:
    {id: 2, name: b, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:02', addresses: ['10.0.0.2'], device: {'null': {}}}
- next_hop: {id: 2, interface: {interface: 2}}
- route: {vrf: 1, prefix: '10.0.0.2/32', next_hop: 2}
";

struct World {
    control: Control<MemoryPorts>,
    worker: Worker<Memory, Unheard>,
    mailbox: Arc<Mailbox<Memory>>,
    counters: Arc<WorkerCounters>,
    a: Wire,
    b: Wire,
}

impl World {
    fn new() -> Self {
        let settings = Settings { workers: 1, ..Settings::default() };
        let (control, mut readers) = Control::new(settings, MemoryPorts::default());
        let config =
            flow::Config { sessions_v4: 1024, sessions_v6: 1024, seed: 1, interfaces: 9, workers: 1 };
        let flows = Arc::new(FlowTable::new(&config).unwrap());
        let counters = Arc::new(WorkerCounters::default());
        let events = Arc::new(EventQueue::new(16, 16));
        let id = WorkerId(0);
        let config = DatapathConfig { worker: id, seed: 1, express: Some(Variant::best()) };
        let datapath = Datapath::new(&config, flows.worker(id).unwrap(), Arc::clone(&counters), events);
        let mailbox = Arc::new(Mailbox::new());
        let worker = Worker::new(Parts {
            id,
            tables: readers.remove(0),
            boundaries: control.boundaries(),
            flows,
            datapath,
            counters: Arc::clone(&counters),
            mailbox: Arc::clone(&mailbox),
            pool: MemoryPool::new(100),
            sink: Unheard,
            clock: Clock::system(),
            poll: PollMode::Adaptive,
            spread: spreads(1, 1).remove(0),
        });
        Self { control, worker, mailbox, counters, a: Wire::new(1000), b: Wire::new(1000) }
    }

    fn with_objects() -> Self {
        let mut world = Self::new();
        world.apply(OBJECTS);
        world
    }

    fn apply(&mut self, objects: &str) {
        let outcome = self.control.execute(&Owner::peer("test").unwrap(), batch(objects)).unwrap();
        self.control.publish();
        assert!(outcome.changed > 0);
    }

    /// Hands the queues of interface a (port 0) and b (port 1) to the worker.
    fn plug(&self) {
        for (interface, port, wire) in [(1, 0, &self.a), (2, 1, &self.b)] {
            let (port, interface) = (PortId(port), InterfaceId(interface));
            self.mailbox.ask(Command::AddOutput(port, Output::Own(Wire::new(0).tx())));
            self.mailbox.ask(Command::AddInput(Input { port, queue: 0, interface, rx: wire.clone() }));
        }
    }

    /// Replaces where interface b's frames go.
    fn catch_b(&self, room: usize) -> Wire {
        let wire = Wire::new(room);
        self.mailbox.ask(Command::AddOutput(PortId(1), Output::Own(wire.tx())));
        wire
    }

    fn turn(&mut self) -> bool {
        self.worker.turn(Now { milliseconds: 5 })
    }

    fn assert_accounted(&self) {
        let accounting = self.counters.accounting();
        assert!(accounting.holds(), "{accounting:?}");
    }
}

fn batch(objects: &str) -> Batch {
    let put = |object| Operation { operation: Some(operation::Operation::Put(object)) };
    let operations = agent_api::yaml::parse(objects).unwrap().into_iter().map(put).collect();
    Batch { operations, ..Batch::default() }
}

/// From a to b: Ethernet, IPv4, UDP.
fn frame() -> Vec<u8> {
    let mut frame = vec![0x00, 0x00, 0x5e, 0x00, 0x01, 0x00, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0x26, 0xcf, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x12, 0x34, 0, 80, 0, 8, 0, 0]);
    frame
}

#[test]
fn a_frame_is_received_forwarded_and_counted() {
    let mut world = World::with_objects();
    world.plug();
    let out = world.catch_b(1000);
    world.a.put(&frame());
    assert!(world.turn());
    let sent = out.take();
    assert_eq!(sent.len(), 1, "{:?}", world.counters);
    assert_eq!(sent[0].data()[..6], [2, 0, 0, 0, 0, 2]);
    assert_eq!((world.counters.received.get(), world.counters.sent.get()), (1, 1));
    world.assert_accounted();
    assert!(!world.turn(), "nothing more to do");
}

#[test]
fn what_comes_before_the_interface_is_in_the_tables_waits_in_the_device() {
    let mut world = World::new();
    world.plug();
    let out = world.catch_b(1000);
    world.a.put(&frame());
    world.turn();
    assert!(!world.turn());
    assert_eq!(world.counters.received.get(), 0);
    world.apply(OBJECTS);
    assert!(world.turn());
    assert_eq!(out.take().len(), 1);
}

#[test]
fn queues_are_given_back_when_somebody_asks() {
    let mut world = World::with_objects();
    world.plug();
    world.catch_b(1000);
    world.turn();
    let (reply, inputs) = mpsc::channel();
    world.mailbox.ask(Command::RemoveInputs(PortId(0), reply));
    let (reply, output) = mpsc::channel();
    world.mailbox.ask(Command::RemoveOutput(PortId(1), reply));
    world.a.put(&frame());
    world.turn();
    let inputs = inputs.recv().unwrap();
    assert_eq!(inputs.iter().map(|input| input.port).collect::<Vec<_>>(), [PortId(0)]);
    assert!(output.recv().unwrap().is_some());
    assert_eq!(world.counters.received.get(), 0, "it was not polled any more");

    world.b.put(&frame());
    world.turn();
    assert_eq!(world.counters.received.get(), 1, "the other one still is");
    world.assert_accounted();
}

#[test]
fn frames_of_the_control_side_are_sent_as_they_are_or_go_through_the_pipeline() {
    let mut world = World::with_objects();
    world.plug();
    let out = world.catch_b(2);
    let send = |interface, ingress, bytes: &[u8]| {
        let outgoing = Outgoing { interface: InterfaceId(interface), ingress, frame: MemoryBuf::new(bytes) };
        world.mailbox.send(outgoing).unwrap();
    };
    send(2, false, &[1, 2, 3]);
    send(1, true, &frame());
    send(77, false, &[1]);
    send(2, false, &[4, 5, 6]);
    assert!(world.turn());
    let sent = out.take();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].data(), [1, 2, 3]);
    assert_eq!(sent[1].data()[..6], [2, 0, 0, 0, 0, 2]);
    let counters = &world.counters;
    assert_eq!((counters.originated.get(), counters.received.get(), counters.sent.get()), (3, 1, 2));
    let drops = |reason: DropReason| counters.drops[reason as usize].get();
    assert_eq!((drops(DropReason::TxDown), drops(DropReason::TxFull)), (1, 1));
    world.assert_accounted();
}

#[test]
fn a_sleeping_worker_takes_the_newest_tables_before_its_next_packet_and_stops_when_asked() {
    let world = World::new();
    world.plug();
    let out = world.catch_b(1000);
    let World { mut control, mut worker, mailbox, counters, a, .. } = world;
    let thread = thread::spawn(move || {
        worker.run();
        worker
    });
    let wait = |what: &dyn Fn() -> bool| {
        while !what() {
            thread::sleep(Duration::from_micros(50));
        }
    };
    wait(&|| counters.sleep_cycles.get() > 0);
    let result = control.apply(&Owner::peer("test").unwrap(), batch(OBJECTS));
    assert_eq!(result.code, 0, "{}", result.message);
    a.put(&frame());
    wait(&|| counters.sent.get() == 1);
    assert_eq!(out.take().len(), 1);
    assert!(counters.poll_cycles.get() > 0 && counters.work_cycles.get() > 0);
    mailbox.ask(Command::Stop);
    thread.join().unwrap().finish();
}

#[test]
fn an_explanation_knows_what_the_worker_has_said_already() {
    let mut world = World::new();
    world.apply(&OBJECTS.replace(
        "addresses: ['10.0.0.1'],",
        "addresses: ['10.0.0.1'], gateways: ['10.0.0.254'],
     icmp_errors_per_second: 1,",
    ));
    world.plug();
    let mut expired = frame();
    (expired[22], expired[24], expired[25]) = (1, 0x65, 0xcf);
    let told = |world: &mut World| {
        let tables = Arc::clone(world.control.tables());
        let flows = Arc::clone(&world.worker.flows);
        let cx = Context { tables: &tables, flows: &flows, now: Now { milliseconds: 5 } };
        let (reply, memory) = mpsc::channel();
        let recall = |of| {
            world.mailbox.ask(Command::Recall(of, reply.clone()));
            world.turn();
            memory.try_recv().ok()
        };
        let told = crate::datapath::explain(&cx, 1, recall, InterfaceId(1), &expired).unwrap();
        (told.verdict, told.reason, told.packet.is_empty())
    };
    assert_eq!(told(&mut world), ("dropped", "ttl_exceeded", false), "the sender would be told");
    world.a.put(&expired);
    world.turn();
    assert_eq!(world.counters.originated.get(), 1);
    assert_eq!(told(&mut world), ("dropped", "ttl_exceeded", true), "once a second");
    world.assert_accounted();
}
