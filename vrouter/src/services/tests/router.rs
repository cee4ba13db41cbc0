//! Router advertisements.

use std::net::Ipv6Addr;

use packet::checksum::{Verification, verify};

use super::*;

const SLAAC: &str = "addresses: ['2001:db8::3'], services: {domain: red.example.com, subnets: [
    {prefix: '2001:db8::/64', gateway: '2001:db8::1', service: '2001:db8::2', slaac: true}]}";

/// A router solicitation from this address, with the workload's MAC if it has an address.
fn solicitation(from: &str) -> Vec<u8> {
    let from: Ipv6Addr = from.parse().unwrap();
    let to: Ipv6Addr = "ff02::2".parse().unwrap();
    let option = if from.is_unspecified() { vec![] } else { [&[1, 1][..], &MAC].concat() };
    let builder =
        PacketBuilder::ethernet2(MAC, [0x33, 0x33, 0, 0, 0, 2]).ipv6(from.octets(), to.octets(), 255);
    let mut frame = Vec::new();
    builder.icmpv6_raw(133, 0, [0; 4]).write(&mut frame, &option).unwrap();
    frame
}

/// What an advertisement says: destination MAC and address, flags, router lifetime, options by type.
struct Told {
    mac: [u8; 6],
    to: Ipv6Addr,
    flags: u8,
    lifetime: u16,
    options: Vec<(u8, Vec<u8>)>,
}

impl Told {
    fn of(&self, kind: u8) -> Vec<&[u8]> {
        self.options.iter().filter(|option| option.0 == kind).map(|option| &option.1[..]).collect()
    }
}

fn read(frame: &[u8]) -> Told {
    let meta = packet::parse::ethernet(frame).unwrap();
    assert_eq!(verify(frame, &meta), Verification::Correct);
    assert_eq!(Ipv6Addr::from(meta.src).to_string(), "fe80::200:5eff:fe00:100");
    assert_eq!((meta.ttl, meta.l4_flags), (255, 134));
    let message = &frame[usize::from(meta.l4)..usize::from(meta.end)];
    let mut rest = &message[16..];
    let mut options = Vec::new();
    while !rest.is_empty() {
        let (option, after) = rest.split_at(usize::from(rest[1]) * 8);
        options.push((option[0], option[2..].to_vec()));
        rest = after;
    }
    Told {
        mac: *frame.first_chunk().unwrap(),
        to: meta.dst.into(),
        flags: message[5],
        lifetime: u16::from_be_bytes([message[6], message[7]]),
        options,
    }
}

#[test]
fn who_solicits_is_told_all_that_is_configured() {
    let mut scene = Scene::new(EVERYTHING);
    let told = read(&scene.answer(&solicitation("fe80::1"), Outcome::RouterSolicited));
    assert_eq!((told.mac, told.to.to_string().as_str()), (MAC, "fe80::1"));
    // Addresses and the rest by DHCPv6; three times the longest interval.
    assert_eq!((told.flags, told.lifetime), (0xc0, 1_800));
    assert_eq!(told.of(1), [&GATEWAY_MAC]);
    assert_eq!(told.of(5), [&[0, 0, 0, 0, 5, 0x78]]);
    let prefix = "2001:db8::".parse::<Ipv6Addr>().unwrap().octets();
    let expected = [&[64, 0x80, 0, 0x27, 0x8d, 0, 0, 9, 0x3a, 0x80, 0, 0, 0, 0][..], &prefix].concat();
    assert_eq!(told.of(3), [&expected[..]]);
    let route = "2001:db8:f::".parse::<Ipv6Addr>().unwrap().octets();
    assert_eq!(told.of(24), [&[&[48, 0, 0, 0, 7, 8][..], &route].concat()[..]]);
    let server = "2001:db8::2".parse::<Ipv6Addr>().unwrap().octets();
    assert_eq!(told.of(25), [&[&[0, 0, 0, 0, 7, 8][..], &server].concat()[..]]);
    let names = [&[0, 0, 0, 0, 7, 8, 3][..], b"red", &[7], b"example", &[3], b"com", &[0; 8]].concat();
    assert_eq!(told.of(31), [&names[..]]);
}

#[test]
fn a_workload_without_an_address_hears_the_answer_as_everybody_does() {
    let mut scene = Scene::new(SLAAC);
    let told = read(&scene.answer(&solicitation("::"), Outcome::RouterSolicited));
    assert_eq!((told.mac, told.to.to_string().as_str()), ([0x33, 0x33, 0, 0, 0, 1], "ff02::1"));
    // The workload makes its address (A), DHCPv6 has the rest only (O).
    assert_eq!((told.flags, told.of(3)[0][1]), (0x40, 0xc0));
}

#[test]
fn without_a_gateway_nobody_is_told_to_use_us_as_one() {
    let mut scene = Scene::new(&SLAAC.replace("gateway: '2001:db8::1',", ""));
    let told = read(&scene.answer(&solicitation("fe80::1"), Outcome::RouterSolicited));
    assert_eq!((told.lifetime, told.of(3).len()), (0, 1));
}

#[test]
fn no_link_is_said_to_carry_less_than_ipv6_needs() {
    let mut scene = Scene::new(&format!("mtu: 576, {SLAAC}"));
    let told = read(&scene.answer(&solicitation("fe80::1"), Outcome::RouterSolicited));
    assert_eq!(told.of(5), [&[0, 0, 0, 0, 5, 0]]);
}

#[test]
fn the_first_advertisements_come_quickly_and_the_others_at_intervals() {
    let mut scene = Scene::new(SLAAC);
    let mut times = Vec::new();
    for _ in 0..3_000 {
        times.extend(scene.advance(1_000).iter().map(|frame| (scene.now, read(frame).lifetime)));
    }
    let waits: Vec<u64> = times.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert_eq!((times[0].0, times[0].1), (1_000, 1_800));
    assert!(waits[..2].iter().all(|wait| *wait <= 16_000), "{waits:?}");
    assert!(waits[2..].iter().all(|wait| (198_000..=601_000).contains(wait)), "{waits:?}");
    assert!(times.len() >= 6, "{times:?}");
}

#[test]
fn a_change_is_told_at_once_and_an_end_too() {
    let mut scene = Scene::new(SLAAC);
    assert_eq!(scene.advance(1).len(), 1);
    scene.change(&SLAAC.replace("slaac: true", "slaac: false"));
    assert_eq!(scene.advance(1).iter().map(|frame| read(frame).flags).collect::<Vec<_>>(), [0xc0]);
    scene.change(&format!(
        "gateway_mac: '02:00:00:00:00:fe', {}",
        SLAAC.replace("slaac: true", "slaac: false")
    ));
    assert_eq!(scene.advance(1)[0][6..12], [2, 0, 0, 0, 0, 0xfe], "the router is another one");
    // Another object of the network is no change.
    scene.apply("vrf: {id: 2, name: blue}");
    assert_eq!(scene.advance(1).len(), 0);
    scene.change("addresses: ['2001:db8::3']");
    let last = scene.advance(1);
    assert_eq!(last.iter().map(|frame| read(frame).lifetime).collect::<Vec<_>>(), [0]);
    assert_eq!(scene.advance(3_600_000).len(), 0);
}

#[test]
fn a_solicitation_that_came_from_afar_or_is_damaged_is_not_answered() {
    let mut scene = Scene::new(SLAAC);
    let mut far = solicitation("fe80::1");
    far[21] = 254;
    let mut damaged = solicitation("fe80::1");
    damaged[60] ^= 1;
    for bad in [far, damaged] {
        scene.ignored(&bad, Outcome::NdMalformed);
    }
    Scene::new("addresses: ['2001:db8::3']").ignored(&solicitation("fe80::1"), Outcome::NotServed);
}
