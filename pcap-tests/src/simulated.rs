//! The datapath without DPDK: control side and one worker in this process.

use std::{net::IpAddr, time::Duration};

use agent_api::v1::Operation;
use anyhow::{Context, Result, ensure};
use packet::{InterfaceId, MemoryBuf};
use vrouter::datapath::Explanation;
use vrouter::simulator::{Simulator, Size};

use crate::{
    case::{Case, Neighbour},
    counters::Counters,
    daemon::mac,
    harness::{Backend, Datapath},
};

/// Makes simulated vRouters.
#[derive(Debug, Default)]
pub struct Simulated;

impl Backend for Simulated {
    type Datapath<'a> = World;

    fn provides(&self, requirement: &str) -> bool {
        requirement != "control"
    }

    fn start(&mut self, case: &Case) -> Result<World> {
        let simulator = Simulator::new(u64::from(case.about.seed), Size::default())?;
        let start = simulator.milliseconds();
        Ok(World { simulator, start })
    }
}

/// One simulated vRouter.
#[derive(Debug)]
pub struct World {
    simulator: Simulator,
    start: u64,
}

impl World {
    fn interface(&self, name: &str) -> Result<InterfaceId> {
        self.simulator.interface(name).with_context(|| format!("no interface {name}"))
    }
}

impl World {
    /// What would happen to a frame that came in now.
    ///
    /// # Errors
    /// An interface that does not exist.
    pub fn explain(&self, interface: &str, frame: &[u8]) -> Result<Explanation> {
        let interface = self.interface(interface)?;
        self.simulator.explain(interface, frame).context("memory for an explanation")
    }

    /// The name of an interface.
    #[must_use]
    pub fn name(&self, id: InterfaceId) -> String {
        self.simulator.tables().interface(id).map_or_else(String::new, |row| row.name.to_string())
    }
}

impl Datapath for World {
    fn apply(&mut self, operations: &[Operation]) -> Result<()> {
        let operations = operations.iter().cloned().map(with_device).collect();
        let result = self.simulator.apply(operations);
        ensure!(result.code == 0, "{} ({:?} {})", result.message, result.object, result.field);
        Ok(())
    }

    fn install_neighbours(&mut self, neighbours: &[Neighbour]) -> Result<()> {
        for neighbour in neighbours {
            let interface = self.interface(&neighbour.interface)?;
            let address: IpAddr = neighbour.address.parse()?;
            self.simulator.install_neighbour(interface, address, mac(&neighbour.mac)?);
        }
        Ok(())
    }

    fn inject(&mut self, interface: &str, frame: &[u8], at: Duration) -> Result<()> {
        self.advance(at)?;
        let interface = self.interface(interface)?;
        self.simulator.inject(interface, [MemoryBuf::with_tailroom(frame, 2048)]);
        Ok(())
    }

    fn advance(&mut self, to: Duration) -> Result<()> {
        let to = self.start + u64::try_from(to.as_millis())?;
        self.simulator.advance(to.saturating_sub(self.simulator.milliseconds()));
        Ok(())
    }

    fn take_output(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
        let frames = self.simulator.take_output();
        let tables = self.simulator.tables();
        let name = |id| tables.interface(id).map_or_else(String::new, |interface| interface.name.to_string());
        Ok(frames.into_iter().map(|(id, frame)| (name(id), frame)).collect())
    }

    fn counters(&mut self) -> Result<Counters> {
        let mut counters = Counters::default();
        let accounting = self.simulator.accounting();
        counters.add_accounting(&agent_api::v1::Accounting {
            received: accounting.received,
            originated: accounting.originated,
            copied: accounting.copied,
            sent: accounting.sent,
            consumed: accounting.consumed,
            punted: accounting.punted,
            held: accounting.held,
            dropped: accounting.dropped,
        });
        for (reason, count) in self.simulator.drops() {
            counters.add(&format!("drops.{}", reason.name()), count);
        }
        for (_, interface) in self.simulator.tables().interfaces.iter() {
            for block in interface.counters.iter() {
                let dropped = block.drops.iter().map(sync::Counter::get).sum();
                for (name, count) in [
                    ("rx_packets", block.rx_packets.get()),
                    ("rx_bytes", block.rx_bytes.get()),
                    ("tx_packets", block.tx_packets.get()),
                    ("tx_bytes", block.tx_bytes.get()),
                    ("dropped", dropped),
                ] {
                    counters.add(&format!("interfaces.{}.{name}", interface.name), count);
                }
            }
        }
        Ok(counters)
    }
}

/// A case's interfaces have no device: here a port is a list of frames.
fn with_device(mut operation: Operation) -> Operation {
    use agent_api::v1::{Device, NullDevice, device, object, operation};
    if let Some(operation::Operation::Put(object)) = &mut operation.operation
        && let Some(object::Object::Interface(interface)) = &mut object.object
    {
        interface.device.get_or_insert(Device { kind: Some(device::Kind::Null(NullDevice {})), queues: 0 });
    }
    operation
}
