//! The way of common packets: of established sessions, or of none where neither end needs one, and nothing about them
//! to be decided. They go from bytes to the out interface's output in a few loops over the burst, each of which asks
//! the cache for what the next one needs. Everything that is not plain sailing is left untouched for the stages behind
//! ([`super::pipeline`]), which treat every packet, common ones too, and with the same result: golden cases and the
//! fuzzer run both ways.

mod arrive;
mod leave;
mod routes;
mod sessions;
mod ways;

use flow::Scope;
use packet::PacketBuf;
use packet::common::{Common, Ipv4, Ipv6};

use super::burst::BURST;
use super::{Context, Datapath, Variant};
use crate::tables::{Interface, Role};
use arrive::{FromFabric, FromWorkload};

/// What the stage hands on to the end of the pipeline.
#[derive(Debug)]
pub(super) struct Express {
    /// As compiled for this CPU; `None` if it is not used at all: an explanation looks at every stage.
    pub(super) variant: Option<Variant>,
    /// Whether most packets out of tunnels were IPv6 of late: those of the other family are opened twice.
    v6_first: bool,
    /// Bit i: packet i is finished and waits for its turn to leave.
    pub(super) done: u64,
    /// The output of each finished packet.
    pub(super) output: [u8; BURST],
}

impl Express {
    pub(super) const fn new(variant: Option<Variant>) -> Self {
        Self { variant, v6_first: false, done: 0, output: [0; BURST] }
    }
}

/// A packet between the loops.
#[derive(Clone, Copy, Default)]
struct Lane {
    /// TCP: the acknowledgement number.
    acknowledgement: u32,
    /// Bytes of the network packet.
    length: u16,
    /// Where its network header begins.
    l3: u16,
    /// The tunnel it came through.
    peer: u16,
    ttl: u8,
    traffic_class: u8,
    tcp: bool,
}

impl Lane {
    #[inline(always)]
    const fn new<A>(common: &Common<A>, l3: u16, peer: u16) -> Self {
        let &Common { acknowledgement, length, ttl, traffic_class, .. } = common;
        Self { acknowledgement, length, l3, peer, ttl, traffic_class, tcp: common.is_tcp() }
    }
}

impl<B: PacketBuf> Datapath<B> {
    /// Sees to the common packets of a burst.
    #[inline(always)]
    pub(super) fn express(&mut self, cx: &Context<'_>, arrival: &Interface) {
        match arrival.role {
            Role::Virtual if arrival.needs_flow() => {
                let scope = Scope::from_workload(arrival.id);
                if let Some(mut receive) = FromWorkload::new(arrival, scope, false) {
                    self.express_sessions::<Ipv4, _>(cx, &mut receive, Some(arrival));
                }
                if let Some(mut receive) = FromWorkload::new(arrival, scope, true) {
                    self.express_sessions::<Ipv6, _>(cx, &mut receive, Some(arrival));
                }
            }
            Role::Virtual => {
                self.express_routes::<Ipv4>(cx, arrival);
                self.express_routes::<Ipv6>(cx, arrival);
            }
            Role::Fabric => {
                let mut receive = FromFabric::new(cx.tables, arrival);
                let mut counts = [0, 0];
                for (count, v6) in counts.iter_mut().zip([self.express.v6_first, !self.express.v6_first]) {
                    *count = match v6 {
                        false => self.express_sessions::<Ipv4, _>(cx, &mut receive, None),
                        true => self.express_sessions::<Ipv6, _>(cx, &mut receive, None),
                    };
                }
                self.express.v6_first ^= counts[1] > counts[0];
            }
            Role::Host => {}
        }
        self.counters.express.add(u64::from(self.express.done.count_ones()));
    }
}
