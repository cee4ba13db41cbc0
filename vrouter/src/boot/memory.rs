//! DPDK, packet memory and the session table: what is taken from the machine before anything runs.

use std::hash::{BuildHasher as _, RandomState};

use anyhow::{Context as _, Result};
use dpdk::{Eal, EalConfig, Mempool, MempoolConfig, PciAddress, PciDevices};
use flow::{FlowTable, TimeoutClass, Timeouts};

use crate::config::{Config, MemoryMode, Seed};

/// Packets that each worker may keep at hand.
const AT_HAND: u32 = 256;

/// The PCI devices that may be taken.
pub(super) fn pci(config: &Config) -> Result<Vec<PciAddress>> {
    let addresses: Result<_, _> = config.devices.pci.iter().map(|address| address.parse()).collect();
    addresses.context("devices.pci")
}

/// Starts DPDK.
pub(super) fn dpdk(config: &Config) -> Result<Eal> {
    let memory = match config.memory.mode {
        MemoryMode::Auto => dpdk::MemoryMode::Auto,
        MemoryMode::HugePages => dpdk::MemoryMode::HugePages,
        MemoryMode::InMemory => dpdk::MemoryMode::InMemoryHuge,
        MemoryMode::NoHuge => dpdk::MemoryMode::NoHuge,
    };
    let allowed = pci(config)?;
    // Without a device to take, the PCI bus is not even looked at.
    let pci = if allowed.is_empty() { PciDevices::None } else { PciDevices::Allowed(allowed) };
    let settings = EalConfig { memory, memory_mb: config.memory.megabytes, pci, ..EalConfig::default() };
    let eal = Eal::init(&settings).with_context(|| {
        format!(
            "{} MB of packet memory (memory.megabytes, memory.mode = \"{}\")",
            config.memory.megabytes, config.memory.mode
        )
    })?;
    tracing::info!(version = Eal::version(), memory = ?eal.memory_mode(), "DPDK started");
    Ok(eal)
}

/// Makes the packet buffers.
pub(super) fn packets(config: &Config, eal: &Eal) -> Result<Mempool> {
    let memory = &config.memory;
    let pool = MempoolConfig {
        name: "packets".to_owned(),
        count: memory.packets,
        data_room: memory.frame,
        cache: AT_HAND,
    };
    Mempool::new(eal, &pool).with_context(|| {
        format!("memory.megabytes = {}, memory.packets = {}", memory.megabytes, memory.packets)
    })
}

/// What keys the hashes.
pub(super) fn seed(config: &Config) -> u64 {
    match config.flows.entropy_seed {
        Seed::Fixed(seed) => seed,
        // The standard library keys its hashes from the system's random source.
        Seed::Random => RandomState::new().hash_one(std::process::id()),
    }
}

/// Makes the session table, for the workers and the ageing thread.
pub(super) fn sessions(config: &Config, seed: u64, threads: u8) -> Result<FlowTable> {
    let flows = &config.flows;
    let table = flow::Config {
        sessions_v4: flows.ipv4_sessions,
        sessions_v6: flows.ipv6_sessions,
        seed,
        interfaces: 1 << 16,
        workers: threads,
    };
    FlowTable::new(&table).with_context(|| {
        format!(
            "flows.ipv4_sessions = {}, flows.ipv6_sessions = {}",
            flows.ipv4_sessions, flows.ipv6_sessions
        )
    })
}

/// How long silent sessions are kept.
pub(super) fn timeouts(config: &Config) -> Timeouts {
    let mut timeouts = Timeouts::default();
    for &class in TimeoutClass::ALL {
        timeouts.set(class, std::time::Duration::from_secs(config.timeouts.seconds(class)));
    }
    timeouts
}
