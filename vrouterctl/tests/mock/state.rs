//! What the mock vRouter keeps, and how it answers for objects.

use std::collections::{BTreeMap, HashMap, HashSet};

use agent_api::{
    key_of, kind_of,
    v1::{
        Batch, BatchResult, Entry, InterfaceState, Key, Kind, ListRequest, NetworkPolicyRule, NextHopState,
        Object, Operation, QueueAssignment, RouteState, RuleStats, VrfState, next_hop, object, operation,
    },
};
use tonic::Code;

/// Who writes, as far as the mock is concerned.
pub const OWNER: &str = "operator";

/// Objects in the order of their arrival.
#[derive(Default)]
pub struct State {
    pub entries: BTreeMap<u64, Entry>,
    index: HashMap<Key, u64>,
    arrived: u64,
    pub generation: u64,
    /// Every batch that came, taken or not.
    pub batches: Vec<Batch>,
    /// Every other request, as its Debug text.
    pub requests: Vec<String>,
}

impl State {
    /// All or nothing; a route's next hop must exist when the batch is done.
    pub fn apply(&mut self, batch: &Batch, replayed: Option<&mut HashSet<Key>>) -> BatchResult {
        self.batches.push(batch.clone());
        if let Some((key, next_hop)) = self.dangling(batch) {
            return BatchResult {
                id: batch.id,
                code: Code::FailedPrecondition as u32,
                message: format!("there is no next hop {next_hop}"),
                object: Some(key),
                field: "next_hop".into(),
                ..BatchResult::default()
            };
        }
        let generation = self.generation + 1;
        let mut result = BatchResult { id: batch.id, ..BatchResult::default() };
        let mut seen = HashSet::new();
        for (index, operation) in (0..).zip(&batch.operations) {
            let changed = match operation.operation.as_ref().unwrap() {
                operation::Operation::Put(object) => {
                    let object = with_origin(object.clone());
                    seen.insert(key_of(&object));
                    self.put(object, generation)
                }
                operation::Operation::Delete(key) => self.delete(&with_origin_key(key.clone())),
            };
            if changed {
                result.changed += 1;
            } else if batch.report_unchanged {
                result.unchanged.push(index);
            }
        }
        if let Some(replayed) = replayed {
            replayed.extend(seen);
        }
        if result.changed > 0 {
            self.generation = generation;
        }
        result.generation = self.generation;
        result
    }

    fn put(&mut self, object: Object, generation: u64) -> bool {
        let entry =
            Entry { object: Some(object.clone()), owner: OWNER.into(), generation, ..Entry::default() };
        let arrived = self.arrived;
        self.arrived += 1;
        let place = *self.index.entry(key_of(&object)).or_insert(arrived);
        if self.entries.get(&place).is_some_and(|old| old.object.as_ref() == Some(&object)) {
            return false;
        }
        self.entries.insert(place, entry);
        true
    }

    fn delete(&mut self, key: &Key) -> bool {
        self.index.remove(key).and_then(|place| self.entries.remove(&place)).is_some()
    }

    fn dangling(&self, batch: &Batch) -> Option<(Key, u32)> {
        let puts = batch.operations.iter().filter_map(|operation| match operation {
            Operation { operation: Some(operation::Operation::Put(object)) } => Some(object),
            _ => None,
        });
        let known: HashSet<u32> = puts
            .clone()
            .chain(self.entries.values().filter_map(|e| e.object.as_ref()))
            .filter_map(|object| match &object.object {
                Some(object::Object::NextHop(next_hop)) => Some(next_hop.id),
                _ => None,
            })
            .chain([0])
            .collect();
        puts.filter_map(|object| match &object.object {
            Some(object::Object::Route(route)) if !known.contains(&route.next_hop) => {
                Some((key_of(&with_origin(object.clone())), route.next_hop))
            }
            _ => None,
        })
        .next()
    }

    /// Deletes what was not replayed; how many went and how many stayed.
    pub fn sweep(&mut self, kinds: &[i32], replayed: &HashSet<Key>) -> (u32, u32) {
        let before = self.entries.len();
        self.entries.retain(|_, entry| {
            let object = entry.object.as_ref().unwrap();
            let swept = kinds.is_empty() || kinds.contains(&kind_of(object).into());
            !swept || replayed.contains(&key_of(object))
        });
        self.index.retain(|_, place| self.entries.contains_key(place));
        self.generation += 1;
        ((before - self.entries.len()) as u32, self.entries.len() as u32)
    }

    pub fn list(&self, request: &ListRequest) -> Vec<Entry> {
        let of = |entry: &Entry| entry.object.clone().and_then(|object| object.object).unwrap();
        let selected = self.entries.values().filter(|entry| {
            let object = of(entry);
            i32::from(kind_of(entry.object.as_ref().unwrap())) == request.kind
                && (request.owner.is_empty() || request.owner == entry.owner)
                && match &object {
                    object::Object::Route(route) => {
                        request.vrf.is_none_or(|vrf| route.vrf == vrf)
                            && (request.prefix.is_empty() || request.prefix == route.prefix)
                    }
                    object::Object::Interface(interface) => {
                        request.vrf.is_none_or(|vrf| interface.vrf == vrf)
                            && request.id.is_none_or(|id| interface.id == id)
                    }
                    _ => true,
                }
        });
        selected.map(|entry| self.with_state(entry.clone())).collect()
    }

    /// Adds what a vRouter knows beyond the object.
    fn with_state(&self, mut entry: Entry) -> Entry {
        match entry.object.clone().and_then(|object| object.object).unwrap() {
            object::Object::Vrf(vrf) => {
                let routes = self.list(&ListRequest {
                    kind: Kind::Route.into(),
                    vrf: Some(vrf.id),
                    ..Default::default()
                });
                let (mut ipv4, mut ipv6) = (HashSet::new(), HashSet::new());
                for entry in routes {
                    let Some(Object { object: Some(object::Object::Route(route)) }) = entry.object else {
                        continue;
                    };
                    if route.prefix.contains(':') {
                        ipv6.insert(route.prefix)
                    } else {
                        ipv4.insert(route.prefix)
                    };
                }
                let interfaces =
                    ListRequest { kind: Kind::Interface.into(), vrf: Some(vrf.id), ..Default::default() };
                entry.vrf = Some(VrfState {
                    ipv4_prefixes: ipv4.len() as u32,
                    ipv6_prefixes: ipv6.len() as u32,
                    interfaces: self.list(&interfaces).len() as u32,
                });
            }
            object::Object::Interface(interface) => {
                let up = interface.id != 3;
                entry.interface = Some(InterfaceState {
                    up,
                    port: interface.id - 1,
                    mac: if interface.mac.is_empty() { "52:54:00:00:00:01".into() } else { interface.mac },
                    driver: if up { "net_mock".into() } else { String::new() },
                    reason: if up { String::new() } else { "the peer closed the socket".into() },
                    queues: (0..interface.device.map_or(0, |device| device.queues.max(1)))
                        .map(|queue| QueueAssignment { queue, worker: queue })
                        .collect(),
                });
            }
            object::Object::NextHop(next_hop) => {
                let tunnel = matches!(next_hop.kind, Some(next_hop::Kind::Tunnel(_)));
                let neighbour = tunnel && next_hop.id == 5;
                let routes = self.entries.values().filter(|entry| {
                    matches!(&entry.object, Some(Object { object: Some(object::Object::Route(route)) }) if route.next_hop == next_hop.id)
                });
                entry.next_hop = Some(NextHopState {
                    resolved: !tunnel || neighbour,
                    interface: u32::from(neighbour),
                    mac: if neighbour { "52:54:00:00:00:c2".into() } else { String::new() },
                    routes: routes.count() as u32,
                });
            }
            object::Object::NetworkPolicy(policy) => {
                let hits = |rule: &NetworkPolicyRule| RuleStats {
                    rule: rule.id,
                    flows: 2,
                    packets: 10 * u64::from(rule.id),
                    bytes: 1000 * u64::from(rule.id),
                };
                entry.rules = policy.rules.iter().map(hits).collect();
            }
            object::Object::Route(route) => entry.route = Some(RouteState { active: route.preference != 20 }),
            _ => {}
        }
        entry
    }
}

/// A route without origin gets the owner's name.
fn with_origin(mut object: Object) -> Object {
    if let Some(object::Object::Route(route)) = &mut object.object
        && route.origin.is_empty()
    {
        route.origin = OWNER.into();
    }
    object
}

fn with_origin_key(mut key: Key) -> Key {
    if let Some(agent_api::v1::key::Key::Route(route)) = &mut key.key
        && route.origin.is_empty()
    {
        route.origin = OWNER.into();
    }
    key
}
