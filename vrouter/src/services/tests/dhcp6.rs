//! DHCPv6.

use std::net::Ipv6Addr;

use dhcproto::v6::{DhcpOption, DhcpOptions, Message, MessageType, OptionCode, Status};
use dhcproto::{Decodable, Decoder};

use super::*;

const SOLICIT: u8 = 1;
const REQUEST: u8 = 3;
const CONFIRM: u8 = 4;
const RENEW: u8 = 5;
const REBIND: u8 = 6;
const RELEASE: u8 = 8;
const DECLINE: u8 = 9;
const INFORM: u8 = 11;
const CLIENT: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1];
const SERVER: &[u8] = &[0, 3, 0, 1, 0, 0, 0x5e, 0, 1, 0];
const OWN: &str = "2001:db8::3";

fn option(code: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[0, code][..], &length, body].concat()
}

/// An IA_NA that names these addresses.
fn association(id: u8, addresses: &[&str]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, id, 0, 0, 0, 0, 0, 0, 0, 0];
    for address in addresses {
        let octets = address.parse::<Ipv6Addr>().unwrap().octets();
        body.extend(option(5, &[&octets[..], &[0; 8]].concat()));
    }
    option(3, &body)
}

fn message(kind: u8, options: &[Vec<u8>]) -> Vec<u8> {
    [vec![kind, 1, 2, 3], option(1, CLIENT), options.concat()].concat()
}

fn multicast(message: &[u8]) -> Vec<u8> {
    udp(("fe80::1", 546), ("ff02::1:2", 547), message)
}

fn ask(kind: u8, options: &[Vec<u8>]) -> Vec<u8> {
    multicast(&message(kind, options))
}

fn server() -> Vec<u8> {
    option(2, SERVER)
}

fn read(frame: &[u8]) -> Message {
    let (mac, from, to, payload) = heard(frame);
    assert_eq!((mac, from.as_str(), to.as_str()), (MAC, "[fe80::200:5eff:fe00:100]:547", "[fe80::1]:546"));
    let message = Message::decode(&mut Decoder::new(&payload)).unwrap();
    assert_eq!(message.xid(), [1, 2, 3]);
    assert_eq!(message.opts().get(OptionCode::ServerId), Some(&DhcpOption::ServerId(SERVER.to_vec())));
    message
}

/// Addresses and lifetimes of an association, and its status.
type Leased = (Vec<(String, u32)>, Option<Status>);

fn leased(options: &DhcpOptions) -> Leased {
    let addresses = options.iter().filter_map(|option| match option {
        DhcpOption::IAAddr(address) => Some((address.addr.to_string(), address.valid_life)),
        _ => None,
    });
    (addresses.collect(), status(options))
}

fn status(options: &DhcpOptions) -> Option<Status> {
    match options.get(OptionCode::StatusCode) {
        Some(DhcpOption::StatusCode(status)) => Some(status.status),
        _ => None,
    }
}

fn associations(message: &Message) -> Vec<Leased> {
    let all = message.opts().iter().filter_map(|option| match option {
        DhcpOption::IANA(association) => Some(leased(&association.opts)),
        DhcpOption::IATA(association) => Some(leased(&association.opts)),
        DhcpOption::IAPD(association) => Some(leased(&association.opts)),
        _ => None,
    });
    all.collect()
}

fn own(seconds: u32) -> Leased {
    (vec![(OWN.to_owned(), seconds)], None)
}

#[test]
fn who_solicits_is_offered_the_address_and_told_where_to_ask_names() {
    let mut scene = Scene::new(EVERYTHING);
    let frame = scene.answer(&ask(SOLICIT, &[association(7, &[])]), Outcome::Dhcp6Advertise);
    let advertise = read(&frame);
    assert_eq!(advertise.msg_type(), MessageType::Advertise);
    assert_eq!(associations(&advertise), [own(7200)]);
    let opts = advertise.opts();
    assert_eq!(opts.get(OptionCode::ClientId), Some(&DhcpOption::ClientId(CLIENT.to_vec())));
    let servers = DhcpOption::DomainNameServers(vec!["2001:db8::2".parse().unwrap()]);
    let dns =
        Scene::new(&EVERYTHING.replace("host_name", "dns_servers: ['2001:db8::2', 192.0.2.1], host_name"))
            .answer(&ask(SOLICIT, &[]), Outcome::Dhcp6Advertise);
    assert_eq!(read(&dns).opts().get(OptionCode::DomainNameServers), Some(&servers));
    assert_eq!(opts.get(OptionCode::DomainNameServers), Some(&servers));
    assert!(opts.get(OptionCode::DomainSearchList).is_some());
    let Some(DhcpOption::IANA(association)) = opts.get(OptionCode::IANA) else { panic!("{opts:?}") };
    assert_eq!((association.id, association.t1, association.t2), (7, 3600, 5760));
}

#[test]
fn who_is_in_a_hurry_has_its_lease_at_once() {
    let mut scene = Scene::new(EVERYTHING);
    let frame = scene.answer(&ask(SOLICIT, &[association(7, &[]), option(14, &[])]), Outcome::Dhcp6Reply);
    let reply = read(&frame);
    assert_eq!(reply.msg_type(), MessageType::Reply);
    assert!(reply.opts().get(OptionCode::RapidCommit).is_some());
    assert_eq!(associations(&reply), [own(7200)]);
}

#[test]
fn a_request_a_renewal_and_a_rebinding_lease_the_address() {
    let mut scene = Scene::new(EVERYTHING);
    for request in [
        ask(REQUEST, &[server(), association(7, &[OWN])]),
        ask(RENEW, &[server(), association(7, &[OWN])]),
        ask(REBIND, &[association(7, &[OWN])]),
    ] {
        let reply = read(&scene.answer(&request, Outcome::Dhcp6Reply));
        assert_eq!((reply.msg_type(), associations(&reply)), (MessageType::Reply, vec![own(7200)]));
    }
}

#[test]
fn another_address_is_not_of_this_link_or_no_longer_valid() {
    let mut scene = Scene::new(EVERYTHING);
    let other = association(7, &["2001:db8::77"]);
    let reply = read(&scene.answer(&ask(REQUEST, &[server(), other.clone()]), Outcome::Dhcp6Reply));
    assert_eq!(associations(&reply), [(vec![], Some(Status::NotOnLink))]);
    let reply = read(&scene.answer(&ask(RENEW, &[server(), other]), Outcome::Dhcp6Reply));
    let mut all = associations(&reply);
    all[0].0.sort_by_key(|(_, seconds)| *seconds);
    let both = vec![("2001:db8::77".to_owned(), 0), (OWN.to_owned(), 7200)];
    assert_eq!(all, [(both, None)]);
}

#[test]
fn one_association_has_the_addresses_and_others_nothing() {
    let mut scene = Scene::new(EVERYTHING);
    let delegation = option(25, &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]);
    let options = [association(7, &[]), association(8, &[]), option(4, &[0, 0, 0, 9]), delegation];
    let reply = read(&scene.answer(&ask(SOLICIT, &options), Outcome::Dhcp6Advertise));
    let none = (vec![], Some(Status::NoAddrsAvail));
    let no_prefix = (vec![], Some(Status::NoPrefixAvail));
    assert_eq!(associations(&reply), [own(7200), none.clone(), none, no_prefix]);
}

#[test]
fn a_workload_that_makes_its_own_address_is_leased_none_and_told_the_rest() {
    let fields = EVERYTHING.replace("service: '2001:db8::2',", "service: '2001:db8::2', slaac: true,");
    let mut scene = Scene::new(&fields);
    let reply = read(&scene.answer(&ask(SOLICIT, &[association(7, &[])]), Outcome::Dhcp6Advertise));
    assert_eq!(associations(&reply), [(vec![], Some(Status::NoAddrsAvail))]);
    let reply = read(&scene.answer(&multicast(&[INFORM, 1, 2, 3]), Outcome::Dhcp6Reply));
    assert!(reply.opts().get(OptionCode::DomainNameServers).is_some());
    assert!(reply.opts().get(OptionCode::ClientId).is_none());
}

#[test]
fn a_client_that_moved_is_told_whether_it_is_where_it_was() {
    let mut scene = Scene::new(EVERYTHING);
    for (addresses, expected) in [
        (&[OWN][..], Status::Success),
        (&[OWN, "2001:db8:9::3"], Status::NotOnLink),
        (&["2001:db8:9::3"], Status::NotOnLink),
    ] {
        let reply = scene.answer(&ask(CONFIRM, &[association(7, addresses)]), Outcome::Dhcp6Reply);
        assert_eq!(status(read(&reply).opts()), Some(expected), "{addresses:?}");
    }
    scene.ignored(&ask(CONFIRM, &[association(7, &[])]), Outcome::DhcpMalformed);
}

#[test]
fn what_is_given_back_is_acknowledged() {
    let mut scene = Scene::new(EVERYTHING);
    for (kind, outcome) in [(RELEASE, Outcome::Dhcp6Reply), (DECLINE, Outcome::DhcpDeclined)] {
        let reply = scene.answer(&ask(kind, &[server(), association(7, &[OWN])]), outcome);
        assert_eq!(status(read(&reply).opts()), Some(Status::Success));
    }
}

#[test]
fn what_is_not_for_this_server_is_not_answered() {
    let mut scene = Scene::new(EVERYTHING);
    scene.ignored(
        &ask(REQUEST, &[option(2, &[0, 3, 0, 1, 9]), association(7, &[])]),
        Outcome::DhcpOtherServer,
    );
    // Advertise, reply, reconfigure, nothing known; a relay's.
    for kind in [2, 7, 10, 200] {
        scene.ignored(&ask(kind, &[]), Outcome::DhcpUnexpected);
    }
    for kind in [12, 13] {
        scene.ignored(&ask(kind, &[]), Outcome::DhcpRelayed);
    }
    let unicast = udp(("fe80::1", 546), ("fe80::200:5eff:fe00:100", 547), &message(SOLICIT, &[]));
    scene.ignored(&unicast, Outcome::DhcpUnexpected);
    let mut foreign = ask(SOLICIT, &[]);
    foreign[11] = 9;
    scene.ignored(&foreign, Outcome::DhcpHardware);
    let fields = "addresses: ['10.0.0.3'], services: {subnets: [{prefix: 10.0.0.0/24, gateway: 10.0.0.1}]}";
    Scene::new(fields).ignored(&ask(SOLICIT, &[]), Outcome::NotServed);
}

#[test]
fn what_is_cut_off_or_impossible_is_malformed() {
    let mut scene = Scene::new(EVERYTHING);
    let whole = message(SOLICIT, &[association(7, &[OWN])]);
    let ends = [4, 4 + 14, whole.len()];
    for length in (0..whole.len()).filter(|length| !ends.contains(length)) {
        scene.ignored(&multicast(&whole[..length]), Outcome::DhcpMalformed);
    }
    // No client, two, one of two bytes; a server where none must be, none where one must.
    for bad in [
        multicast(&[SOLICIT, 1, 2, 3]),
        ask(SOLICIT, &[option(1, CLIENT)]),
        multicast(&[vec![SOLICIT, 1, 2, 3], option(1, &[0, 3])].concat()),
        ask(SOLICIT, &[server()]),
        ask(REBIND, &[server()]),
        ask(REQUEST, &[association(7, &[])]),
        ask(INFORM, &[association(7, &[])]),
        ask(SOLICIT, &[option(3, &[0; 11])]),
    ] {
        scene.ignored(&bad, Outcome::DhcpMalformed);
    }
}

#[test]
fn associations_within_associations_do_not_exhaust_the_stack() {
    let mut scene = Scene::new(EVERYTHING);
    let nested = |levels: usize| {
        (0..levels).fold(Vec::new(), |inner, _| option(4, &[&[0, 0, 0, 7][..], &inner].concat()))
    };
    scene.answer(&ask(SOLICIT, &[nested(150)]), Outcome::Dhcp6Advertise);
    scene.ignored(&ask(SOLICIT, &[nested(8_000)]), Outcome::DhcpMalformed);
}

proptest::proptest! {
    #[test]
    fn garbage_ends_in_one_outcome_and_at_most_one_frame(
        kind in 0_u8..16,
        damage in proptest::collection::vec((0_usize..80, 0_u8..), 0..6),
        options in proptest::collection::vec(0_u8.., 0..200),
    ) {
        let mut scene = Scene::new(EVERYTHING);
        let mut bytes = message(kind, &[association(7, &[OWN]), options]);
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let (_, frames) = scene.ask(&multicast(&bytes));
        assert!(frames.len() <= 1);
    }
}
