//! Checked access to big-endian fields at an offset. Everything that reads or writes packets goes through
//! these, so no byte string of any length can make the data path panic.

/// The `N` bytes at `at`, if the frame has them.
#[inline]
pub(crate) fn chunk<const N: usize>(data: &[u8], at: usize) -> Option<&[u8; N]> {
    data.get(at..)?.first_chunk()
}

/// The `N` bytes at `at`, writable, if the frame has them.
#[inline]
pub(crate) fn chunk_mut<const N: usize>(data: &mut [u8], at: usize) -> Option<&mut [u8; N]> {
    data.get_mut(at..)?.first_chunk_mut()
}

/// The 16-bit number at `at`.
#[inline]
pub(crate) fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    chunk(data, at).map(|bytes| u16::from_be_bytes(*bytes))
}

/// The 32-bit number at `at`.
#[inline]
pub(crate) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    chunk(data, at).map(|bytes| u32::from_be_bytes(*bytes))
}

/// Writes `bytes` at `at` where the frame is long enough, else nothing.
#[inline]
pub(crate) fn put<const N: usize>(data: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(field) = chunk_mut::<N>(data, at) {
        *field = bytes;
    }
}
