//! Time in the flow table, and how long a silent session is kept (SEMANTICS 24).

use std::time::Duration;

/// Milliseconds of a tick.
const TICK_MS: u64 = 16;

/// Time in ticks of 16 ms since any fixed moment; wraps after 795 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Ticks(pub u32);

impl Ticks {
    /// The tick in which `elapsed` time has passed since the fixed moment.
    #[must_use]
    pub const fn at(elapsed: Duration) -> Self {
        Self((elapsed.as_millis() as u64 / TICK_MS) as u32)
    }

    /// Ticks since `earlier`; 0 if that is a little later than `self`, as another core's clock may be.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> u32 {
        let ticks = self.0.wrapping_sub(earlier.0);
        if ticks > u32::MAX / 2 { 0 } else { ticks }
    }

    /// Time since `earlier`.
    #[must_use]
    pub const fn elapsed_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.since(earlier) as u64 * TICK_MS)
    }

    /// The later of both.
    #[inline]
    #[must_use]
    pub const fn later(self, other: Self) -> Self {
        if self.0.wrapping_sub(other.0) > u32::MAX / 2 { other } else { self }
    }
}

macro_rules! timeout_classes {
    ($($variant:ident $name:literal $seconds:literal $help:literal)*) => {
        packet::named_enum! {
            /// What decides how long a silent session is kept.
            pub enum TimeoutClass;
            $($variant $name $help)*
        }

        impl TimeoutClass {
            /// The timeout unless configured otherwise.
            #[must_use]
            pub const fn default_timeout(self) -> Duration {
                Duration::from_secs(match self { $(Self::$variant => $seconds,)* })
            }
        }
    };
}

timeout_classes! {
    TcpOpening      "tcp_opening"      20   "TCP whose handshake is not complete, or picked up and not answered."
    TcpEstablished  "tcp_established"  7440 "TCP in both directions (RFC 5382 REQ-5: 2 h 4 min)."
    TcpClosing      "tcp_closing"      60   "TCP with a FIN, or a reset that may not be genuine."
    TcpClosed       "tcp_closed"       2    "TCP whose two FINs are acknowledged, or that was reset."
    UdpOneWay       "udp_one_way"      30   "UDP without an answer."
    UdpBothWays     "udp_both_ways"    180  "UDP in both directions."
    Icmp            "icmp"             30   "ICMP and ICMPv6."
    SctpOpening     "sctp_opening"     20   "SCTP without an answer."
    SctpEstablished "sctp_established" 600  "SCTP in both directions."
    Other           "other"            120  "Any other protocol."
    Denied          "denied"           5    "A refused flow that is remembered."
}

/// The timeout of each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts([u32; TimeoutClass::COUNT]);

impl Default for Timeouts {
    fn default() -> Self {
        let mut timeouts = Self([0; TimeoutClass::COUNT]);
        for class in TimeoutClass::ALL {
            timeouts.set(*class, class.default_timeout());
        }
        timeouts
    }
}

impl Timeouts {
    /// Sets a timeout. It is rounded up to ticks of 16 ms and cut at a year.
    pub fn set(&mut self, class: TimeoutClass, timeout: Duration) {
        const YEAR_MS: u128 = 365 * 86_400_000;
        let milliseconds = timeout.as_millis().min(YEAR_MS) as u64;
        if let Some(ticks) = self.0.get_mut(class as usize) {
            *ticks = milliseconds.div_ceil(TICK_MS) as u32;
        }
    }

    /// The timeout in ticks.
    #[inline]
    #[must_use]
    pub fn ticks(&self, class: TimeoutClass) -> u32 {
        self.0.get(class as usize).copied().unwrap_or(0)
    }

    /// The timeout, as rounded.
    #[must_use]
    pub fn get(&self, class: TimeoutClass) -> Duration {
        Duration::from_millis(u64::from(self.ticks(class)) * TICK_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_also_across_the_wrap() {
        assert_eq!(Ticks(5).since(Ticks(3)), 2);
        assert_eq!(Ticks(2).since(Ticks(u32::MAX)), 3);
        assert_eq!(Ticks(3).since(Ticks(5)), 0, "a clock that is a little ahead");
        assert_eq!(Ticks(10).elapsed_since(Ticks(0)), Duration::from_millis(160));
        assert_eq!(Ticks::at(Duration::from_secs(2)), Ticks(125));
    }

    #[test]
    fn the_later_of_two_ticks_is_right_around_the_wrap() {
        assert_eq!(Ticks(5).later(Ticks(3)), Ticks(5));
        assert_eq!(Ticks(3).later(Ticks(5)), Ticks(5));
        assert_eq!(Ticks(1).later(Ticks(u32::MAX)), Ticks(1));
        assert_eq!(Ticks(u32::MAX).later(Ticks(1)), Ticks(1));
    }

    #[test]
    fn a_timeout_is_never_shorter_than_asked_for() {
        let mut timeouts = Timeouts::default();
        assert_eq!(timeouts.ticks(TimeoutClass::TcpEstablished), 7440 * 1000 / 16);
        timeouts.set(TimeoutClass::Icmp, Duration::from_millis(17));
        assert_eq!(timeouts.get(TimeoutClass::Icmp), Duration::from_millis(32));
        timeouts.set(TimeoutClass::Icmp, Duration::MAX);
        assert_eq!(timeouts.get(TimeoutClass::Icmp), Duration::from_secs(365 * 86_400));
        assert_eq!(timeouts.ticks(TimeoutClass::Denied), 313, "the others keep theirs");
    }

    #[test]
    fn every_class_has_a_name_of_its_own_and_a_default() {
        let mut names: Vec<_> = TimeoutClass::ALL.iter().map(|class| class.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TimeoutClass::COUNT);
        assert!(TimeoutClass::ALL.iter().all(|class| class.default_timeout() >= Duration::from_secs(2)));
        assert!(TimeoutClass::ALL.iter().all(|class| class.help().ends_with('.')));
    }
}
