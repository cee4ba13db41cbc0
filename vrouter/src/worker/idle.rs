//! What a worker does while no packet comes (SEMANTICS 23).

use std::time::Duration;

use super::Clock;

/// How a worker waits for packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollMode {
    /// It never rests.
    Busy,
    /// It pauses, then sleeps.
    Adaptive,
}

impl PollMode {
    /// The name that the API and the configuration use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Adaptive => "adaptive",
        }
    }
}

/// Microseconds of empty polls after which a worker pauses between them.
const PAUSE_AFTER: u64 = 50;
/// Microseconds of empty polls after which it sleeps.
const SLEEP_AFTER: u64 = 1000;
/// The first sleep, and the longest.
const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_micros(200);

/// What to do after a turn without work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Poll again at once.
    None,
    /// Poll again after the processor had a moment for its other thread.
    Pause,
    /// Give the CPU away.
    Sleep(Duration),
}

/// How long there was nothing to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    mode: PollMode,
    pause_after: u64,
    sleep_after: u64,
    worked_at: u64,
    step: Duration,
}

impl Idle {
    pub(super) const fn new(mode: PollMode, clock: &Clock) -> Self {
        Self {
            mode,
            pause_after: clock.from_microseconds(PAUSE_AFTER),
            sleep_after: clock.from_microseconds(SLEEP_AFTER),
            worked_at: 0,
            step: SHORTEST,
        }
    }

    /// There was work: poll at full speed again.
    #[inline]
    pub(super) const fn worked(&mut self, now: u64) {
        self.worked_at = now;
        self.step = SHORTEST;
    }

    /// There was none. `now` is in ticks of the clock.
    #[inline]
    pub(super) fn rest(&mut self, now: u64) -> Rest {
        if self.mode == PollMode::Busy {
            return Rest::None;
        }
        let empty = now.saturating_sub(self.worked_at);
        if empty < self.pause_after {
            Rest::None
        } else if empty < self.sleep_after {
            Rest::Pause
        } else {
            let step = self.step;
            self.step = (2 * step).min(LONGEST);
            Rest::Sleep(step)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1000;

    fn idle(mode: PollMode) -> Idle {
        Idle::new(mode, &Clock::new(|| 0, 1_000_000_000))
    }

    #[test]
    fn a_busy_worker_never_rests() {
        let mut idle = idle(PollMode::Busy);
        assert_eq!(idle.rest(u64::MAX), Rest::None);
    }

    #[test]
    fn an_adaptive_worker_pauses_after_50_us_and_sleeps_after_1_ms_in_doubling_steps() {
        let mut idle = idle(PollMode::Adaptive);
        idle.worked(7 * US);
        assert_eq!(idle.rest(7 * US), Rest::None);
        assert_eq!(idle.rest(56 * US), Rest::None);
        assert_eq!(idle.rest(57 * US), Rest::Pause);
        assert_eq!(idle.rest(1006 * US), Rest::Pause);
        for step in [20, 40, 80, 160, 200, 200] {
            assert_eq!(idle.rest(1007 * US), Rest::Sleep(Duration::from_micros(step)));
        }
    }

    #[test]
    fn any_packet_brings_it_back_to_polling_and_to_the_shortest_step() {
        let mut idle = idle(PollMode::Adaptive);
        assert_eq!(idle.rest(5000 * US), Rest::Sleep(SHORTEST));
        assert_eq!(idle.rest(6000 * US), Rest::Sleep(2 * SHORTEST));
        idle.worked(6001 * US);
        assert_eq!(idle.rest(6002 * US), Rest::None);
        assert_eq!(idle.rest(7001 * US), Rest::Sleep(SHORTEST));
    }
}
