//! DPDK, safely: the environment ([`Eal`]), packet memory ([`Mempool`], [`Mbuf`]), devices that come and
//! go while the process runs ([`Device`], [`Port`]), and their queues ([`RxQueue`], [`TxQueue`]).
//!
//! Nothing here knows what a packet means; `packet::PacketBuf` is what the rest of the vRouter sees of an
//! [`Mbuf`].
//!
//! # Safety charter
//!
//! Safe code that uses this crate cannot make it misbehave. Each `unsafe` block rests on one of these:
//!
//! 1. **One owner.** A live [`Mbuf`] is the only owner of its buffer, which has a reference
//!    count of one, as has each further buffer of a chain; no device that [`Eal::attach`] makes delivers shared
//!    buffers. Chains come out of `RxQueue::receive` only, which joins what fits into one buffer; behind it nothing changes
//!    what they are chained to. `TxQueue::send` gives up exactly the packets that the driver took.
//! 2. **Pools outlive packets.** A mempool lives as long as the EAL. The EAL is shut down only when every
//!    handle to it is gone ([`Mempool`], [`Port`], queue, registered thread: each keeps it
//!    alive) and all pools are full again; with a packet still out it is left alone until the process
//!    ends. No thread has a mempool cache by then, so the count is exact: a free in flight counts as
//!    still out, and nobody is left who could allocate.
//! 3. **One thread per queue.** A queue's handle is unique and its functions take `&mut self`.
//! 4. **No queue without its port.** Queues exist only while their port is started; the port stops,
//!    closes and is removed when the last of its handles is gone, queues included.
//! 5. **Text is checked.** What is passed to DPDK as a string has no NUL, and nothing that DPDK's own
//!    argument syntax would read as more than a value.

mod af_xdp;
mod attach;
mod config;
mod devargs;
mod device;
mod eal;
mod error;
mod link;
mod log;
mod mbuf;
mod mempool;
mod port;
mod queue;
mod ring;
mod run_directory;
mod socket;
mod thread;
pub mod tsc;

pub use config::{EalConfig, LogLevel, MemoryMode, PciAddress, PciDevices};
pub use device::{Device, DeviceKind};
pub use eal::Eal;
pub use error::{DeviceError, EalError, MempoolError, PortError};
pub use link::Link;
pub use mbuf::{Burst, ChecksumRequest, Mbuf, Transport};
pub use mempool::{Mempool, MempoolConfig};
pub use port::{Offloads, Port, PortConfig, PortInfo, PortStats, Queues};
pub use queue::{RxQueue, TxQueue};
pub use thread::ThreadRegistration;

/// Packets per burst, at most.
pub const BURST: usize = 64;

// The pipeline counts on this much room in front of every frame.
const _: () = assert!(dpdk_sys::RTE_PKTMBUF_HEADROOM as usize >= packet::buf::HEADROOM);
