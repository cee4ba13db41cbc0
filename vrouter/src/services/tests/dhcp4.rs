//! DHCPv4.

use std::net::Ipv4Addr;

use dhcproto::v4::{DhcpOption, Message, MessageType, OptionCode};
use dhcproto::{Decodable, Decoder};

use super::*;

const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const RELEASE: u8 = 7;
const INFORM: u8 = 8;

/// A message of this kind, its options as bytes behind those of the kind.
fn message(kind: u8, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
    bytes[4..8].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    bytes[28..34].copy_from_slice(&MAC);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend([53, 1, kind]);
    bytes.extend(options);
    bytes.push(255);
    bytes
}

fn broadcast(message: &[u8]) -> Vec<u8> {
    udp(("0.0.0.0", 68), ("255.255.255.255", 67), message)
}

fn unicast(message: &[u8]) -> Vec<u8> {
    udp(("10.0.0.3", 68), ("10.0.0.2", 67), message)
}

fn ask(kind: u8, options: &[u8]) -> Vec<u8> {
    broadcast(&message(kind, options))
}

/// With a field of the fixed part changed.
fn with(kind: u8, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut message = message(kind, &[]);
    message[at..at + bytes.len()].copy_from_slice(bytes);
    broadcast(&message)
}

fn read(frame: &[u8]) -> Message {
    let (_, _, _, payload) = heard(frame);
    assert!(payload.len() >= 300, "BOOTP messages have 300 bytes");
    Message::decode(&mut Decoder::new(&payload)).unwrap()
}

fn codes(message: &Message) -> Vec<u8> {
    message.opts().iter().map(|(code, _)| u8::from(*code)).collect()
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

#[test]
fn a_discoverer_is_offered_the_first_address_with_all_that_is_configured() {
    let mut scene = Scene::new(EVERYTHING);
    let frame = scene.answer(&ask(DISCOVER, &[]), Outcome::DhcpOffer);
    let (mac, from, to, _) = heard(&frame);
    assert_eq!((mac, from.as_str(), to.as_str()), (MAC, "10.0.0.2:67", "10.0.0.3:68"));
    let offer = read(&frame);
    assert_eq!((offer.xid(), offer.yiaddr(), offer.chaddr()), (0xdead_beef, ip("10.0.0.3"), &MAC[..]));
    let has = |option: DhcpOption| {
        assert_eq!(offer.opts().get(OptionCode::from(&option)), Some(&option));
    };
    has(DhcpOption::MessageType(MessageType::Offer));
    has(DhcpOption::ServerIdentifier(ip("10.0.0.2")));
    has(DhcpOption::SubnetMask(ip("255.255.255.0")));
    has(DhcpOption::BroadcastAddr(ip("10.0.0.255")));
    has(DhcpOption::Router(vec![ip("10.0.0.1")]));
    has(DhcpOption::DomainNameServer(vec![ip("10.0.0.2")]));
    has(DhcpOption::NtpServers(vec![ip("10.0.0.123")]));
    has(DhcpOption::Hostname("web".to_owned()));
    has(DhcpOption::DomainName("red.example.com".to_owned()));
    has(DhcpOption::InterfaceMtu(1400));
    has(DhcpOption::AddressLeaseTime(7200));
    has(DhcpOption::Renewal(3600));
    has(DhcpOption::Rebinding(6300));
    let routes = vec![
        ("172.16.0.0/12".parse().unwrap(), ip("10.0.0.9")),
        ("0.0.0.0/0".parse().unwrap(), ip("10.0.0.1")),
    ];
    has(DhcpOption::ClasslessStaticRoute(routes));
}

#[test]
fn only_what_a_client_wants_to_know_is_told_and_the_mtu() {
    let mut scene = Scene::new(EVERYTHING);
    let offer = read(&scene.answer(&ask(DISCOVER, &[55, 2, 3, 15]), Outcome::DhcpOffer));
    assert_eq!(codes(&offer), [1, 3, 15, 26, 51, 53, 54, 58, 59]);
}

#[test]
fn a_client_that_wants_its_answers_by_broadcast_has_them_so() {
    let mut scene = Scene::new(EVERYTHING);
    let frame = scene.answer(&with(DISCOVER, 10, &[0x80, 0]), Outcome::DhcpOffer);
    let (mac, _, to, _) = heard(&frame);
    assert_eq!((mac, to.as_str()), (BROADCAST_MAC, "255.255.255.255:68"));
}

#[test]
fn an_identifier_comes_back() {
    let mut scene = Scene::new(EVERYTHING);
    let offer = read(&scene.answer(&ask(DISCOVER, &[61, 3, 0, 7, 9]), Outcome::DhcpOffer));
    let identifier = DhcpOption::ClientIdentifier(vec![0, 7, 9]);
    assert_eq!(offer.opts().get(OptionCode::ClientIdentifier), Some(&identifier));
}

#[test]
fn any_of_its_own_addresses_may_be_wanted() {
    let mut scene = Scene::new(EVERYTHING);
    let offer = read(&scene.answer(&ask(DISCOVER, &[50, 4, 10, 0, 0, 4]), Outcome::DhcpOffer));
    assert_eq!(offer.yiaddr(), ip("10.0.0.4"));
    // What it had elsewhere is no reason not to offer.
    let offer = read(&scene.answer(&ask(DISCOVER, &[50, 4, 10, 9, 9, 9]), Outcome::DhcpOffer));
    assert_eq!(offer.yiaddr(), ip("10.0.0.3"));
    let request = ask(REQUEST, &[50, 4, 10, 0, 0, 4, 54, 4, 10, 0, 0, 2]);
    let ack = read(&scene.answer(&request, Outcome::DhcpAck));
    assert_eq!((ack.yiaddr(), ack.opts().msg_type()), (ip("10.0.0.4"), Some(MessageType::Ack)));
}

#[test]
fn another_address_is_refused_by_broadcast() {
    let mut scene = Scene::new(EVERYTHING);
    // Selecting, rebooting, renewing.
    let renew = {
        let mut renew = message(REQUEST, &[]);
        renew[12..16].copy_from_slice(&[10, 0, 0, 77]);
        unicast(&renew)
    };
    for request in [
        ask(REQUEST, &[50, 4, 10, 0, 0, 77, 54, 4, 10, 0, 0, 2]),
        ask(REQUEST, &[50, 4, 192, 0, 2, 1]),
        renew,
    ] {
        let frame = scene.answer(&request, Outcome::DhcpNak);
        let (mac, from, to, _) = heard(&frame);
        assert_eq!((mac, from.as_str(), to.as_str()), (BROADCAST_MAC, "10.0.0.2:67", "255.255.255.255:68"));
        let nak = read(&frame);
        assert_eq!(
            (nak.yiaddr(), nak.ciaddr(), nak.opts().msg_type()),
            (ip("0.0.0.0"), ip("0.0.0.0"), Some(MessageType::Nak))
        );
        assert_eq!(codes(&nak), [53, 54]);
    }
}

#[test]
fn a_renewal_goes_to_the_address_that_the_client_has() {
    let mut scene = Scene::new(EVERYTHING);
    let mut renew = message(REQUEST, &[]);
    renew[12..16].copy_from_slice(&[10, 0, 0, 4]);
    let frame = scene.answer(&unicast(&renew), Outcome::DhcpAck);
    let (mac, _, to, _) = heard(&frame);
    assert_eq!((mac, to.as_str(), read(&frame).yiaddr()), (MAC, "10.0.0.4:68", ip("10.0.0.4")));
}

#[test]
fn who_only_wants_to_be_told_is_told_without_a_lease() {
    let mut scene = Scene::new(EVERYTHING);
    let mut inform = message(INFORM, &[]);
    inform[12..16].copy_from_slice(&[10, 0, 0, 3]);
    let ack = read(&scene.answer(&unicast(&inform), Outcome::DhcpAck));
    assert_eq!(ack.yiaddr(), ip("0.0.0.0"));
    assert!([51, 58, 59].iter().all(|time| !codes(&ack).contains(time)), "{:?}", codes(&ack));
    assert!(ack.opts().contains(OptionCode::DomainNameServer));
}

#[test]
fn a_lease_for_ever_is_never_renewed() {
    let mut scene = Scene::new(&EVERYTHING.replace("lease_seconds: 7200", "lease_seconds: 4294967295"));
    let offer = read(&scene.answer(&ask(DISCOVER, &[]), Outcome::DhcpOffer));
    let lease = DhcpOption::AddressLeaseTime(u32::MAX);
    assert_eq!(offer.opts().get(OptionCode::AddressLeaseTime), Some(&lease));
    assert!(!offer.opts().contains(OptionCode::Renewal));
}

#[test]
fn a_client_that_takes_short_messages_only_is_told_what_it_needs_most() {
    // 16 routes of 9 bytes, 8 name servers, a domain of 200 bytes twice: more than 576 bytes hold.
    let domain = vec!["abcdefghi"; 20].join(".");
    let routes: Vec<String> = (0..16).map(|n| format!("{{prefix: 172.16.{n}.128/25}}")).collect();
    let fields = format!(
        "addresses: ['10.0.0.3'], services: {{host_name: web, domain: {domain}, subnets: [{{prefix: 10.0.0.0/24,
        gateway: 10.0.0.1, service: 10.0.0.2, routes: [{}]}}]}}",
        routes.join(", ")
    );
    let mut scene = Scene::new(&fields);
    let short = scene.answer(&ask(DISCOVER, &[]), Outcome::DhcpOffer);
    assert!(short.len() - 14 <= 576, "{}", short.len());
    let told = codes(&read(&short));
    assert!([1, 3, 6, 15, 26, 51].iter().all(|code| told.contains(code)), "{told:?}");
    assert!(!told.contains(&119), "{told:?}");
    // 1 500 bytes are enough, however many the client would take.
    let long = scene.answer(&ask(DISCOVER, &[57, 2, 0xff, 0xff]), Outcome::DhcpOffer);
    assert!([119, 121].iter().all(|code| codes(&read(&long)).contains(code)));
}

#[test]
fn what_is_given_back_stays_the_workloads() {
    let mut scene = Scene::new(EVERYTHING);
    scene.ignored(&ask(RELEASE, &[54, 4, 10, 0, 0, 2]), Outcome::DhcpReleased);
    scene.ignored(&ask(DECLINE, &[50, 4, 10, 0, 0, 3, 54, 4, 10, 0, 0, 2]), Outcome::DhcpDeclined);
    scene.answer(&ask(DISCOVER, &[]), Outcome::DhcpOffer);
}

#[test]
fn nothing_is_leased_where_nothing_is_configured() {
    for fields in [
        "addresses: ['10.0.0.3']",
        "addresses: ['10.0.0.3', '10.9.0.3'], services: {subnets: [{prefix: 10.0.0.0/24, gateway: 10.0.0.1, no_dhcp: true}]}",
        "addresses: ['10.0.0.3', '2001:db8::3'], services: {subnets: [{prefix: '2001:db8::/64', gateway: '2001:db8::1'}]}",
    ] {
        Scene::new(fields).ignored(&ask(DISCOVER, &[]), Outcome::NotServed);
    }
}

#[test]
fn what_is_not_for_this_server_is_not_answered() {
    let mut scene = Scene::new(EVERYTHING);
    let chosen = ask(REQUEST, &[50, 4, 10, 0, 0, 3, 54, 4, 10, 0, 0, 200]);
    scene.ignored(&chosen, Outcome::DhcpOtherServer);
    scene.ignored(&with(DISCOVER, 24, &[10, 0, 0, 9]), Outcome::DhcpRelayed);
    scene.ignored(&with(DISCOVER, 0, &[2]), Outcome::DhcpUnexpected);
    // Offer, ack, lease query, nothing known.
    for kind in [2, 5, 10, 200] {
        scene.ignored(&ask(kind, &[]), Outcome::DhcpUnexpected);
    }
}

#[test]
fn other_hardware_than_the_workloads_is_not_served() {
    let mut scene = Scene::new(EVERYTHING);
    scene.ignored(&with(DISCOVER, 1, &[6]), Outcome::DhcpHardware);
    for length in [0, 5, 7, 16, 17, 255] {
        scene.ignored(&with(DISCOVER, 2, &[length]), Outcome::DhcpHardware);
    }
    scene.ignored(&with(DISCOVER, 28, &[2, 0, 0, 0, 0, 2]), Outcome::DhcpHardware);
}

#[test]
fn what_is_cut_off_or_impossible_is_malformed() {
    let mut scene = Scene::new(EVERYTHING);
    let whole = message(DISCOVER, &[50, 4, 10, 0, 0, 3]);
    for length in 0..whole.len() {
        scene.ignored(&broadcast(&whole[..length]), Outcome::DhcpMalformed);
    }
    scene.ignored(&with(DISCOVER, 236, &[0; 4]), Outcome::DhcpMalformed);
    // No message type, one of no byte and of two; an address of three bytes; a request for nothing.
    for options in [&[255][..], &[53, 0, 255], &[53, 2, 1, 1, 255], &[53, 1, 1, 50, 3, 10, 0, 0, 255]] {
        let mut bytes = whole[..240].to_vec();
        bytes.extend(options);
        scene.ignored(&broadcast(&bytes), Outcome::DhcpMalformed);
    }
    scene.ignored(&ask(REQUEST, &[54, 4, 10, 0, 0, 2]), Outcome::DhcpMalformed);
}

#[test]
fn what_is_wrong_with_an_option_of_no_interest_does_not_keep_anybody_from_an_address() {
    let mut scene = Scene::new(EVERYTHING);
    // A host name that is no text, an option nobody knows, an impossible time, padding.
    let odd = [12, 2, 0xff, 0xfe, 224, 1, 0, 51, 1, 0, 0, 0, 50, 4, 10, 0, 0, 4];
    let offer = read(&scene.answer(&ask(DISCOVER, &odd), Outcome::DhcpOffer));
    assert_eq!(offer.yiaddr(), ip("10.0.0.4"));
}

proptest::proptest! {
    #[test]
    fn garbage_ends_in_one_outcome_and_at_most_one_frame(
        damage in proptest::collection::vec((0_usize..320, 0_u8..), 0..12),
        options in proptest::collection::vec(0_u8.., 0..200),
        length in 0_usize..500,
    ) {
        let mut scene = Scene::new(EVERYTHING);
        let mut bytes = message(REQUEST, &options);
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(length);
        let (_, frames) = scene.ask(&broadcast(&bytes));
        assert!(frames.len() <= 1);
    }
}
