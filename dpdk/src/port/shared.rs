//! An attached device, as long as anybody uses it.

use std::sync::atomic::{AtomicBool, Ordering};

use dpdk_sys as sys;

use crate::af_xdp::AfXdp;
use crate::attach::Plugged;
use crate::device::{Device, DeviceKind};
use crate::eal::Eal;
use crate::error::PortError;
use crate::log;

/// What keeps the device attached: the port and each of its queues have it (charter 4).
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) plugged: Plugged,
    pub(super) device: Device,
    description: String,
    started: AtomicBool,
    /// Nothing is left to do when it is dropped.
    detached: bool,
    af_xdp: Option<AfXdp>,
    pub(super) eal: Eal,
}

impl Shared {
    pub(crate) fn new(eal: &Eal, device: &Device, plugged: Plugged) -> Self {
        let description = device.to_string();
        let started = AtomicBool::new(false);
        let device = device.clone();
        Self { plugged, device, description, started, detached: false, af_xdp: None, eal: eal.clone() }
    }

    pub(crate) fn id(&self) -> u16 {
        self.plugged.id
    }

    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    pub(super) fn driver_error(&self, action: &'static str, reason: String) -> PortError {
        PortError::Driver { device: self.description.clone(), action, reason }
    }

    /// The result of a driver's function that was called after `mark`.
    pub(super) fn result(&self, action: &'static str, mark: log::Mark, code: i32) -> Result<(), PortError> {
        if code < 0 { Err(self.driver_error(action, mark.reason(code))) } else { Ok(()) }
    }

    pub(super) fn is_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// Virtio-user only: without it, it registers an interrupt all the same when its peer goes away, and
    /// leaves it behind with a closed descriptor, which makes EAL end the process at the next registration.
    fn follows_link_by_interrupt(&self) -> bool {
        matches!(self.device.kind, DeviceKind::VirtioUser { .. })
    }

    /// Sets the stopped port up.
    pub(super) fn configure(
        &mut self,
        mut settings: sys::shim_port_config,
        data_room: u16,
    ) -> Result<(), PortError> {
        let id = self.id();
        settings.link_interrupts = self.follows_link_by_interrupt().into();
        let mut af_xdp = None;
        if matches!(self.device.kind, DeviceKind::AfXdp { .. }) {
            if self.af_xdp.is_some() {
                let reason = "can be configured only once: detach it and attach it again";
                return Err(PortError::State { device: self.description.clone(), reason });
            }
            let made = AfXdp::new(&self.eal, settings.queues, data_room, self.plugged.number);
            let made = made.map_err(|error| self.driver_error("configure", error.to_string()))?;
            settings.pool = made.pool();
            af_xdp = Some(made);
        }
        let mark = log::Mark::now();
        let code = {
            let _one_at_a_time = self.eal.attached();
            // SAFETY: charter 2 for the pool; the port is stopped.
            let configure = || unsafe { sys::shim_port_configure(id, &raw const settings) };
            af_xdp.as_mut().map_or_else(configure, |af_xdp| af_xdp.open(configure))
        };
        // That driver keeps pointers to what it freed when this fails: closing it would follow them.
        self.detached = af_xdp.is_some() && code < 0;
        self.af_xdp = af_xdp;
        self.result("configure", mark, code)
    }

    /// Starts the configured port.
    pub(super) fn start(&self) -> Result<(), PortError> {
        let mark = log::Mark::now();
        let code = {
            let _one_at_a_time = self.eal.attached();
            // SAFETY: the port is configured and stopped.
            unsafe { sys::rte_eth_dev_start(self.id()) }
        };
        self.started.store(code >= 0, Ordering::Relaxed);
        self.result("start", mark, code)
    }

    /// Stops the port, if it is started. The caller has seen that no queue is left.
    pub(super) fn stop(&self) -> Result<(), PortError> {
        if !self.started.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let _one_at_a_time = self.eal.attached();
        let mark = log::Mark::now();
        // SAFETY: charter 4.
        self.result("stop", mark, unsafe { sys::rte_eth_dev_stop(self.id()) })
    }

    /// Stops the port and takes the device away. The caller has seen that no queue is left.
    pub(super) fn detach(&mut self) -> Result<(), PortError> {
        if self.detached {
            return Ok(());
        }
        self.detached = true;
        let stopped = self.stop();
        if self.follows_link_by_interrupt() {
            // With them on, closing closes the call descriptors, and then closes those numbers again:
            // by then they may be somebody else's.
            let _one_at_a_time = self.eal.attached();
            // SAFETY: charter 4; the port is stopped.
            unsafe { sys::shim_port_without_link_interrupts(self.id(), self.device.queues) };
        }
        let unplugged = self.plugged.unplug(&self.eal).map_err(|reason| self.driver_error("detach", reason));
        if let Some(af_xdp) = self.af_xdp.take() {
            af_xdp.clean_up();
        }
        stopped.and(unplugged)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.detach() {
            tracing::error!(target: "dpdk", "{error}");
        }
    }
}
