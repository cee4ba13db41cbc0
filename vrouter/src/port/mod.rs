//! Ports: devices that come and go while packets flow, and whose queues the workers hold.
//!
//! A device is attached, configured and started by the control thread, which then hands each queue to a
//! worker. On the way back the workers return them first (they look at their mailboxes between bursts),
//! and the device is closed here, so that no worker ever waits for a driver.

mod assign;
mod device;
mod io;

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use agent_api::v1;
use dpdk::{Device, DeviceKind, Eal, Mempool, Offloads, Port, PortConfig, PortError, Queues};
use packet::{InterfaceId, PortId};

pub use assign::Assignments;
pub use device::Allowed;
pub use io::{Dpdk, LeftChecksums, Pool, Receiver};

use crate::control::{AttachedPort, Link, PortRequest, Ports};
use crate::worker::{Command, Handoff, Input, Mailbox, Output};

/// How long a worker may take to give a queue back before the device is left to it.
const PATIENCE: Duration = Duration::from_secs(5);

/// All devices of this process.
#[derive(Debug)]
pub struct DpdkPorts {
    eal: Eal,
    pool: Mempool,
    allowed: Allowed,
    workers: Vec<Arc<Mailbox<Dpdk>>>,
    /// Receive queues that each worker polls.
    load: Vec<usize>,
    ports: BTreeMap<PortId, Attached>,
    assignments: Arc<Assignments>,
}

/// A port whose queues the workers have.
#[derive(Debug)]
struct Attached {
    port: Port,
    /// By receive queue: its worker.
    receivers: Vec<usize>,
    /// By worker: its transmit queue, and whether it owns it.
    senders: Vec<(usize, bool)>,
}

impl DpdkPorts {
    /// No devices yet. Packets are received into `pool`; queues go to the `workers`.
    #[must_use]
    pub fn new(eal: Eal, pool: Mempool, allowed: Allowed, workers: Vec<Arc<Mailbox<Dpdk>>>) -> Self {
        let load = vec![0; workers.len()];
        Self { eal, pool, allowed, workers, load, ports: BTreeMap::new(), assignments: Arc::default() }
    }

    /// Who polls what, for whoever shows it.
    #[must_use]
    pub fn assignments(&self) -> Arc<Assignments> {
        Arc::clone(&self.assignments)
    }

    fn open(&self, request: &PortRequest<'_>) -> Result<(Port, Queues, AttachedPort), String> {
        let device = device::device(request.device, &self.allowed)?;
        let mut port = self.eal.attach(&device).map_err(|error| error.to_string())?;
        let offloads = offloads(&device);
        let config = PortConfig { mtu: Some(request.mtu), offloads, ..PortConfig::default() };
        port.configure(&config, &self.pool).map_err(explain)?;
        if let Some(mac) = request.mac {
            set_mac(&mut port, mac)?;
        }
        let attached = describe(&port, request.mac)?;
        let queues = port.start().map_err(|error| error.to_string())?;
        Ok((port, queues, attached))
    }

    /// Hands every queue to its worker: first the ways out, then what brings packets.
    fn hand_out(
        &mut self,
        id: PortId,
        interface: InterfaceId,
        queues: Queues,
        left: LeftChecksums,
    ) -> (Vec<usize>, Vec<(usize, bool)>) {
        let receivers = assign::receivers(queues.rx.len(), &mut self.load);
        let senders = assign::senders(queues.tx.len(), self.workers.len(), &receivers);
        let shared = |queue: usize| senders.iter().any(|&(other, owns)| other == queue && !owns);
        let handoffs: Vec<Option<Arc<Handoff<_>>>> =
            (0..queues.tx.len()).map(|queue| shared(queue).then(Arc::default)).collect();
        let mut tx: Vec<_> = queues.tx.into_iter().map(Some).collect();
        for (mailbox, &(queue, owns)) in self.workers.iter().zip(&senders) {
            let handoff = handoffs.get(queue).cloned().flatten();
            let own = if owns { tx.get_mut(queue).and_then(Option::take) } else { None };
            let output = match (own, handoff) {
                (Some(tx), None) => Output::Own(tx),
                (Some(tx), Some(handoff)) => Output::Shared(tx, handoff),
                (None, Some(handoff)) => Output::Through(handoff),
                (None, None) => continue,
            };
            mailbox.ask(Command::AddOutput(id, output));
        }
        for (rx, &worker) in queues.rx.into_iter().zip(&receivers) {
            let rx = Receiver::new(rx, left);
            let queue = rx.number();
            if let Some(mailbox) = self.workers.get(worker) {
                mailbox.ask(Command::AddInput(Input { port: id, queue, interface, rx }));
            }
        }
        (receivers, senders)
    }

    /// Takes every queue back and closes them; `false` if a worker kept one.
    fn take_back(&self, id: PortId, attached: &Attached) -> bool {
        let asked: Vec<_> = self
            .workers
            .iter()
            .enumerate()
            .filter(|(worker, _)| attached.receivers.contains(worker))
            .map(|(_, mailbox)| {
                let (reply, answer) = mpsc::channel();
                mailbox.ask(Command::RemoveInputs(id, reply));
                answer
            })
            .collect();
        let mut complete = asked.into_iter().all(|answer| answer.recv_timeout(PATIENCE).is_ok());
        // Those who send through another worker stop before that worker does.
        for owners in [false, true] {
            let asked: Vec<_> = self
                .workers
                .iter()
                .zip(&attached.senders)
                .filter(|(_, (_, owns))| *owns == owners)
                .map(|(mailbox, _)| {
                    let (reply, answer) = mpsc::channel();
                    mailbox.ask(Command::RemoveOutput(id, reply));
                    answer
                })
                .collect();
            complete &= asked.into_iter().all(|answer| answer.recv_timeout(PATIENCE).is_ok());
        }
        complete
    }
}

impl Ports for DpdkPorts {
    fn attach(&mut self, request: &PortRequest<'_>) -> Result<AttachedPort, String> {
        let (port, queues, attached) = self.open(request)?;
        tracing::info!(
            interface = request.name,
            device = %port.device(),
            port = port.id(),
            driver = attached.driver,
            queues = queues.rx.len(),
            "port attached"
        );
        let (receivers, senders) =
            self.hand_out(attached.port, request.interface, queues, left_checksums(port.device()));
        self.assignments.add(attached.port, request.interface, &receivers);
        self.ports.insert(attached.port, Attached { port, receivers, senders });
        Ok(attached)
    }

    fn configure(&mut self, id: PortId, mtu: u16, mac: Option<[u8; 6]>) -> Result<AttachedPort, String> {
        let attached = self.ports.get_mut(&id).ok_or("the device is gone")?;
        let before = attached.port.mtu().map_err(|error| error.to_string())?;
        if mtu != before {
            set_mtu(&mut attached.port, mtu)?;
        }
        let changed = mac.map_or(Ok(()), |mac| set_mac(&mut attached.port, mac));
        if let Err(reason) = changed {
            if let Err(error) = set_mtu(&mut attached.port, before) {
                tracing::error!(port = id.0, error, "the MTU cannot be set back");
            }
            return Err(reason);
        }
        describe(&attached.port, mac)
    }

    fn detach(&mut self, id: PortId) {
        let Some(attached) = self.ports.remove(&id) else { return };
        self.assignments.remove(id);
        for &worker in &attached.receivers {
            if let Some(load) = self.load.get_mut(worker) {
                *load -= 1;
            }
        }
        if !self.take_back(id, &attached) {
            tracing::error!(
                port = id.0,
                "a worker keeps a queue of a removed device: it is closed when the worker lets go"
            );
        }
        let device = attached.port.device().to_string();
        match attached.port.detach() {
            Ok(()) => tracing::info!(port = id.0, device, "port detached"),
            Err(error) => tracing::error!(port = id.0, %error, "the device was not closed"),
        }
    }

    fn link(&mut self, id: PortId) -> Link {
        let Some(attached) = self.ports.get(&id) else {
            return Link { up: false, reason: "the device is gone".to_owned() };
        };
        match attached.port.link() {
            Ok(link) if link.up => Link { up: true, reason: String::new() },
            Ok(_) => Link { up: false, reason: down_because(attached.port.device()).to_owned() },
            Err(error) => Link { up: false, reason: error.to_string() },
        }
    }

    fn forget_abandoned(&mut self) {
        self.eal.forget_abandoned();
    }

    fn queues(&self, id: PortId) -> Vec<v1::QueueAssignment> {
        let receivers = self.ports.get(&id).map_or(&[][..], |attached| &attached.receivers);
        let assignment = |(queue, worker): (usize, &usize)| v1::QueueAssignment {
            queue: u32::try_from(queue).unwrap_or(u32::MAX),
            worker: u32::try_from(*worker).unwrap_or(u32::MAX),
        };
        receivers.iter().enumerate().map(assignment).collect()
    }
}

impl Drop for DpdkPorts {
    fn drop(&mut self) {
        while let Some(&id) = self.ports.keys().next() {
            self.detach(id);
        }
    }
}

/// What control wants to know of a port. Devices that carry whatever is sent have the MAC asked for; one that they
/// show is made up by their driver.
fn describe(port: &Port, wanted: Option<[u8; 6]>) -> Result<AttachedPort, String> {
    let driver = port.info().map_err(|error| error.to_string())?.driver;
    let own = port.mac().map_err(|error| error.to_string())?;
    let given = wanted.filter(|_| own == [0; 6] || !is_real(port.device()));
    let mac = given.unwrap_or(own);
    Ok(AttachedPort { port: PortId(port.id()), mac, driver })
}

/// Kernel interfaces and network cards have a MAC and an MTU; others carry whatever is sent.
fn is_real(device: &Device) -> bool {
    matches!(
        device.kind,
        DeviceKind::Pci { .. }
            | DeviceKind::Tap { .. }
            | DeviceKind::AfPacket { .. }
            | DeviceKind::AfXdp { .. }
    )
}

/// What comes of checksums that somebody left to the device.
const fn left_checksums(device: &Device) -> LeftChecksums {
    match device.kind {
        DeviceKind::AfPacket { .. } => LeftChecksums::Silent,
        DeviceKind::VhostUser { .. } => LeftChecksums::Named,
        _ => LeftChecksums::Completed,
    }
}

/// What the driver is asked to leave to us: that of vhost-user would complete the checksum of a super-frame that is cut
/// afterwards.
const fn offloads(device: &Device) -> Offloads {
    match left_checksums(device) {
        LeftChecksums::Named => Offloads::RX_L4_CHECKSUM,
        LeftChecksums::Completed | LeftChecksums::Silent => Offloads::empty(),
    }
}

fn set_mac(port: &mut Port, mac: [u8; 6]) -> Result<(), String> {
    match port.set_mac(mac) {
        Err(PortError::Driver { .. }) if !is_real(port.device()) => Ok(()),
        result => result.map_err(|error| error.to_string()),
    }
}

fn set_mtu(port: &mut Port, mtu: u16) -> Result<(), String> {
    match port.set_mtu(mtu) {
        Err(PortError::Driver { .. }) if !is_real(port.device()) => Ok(()),
        result => result.map_err(explain),
    }
}

/// An error with what to do about it.
fn explain(error: PortError) -> String {
    match &error {
        PortError::Invalid { field: "mtu", .. } => {
            format!("{error}; memory.frame of the configuration is the longest frame")
        }
        _ => error.to_string(),
    }
}

/// What a link that is down means for this kind of device.
fn down_because(device: &Device) -> &'static str {
    match device.kind {
        DeviceKind::Memif { .. } | DeviceKind::VhostUser { .. } | DeviceKind::VirtioUser { .. } => {
            "no peer is connected"
        }
        DeviceKind::Tap { .. }
        | DeviceKind::AfPacket { .. }
        | DeviceKind::AfXdp { .. }
        | DeviceKind::Pcap { .. } => "the kernel interface is down, has no carrier or is gone",
        DeviceKind::Pci { .. } => "no carrier",
        DeviceKind::Ring { .. } | DeviceKind::Null { .. } => "the device is stopped",
    }
}
