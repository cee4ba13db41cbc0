//! Ageing: an incremental scan of the whole table, without a timer per session.

use packet::protocol::ip;

use crate::table::counter::Counter;
use crate::table::ids::SessionId;
use crate::table::view::{EndReason, SessionRef, SessionSink, Traffic};
use crate::table::{FlowTable, WorkerSlots};
use crate::tcp::{self, Connection};
use crate::timeouts::{Ticks, TimeoutClass, Timeouts};

/// Ticks in which the whole table is swept: 2 s.
const SWEEP: u64 = 125;
/// How old an epoch may look; older ones are taken for this old, since epochs wrap. The sweeper sets those of halves so.
pub const OLDEST_EPOCH: u32 = 1 << 30;
/// From this difference on, it is the half that is newer.
const AHEAD: u32 = 3 << 30;

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Sessions looked at, free ones included.
    pub looked_at: usize,
    /// Sessions that ended.
    pub ended: usize,
    /// Whether the end of the table was passed: then every session has been seen since the last time.
    pub wrapped: bool,
}

/// Where the scan is.
#[derive(Clone, Debug)]
pub struct Sweeper {
    timeouts: Timeouts,
    next: u32,
    last_step: Option<Ticks>,
    /// Fractions of a session that are still to be scanned, in 1/[`SWEEP`].
    owed: u64,
}

impl Sweeper {
    /// A sweeper at the start of the table.
    #[must_use]
    pub const fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, next: 0, last_step: None, owed: 0 }
    }

    /// Changes the timeouts, for sessions that are there too.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) {
        self.timeouts = timeouts;
    }

    /// Scans as much as is due since the last step, so that a caller which comes by at least every second
    /// gets around the table within 2 s, but at most `most` sessions. Ends those that are silent for too long
    /// or not wanted, reports the packets of the others, and renews epochs that are about to look new again.
    ///
    /// The caller counts as a reader for grace periods during the step.
    pub fn step<O>(
        &mut self,
        table: &FlowTable,
        slots: &mut WorkerSlots<O>,
        now: Ticks,
        epoch: u32,
        most: usize,
        sink: &mut impl SessionSink,
    ) -> Sweep {
        let used = table.pools.each_ref().map(|pool| pool.used());
        let sessions: u64 = used.iter().map(|used| used.len() as u64).sum();
        let ticks = self.last_step.map_or(SWEEP, |last| u64::from(now.since(last)).min(SWEEP));
        self.last_step = Some(now);
        self.owed = (self.owed + sessions * ticks).min(sessions * SWEEP);
        let due = (self.owed / SWEEP).min(most as u64);
        self.owed -= due * SWEEP;

        let mut sweep = Sweep::default();
        for _ in 0..due {
            sweep.wrapped |= self.turn(&used);
            sweep.looked_at += 1;
            sweep.ended += usize::from(self.look(table, slots, self.next, now, epoch, sink));
        }
        sweep
    }

    /// Goes to the next number that was ever used; true where that is the first one again.
    fn turn(&mut self, used: &[std::ops::Range<u32>; 2]) -> bool {
        let next = self.next + 1;
        let found =
            used.iter().find(|used| next < used.end && !used.is_empty()).map(|used| next.max(used.start));
        self.next = found.unwrap_or(if used[0].is_empty() { used[1].start } else { used[0].start });
        found.is_none()
    }

    /// Looks at one session; whether it ended.
    fn look<O>(
        &self,
        table: &FlowTable,
        slots: &mut WorkerSlots<O>,
        number: u32,
        now: Ticks,
        epoch: u32,
        sink: &mut impl SessionSink,
    ) -> bool {
        let Some(generation) = table.cold.get(number as usize).and_then(|cold| cold.living()) else {
            return false;
        };
        let session = SessionRef { session: SessionId(number), generation };
        let [forward, reverse] = table.halves(number);
        let idle = now.since(forward.last_seen().later(reverse.last_seen()));
        let reason = if !sink.is_wanted(forward.scope(), reverse.scope()) {
            Some(EndReason::Unwanted)
        } else if !forward.is_pinned() && idle >= self.timeouts.ticks(table.timeout_class(number)) {
            Some(EndReason::Expired)
        } else {
            None
        };
        if let Some(reason) = reason {
            return table.remove(slots, session, reason);
        }
        for half in [&forward, &reverse] {
            let age = epoch.wrapping_sub(half.validated_at());
            // A worker may be a few epochs ahead of us: its halves look like the end of the circle.
            if age > OLDEST_EPOCH && age < AHEAD {
                half.set_validated_at(epoch.wrapping_sub(OLDEST_EPOCH));
            }
        }
        table.report(number, sink);
        if table.is_half_open(number) {
            for interface in [&forward, &reverse].into_iter().filter_map(|half| half.interface()) {
                table.interfaces.row(interface).note(number);
            }
        }
        false
    }
}

impl FlowTable {
    /// What decides how long a session may be silent.
    fn timeout_class(&self, number: u32) -> TimeoutClass {
        let [forward, reverse] = self.halves(number);
        if !forward.forwards() {
            return TimeoutClass::Denied;
        }
        let answered = reverse.counter() != Counter::default();
        match (forward.protocol(), answered) {
            (ip::TCP, _) => match tcp::connection(forward.tcp(), reverse.tcp()) {
                Connection::None | Connection::SynSent | Connection::SynReceived | Connection::PickedUp => {
                    TimeoutClass::TcpOpening
                }
                Connection::Established => TimeoutClass::TcpEstablished,
                Connection::HalfClosed | Connection::Closing => TimeoutClass::TcpClosing,
                Connection::TimeWait | Connection::Reset => TimeoutClass::TcpClosed,
            },
            (ip::UDP | ip::UDP_LITE, false) => TimeoutClass::UdpOneWay,
            (ip::UDP | ip::UDP_LITE, true) => TimeoutClass::UdpBothWays,
            (ip::ICMP | ip::ICMPV6, _) => TimeoutClass::Icmp,
            (ip::SCTP, false) => TimeoutClass::SctpOpening,
            (ip::SCTP, true) => TimeoutClass::SctpEstablished,
            _ => TimeoutClass::Other,
        }
    }

    /// Reports the packets that both halves have counted since the last time.
    fn report(&self, number: u32, sink: &mut impl SessionSink) {
        let cold = &self.cold[number as usize];
        for (reverse, half) in [false, true].into_iter().zip(self.halves(number)) {
            let (from, to) = (cold.folded(reverse), half.counter());
            if from == to || !cold.fold(reverse, from, to) {
                continue;
            }
            let (packets, whole) = to.wrapped_since(from);
            if packets || whole {
                self.giants.add(number, reverse, packets, whole);
            }
            let (packets, bytes) = to.since(from);
            let rules = cold.rules();
            sink.traffic(&Traffic {
                scope: half.scope(),
                reverse,
                first: !reverse && from == Counter::default(),
                route: half.route(),
                rules,
                packets,
                bytes,
            });
        }
    }

    /// The last word about a removed session that nobody can reach any more.
    pub(super) fn finish(&self, number: u32, reason: EndReason, sink: &mut impl SessionSink) {
        self.report(number, sink);
        let generation = self.cold[number as usize].life().0.wrapping_sub(1);
        sink.ended(&self.copy(number, generation), reason);
        self.giants.forget(number);
    }

    /// Reports everything now, for readers who want exact counters; the sweep goes on as before.
    pub fn report_all(&self, sink: &mut impl SessionSink) {
        for pool in &self.pools {
            for number in pool.used() {
                if self.cold[number as usize].living().is_some() {
                    self.report(number, sink);
                }
            }
        }
    }
}
