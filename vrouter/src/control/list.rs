//! What `List` reads: the objects as they were at one moment, whatever is written meanwhile.

use std::sync::Arc;

use agent_api::v1::{self, Kind};
use ahash::AHashMap;
use flow::policy::RuleSet;
use nexthop::Prefix;
use packet::{InterfaceId, NextHopId, VrfId};

use super::{
    Control,
    compile::Attachments,
    names::{NameId, Names},
    objects::{ObjectKey, Path, RouteKey, Spec},
    ports::Ports,
    sorted::SortedPages,
    store::{Record, RouteUses, best_of, uses_of},
    text::{mac_text, parse_prefix},
};
use crate::tables::{NeighbourState, NextHop, SourceNat, Tables};

/// The objects of one moment. Cheap to take: pages are shared until they are changed.
#[derive(Debug)]
pub struct Snapshot {
    names: Arc<Names>,
    objects: SortedPages<ObjectKey, Record>,
    routes: SortedPages<RouteKey, Path>,
    route_uses: RouteUses,
    prefixes: AHashMap<VrfId, [u32; 2]>,
    attachments: Attachments,
    tables: Tables,
    generation: u64,
}

/// What is counted once for a whole list.
#[derive(Debug, Default)]
struct Counts {
    interfaces: AHashMap<VrfId, u32>,
    /// Flows, packets and bytes.
    rules: AHashMap<(RuleSet, u32), [u64; 3]>,
}

impl Counts {
    fn of_rules(&self, set: RuleSet, ids: impl Iterator<Item = u32>) -> Vec<v1::RuleStats> {
        let stats = |rule| {
            let [flows, packets, bytes] = self.rules.get(&(set, rule)).copied().unwrap_or_default();
            v1::RuleStats { rule, flows, packets, bytes }
        };
        ids.map(stats).collect()
    }
}

/// Which objects are wanted.
#[derive(Clone, Debug)]
pub struct Filter {
    kind: Kind,
    vrf: Option<u32>,
    owner: String,
    id: Option<u32>,
    prefix: Option<Prefix>,
}

/// Where a list has come to.
#[derive(Clone, Copy, Debug)]
pub struct ObjectCursor(ObjectKey);

impl Filter {
    /// The kind of objects that is wanted.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Reads a request.
    ///
    /// # Errors
    /// The field at fault, and what is wrong with it.
    pub fn of(request: v1::ListRequest) -> Result<Self, (&'static str, String)> {
        let kind = match Kind::try_from(request.kind) {
            Ok(Kind::Unspecified) | Err(_) => return Err(("kind", "a kind of object is needed".to_owned())),
            Ok(kind) => kind,
        };
        let prefix = match request.prefix.as_str() {
            "" => None,
            text if kind == Kind::Route => Some(parse_prefix(text).map_err(|message| ("prefix", message))?),
            _ => return Err(("prefix", "only routes have one".to_owned())),
        };
        if request.id.is_some() && matches!(kind, Kind::Route | Kind::Flow) {
            return Err(("id", format!("a {} has none", kind.name())));
        }
        Ok(Self { kind, vrf: request.vrf, owner: request.owner, id: request.id, prefix })
    }
}

impl<P: Ports> Control<P> {
    /// The objects as they are now. Publish first: a batch that was answered is in effect.
    #[must_use]
    pub fn snapshot(&self, kind: Kind) -> Snapshot {
        let mut attachments = Attachments::default();
        if kind == Kind::Interface {
            attachments.clone_from(&self.attachments);
            // Queues move between workers; who serves which is for the ports to tell.
            for attachment in attachments.values_mut() {
                attachment.queues = self.ports.queues(attachment.port.port);
            }
        }
        let prefixes = if kind == Kind::Vrf { self.store.prefixes.clone() } else { AHashMap::new() };
        Snapshot {
            names: Arc::clone(&self.store.names),
            objects: self.store.objects.clone(),
            routes: self.store.routes.clone(),
            route_uses: self.store.route_uses.clone(),
            prefixes,
            attachments,
            tables: self.tables.clone(),
            generation: self.generation(),
        }
    }
}

impl Snapshot {
    /// The generation it belongs to.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The entries that are wanted, in the order of keys, after one that was seen before.
    pub fn entries<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<ObjectCursor>,
    ) -> Box<dyn Iterator<Item = (ObjectCursor, v1::Entry)> + Send + 'a> {
        // An owner that was never seen owns nothing.
        let owner = match filter.owner.as_str() {
            "" => None,
            name => match self.names.find(name) {
                Some(id) => Some(id),
                None => return Box::new(std::iter::empty()),
            },
        };
        let Some(first) = ObjectKey::first_of(filter.kind) else {
            return Box::new(self.routes(filter, owner, after));
        };
        let counts = self.counts(filter.kind);
        let start = after.map_or(first, |ObjectCursor(key)| key);
        let records = self.objects.from(&start).take_while(|(key, _)| key.kind() == filter.kind);
        let wanted = records.filter(move |(key, record)| {
            after.is_none_or(|ObjectCursor(seen)| **key != seen)
                && owner.is_none_or(|owner| record.owner == owner)
                && filter.id.is_none_or(|id| number(key) == Some(id))
                && filter.vrf.is_none_or(|vrf| self.vrf_of(record).is_some_and(|own| u32::from(own.0) == vrf))
        });
        Box::new(wanted.map(move |(key, record)| (ObjectCursor(*key), self.entry(key, record, &counts))))
    }

    /// The VRF an object belongs to; a flow to its interface's.
    fn vrf_of(&self, record: &Record) -> Option<VrfId> {
        match &record.spec {
            Spec::Flow(spec) => self.objects.get(&ObjectKey::Interface(spec.key.interface))?.spec.vrf(),
            spec => spec.vrf(),
        }
    }

    fn routes<'a>(
        &'a self,
        filter: &'a Filter,
        owner: Option<NameId>,
        after: Option<ObjectCursor>,
    ) -> impl Iterator<Item = (ObjectCursor, v1::Entry)> + 'a {
        let vrf = filter.vrf.map(|vrf| VrfId(u16::try_from(vrf).unwrap_or(u16::MAX)));
        let absent = filter.vrf.is_some_and(|vrf| vrf > u32::from(u16::MAX));
        let first = match (vrf, filter.prefix) {
            (Some(vrf), Some(prefix)) => RouteKey::first_of(vrf, prefix),
            (vrf, _) => RouteKey::first_of_vrf(vrf.unwrap_or_default()),
        };
        let seen = match after {
            Some(ObjectCursor(ObjectKey::Route(seen))) => Some(seen),
            _ => None,
        };
        let paths = self.routes.from(&seen.unwrap_or(first)).take_while(move |(key, _)| {
            // The paths of one prefix lie together; those of one prefix in all VRFs do not.
            vrf.is_none_or(|vrf| key.vrf == vrf && filter.prefix.is_none_or(|prefix| key.network == prefix))
        });
        let wanted = paths.filter(move |(key, path)| {
            !absent
                && Some(**key) != seen
                && owner.is_none_or(|owner| path.owner == owner)
                && filter.prefix.is_none_or(|prefix| key.network == prefix)
        });
        wanted.map(|(key, path)| (ObjectCursor(ObjectKey::Route(*key)), self.route_entry(*key, *path)))
    }

    fn route_entry(&self, key: RouteKey, path: Path) -> v1::Entry {
        let first = RouteKey::first_of(key.vrf, key.network);
        let rivals = self.routes.from(&first).take_while(|(other, _)| other.same_prefix(&key));
        let best = best_of(&self.names, rivals.map(|(&key, &path)| (key, path)));
        v1::Entry {
            object: Some(path.to_api(key, self.tables.membership(path.membership), &self.names)),
            owner: self.names.get(path.owner).to_owned(),
            generation: path.generation,
            route: Some(v1::RouteState { active: best.is_some_and(|(best, _)| best == key) }),
            ..v1::Entry::default()
        }
    }

    fn entry(&self, key: &ObjectKey, record: &Record, counts: &Counts) -> v1::Entry {
        let mut entry = v1::Entry {
            object: Some(record.spec.to_api()),
            owner: self.names.get(record.owner).to_owned(),
            generation: record.generation,
            ..v1::Entry::default()
        };
        match *key {
            ObjectKey::Interface(id) => entry.interface = Some(self.interface_state(id)),
            ObjectKey::NextHop(id) => entry.next_hop = Some(self.next_hop_state(id)),
            ObjectKey::SourceNat(id) => entry.source_nat = self.tables.source_nat(id).map(source_nat_state),
            ObjectKey::Vrf(id) => {
                let [ipv4_prefixes, ipv6_prefixes] = self.prefixes.get(&id).copied().unwrap_or_default();
                let interfaces = counts.interfaces.get(&id).copied().unwrap_or(0);
                entry.vrf = Some(v1::VrfState { ipv4_prefixes, ipv6_prefixes, interfaces });
            }
            _ => {}
        }
        match &record.spec {
            Spec::SecurityGroup(spec) => {
                let ids = spec.group.rules.iter().map(|rule| rule.id);
                entry.rules = counts.of_rules(RuleSet::SecurityGroup(spec.group.id), ids);
            }
            Spec::NetworkPolicy(spec) => {
                let ids = spec.policy.rules.iter().map(|rule| rule.id);
                entry.rules = counts.of_rules(RuleSet::NetworkPolicy(spec.policy.id), ids);
            }
            _ => {}
        }
        entry
    }

    fn counts(&self, kind: Kind) -> Counts {
        let rules =
            || self.tables.rules.iter().map(|(_, row)| ((row.name.set, row.name.rule), row.counters.get()));
        match kind {
            Kind::Vrf => Counts { interfaces: self.interfaces_by_vrf(), ..Counts::default() },
            Kind::SecurityGroup | Kind::NetworkPolicy => {
                Counts { rules: rules().collect(), ..Counts::default() }
            }
            _ => Counts::default(),
        }
    }

    fn interfaces_by_vrf(&self) -> AHashMap<VrfId, u32> {
        let mut counts = AHashMap::new();
        for (_, record) in self.objects.from(&ObjectKey::Interface(InterfaceId(0))) {
            let Spec::Interface(spec) = &record.spec else { break };
            *counts.entry(spec.vrf).or_default() += 1;
        }
        counts
    }

    fn interface_state(&self, id: InterfaceId) -> v1::InterfaceState {
        let Some(attachment) = self.attachments.get(&id) else { return v1::InterfaceState::default() };
        v1::InterfaceState {
            up: attachment.link.up,
            port: attachment.port.port.0.into(),
            mac: self.tables.interface(id).map(|row| mac_text(row.mac)).unwrap_or_default(),
            driver: attachment.port.driver.clone(),
            reason: attachment.link.reason.clone(),
            queues: attachment.queues.clone(),
        }
    }

    fn next_hop_state(&self, id: NextHopId) -> v1::NextHopState {
        let routes = uses_of(&self.route_uses, id).map(|(_, routes)| routes).sum();
        let mut state = v1::NextHopState { routes, ..v1::NextHopState::default() };
        let mac = |interface: InterfaceId, (v6, address): (bool, packet::Address)| match self
            .tables
            .neighbours
            .get(interface, v6, &address)
        {
            Some(NeighbourState::Resolved(mac)) => Some(mac),
            _ => None,
        };
        match self.tables.next_hop(id) {
            Some(NextHop::Tunnel(tunnel)) => {
                let way = tunnel.members.iter().find(|member| member.resolved).or(tunnel.members.first());
                let found = way.and_then(|way| mac(way.interface, way.neighbour));
                state.resolved = found.is_some();
                state.interface = way.map_or(0, |way| way.interface.0.into());
                state.mac = found.map(mac_text).unwrap_or_default();
            }
            Some(NextHop::Interface(delivery)) => {
                let own = || self.tables.interface(delivery.interface).map(|row| row.mac);
                let found =
                    delivery.neighbour.map_or_else(own, |neighbour| mac(delivery.interface, neighbour));
                state.resolved = found.is_some();
                state.interface = delivery.interface.0.into();
                state.mac = found.map(mac_text).unwrap_or_default();
            }
            Some(NextHop::Resolve(delivery)) => {
                state.resolved = true;
                state.interface = delivery.interface.0.into();
            }
            Some(NextHop::Ecmp(group)) => {
                state.resolved = group.group.pick(0).is_some();
            }
            Some(_) => state.resolved = true,
            None => {}
        }
        state
    }
}

fn source_nat_state(nat: &SourceNat) -> v1::SourceNatState {
    v1::SourceNatState { ports_taken: nat.addresses.iter().map(|outside| outside.pool.taken()).sum() }
}

/// The number of an object that has one.
const fn number(key: &ObjectKey) -> Option<u32> {
    match key {
        ObjectKey::Vrf(id) => Some(id.0 as u32),
        ObjectKey::Interface(id) => Some(id.0 as u32),
        ObjectKey::SourceNat(id) | ObjectKey::LinkLocalService(id) => Some(*id as u32),
        ObjectKey::NextHop(id) => Some(id.0),
        ObjectKey::MplsLabel(id)
        | ObjectKey::Vni(id)
        | ObjectKey::SecurityGroup(id)
        | ObjectKey::FloatingIp(id)
        | ObjectKey::NetworkPolicy(id) => Some(*id),
        ObjectKey::Route(_) | ObjectKey::Flow(_) => None,
    }
}
