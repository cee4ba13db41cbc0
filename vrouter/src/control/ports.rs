//! Devices as the control side sees them.

use std::sync::Arc;

use agent_api::v1;
use packet::{InterfaceId, PortId};

use crate::tables::InterfaceCounters;

/// What a device is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PortRequest<'a> {
    /// The interface it will stand behind.
    pub interface: InterfaceId,
    /// The interface's name.
    pub name: &'a str,
    /// The device, checked.
    pub device: &'a v1::Device,
    /// L3 MTU in bytes.
    pub mtu: u16,
    /// The MAC it should have; `None` = its own. The MAC of a VIRTUAL interface is its workload's and not asked for.
    pub mac: Option<[u8; 6]>,
}

/// A device that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedPort {
    /// Its number.
    pub port: PortId,
    /// Its MAC.
    pub mac: [u8; 6],
    /// The driver's name.
    pub driver: String,
}

/// Whether a device can carry packets now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Packets can be sent and received.
    pub up: bool,
    /// If not, why.
    pub reason: String,
}

/// The devices of this process. Called by the control thread only.
pub trait Ports: Send {
    /// Opens and starts a device. Nothing is left behind on failure, but for one thing: the socket of a virtio-user
    /// server whose peer has not come stays for a minute, for the peer to find it before the next attempt.
    ///
    /// # Errors
    /// Why not, and what to do, in one sentence.
    fn attach(&mut self, request: &PortRequest<'_>) -> Result<AttachedPort, String>;

    /// Changes MTU and MAC of a device that is in use.
    ///
    /// # Errors
    /// Why not; the device is as it was.
    fn configure(&mut self, port: PortId, mtu: u16, mac: Option<[u8; 6]>) -> Result<AttachedPort, String>;

    /// Stops and closes a device that no worker uses any more.
    fn detach(&mut self, port: PortId);

    /// Whether the device can carry packets.
    fn link(&mut self, port: PortId) -> Link;

    /// Lets go of what refused devices left behind, if nobody has asked for them again. Called whenever links are
    /// looked at.
    fn forget_abandoned(&mut self) {}

    /// Which worker serves which receive queue.
    fn queues(&self, port: PortId) -> Vec<v1::QueueAssignment>;
}

/// A port behind an interface.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    pub(crate) port: AttachedPort,
    pub(crate) link: Link,
    /// Filled in for lists only.
    pub(crate) queues: Vec<v1::QueueAssignment>,
    /// They outlive every row of the interface.
    pub(crate) counters: Arc<InterfaceCounters>,
}

/// Ports of plain memory: whatever is asked for is there. Numbers are given in order and used again.
#[derive(Clone, Debug, Default)]
pub struct MemoryPorts {
    ports: Vec<Option<InterfaceId>>,
    /// Devices that refuse to come, by interface name: why.
    pub refuse: std::collections::BTreeMap<String, String>,
}

impl MemoryPorts {
    /// How many ports are attached.
    #[must_use]
    pub fn attached(&self) -> usize {
        self.ports.iter().flatten().count()
    }
}

impl Ports for MemoryPorts {
    fn attach(&mut self, request: &PortRequest<'_>) -> Result<AttachedPort, String> {
        if let Some(reason) = self.refuse.get(request.name) {
            return Err(reason.clone());
        }
        let free = self.ports.iter().position(Option::is_none).unwrap_or(self.ports.len());
        let port = PortId(u16::try_from(free).map_err(|_| "65536 ports are open already")?);
        self.ports.resize(self.ports.len().max(free + 1), None);
        self.ports[free] = Some(request.interface);
        let [high, low] = request.interface.0.to_be_bytes();
        let mac = request.mac.unwrap_or([2, 0, 0, 0xfa, high, low]);
        Ok(AttachedPort { port, mac, driver: "memory".to_owned() })
    }

    fn configure(&mut self, port: PortId, _mtu: u16, mac: Option<[u8; 6]>) -> Result<AttachedPort, String> {
        let interface = self.ports.get(port.index()).copied().flatten().ok_or("no such port")?;
        let [high, low] = interface.0.to_be_bytes();
        let mac = mac.unwrap_or([2, 0, 0, 0xfa, high, low]);
        Ok(AttachedPort { port, mac, driver: "memory".to_owned() })
    }

    fn detach(&mut self, port: PortId) {
        if let Some(slot) = self.ports.get_mut(port.index()) {
            *slot = None;
        }
    }

    fn link(&mut self, port: PortId) -> Link {
        match self.ports.get(port.index()) {
            Some(Some(_)) => Link { up: true, reason: String::new() },
            _ => Link { up: false, reason: "detached".to_owned() },
        }
    }

    fn queues(&self, _port: PortId) -> Vec<v1::QueueAssignment> {
        vec![v1::QueueAssignment { queue: 0, worker: 0 }]
    }
}
