//! What the vRouter serves to workloads itself: DHCP, router advertisements, names. Everything comes from the
//! interface's own configuration ([`HostServices`]); workers hand up what is asked, answers leave by their originate
//! rings.
//!
//! [`Services`] is synchronous and knows no threads: requests, tables and time are handed in, frames come out.
//! [`ServicesThread`] runs it beside the control thread, so that neither a controller that sends a million routes nor
//! a workload that floods keeps anybody's DHCP waiting.

mod chance;
mod dhcp4;
mod dhcp6;
mod dns;
mod frame;
mod outcome;
mod resolvers;
mod router;
mod thread;

pub use outcome::{Outcome, ServiceCounters};
pub use resolvers::{of_this_node, resolver};
pub use thread::{Request, Requests, ServicesThread};

use std::net::SocketAddr;
use std::sync::Arc;

use packet::{Facts, InterfaceId};

use crate::tables::{HostServices, Interface, Tables};
use chance::Chance;
use dns::Dns;
use frame::Received;
use router::Routers;

const DNS_PORT: u16 = 53;
const DHCP6_SERVER_PORT: u16 = 547;

/// See the module.
#[derive(Debug)]
pub struct Services {
    dns: Dns,
    routers: Routers,
    chance: Chance,
    counters: Arc<ServiceCounters>,
    /// The generation that interfaces were last looked at in.
    seen: Option<u64>,
    now: u64,
    out: Vec<(InterfaceId, Vec<u8>)>,
}

impl Services {
    /// Services that ask these resolvers for interfaces that name none.
    #[must_use]
    pub fn new(resolvers: Vec<SocketAddr>, counters: Arc<ServiceCounters>) -> Self {
        Self {
            dns: Dns::new(resolvers),
            routers: Routers::default(),
            chance: Chance::default(),
            counters,
            seen: None,
            now: 0,
            out: Vec::new(),
        }
    }

    /// A workload sent a frame of class `Workload` or `Dns`.
    pub fn hear(&mut self, tables: &Tables, interface: InterfaceId, frame: &[u8]) {
        let Some(row) = tables.interface(interface) else { return };
        let outcome = match self.answer(row, frame) {
            Ok((outcome, frame)) => {
                if !frame.is_empty() {
                    self.out.push((interface, frame));
                }
                outcome
            }
            Err(outcome) => outcome,
        };
        if outcome == Outcome::DhcpDeclined {
            tracing::warn!(
                interface = &*row.name,
                "the workload declines its address: somebody else uses it"
            );
        }
        self.counters.count(outcome);
    }

    fn answer(&mut self, row: &Interface, frame: &[u8]) -> Result<(Outcome, Vec<u8>), Outcome> {
        let services: Arc<HostServices> = row.services.clone().ok_or(Outcome::NotServed)?;
        let received = Received::parse(frame).ok_or(Outcome::NotServed)?;
        let meta = &received.meta;
        if meta.facts.contains(Facts::NEIGHBOUR_DISCOVERY) {
            router::answer(row, &services, &received)
        } else if meta.dst_port == DNS_PORT {
            self.dns.ask(row, &services, &received, self.now, &mut self.chance)
        } else if meta.dst_port == DHCP6_SERVER_PORT {
            dhcp6::answer(row, &services, &received)
        } else {
            dhcp4::answer(row, &services, &received)
        }
    }

    /// Time goes on: `now` is in milliseconds of a clock that never goes back. Does what is due.
    pub fn advance(&mut self, tables: &Tables, now: u64) {
        self.now = self.now.max(now);
        if self.seen.replace(tables.generation) != Some(tables.generation) {
            self.routers.follow(tables, self.now, &mut self.out);
            self.dns.follow(tables);
        }
        for _ in 0..self.routers.advance(tables, self.now, &mut self.chance, &mut self.out) {
            self.counters.count(Outcome::RouterPeriodic);
        }
        self.dns.advance(self.now, &self.counters, &mut self.out);
    }

    /// Frames for workloads, with the interface each leaves by.
    pub fn take_frames(&mut self) -> Vec<(InterfaceId, Vec<u8>)> {
        std::mem::take(&mut self.out)
    }
}

#[cfg(test)]
mod tests;
