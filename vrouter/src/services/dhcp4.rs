//! DHCPv4 (RFC 2131): a workload is leased what its interface's configuration says is its own, for ever the same. There
//! are no leases to remember.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable, Encoder, Name};
use ipnet::{IpNet, Ipv4Net};

use super::frame::{Link, Received};
use super::outcome::Outcome;
use crate::tables::{HostServices, Interface, Subnet};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Fixed fields and magic cookie (RFC 2131 §2).
const FIXED: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const ETHERNET: u8 = 1;
/// "The minimum legal value is 576 octets": IP header and all (RFC 2132 §9.10).
const SMALLEST_LIMIT: u16 = 576;
const HEADERS: usize = 28;
/// A BOOTP message has 300 bytes, and old clients look for them (RFC 1542 §2.1).
const SHORTEST: usize = 300;
/// What is left out when a client takes short messages only, the least needed first.
const LEAST_NEEDED: [OptionCode; 4] = [
    OptionCode::NtpServers,
    OptionCode::DomainSearch,
    OptionCode::ClasslessStaticRoute,
    OptionCode::Hostname,
];

/// What a client asked, as far as it matters here.
struct Asked {
    message: Message,
    kind: MessageType,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    /// Options it wants to be told; nothing said = all.
    wanted: Option<Vec<OptionCode>>,
    /// Longest message it takes.
    limit: usize,
    identifier: Option<DhcpOption>,
}

/// One address that can be leased.
#[derive(Clone, Copy)]
struct Lease<'s> {
    address: Ipv4Addr,
    server: Ipv4Addr,
    subnet: &'s Subnet,
    prefix: Ipv4Net,
}

/// The answer to a request, as a frame.
pub(super) fn answer(
    row: &Interface,
    services: &HostServices,
    received: &Received<'_>,
) -> Result<(Outcome, Vec<u8>), Outcome> {
    let asked = read(received.datagram(), row)?;
    let leases: Vec<Lease<'_>> = row.addresses_v4.iter().filter_map(|own| lease(services, own)).collect();
    let first = *leases.first().ok_or(Outcome::NotServed)?;
    let of = |address: Ipv4Addr| leases.iter().find(|lease| lease.address == address).copied();
    let client = asked.message.ciaddr();
    match asked.kind {
        MessageType::Discover => {
            let lease = asked.requested.and_then(of).unwrap_or(first);
            Ok((Outcome::DhcpOffer, lease.reply(row, services, &asked, MessageType::Offer)))
        }
        MessageType::Request => {
            if let Some(server) = asked.server
                && !leases.iter().any(|lease| lease.server == server)
            {
                return Err(Outcome::DhcpOtherServer);
            }
            // Selecting and rebooting clients name the address in an option, others have it (RFC 2131 §4.3.2).
            let wanted = asked.requested.or((!client.is_unspecified()).then_some(client));
            match of(wanted.ok_or(Outcome::DhcpMalformed)?) {
                Some(lease) => Ok((Outcome::DhcpAck, lease.reply(row, services, &asked, MessageType::Ack))),
                None => Ok((Outcome::DhcpNak, first.refusal(row, &asked))),
            }
        }
        MessageType::Inform => {
            let lease = of(client).ok_or(Outcome::DhcpMalformed)?;
            Ok((Outcome::DhcpAck, lease.reply(row, services, &asked, MessageType::Ack)))
        }
        MessageType::Release => Err(Outcome::DhcpReleased),
        MessageType::Decline => Err(Outcome::DhcpDeclined),
        _ => Err(Outcome::DhcpUnexpected),
    }
}

fn lease<'s>(services: &'s HostServices, own: &packet::Address) -> Option<Lease<'s>> {
    let address = Ipv4Addr::new(own[0], own[1], own[2], own[3]);
    let subnet = services.subnet_of(address.into()).filter(|subnet| subnet.dhcp)?;
    let IpNet::V4(prefix) = subnet.prefix else { return None };
    let Some(IpAddr::V4(server)) = subnet.service.or(subnet.gateway) else { return None };
    Some(Lease { address, server, subnet, prefix })
}

fn read(datagram: &[u8], row: &Interface) -> Result<Asked, Outcome> {
    let fixed =
        datagram.get(..FIXED).filter(|fixed| fixed.ends_with(&COOKIE)).ok_or(Outcome::DhcpMalformed)?;
    if fixed[0] != u8::from(Opcode::BootRequest) {
        return Err(Outcome::DhcpUnexpected);
    }
    if fixed[1] != ETHERNET || fixed[2] != 6 || fixed[28..34] != row.mac {
        return Err(Outcome::DhcpHardware);
    }
    let message = Message::decode(&mut Decoder::new(fixed)).map_err(|_| Outcome::DhcpMalformed)?;
    if !message.giaddr().is_unspecified() {
        return Err(Outcome::DhcpRelayed);
    }
    let (mut kind, mut requested, mut server, mut wanted, mut identifier) = (None, None, None, None, None);
    let mut limit = SMALLEST_LIMIT;
    for option in options(&datagram[FIXED..])? {
        match option {
            DhcpOption::MessageType(value) => kind = Some(value),
            DhcpOption::RequestedIpAddress(address) => requested = Some(address),
            DhcpOption::ServerIdentifier(address) => server = Some(address),
            DhcpOption::ParameterRequestList(codes) => wanted = Some(codes),
            DhcpOption::MaxMessageSize(size) => limit = size.max(SMALLEST_LIMIT),
            DhcpOption::ClientIdentifier(_) => identifier = Some(option),
            _ => {}
        }
    }
    let kind = kind.ok_or(Outcome::DhcpMalformed)?;
    let limit = usize::from(limit.min(row.mtu)) - HEADERS;
    Ok(Asked { message, kind, requested, server, wanted, limit, identifier })
}

/// The options that matter here, each read alone: what is wrong with another one is the client's own business.
fn options(mut bytes: &[u8]) -> Result<Vec<DhcpOption>, Outcome> {
    let mut found = Vec::new();
    loop {
        // Padding may follow, an end must come.
        let (&code, rest) = bytes.split_first().ok_or(Outcome::DhcpMalformed)?;
        let code = OptionCode::from(code);
        match code {
            OptionCode::End => return Ok(found),
            OptionCode::Pad => {
                bytes = rest;
                continue;
            }
            _ => {}
        }
        let (&length, body) = rest.split_first().ok_or(Outcome::DhcpMalformed)?;
        let (body, rest) = body.split_at_checked(length.into()).ok_or(Outcome::DhcpMalformed)?;
        let exact = match code {
            OptionCode::MessageType => Some(1),
            OptionCode::RequestedIpAddress | OptionCode::ServerIdentifier => Some(4),
            OptionCode::MaxMessageSize => Some(2),
            OptionCode::ParameterRequestList | OptionCode::ClientIdentifier => None,
            _ => {
                bytes = rest;
                continue;
            }
        };
        if exact.is_some_and(|exact| exact != body.len()) {
            return Err(Outcome::DhcpMalformed);
        }
        let whole = &bytes[..2 + body.len()];
        found.push(DhcpOption::decode(&mut Decoder::new(whole)).map_err(|_| Outcome::DhcpMalformed)?);
        bytes = rest;
    }
}

impl Lease<'_> {
    /// An offer or acknowledgement.
    fn reply(&self, row: &Interface, services: &HostServices, asked: &Asked, kind: MessageType) -> Vec<u8> {
        // Who only wants to be told has an address for as long as it likes (RFC 2131 §4.3.5).
        let leases = asked.kind != MessageType::Inform;
        let mut message = self.message(asked, kind);
        if leases {
            message.set_yiaddr(self.address);
        }
        let options = message.opts_mut();
        if leases {
            for option in times(services.lease_seconds) {
                options.insert(option);
            }
        }
        options.insert(DhcpOption::SubnetMask(self.prefix.netmask()));
        // Who does not ask for the MTU has to keep to it all the same.
        options.insert(DhcpOption::InterfaceMtu(row.mtu));
        let wanted = |code: &OptionCode| asked.wanted.as_ref().is_none_or(|wanted| wanted.contains(code));
        for option in self.told(services) {
            if wanted(&OptionCode::from(&option)) {
                options.insert(option);
            }
        }
        let to = match asked.message.ciaddr() {
            Ipv4Addr::UNSPECIFIED if asked.message.flags().broadcast() => Ipv4Addr::BROADCAST,
            Ipv4Addr::UNSPECIFIED => self.address,
            has => has,
        };
        self.frame(row, message, asked.limit, to)
    }

    /// "No": to everybody, since the client has no address it could rightly use (RFC 2131 §4.3.2).
    fn refusal(&self, row: &Interface, asked: &Asked) -> Vec<u8> {
        let mut message = self.message(asked, MessageType::Nak);
        message.set_flags(Flags::default().set_broadcast()).set_ciaddr(Ipv4Addr::UNSPECIFIED);
        self.frame(row, message, asked.limit, Ipv4Addr::BROADCAST)
    }

    fn message(&self, asked: &Asked, kind: MessageType) -> Message {
        let mut message = asked.message.clone();
        message.set_opcode(Opcode::BootReply).set_hops(0).set_secs(0);
        message.set_siaddr(Ipv4Addr::UNSPECIFIED).set_yiaddr(Ipv4Addr::UNSPECIFIED);
        message.clear_sname();
        message.clear_fname();
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::ServerIdentifier(self.server));
        // A client may tell its answers by it (RFC 6842).
        if let Some(identifier) = &asked.identifier {
            options.insert(identifier.clone());
        }
        message
    }

    /// What the workload is told if it wants to know.
    fn told(&self, services: &HostServices) -> Vec<DhcpOption> {
        let mut told = vec![DhcpOption::BroadcastAddr(self.prefix.broadcast())];
        let gateway = match self.subnet.gateway {
            Some(IpAddr::V4(gateway)) => Some(gateway),
            _ => None,
        };
        told.extend(gateway.map(|gateway| DhcpOption::Router(vec![gateway])));
        let routes = self.subnet.routes.iter().filter_map(|route| match *route {
            (IpNet::V4(prefix), IpAddr::V4(via)) => Some((prefix, via)),
            _ => None,
        });
        let mut routes: Vec<(Ipv4Net, Ipv4Addr)> = routes.collect();
        if !routes.is_empty() {
            // Who heeds this option forgets the router option (RFC 3442): the default route is in both.
            routes.extend(gateway.map(|gateway| (Ipv4Net::default(), gateway)));
            told.push(DhcpOption::ClasslessStaticRoute(routes));
        }
        let dns = services.dns_servers.iter().filter_map(|server| match server {
            IpAddr::V4(server) => Some(*server),
            IpAddr::V6(_) => None,
        });
        let dns: Vec<Ipv4Addr> = dns.collect();
        if !dns.is_empty() {
            told.push(DhcpOption::DomainNameServer(dns));
        }
        if !services.ntp_servers.is_empty() {
            told.push(DhcpOption::NtpServers(services.ntp_servers.clone()));
        }
        if !services.host_name.is_empty() {
            told.push(DhcpOption::Hostname(services.host_name.clone()));
        }
        if let Ok(domain) = Name::from_ascii(&services.domain)
            && !services.domain.is_empty()
        {
            told.push(DhcpOption::DomainName(services.domain.clone()));
            told.push(DhcpOption::DomainSearch(vec![domain]));
        }
        told
    }

    fn frame(&self, row: &Interface, mut message: Message, limit: usize, to: Ipv4Addr) -> Vec<u8> {
        let mut bytes = encode(&message);
        for code in LEAST_NEEDED {
            if bytes.len() > limit {
                message.opts_mut().remove(code);
                bytes = encode(&message);
            }
        }
        let from = SocketAddr::new(self.server.into(), SERVER_PORT);
        Link::from(row).udp(from, SocketAddr::new(to.into(), CLIENT_PORT), &bytes)
    }
}

/// The lease and when to renew and rebind it (RFC 2131 §4.4.5).
fn times(seconds: u32) -> Vec<DhcpOption> {
    let mut times = vec![DhcpOption::AddressLeaseTime(seconds)];
    if seconds != u32::MAX {
        times.push(DhcpOption::Renewal(seconds / 2));
        times.push(DhcpOption::Rebinding(seconds - seconds / 8));
    }
    times
}

fn encode(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    // What is encoded was checked when it was configured, or decoded.
    if message.encode(&mut Encoder::new(&mut bytes)).is_err() {
        return Vec::new();
    }
    bytes.resize(bytes.len().max(SHORTEST), 0);
    bytes
}
