//! Services without threads: a workload, what it asks, what it hears.

mod dhcp4;
mod dhcp6;
mod dns;
mod router;

use std::sync::Arc;

use agent_api::v1::{self, operation};
use etherparse::PacketBuilder;
use packet::InterfaceId;

use super::{Outcome, ServiceCounters, Services};
use crate::simulator::{Simulator, Size};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const GATEWAY_MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 0];
const BROADCAST_MAC: [u8; 6] = [0xff; 6];
const ID: InterfaceId = InterfaceId(1);

/// A workload 10.0.0.3, 10.0.0.4 and 2001:db8::3 with everything that can be served.
const EVERYTHING: &str = "mtu: 1400, addresses: ['10.0.0.3', '10.0.0.4', '2001:db8::3'], services: {host_name: web,
    domain: red.example.com, ntp_servers: ['10.0.0.123'], lease_seconds: 7200, resolvers: ['192.0.2.53'], subnets: [
      {prefix: 10.0.0.0/24, gateway: 10.0.0.1, service: 10.0.0.2, routes: [{prefix: 172.16.0.0/12, via: 10.0.0.9}]},
      {prefix: '2001:db8::/64', gateway: '2001:db8::1', service: '2001:db8::2',
       routes: [{prefix: '2001:db8:f::/48'}]}]}";

struct Scene {
    simulator: Simulator,
    services: Services,
    counters: Arc<ServiceCounters>,
    now: u64,
}

impl Scene {
    /// A workload behind interface 1 with these fields.
    fn new(fields: &str) -> Self {
        let counters = Arc::<ServiceCounters>::default();
        let mut scene = Self {
            simulator: Simulator::new(1, Size::default()).unwrap(),
            services: Services::new(Vec::new(), Arc::clone(&counters)),
            counters,
            now: 0,
        };
        scene.apply("vrf: {id: 1, name: red}");
        scene.change(fields);
        scene
    }

    fn change(&mut self, fields: &str) {
        self.apply(&format!(
            "interface: {{id: 1, name: vm1, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:01', device: {{'null': {{}}}}, {fields}}}"
        ));
    }

    fn apply(&mut self, yaml: &str) {
        let put = |object| v1::Operation { operation: Some(operation::Operation::Put(object)) };
        let objects = agent_api::yaml::parse(yaml).unwrap();
        let result = self.simulator.apply(objects.into_iter().map(put).collect());
        assert_eq!(result.code, 0, "{}: {}", result.field, result.message);
    }

    /// Time goes on; what is said unasked.
    fn advance(&mut self, milliseconds: u64) -> Vec<Vec<u8>> {
        self.now += milliseconds;
        self.services.advance(self.simulator.tables(), self.now);
        self.frames()
    }

    /// What the workload hears at once when it sends a frame, and how that ended.
    fn ask(&mut self, frame: &[u8]) -> (Outcome, Vec<Vec<u8>>) {
        let before: Vec<u64> = Outcome::ALL.iter().map(|&outcome| self.counters.get(outcome)).collect();
        self.services.hear(self.simulator.tables(), ID, frame);
        let counted =
            Outcome::ALL.iter().zip(before).filter(|(outcome, n)| self.counters.get(**outcome) > *n);
        let counted: Vec<Outcome> = counted.map(|(outcome, _)| *outcome).collect();
        assert_eq!(counted.len(), 1, "{counted:?}");
        (counted[0], self.frames())
    }

    /// The one answer to a frame.
    fn answer(&mut self, frame: &[u8], outcome: Outcome) -> Vec<u8> {
        let (ended, mut frames) = self.ask(frame);
        assert_eq!((ended, frames.len()), (outcome, 1));
        frames.remove(0)
    }

    /// There is no answer to a frame, for this reason.
    fn ignored(&mut self, frame: &[u8], outcome: Outcome) {
        assert_eq!(self.ask(frame), (outcome, Vec::new()));
    }

    fn frames(&mut self) -> Vec<Vec<u8>> {
        let frames = self.services.take_frames();
        assert!(frames.iter().all(|(interface, _)| *interface == ID));
        frames.into_iter().map(|(_, frame)| frame).collect()
    }
}

/// What a workload sends over UDP: to a group as to one.
fn udp(from: (&str, u16), to: (&str, u16), payload: &[u8]) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(MAC, GATEWAY_MAC);
    let builder = match (from.0.parse().unwrap(), to.0.parse().unwrap()) {
        (std::net::IpAddr::V4(from), std::net::IpAddr::V4(to)) => {
            ethernet.ipv4(from.octets(), to.octets(), 64)
        }
        (std::net::IpAddr::V6(from), std::net::IpAddr::V6(to)) => {
            ethernet.ipv6(from.octets(), to.octets(), 64)
        }
        families => panic!("{families:?}"),
    };
    let mut frame = Vec::new();
    builder.udp(from.1, to.1).write(&mut frame, payload).unwrap();
    frame
}

/// A received frame: MACs, addresses with ports, payload. Its checksums are right.
fn heard(frame: &[u8]) -> ([u8; 6], String, String, Vec<u8>) {
    let meta = packet::parse::ethernet(frame).unwrap();
    assert_eq!(packet::checksum::verify(frame, &meta), packet::checksum::Verification::Correct);
    assert_eq!(frame[6..12], GATEWAY_MAC);
    let received = super::frame::Received { frame, meta };
    (
        *frame.first_chunk().unwrap(),
        received.source().to_string(),
        received.destination().to_string(),
        received.datagram().to_vec(),
    )
}
