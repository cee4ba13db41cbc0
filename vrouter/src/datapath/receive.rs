//! Packets for an address of the vRouter itself: it answers ping, names are asked of the services thread, the rest is
//! for the control thread.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use packet::encap::TunnelTooBig;
use packet::protocol::ip;
use packet::{DropReason, Facts, Meta, PacketBuf, icmp};

use super::burst::{Origin, Verdict};
use super::classify::source_mac;
use super::event::PuntClass;
use super::forward::{self, Sent};
use super::routes::Routes;
use super::{Context, Datapath, walk};

const DNS_PORT: u16 = 53;

fn destination(meta: &Meta) -> IpAddr {
    if meta.is_ipv6() { Ipv6Addr::from(meta.dst).into() } else { Ipv4Addr::from(meta.dst_v4()).into() }
}

impl<B: PacketBuf> Datapath<B> {
    pub(super) fn receive(&mut self, cx: &Context<'_>, i: usize) {
        if !icmp::is_echo_request(&self.burst.meta[i]) {
            let class = match &self.burst.bufs[i] {
                Some(buf) if TunnelTooBig::read(buf.data(), &self.burst.meta[i]).is_some() => {
                    PuntClass::PathMtu
                }
                _ if self.asks_for_names(cx, i) => PuntClass::Dns,
                _ => PuntClass::Host,
            };
            return self.punt(cx, i, class);
        }
        if let Err(reason) = self.answer_echo(cx, i) {
            self.burst.end(i, Verdict::Dropped(reason));
        }
    }

    /// Whether a workload speaks to its service address on the port of DNS.
    fn asks_for_names(&self, cx: &Context<'_>, i: usize) -> bool {
        let (slot, meta) = (&self.burst.slot[i], &self.burst.meta[i]);
        let speaks = slot.origin == Origin::Workload
            && matches!(meta.protocol, ip::TCP | ip::UDP)
            && meta.dst_port == DNS_PORT
            && meta.facts.contains(Facts::L4)
            && !meta.facts.contains(Facts::FRAGMENT);
        let services = cx.tables.interface(slot.arrival).and_then(|arrival| arrival.services.as_deref());
        speaks && services.is_some_and(|services| services.resolves_at(destination(meta)))
    }

    /// Turns an echo request into its reply and sends that the way the request came.
    fn answer_echo(&mut self, cx: &Context<'_>, i: usize) -> Result<(), DropReason> {
        let slot = self.burst.slot[i];
        let request = self.burst.meta[i];
        let arrival = cx.tables.interface(slot.arrival).ok_or(DropReason::InterfaceDown)?;
        let buf = self.burst.bufs[i].as_mut().ok_or(DropReason::NoBuffer)?;
        let asker = source_mac(buf.data()).ok_or(DropReason::Truncated)?;
        let reply = icmp::echo_reply(buf, &request)?;
        if slot.origin != Origin::Tunnel {
            let from = if slot.origin == Origin::Workload { arrival.gateway_mac } else { arrival.mac };
            forward::ethernet(buf, &reply, asker, from)?;
            self.answer_in_place(arrival, i);
            return Ok(());
        }
        // Through a tunnel: the reply takes the route back, as a packet of our own.
        let mut to = Routes::to(cx.tables, request.is_ipv6(), &request.src);
        let back = walk::back(&mut to, slot.vrf, slot.origin, slot.peer).ok_or(DropReason::NoRoute)?;
        let exit = forward::exit(cx.tables, back.leaf, slot.entropy)?;
        let mut buf = self.burst.bufs[i].take().ok_or(DropReason::NoBuffer)?;
        let sent = self.dress(cx, exit, &mut buf, &reply, slot.entropy)?;
        self.burst.end(i, Verdict::Consumed);
        self.counters.originated.add(1);
        match sent {
            Sent::Out(interface) => self.outputs.push(interface, buf),
            Sent::Wait(wanted) => {
                self.counters.held_total.add(1);
                self.park(cx, slot.arrival, wanted, buf);
            }
        }
        Ok(())
    }
}
