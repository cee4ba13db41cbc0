//! What the data path asks of a packet's memory, so that the same pipeline runs on DPDK mbufs and on
//! plain memory in tests.

/// Bytes kept free in front of a received frame. The deepest encapsulation (VXLAN over IPv6) needs 84.
pub const HEADROOM: usize = 128;

/// What is known about the checksum of the packet's (innermost) transport header (SEMANTICS: checksums).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L4Checksum {
    /// Nothing is known; the field is whatever the sender wrote.
    #[default]
    Unknown,
    /// The device or we verified it.
    Verified,
    /// The field holds only the folded pseudo header: somebody still has to complete it.
    Partial,
}

/// A frame in one contiguous piece of memory, with room in front of it.
pub trait PacketBuf {
    /// The frame, from the first byte of the outermost header.
    fn data(&self) -> &[u8];
    /// The frame, writable.
    fn data_mut(&mut self) -> &mut [u8];
    /// Bytes free in front of the frame.
    fn headroom(&self) -> usize;
    /// Bytes free behind the frame.
    fn tailroom(&self) -> usize;
    /// Grows the frame by `n` bytes at the front; `false` (and no change) without room.
    #[must_use]
    fn grow_front(&mut self, n: usize) -> bool;
    /// Takes `n` bytes off the front; `false` (and no change) if the frame is shorter.
    #[must_use]
    fn shrink_front(&mut self, n: usize) -> bool;
    /// Grows the frame by `n` (uninitialised or old) bytes at the end; `false` (and no change) without room.
    #[must_use]
    fn grow_back(&mut self, n: usize) -> bool;
    /// Cuts the frame to `len` bytes; longer than the frame is no change.
    fn truncate(&mut self, len: usize);
    /// What is known about the transport checksum.
    fn l4_checksum(&self) -> L4Checksum;
    /// Changes what is known about the transport checksum.
    fn set_l4_checksum(&mut self, state: L4Checksum);

    /// Length of the frame in bytes.
    #[inline]
    fn len(&self) -> usize {
        self.data().len()
    }
    /// Whether the frame has no byte at all.
    #[inline]
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Makes the frame end with `bytes`, written at `at`, whether it was longer or shorter; `false` (and no
    /// change) if there is no byte at `at` or no room behind the frame.
    #[must_use]
    fn replace_from(&mut self, at: usize, bytes: &[u8]) -> bool {
        let (old, new) = (self.len(), at + bytes.len());
        if at > old || (new > old && !self.grow_back(new - old)) {
            return false;
        }
        self.truncate(new);
        for (to, from) in self.data_mut().iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
        true
    }
    /// Gives the frame another front and another end: the `front` bytes before byte `at` become its first ones, and
    /// it ends at byte `end` (both counted from where the frame begins now). Returns the `N` bytes in front of byte
    /// `at`, for a header that is copied in one piece even where it is shorter than `N`; `None` (and no change) if
    /// there are not so many, if the frame is shorter than `end`, or if `front` is more than `N`.
    #[must_use]
    fn reframe<const N: usize>(&mut self, at: usize, end: usize, front: usize) -> Option<&mut [u8; N]>;
    /// Whether the frame is one packet in one piece, as everything here expects it to be. One that is not is only read
    /// by its [`Self::parts`] and given back: see [`crate::segment`].
    #[inline]
    fn is_whole(&self) -> bool {
        true
    }
    /// Bytes of TCP payload for each packet that a super-frame is to be cut into; 0 for any other frame.
    #[inline]
    fn segment_size(&self) -> u16 {
        0
    }
    /// The whole frame, in the pieces of memory that it lies in.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.data())
    }
    /// Asks the cache for the first bytes of the frame, as far as headers reach.
    #[inline]
    fn prefetch(&self) {}
}

/// A frame in plain memory: the tests' and the explainer's packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryBuf {
    memory: Vec<u8>,
    start: usize,
    end: usize,
    l4: L4Checksum,
    /// Of a super-frame: what its sender wants it cut into, and where its first part ends.
    segments: Option<(u16, usize)>,
}

impl MemoryBuf {
    /// A copy of `frame` with `headroom` bytes in front and `tailroom` bytes behind it.
    #[must_use]
    pub fn with_room(frame: &[u8], headroom: usize, tailroom: usize) -> Self {
        let (start, end) = (headroom, headroom + frame.len());
        let mut memory = vec![0; end + tailroom];
        memory[start..end].copy_from_slice(frame);
        Self { memory, start, end, l4: L4Checksum::Unknown, segments: None }
    }

    /// A super-frame to be cut into segments of `size` bytes of payload, whose bytes lie in a first part of `first` bytes
    /// and in others of `first` bytes each.
    #[must_use]
    pub fn super_frame(frame: &[u8], size: u16, first: usize) -> Self {
        Self { segments: Some((size, first.max(1))), ..Self::with_tailroom(frame, 0) }
    }

    /// A copy of `frame` with [`HEADROOM`] in front and `tailroom` bytes behind it.
    #[must_use]
    pub fn with_tailroom(frame: &[u8], tailroom: usize) -> Self {
        Self::with_room(frame, HEADROOM, tailroom)
    }

    /// A copy of `frame` with room like an mbuf's.
    #[must_use]
    pub fn new(frame: &[u8]) -> Self {
        Self::with_tailroom(frame, 2048_usize.saturating_sub(frame.len()))
    }
}

impl PacketBuf for MemoryBuf {
    #[inline]
    fn data(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }
    fn is_whole(&self) -> bool {
        self.segments.is_none()
    }
    fn segment_size(&self) -> u16 {
        self.segments.map_or(0, |(size, _)| size)
    }
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.data().chunks(self.segments.map_or(usize::MAX, |(_, part)| part))
    }
    #[inline]
    fn data_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.end]
    }
    #[inline]
    fn headroom(&self) -> usize {
        self.start
    }
    #[inline]
    fn tailroom(&self) -> usize {
        self.memory.len() - self.end
    }
    #[inline]
    fn grow_front(&mut self, n: usize) -> bool {
        let room = n <= self.start;
        self.start -= if room { n } else { 0 };
        room
    }
    #[inline]
    fn shrink_front(&mut self, n: usize) -> bool {
        let long = n <= self.end - self.start;
        self.start += if long { n } else { 0 };
        long
    }
    #[inline]
    fn grow_back(&mut self, n: usize) -> bool {
        let room = n <= self.tailroom();
        self.end += if room { n } else { 0 };
        room
    }
    #[inline]
    fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start.saturating_add(len));
    }
    #[inline]
    fn reframe<const N: usize>(&mut self, at: usize, end: usize, front: usize) -> Option<&mut [u8; N]> {
        let at = self.start + at;
        let end = self.start + end;
        if at < N || at > end || end > self.end || front > N {
            return None;
        }
        self.start = at - front;
        self.end = end;
        self.memory.get_mut(at - N..at)?.first_chunk_mut()
    }
    #[inline]
    fn l4_checksum(&self) -> L4Checksum {
        self.l4
    }
    #[inline]
    fn set_l4_checksum(&mut self, state: L4Checksum) {
        self.l4 = state;
    }
}
