//! Rows of the interface table.

use std::{collections::BTreeSet, sync::Arc};

use packet::{Address, InterfaceId, NextHopId, VrfId};

use super::{Compiler, Context, source_nats};
use crate::{
    control::{
        objects::{
            FloatingIpSpec, FlowKey, FlowSpec, InterfaceSpec, LinkLocalSpec, NextHopKind, ObjectKey, Spec,
        },
        store::Store,
        text::Ip,
    },
    tables::{FloatingIp, Interface, LinkLocalService, NodeAddress, NodePort, Pin, PinKey, Role},
};

impl Compiler {
    /// Builds rows again; whatever changed about an interface, its sessions are decided again.
    pub(super) fn interfaces(&mut self, cx: &mut Context<'_>, ids: &BTreeSet<InterfaceId>) {
        for &id in ids {
            match cx.store.interface(id).cloned() {
                Some(spec) => {
                    let row = self.row(cx, &spec);
                    cx.tables.interfaces.set(id.0.into(), Arc::new(row));
                }
                None => drop(cx.tables.interfaces.remove(id.0.into())),
            }
        }
        self.policies.tidy();
        let speaks = |id: &InterfaceId| cx.store.interface(*id).is_none_or(|spec| spec.role != Role::Virtual);
        if ids.iter().any(speaks) {
            cx.tables.node = node(cx.store);
        }
    }

    fn row(&mut self, cx: &Context<'_>, spec: &InterfaceSpec) -> Interface {
        let attachment = cx.attachments.get(&spec.id);
        let own_mac = attachment.map_or([0; 6], |attachment| attachment.port.mac);
        let (addresses_v4, addresses_v6) = by_family(spec.addresses.iter().map(|address| address.ip));
        let (floating_ips, pins) = (floating_ips(cx.store, spec), pins(cx.store, spec.id));
        let source_nats = source_nats::usable(cx, spec);
        let link_local = link_local(cx.store, spec);
        let is_translated = !floating_ips.is_empty() || !source_nats.is_empty() || !link_local.is_empty();
        let has_rules = spec.role == Role::Virtual && cx.tables.network_policy(spec.vrf).is_some();
        let (gateways_v4, gateways_v6) = by_family(answered_for(spec).into_iter());
        Interface {
            id: spec.id,
            name: spec.name().into(),
            role: spec.role,
            port: attachment.map(|attachment| attachment.port.port),
            vrf: spec.vrf,
            mac: if spec.role == Role::Virtual { spec.mac.unwrap_or(own_mac) } else { own_mac },
            gateway_mac: spec.gateway_mac,
            addresses_v4,
            addresses_v6,
            pairs: spec.pairs.as_slice().into(),
            gateways_v4,
            gateways_v6,
            mtu: spec.mtu,
            needs_flow: spec.message.policy || has_rules || is_translated || !pins.is_empty(),
            policy: spec.message.policy,
            security: self.policies.of(&spec.groups),
            tags: spec.tags.as_ref().into(),
            flow_limit: spec.message.flow_limit,
            rpf: spec.rpf,
            tcp_pickup: !spec.message.no_tcp_pickup,
            icmp_errors_per_second: spec.icmp_errors_per_second,
            floating_ips,
            source_nats,
            link_local,
            shared: source_nats::shared(cx, spec),
            node_ports: node_ports(cx.store, spec),
            pins,
            delivery: delivery(cx.store, spec.id),
            services: spec.services.clone(),
            twin: spec.twin_of.or_else(|| twin(cx.store, spec.id)),
            epoch: epoch(cx.generation),
            born: cx.tables.interface(spec.id).map_or(epoch(cx.generation), |row| row.born),
            counters: attachment.map(|attachment| attachment.counters.clone()).unwrap_or_default(),
        }
    }
}

/// The epoch of a generation (SEMANTICS 17).
#[allow(clippy::cast_possible_truncation, reason = "the low half is what an epoch is")]
pub(super) const fn epoch(generation: u64) -> u32 {
    generation as u32
}

fn by_family(ips: impl Iterator<Item = Ip>) -> (Arc<[Address]>, Arc<[Address]>) {
    let (v6, v4): (Vec<Ip>, Vec<Ip>) = ips.partition(|ip| ip.v6);
    (v4.iter().map(|ip| ip.address).collect(), v6.iter().map(|ip| ip.address).collect())
}

/// Every address that the vRouter has towards the workload, each once: what is configured first, the link-local one
/// of its services last, since the first of a family sends ICMP errors.
fn answered_for(spec: &InterfaceSpec) -> Vec<Ip> {
    let mut ips = spec.gateways.clone();
    for ip in spec.services.iter().flat_map(|services| services.own_addresses(spec.gateway_mac)) {
        let ip = Ip::from(ip);
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    ips
}

/// The addresses of fabric interfaces that have a twin.
fn node(store: &Store) -> Arc<[NodeAddress]> {
    let twins = store.interfaces().filter_map(|twin| Some((twin.id, store.interface(twin.twin_of?)?)));
    let addresses = twins.flat_map(|(twin, fabric)| {
        let ips = fabric.addresses.iter().map(|address| address.ip);
        ips.map(move |ip| NodeAddress { vrf: fabric.vrf, v6: ip.v6, address: ip.address, twin })
    });
    addresses.collect()
}

/// The HOST interface that is this one's twin.
fn twin(store: &Store, fabric: InterfaceId) -> Option<InterfaceId> {
    store.referrers(ObjectKey::Interface(fabric)).find_map(ObjectKey::interface)
}

/// The lowest next hop that delivers to the workload behind an interface.
pub(super) fn delivery(store: &Store, interface: InterfaceId) -> NextHopId {
    let users = store.referrers(ObjectKey::Interface(interface));
    let mut next_hops = users.filter_map(|user| store.next_hop(user.next_hop()?));
    let found = next_hops.find(|spec| matches!(spec.kind, NextHopKind::Interface(_, None)));
    found.map_or(NextHopId(0), |spec| spec.id)
}

/// The floating IPs of an interface, in order of id.
fn floating_ips(store: &Store, interface: &InterfaceSpec) -> Arc<[Arc<FloatingIp>]> {
    let users = store.referrers(ObjectKey::Interface(interface.id));
    let specs = users.filter_map(|user| store.floating_ip(user.floating_ip()?));
    specs.filter_map(|spec| Some(Arc::new(floating_ip(spec, interface)?))).collect()
}

fn floating_ip(spec: &FloatingIpSpec, interface: &InterfaceSpec) -> Option<FloatingIp> {
    // The batch was refused if the interface has no such address.
    let fixed = spec.fixed.or_else(|| interface.first_address(spec.address.v6))?;
    Some(FloatingIp {
        id: spec.id,
        address: spec.address.address,
        v6: spec.address.v6,
        vrf: spec.vrf,
        fixed: fixed.address,
        direction: spec.direction,
        port_maps: spec.port_maps.clone(),
    })
}

/// The services outside that an interface's workload reaches, in order of id.
fn link_local(store: &Store, interface: &InterfaceSpec) -> Arc<[LinkLocalService]> {
    if interface.role != Role::Virtual {
        return Arc::default();
    }
    let services = link_local_in(store, interface.vrf);
    services.filter(|spec| spec.vrfs.contains(&interface.vrf)).map(|spec| spec.service).collect()
}

/// The ports of a fabric interface's own addresses that lead to workloads.
fn node_ports(store: &Store, interface: &InterfaceSpec) -> Arc<[NodePort]> {
    if interface.role != Role::Fabric {
        return Arc::default();
    }
    let floating = floating_ips_in(store, interface.vrf).filter(|spec| interface.has_address(spec.address));
    let ports = floating.filter_map(|spec| Some((spec, spec.node_port?))).flat_map(|(spec, next_hop)| {
        spec.port_maps.iter().map(move |map| NodePort {
            v6: spec.address.v6,
            address: spec.address.address,
            protocol: map.protocol,
            first: map.port,
            last: map.last,
            next_hop,
        })
    });
    ports.collect()
}

/// The floating IPs of a public VRF.
pub(super) fn floating_ips_in(store: &Store, vrf: VrfId) -> impl Iterator<Item = &Arc<FloatingIpSpec>> {
    store.referrers(ObjectKey::Vrf(vrf)).filter_map(|user| store.floating_ip(user.floating_ip()?))
}

/// The link-local services that a VRF has, or that are in it.
pub(super) fn link_local_in(store: &Store, vrf: VrfId) -> impl Iterator<Item = &Arc<LinkLocalSpec>> {
    store.referrers(ObjectKey::Vrf(vrf)).filter_map(|user| store.link_local(user.link_local_service()?))
}

/// The flows of an interface that a controller has pinned.
fn pins(store: &Store, interface: InterfaceId) -> Arc<[Pin]> {
    let first = ObjectKey::Flow(FlowKey { interface, ..FlowKey::LOWEST });
    let records = store.objects.from(&first).map(|(_, record)| &record.spec);
    let specs = records.map_while(|spec| match spec {
        Spec::Flow(spec) if spec.key.interface == interface => Some(spec),
        _ => None,
    });
    let pin = |spec: &FlowSpec| Pin { key: pin_key(&spec.key), deny: spec.deny };
    let mut pins: Vec<Pin> = specs.map(pin).collect();
    pins.sort_unstable_by_key(|pin| pin.key);
    pins.into()
}

const fn pin_key(key: &FlowKey) -> PinKey {
    PinKey {
        from_workload: key.egress,
        v6: key.source.v6,
        protocol: key.protocol,
        source: key.source.address,
        destination: key.destination.address,
        source_port: key.source_port,
        destination_port: key.destination_port,
    }
}
