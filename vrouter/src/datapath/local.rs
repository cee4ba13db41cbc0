//! Packets that are about the link and not about a conversation: ARP, neighbour discovery, DHCP,
//! multicast. The common case passes by with one comparison.

use packet::protocol::ether_type;
use packet::{Address, DropReason, Facts, InterfaceId, Meta, PacketBuf, arp, nd};

use super::burst::{Origin, Verdict};
use super::classify::is_neighbour_discovery;
use super::event::{Event, PuntClass};
use super::{Context, Datapath, Ports, host, routes};
use crate::tables::{Interface, NextHop, Role, Tables};

/// What the local stage wants done with a packet.
enum Local {
    /// It is not about the link.
    Pass,
    /// The frame is an answer now: it leaves where it came in.
    Answer,
    /// For the control thread, and a copy for the HOST twin.
    Punt(PuntClass),
    /// For the HOST twin.
    Twin(InterfaceId),
    /// Heard, nothing to do.
    Consume,
}

impl<B: PacketBuf> Datapath<B> {
    pub(super) fn local<P: Ports<B>>(&mut self, cx: &Context<'_>, ports: &mut P) {
        for i in self.burst.live() {
            let meta = &self.burst.meta[i];
            let on_link = meta.ether_type == ether_type::ARP
                || meta.facts.intersects(Facts::NEIGHBOUR_DISCOVERY | Facts::MULTICAST)
                || is_dhcp(meta);
            if !on_link || self.burst.slot[i].origin == Origin::Tunnel {
                if on_link {
                    // An L3 overlay carries no link-local conversation.
                    self.burst.end(i, Verdict::Dropped(DropReason::MulticastNoRoute));
                }
                continue;
            }
            let Some(interface) = cx.tables.interface(self.burst.slot[i].arrival) else { continue };
            let Some(buf) = &mut self.burst.bufs[i] else { continue };
            match one(cx.tables, interface, buf, meta) {
                Ok(Local::Pass) => {}
                Ok(Local::Answer) => self.answer_in_place(interface, i),
                Ok(Local::Consume) => self.burst.end(i, Verdict::Consumed),
                Ok(Local::Twin(twin)) => self.hand_over(cx, i, twin),
                Ok(Local::Punt(class)) => {
                    if let Some(twin) = interface.twin {
                        self.copy_to(cx, i, twin, ports);
                    }
                    self.punt(cx, i, class);
                }
                Err(reason) => self.burst.end(i, Verdict::Dropped(reason)),
            }
        }
    }

    /// The request ended here, and the frame it became is a packet of our own.
    pub(super) fn answer_in_place(&mut self, out: &Interface, i: usize) {
        self.burst.end(i, Verdict::Consumed);
        if let Some(buf) = self.burst.bufs[i].take() {
            self.counters.originated.add(1);
            self.outputs.push(out, buf);
        }
    }

    /// Hands a packet to the control thread, within the limit of its class.
    pub(super) fn punt(&mut self, cx: &Context<'_>, i: usize, class: PuntClass) {
        let interface = self.burst.slot[i].arrival;
        if !self.limiter.punt(cx.now, class, interface) {
            return self.burst.end(i, Verdict::Dropped(DropReason::PuntLimit));
        }
        let Some(frame) = self.burst.bufs[i].take() else { return };
        match self.events.push(Event::Punt { class, interface, frame }) {
            Ok(()) => self.burst.end(i, Verdict::Punted),
            Err(event) => {
                if let Event::Punt { frame, .. } = event {
                    self.burst.bufs[i] = Some(frame);
                }
                self.burst.end(i, Verdict::Dropped(DropReason::PuntQueue));
            }
        }
    }

    /// Sends a copy of a frame to another interface; without a buffer there is no copy.
    fn copy_to<P: Ports<B>>(&mut self, cx: &Context<'_>, i: usize, out: InterfaceId, ports: &mut P) {
        let (Some(interface), Some(original)) = (cx.tables.interface(out), &self.burst.bufs[i]) else {
            return;
        };
        let Some(mut copy) = ports.allocate() else { return };
        if copy.grow_back(original.len()) {
            copy.data_mut().copy_from_slice(original.data());
            self.counters.copied.add(1);
            self.outputs.push(interface, copy);
        }
    }
}

fn is_dhcp(meta: &Meta) -> bool {
    meta.protocol == 17
        && matches!((meta.src_port, meta.dst_port), (68, 67) | (546, 547))
        && meta.facts.contains(Facts::L4)
}

/// To another server than us, by a workload that has its address already, DHCP is a packet like any other.
fn asks_us(interface: &Interface, meta: &Meta) -> bool {
    let nobody = meta.src == [0; 16];
    nobody || meta.facts.contains(Facts::MULTICAST) || interface.gateways(meta.is_ipv6()).contains(&meta.dst)
}

fn one<B: PacketBuf>(
    tables: &Tables,
    interface: &Interface,
    buf: &mut B,
    meta: &Meta,
) -> Result<Local, DropReason> {
    if meta.ether_type == ether_type::ARP {
        return about_arp(tables, interface, buf, meta);
    }
    if is_neighbour_discovery(meta) {
        return about_nd(tables, interface, buf, meta);
    }
    match interface.role {
        Role::Virtual if is_dhcp(meta) && asks_us(interface, meta) => Ok(Local::Punt(PuntClass::Workload)),
        Role::Host if meta.facts.contains(Facts::MULTICAST) => to_underlay(interface),
        _ if meta.facts.contains(Facts::MULTICAST) => Err(DropReason::MulticastNoRoute),
        _ => Ok(Local::Pass),
    }
}

fn about_arp<B: PacketBuf>(
    tables: &Tables,
    interface: &Interface,
    buf: &mut B,
    meta: &Meta,
) -> Result<Local, DropReason> {
    let message = arp::parse(buf.data(), meta)?;
    let announces = message.operation == arp::Operation::Reply || message.is_gratuitous();
    let sender = packet::meta::v4(message.sender.octets());
    let target = packet::meta::v4(message.target.octets());
    match interface.role {
        Role::Host if !announces && host::leads_to_workloads(tables, interface, false, &target) => {
            arp::answer(buf, meta, &message.reply(interface.gateway_mac)).map(|()| Local::Answer)
        }
        Role::Host => to_underlay(interface),
        Role::Fabric if announces => Ok(Local::Punt(PuntClass::Neighbour)),
        Role::Fabric if is_pools(tables, interface, false, &target) => {
            arp::answer(buf, meta, &message.reply(interface.mac)).map(|()| Local::Answer)
        }
        Role::Fabric => match interface.twin {
            // The kernel alone answers for the node's addresses (SEMANTICS 21).
            Some(twin) => Ok(Local::Twin(twin)),
            None if interface.addresses_v4.contains(&target) => {
                arp::answer(buf, meta, &message.reply(interface.mac)).map(|()| Local::Answer)
            }
            None => Err(DropReason::ArpNotOurs),
        },
        Role::Virtual => {
            if !message.is_probe() && !interface.owns_source(false, &sender, message.sender_mac) {
                return Err(DropReason::InvalidArp);
            }
            if announces {
                return Ok(Local::Consume);
            }
            if answers(tables, interface, false, &target, message.is_probe()) {
                arp::answer(buf, meta, &message.reply(interface.gateway_mac)).map(|()| Local::Answer)
            } else {
                Err(DropReason::ArpNotOurs)
            }
        }
    }
}

fn about_nd<B: PacketBuf>(
    tables: &Tables,
    interface: &Interface,
    buf: &mut B,
    meta: &Meta,
) -> Result<Local, DropReason> {
    let message = nd::parse(buf.data(), meta)?;
    match (interface.role, message) {
        (Role::Host, nd::Message::Solicitation { target, .. })
            if host::leads_to_workloads(tables, interface, true, &target) =>
        {
            advertise(buf, meta, target, interface.gateway_mac, None)
        }
        (Role::Host, _) => to_underlay(interface),
        (Role::Fabric, nd::Message::Advertisement { .. }) => Ok(Local::Punt(PuntClass::Neighbour)),
        (Role::Fabric, nd::Message::Solicitation { target, .. })
            if is_pools(tables, interface, true, &target) =>
        {
            advertise(buf, meta, target, interface.mac, None)
        }
        (Role::Fabric, nd::Message::Solicitation { target, .. }) => match interface.twin {
            Some(twin) => Ok(Local::Twin(twin)),
            None if interface.addresses_v6.contains(&target) => {
                advertise(buf, meta, target, interface.mac, None)
            }
            None => Err(DropReason::ArpNotOurs),
        },
        (Role::Fabric, nd::Message::RouterSolicitation { .. } | nd::Message::Other) => {
            interface.twin.map(Local::Twin).ok_or(DropReason::ArpNotOurs)
        }
        (Role::Virtual, nd::Message::Solicitation { target, .. }) => {
            if answers(tables, interface, true, &target, nd::is_duplicate_probe(meta)) {
                let own = interface.gateways_v6.contains(&target);
                let proxy = interface.gateways_v6.first().copied().filter(|_| !own);
                advertise(buf, meta, target, interface.gateway_mac, proxy)
            } else {
                Err(DropReason::ArpNotOurs)
            }
        }
        (Role::Virtual, nd::Message::Advertisement { .. }) => Ok(Local::Consume),
        (Role::Virtual, nd::Message::RouterSolicitation { .. }) => Ok(Local::Punt(PuntClass::Workload)),
        // A workload that plays the router (RFC 6105) is not believed.
        (Role::Virtual, nd::Message::Other) => Err(DropReason::InvalidNd),
    }
}

/// Whether an address belongs to a pool of source NAT and to nobody else: the node's own stack does not know it.
fn is_pools(tables: &Tables, interface: &Interface, v6: bool, target: &Address) -> bool {
    let route = routes::lookup(tables, interface.vrf, v6, target);
    match route.and_then(|route| tables.next_hop(route.next_hop())) {
        Some(NextHop::SourceNat(id)) => {
            let outside = tables.source_nat(*id).and_then(|nat| nat.at(v6, target));
            outside.is_some_and(|outside| !outside.own)
        }
        _ => false,
    }
}

/// What the node's own stack says on its link goes to the underlay untouched.
fn to_underlay(interface: &Interface) -> Result<Local, DropReason> {
    interface.twin.map(Local::Twin).ok_or(DropReason::InterfaceDown)
}

/// What the vRouter itself is known by is advertised with authority; for what it only forwards to, the gateway
/// speaks as proxy, and does not override (RFC 4861 §7.2.8).
fn advertise<B: PacketBuf>(
    buf: &mut B,
    meta: &Meta,
    target: Address,
    mac: [u8; 6],
    proxy: Option<Address>,
) -> Result<Local, DropReason> {
    let source = proxy.unwrap_or(target);
    let advertise = nd::Advertise { target, source, mac, router: true, overrides: proxy.is_none() };
    nd::answer(buf, meta, &advertise).map(|()| Local::Answer)
}

/// Whether the vRouter answers a workload that asks who has an address: for its gateways, and as proxy for
/// what the VRF can reach. A duplicate-address probe asks whether somebody *is* this address, so only a host
/// route counts there.
fn answers(tables: &Tables, interface: &Interface, v6: bool, target: &Address, probe: bool) -> bool {
    let serves = interface.link_local.iter().any(|service| service.v6 == v6 && service.address == *target);
    if serves || interface.gateways(v6).contains(target) {
        return true;
    }
    if interface.addresses(v6).contains(target) {
        return false;
    }
    routes::lookup_length(tables, interface.vrf, v6, target).is_some_and(|(route, length)| {
        let host = length == if v6 { 128 } else { 32 };
        (host || !probe)
            && !matches!(tables.next_hop(route.next_hop()), None | Some(NextHop::Discard | NextHop::Reject))
    })
}
