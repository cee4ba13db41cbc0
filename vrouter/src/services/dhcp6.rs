//! DHCPv6 (RFC 8415): a workload's first IA_NA has its interface's addresses, for ever the same. There are no leases
//! to remember.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IATA, Message, MessageType, OptionCode, Status, StatusCode,
};
use dhcproto::{Decodable, Decoder, Encodable, Encoder, Name};

use super::frame::{Link, Received};
use super::outcome::Outcome;
use crate::tables::{HostServices, Interface, link_local};

const SERVER_PORT: u16 = 547;
/// Message type and transaction id.
const FIXED: usize = 4;
/// Longest message that is read: options may hold options, and the decoder goes down into each.
const LONGEST: usize = 1_500;
/// DUID-LL of Ethernet (RFC 8415 §11.4).
const DUID_LL_ETHERNET: [u8; 4] = [0, 3, 0, 1];
/// "A DUID [..] at least 3 and at most 130 octets" with its type (RFC 8415 §11.1).
const DUID: std::ops::RangeInclusive<usize> = 3..=130;

/// What a client asked, as far as it matters here.
#[derive(Default)]
struct Asked {
    client: Option<Vec<u8>>,
    server: Option<Vec<u8>>,
    rapid: bool,
    /// Associations of any kind, in their order.
    associations: Vec<DhcpOption>,
}

/// The answer to a request, as a frame.
pub(super) fn answer(
    row: &Interface,
    services: &HostServices,
    received: &Received<'_>,
) -> Result<(Outcome, Vec<u8>), Outcome> {
    if services.family(true).next().is_none() {
        return Err(Outcome::NotServed);
    }
    if received.source_mac() != row.mac {
        return Err(Outcome::DhcpHardware);
    }
    // Clients send to all servers; none was told that it may do otherwise (RFC 8415 §18.4).
    if !received.is_multicast() {
        return Err(Outcome::DhcpUnexpected);
    }
    let datagram = received.datagram();
    let fixed: [u8; FIXED] = *datagram.first_chunk().ok_or(Outcome::DhcpMalformed)?;
    let kind = MessageType::from(fixed[0]);
    if matches!(kind, MessageType::RelayForw | MessageType::RelayRepl) {
        return Err(Outcome::DhcpRelayed);
    }
    if datagram.len() > LONGEST {
        return Err(Outcome::DhcpMalformed);
    }
    let asked = read(&datagram[FIXED..])?;
    let server = Server { row, services, id: [&DUID_LL_ETHERNET[..], &row.gateway_mac].concat() };
    let (outcome, reply) = server.serve(kind, &asked)?;
    let (kind, mut options) = reply;
    if let Some(client) = asked.client {
        options.insert(DhcpOption::ClientId(client));
    }
    options.insert(DhcpOption::ServerId(server.id));
    let [_, xid @ ..] = fixed;
    let mut message = Message::new_with_id(kind, xid);
    message.set_opts(options);
    let mut bytes = Vec::with_capacity(512);
    message.encode(&mut Encoder::new(&mut bytes)).map_err(|_| Outcome::NotSent)?;
    let from = SocketAddr::new(link_local(row.gateway_mac).into(), SERVER_PORT);
    Ok((outcome, Link::from(row).udp(from, received.source(), &bytes)))
}

struct Server<'s> {
    row: &'s Interface,
    services: &'s HostServices,
    id: Vec<u8>,
}

type Reply = (MessageType, DhcpOptions);

impl Server<'_> {
    fn serve(&self, kind: MessageType, asked: &Asked) -> Result<(Outcome, Reply), Outcome> {
        self.check(kind, asked)?;
        let told = || self.told().into_iter();
        let options: DhcpOptions = match kind {
            MessageType::Solicit => {
                let reply = self.associations(asked, false).chain(told());
                if asked.rapid {
                    reply.chain([DhcpOption::RapidCommit]).collect()
                } else {
                    return Ok((Outcome::Dhcp6Advertise, (MessageType::Advertise, reply.collect())));
                }
            }
            MessageType::Request => self.associations(asked, true).chain(told()).collect(),
            MessageType::Renew | MessageType::Rebind => {
                self.associations(asked, false).chain(told()).collect()
            }
            MessageType::Confirm => [self.confirm(asked)?].into_iter().collect(),
            MessageType::InformationRequest => told().collect(),
            // There is nothing to give back, and nobody else to have it: what it says is heard.
            MessageType::Release | MessageType::Decline => {
                [status(Status::Success, "")].into_iter().collect()
            }
            _ => return Err(Outcome::DhcpUnexpected),
        };
        let declines = kind == MessageType::Decline;
        let outcome = if declines { Outcome::DhcpDeclined } else { Outcome::Dhcp6Reply };
        Ok((outcome, (MessageType::Reply, options)))
    }

    /// Who must and must not be named (RFC 8415 §16).
    fn check(&self, kind: MessageType, asked: &Asked) -> Result<(), Outcome> {
        let (client, server) = match kind {
            MessageType::Solicit | MessageType::Confirm | MessageType::Rebind => (true, Some(false)),
            MessageType::Request | MessageType::Renew | MessageType::Release | MessageType::Decline => {
                (true, Some(true))
            }
            MessageType::InformationRequest => (false, None),
            _ => return Err(Outcome::DhcpUnexpected),
        };
        if (client && asked.client.is_none())
            || server.is_some_and(|needed| needed != asked.server.is_some())
            || (kind == MessageType::InformationRequest && !asked.associations.is_empty())
        {
            return Err(Outcome::DhcpMalformed);
        }
        match &asked.server {
            Some(id) if *id != self.id => Err(Outcome::DhcpOtherServer),
            _ => Ok(()),
        }
    }

    /// Addresses that are leased.
    fn leases(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        let own = self.row.addresses_v6.iter().map(|&own| Ipv6Addr::from(own));
        own.filter(|&own| self.services.subnet_of(own.into()).is_some_and(|subnet| subnet.dhcp))
    }

    /// The client's associations as they are here. `strict`: who names another address is told that it is not of this
    /// link (RFC 8415 §18.3.2), instead of that it is no longer valid.
    fn associations<'a>(&'a self, asked: &'a Asked, strict: bool) -> impl Iterator<Item = DhcpOption> + 'a {
        let mut first = true;
        asked.associations.iter().map(move |association| match association {
            DhcpOption::IANA(asked) => {
                let opts = if std::mem::take(&mut first) {
                    self.addresses(&asked.opts, strict)
                } else {
                    [none("one association has all addresses")].into_iter().collect()
                };
                let (t1, t2) = self.times();
                DhcpOption::IANA(IANA { id: asked.id, t1, t2, opts })
            }
            DhcpOption::IATA(asked) => {
                let opts = [none("no temporary addresses")].into_iter().collect();
                DhcpOption::IATA(IATA { id: asked.id, opts })
            }
            DhcpOption::IAPD(asked) => {
                let opts = [status(Status::NoPrefixAvail, "no prefixes")].into_iter().collect();
                DhcpOption::IAPD(IAPD { id: asked.id, t1: 0, t2: 0, opts })
            }
            other => other.clone(),
        })
    }

    fn addresses(&self, asked: &DhcpOptions, strict: bool) -> DhcpOptions {
        let lasts = self.services.lease_seconds;
        let address = |addr, life| {
            let opts = DhcpOptions::new();
            DhcpOption::IAAddr(IAAddr { addr, preferred_life: life, valid_life: life, opts })
        };
        let foreign: Vec<Ipv6Addr> =
            named(asked).filter(|named| !self.leases().any(|own| own == *named)).collect();
        if strict && !foreign.is_empty() {
            return [status(Status::NotOnLink, "not this interface's address")].into_iter().collect();
        }
        let mut options: DhcpOptions = self.leases().map(|own| address(own, lasts)).collect();
        if self.leases().next().is_none() {
            options.insert(none("the interface leases no IPv6 address"));
        }
        for gone in foreign {
            options.insert(address(gone, 0));
        }
        options
    }

    /// When to renew and rebind.
    fn times(&self) -> (u32, u32) {
        match self.services.lease_seconds {
            u32::MAX => (u32::MAX, u32::MAX),
            seconds => (seconds / 2, seconds - seconds / 5),
        }
    }

    /// Whether the client is where it was (RFC 8415 §18.3.3). Who names no address hears nothing.
    fn confirm(&self, asked: &Asked) -> Result<DhcpOption, Outcome> {
        let on_link = |address: Ipv6Addr| {
            self.services.family(true).any(|subnet| subnet.prefix.contains(&IpAddr::V6(address)))
        };
        let mut addresses = asked.associations.iter().flat_map(|association| match association {
            DhcpOption::IANA(asked) => named(&asked.opts).collect(),
            DhcpOption::IATA(asked) => named(&asked.opts).collect(),
            _ => Vec::new(),
        });
        let first = addresses.next().ok_or(Outcome::DhcpMalformed)?;
        if on_link(first) && addresses.all(on_link) {
            Ok(status(Status::Success, "on this link"))
        } else {
            Ok(status(Status::NotOnLink, "not on this link"))
        }
    }

    fn told(&self) -> Vec<DhcpOption> {
        let mut told = Vec::new();
        let dns = self.services.dns_servers.iter().filter_map(|server| match server {
            IpAddr::V6(server) => Some(*server),
            IpAddr::V4(_) => None,
        });
        let dns: Vec<Ipv6Addr> = dns.collect();
        if !dns.is_empty() {
            told.push(DhcpOption::DomainNameServers(dns));
        }
        if let Ok(domain) = Name::from_ascii(&self.services.domain)
            && !self.services.domain.is_empty()
        {
            told.push(DhcpOption::DomainSearchList(vec![domain]));
        }
        told
    }
}

/// Addresses that a client names in an association.
fn named(options: &DhcpOptions) -> impl Iterator<Item = Ipv6Addr> + '_ {
    options.iter().filter_map(|option| match option {
        DhcpOption::IAAddr(address) => Some(address.addr),
        _ => None,
    })
}

fn status(status: Status, text: &str) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode { status, msg: text.to_owned() })
}

fn none(why: &str) -> DhcpOption {
    status(Status::NoAddrsAvail, why)
}

/// The options that matter here, each read alone: what is wrong with another one is the client's own business.
fn read(mut bytes: &[u8]) -> Result<Asked, Outcome> {
    let mut asked = Asked::default();
    while !bytes.is_empty() {
        let head: [u8; 4] = *bytes.first_chunk().ok_or(Outcome::DhcpMalformed)?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (option, rest) = bytes.split_at_checked(4 + length).ok_or(Outcome::DhcpMalformed)?;
        bytes = rest;
        let code = OptionCode::from(u16::from_be_bytes([head[0], head[1]]));
        if !matches!(
            code,
            OptionCode::ClientId
                | OptionCode::ServerId
                | OptionCode::RapidCommit
                | OptionCode::IANA
                | OptionCode::IATA
                | OptionCode::IAPD
        ) {
            continue;
        }
        match DhcpOption::decode(&mut Decoder::new(option)).map_err(|_| Outcome::DhcpMalformed)? {
            DhcpOption::ClientId(id) if DUID.contains(&id.len()) && asked.client.is_none() => {
                asked.client = Some(id);
            }
            DhcpOption::ServerId(id) if asked.server.is_none() => asked.server = Some(id),
            DhcpOption::RapidCommit => asked.rapid = true,
            association @ (DhcpOption::IANA(_) | DhcpOption::IATA(_) | DhcpOption::IAPD(_)) => {
                asked.associations.push(association);
            }
            _ => return Err(Outcome::DhcpMalformed),
        }
    }
    Ok(asked)
}
