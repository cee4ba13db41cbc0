//! Ports: attached devices, from configuration to removal.

use std::cell::Cell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bitflags::bitflags;
use dpdk_sys as sys;

use crate::af_xdp::AfXdp;
use crate::attach::Plugged;
use crate::device::{Device, DeviceKind};
use crate::eal::Eal;
use crate::error::PortError;
use crate::link::{self, Link};
use crate::log;
use crate::mempool::Mempool;
use crate::queue::{RxQueue, TxQueue};

/// Ethernet header, two VLAN tags, checksum.
const FRAME_OVERHEAD: u32 = 26;

bitflags! {
    /// Work that a device can take over.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Offloads: u32 {
        /// Checks IPv4 header checksums of received packets.
        const RX_IPV4_CHECKSUM = 1 << 0;
        /// Checks TCP and UDP checksums of received packets.
        const RX_L4_CHECKSUM = 1 << 1;
        /// Delivers the hash that it spreads packets by.
        const RX_HASH = 1 << 2;
        /// Writes IPv4 header checksums.
        const TX_IPV4_CHECKSUM = 1 << 8;
        /// Completes TCP checksums.
        const TX_TCP_CHECKSUM = 1 << 9;
        /// Completes UDP checksums.
        const TX_UDP_CHECKSUM = 1 << 10;
        /// Completes SCTP checksums.
        const TX_SCTP_CHECKSUM = 1 << 11;
    }
}

/// Ours and DPDK's bits: on the receive side, then on the transmit side.
const RX_OFFLOADS: [(Offloads, u32); 3] = [
    (Offloads::RX_IPV4_CHECKSUM, sys::RTE_ETH_RX_OFFLOAD_IPV4_CKSUM),
    (Offloads::RX_L4_CHECKSUM, sys::RTE_ETH_RX_OFFLOAD_TCP_CKSUM | sys::RTE_ETH_RX_OFFLOAD_UDP_CKSUM),
    (Offloads::RX_HASH, sys::RTE_ETH_RX_OFFLOAD_RSS_HASH),
];
const TX_OFFLOADS: [(Offloads, u32); 4] = [
    (Offloads::TX_IPV4_CHECKSUM, sys::RTE_ETH_TX_OFFLOAD_IPV4_CKSUM),
    (Offloads::TX_TCP_CHECKSUM, sys::RTE_ETH_TX_OFFLOAD_TCP_CKSUM),
    (Offloads::TX_UDP_CHECKSUM, sys::RTE_ETH_TX_OFFLOAD_UDP_CKSUM),
    (Offloads::TX_SCTP_CHECKSUM, sys::RTE_ETH_TX_OFFLOAD_SCTP_CKSUM),
];

/// How a port is to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Places in each receive queue; adjusted to what the device has.
    pub rx_descriptors: u16,
    /// Places in each transmit queue; adjusted to what the device has.
    pub tx_descriptors: u16,
    /// The longest network packet, without the Ethernet header; `None` leaves the device's.
    pub mtu: Option<u16>,
    /// What is wanted; a device gives what it can ([`Port::offloads`]).
    pub offloads: Offloads,
    /// Whether to receive frames for other addresses too.
    pub promiscuous: bool,
}

impl Default for PortConfig {
    fn default() -> Self {
        Self {
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mtu: None,
            offloads: Offloads::empty(),
            promiscuous: true,
        }
    }
}

/// What a device is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// The driver's name.
    pub driver: String,
    /// Most queue pairs.
    pub max_queues: u16,
    /// What it can take over.
    pub offloads: Offloads,
    /// Smallest MTU.
    pub min_mtu: u16,
    /// Largest MTU; 65535 if there is no limit.
    pub max_mtu: u16,
    /// NUMA node, if known.
    pub socket: Option<u32>,
}

/// What a device has counted since it was attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Lost because the receive queue was full.
    pub rx_missed: u64,
    /// Received broken.
    pub rx_errors: u64,
    /// Lost because the mempool was empty.
    pub rx_no_buffer: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Not sent.
    pub tx_errors: u64,
}

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

/// What keeps the device attached: the port and each of its queues have it (charter 4).
#[derive(Debug)]
pub(crate) struct Shared {
    plugged: Plugged,
    device: Device,
    description: String,
    started: AtomicBool,
    detached: bool,
    af_xdp: Option<AfXdp>,
    eal: Eal,
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

    fn driver_error(&self, action: &'static str, reason: String) -> PortError {
        PortError::Driver { device: self.description.clone(), action, reason }
    }

    /// The result of a driver's function that was called after `mark`.
    fn result(&self, action: &'static str, mark: log::Mark, code: i32) -> Result<(), PortError> {
        if code < 0 { Err(self.driver_error(action, mark.reason(code))) } else { Ok(()) }
    }

    /// Virtio-user only: without it, it registers an interrupt all the same when its peer goes away, and
    /// leaves it behind with a closed descriptor, which makes EAL end the process at the next registration.
    fn follows_link_by_interrupt(&self) -> bool {
        matches!(self.device.kind, DeviceKind::VirtioUser { .. })
    }

    fn stop(&self) -> Result<(), PortError> {
        if !self.started.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let _one_at_a_time = self.eal.attached();
        let mark = log::Mark::now();
        // SAFETY: charter 4; the caller has seen that no queue is left.
        self.result("stop", mark, unsafe { sys::rte_eth_dev_stop(self.id()) })
    }

    fn detach(&mut self) -> Result<(), PortError> {
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
        let queues = self.shared.device.queues;
        let raw = self.raw_info()?;
        let most = raw.max_rx_queues.min(raw.max_tx_queues);
        if queues > most {
            return Err(self.invalid("queues", format!("{queues} asked for, the device has {most}")));
        }
        if let Some(mtu) = config.mtu {
            let room = u32::from(pool.data_room());
            if u32::from(mtu) + FRAME_OVERHEAD > room {
                return Err(self.invalid("mtu", format!("{mtu} does not fit into packets of {room} bytes")));
            }
            let (least, most) = (raw.min_mtu, largest_mtu(&raw));
            if mtu < least || mtu > most {
                return Err(
                    self.invalid("mtu", format!("{mtu} is not within the device's {least} to {most}"))
                );
            }
        }
        let spread = u64::from(sys::RTE_ETH_RSS_IP | sys::RTE_ETH_RSS_TCP | sys::RTE_ETH_RSS_UDP);
        let rss = if queues > 1 { raw.rss_offloads & spread } else { 0 };
        let mut offloads = config.offloads & offloads(&raw);
        offloads.set(Offloads::RX_HASH, offloads.contains(Offloads::RX_HASH) && rss != 0);
        let mut af_xdp = None;
        if matches!(self.shared.device.kind, DeviceKind::AfXdp { .. }) {
            if self.shared.af_xdp.is_some() {
                return Err(self.state("can be configured only once: detach it and attach it again"));
            }
            let made = AfXdp::new(&self.shared.eal, queues, pool.data_room(), self.shared.plugged.number);
            af_xdp = Some(made.map_err(|error| self.shared.driver_error("configure", error.to_string()))?);
        }
        let settings = sys::shim_port_config {
            rx_offloads: device_bits(offloads, &RX_OFFLOADS),
            tx_offloads: device_bits(offloads, &TX_OFFLOADS),
            rss,
            mtu: config.mtu.map_or(0, u32::from),
            queues,
            rx_descriptors: config.rx_descriptors,
            tx_descriptors: config.tx_descriptors,
            link_interrupts: self.shared.follows_link_by_interrupt().into(),
            pool: af_xdp.as_ref().map_or(pool.as_ptr(), AfXdp::pool),
        };
        self.configured = None;
        let one_at_a_time = self.shared.eal.attached();
        let mark = log::Mark::now();
        // SAFETY: charter 2 for the pool; the port is stopped.
        let configure = || unsafe { sys::shim_port_configure(self.shared.id(), &raw const settings) };
        let code = af_xdp.as_mut().map_or_else(configure, |af_xdp| af_xdp.open(configure));
        drop(one_at_a_time);
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            // Its driver keeps pointers to what it freed when this fails: closing it would follow them.
            shared.detached = af_xdp.is_some() && code < 0;
            shared.af_xdp = af_xdp;
        }
        self.shared.result("configure", mark, code)?;
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
        let one_at_a_time = self.shared.eal.attached();
        let mark = log::Mark::now();
        // SAFETY: the port is configured and stopped.
        let code = unsafe { sys::rte_eth_dev_start(self.id()) };
        drop(one_at_a_time);
        self.shared.result("start", mark, code)?;
        self.shared.started.store(true, Ordering::Relaxed);
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
            return Err(PortError::QueuesInUse { device: self.shared.description.clone() });
        }
        self.shared.stop()
    }

    /// Whether it is started.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.shared.started.load(Ordering::Relaxed)
    }

    /// Stops it and takes the device away.
    ///
    /// # Errors
    /// [`PortError::QueuesInUse`] if queues of it are out: it is detached when the last is dropped.
    pub fn detach(mut self) -> Result<(), PortError> {
        match Arc::get_mut(&mut self.shared) {
            Some(shared) => shared.detach(),
            None => Err(PortError::QueuesInUse { device: self.shared.description.clone() }),
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
        let raw = self.raw_info()?;
        let driver = if raw.driver.is_null() {
            String::new()
        } else {
            // SAFETY: a NUL-terminated static string of the driver.
            unsafe { CStr::from_ptr(raw.driver) }.to_string_lossy().into_owned()
        };
        Ok(PortInfo {
            driver,
            max_queues: raw.max_rx_queues.min(raw.max_tx_queues),
            offloads: offloads(&raw),
            min_mtu: raw.min_mtu,
            max_mtu: largest_mtu(&raw),
            socket: u32::try_from(raw.socket).ok(),
        })
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
        Ok(PortStats {
            rx_packets: raw.rx_packets,
            rx_bytes: raw.rx_bytes,
            rx_missed: raw.rx_missed,
            rx_errors: raw.rx_errors,
            rx_no_buffer: raw.rx_no_buffer,
            tx_packets: raw.tx_packets,
            tx_bytes: raw.tx_bytes,
            tx_errors: raw.tx_errors,
        })
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

    fn state(&self, reason: &'static str) -> PortError {
        PortError::State { device: self.shared.description.clone(), reason }
    }

    fn invalid(&self, field: &'static str, reason: String) -> PortError {
        PortError::Invalid { device: self.shared.description.clone(), field, reason }
    }
}

/// Drivers without a limit of their own say 65535, or nothing.
fn largest_mtu(raw: &sys::shim_port_info) -> u16 {
    if raw.max_mtu == 0 { u16::MAX } else { raw.max_mtu }
}

fn offloads(raw: &sys::shim_port_info) -> Offloads {
    let has =
        |capable: u64| move |(_, bits): &&(Offloads, u32)| capable & u64::from(*bits) == u64::from(*bits);
    let rx = RX_OFFLOADS.iter().filter(has(raw.rx_offloads));
    let tx = TX_OFFLOADS.iter().filter(has(raw.tx_offloads));
    rx.chain(tx).map(|&(ours, _)| ours).collect()
}

fn device_bits(offloads: Offloads, table: &[(Offloads, u32)]) -> u64 {
    table
        .iter()
        .filter(|(ours, _)| offloads.contains(*ours))
        .fold(0, |bits, (_, theirs)| bits | u64::from(*theirs))
}
