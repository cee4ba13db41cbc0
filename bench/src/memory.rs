//! Packet memory, this process's memory, and its place in the scheduler.

use std::fs;
use std::process::Command;

use anyhow::Result;
use clap::Args;
use dpdk::{Eal, EalConfig, Mbuf, MemoryMode, Mempool};
use packet::PacketBuf;

use crate::node::Ring;

/// Which pages DPDK's memory has.
#[derive(Clone, Copy, Debug, Args)]
pub struct Pages {
    /// Ordinary pages, even if there are huge ones
    #[arg(long)]
    no_huge: bool,
}

impl Pages {
    /// DPDK with so many megabytes.
    ///
    /// # Errors
    /// DPDK does not start.
    pub fn eal(self, memory_mb: u32) -> Result<Eal> {
        let memory = if self.no_huge { MemoryMode::NoHuge } else { MemoryMode::Auto };
        Ok(Eal::init(&EalConfig { memory, memory_mb, file_prefix: "bench".into(), ..EalConfig::default() })?)
    }
}

/// A ring of `size` packets of a pool, whose bytes are zero.
#[must_use]
pub fn ring(pool: &Mempool, size: usize) -> Ring<Mbuf> {
    let pool = pool.clone();
    Ring::new(size, move || pool.alloc().map(zeroed))
}

/// An empty buffer whose bytes are zero.
fn zeroed(mut buf: Mbuf) -> Mbuf {
    let room = buf.tailroom();
    if buf.grow_back(room) {
        buf.data_mut().fill(0);
        buf.truncate(0);
    }
    buf
}

/// Bytes of the machine's memory that this process has.
#[must_use]
pub fn resident() -> f64 {
    field("/proc/self/smaps_rollup", "Rss:")
}

/// Of them, in large pages.
#[must_use]
pub fn in_large_pages() -> f64 {
    field("/proc/self/smaps_rollup", "AnonHugePages:")
}

/// A number of kilobytes in a file of the kernel's, in bytes; 0 if it is not there.
fn field(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .map_or(0.0, |kb| kb * 1024.0)
}

/// Asks the system to run this thread before others, as far as it lets us: a worker has a core of its own.
pub fn prefer_this_thread() {
    let Ok(thread) = fs::read_link("/proc/thread-self") else { return };
    let Some(id) = thread.file_name().and_then(|name| name.to_str()) else { return };
    // Without the right to do so, it stays as it is.
    drop(Command::new("renice").args(["-n", "-20", "-p", id]).output());
}
