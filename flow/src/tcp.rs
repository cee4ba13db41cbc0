//! The state of a TCP connection, as a box in the middle sees it.
//!
//! Each half records what *its own* side has done, so that each byte has one writer: the worker that
//! receives that direction. What the connection as a whole is in follows from both ([`connection`]).
//! A segment of an established connection that is neither SYN, FIN nor RST costs one comparison and one
//! store: the acknowledgement number, against which a reset of the other side is judged later (RFC 5961).
//!
//! What `Half::tcp_ack` holds:
//! - before the handshake is done: the number that acknowledges this side's SYN;
//! - then: the last acknowledgement number that this side sent, i.e. what it expects next;
//! - after this side's FIN: the number that acknowledges it.

use packet::DropReason;
use packet::protocol::tcp::{ACK, FIN, RST, SYN};

use crate::table::Half;

/// What one side of a connection has done: a set of the constants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct HalfState(pub(crate) u8);

impl HalfState {
    /// Nothing yet, or not TCP.
    pub const NONE: Self = Self(0);
    /// Sent a SYN.
    pub const SYN_SENT: Self = Self(1);
    /// Acknowledged the other side's SYN.
    pub const SYN_ACKED: Self = Self(1 << 1);
    /// Sent a FIN.
    pub const FIN_SENT: Self = Self(1 << 2);
    /// Acknowledged the other side's FIN. Recorded only once this side has sent its own.
    pub const FIN_ACKED: Self = Self(1 << 3);
    /// Sent a reset that the other side must accept.
    pub const RESET: Self = Self(1 << 4);
    /// Sent a reset that the other side may refuse (RFC 5961 §3.2), and nothing since.
    pub const DOUBTED: Self = Self(1 << 5);
    /// The connection was picked up in mid-stream and this side has not been heard.
    pub const UNSEEN: Self = Self(1 << 6);
    /// Handshake done, nothing else: the state of the fast path.
    pub const ESTABLISHED: Self = Self(Self::SYN_SENT.0 | Self::SYN_ACKED.0);

    /// Whether all of `other` holds.
    #[inline]
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// What matters of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The flag byte.
    pub flags: u8,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Payload bytes.
    pub len: u32,
}

/// What a segment means for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The session goes on.
    Going,
    /// The first side's SYN opened the finished connection anew, in the same session.
    Reopened,
    /// The *other* side opens a connection between the same ends: another conversation, for which policy has
    /// to be asked. The session is to be removed and decided again.
    Renew,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Not TCP, or nothing seen.
    None,
    /// A SYN without answer.
    SynSent,
    /// SYN and SYN-ACK.
    SynReceived,
    /// The handshake is complete.
    Established,
    /// Picked up in mid-stream; one side has not been heard yet.
    PickedUp,
    /// One side has finished.
    HalfClosed,
    /// Both sides have finished, not all is acknowledged; or a reset that may not be genuine.
    Closing,
    /// Both FINs are acknowledged.
    TimeWait,
    /// Reset.
    Reset,
}

impl Connection {
    /// The name as the flow dump prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SynSent => "syn_sent",
            Self::SynReceived => "syn_received",
            Self::Established => "established",
            Self::PickedUp => "picked_up",
            Self::HalfClosed => "half_closed",
            Self::Closing => "closing",
            Self::TimeWait => "time_wait",
            Self::Reset => "reset",
        }
    }

    /// Whether nobody has proved yet that the other end exists: such sessions go first under pressure.
    #[must_use]
    pub const fn is_half_open(self) -> bool {
        matches!(self, Self::None | Self::SynSent | Self::SynReceived | Self::PickedUp)
    }

    /// Whether a new SYN begins another connection.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::TimeWait | Self::Reset)
    }
}

/// The state of the connection whose sides have done `one` and `other`.
#[must_use]
pub const fn connection(one: HalfState, other: HalfState) -> Connection {
    let any = one.with(other);
    if any.has(HalfState::RESET) {
        Connection::Reset
    } else if any.has(HalfState::UNSEEN) {
        Connection::PickedUp
    } else if one.has(HalfState::FIN_SENT) && other.has(HalfState::FIN_SENT) {
        if one.has(HalfState::FIN_ACKED) && other.has(HalfState::FIN_ACKED) {
            Connection::TimeWait
        } else {
            Connection::Closing
        }
    } else if any.has(HalfState::FIN_SENT) {
        Connection::HalfClosed
    } else if one.has(HalfState::SYN_ACKED) && other.has(HalfState::SYN_ACKED) {
        if any.has(HalfState::DOUBTED) { Connection::Closing } else { Connection::Established }
    } else if any.has(HalfState::SYN_ACKED) {
        Connection::SynReceived
    } else if any.has(HalfState::SYN_SENT) {
        Connection::SynSent
    } else {
        Connection::None
    }
}

/// Whether RFC 9293 knows segments with these flags: SYN, SYN-ACK, ACK, FIN-ACK, RST, RST-ACK. PSH, URG and
/// the ECN flags may stand beside any of them.
#[inline]
#[must_use]
pub const fn flags_are_valid(flags: u8) -> bool {
    const FIN_ACK: u8 = FIN | ACK;
    const SYN_ACK: u8 = SYN | ACK;
    const RST_ACK: u8 = RST | ACK;
    matches!(flags & (FIN | SYN | RST | ACK), SYN | SYN_ACK | ACK | FIN_ACK | RST | RST_ACK)
}

/// What the two halves of a new session begin with, given its first segment: state and `tcp_ack` of the
/// forward and of the reverse half.
///
/// # Errors
/// `TcpInvalid` for impossible flags. `TcpNoSyn` if the segment opens nothing and is not to be picked up:
/// `pick_up` is off, or it is a SYN-ACK or a reset.
pub const fn open(segment: &Segment, pick_up: bool) -> Result<[(HalfState, u32); 2], DropReason> {
    if !flags_are_valid(segment.flags) {
        return Err(DropReason::TcpInvalid);
    }
    if segment.flags & (SYN | ACK) == SYN {
        let acknowledges = segment.seq.wrapping_add(1);
        return Ok([(HalfState::SYN_SENT, acknowledges), (HalfState::NONE, 0)]);
    }
    if !pick_up || segment.flags & (SYN | RST) != 0 {
        return Err(DropReason::TcpNoSyn);
    }
    let unheard = (HalfState::ESTABLISHED.with(HalfState::UNSEEN), 0);
    if segment.flags & FIN != 0 {
        let heard = HalfState::ESTABLISHED.with(HalfState::FIN_SENT);
        return Ok([(heard, fin_acknowledgement(segment)), unheard]);
    }
    Ok([(HalfState::ESTABLISHED, segment.ack), unheard])
}

/// Follows a connection by one segment of `half`'s direction. `reverse` tells whether that is the direction
/// opposite to the session's first packet.
///
/// # Errors
/// `TcpInvalid` for impossible flags and for resets outside the receiver's window: the segment is to be
/// dropped.
#[inline]
pub fn on_segment(
    half: &Half<'_>,
    other: &Half<'_>,
    segment: &Segment,
    reverse: bool,
) -> Result<Progress, DropReason> {
    if segment.flags & (FIN | SYN | RST | ACK) == ACK && half.tcp() == HalfState::ESTABLISHED {
        half.set_tcp_ack(segment.ack);
        return Ok(Progress::Going);
    }
    follow(half, other, segment, reverse)
}

#[cold]
fn follow(
    half: &Half<'_>,
    other: &Half<'_>,
    segment: &Segment,
    reverse: bool,
) -> Result<Progress, DropReason> {
    if !flags_are_valid(segment.flags) {
        return Err(DropReason::TcpInvalid);
    }
    match segment.flags & (SYN | RST | ACK) {
        SYN => return Ok(on_syn(half, other, segment, reverse)),
        flags if flags & RST != 0 => on_reset(half, other, segment)?,
        flags if flags & SYN != 0 => on_syn_ack(half, other, segment),
        _ => on_ack(half, other, segment),
    }
    Ok(Progress::Going)
}

fn on_syn(half: &Half<'_>, other: &Half<'_>, segment: &Segment, reverse: bool) -> Progress {
    let over = connection(half.tcp(), other.tcp()).is_over();
    if over && reverse {
        return Progress::Renew;
    }
    if over {
        other.set_tcp(HalfState::NONE);
    }
    // On a running connection it passes and changes nothing: the receiver answers with a challenge
    // (RFC 5961 §4), and if the sender has really forgotten the connection, its reset is then exact.
    if over || !half.tcp().has(HalfState::SYN_ACKED) {
        half.set_tcp(HalfState::SYN_SENT);
        half.set_tcp_ack(segment.seq.wrapping_add(1));
    }
    if over { Progress::Reopened } else { Progress::Going }
}

fn on_syn_ack(half: &Half<'_>, other: &Half<'_>, segment: &Segment) {
    let answers = other.tcp().has(HalfState::SYN_SENT) && !other.tcp().has(HalfState::SYN_ACKED);
    if answers && !half.tcp().has(HalfState::SYN_ACKED) && acknowledges_syn(segment, other) {
        half.set_tcp(HalfState::ESTABLISHED);
        half.set_tcp_ack(segment.ack);
    }
}

fn on_ack(half: &Half<'_>, other: &Half<'_>, segment: &Segment) {
    let (mine, theirs) = (half.tcp(), other.tcp());
    let answers_syn = mine.has(HalfState::SYN_SENT) && theirs.has(HalfState::SYN_SENT);
    if !mine.has(HalfState::SYN_ACKED) && !answers_syn {
        // Part of no handshake that was seen: it may pass, and proves nothing.
        return;
    }
    let mut state = mine.without(HalfState::UNSEEN).without(HalfState::DOUBTED).with(HalfState::SYN_ACKED);
    let finishes = segment.flags & FIN != 0;
    if finishes {
        state = state.with(HalfState::FIN_SENT);
    }
    if state.has(HalfState::FIN_SENT) && theirs.has(HalfState::FIN_SENT) {
        let acknowledges = |ack: u32| ack.wrapping_sub(other.tcp_ack()) < 1 << 31;
        // Segments of a burst that only acknowledge come here before those that finish: one behind this FIN may have
        // acknowledged the other side's already.
        let speaks = mine.has(HalfState::SYN_ACKED) && !mine.has(HalfState::FIN_SENT);
        let overtaken = speaks && acknowledges(half.tcp_ack());
        if acknowledges(segment.ack) || overtaken {
            state = state.with(HalfState::FIN_ACKED);
        }
    }
    if finishes {
        half.set_tcp_ack(fin_acknowledgement(segment));
    } else if !state.has(HalfState::FIN_SENT) {
        half.set_tcp_ack(segment.ack);
    }
    if state != mine {
        half.set_tcp(state);
    }
}

/// The largest window there is (RFC 7323 §2.3). The connection's own is not tracked: inside it the receiver
/// judges, and what matters here is the exact match.
const LARGEST_WINDOW: u32 = 1 << 30;

fn on_reset(half: &Half<'_>, other: &Half<'_>, segment: &Segment) -> Result<(), DropReason> {
    let (mine, theirs) = (half.tcp(), other.tcp());
    let accepted =
        if theirs == HalfState::NONE || mine.has(HalfState::FIN_SENT) && theirs.has(HalfState::FIN_SENT) {
            // The sender takes back its own SYN, or nothing is left to be reset.
            true
        } else if !theirs.has(HalfState::SYN_ACKED) {
            if mine.has(HalfState::SYN_SENT) {
                // After its own SYN-ACK: what it must match was not seen, so the receiver judges.
                false
            } else if segment.flags & ACK != 0 && acknowledges_syn(segment, other) {
                true
            } else {
                return Err(DropReason::TcpInvalid);
            }
        } else if theirs.has(HalfState::UNSEEN) || theirs.has(HalfState::FIN_SENT) {
            false
        } else {
            match segment.seq.wrapping_sub(other.tcp_ack()) {
                0 => true,
                beyond if beyond < LARGEST_WINDOW => false,
                _ => return Err(DropReason::TcpInvalid),
            }
        };
    half.set_tcp(mine.with(if accepted { HalfState::RESET } else { HalfState::DOUBTED }));
    Ok(())
}

/// Whether the segment acknowledges the SYN of `other`, maybe with data that came along (RFC 7413).
fn acknowledges_syn(segment: &Segment, other: &Half<'_>) -> bool {
    segment.ack.wrapping_sub(other.tcp_ack()) <= u32::from(u16::MAX)
}

const fn fin_acknowledgement(segment: &Segment) -> u32 {
    segment.seq.wrapping_add(segment.len).wrapping_add(1)
}

#[cfg(test)]
mod tests;
