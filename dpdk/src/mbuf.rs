//! Packets in DPDK's memory.

use std::fmt;
use std::ptr::NonNull;
use std::slice;

use arrayvec::ArrayVec;
use dpdk_sys as sys;
use packet::{L4Checksum, PacketBuf};

/// Up to [`BURST`](crate::BURST) packets.
pub type Burst = ArrayVec<Mbuf, { crate::BURST }>;

const RX_L4: u64 = sys::RTE_MBUF_F_RX_L4_CKSUM_MASK as u64;
const RX_L4_GOOD: u64 = sys::RTE_MBUF_F_RX_L4_CKSUM_GOOD as u64;
const RX_L4_NONE: u64 = sys::RTE_MBUF_F_RX_L4_CKSUM_NONE as u64;
/// Everything that asks a device to work on checksums.
const TX_CHECKSUMS: u64 = sys::RTE_MBUF_F_TX_L4_MASK
    | sys::RTE_MBUF_F_TX_IP_CKSUM
    | sys::RTE_MBUF_F_TX_IPV4
    | sys::RTE_MBUF_F_TX_IPV6;

/// A packet: the one owner of a buffer of a [`Mempool`](crate::Mempool). Dropping it gives the buffer back.
///
/// It is one contiguous segment, unless it is not whole ([`PacketBuf::is_whole`]): then it is as a device received it,
/// only to be read by its parts, or to be dropped.
#[repr(transparent)]
pub struct Mbuf(NonNull<sys::rte_mbuf>);

// SAFETY: charter 1; the buffer has no tie to a thread.
unsafe impl Send for Mbuf {}

/// Which transport checksum a device is to complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP (its CRC32c).
    Sctp,
}

/// What a device is to compute while it transmits. For a tunnelled packet the lengths may count the outer
/// headers as layer 2: devices look only at where the network header and the transport header begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChecksumRequest {
    /// Bytes in front of the network header, at most 127.
    pub l2_len: u8,
    /// Bytes of the network header with options, at most 511.
    pub l3_len: u16,
    /// Whether the network header is IPv6.
    pub ipv6: bool,
    /// Whether to write the IPv4 header checksum.
    pub header: bool,
    /// Which transport checksum to complete: its field holds the folded pseudo header.
    pub transport: Option<Transport>,
}

impl Mbuf {
    /// Takes ownership.
    ///
    /// # Safety
    /// `raw` is an allocated mbuf that nobody else owns, with one reference (charter 1); `data_off` and
    /// `data_len` are inside the buffer, and so for each buffer of a chain.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<sys::rte_mbuf>) -> Self {
        Self(raw)
    }

    #[inline]
    fn raw(&self) -> &sys::rte_mbuf {
        // SAFETY: charter 1.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn raw_mut(&mut self) -> &mut sys::rte_mbuf {
        // SAFETY: charter 1.
        unsafe { self.0.as_mut() }
    }

    /// Whether it is more than one segment; only when it has just been received.
    #[inline]
    pub(crate) fn is_chain(&self) -> bool {
        self.raw().nb_segs != 1
    }

    /// Whether a peer left its segmentation to the device.
    #[inline]
    fn is_super_frame(&self) -> bool {
        self.raw().ol_flags & u64::from(sys::RTE_MBUF_F_RX_LRO) != 0
    }

    /// Copies a chain into its first segment; `false` if that has no room.
    #[cold]
    pub(crate) fn join_segments(&mut self) -> bool {
        // SAFETY: charter 1.
        unsafe { sys::shim_pktmbuf_linearize(self.0.as_ptr()) == 0 }
    }

    /// The port that received it.
    #[inline]
    #[must_use]
    pub fn port(&self) -> u16 {
        self.raw().port
    }

    /// Asks the device that transmits it to complete checksums. The port must have the offload
    /// ([`Port::offloads`](crate::Port::offloads)): otherwise the packet leaves as it is.
    #[inline]
    pub fn request_checksum(&mut self, request: ChecksumRequest) {
        let family = if request.ipv6 { sys::RTE_MBUF_F_TX_IPV6 } else { sys::RTE_MBUF_F_TX_IPV4 };
        let header = if request.header && !request.ipv6 { sys::RTE_MBUF_F_TX_IP_CKSUM } else { 0 };
        let transport = match request.transport {
            None => 0,
            Some(Transport::Tcp) => sys::RTE_MBUF_F_TX_TCP_CKSUM,
            Some(Transport::Udp) => sys::RTE_MBUF_F_TX_UDP_CKSUM,
            Some(Transport::Sctp) => sys::RTE_MBUF_F_TX_SCTP_CKSUM,
        };
        let l2 = u64::from(request.l2_len & 0x7f) << sys::RTE_MBUF_L2_LEN_OFS;
        let l3 = u64::from(request.l3_len & 0x1ff) << sys::RTE_MBUF_L3_LEN_OFS;
        let raw = self.raw_mut();
        raw.ol_flags = (raw.ol_flags & !TX_CHECKSUMS) | family | header | transport;
        // SAFETY: charter 1; an aligned u64 of the mbuf, at the offset that the build checked.
        unsafe { self.0.cast::<u8>().add(sys::SHIM_MBUF_TX_OFFLOAD as usize).cast::<u64>().write(l2 | l3) }
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: charter 1.
        unsafe { sys::shim_pktmbuf_free(self.0.as_ptr()) }
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf").field("port", &self.port()).field("len", &self.len()).finish_non_exhaustive()
    }
}

impl PacketBuf for Mbuf {
    #[inline]
    fn data(&self) -> &[u8] {
        let raw = self.raw();
        // SAFETY: charter 1; [data_off, data_off + data_len) is inside the buffer: DPDK's rule for what it
        // hands out, kept by each function below.
        unsafe {
            let start = raw.buf_addr.cast::<u8>().add(usize::from(raw.data_off));
            slice::from_raw_parts(start, usize::from(raw.data_len))
        }
    }

    #[inline]
    fn data_mut(&mut self) -> &mut [u8] {
        let raw = self.raw_mut();
        // SAFETY: as in data(), and the owner is borrowed mutably.
        unsafe {
            let start = raw.buf_addr.cast::<u8>().add(usize::from(raw.data_off));
            slice::from_raw_parts_mut(start, usize::from(raw.data_len))
        }
    }

    #[inline]
    fn headroom(&self) -> usize {
        usize::from(self.raw().data_off)
    }

    #[inline]
    fn tailroom(&self) -> usize {
        let raw = self.raw();
        usize::from(raw.buf_len).saturating_sub(usize::from(raw.data_off) + usize::from(raw.data_len))
    }

    #[inline]
    fn grow_front(&mut self, n: usize) -> bool {
        let room = n <= self.headroom();
        if room {
            let n = n as u16;
            let raw = self.raw_mut();
            raw.data_off -= n;
            raw.data_len += n;
            raw.pkt_len = u32::from(raw.data_len);
        }
        room
    }

    #[inline]
    fn shrink_front(&mut self, n: usize) -> bool {
        let long = n <= self.len();
        if long {
            let n = n as u16;
            let raw = self.raw_mut();
            raw.data_off += n;
            raw.data_len -= n;
            raw.pkt_len = u32::from(raw.data_len);
        }
        long
    }

    #[inline]
    fn grow_back(&mut self, n: usize) -> bool {
        let room = n <= self.tailroom();
        if room {
            let raw = self.raw_mut();
            raw.data_len += n as u16;
            raw.pkt_len = u32::from(raw.data_len);
        }
        room
    }

    #[inline]
    fn truncate(&mut self, len: usize) {
        if len < self.len() {
            let raw = self.raw_mut();
            raw.data_len = len as u16;
            raw.pkt_len = u32::from(raw.data_len);
        }
    }

    #[inline(always)]
    fn reframe<const N: usize>(&mut self, at: usize, end: usize, front: usize) -> Option<&mut [u8; N]> {
        let raw = self.raw_mut();
        let start = usize::from(raw.data_off) + at;
        if start < N || at > end || end > usize::from(raw.data_len) || front > N {
            return None;
        }
        raw.data_off = (start - front) as u16;
        raw.data_len = (end - at + front) as u16;
        raw.pkt_len = u32::from(raw.data_len);
        // SAFETY: as in data(): [start - N, start) lies in front of a byte of the frame and, since start >= N, not
        // before the buffer; the owner is borrowed mutably.
        Some(unsafe { &mut *raw.buf_addr.cast::<u8>().add(start - N).cast::<[u8; N]>() })
    }

    /// [`Partial`](L4Checksum::Partial) is what a device says of a packet whose sender left the checksum
    /// to it, and what a request to complete it means when that packet arrives over a ring.
    #[inline]
    fn l4_checksum(&self) -> L4Checksum {
        let flags = self.raw().ol_flags;
        if flags & sys::RTE_MBUF_F_TX_L4_MASK != 0 {
            return L4Checksum::Partial;
        }
        match flags & RX_L4 {
            RX_L4_GOOD => L4Checksum::Verified,
            RX_L4_NONE => L4Checksum::Partial,
            _ => L4Checksum::Unknown,
        }
    }

    /// Also withdraws what [`Mbuf::request_checksum`] asked for.
    #[inline]
    fn set_l4_checksum(&mut self, state: L4Checksum) {
        let flags = match state {
            L4Checksum::Unknown => 0,
            L4Checksum::Verified => RX_L4_GOOD,
            L4Checksum::Partial => RX_L4_NONE,
        };
        let raw = self.raw_mut();
        raw.ol_flags = (raw.ol_flags & !(RX_L4 | TX_CHECKSUMS)) | flags;
    }

    #[inline]
    fn is_whole(&self) -> bool {
        !self.is_chain() && !self.is_super_frame()
    }

    #[inline]
    fn segment_size(&self) -> u16 {
        if !self.is_super_frame() {
            return 0;
        }
        // SAFETY: charter 1; an aligned u64 of the mbuf, at the offset that the build checked.
        let offload =
            unsafe { self.0.cast::<u8>().add(sys::SHIM_MBUF_TX_OFFLOAD as usize).cast::<u64>().read() };
        (offload >> sys::RTE_MBUF_TSO_SEGSZ_OFS) as u16
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut next = Some(self.raw());
        std::iter::from_fn(move || {
            let part = next?;
            // SAFETY: charter 1: what `next` leads to belongs to this packet, which is borrowed, and
            // [data_off, data_off + data_len) is inside its buffer.
            unsafe {
                next = part.next.as_ref();
                let start = part.buf_addr.cast::<u8>().add(usize::from(part.data_off));
                Some(slice::from_raw_parts(start, usize::from(part.data_len)))
            }
        })
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.raw().data_len)
    }

    #[inline]
    fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let start = self.data().as_ptr();
            // SAFETY: a prefetch reads nothing, so that any address will do; the first is inside the buffer.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(start.cast());
                // Where the inner headers of a tunnel packet are.
                _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(64).cast());
            }
        }
    }
}
