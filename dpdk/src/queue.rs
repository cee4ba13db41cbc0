//! Where packets come in and go out. A queue belongs to one thread at a time.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use dpdk_sys as sys;
use packet::PacketBuf;

use crate::mbuf::Burst;
use crate::port::Shared;
use crate::ring::Loopback;

/// `Send` and not `Sync`: a queue moves between threads, but is used by one.
type OneThread = PhantomData<Cell<()>>;

/// A receive queue of a started port.
#[derive(Debug)]
pub struct RxQueue {
    port: u16,
    queue: u16,
    whole: bool,
    loopback: Option<Loopback>,
    // Keeps the port started (charter 4).
    shared: Arc<Shared>,
    one_thread: OneThread,
}

/// A transmit queue of a started port.
#[derive(Debug)]
pub struct TxQueue {
    port: u16,
    queue: u16,
    // Keeps the port started (charter 4).
    shared: Arc<Shared>,
    one_thread: OneThread,
}

impl RxQueue {
    pub(crate) fn new(shared: &Arc<Shared>, queue: u16, loopback: Option<Loopback>) -> Self {
        let (port, shared) = (shared.id(), Arc::clone(shared));
        Self { port, queue, whole: true, loopback, shared, one_thread: PhantomData }
    }

    /// The port's number.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The queue's number in its port.
    #[must_use]
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// The device, in words.
    #[must_use]
    pub fn device(&self) -> &str {
        self.shared.description()
    }

    /// Appends what has arrived to `burst`, as far as there is room, and returns how many packets that are.
    #[inline]
    pub fn receive(&mut self, burst: &mut Burst) -> usize {
        let start = burst.len();
        let room = burst.remaining_capacity();
        // SAFETY: charter 3 and 4 for the queue; `room` pointers fit behind `start`, and the driver gives
        // up the packets that it writes there (charter 1). Mbuf is a transparent pointer.
        let received = unsafe {
            let packets = burst.as_mut_ptr().add(start).cast::<*mut sys::rte_mbuf>();
            let mut count = usize::from(sys::shim_rx_burst(self.port, self.queue, packets, room as u16));
            if count == 0
                && let Some(loopback) = &self.loopback
            {
                count = loopback.receive(packets, room);
            }
            burst.set_len(start + count);
            count
        };
        let new = burst.get(start..).unwrap_or_default();
        self.whole = new.iter().fold(true, |all, packet| all & packet.is_whole());
        if !self.whole {
            self.whole = join_chains(burst, start);
        }
        received
    }

    /// Whether all packets that came with the last [`Self::receive`] are whole. Others are super-frames, or longer than
    /// one buffer ([`PacketBuf::is_whole`]).
    #[must_use]
    pub fn received_whole(&self) -> bool {
        self.whole
    }
}

/// Makes one segment of each chain that is no super-frame and fits into its first; whether all are whole then.
#[cold]
fn join_chains(burst: &mut Burst, start: usize) -> bool {
    let mut whole = true;
    for packet in burst.iter_mut().skip(start) {
        whole &= packet.is_whole() || (packet.segment_size() == 0 && packet.join_segments());
    }
    whole
}

impl TxQueue {
    pub(crate) fn new(shared: &Arc<Shared>, queue: u16) -> Self {
        Self { port: shared.id(), queue, shared: Arc::clone(shared), one_thread: PhantomData }
    }

    /// The port's number.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The queue's number in its port.
    #[must_use]
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// The device, in words.
    #[must_use]
    pub fn device(&self) -> &str {
        self.shared.description()
    }

    /// Hands packets to the device, in order, and returns how many it took. The rest stay in `burst`:
    /// to try again, or to drop.
    #[inline]
    pub fn send(&mut self, burst: &mut Burst) -> usize {
        let count = burst.len();
        if count == 0 {
            return 0;
        }
        let packets = burst.as_mut_ptr();
        // SAFETY: charter 3 and 4 for the queue. The driver owns the first `sent` from here on: they leave
        // the burst without being dropped, and the rest moves to the front.
        unsafe {
            let sent = usize::from(sys::shim_tx_burst(self.port, self.queue, packets.cast(), count as u16));
            burst.set_len(0);
            ptr::copy(packets.add(sent), packets, count - sent);
            burst.set_len(count - sent);
            sent
        }
    }
}
