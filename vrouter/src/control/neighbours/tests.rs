//! Requests, answers, silence, and room for both.

use super::*;

const VRF: VrfId = VrfId(0);
const OUT: InterfaceId = InterfaceId(1);
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 10];

struct Bench {
    neighbours: Neighbours,
    tables: tables::Neighbours,
    used: Use,
    /// Requests sent since last looked at: to everybody, to one.
    asked: (usize, usize),
}

impl Bench {
    fn new(most: usize) -> Self {
        Self {
            neighbours: Neighbours::new(most),
            tables: tables::Neighbours::default(),
            used: Use::None,
            asked: (0, 0),
        }
    }

    fn act(&mut self, act: impl FnOnce(&mut Neighbours, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        act(&mut self.neighbours, &mut effects);
        for effect in effects {
            match effect {
                Effect::Ask(_, _, None) => self.asked.0 += 1,
                Effect::Ask(_, _, Some(_)) => self.asked.1 += 1,
                Effect::Write(interface, ip) => self.neighbours.write(&mut self.tables, interface, ip),
                Effect::Tell(..) => {}
            }
        }
    }

    fn need(&mut self, ip: Ip, now: u64) {
        let used = self.used;
        self.act(|neighbours, effects| neighbours.need(VRF, OUT, ip, now, |_, _| used, effects));
    }

    fn tick(&mut self, now: u64) {
        let used = self.used;
        self.act(|neighbours, effects| neighbours.tick(now, |_, _| used, effects));
    }

    fn answer(&mut self, ip: Ip, mac: [u8; 6], now: u64) {
        self.hear(Heard { ip, mac: Some(mac), solicited: true, overrides: true, asks: None }, false, now);
    }

    fn hear(&mut self, heard: Heard, ours: bool, now: u64) {
        let used = self.used;
        self.act(|neighbours, effects| {
            neighbours.heard((VRF, OUT), &heard, ours, now, |_, _| used, effects);
        });
    }

    fn known(&self, ip: Ip) -> Option<tables::NeighbourState> {
        self.tables.get(OUT, ip.v6, &ip.address)
    }

    fn state(&self, ip: Ip) -> Option<State> {
        self.neighbours.entries.get(&(OUT, ip)).map(|entry| entry.state)
    }
}

fn ip(text: &str) -> Ip {
    Ip::parse(text).unwrap()
}

fn resolved(mac: [u8; 6]) -> Option<tables::NeighbourState> {
    Some(tables::NeighbourState::Resolved(mac))
}

#[test]
fn three_requests_go_unanswered_then_it_has_failed_for_five_seconds() {
    for text in ["10.1.0.1", "2001:db8::1"] {
        let (mut bench, ip) = (Bench::new(10), ip(text));
        bench.need(ip, 0);
        bench.need(ip, 10);
        assert_eq!((bench.asked, bench.known(ip)), ((1, 0), None));
        bench.tick(999);
        assert_eq!(bench.asked.0, 1);
        bench.tick(1_000);
        bench.tick(2_000);
        assert_eq!((bench.asked.0, bench.known(ip)), (3, None));
        bench.tick(3_000);
        assert_eq!(bench.known(ip), Some(tables::NeighbourState::Failed));
        bench.need(ip, 4_000);
        assert_eq!(bench.asked.0, 3, "a failure is not asked about again at once");
        bench.tick(8_000);
        assert_eq!((bench.known(ip), bench.neighbours.entries.len()), (None, 0));
        bench.need(ip, 8_001);
        assert_eq!(bench.asked.0, 4);
    }
}

#[test]
fn an_answer_resolves_and_grows_stale_and_is_forgotten_when_nothing_stands_on_it() {
    let (mut bench, ip) = (Bench::new(10), ip("10.1.0.1"));
    bench.need(ip, 0);
    bench.answer(ip, MAC, 5);
    assert_eq!((bench.known(ip), bench.state(ip)), (resolved(MAC), Some(State::Reachable)));
    bench.tick(30_005);
    assert_eq!((bench.known(ip), bench.state(ip)), (resolved(MAC), Some(State::Stale)));
    bench.tick(30_005 + STALE);
    assert_eq!((bench.known(ip), bench.asked), (None, (1, 0)));
}

#[test]
fn what_something_stands_on_is_probed_where_it_was_and_fails_if_it_is_gone() {
    let (mut bench, ip) = (Bench::new(10), ip("10.1.0.1"));
    bench.used = Use::Needed;
    bench.need(ip, 0);
    bench.answer(ip, MAC, 0);
    bench.tick(30_000);
    assert_eq!((bench.asked, bench.state(ip)), ((1, 1), Some(State::Probe)));
    bench.answer(ip, MAC, 30_100);
    assert_eq!(bench.state(ip), Some(State::Reachable));
    for now in [60_100, 61_100, 62_100] {
        bench.tick(now);
    }
    assert_eq!((bench.asked, bench.known(ip)), ((1, 4), resolved(MAC)));
    bench.tick(63_100);
    assert_eq!(bench.known(ip), Some(tables::NeighbourState::Failed));
    bench.tick(68_100);
    assert_eq!((bench.asked, bench.known(ip)), ((2, 4), None), "asked again, packets wait");
}

#[test]
fn an_announcement_moves_a_known_neighbour_at_once_and_makes_no_unknown_one() {
    let (mut bench, known, unknown) = (Bench::new(10), ip("10.1.0.1"), ip("10.1.0.2"));
    bench.need(known, 0);
    bench.answer(known, MAC, 0);
    let announce = |ip| Heard { ip, mac: Some(OTHER), solicited: false, overrides: true, asks: None };
    bench.hear(announce(known), false, 10);
    assert_eq!((bench.known(known), bench.state(known)), (resolved(OTHER), Some(State::Stale)));
    bench.hear(announce(unknown), false, 10);
    assert_eq!((bench.known(unknown), bench.neighbours.entries.len()), (None, 1));
    bench.hear(announce(unknown), true, 10);
    assert_eq!(bench.known(unknown), resolved(OTHER), "it asked about us");
}

#[test]
fn an_advertisement_without_override_moves_nobody() {
    let (mut bench, ip) = (Bench::new(10), ip("2001:db8::1"));
    bench.need(ip, 0);
    bench.answer(ip, MAC, 0);
    bench.hear(Heard { ip, mac: Some(OTHER), solicited: true, overrides: false, asks: None }, false, 10);
    assert_eq!((bench.known(ip), bench.state(ip)), (resolved(MAC), Some(State::Stale)));
}

#[test]
fn a_static_neighbour_stays() {
    let (mut bench, ip) = (Bench::new(10), ip("10.1.0.1"));
    bench.act(|neighbours, effects| neighbours.install(VRF, OUT, ip, MAC, 0, effects));
    bench.answer(ip, OTHER, 5);
    bench.tick(10_000_000);
    assert_eq!((bench.known(ip), bench.neighbours.next_due()), (resolved(MAC), None));
    bench.act(|neighbours, effects| neighbours.remove_interface(OUT, effects));
    assert_eq!(bench.known(ip), None);
}

#[test]
fn a_full_table_lets_the_oldest_unresolved_go_and_never_a_resolved_one() {
    let mut bench = Bench::new(3);
    let ips: Vec<Ip> = (1..=6).map(|n| ip(&format!("10.1.0.{n}"))).collect();
    bench.need(ips[0], 0);
    bench.answer(ips[0], MAC, 0);
    for (now, &ip) in ips.iter().enumerate().skip(1) {
        bench.need(ip, now as u64);
    }
    assert_eq!(bench.neighbours.entries.len(), 3);
    assert_eq!([0, 3, 4, 5].map(|index| bench.state(ips[index]).is_some()), [true, false, true, true]);
    for &ip in &ips[4..] {
        bench.answer(ip, MAC, 10);
    }
    bench.need(ips[1], 11);
    assert_eq!((bench.state(ips[1]), bench.neighbours.entries.len()), (None, 3));
}

#[test]
fn forged_requests_take_no_place_from_what_something_stands_on() {
    let mut bench = Bench::new(3);
    let forged = |n: u8| {
        let ip = ip(&format!("10.1.0.{n}"));
        Heard { ip, mac: Some(OTHER), solicited: false, overrides: true, asks: None }
    };
    for n in 1..=3 {
        bench.hear(forged(n), true, n.into());
    }
    let gateway = ip("10.1.0.100");
    bench.act(|neighbours, effects| neighbours.need(VRF, OUT, gateway, 4, |_, _| Use::None, effects));
    assert_eq!((bench.asked.0, bench.state(gateway)), (1, Some(State::Incomplete)));
    assert_eq!([1, 2, 3].map(|n| bench.state(forged(n).ip).is_some()), [false, true, true], "the oldest");
    // More of them do not take the place of the gateway, which has not answered yet.
    let uses = |_, ip| if ip == gateway { Use::Needed } else { Use::Resolved };
    for n in 5..=9 {
        let forged = forged(n);
        bench.act(|neighbours, effects| {
            neighbours.heard((VRF, OUT), &forged, true, n.into(), uses, effects);
        });
    }
    assert_eq!(bench.state(gateway), Some(State::Incomplete));
    assert_eq!([3, 7, 8, 9].map(|n| bench.state(forged(n).ip).is_some()), [false, false, true, true]);
    assert_eq!(bench.neighbours.entries.len(), 3);
}

#[test]
fn a_stale_neighbour_that_packets_may_go_to_is_asked_and_forgotten_if_it_is_silent() {
    let (mut bench, ip) = (Bench::new(10), ip("10.1.0.1"));
    bench.used = Use::Resolved;
    bench.need(ip, 0);
    bench.answer(ip, MAC, 0);
    bench.tick(30_000);
    assert_eq!((bench.asked, bench.state(ip)), ((1, 0), Some(State::Stale)));
    bench.tick(59_999);
    bench.tick(60_000);
    assert_eq!((bench.asked, bench.state(ip)), ((1, 1), Some(State::Probe)), "where it was");
    bench.answer(ip, MAC, 60_001);
    assert_eq!(bench.state(ip), Some(State::Reachable));
    // It has another MAC and has told nobody.
    for now in [90_001, 120_001, 121_001, 122_001] {
        bench.tick(now);
    }
    assert_eq!((bench.asked, bench.known(ip)), ((1, 4), resolved(MAC)));
    bench.tick(123_001);
    assert_eq!((bench.known(ip), bench.state(ip)), (None, None));
    bench.need(ip, 123_002);
    assert_eq!(bench.asked.0, 2, "the next packet asks everybody");
}

#[test]
fn neighbours_that_grow_stale_together_are_asked_a_few_at_a_time() {
    let mut bench = Bench::new(1_000);
    bench.used = Use::Resolved;
    for n in 0..100 {
        let ip = ip(&format!("10.1.0.{n}"));
        bench.need(ip, 0);
        bench.answer(ip, MAC, 0);
    }
    bench.tick(30_000);
    bench.tick(60_000);
    bench.tick(60_500);
    assert_eq!(bench.asked, (100, 64));
    for n in 0..100 {
        bench.answer(ip(&format!("10.1.0.{n}")), MAC, 60_600);
    }
    bench.tick(90_600);
    bench.tick(120_600);
    bench.tick(121_600);
    assert_eq!(bench.asked.1, 64 + 64 + 64 + 36, "twice those asked first, whose answer is awaited");
}
