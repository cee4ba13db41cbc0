//! Numbers of sessions and of their halves.

use std::num::NonZeroU32;

/// The number of a half: twice its session's, plus one for the reverse direction. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct HalfId(NonZeroU32);

/// The number of a session, 1-based: IPv4 sessions first, then IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct SessionId(pub(crate) u32);

impl HalfId {
    #[inline]
    pub(crate) const fn from_number(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number as stored in the index.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0.get()
    }

    /// The session that it belongs to.
    #[inline]
    #[must_use]
    pub const fn session(self) -> SessionId {
        SessionId(self.0.get() >> 1)
    }

    /// Whether this is the direction opposite to the first packet's.
    #[inline]
    #[must_use]
    pub const fn is_reverse(self) -> bool {
        self.0.get() & 1 == 1
    }

    /// The other direction.
    #[inline]
    #[must_use]
    pub const fn other(self) -> Self {
        // A number is at least 2, so flipping its last bit never makes it 0.
        match Self::from_number(self.0.get() ^ 1) {
            Some(other) => other,
            None => self,
        }
    }
}

impl SessionId {
    /// The number, 1-based.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The half of the first packet's direction.
    #[inline]
    #[must_use]
    pub const fn forward(self) -> HalfId {
        HalfId(NonZeroU32::MIN.saturating_add((self.0 * 2).saturating_sub(1)))
    }

    /// The half of the opposite direction.
    #[inline]
    #[must_use]
    pub const fn reverse(self) -> HalfId {
        HalfId(NonZeroU32::MIN.saturating_add(self.0 * 2))
    }
}
