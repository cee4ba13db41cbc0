//! Names.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::*;

/// A resolver of the test's own.
fn resolver() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A port of this machine where nobody listens.
fn nobody() -> SocketAddr {
    resolver().1
}

fn scene(resolvers: &[SocketAddr]) -> Scene {
    let texts: Vec<String> = resolvers.iter().map(|address| format!("'{address}'")).collect();
    Scene::new(&EVERYTHING.replace("'192.0.2.53'", &texts.join(", ")))
}

const QUESTION: &[u8] = b"\x03www\x03red\x07example\x03com\x00\x00\x01\x00\x01";

/// A query with this id: recursion desired, one question.
fn query(id: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION].concat()
}

fn asks(port: u16, message: &[u8]) -> Vec<u8> {
    udp(("10.0.0.3", port), ("10.0.0.2", 53), message)
}

/// The answer to a query: one record more than it has.
fn answer(query: &[u8], record: &[u8]) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2] |= 0x80;
    answer[7] = 1;
    answer.extend(record);
    answer
}

impl Scene {
    /// Lets the services work, without the clock, until something is said.
    fn wait(&mut self) -> Vec<Vec<u8>> {
        let start = Instant::now();
        loop {
            let frames = self.advance(0);
            if !frames.is_empty() || start.elapsed() > Duration::from_secs(20) {
                return frames;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// One advertisement is sent at the start: not what these tests are about.
    fn quiet(mut self) -> Self {
        assert_eq!(self.advance(1).len(), 1);
        self
    }
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

#[test]
fn a_query_goes_to_the_resolver_and_the_answer_comes_back_from_the_service_address() {
    let (socket, address) = resolver();
    let mut scene = scene(&[address]).quiet();
    for (client, service) in [("10.0.0.3", "10.0.0.2"), ("2001:db8::3", "2001:db8::2")] {
        let frame = udp((client, 40_000), (service, 53), &query(7));
        assert_eq!(scene.ask(&frame), (Outcome::DnsForwarded, vec![]));
        let (asked, from) = receive(&socket);
        assert_eq!(asked[2..], query(7)[2..]);
        socket.send_to(&answer(&asked, b"record"), from).unwrap();
        let frames = scene.wait();
        assert_eq!(frames.len(), 1);
        let (mac, from, to, payload) = heard(&frames[0]);
        let socket_of = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port).to_string();
        assert_eq!((mac, from, to), (MAC, socket_of(service, 53), socket_of(client, 40_000)));
        assert_eq!(payload, answer(&query(7), b"record"));
    }
    assert_eq!(scene.counters.get(Outcome::DnsAnswered), 2);
}

#[test]
fn the_nodes_own_resolver_is_asked_if_the_interface_names_none() {
    let (socket, address) = resolver();
    let mut scene = Scene::new(&EVERYTHING.replace("resolvers: ['192.0.2.53'],", ""));
    scene.ignored(&asks(1, b"garbage"), Outcome::DnsMalformed);
    let (outcome, frames) = scene.ask(&asks(1, &query(7)));
    assert_eq!((outcome, frames.len()), (Outcome::DnsRefused, 1));
    let (_, _, _, payload) = heard(&frames[0]);
    assert_eq!(payload, [&[0, 7, 0x81, 0x85, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION].concat());
    scene.services = Services::new(vec![address], Arc::clone(&scene.counters));
    assert_eq!(scene.ask(&asks(1, &query(7))).0, Outcome::DnsForwarded);
    receive(&socket);
}

#[test]
fn two_workloads_ports_with_one_id_are_told_apart() {
    let (socket, address) = resolver();
    let mut scene = scene(&[address]).quiet();
    let mut asked = Vec::new();
    for port in [40_000, 40_001] {
        assert_eq!(scene.ask(&asks(port, &query(7))).0, Outcome::DnsForwarded);
        asked.push(receive(&socket));
    }
    scene.ignored(&asks(40_000, &query(7)), Outcome::DnsRepeated);
    assert_ne!(asked[0].0[..2], asked[1].0[..2]);
    for ((message, from), port) in asked.into_iter().zip([40_000, 40_001]).rev() {
        socket.send_to(&answer(&message, &[]), from).unwrap();
        let (_, _, to, payload) = heard(&scene.wait()[0]);
        assert_eq!((to, payload), (format!("10.0.0.3:{port}"), answer(&query(7), &[])));
    }
}

#[test]
fn a_resolver_that_is_away_or_silent_is_passed_by() {
    let ((silent, first), (good, last)) = (resolver(), resolver());
    let mut scene = scene(&[nobody(), first, last]).quiet();
    scene.ask(&asks(1, &query(7)));
    // The kernel says at once that nobody is at the first.
    let start = Instant::now();
    silent.set_nonblocking(true).unwrap();
    while silent.recv(&mut [0; 512]).is_err() {
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(scene.advance(0).len(), 0);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(scene.advance(1_499).len(), 0);
    scene.advance(1);
    let (message, from) = receive(&good);
    good.send_to(&answer(&message, &[]), from).unwrap();
    assert_eq!(scene.wait().len(), 1);
}

#[test]
fn if_nobody_answers_the_workload_is_told() {
    let (_silent, address) = resolver();
    let mut scene = scene(&[address]).quiet();
    scene.ask(&asks(1, &query(7)));
    assert_eq!(scene.advance(1_500).len() + scene.advance(1_500).len(), 0);
    let frames = scene.advance(1_500);
    let (_, _, _, payload) = heard(&frames[0]);
    assert_eq!(payload, [&[0, 7, 0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION].concat());
    assert_eq!(scene.counters.get(Outcome::DnsFailed), 1);
    assert_eq!(scene.ask(&asks(1, &query(7))).0, Outcome::DnsForwarded, "it may ask again");
}

#[test]
fn what_answers_something_else_is_not_handed_on() {
    let (socket, address) = resolver();
    let mut scene = scene(&[address]).quiet();
    scene.ask(&asks(1, &query(7)));
    let (message, from) = receive(&socket);
    let mut other_id = answer(&message, &[]);
    other_id[0] ^= 0xff;
    let mut other_name = answer(&message, &[]);
    other_name[13] = b'x';
    let echo = message.clone();
    for stray in [&other_id[..], &other_name, &echo, &[], &message[..1], &message[..20]] {
        socket.send_to(stray, from).unwrap();
    }
    // And somebody who is no resolver of ours.
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&answer(&message, b"lie"), from).unwrap();
    socket.send_to(&answer(&message, b"true"), from).unwrap();
    let (_, _, _, payload) = heard(&scene.wait()[0]);
    assert_eq!(payload, answer(&query(7), b"true"));
    assert_eq!(scene.counters.get(Outcome::DnsStray), 6);
}

#[test]
fn an_answer_that_does_not_fit_into_a_packet_is_truncated() {
    let (socket, address) = resolver();
    let mut scene = scene(&[address]).quiet();
    for (length, fits) in [(1400 - 28 - query(7).len(), true), (1400 - 28 - query(7).len() + 1, false)] {
        scene.ask(&asks(1, &query(7)));
        let (message, from) = receive(&socket);
        socket.send_to(&answer(&message, &vec![0; length]), from).unwrap();
        let frame = scene.wait().remove(0);
        let (_, _, _, payload) = heard(&frame);
        if fits {
            assert_eq!(frame.len(), 14 + 1400);
        } else {
            assert_eq!(payload, [&[0, 7, 0x83, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION].concat());
        }
    }
}

#[test]
fn one_workload_may_wait_for_64_answers() {
    let (_silent, address) = resolver();
    let mut scene = scene(&[address]).quiet();
    for id in 0..64 {
        assert_eq!(scene.ask(&asks(1, &query(id))).0, Outcome::DnsForwarded);
    }
    scene.ignored(&asks(1, &query(64)), Outcome::DnsBusy);
    // The interface goes, and with it what it waits for.
    let key = v1::Key { key: Some(v1::key::Key::Interface(1)) };
    let delete = v1::Operation { operation: Some(operation::Operation::Delete(key)) };
    assert_eq!(scene.simulator.apply(vec![delete]).code, 0);
    assert_eq!(scene.advance(60_000).len(), 0);
    assert_eq!(scene.counters.get(Outcome::DnsFailed), 0);
}

#[test]
fn who_has_the_id_of_an_interface_that_is_gone_does_not_wait_for_its_answers() {
    let (_socket, address) = resolver();
    let mut scene = scene(&[address]).quiet();
    assert_eq!(scene.ask(&asks(40_000, &query(7))).0, Outcome::DnsForwarded);
    assert_eq!(scene.ask(&asks(40_000, &query(7))).0, Outcome::DnsRepeated);
    let key = v1::Key { key: Some(v1::key::Key::Interface(1)) };
    let delete = v1::Operation { operation: Some(operation::Operation::Delete(key)) };
    assert_eq!(scene.simulator.apply(vec![delete]).code, 0);
    scene.change(&EVERYTHING.replace("192.0.2.53", &address.to_string()));
    scene.advance(1);
    assert_eq!(scene.ask(&asks(40_000, &query(7))).0, Outcome::DnsForwarded);
}

#[test]
fn what_is_no_query_with_one_question_is_not_forwarded() {
    let mut scene = scene(&[nobody()]).quiet();
    let whole = query(7);
    for length in 0..whole.len() {
        scene.ignored(&asks(1, &whole[..length]), Outcome::DnsMalformed);
    }
    let mut bad = vec![answer(&whole, &[])];
    for (at, value) in [(5, 0), (5, 2), (12, 64), (12, 0xc0)] {
        let mut message = whole.clone();
        message[at] = value;
        bad.push(message);
    }
    bad.push([&whole[..12], &[&[63][..], &[b'x'; 63]].concat().repeat(5), &[0, 0, 1, 0, 1]].concat());
    for message in bad {
        scene.ignored(&asks(1, &message), Outcome::DnsMalformed);
    }
}

#[test]
fn dns_over_tcp_is_refused_with_a_reset() {
    let mut scene = scene(&[nobody()]).quiet();
    let segment = |flags: u8, payload: &[u8]| {
        let builder = PacketBuilder::ethernet2(MAC, GATEWAY_MAC).ipv4([10, 0, 0, 3], [10, 0, 0, 2], 64);
        let mut builder = builder.tcp(40_000, 53, 1_000, 1_000);
        for (bit, set) in [(2, true), (4, false), (1, false)] {
            builder = match (flags & bit != 0, set, bit) {
                (true, true, _) => builder.syn(),
                (true, _, 4) => builder.rst(),
                (true, ..) => builder.fin(),
                _ => builder,
            };
        }
        if flags & 16 != 0 {
            builder = builder.ack(77);
        }
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).unwrap();
        frame
    };
    // Flags and sequence numbers as RFC 9293 §3.5.2 has them: sequence, acknowledgement.
    for (flags, payload, expected) in
        [(2, &b""[..], (20, 0, 1_001)), (16, b"abc", (4, 77, 0)), (1, b"abc", (20, 0, 1_004))]
    {
        let frame = scene.answer(&segment(flags, payload), Outcome::DnsTcpRefused);
        let meta = packet::parse::ethernet(&frame).unwrap();
        assert_eq!(packet::checksum::verify(&frame, &meta), packet::checksum::Verification::Correct);
        assert_eq!((meta.src_port, meta.dst_port), (53, 40_000));
        let number =
            |at: usize| u32::from_be_bytes(*frame[usize::from(meta.l4) + at..].first_chunk().unwrap());
        assert_eq!((meta.l4_flags, number(4), number(8)), expected);
    }
    scene.ignored(&segment(4, b""), Outcome::DnsMalformed);
}
