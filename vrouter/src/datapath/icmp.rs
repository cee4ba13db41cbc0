//! ICMP errors and TCP resets that the vRouter itself sends, and the token buckets that keep it and the punts within bounds.

use packet::encap::{EthernetHeader, push_ethernet};
use packet::icmp::{self, IcmpError};
use packet::protocol::ip;
use packet::{DropReason, InterfaceId, PacketBuf};

use super::burst::{Origin, Verdict};
use super::event::PuntClass;
use super::{Context, Datapath, Now};
use crate::tables::{Interface, Role};

/// Tokens that come back at a steady rate.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    tokens: u32,
    filled_at: u64,
}

impl Bucket {
    /// Takes a token if there is one; the bucket holds one second's worth.
    fn take(&mut self, now: u64, per_second: u32) -> bool {
        let elapsed = now.saturating_sub(self.filled_at);
        let earned = elapsed.saturating_mul(u64::from(per_second)) / 1000;
        if earned > 0 {
            self.tokens =
                self.tokens.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(per_second);
            self.filled_at = now;
        }
        let taken = self.tokens > 0;
        self.tokens -= u32::from(taken);
        taken
    }
}

/// Drops sampled per second and worker.
const SAMPLES_PER_SECOND: u32 = 1_000;

/// All token buckets of one worker.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    /// Per interface; a hash collision shares a bucket.
    errors: Box<[Bucket; 1024]>,
    /// Of classes that have a limit per interface: a bucket per interface, shared on a hash collision.
    shares: [Option<Box<[Bucket; 1024]>>; PuntClass::ALL.len()],
    punts: [Bucket; PuntClass::ALL.len()],
    samples: Bucket,
}

impl Limiter {
    pub(super) fn new() -> Self {
        // A bucket is full when it is first looked at.
        let full = |tokens| Bucket { tokens, filled_at: 0 };
        Self {
            errors: Box::new([full(u32::MAX); 1024]),
            shares: PuntClass::ALL
                .map(|class| class.per_interface().map(|rate| Box::new([full(rate); 1024]))),
            punts: PuntClass::ALL.map(|class| full(class.per_second())),
            samples: full(SAMPLES_PER_SECOND),
        }
    }

    /// Whether one more packet of an interface may be handed up.
    pub(super) fn punt(&mut self, now: Now, class: PuntClass, interface: InterfaceId) -> bool {
        let share = self.shares[class as usize].as_mut().zip(class.per_interface());
        let fair = share
            .is_none_or(|(buckets, rate)| buckets[interface.index() % 1024].take(now.milliseconds, rate));
        fair && self.punts[class as usize].take(now.milliseconds, class.per_second())
    }

    pub(super) fn sample(&mut self, now: Now) -> bool {
        self.samples.take(now.milliseconds, SAMPLES_PER_SECOND)
    }

    fn error(&mut self, now: Now, towards: &Interface) -> bool {
        let bucket = &mut self.errors[towards.id.index() % 1024];
        bucket.tokens = bucket.tokens.min(towards.icmp_errors_per_second);
        bucket.take(now.milliseconds, towards.icmp_errors_per_second)
    }
}

/// How a sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// By the gateway, with an error.
    Error(IcmpError),
    /// In the name of whom it called.
    Reset,
}

/// What a drop tells the sender.
fn told_of(reason: DropReason, mtu: u16, protocol: u8) -> Option<Told> {
    match reason {
        DropReason::TtlExceeded => Some(Told::Error(IcmpError::TimeExceeded)),
        DropReason::TooBig => Some(Told::Error(IcmpError::TooBig { mtu })),
        DropReason::PolicyRejected if protocol == ip::TCP => Some(Told::Reset),
        // What the connection was is lost; only a new one can have a port (SEMANTICS 24).
        DropReason::SnatMidstream => Some(Told::Reset),
        DropReason::Reject | DropReason::PolicyRejected => {
            Some(Told::Error(IcmpError::AdministrativelyProhibited))
        }
        DropReason::NeighbourFailed => Some(Told::Error(IcmpError::HostUnreachable)),
        // Nobody is behind this address, or behind this port of it: what a server without a service says.
        DropReason::EcmpEmpty | DropReason::NatPort => Some(Told::Error(IcmpError::PortUnreachable)),
        _ => None,
    }
}

impl<B: PacketBuf> Datapath<B> {
    /// Drops a packet and, where the reason calls for it, turns it into the ICMP error or the TCP reset that tells
    /// the sender why. The packet must still read as the sender wrote it.
    pub(super) fn refuse(&mut self, cx: &Context<'_>, i: usize, reason: DropReason, mtu: u16) {
        self.burst.end(i, Verdict::Dropped(reason));
        let slot = self.burst.slot[i];
        let meta = self.burst.meta[i];
        let Some(told) = told_of(reason, mtu, meta.protocol) else { return };
        let Some(arrival) = cx.tables.interface(slot.arrival) else { return };
        let gateway = match (slot.origin, arrival.role) {
            (Origin::Workload, Role::Virtual | Role::Host) => arrival.gateways(meta.is_ipv6()).first(),
            (Origin::Plain, Role::Fabric) => arrival.addresses(meta.is_ipv6()).first(),
            // Through a tunnel: the sender's own node tells it.
            _ => return,
        };
        if gateway.is_none() && told != Told::Reset {
            return;
        }
        let Some(buf) = &mut self.burst.bufs[i] else { return };
        let Some(neighbour) = super::classify::source_mac(buf.data()) else { return };
        if !icmp::may_answer(&meta) || !self.limiter.error(cx.now, arrival) {
            return;
        }
        let made = match (told, gateway) {
            (Told::Error(kind), Some(gateway)) => icmp::error(buf, &meta, kind, gateway),
            _ => packet::tcp_reset(buf, &meta),
        };
        let from = if arrival.role == Role::Fabric { arrival.mac } else { arrival.gateway_mac };
        let header = EthernetHeader { destination: neighbour, source: from, vlan: None };
        // The packet is dropped; the answer in its place is one of our own.
        if made.is_ok()
            && push_ethernet(buf, &header, meta.ether_type).is_ok()
            && let Some(buf) = self.burst.bufs[i].take()
        {
            self.counters.originated.add(1);
            self.outputs.push(arrival, buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bucket;

    #[test]
    fn a_bucket_gives_one_seconds_worth_at_once_and_then_the_steady_rate() {
        let mut bucket = Bucket { tokens: 100, filled_at: 0 };
        assert_eq!((0..500).filter(|_| bucket.take(0, 100)).count(), 100);
        assert_eq!((1..=1000).filter(|ms| bucket.take(*ms, 100)).count(), 100);
        assert_eq!((0..500).filter(|_| bucket.take(60_000, 100)).count(), 100);
    }

    #[test]
    fn a_rate_of_zero_gives_nothing() {
        let mut bucket = Bucket::default();
        assert!(!bucket.take(10_000, 0));
    }
}
