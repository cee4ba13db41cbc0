//! Router advertisements (RFC 4861): the interface's IPv6 subnets, its MTU, routes (RFC 4191) and name servers
//! (RFC 8106). A workload is alone on its link: a solicitation is answered at once, since there is nobody to collide
//! with.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use packet::{InterfaceId, nd};

use super::chance::Chance;
use super::frame::{Link, Received};
use super::outcome::Outcome;
use crate::tables::{HostServices, Interface, Role, Tables, link_local};

const ROUTER_ADVERTISEMENT: u8 = 134;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Milliseconds between unasked advertisements: MinRtrAdvInterval and MaxRtrAdvInterval (RFC 4861 §6.2.1).
const INTERVAL: std::ops::Range<u64> = 198_000..600_000;
/// The first ones come quickly (MAX_INITIAL_RTR_ADVERTISEMENTS, MAX_INITIAL_RTR_ADVERT_INTERVAL, §6.2.4).
const INITIAL: u8 = 3;
const INITIAL_INTERVAL: u64 = 16_000;
/// Seconds that what is told stays true: three times the longest interval (AdvDefaultLifetime).
const LIFETIME: u16 = 1_800;
/// Seconds of a prefix (AdvValidLifetime, AdvPreferredLifetime).
const VALID: u32 = 2_592_000;
const PREFERRED: u32 = 604_800;
/// AdvCurHopLimit.
const HOPS: u8 = 64;
const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;
const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;

/// When each interface is told next.
#[derive(Debug, Default)]
pub(super) struct Routers {
    schedules: BTreeMap<InterfaceId, Schedule>,
}

#[derive(Debug)]
struct Schedule {
    services: Arc<HostServices>,
    mtu: u16,
    gateway: [u8; 6],
    sent: u8,
    due: u64,
}

impl Routers {
    /// Interfaces came, went or changed.
    pub(super) fn follow(&mut self, tables: &Tables, now: u64, out: &mut Vec<(InterfaceId, Vec<u8>)>) {
        let served = |id: InterfaceId| {
            let row = tables.interface(id).filter(|row| row.role == Role::Virtual)?;
            let services = row.services.as_ref()?;
            services.family(true).next().map(|_| (row, services))
        };
        self.schedules.retain(|&id, _| {
            let stays = served(id).is_some();
            if let (false, Some(row)) = (stays, tables.interface(id)) {
                // "Ceasing to be an advertising interface" (RFC 4861 §6.2.5).
                out.push((id, farewell(row)));
            }
            stays
        });
        for (id, (row, services)) in
            tables.interfaces.iter().filter_map(|(_, row)| Some((row.id, served(row.id)?)))
        {
            let (mtu, gateway) = (row.mtu, row.gateway_mac);
            let is_same = |known: &Schedule| {
                known.services == *services && (known.mtu, known.gateway) == (mtu, gateway)
            };
            if !self.schedules.get(&id).is_some_and(is_same) {
                let services = Arc::clone(services);
                self.schedules.insert(id, Schedule { services, mtu, gateway, sent: 0, due: now });
            }
        }
    }

    /// Sends what is due; how many.
    pub(super) fn advance(
        &mut self,
        tables: &Tables,
        now: u64,
        chance: &mut Chance,
        out: &mut Vec<(InterfaceId, Vec<u8>)>,
    ) -> usize {
        let before = out.len();
        for (&id, schedule) in self.schedules.iter_mut().filter(|(_, schedule)| schedule.due <= now) {
            let Some(row) = tables.interface(id) else { continue };
            out.push((id, advertisement(row, &schedule.services, ALL_NODES)));
            schedule.sent = schedule.sent.saturating_add(1);
            let wait = chance.within(INTERVAL);
            schedule.due = now + if schedule.sent < INITIAL { wait.min(INITIAL_INTERVAL) } else { wait };
        }
        out.len() - before
    }
}

/// The answer to a solicitation, as a frame: to the one that asked, or to all nodes if it has no address yet.
pub(super) fn answer(
    row: &Interface,
    services: &HostServices,
    received: &Received<'_>,
) -> Result<(Outcome, Vec<u8>), Outcome> {
    match nd::parse(received.frame, &received.meta) {
        Ok(nd::Message::RouterSolicitation { .. }) => {}
        _ => return Err(Outcome::NdMalformed),
    }
    if services.family(true).next().is_none() {
        return Err(Outcome::NotServed);
    }
    let to = match received.source().ip() {
        IpAddr::V6(asker) if !asker.is_unspecified() => asker,
        _ => ALL_NODES,
    };
    Ok((Outcome::RouterSolicited, advertisement(row, services, to)))
}

fn advertisement(row: &Interface, services: &HostServices, to: Ipv6Addr) -> Vec<u8> {
    let routes = services.family(true).any(|subnet| subnet.gateway.is_some());
    // Addresses by DHCPv6 (M); more can be asked there in any case (O), unless nothing is to be had.
    let managed = services.family(true).any(|subnet| subnet.dhcp);
    let dns: Vec<Ipv6Addr> = services.dns_servers.iter().filter_map(v6).collect();
    let other = managed || !dns.is_empty() || !services.domain.is_empty();
    let flags = if managed { MANAGED } else { 0 } | if other { OTHER } else { 0 };
    let mut body = vec![0; 8]; // reachable time and retransmission timer: unspecified
    source_mac(&mut body, row.gateway_mac);
    // No IPv6 link has less (RFC 8200 §5), and hosts ignore who says so.
    let mtu = u32::from(row.mtu).max(1_280);
    option(&mut body, 5, &[&[0, 0], &mtu.to_be_bytes()]);
    for subnet in services.family(true) {
        let IpNet::V6(prefix) = subnet.prefix else { continue };
        let flags = ON_LINK | if subnet.slaac { AUTONOMOUS } else { 0 };
        let head = [prefix.prefix_len(), flags];
        let lifetimes = [VALID.to_be_bytes(), PREFERRED.to_be_bytes(), [0; 4]].concat();
        option(&mut body, 3, &[&head, &lifetimes, &prefix.network().octets()]);
        for (route, _) in &subnet.routes {
            let IpNet::V6(route) = route else { continue };
            let lifetime = u32::from(LIFETIME).to_be_bytes();
            option(&mut body, 24, &[&[route.prefix_len(), 0], &lifetime, &route.network().octets()]);
        }
    }
    if !dns.is_empty() {
        let servers: Vec<u8> = dns.iter().flat_map(|server| server.octets()).collect();
        option(&mut body, 25, &[&[0, 0], &u32::from(LIFETIME).to_be_bytes(), &servers]);
    }
    if !services.domain.is_empty() {
        let mut names: Vec<u8> = Vec::new();
        for label in services.domain.split('.') {
            names.push(u8::try_from(label.len()).unwrap_or(0));
            names.extend(label.as_bytes());
        }
        names.push(0);
        option(&mut body, 31, &[&[0, 0], &u32::from(LIFETIME).to_be_bytes(), &names]);
    }
    let lifetime = if routes { LIFETIME } else { 0 };
    frame(row, to, flags, lifetime, &body)
}

/// "I route no longer."
fn farewell(row: &Interface) -> Vec<u8> {
    let mut body = vec![0; 8];
    source_mac(&mut body, row.gateway_mac);
    frame(row, ALL_NODES, 0, 0, &body)
}

fn frame(row: &Interface, to: Ipv6Addr, flags: u8, lifetime: u16, body: &[u8]) -> Vec<u8> {
    let [high, low] = lifetime.to_be_bytes();
    let from = link_local(row.gateway_mac);
    Link::from(row).discovery(from, to, ROUTER_ADVERTISEMENT, [HOPS, flags, high, low], body)
}

fn source_mac(body: &mut Vec<u8>, mac: [u8; 6]) {
    option(body, 1, &[&mac]);
}

/// An option: type, length in units of 8 bytes, what it says, padding (RFC 4861 §4.6).
fn option(body: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length = (2 + parts.iter().map(|part| part.len()).sum::<usize>()).div_ceil(8);
    let end = body.len() + length * 8;
    // The longest, a search domain of 255 bytes, has 33 units.
    body.extend([kind, u8::try_from(length).unwrap_or(u8::MAX)]);
    for part in parts {
        body.extend(*part);
    }
    body.resize(end, 0);
}

fn v6(address: &IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(v6) => Some(*v6),
        IpAddr::V4(_) => None,
    }
}
