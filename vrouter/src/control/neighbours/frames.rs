//! Requests as frames, and what received frames say.

use std::net::Ipv4Addr;

use packet::{Address, Facts, arp, nd, parse};

use crate::control::text::Ip;

/// The node as its neighbours on one interface know it.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// The port's MAC.
    pub(crate) mac: [u8; 6],
    /// Its addresses with the lengths of their subnets.
    pub(crate) addresses: Vec<(Ip, u8)>,
}

/// What a neighbour said about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) ip: Ip,
    /// Its MAC, if it said so.
    pub(crate) mac: Option<[u8; 6]>,
    /// It answered a request: it hears us.
    pub(crate) solicited: bool,
    /// Replaces what is known.
    pub(crate) overrides: bool,
    /// The address it asked about.
    pub(crate) asks: Option<Ip>,
}

const BROADCAST: [u8; 6] = [0xff; 6];
const ETHER_ARP: [u8; 2] = [0x08, 0x06];
const ETHER_IPV6: [u8; 2] = [0x86, 0xdd];

/// The frame that asks for a neighbour, at the MAC where it was last if there is one.
pub(crate) fn request(asker: &Asker, ip: Ip, known: Option<[u8; 6]>) -> Vec<u8> {
    if ip.v6 {
        let (destination, packet) = nd::solicitation(asker.mac, &asker.source_v6(ip), &ip.address, known);
        return frame(destination, asker.mac, ETHER_IPV6, &packet);
    }
    let request = arp::Arp::request(asker.mac, asker.source_v4(ip), v4(&ip.address));
    frame(known.unwrap_or(BROADCAST), asker.mac, ETHER_ARP, &request.to_bytes())
}

fn frame(destination: [u8; 6], source: [u8; 6], ether_type: [u8; 2], packet: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &ether_type, packet].concat()
}

const fn v4(address: &Address) -> Ipv4Addr {
    Ipv4Addr::new(address[0], address[1], address[2], address[3])
}

impl Asker {
    /// The address of ours in the neighbour's subnet, else any of the family.
    fn source(&self, ip: Ip) -> Option<Ip> {
        let of_family = || self.addresses.iter().filter(|(own, _)| own.v6 == ip.v6);
        let near = of_family().find(|(own, length)| own.network(*length).contains(ip.address));
        near.or_else(|| of_family().next()).map(|(own, _)| *own)
    }

    /// Without an address of ours it is a probe (RFC 5227): answered all the same.
    fn source_v4(&self, ip: Ip) -> Ipv4Addr {
        self.source(ip).map_or(Ipv4Addr::UNSPECIFIED, |own| v4(&own.address))
    }

    /// Without an address of ours, the link-local one that the MAC makes (RFC 4291, appendix A).
    fn source_v6(&self, ip: Ip) -> Address {
        let [a, b, c, d, e, f] = self.mac;
        let made = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
        self.source(ip).map_or(made, |own| own.address)
    }
}

/// Reads a frame of ARP or neighbour discovery; nothing if it is neither, malformed, or says nothing
/// about its sender.
pub(crate) fn hear(frame: &[u8]) -> Option<Heard> {
    let meta = parse::ethernet(frame).ok()?;
    if meta.facts.intersects(Facts::IPV6) {
        return hear_nd(frame, &meta);
    }
    let message = arp::parse(frame, &meta).ok()?;
    if message.is_probe() {
        return None;
    }
    let ip = |address: Ipv4Addr| Ip { v6: false, address: packet::meta::v4(address.octets()) };
    let answers = message.operation == arp::Operation::Reply && !message.is_gratuitous();
    let asks = message.operation == arp::Operation::Request && !message.is_gratuitous();
    Some(Heard {
        ip: ip(message.sender),
        mac: Some(message.sender_mac),
        solicited: answers,
        overrides: true,
        asks: asks.then(|| ip(message.target)),
    })
}

fn hear_nd(frame: &[u8], meta: &packet::Meta) -> Option<Heard> {
    match nd::parse(frame, meta).ok()? {
        nd::Message::Advertisement { target, target_mac, solicited, overrides, .. } => Some(Heard {
            ip: Ip { v6: true, address: target },
            mac: target_mac,
            solicited,
            overrides,
            asks: None,
        }),
        nd::Message::Solicitation { target, source_mac } if !nd::is_duplicate_probe(meta) => Some(Heard {
            ip: Ip { v6: true, address: meta.src },
            mac: source_mac,
            solicited: false,
            overrides: true,
            asks: Some(Ip { v6: true, address: target }),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn ip(text: &str) -> Ip {
        Ip::parse(text).unwrap()
    }

    fn asker(addresses: &[(&str, u8)]) -> Asker {
        Asker { mac: MAC, addresses: addresses.iter().map(|(text, length)| (ip(text), *length)).collect() }
    }

    #[test]
    fn a_request_asks_everybody_from_the_address_in_the_same_subnet() {
        let asker = asker(&[("10.2.0.1", 24), ("10.1.0.66", 24), ("2001:db8::66", 64)]);
        let frame = request(&asker, ip("10.1.0.1"), None);
        assert_eq!((&frame[..6], &frame[6..12]), (&BROADCAST[..], &MAC[..]));
        let heard = hear(&frame).unwrap();
        assert_eq!((heard.ip, heard.mac, heard.asks), (ip("10.1.0.66"), Some(MAC), Some(ip("10.1.0.1"))));
        assert!(!heard.solicited);

        let frame = request(&asker, ip("2001:db8::1"), None);
        assert_eq!(&frame[..6], &[0x33, 0x33, 0xff, 0, 0, 1]);
        let heard = hear(&frame).unwrap();
        assert_eq!(
            (heard.ip, heard.mac, heard.asks),
            (ip("2001:db8::66"), Some(MAC), Some(ip("2001:db8::1")))
        );
    }

    #[test]
    fn a_probe_goes_where_the_neighbour_was() {
        let asker = asker(&[("10.1.0.66", 24), ("2001:db8::66", 64)]);
        for text in ["10.1.0.1", "2001:db8::1"] {
            assert_eq!(&request(&asker, ip(text), Some(THEIRS))[..6], &THEIRS);
        }
    }

    #[test]
    fn a_node_without_addresses_asks_all_the_same_and_teaches_nobody() {
        let asker = asker(&[]);
        assert_eq!(hear(&request(&asker, ip("10.1.0.1"), None)), None);
        let heard = hear(&request(&asker, ip("fe80::1"), None)).unwrap();
        assert_eq!(heard.ip, ip("fe80::ff:fe00:1"));
    }

    #[test]
    fn replies_answer_and_announcements_do_not() {
        let question = arp::Arp::request(MAC, Ipv4Addr::new(10, 1, 0, 66), Ipv4Addr::new(10, 1, 0, 1));
        let reply = frame(MAC, THEIRS, ETHER_ARP, &question.reply(THEIRS).to_bytes());
        let heard = hear(&reply).unwrap();
        assert_eq!((heard.ip, heard.mac, heard.solicited), (ip("10.1.0.1"), Some(THEIRS), true));
        let announcement = arp::Arp::announcement(THEIRS, Ipv4Addr::new(10, 1, 0, 1)).to_bytes();
        let heard = hear(&frame(BROADCAST, THEIRS, ETHER_ARP, &announcement)).unwrap();
        assert_eq!((heard.ip, heard.solicited, heard.asks), (ip("10.1.0.1"), false, None));
        let advertise = nd::Advertise {
            target: ip("2001:db8::1").address,
            source: ip("2001:db8::1").address,
            mac: THEIRS,
            router: true,
            overrides: true,
        };
        let (to, packet) = advertise.unsolicited();
        let heard = hear(&frame(to, THEIRS, ETHER_IPV6, &packet)).unwrap();
        assert_eq!((heard.ip, heard.mac, heard.solicited), (ip("2001:db8::1"), Some(THEIRS), false));
    }

    #[test]
    fn other_frames_say_nothing() {
        for bytes in [&[][..], &[0; 14], &[0xff; 60]] {
            assert_eq!(hear(bytes), None);
        }
    }
}
