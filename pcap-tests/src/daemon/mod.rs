//! The real daemon as a [`Backend`]: vrouterd on `net_pcap` ports, programmed over gRPC, fed frame by frame through
//! cables of the kernel. One daemon serves the cases of a group, one after the other: between two of them every
//! object is deleted, and each case's ports are plugged in and out while it runs.

mod neighbour;
mod process;
mod wire;

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use agent_api::v1::{self, Accounting, NeighbourState, Operation, device, key, object, operation};
use anyhow::{Context, Result};

pub(crate) use neighbour::mac;

use crate::{
    case::{self, Case},
    counters::Counters,
    harness::{Backend, Datapath},
};
use neighbour::Neighbour;
use process::{Process, wait_at_most, wait_for};
use wire::Cable;

/// Next hops that make the daemon ask for a case's neighbours have numbers from here on, beyond those of any case.
const ASKING: u32 = 16_000_000;

/// How long a frame that the control thread causes may take: its requests are a second apart.
const LATE: Duration = Duration::from_secs(3);

/// What a case can require that cables of the kernel do not have: they carry no frame without an Ethernet header.
pub const SHORT_FRAMES: &str = "short_frames";

/// Starts daemons, one for each group of cases.
#[derive(Debug)]
pub struct Daemons {
    program: PathBuf,
    current: Option<Current>,
    cables: Vec<Cable>,
}

#[derive(Debug)]
struct Current {
    group: String,
    process: Process,
}

impl Daemons {
    /// Daemons of this program. Moves the calling thread into a network namespace of its own, for good.
    ///
    /// # Errors
    /// Without the right to (root).
    pub fn new(program: PathBuf) -> Result<Self> {
        wire::leave_network()?;
        Ok(Self { program, current: None, cables: Vec::new() })
    }

    /// Ends the last daemon.
    ///
    /// # Errors
    /// One that does not end well.
    pub fn stop(&mut self) -> Result<()> {
        self.current.take().map_or(Ok(()), |current| current.process.stop())
    }

    /// A daemon without objects for this case's group.
    fn process(&mut self, case: &Case) -> Result<&mut Process> {
        if self.current.as_ref().is_none_or(|current| current.group != case.group) {
            self.stop()?;
            let process = Process::start(&self.program, case.about.seed)?;
            self.current = Some(Current { group: case.group.clone(), process });
        }
        self.running()
    }

    fn running(&mut self) -> Result<&mut Process> {
        Ok(&mut self.current.as_mut().context("no daemon runs")?.process)
    }
}

impl Backend for Daemons {
    type Datapath<'a> = Running<'a>;

    fn provides(&self, requirement: &str) -> bool {
        requirement != SHORT_FRAMES
    }

    fn start(&mut self, case: &Case) -> Result<Running<'_>> {
        let process = self.process(case)?;
        process.clear()?;
        // What the last case left waiting goes with its interfaces.
        let mut base = Accounting::default();
        wait_for("packets of the last case to end", || {
            base = process.accounting()?;
            Ok(base.held == 0 && balances(&base))
        })?;
        for cable in &mut self.cables {
            while cable.receive()?.is_some() {}
        }
        Ok(Running {
            daemons: self,
            ports: Vec::new(),
            base,
            injected: 0,
            taken: 0,
            before: 0,
            output: Vec::new(),
            start: None,
            asynchronous: case.about.requires.iter().any(|requirement| requirement == "control"),
            departures: case.departures.values().flatten().copied().collect(),
        })
    }
}

/// A daemon with the objects of one case.
#[derive(Debug)]
pub struct Running<'a> {
    daemons: &'a mut Daemons,
    /// Interfaces by the number of their cable.
    ports: Vec<Port>,
    /// The accounting when the case began.
    base: Accounting,
    /// Frames that the daemon was given since.
    injected: u64,
    /// Frames that it sent since.
    taken: u64,
    /// Those of them that left before the first packet of the case.
    before: u64,
    /// Those that the harness has not seen yet.
    output: Vec<(String, Vec<u8>)>,
    /// When the case's own clock began.
    start: Option<Instant>,
    /// The control thread has a part in it, so what a frame causes may come later.
    asynchronous: bool,
    /// When each frame is to leave, in no order.
    departures: Vec<Duration>,
}

#[derive(Debug)]
struct Port {
    id: u32,
    name: String,
}

impl Running<'_> {
    /// The cable of the interface with this number; a new one gets the next.
    fn cable_of(&mut self, interface: &v1::Interface) -> Result<usize> {
        if let Some(known) = self.ports.iter().position(|port| port.id == interface.id) {
            return Ok(known);
        }
        let number = self.ports.len();
        self.ports.push(Port { id: interface.id, name: interface.name.clone() });
        if number == self.daemons.cables.len() {
            self.daemons.cables.push(Cable::lay(number)?);
        }
        Ok(number)
    }

    fn cable(&self, name: &str) -> Result<usize> {
        self.ports.iter().position(|port| port.name == name).with_context(|| format!("no interface {name}"))
    }

    /// A case's interfaces have no device: here a port is `net_pcap` on the end of a cable.
    fn with_device(&mut self, mut operation: Operation) -> Result<Operation> {
        if let Some(operation::Operation::Put(object)) = &mut operation.operation
            && let Some(object::Object::Interface(interface)) = &mut object.object
        {
            let end = self.cable_of(interface)?;
            let end = self.daemons.cables.get(end).context("every port has a cable")?.end.clone();
            let pcap =
                v1::PcapDevice { rx_interface: end.clone(), tx_interface: end, ..v1::PcapDevice::default() };
            interface.device = Some(v1::Device { kind: Some(device::Kind::Pcap(pcap)), queues: 0 });
        }
        Ok(operation)
    }

    fn send(&mut self, cable: usize, frame: &[u8]) -> Result<()> {
        self.daemons.cables.get(cable).context("every port has a cable")?.send(frame)?;
        self.injected += 1;
        Ok(())
    }

    /// Waits until the case's own clock shows `to`.
    fn sleep_until(&mut self, to: Duration) {
        let start = *self.start.get_or_insert_with(Instant::now);
        thread::sleep(to.saturating_sub(start.elapsed()));
    }

    /// Takes what has left until now.
    fn drain(&mut self) -> Result<()> {
        for (cable, port) in self.daemons.cables.iter_mut().zip(&self.ports) {
            while let Some(frame) = cable.receive()? {
                self.taken += 1;
                self.output.push((port.name.clone(), frame));
            }
        }
        Ok(())
    }

    /// Waits until every frame has been dealt with and all that was sent is here.
    fn settle(&mut self) -> Result<()> {
        let mut seen = Accounting::default();
        let settled = wait_for("the daemon to deal with its frames", || {
            self.drain()?;
            seen = self.daemons.running()?.accounting()?;
            Ok(seen.received == self.base.received + self.injected
                && seen.sent == self.base.sent + self.taken
                && balances(&seen))
        });
        settled.with_context(|| format!("{} in and {} out, but {seen:?}", self.injected, self.taken))
    }

    /// Waits for the frames that are to have left because of what happened until `at`.
    fn expect(&mut self, at: Duration) {
        let due = self.departures.iter().filter(|departure| **departure <= at).count() as u64;
        // Whatever is missing for good is told by the comparison.
        let _late = wait_at_most(LATE, "frames that the control thread causes", || {
            self.drain()?;
            Ok(self.taken - self.before >= due)
        });
    }

    /// Lets neighbours answer until the daemon knows them all.
    fn introduce(&mut self, neighbours: &[Neighbour]) -> Result<()> {
        let mut looked_at = 0;
        wait_for("neighbours to be known", || {
            self.drain()?;
            let asked = self.output.split_off(looked_at);
            for (interface, frame) in asked {
                let mut others = neighbours.iter().filter(|neighbour| neighbour.interface == interface);
                if let Some(answer) = others.find_map(|neighbour| neighbour.answer(&frame)) {
                    let cable = self.cable(&interface)?;
                    self.send(cable, &answer)?;
                }
                self.output.push((interface, frame));
                looked_at += 1;
            }
            let known = self.daemons.running()?.neighbours()?;
            let is_known = |neighbour: &Neighbour| {
                let address = neighbour.address.to_string();
                known.iter().any(|one| one.address == address && one.state() == NeighbourState::Reachable)
            };
            Ok(neighbours.iter().all(is_known))
        })
    }
}

impl Datapath for Running<'_> {
    fn apply(&mut self, operations: &[Operation]) -> Result<()> {
        let operations: Result<_> =
            operations.iter().map(|operation| self.with_device(operation.clone())).collect();
        self.daemons.running()?.apply(operations?)
    }

    /// The API knows no static neighbours: they are asked for on behalf of a next hop of this harness, and answer.
    fn install_neighbours(&mut self, neighbours: &[case::Neighbour]) -> Result<()> {
        let neighbours: Vec<_> = neighbours.iter().map(Neighbour::new).collect::<Result<_>>()?;
        let mut asking = Vec::new();
        for (id, neighbour) in (ASKING..).zip(&neighbours) {
            let cable = self.cable(&neighbour.interface)?;
            let to = v1::InterfaceNextHop {
                interface: self.ports.get(cable).context("every port has a cable")?.id,
                address: neighbour.address.to_string(),
            };
            let kind = Some(v1::next_hop::Kind::Interface(to));
            asking.push(v1::NextHop { id, kind, ..v1::NextHop::default() });
        }
        let put = |hop: &v1::NextHop| {
            operation::Operation::Put(v1::Object { object: Some(object::Object::NextHop(hop.clone())) })
        };
        let delete = |hop: &v1::NextHop| {
            operation::Operation::Delete(v1::Key { key: Some(key::Key::NextHop(hop.id)) })
        };
        let batch = |one: &dyn Fn(&v1::NextHop) -> operation::Operation| -> Vec<Operation> {
            asking.iter().map(|hop| Operation { operation: Some(one(hop)) }).collect()
        };
        if !neighbours.is_empty() {
            self.apply(&batch(&put))?;
            self.introduce(&neighbours)?;
            self.apply(&batch(&delete))?;
        }
        // Tunnels whose neighbours are nobody's ask, too, and are asked once before the case begins.
        let asked = self.daemons.running()?.neighbours()?;
        let asked = asked.iter().filter(|one| one.state() == NeighbourState::Incomplete).count();
        wait_for("unanswered requests", || {
            self.drain()?;
            Ok(self.taken >= asked as u64)
        })?;
        self.settle()?;
        self.before = self.taken;
        Ok(())
    }

    fn inject(&mut self, interface: &str, frame: &[u8], at: Duration) -> Result<()> {
        self.sleep_until(at);
        let cable = self.cable(interface)?;
        self.send(cable, frame)?;
        self.settle()?;
        if self.asynchronous {
            self.expect(at);
        }
        self.settle()
    }

    /// A daemon's time is the real one.
    fn advance(&mut self, to: Duration) -> Result<()> {
        self.sleep_until(to);
        if self.asynchronous {
            self.expect(to);
        }
        self.settle()
    }

    fn take_output(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
        self.drain()?;
        Ok(std::mem::take(&mut self.output))
    }

    fn is_stepwise(&self) -> bool {
        !self.asynchronous
    }

    fn counters(&mut self) -> Result<Counters> {
        Ok(Counters::from_stats(&self.daemons.running()?.stats()?))
    }
}

fn balances(a: &Accounting) -> bool {
    a.received + a.originated + a.copied == a.sent + a.consumed + a.punted + a.held + a.dropped
}
