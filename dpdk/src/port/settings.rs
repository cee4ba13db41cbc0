//! How a port is to work, what its device can do, and what it has counted.

use std::ffi::CStr;

use bitflags::bitflags;
use dpdk_sys as sys;

use crate::mempool::Mempool;

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
    /// What is wanted; a device gives what it can ([`Port::offloads`](crate::Port::offloads)).
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

impl From<&sys::shim_port_info> for PortInfo {
    fn from(raw: &sys::shim_port_info) -> Self {
        let driver = if raw.driver.is_null() {
            String::new()
        } else {
            // SAFETY: a NUL-terminated static string of the driver.
            unsafe { CStr::from_ptr(raw.driver) }.to_string_lossy().into_owned()
        };
        let has = |capable: u64| move |(_, bits): &&(Offloads, u32)| !capable & u64::from(*bits) == 0;
        let rx = RX_OFFLOADS.iter().filter(has(raw.rx_offloads));
        let tx = TX_OFFLOADS.iter().filter(has(raw.tx_offloads));
        Self {
            driver,
            max_queues: raw.max_rx_queues.min(raw.max_tx_queues),
            offloads: rx.chain(tx).map(|&(ours, _)| ours).collect(),
            min_mtu: raw.min_mtu,
            max_mtu: if raw.max_mtu == 0 { u16::MAX } else { raw.max_mtu },
            socket: u32::try_from(raw.socket).ok(),
        }
    }
}

impl From<sys::shim_port_stats> for PortStats {
    fn from(raw: sys::shim_port_stats) -> Self {
        Self {
            rx_packets: raw.rx_packets,
            rx_bytes: raw.rx_bytes,
            rx_missed: raw.rx_missed,
            rx_errors: raw.rx_errors,
            rx_no_buffer: raw.rx_no_buffer,
            tx_packets: raw.tx_packets,
            tx_bytes: raw.tx_bytes,
            tx_errors: raw.tx_errors,
        }
    }
}

/// A setting that the device cannot have, and why.
type Refusal = (&'static str, String);

impl PortConfig {
    /// What DPDK is told, less the pool, for a device with these properties; and the offloads at work.
    pub(super) fn resolve(
        &self,
        raw: &sys::shim_port_info,
        queues: u16,
        pool: &Mempool,
    ) -> Result<(sys::shim_port_config, Offloads), Refusal> {
        let info = PortInfo::from(raw);
        if queues > info.max_queues {
            return Err(("queues", format!("{queues} asked for, the device has {}", info.max_queues)));
        }
        if let Some(mtu) = self.mtu {
            let room = pool.data_room();
            if u32::from(mtu) + FRAME_OVERHEAD > u32::from(room) {
                return Err(("mtu", format!("{mtu} does not fit into packets of {room} bytes")));
            }
            if mtu < info.min_mtu || mtu > info.max_mtu {
                let range = format!("{} to {}", info.min_mtu, info.max_mtu);
                return Err(("mtu", format!("{mtu} is not within the device's {range}")));
            }
        }
        let spread = u64::from(sys::RTE_ETH_RSS_IP | sys::RTE_ETH_RSS_TCP | sys::RTE_ETH_RSS_UDP);
        let rss = if queues > 1 { raw.rss_offloads & spread } else { 0 };
        let mut offloads = self.offloads & info.offloads;
        offloads.set(Offloads::RX_HASH, offloads.contains(Offloads::RX_HASH) && rss != 0);
        let settings = sys::shim_port_config {
            rx_offloads: device_bits(offloads, &RX_OFFLOADS),
            tx_offloads: device_bits(offloads, &TX_OFFLOADS),
            rss,
            mtu: self.mtu.map_or(0, u32::from),
            queues,
            rx_descriptors: self.rx_descriptors,
            tx_descriptors: self.tx_descriptors,
            link_interrupts: 0,
            pool: pool.as_ptr(),
        };
        Ok((settings, offloads))
    }
}

fn device_bits(offloads: Offloads, table: &[(Offloads, u32)]) -> u64 {
    let wanted = table.iter().filter(|(ours, _)| offloads.contains(*ours));
    wanted.fold(0, |bits, (_, theirs)| bits | u64::from(*theirs))
}
