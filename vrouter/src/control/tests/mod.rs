//! The control side from the outside: batches in, tables out.

mod batches;
mod connected;
mod devices;
mod epochs;
mod replays;
mod routes;
mod services;
mod tunnels;
mod twin;
mod validation;

use std::sync::Arc;

use agent_api::v1;
use packet::{InterfaceId, NextHopId, VrfId};

use super::{Control, Limits, MemoryPorts, Owner, Settings};
use crate::tables::{Interface, NextHop, Tables, Tunnel};

/// A small data centre in one node; every test starts from it or from nothing.
const NODE: &str = r#"
- vrf: {id: 0, name: fabric}
- vrf: {id: 1, name: red}
- vrf: {id: 2, name: blue}
- security_group: {id: 7, name: web, rules: [{id: 1, direction: INGRESS, protocol: 6, ports: {first: 80, last: 80}}]}
- security_group: {id: 8, name: db, rules: [{id: 1, direction: INGRESS, group: 7}, {id: 2, direction: EGRESS}]}
- interface: {id: 1, name: fabric, role: FABRIC, vrf: 0, mac: "02:00:0a:01:00:42", addresses: ["10.1.0.66/24", "2001:db8:a::42/64"], device: {ring: {name: fabric}}}
- interface: {id: 2, name: vm1, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:01:02", addresses: ["10.1.1.3", "2001:db8:1::3"], gateways: ["10.1.1.1"], policy: true, security_groups: [7], device: {ring: {name: vm1}}}
- interface: {id: 3, name: vm2, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:01:03", addresses: ["10.1.1.4"], policy: true, security_groups: [8], device: {ring: {name: vm2}}}
- interface: {id: 4, name: vm3, role: VIRTUAL, vrf: 2, mac: "02:00:00:00:01:04", addresses: ["10.1.1.3"], policy: true, security_groups: [7], device: {ring: {name: vm3}}}
- next_hop: {id: 10, interface: {interface: 2}}
- next_hop: {id: 11, interface: {interface: 3}}
- next_hop: {id: 12, interface: {interface: 4}}
- next_hop: {id: 20, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.194", label: 32}}
- next_hop: {id: 21, tunnel: {encapsulation: MPLS_OVER_GRE, destination: "10.1.0.195", label: 33}}
- route: {vrf: 1, prefix: "10.1.1.3/32", next_hop: 10, security_groups: [7]}
- route: {vrf: 1, prefix: "10.1.1.4/32", next_hop: 11, security_groups: [8]}
- route: {vrf: 2, prefix: "10.1.1.3/32", next_hop: 12, security_groups: [7]}
- route: {vrf: 1, prefix: "10.1.2.0/24", next_hop: 20}
"#;

/// A control side with the API's text as its language.
struct Bench {
    control: Control<MemoryPorts>,
}

impl Bench {
    fn empty() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let (control, _) = Control::new(Settings { limits, ..Settings::default() }, MemoryPorts::default());
        Self { control }
    }

    fn node() -> Self {
        let mut bench = Self::empty();
        bench.put(NODE);
        bench
    }

    fn apply_as(&mut self, owner: &str, batch: v1::Batch) -> v1::BatchResult {
        let owner = Owner::peer(owner).unwrap_or_else(Owner::config);
        self.control.apply(&owner, batch)
    }

    fn try_put(&mut self, text: &str) -> v1::BatchResult {
        self.apply_as("controller", puts(text))
    }

    fn put(&mut self, text: &str) -> v1::BatchResult {
        let result = self.try_put(text);
        assert_eq!((result.code, result.message.as_str()), (0, ""), "{text}");
        result
    }

    fn try_delete(&mut self, text: &str) -> v1::BatchResult {
        self.apply_as("controller", deletes(text))
    }

    fn delete(&mut self, text: &str) -> v1::BatchResult {
        let result = self.try_delete(text);
        assert_eq!((result.code, result.message.as_str()), (0, ""), "{text}");
        result
    }

    fn tables(&self) -> &Arc<Tables> {
        self.control.tables()
    }

    fn interface(&self, id: u16) -> &Interface {
        self.tables().interface(InterfaceId(id)).unwrap()
    }

    fn tunnel(&self, id: u32) -> &Tunnel {
        match self.tables().next_hop(NextHopId(id)) {
            Some(NextHop::Tunnel(tunnel)) => tunnel,
            other => panic!("next hop {id} is {other:?}"),
        }
    }

    /// Next hop, label and groups that a prefix leads to.
    fn route(&self, vrf: u16, prefix: &str) -> Option<(u32, u32, &[u32])> {
        let found = self.tables().vrfs.get_exact(VrfId(vrf), prefix.parse().unwrap())?;
        Some((found.next_hop().0, found.label().0, self.tables().group_set(found.groups())))
    }

    /// What forwarding depends on, as text: to see that nothing changed.
    fn image(&self) -> String {
        let tables = self.tables();
        let routes: Vec<_> = self.control.store.routes.iter().collect();
        let objects: Vec<_> = self.control.store.objects.iter().collect();
        let rows: Vec<_> = tables.interfaces.iter().map(|(id, row)| (id, row.epoch, row.port)).collect();
        let hops: Vec<_> = tables.next_hops.iter().map(|(id, _)| id).collect();
        format!("{} {} {routes:?} {objects:?} {rows:?} {hops:?}", tables.generation, tables.epoch)
    }
}

fn puts(text: &str) -> v1::Batch {
    let objects = agent_api::yaml::parse(text).unwrap();
    let operations = objects.into_iter().map(|object| operation(v1::operation::Operation::Put(object)));
    v1::Batch { operations: operations.collect(), ..v1::Batch::default() }
}

fn deletes(text: &str) -> v1::Batch {
    let objects = agent_api::yaml::parse(text).unwrap();
    let keys = objects.iter().map(agent_api::key_of);
    let operations = keys.map(|key| operation(v1::operation::Operation::Delete(key)));
    v1::Batch { operations: operations.collect(), ..v1::Batch::default() }
}

fn operation(operation: v1::operation::Operation) -> v1::Operation {
    v1::Operation { operation: Some(operation) }
}

/// Code, object and field of a refusal.
fn refusal(result: &v1::BatchResult) -> (u32, String, &str) {
    (result.code, result.object.as_ref().map(ToString::to_string).unwrap_or_default(), result.field.as_str())
}
