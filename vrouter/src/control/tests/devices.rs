//! Devices come and go with their interfaces, and a batch with a device that does not come changes nothing.

use super::*;
use crate::control::{AttachedPort, Link, PortRequest, Ports};
use packet::PortId;

#[test]
fn a_device_that_refuses_to_come_takes_the_whole_batch_with_it() {
    let mut bench = Bench::node();
    bench.control.ports().refuse.insert("bad".to_owned(), "no such device: load vfio-pci".to_owned());
    let before = bench.image();
    let result = bench.try_put(
        "- interface: {id: 30, name: good, role: FABRIC, device: {'null': {}}}
- interface: {id: 31, name: bad, role: FABRIC, device: {'null': {}}}",
    );
    assert_eq!(refusal(&result), (9, "interface 31".to_owned(), "device"));
    assert!(result.message.contains("load vfio-pci"), "{}", result.message);
    assert_eq!((bench.image(), bench.control.ports().attached()), (before, 4));
}

#[test]
fn a_deleted_interface_gives_its_device_back() {
    let mut bench = Bench::node();
    let port = bench.interface(4).port;
    bench.delete(
        "- interface: {id: 4, name: vm3}\n- next_hop: {id: 12}\n- route: {vrf: 2, prefix: '10.1.1.3/32'}",
    );
    assert_eq!(bench.control.ports().attached(), 3);
    bench.put("- interface: {id: 5, name: vm5, role: VIRTUAL, vrf: 2, mac: '02:00:00:00:01:05', device: {ring: {name: vm5}}}");
    assert_eq!(bench.interface(5).port, port, "and the number is used again");
}

#[test]
fn a_port_is_closed_only_when_no_worker_uses_it() {
    let settings = Settings { workers: 1, ..Settings::default() };
    let (mut control, mut readers) = Control::new(settings, MemoryPorts::default());
    let owner = Owner::config();
    control.execute(&owner, puts(NODE)).unwrap();
    control.publish();
    readers[0].refresh();
    control
        .execute(&owner, deletes("- interface: {id: 4, name: vm3}\n- next_hop: {id: 12}\n- route: {vrf: 2, prefix: '10.1.1.3/32'}"))
        .unwrap();
    control.publish();
    assert_eq!((control.is_effective(), control.ports().attached()), (false, 4));
    assert!(readers[0].refresh().interface(InterfaceId(4)).is_none());
    assert!(control.is_effective());
    control.settle();
    assert_eq!(control.ports().attached(), 3);
}

#[test]
fn a_host_twin_gets_the_macs_of_its_fabric_port_and_both_know_each_other() {
    let mut bench = Bench::empty();
    bench.put(
        "- interface: {id: 1, name: host, role: HOST, twin_of: 2, device: {'null': {}}}
- interface: {id: 2, name: fabric, role: FABRIC, device: {'null': {}}}
- vrf: {id: 0, name: fabric}",
    );
    let (host, fabric) = (bench.interface(1), bench.interface(2));
    assert_eq!(host.mac, fabric.mac);
    assert_eq!((host.twin, fabric.twin), (Some(InterfaceId(2)), Some(InterfaceId(1))));
    let second =
        bench.try_put("- interface: {id: 3, name: host2, role: HOST, twin_of: 2, device: {'null': {}}}");
    assert_eq!(refusal(&second), (9, "interface 3".to_owned(), "twin_of"));
    assert_eq!(bench.try_delete("- interface: {id: 2, name: fabric}").code, 9);
    bench.delete("- interface: {id: 1, name: host}");
    assert_eq!(bench.interface(2).twin, None);
}

#[test]
fn what_one_twin_has_the_other_has_too() {
    let mut bench = Bench::empty();
    let fabric = |fields: &str| {
        format!("- interface: {{id: 2, name: fabric, role: FABRIC, device: {{'null': {{}}}}, {fields}}}\n")
    };
    let host = |fields: &str| {
        format!(
            "- interface: {{id: 1, name: host, role: HOST, twin_of: 2, device: {{'null': {{}}}}, {fields}}}\n"
        )
    };
    let mac = "mac: '02:00:00:00:00:42'";
    let other = "mac: '02:00:00:00:00:43'";
    bench.put(
        &["- vrf: {id: 0, name: fabric}\n- vrf: {id: 1, name: red}\n", &fabric(mac), &host("")].concat(),
    );
    // Alone, neither may become different.
    for (batch, object, field) in [
        (fabric("mtu: 9000"), 2, "mtu"),
        (fabric("vrf: 1"), 2, "vrf"),
        (host("mtu: 9000"), 1, "mtu"),
        (host(other), 1, "mac"),
    ] {
        let refused = bench.try_put(&batch);
        assert_eq!(refusal(&refused), (9, format!("interface {object}"), field), "{batch}");
    }
    bench.put(&[host("mtu: 9000"), fabric(&format!("mtu: 9000, {mac}"))].concat());
    // Only the MAC that nobody wrote down follows, on the device and in the tables.
    bench.put(&fabric(&format!("mtu: 9000, {other}")));
    let mac = [2, 0, 0, 0, 0, 0x43];
    assert_eq!((bench.interface(1).mac, bench.interface(2).mac), (mac, mac));
    assert_eq!((bench.interface(1).mtu, bench.interface(2).mtu), (9000, 9000));
}

/// Ports that remember how they were configured, and take no jumbo frames.
#[derive(Debug, Default)]
struct Fussy {
    memory: MemoryPorts,
    configured: Vec<(u16, Option<[u8; 6]>)>,
    down: Vec<PortId>,
    /// How often what was abandoned was to be forgotten.
    tended: usize,
}

impl Ports for Fussy {
    fn attach(&mut self, request: &PortRequest<'_>) -> Result<AttachedPort, String> {
        self.memory.attach(request)
    }
    fn configure(&mut self, port: PortId, mtu: u16, mac: Option<[u8; 6]>) -> Result<AttachedPort, String> {
        if mtu > 2000 {
            return Err("the device takes no jumbo frames".to_owned());
        }
        self.configured.push((mtu, mac));
        self.memory.configure(port, mtu, mac)
    }
    fn detach(&mut self, port: PortId) {
        self.memory.detach(port);
    }
    fn link(&mut self, port: PortId) -> Link {
        if self.down.contains(&port) {
            return Link { up: false, reason: "cable pulled".to_owned() };
        }
        self.memory.link(port)
    }
    fn forget_abandoned(&mut self) {
        self.tended += 1;
    }
    fn queues(&self, port: PortId) -> Vec<v1::QueueAssignment> {
        self.memory.queues(port)
    }
}

#[test]
fn a_changed_mtu_reaches_the_device_and_a_refused_one_is_taken_back() {
    let (mut control, _) = Control::new(Settings::default(), Fussy::default());
    let owner = Owner::config();
    let fabric = |mtu1: u32, mtu2: u32| {
        puts(&format!(
            "- vrf: {{id: 0, name: fabric}}
- interface: {{id: 1, name: a, role: FABRIC, mtu: {mtu1}, device: {{'null': {{}}}}}}
- interface: {{id: 2, name: b, role: FABRIC, mtu: {mtu2}, device: {{'null': {{}}}}}}"
        ))
    };
    assert_eq!(control.apply(&owner, fabric(1500, 1500)).code, 0);
    assert_eq!(control.apply(&owner, fabric(1600, 1500)).code, 0);
    let refused = control.apply(&owner, fabric(1700, 9000));
    assert_eq!(refusal(&refused), (9, "interface 2".to_owned(), "device"));
    let mtus: Vec<u16> = control.ports().configured.iter().map(|(mtu, _)| *mtu).collect();
    assert_eq!(mtus, [1600, 1700, 1600]);
    assert_eq!(control.tables().interface(InterfaceId(1)).unwrap().mtu, 1600);
}

#[test]
fn a_link_that_goes_down_is_told_and_tunnels_leave_it() {
    let (mut control, _) = Control::new(Settings::default(), Fussy::default());
    control.apply(&Owner::config(), puts(NODE));
    let mut events = control.watchers().subscribe(crate::control::Topics::INTERFACES);
    control.poll_links();
    assert!(events.try_recv().is_err(), "nothing changed");
    assert_eq!(control.ports().tended, 1, "what refused devices left behind goes");
    let port = control.tables().interface(InterfaceId(1)).unwrap().port.unwrap();
    control.ports().down.push(port);
    control.poll_links();
    let Some(v1::watch_event::Event::Interface(change)) = events.try_recv().unwrap().event else {
        panic!("another event")
    };
    assert_eq!((change.interface, change.name.as_str(), change.up), (1, "fabric", false));
    assert_eq!(change.reason, "cable pulled");
    control.publish();
    let members = |control: &Control<Fussy>| match control.tables().next_hop(NextHopId(20)) {
        Some(NextHop::Tunnel(tunnel)) => tunnel.members.len(),
        _ => 99,
    };
    assert_eq!(members(&control), 0);
    control.ports().down.clear();
    control.poll_links();
    control.publish();
    assert_eq!(members(&control), 1);
}
