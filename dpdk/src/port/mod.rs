//! Ports: attached devices, from configuration to removal.

mod settings;
mod shared;

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::Arc;

use dpdk_sys as sys;

pub use settings::{Offloads, PortConfig, PortInfo, PortStats};
pub(crate) use shared::Shared;

use crate::device::Device;
use crate::error::PortError;
use crate::link::{self, Link};
use crate::log;
use crate::mempool::Mempool;
use crate::queue::{RxQueue, TxQueue};

/// The queues of a started port: one handle each, given out once per start.
#[derive(Debug)]
pub struct Queues {
    /// Receive queues, by number.
    pub rx: Vec<RxQueue>,
    /// Transmit queues, by number.
    pub tx: Vec<TxQueue>,
}

/// An attached device. Dropping it detaches it, when its last queue is gone.
#[derive(Debug)]
pub struct Port {
    shared: Arc<Shared>,
    configured: Option<(u16, Offloads)>,
    // Settings of one port are changed by one thread at a time.
    one_thread: PhantomData<Cell<()>>,
}

impl Port {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), configured: None, one_thread: PhantomData }
    }

    /// Its number, which other ports get when it is gone.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.shared.id()
    }

    /// What it was attached as.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.shared.device
    }

    /// Whether no queue of it is out.
    #[must_use]
    pub fn is_idle(&mut self) -> bool {
        Arc::get_mut(&mut self.shared).is_some()
    }

    /// Sets the queues up; received packets are put into `pool`.
    ///
    /// # Errors
    /// [`PortError::State`] if it is started, [`PortError::Invalid`] for what the device cannot do.
    pub fn configure(&mut self, config: &PortConfig, pool: &Mempool) -> Result<(), PortError> {
        self.expect_stopped()?;
        self.configured = None;
        let (queues, raw) = (self.device().queues, self.raw_info()?);
        let (settings, offloads) =
            config.resolve(&raw, queues, pool).map_err(|(field, reason)| self.invalid(field, reason))?;
        match Arc::get_mut(&mut self.shared) {
            Some(shared) => shared.configure(settings, pool.data_room())?,
            None => return Err(self.queues_in_use()),
        }
        if let Some(mtu) = config.mtu {
            match self.set_mtu(mtu) {
                // Devices without an MTU of their own carry anything.
                Err(PortError::Driver { .. }) if raw.if_index == 0 => {}
                result => result?,
            }
        }
        self.set_promiscuous(config.promiscuous)?;
        self.configured = Some((queues, offloads));
        Ok(())
    }

    /// Starts it and hands its queues out.
    ///
    /// # Errors
    /// [`PortError::State`] if it is not configured, or started already.
    pub fn start(&mut self) -> Result<Queues, PortError> {
        self.expect_stopped()?;
        let Some((queues, _)) = self.configured else { return Err(self.state("is not configured")) };
        self.shared.start()?;
        let end = self.shared.plugged.end.as_ref();
        let rx = |queue| RxQueue::new(&self.shared, queue, end.map(|end| end.loopback(queue)));
        let tx = |queue| TxQueue::new(&self.shared, queue);
        Ok(Queues { rx: (0..queues).map(rx).collect(), tx: (0..queues).map(tx).collect() })
    }

    /// Stops it. It can be started again, with new queues, or configured anew.
    ///
    /// # Errors
    /// [`PortError::QueuesInUse`] until all its queues were dropped.
    pub fn stop(&mut self) -> Result<(), PortError> {
        if !self.is_idle() {
            return Err(self.queues_in_use());
        }
        self.shared.stop()
    }

    /// Whether it is started.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.shared.is_started()
    }

    /// Stops it and takes the device away.
    ///
    /// # Errors
    /// [`PortError::QueuesInUse`] if queues of it are out: it is detached when the last is dropped.
    pub fn detach(mut self) -> Result<(), PortError> {
        match Arc::get_mut(&mut self.shared) {
            Some(shared) => shared.detach(),
            None => Err(self.queues_in_use()),
        }
    }

    /// The offloads at work: what was asked for and can be had.
    #[must_use]
    pub fn offloads(&self) -> Offloads {
        self.configured.map_or(Offloads::empty(), |(_, offloads)| offloads)
    }

    /// What the device is and can do.
    ///
    /// # Errors
    /// [`PortError::Driver`].
    pub fn info(&self) -> Result<PortInfo, PortError> {
        self.raw_info().map(|raw| PortInfo::from(&raw))
    }

    /// Whether its other end is there.
    ///
    /// # Errors
    /// [`PortError::Driver`].
    pub fn link(&self) -> Result<Link, PortError> {
        let mut raw = MaybeUninit::zeroed();
        let mark = log::Mark::now();
        // SAFETY: the port is attached; `raw` is written.
        let code = unsafe { sys::shim_port_link(self.id(), raw.as_mut_ptr()) };
        self.shared.result("read the link", mark, code)?;
        // SAFETY: plain numbers, written or zero.
        let raw = unsafe { raw.assume_init() };
        // Drivers on kernel interfaces do not look at them.
        let kernel = self.shared.device.kernel_interface().is_none_or(|(_, name)| link::is_running(name));
        let speed_mbps = Some(raw.mbps).filter(|&mbps| mbps != 0 && mbps != u32::MAX);
        Ok(Link { up: raw.up != 0 && kernel, speed_mbps, full_duplex: raw.full_duplex != 0 })
    }

    /// What the device has counted.
    ///
    /// # Errors
    /// [`PortError::Driver`].
    pub fn stats(&self) -> Result<PortStats, PortError> {
        let mut raw = MaybeUninit::zeroed();
        let mark = log::Mark::now();
        // SAFETY: the port is attached; `raw` is written.
        let code = unsafe { sys::shim_port_stats(self.id(), raw.as_mut_ptr()) };
        self.shared.result("read the statistics", mark, code)?;
        // SAFETY: plain numbers, written or zero.
        let raw: sys::shim_port_stats = unsafe { raw.assume_init() };
        Ok(PortStats::from(raw))
    }

    /// Its Ethernet address; zero where the device has none.
    ///
    /// # Errors
    /// [`PortError::Driver`].
    pub fn mac(&self) -> Result<[u8; 6], PortError> {
        let mut mac = [0; 6];
        let mark = log::Mark::now();
        // SAFETY: the port is attached; six bytes are written.
        let code = unsafe { sys::shim_port_mac(self.id(), mac.as_mut_ptr()) };
        self.shared.result("read the address", mark, code)?;
        Ok(mac)
    }

    /// Changes its Ethernet address.
    ///
    /// # Errors
    /// [`PortError::Driver`] where the device has a fixed one, or none.
    pub fn set_mac(&mut self, mac: [u8; 6]) -> Result<(), PortError> {
        let mark = log::Mark::now();
        // SAFETY: the port is attached; six bytes are read.
        let code = unsafe { sys::shim_port_set_mac(self.id(), mac.as_ptr()) };
        self.shared.result("set the address", mark, code)
    }

    /// Its MTU: the longest network packet, without the Ethernet header.
    ///
    /// # Errors
    /// [`PortError::Driver`].
    pub fn mtu(&self) -> Result<u16, PortError> {
        let mut mtu = 0;
        let mark = log::Mark::now();
        // SAFETY: the port is attached; `mtu` is written.
        let code = unsafe { sys::rte_eth_dev_get_mtu(self.id(), &raw mut mtu) };
        self.shared.result("read the MTU", mark, code)?;
        Ok(mtu)
    }

    /// Changes its MTU, and that of the kernel interface that it is or is bound to.
    ///
    /// # Errors
    /// [`PortError::Driver`] where the device cannot.
    pub fn set_mtu(&mut self, mtu: u16) -> Result<(), PortError> {
        let mark = log::Mark::now();
        // SAFETY: the port is attached.
        let code = unsafe { sys::rte_eth_dev_set_mtu(self.id(), mtu) };
        self.shared.result("set the MTU", mark, code)
    }

    /// Whether to receive frames for other addresses too. All multicast is received either way. Devices
    /// that know no addresses receive everything always.
    ///
    /// # Errors
    /// [`PortError::Driver`].
    pub fn set_promiscuous(&mut self, on: bool) -> Result<(), PortError> {
        let mark = log::Mark::now();
        let id = self.id();
        // SAFETY: the port is attached.
        let codes = unsafe {
            let promiscuous =
                if on { sys::rte_eth_promiscuous_enable(id) } else { sys::rte_eth_promiscuous_disable(id) };
            [promiscuous, sys::rte_eth_allmulticast_enable(id)]
        };
        let failed = codes.into_iter().find(|&code| code < 0 && code != -libc::ENOTSUP);
        self.shared.result("set promiscuous mode", mark, failed.unwrap_or(0))
    }

    fn raw_info(&self) -> Result<sys::shim_port_info, PortError> {
        let mut raw = MaybeUninit::uninit();
        let mark = log::Mark::now();
        // SAFETY: the port is attached; `raw` is written on success.
        let code = unsafe { sys::shim_port_info(self.id(), raw.as_mut_ptr()) };
        self.shared.result("describe", mark, code)?;
        // SAFETY: the shim succeeded.
        Ok(unsafe { raw.assume_init() })
    }

    fn expect_stopped(&self) -> Result<(), PortError> {
        if self.is_started() { Err(self.state("is started: stop it first")) } else { Ok(()) }
    }

    fn queues_in_use(&self) -> PortError {
        PortError::QueuesInUse { device: self.shared.description().to_owned() }
    }

    fn state(&self, reason: &'static str) -> PortError {
        PortError::State { device: self.shared.description().to_owned(), reason }
    }

    fn invalid(&self, field: &'static str, reason: String) -> PortError {
        PortError::Invalid { device: self.shared.description().to_owned(), field, reason }
    }
}
