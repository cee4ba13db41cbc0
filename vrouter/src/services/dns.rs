//! Names: queries to a service address go to the configured resolvers through the node's own stack, answers come back
//! from the service address. Nothing is cached and nothing of a message is looked at but its header and question.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use packet::InterfaceId;
use packet::protocol::ip;

use super::chance::Chance;
use super::frame::{Link, Received};
use super::outcome::{Outcome, ServiceCounters};
use crate::tables::{HostServices, Interface, Tables};

/// Queries on their way, of all workloads and of one.
const MOST: usize = 1_024;
const MOST_OF_ONE: usize = 64;
/// Milliseconds until the next resolver is asked: workloads themselves wait 5 s as a rule (resolv.conf).
const PATIENCE: u64 = 1_500;
/// Times a query is sent before it is given up.
const TRIES: usize = 3;
/// Answers read from one resolver at once.
const AT_ONCE: usize = 256;
const HEADER: usize = 12;
const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;
/// Longest message over UDP.
const LONGEST: usize = 65_535;
const UDP_AND_IPV4: usize = 28;
const UDP_AND_IPV6: usize = 48;

/// Who asked, and where the answer has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asker {
    interface: InterfaceId,
    /// When that was created ([`Interface::born`]): another one may have its id later.
    born: u32,
    client: SocketAddr,
    service: SocketAddr,
    id: [u8; 2],
}

#[derive(Debug)]
struct Query {
    asker: Asker,
    link: Link,
    /// Longest message that the workload's link carries.
    limit: usize,
    resolvers: Arc<[SocketAddr]>,
    /// As the workload sent it.
    message: Vec<u8>,
    tries: usize,
    due: u64,
}

/// Queries on their way and the sockets they use.
#[derive(Debug)]
pub(super) struct Dns {
    /// The node's own resolvers, for interfaces that name none.
    fallback: Arc<[SocketAddr]>,
    /// By the id that the resolver sees.
    queries: BTreeMap<u16, Query>,
    askers: BTreeMap<Asker, u16>,
    /// One per resolver that has something to answer; the next time it has another port.
    sockets: BTreeMap<SocketAddr, UdpSocket>,
    buffer: Vec<u8>,
}

/// What a burst of work came to.
type Out = Vec<(InterfaceId, Vec<u8>)>;

impl Dns {
    pub(super) fn new(fallback: Vec<SocketAddr>) -> Self {
        Self {
            fallback: fallback.into(),
            queries: BTreeMap::new(),
            askers: BTreeMap::new(),
            sockets: BTreeMap::new(),
            buffer: vec![0; LONGEST],
        }
    }

    /// A workload asks. What is answered at once comes back as a frame.
    pub(super) fn ask(
        &mut self,
        row: &Interface,
        services: &HostServices,
        received: &Received<'_>,
        now: u64,
        chance: &mut Chance,
    ) -> Result<(Outcome, Vec<u8>), Outcome> {
        let link = Link::from(row);
        if received.meta.protocol == ip::TCP {
            let reset = link.reset(received).ok_or(Outcome::DnsMalformed)?;
            return Ok((Outcome::DnsTcpRefused, reset));
        }
        let message = received.datagram();
        question(message).filter(|_| message[2] & 0x80 == 0).ok_or(Outcome::DnsMalformed)?;
        let asker = Asker {
            interface: row.id,
            born: row.born,
            client: received.source(),
            service: received.destination(),
            id: [message[0], message[1]],
        };
        let resolvers = if services.resolvers.is_empty() {
            Arc::clone(&self.fallback)
        } else {
            services.resolvers.as_slice().into()
        };
        if resolvers.is_empty() {
            return Ok((Outcome::DnsRefused, refusal(&link, &asker, message, REFUSED)));
        }
        if self.askers.contains_key(&asker) {
            return Err(Outcome::DnsRepeated);
        }
        let of_one = self.askers.keys().filter(|other| other.interface == row.id).count();
        if self.queries.len() >= MOST || of_one >= MOST_OF_ONE {
            return Err(Outcome::DnsBusy);
        }
        let headers = if asker.client.is_ipv6() { UDP_AND_IPV6 } else { UDP_AND_IPV4 };
        let limit = usize::from(row.mtu).saturating_sub(headers);
        let id = self.free_id(chance);
        let message = message.to_vec();
        let query = Query { asker, link, limit, resolvers, message, tries: 0, due: now };
        self.askers.insert(asker, id);
        self.queries.insert(id, query);
        self.send(id, now);
        Ok((Outcome::DnsForwarded, Vec::new()))
    }

    fn free_id(&self, chance: &mut Chance) -> u16 {
        loop {
            // At most `MOST` of 65 536 are taken.
            let [a, b, ..] = chance.next().to_be_bytes();
            let id = u16::from_be_bytes([a, b]);
            if !self.queries.contains_key(&id) {
                return id;
            }
        }
    }

    /// Asks the next resolver.
    fn send(&mut self, id: u16, now: u64) {
        let Some(query) = self.queries.get_mut(&id) else { return };
        let resolver = query.resolvers[query.tries % query.resolvers.len()];
        query.tries += 1;
        query.due = now + PATIENCE;
        let mut message = query.message.clone();
        message[..2].copy_from_slice(&id.to_be_bytes());
        let socket = match self.sockets.get(&resolver) {
            Some(socket) => socket,
            None => match open(resolver) {
                Ok(socket) => self.sockets.entry(resolver).or_insert(socket),
                Err(error) => {
                    tracing::warn!(%resolver, %error, "a resolver cannot be asked");
                    return query.due = now;
                }
            },
        };
        // A resolver that is known to be away is passed by at once; what cannot be sent now is sent again.
        if socket.send(&message).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            query.due = now;
        }
    }

    /// Hands on what resolvers said, asks the next ones where nothing was said.
    pub(super) fn advance(&mut self, now: u64, counters: &ServiceCounters, out: &mut Out) {
        if self.queries.is_empty() && self.sockets.is_empty() {
            return;
        }
        let resolvers: Vec<SocketAddr> = self.sockets.keys().copied().collect();
        for resolver in resolvers {
            for _ in 0..AT_ONCE {
                let Some(socket) = self.sockets.get(&resolver) else { break };
                match socket.recv(&mut self.buffer) {
                    Ok(length) => {
                        let outcome = self.answered(resolver, length, out);
                        counters.count(outcome);
                    }
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.pass_by(resolver, now),
                    Err(_) => break,
                }
            }
        }
        let late: Vec<u16> =
            self.queries.iter().filter(|(_, query)| query.due <= now).map(|(&id, _)| id).collect();
        for id in late {
            if self.queries.get(&id).is_some_and(|query| query.tries < TRIES.max(query.resolvers.len())) {
                self.send(id, now);
                continue;
            }
            if let Some(query) = self.forget(id) {
                let frame = refusal(&query.link, &query.asker, &query.message, SERVFAIL);
                out.push((query.asker.interface, frame));
                counters.count(Outcome::DnsFailed);
            }
        }
        let queries = &self.queries;
        self.sockets.retain(|resolver, _| queries.values().any(|query| query.resolvers.contains(resolver)));
    }

    /// Nobody is there: whoever waits for this one asks the next.
    fn pass_by(&mut self, resolver: SocketAddr, now: u64) {
        for query in self.queries.values_mut() {
            let last = query.tries.wrapping_sub(1) % query.resolvers.len();
            if query.resolvers[last] == resolver {
                query.due = now;
            }
        }
    }

    /// A message of a resolver is in the buffer.
    fn answered(&mut self, resolver: SocketAddr, length: usize, out: &mut Out) -> Outcome {
        let message = &mut self.buffer[..length];
        let Some(&[a, b]) = message.first_chunk() else { return Outcome::DnsStray };
        let id = u16::from_be_bytes([a, b]);
        // It answers what was asked there, or nothing (RFC 5452 §9.1).
        let fits = |query: &&Query| {
            query.resolvers.contains(&resolver)
                && message[2..].first().is_some_and(|flags| flags & 0x80 != 0)
                && question(message).is_some_and(|asked| Some(asked) == question(&query.message))
        };
        let Some(query) = self.queries.get(&id).filter(fits) else { return Outcome::DnsStray };
        let Query { asker, link, limit, .. } = *query;
        message[..2].copy_from_slice(&asker.id);
        let end = HEADER + question(message).map_or(0, <[u8]>::len);
        let whole = length <= limit;
        let (outcome, frame) = if whole {
            (Outcome::DnsAnswered, link.udp(asker.service, asker.client, message))
        } else {
            (Outcome::DnsTruncated, link.udp(asker.service, asker.client, &cut(message, end)))
        };
        out.push((asker.interface, frame));
        self.forget(id);
        outcome
    }

    fn forget(&mut self, id: u16) -> Option<Query> {
        let query = self.queries.remove(&id)?;
        self.askers.remove(&query.asker);
        Some(query)
    }

    /// Interfaces may have gone: nobody waits for their answers.
    pub(super) fn follow(&mut self, tables: &Tables) {
        self.askers.retain(|asker, id| {
            let lives = tables.interface(asker.interface).is_some_and(|row| row.born == asker.born);
            if !lives {
                self.queries.remove(id);
            }
            lives
        });
    }
}

/// A socket that hears this resolver only.
fn open(resolver: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: SocketAddr = if resolver.is_ipv6() {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(resolver)?;
    Ok(socket)
}

/// The bytes of the one question of a message; nothing if it has another number of them, or is cut off.
fn question(message: &[u8]) -> Option<&[u8]> {
    if message.get(4..6)? != [0, 1] {
        return None;
    }
    let rest = message.get(HEADER..)?;
    let mut at = 0;
    loop {
        match *rest.get(at)? {
            0 => break,
            // A question has nothing before it to point at (RFC 1035 §4.1.4).
            length if length > 63 => return None,
            length => at += 1 + usize::from(length),
        }
    }
    rest.get(..at + 5).filter(|_| at < 255)
}

/// Header and question, marked as truncated (RFC 1035 §4.1.1).
fn cut(message: &[u8], end: usize) -> Vec<u8> {
    let mut cut = message[..end].to_vec();
    cut[2] |= 0x02;
    cut[6..HEADER].fill(0);
    cut
}

/// An answer without answer.
fn refusal(link: &Link, asker: &Asker, message: &[u8], code: u8) -> Vec<u8> {
    let end = HEADER + question(message).map_or(0, <[u8]>::len);
    let mut answer = message[..end].to_vec();
    // A response; opcode and "recursion desired" as they were; recursion would be available.
    answer[2] = 0x80 | answer[2] & 0x79;
    answer[3] = 0x80 | code;
    answer[6..HEADER].fill(0);
    link.udp(asker.service, asker.client, &answer)
}
