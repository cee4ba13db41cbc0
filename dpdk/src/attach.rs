//! Devices come and go while the process runs.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use dpdk_sys as sys;

use crate::devargs::{DevArgs, devargs};
use crate::device::{Device, DeviceKind};
use crate::eal::Eal;
use crate::error::DeviceError;
use crate::log;
use crate::port::{Port, Shared};
use crate::ring::{End, Wires};
use crate::socket::{self, Placeholder};

/// How long a virtio-user server waits for a peer that it has turned away once: peers try once a second.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the socket of a virtio-user server is kept after the last attempt to attach it.
const ABANDONED: Duration = Duration::from_secs(60);

/// What is attached. Locked while a device is attached, set up, started, stopped or detached: drivers share
/// threads and descriptors, and not all of them stand two such calls at once.
#[derive(Default)]
pub(crate) struct Attached {
    /// For the next device's name.
    next: u32,
    names: HashSet<CString>,
    /// Paths that devices listen on; one entry per device.
    listening: Vec<String>,
    /// Paths of memif clients; one entry per device.
    memif_clients: Vec<String>,
    /// Virtio-user servers whose peer has not come yet, by path, and when they were last tried.
    waiting: HashMap<String, (Placeholder, Instant)>,
    wires: Wires,
}

/// An attached device as DPDK knows it.
#[derive(Debug)]
pub(crate) struct Plugged {
    pub(crate) id: u16,
    /// Unique in the process.
    pub(crate) number: u32,
    bus: &'static CStr,
    name: CString,
    pub(crate) end: Option<End>,
    listens_on: Option<String>,
    memif_client_of: Option<String>,
}

impl Eal {
    /// Attaches a device while packets flow through others. It is not configured yet.
    ///
    /// A left-over socket of a server that is gone is removed; one that somebody listens on is not.
    ///
    /// # Errors
    /// A [`DeviceError`] that names the parameter or gives the driver's reason; nothing is left behind.
    pub fn attach(&self, device: &Device) -> Result<Port, DeviceError> {
        device.validate()?;
        device.check_present()?;
        let mut attached = self.attached();
        if attached.names.len() >= usize::from(Self::max_ports()) {
            let reason =
                format!("all {} ports that this build of DPDK has room for are in use", Self::max_ports());
            return Err(DeviceError::Attach { device: device.to_string(), reason });
        }
        attached.refuse_both_ends_of_memif(device)?;
        let listens_on = attached.prepare_socket(device)?;
        let memif_client_of = match &device.kind {
            DeviceKind::Memif { server: false, socket, .. } => Some(socket.clone()),
            _ => None,
        };
        let number = attached.next;
        attached.next = attached.next.wrapping_add(1);
        let plugged = match &device.kind {
            DeviceKind::Ring { name } => {
                let end = attached.wires.occupy(self, name, device.queues, number)?;
                let (id, name) = end.make_port(number)?;
                Plugged { id, number, bus: c"vdev", name, end: Some(end), listens_on, memif_client_of }
            }
            _ => {
                let DevArgs { bus, name, arguments } = devargs(device, number)?;
                if attached.names.contains(&name) {
                    return Err(DeviceError::unavailable("pci.address", "is attached already"));
                }
                let id = match (&device.kind, &listens_on) {
                    (DeviceKind::VirtioUser { .. }, Some(path)) => {
                        let (id, gave_up) =
                            socket::with_patience(path, PATIENCE, || plug(device, bus, &name, &arguments));
                        if gave_up {
                            drop(socket::remove(path));
                            return Err(DeviceError::NoPeer { device: device.to_string() });
                        }
                        id?
                    }
                    _ => plug(device, bus, &name, &arguments)?,
                };
                Plugged { id, number, bus, name, end: None, listens_on, memif_client_of }
            }
        };
        attached.names.insert(plugged.name.clone());
        attached.listening.extend(plugged.listens_on.clone());
        attached.memif_clients.extend(plugged.memif_client_of.clone());
        Ok(Port::new(Shared::new(self, device, plugged)))
    }

    /// Stops waiting for the peers of virtio-user servers that nobody has tried to attach for a minute: their sockets
    /// go, and the paths are free. Call it now and then.
    pub fn forget_abandoned(&self) {
        self.attached().forget_abandoned(Instant::now());
    }

    /// Stops waiting for the peer of a device that [`Eal::attach`] refused with
    /// [`DeviceError::NoPeer`]; its socket goes.
    pub fn forget(&self, device: &Device) {
        if let Some((_, path, true)) = device.socket() {
            self.attached().waiting.remove(path);
        }
    }
}

impl Attached {
    /// The driver knows sockets by their path, whichever end it is, and mixes them up.
    fn refuse_both_ends_of_memif(&self, device: &Device) -> Result<(), DeviceError> {
        let DeviceKind::Memif { server, socket, .. } = &device.kind else { return Ok(()) };
        let other_end = if *server { &self.memif_clients } else { &self.listening };
        if other_end.contains(socket) {
            let reason = "the other end is in this process: use a ring";
            return Err(DeviceError::unavailable("memif.socket", format!("{socket}: {reason}")));
        }
        Ok(())
    }

    /// Makes the path free that the device is to listen on, if it is, and returns it.
    fn prepare_socket(&mut self, device: &Device) -> Result<Option<String>, DeviceError> {
        let Some((field, path, true)) = device.socket() else { return Ok(None) };
        match device.kind {
            // Servers of one process share a socket, told apart by their ids.
            DeviceKind::Memif { .. } if self.listening.iter().any(|other| other == path) => {}
            // The driver waits for its peer with everything locked: call it when there is one.
            DeviceKind::VirtioUser { .. } => {
                let placeholder = match self.waiting.remove(path) {
                    Some((placeholder, _)) => placeholder,
                    None => Placeholder::new(field, path)?,
                };
                if !placeholder.peer_came() {
                    self.waiting.insert(path.to_owned(), (placeholder, Instant::now()));
                    return Err(DeviceError::NoPeer { device: device.to_string() });
                }
            }
            _ => {
                // Whoever asked for a virtio-user server here wants another device now.
                self.waiting.remove(path);
                socket::make_free(field, path)?;
            }
        }
        Ok(Some(path.to_owned()))
    }

    fn forget_abandoned(&mut self, now: Instant) {
        self.waiting.retain(|_, (_, tried)| now.saturating_duration_since(*tried) < ABANDONED);
    }
}

fn plug(device: &Device, bus: &CStr, name: &CStr, arguments: &CStr) -> Result<u16, DeviceError> {
    let failed = |reason| DeviceError::Attach { device: device.to_string(), reason };
    let mark = log::Mark::now();
    // SAFETY: charter 5; the EAL is started and `Attached` is locked.
    let code = unsafe { sys::rte_eal_hotplug_add(bus.as_ptr(), name.as_ptr(), arguments.as_ptr()) };
    // A PCI device may have been probed when the EAL started.
    if code < 0 && code != -libc::EEXIST {
        return Err(failed(mark.reason(code)));
    }
    let mut id = 0;
    // SAFETY: charter 5; `id` is written.
    let code = unsafe { sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut id) };
    if code < 0 {
        // SAFETY: charter 5; no port refers to the device.
        unsafe { sys::rte_eal_hotplug_remove(bus.as_ptr(), name.as_ptr()) };
        return Err(failed(mark.reason(code)));
    }
    Ok(id)
}

impl Plugged {
    /// Takes the stopped port and its device away. The first failure is returned, but all is tried.
    pub(crate) fn unplug(&mut self, eal: &Eal) -> Result<(), String> {
        let mut attached = eal.attached();
        let mark = log::Mark::now();
        // SAFETY: charter 4; the port is stopped and no queue is left.
        let closed = unsafe { sys::rte_eth_dev_close(self.id) };
        // SAFETY: charter 5; the port is closed.
        let removed = unsafe { sys::rte_eal_hotplug_remove(self.bus.as_ptr(), self.name.as_ptr()) };
        self.end = None;
        attached.names.remove(&self.name);
        if let Some(path) = self.memif_client_of.take() {
            remove_one(&mut attached.memif_clients, &path);
        }
        if let Some(path) = self.listens_on.take() {
            remove_one(&mut attached.listening, &path);
            if !attached.listening.contains(&path) {
                drop(socket::remove(&path));
            }
        }
        match [closed, removed].into_iter().find(|&code| code < 0) {
            Some(code) => Err(mark.reason(code)),
            None => Ok(()),
        }
    }
}

fn remove_one(list: &mut Vec<String>, item: &str) {
    if let Some(index) = list.iter().position(|other| other == item) {
        list.swap_remove(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_peer_keeps_its_path_from_no_other_device_and_not_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let socket = || path.to_str().unwrap().to_owned();
        let virtio = Device::new(DeviceKind::VirtioUser { socket: socket(), server: true });
        let vhost = Device::new(DeviceKind::VhostUser { socket: socket(), server: true });
        let mut attached = Attached::default();
        let wait = |attached: &mut Attached| {
            let refused = attached.prepare_socket(&virtio);
            assert!(matches!(refused, Err(DeviceError::NoPeer { .. })), "{refused:?}");
            assert!(path.exists());
            Instant::now()
        };
        wait(&mut attached);
        assert_eq!(attached.prepare_socket(&vhost).unwrap(), Some(socket()));
        assert!(!path.exists(), "the driver makes it anew");

        let tried = wait(&mut attached);
        attached.forget_abandoned(tried + ABANDONED / 2);
        assert!(path.exists(), "its peer may come yet");
        attached.forget_abandoned(tried + ABANDONED);
        assert!(!path.exists());
    }
}
