//! What the af_xdp driver needs and what it leaves behind when it is closed (seen with DPDK 22.11): the
//! packets that it has given to the kernel, and the sockets, which keep the interface's queues busy.

use std::collections::HashSet;
use std::fs;
use std::mem;
use std::os::fd::RawFd;
use std::thread::sleep;
use std::time::Duration;

use dpdk_sys as sys;

use crate::eal::Eal;
use crate::error::MempoolError;
use crate::mempool::{Mempool, MempoolConfig};

/// Packets for each queue: its fill, receive and transmit rings have 2048 places each.
const PACKETS: u32 = 3 * 2048 + 1024;
/// The kernel lets go of a queue some time after the last socket on it was closed, in a work queue of its own: measured
/// up to 10 ms, and once more than 100 ms on a machine with six times as much to do as it has processors.
const SETTLE: Duration = Duration::from_millis(500);

/// What belongs to one af_xdp port besides the port itself.
#[derive(Debug)]
pub(crate) struct AfXdp {
    /// From which its driver alone allocates: so that what it forgot can be told from what is still on its
    /// way through the vRouter.
    pool: Mempool,
    /// Inode numbers of its sockets.
    sockets: HashSet<u64>,
}

impl AfXdp {
    /// For a device with `queues`; frames up to `data_room` bytes. `number` is unique in the process.
    pub(crate) fn new(eal: &Eal, queues: u16, data_room: u16, number: u32) -> Result<Self, MempoolError> {
        let count = PACKETS * u32::from(queues);
        let pool = match Mempool::reuse(eal, count, data_room) {
            Some(pool) => pool,
            // No cache: what is free is in the pool itself, where `reclaim` looks.
            None => Mempool::new(
                eal,
                &MempoolConfig { name: format!("af_xdp{number}"), count, data_room, cache: 0 },
            )?,
        };
        Ok(Self { pool, sockets: HashSet::new() })
    }

    pub(crate) fn pool(&self) -> *mut sys::rte_mempool {
        self.pool.as_ptr()
    }

    /// Runs `configure`, which opens the sockets, and returns what it does.
    pub(crate) fn open(&mut self, configure: impl FnOnce() -> i32) -> i32 {
        let before: HashSet<u64> = sockets().map(|(_, inode)| inode).collect();
        let code = configure();
        self.sockets = sockets().map(|(_, inode)| inode).filter(|inode| !before.contains(inode)).collect();
        code
    }

    /// To be called when the port is closed.
    pub(crate) fn clean_up(self) {
        let left: Vec<RawFd> =
            sockets().filter(|(_, inode)| self.sockets.contains(inode)).map(|(fd, _)| fd).collect();
        for &descriptor in &left {
            // SAFETY: the driver opened it and is closed, so nobody knows the descriptor any more.
            unsafe { libc::close(descriptor) };
        }
        if !left.is_empty() {
            // Else the next port on that interface could not be configured.
            sleep(SETTLE);
        }
        // SAFETY: charter 2. The driver is closed, so neither it nor the kernel has a use for packets that
        // it did not deliver, and nobody else has allocated any from this pool.
        unsafe { sys::shim_pktmbuf_reclaim(self.pool.as_ptr()) };
        self.pool.retire();
    }
}

/// The af_xdp sockets of this process, with their inode numbers, which no other socket has meanwhile.
fn sockets() -> impl Iterator<Item = (RawFd, u64)> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let descriptor: RawFd = entry.file_name().to_str()?.parse().ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        (domain(descriptor) == Some(libc::AF_XDP)).then_some((descriptor, inode))
    })
}

fn domain(descriptor: RawFd) -> Option<i32> {
    let mut domain = 0_i32;
    let mut size = mem::size_of::<i32>() as libc::socklen_t;
    let (to, size) = ((&raw mut domain).cast(), &raw mut size);
    // SAFETY: the kernel writes at most `size` bytes to `domain`; a descriptor that is not a socket, or is
    // gone, is an error.
    let result = unsafe { libc::getsockopt(descriptor, libc::SOL_SOCKET, libc::SO_DOMAIN, to, size) };
    (result == 0).then_some(domain)
}
