//! Whether a receive queue brings more MPLS over GRE than its worker can treat alone.

use packet::PacketBuf;
use packet::encap::is_mpls_over_gre;

use crate::datapath::{BURST, Now};

/// Packets of a poll that found the worker behind: one that keeps up finds a few.
const BEHIND: usize = BURST / 2;
/// So many more polls that found it behind than others make a queue hot: more packets than a device's ring holds, so that
/// a mere burst does not.
const HOT: u8 = 64;
/// Milliseconds that a queue is hot after the last sign of it. Once others help, such signs are rare, and without a
/// second look at it the queue would be hot again some thousand packets later.
const LASTING: u64 = 1000;

/// The heat of one receive queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heat {
    /// Polls that found the worker behind, less those that did not.
    score: u8,
    /// When it ends to be hot, in milliseconds.
    until: u64,
}

impl Heat {
    /// A poll brought these frames. The first of many speaks for all: only where it is MPLS over GRE the poll counts.
    #[inline]
    pub(super) fn polled<B: PacketBuf>(&mut self, frames: &[B], now: Now) {
        if frames.len() < BEHIND {
            self.score = self.score.saturating_sub(1);
        } else if frames.first().is_some_and(|frame| is_mpls_over_gre(frame.data())) {
            self.score += u8::from(self.score < HOT);
            if self.score == HOT {
                self.until = now.milliseconds + LASTING;
            }
        }
    }

    /// Whether the queue is hot.
    #[inline]
    pub(super) const fn is_hot(&self, now: Now) -> bool {
        now.milliseconds < self.until
    }
}

#[cfg(test)]
mod tests {
    use packet::buf::MemoryBuf;

    use super::*;

    /// As much as a heat looks at: MPLS over GRE over IPv4, or UDP.
    fn burst(frames: usize, gre: bool) -> Vec<MemoryBuf> {
        let mut frame = [0; 60];
        (frame[12], frame[14], frame[23]) = (8, 0x45, if gre { 47 } else { 17 });
        frame[36..38].copy_from_slice(&[0x88, 0x47]);
        (0..frames).map(|_| MemoryBuf::new(&frame)).collect()
    }

    /// How many such polls in a row make it hot, of as many as are tried.
    fn polls_until_hot(heat: &mut Heat, frames: &[MemoryBuf], now: Now) -> Option<usize> {
        (1..=1000).find(|_| {
            heat.polled(frames, now);
            heat.is_hot(now)
        })
    }

    const NOW: Now = Now { milliseconds: 5000 };

    #[test]
    fn a_queue_is_hot_when_its_polls_bring_half_a_burst_of_mpls_over_gre_for_long() {
        assert_eq!(polls_until_hot(&mut Heat::default(), &burst(BURST, true), NOW), Some(64));
        assert_eq!(polls_until_hot(&mut Heat::default(), &burst(BURST / 2, true), NOW), Some(64));
        assert_eq!(polls_until_hot(&mut Heat::default(), &burst(BURST / 2 - 1, true), NOW), None);
        assert_eq!(polls_until_hot(&mut Heat::default(), &burst(BURST, false), NOW), None);
    }

    #[test]
    fn polls_that_bring_little_count_against_it_and_those_that_bring_something_else_do_not_count() {
        let mut heat = Heat::default();
        for frames in [burst(64, true), burst(3, true), burst(64, true), burst(0, true), burst(64, true)] {
            heat.polled(&frames, NOW);
        }
        heat.polled(&burst(64, false), NOW);
        assert_eq!(polls_until_hot(&mut heat, &burst(BURST, true), NOW), Some(63));
    }

    #[test]
    fn it_is_hot_until_a_second_after_the_last_sign() {
        let mut heat = Heat::default();
        polls_until_hot(&mut heat, &burst(BURST, true), NOW);
        let at = |milliseconds| Now { milliseconds };
        heat.polled(&burst(BURST, true), at(5600));
        heat.polled(&burst(1, true), at(5601));
        assert!(heat.is_hot(at(6599)));
        assert!(!heat.is_hot(at(6600)));
        assert_eq!(
            polls_until_hot(&mut heat, &burst(BURST, true), at(7000)),
            Some(1),
            "it did not cool down"
        );
        for _ in 0..1000 {
            heat.polled(&burst(0, true), at(7100));
        }
        assert_eq!(polls_until_hot(&mut heat, &burst(BURST, true), at(9000)), Some(64));
    }
}
