//! Pools of packet buffers.

use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;

use dpdk_sys as sys;
use packet::PacketBuf;

use crate::eal::Eal;
use crate::error::MempoolError;
use crate::log;
use crate::mbuf::Mbuf;

/// The size of one buffer's bookkeeping, about: the mbuf, the pool's header, padding.
const OVERHEAD: u64 = 256;
/// `SOCKET_ID_ANY`.
const ANY_SOCKET: i32 = -1;

/// How to make a [`Mempool`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MempoolConfig {
    /// Unique in the process; letters, digits, `_`, `-`, `.`, at most 20.
    pub name: String,
    /// Packets that it holds. A power of two less one uses memory best.
    pub count: u32,
    /// Bytes for the frame, headroom not included: the longest frame that is received whole.
    pub data_room: u16,
    /// Packets that each registered thread may keep at hand, at most 512; 0 for none.
    pub cache: u32,
}

impl Default for MempoolConfig {
    fn default() -> Self {
        Self { name: "packets".to_owned(), count: 8191, data_room: 2048, cache: 256 }
    }
}

/// A pool of packet buffers. A handle: clones are the same pool. The pool itself stays until the [`Eal`]
/// is shut down, because packets may (charter 2).
#[derive(Clone)]
pub struct Mempool {
    eal: Eal,
    pool: NonNull<sys::rte_mempool>,
    count: u32,
    data_room: u16,
}

// SAFETY: mempools are made for use by many threads at once.
unsafe impl Send for Mempool {}
// SAFETY: as above; nothing in the handle changes.
unsafe impl Sync for Mempool {}

/// All pools ever made.
#[derive(Default)]
pub(crate) struct Pools {
    all: Vec<NonNull<sys::rte_mempool>>,
    /// Pools of devices that are gone, for the next ones: pointer, count, data room.
    spare: Vec<(NonNull<sys::rte_mempool>, u32, u16)>,
}

// SAFETY: the pointers are to pools, which any thread may use.
unsafe impl Send for Pools {}

impl Pools {
    /// Packets that are not in their pool.
    pub(crate) fn packets_out(&self) -> u64 {
        // SAFETY: charter 2; pools are never freed before the EAL.
        self.all.iter().map(|pool| u64::from(unsafe { sys::rte_mempool_in_use_count(pool.as_ptr()) })).sum()
    }
}

impl Mempool {
    /// Makes a pool.
    ///
    /// # Errors
    /// [`MempoolError::NoMemory`] says how much it would take.
    pub fn new(eal: &Eal, config: &MempoolConfig) -> Result<Self, MempoolError> {
        let invalid = |field, reason: &str| Err(MempoolError::Invalid { field, reason: reason.to_owned() });
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let name = &config.name;
        if name.is_empty() || name.len() > 20 || !name.bytes().all(plain) {
            return invalid("name", "must be 1 to 20 letters, digits, '_', '-' or '.'");
        }
        if config.count == 0 {
            return invalid("count", "must be at least 1");
        }
        let headroom = sys::RTE_PKTMBUF_HEADROOM as u16;
        let room = config.data_room.checked_add(headroom);
        let Some(room) = room.filter(|_| config.data_room >= 64) else {
            return invalid("data_room", "must be 64 to 65407 bytes");
        };
        if config.cache > sys::RTE_MEMPOOL_CACHE_MAX_SIZE
            || u64::from(config.cache) * 3 / 2 > u64::from(config.count)
        {
            return invalid("cache", "must be at most 512, and two thirds of the count");
        }
        let Ok(text) = CString::new(name.as_str()) else { return invalid("name", "contains a zero byte") };
        let mut pools = eal.pools();
        let mark = log::Mark::now();
        // SAFETY: charter 5; the EAL is started.
        let pool = unsafe {
            sys::rte_pktmbuf_pool_create(text.as_ptr(), config.count, config.cache, 0, room, ANY_SOCKET)
        };
        let Some(pool) = NonNull::new(pool) else {
            // SAFETY: reads a thread-local integer of the EAL.
            let code = unsafe { sys::shim_errno() };
            let name = name.clone();
            return Err(match code {
                libc::EEXIST => MempoolError::NameTaken { name },
                libc::ENOMEM => MempoolError::NoMemory {
                    name,
                    count: config.count,
                    megabytes: (u64::from(config.count) * (u64::from(room) + OVERHEAD)).div_ceil(1 << 20),
                },
                code => MempoolError::Other { name, reason: mark.reason(code) },
            });
        };
        pools.all.push(pool);
        drop(pools);
        Ok(Self { eal: eal.clone(), pool, count: config.count, data_room: config.data_room })
    }

    /// An empty packet, or `None` if the pool is.
    #[inline]
    #[must_use]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: charter 2; a new mbuf is one segment with one reference, and nobody else has it.
        unsafe { NonNull::new(sys::shim_pktmbuf_alloc(self.as_ptr())).map(|raw| Mbuf::from_raw(raw)) }
    }

    /// A packet that holds a copy of `frame`; `None` if the pool is empty or the frame too long.
    #[must_use]
    pub fn alloc_copy(&self, frame: &[u8]) -> Option<Mbuf> {
        let mut packet = self.alloc()?;
        packet.grow_back(frame.len()).then(|| {
            packet.data_mut().copy_from_slice(frame);
            packet
        })
    }

    /// Packets that the pool holds when all are back.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.count
    }

    /// Bytes for the frame in each packet, headroom not included.
    #[must_use]
    pub fn data_room(&self) -> u16 {
        self.data_room
    }

    /// Packets in the pool, those that threads keep at hand included. Walks all threads: not for the packet path.
    #[must_use]
    pub fn available(&self) -> u32 {
        // SAFETY: charter 2.
        unsafe { sys::rte_mempool_avail_count(self.as_ptr()) }
    }

    /// Packets that are somewhere else: in a program's hands, or in a device's queues.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        // SAFETY: charter 2.
        unsafe { sys::rte_mempool_in_use_count(self.as_ptr()) }
    }

    /// The environment that it belongs to.
    #[must_use]
    pub fn eal(&self) -> &Eal {
        &self.eal
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::rte_mempool {
        self.pool.as_ptr()
    }

    /// Keeps a pool that has no user any more for [`Self::reuse`].
    pub(crate) fn retire(self) {
        self.eal.pools().spare.push((self.pool, self.count, self.data_room));
    }

    /// A retired pool of at least this size.
    pub(crate) fn reuse(eal: &Eal, count: u32, data_room: u16) -> Option<Self> {
        let spare = &mut eal.pools().spare;
        let index = spare.iter().position(|&(_, packets, room)| packets >= count && room >= data_room)?;
        let (pool, count, data_room) = spare.swap_remove(index);
        Some(Self { eal: eal.clone(), pool, count, data_room })
    }
}

impl fmt::Debug for Mempool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mempool")
            .field("count", &self.count)
            .field("data_room", &self.data_room)
            .finish_non_exhaustive()
    }
}
