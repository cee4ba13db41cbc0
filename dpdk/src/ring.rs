//! Wires inside the process: two ports, each sending into the ring that the other receives from.

use std::collections::HashMap;
use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use dpdk_sys as sys;

use crate::eal::Eal;
use crate::error::DeviceError;
use crate::log;

/// Places in a ring; one less packets fit.
const SIZE: u32 = 1024;
/// `RING_F_SP_ENQ`: a transmit queue is the only one that puts into its ring. Taking out is open to
/// several, because the other end of the wire may appear while this one loops back.
const SINGLE_PRODUCER: u32 = 1;
const ANY_SOCKET: i32 = -1;

/// The wires that have at least one end.
#[derive(Default)]
pub(crate) struct Wires(HashMap<String, Weak<Wire>>);

/// Two directions of rings: end `n` receives from `rings[n]` and sends into the other.
#[derive(Debug)]
struct Wire {
    taken: [AtomicBool; 2],
    rings: [Vec<NonNull<sys::rte_ring>>; 2],
    // The rings are in its memory.
    _eal: Eal,
}

// SAFETY: rings are made for use by many threads at once.
unsafe impl Send for Wire {}
// SAFETY: as above.
unsafe impl Sync for Wire {}

/// One end of a wire, occupied until it is dropped.
#[derive(Debug)]
pub(crate) struct End {
    wire: Arc<Wire>,
    side: usize,
}

/// What a receive queue needs to get back what its own port sends while the wire has no other end.
#[derive(Debug)]
pub(crate) struct Loopback {
    wire: Arc<Wire>,
    side: usize,
    queue: usize,
}

impl Wires {
    /// Occupies an end of the wire `name`, which is made if it has none yet. `number` is unique in the process.
    pub(crate) fn occupy(
        &mut self,
        eal: &Eal,
        name: &str,
        queues: u16,
        number: u32,
    ) -> Result<End, DeviceError> {
        let existing = self.0.get(name).and_then(Weak::upgrade);
        let wire = match existing {
            Some(wire) => wire,
            None => {
                self.0.retain(|_, wire| wire.strong_count() > 0);
                let wire = Arc::new(Wire::new(eal, queues, number)?);
                self.0.insert(name.to_owned(), Arc::downgrade(&wire));
                wire
            }
        };
        if wire.rings[0].len() != usize::from(queues) {
            let reason = format!("the other end of ring '{name}' has {}", wire.rings[0].len());
            return Err(DeviceError::invalid("queues", reason));
        }
        let free = (0..2).find(|&side| !wire.taken[side].swap(true, Ordering::AcqRel));
        match free {
            Some(side) => Ok(End { wire, side }),
            None => Err(DeviceError::unavailable("ring.name", format!("ring '{name}' has two ends already"))),
        }
    }
}

impl Wire {
    fn new(eal: &Eal, queues: u16, number: u32) -> Result<Self, DeviceError> {
        let mut wire = Self { taken: Default::default(), rings: [Vec::new(), Vec::new()], _eal: eal.clone() };
        for side in 0..2 {
            for queue in 0..queues {
                let name = CString::new(format!("wire{number}.{side}.{queue}")).unwrap_or_default();
                let mark = log::Mark::now();
                // SAFETY: charter 5; the EAL is started.
                let ring = unsafe { sys::rte_ring_create(name.as_ptr(), SIZE, ANY_SOCKET, SINGLE_PRODUCER) };
                let Some(ring) = NonNull::new(ring) else {
                    // SAFETY: reads a thread-local integer of the EAL.
                    let reason = mark.reason(unsafe { sys::shim_errno() });
                    return Err(DeviceError::Attach { device: "ring".to_owned(), reason });
                };
                wire.rings[side].push(ring);
            }
        }
        Ok(wire)
    }

    fn drain(&self, side: usize) {
        for ring in &self.rings[side] {
            loop {
                let mut packet = ptr::null_mut();
                // SAFETY: the ring is alive and holds packets that nobody else owns (charter 1).
                unsafe {
                    if sys::shim_ring_dequeue_burst(ring.as_ptr(), &raw mut packet, 1) == 0 {
                        break;
                    }
                    sys::shim_pktmbuf_free(packet);
                }
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for side in 0..2 {
            self.drain(side);
            for ring in &self.rings[side] {
                // SAFETY: no port and no queue refers to the wire any more.
                unsafe { sys::rte_ring_free(ring.as_ptr()) }
            }
        }
    }
}

impl End {
    /// Makes the ethdev of this end; its port number and its name.
    pub(crate) fn make_port(&self, number: u32) -> Result<(u16, CString), DeviceError> {
        let pointers =
            |side: usize| self.wire.rings[side].iter().map(|ring| ring.as_ptr()).collect::<Vec<_>>();
        let (rx, tx) = (pointers(self.side), pointers(1 - self.side));
        let name = format!("wire{number}");
        let failed = |reason| DeviceError::Attach { device: "ring".to_owned(), reason };
        let text = CString::new(name.as_str()).map_err(|error| failed(error.to_string()))?;
        let mark = log::Mark::now();
        let count = rx.len() as u32;
        // SAFETY: charter 5; the two arrays have `count` rings each, and are copied.
        let port =
            unsafe { sys::rte_eth_from_rings(text.as_ptr(), rx.as_ptr(), count, tx.as_ptr(), count, 0) };
        // SAFETY: reads a thread-local integer of the EAL.
        let port = u16::try_from(port).map_err(|_| failed(mark.reason(unsafe { sys::shim_errno() })))?;
        let name = CString::new(format!("net_ring_{name}")).map_err(|error| failed(error.to_string()))?;
        Ok((port, name))
    }

    pub(crate) fn loopback(&self, queue: u16) -> Loopback {
        Loopback { wire: Arc::clone(&self.wire), side: self.side, queue: usize::from(queue) }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // What the other end sent here is lost with this one: it must not come back to its sender.
        self.wire.drain(self.side);
        self.wire.taken[self.side].store(false, Ordering::Release);
    }
}

impl Loopback {
    /// Takes what this end sent, if the wire has no other end.
    ///
    /// # Safety
    /// `packets` has room for `room` pointers.
    #[cold]
    pub(crate) unsafe fn receive(&self, packets: *mut *mut sys::rte_mbuf, room: usize) -> usize {
        let other = 1 - self.side;
        if self.wire.taken[other].load(Ordering::Acquire) {
            return 0;
        }
        let Some(ring) = self.wire.rings[other].get(self.queue) else { return 0 };
        // SAFETY: the ring is alive, the caller promises the room.
        unsafe { sys::shim_ring_dequeue_burst(ring.as_ptr(), packets, room as u32) as usize }
    }
}
