//! Pools of source NAT. What they have given out outlives generations: ports stay with the pool's address.

use std::{collections::BTreeSet, sync::Arc};

use ahash::AHashMap;
use flow::{
    Scope,
    nat::{Mapping, PortPool},
};
use packet::{Address, VrfId};

use super::{Compiler, Context, Dirty};
use crate::{
    control::{
        objects::{InterfaceSpec, ObjectKey, SourceNatSpec},
        store::Store,
        text::Ip,
    },
    tables::{OutsideAddress, Role, SourceNat},
};

/// The ports of every address of every pool.
#[derive(Debug, Default)]
pub(super) struct PortPools(AHashMap<(u16, Ip), (Mapping, Arc<PortPool>)>);

impl PortPools {
    fn of(&mut self, spec: &SourceNatSpec, address: Ip) -> Arc<PortPool> {
        let expected = usize::from(spec.ports.end() - spec.ports.start()) + 1;
        let new = || (spec.mapping, Arc::new(PortPool::new(spec.mapping, expected)));
        let known = self.0.entry((spec.id, address)).or_insert_with(new);
        if known.0 != spec.mapping {
            *known = new();
        }
        Arc::clone(&known.1)
    }

    fn keep(&mut self, id: u16, spec: Option<&SourceNatSpec>) {
        self.0.retain(|(of, address), _| {
            *of != id || spec.is_some_and(|spec| spec.addresses.contains(address))
        });
    }
}

impl Compiler {
    /// Builds rows again, or takes them away.
    pub(super) fn source_nats(&mut self, cx: &mut Context<'_>, ids: &BTreeSet<u16>) {
        for &id in ids {
            let spec = cx.store.source_nat(id).cloned();
            self.port_pools.keep(id, spec.as_deref());
            match spec {
                Some(spec) => {
                    let row = self.source_nat_row(cx.store, &spec);
                    cx.tables.source_nats.set(id.into(), Arc::new(row));
                }
                None => drop(cx.tables.source_nats.remove(id.into())),
            }
        }
    }

    fn source_nat_row(&mut self, store: &Store, spec: &SourceNatSpec) -> SourceNat {
        let outside = |address: &Ip| OutsideAddress {
            address: address.address,
            v6: address.v6,
            own: store.fabric_interfaces_in(spec.vrf).any(|interface| interface.has_address(*address)),
            pool: self.port_pools.of(spec, *address),
        };
        SourceNat {
            id: spec.id,
            vrf: spec.vrf,
            ports: spec.ports.clone(),
            addresses: spec.addresses.iter().map(outside).collect(),
            next_hop: spec.next_hop(),
        }
    }
}

/// What a pool, as it was or is, takes with it.
pub(super) fn follow(store: &Store, spec: &SourceNatSpec, dirty: &mut Dirty) {
    dirty.source_nats.insert(spec.id);
    dirty.interfaces.extend(&spec.interfaces);
    dirty.interfaces.extend(spec.vrfs.iter().flat_map(|&vrf| store.interfaces_in(vrf)).map(|spec| spec.id));
    dirty.interfaces.extend(store.fabric_interfaces_in(spec.vrf).map(|spec| spec.id));
}

/// A fabric interface may come or go with an address that pools share: who uses them has to know.
pub(super) fn follow_interface(store: &Store, spec: &InterfaceSpec, dirty: &mut Dirty) {
    if spec.role == Role::Fabric {
        pools_naming(store, spec.vrf).for_each(|pool| follow(store, pool, dirty));
    }
}

/// The pools that an interface's workload may use, in order of id.
pub(super) fn usable(cx: &Context<'_>, interface: &InterfaceSpec) -> Arc<[Arc<SourceNat>]> {
    if interface.role != Role::Virtual {
        return Arc::default();
    }
    let named = cx.store.referrers(ObjectKey::Interface(interface.id)).filter_map(ObjectKey::source_nat);
    let by_vrf = pools_naming(cx.store, interface.vrf).filter(|spec| spec.vrfs.contains(&interface.vrf));
    let ids: BTreeSet<u16> = named.chain(by_vrf.map(|spec| spec.id)).collect();
    ids.into_iter().filter_map(|id| cx.tables.source_nats.get(id.into()).cloned()).collect()
}

/// The own addresses of a fabric interface that pools share.
pub(super) fn shared(cx: &Context<'_>, interface: &InterfaceSpec) -> Arc<[(bool, Address, Scope)]> {
    if interface.role != Role::Fabric {
        return Arc::default();
    }
    let pools = pools_naming(cx.store, interface.vrf).filter(|spec| spec.vrf == interface.vrf);
    let addresses = pools.flat_map(|spec| {
        let scope = Scope::service(spec.next_hop());
        let own = spec.addresses.iter().filter(|address| interface.has_address(**address));
        own.map(move |address| (address.v6, address.address, scope))
    });
    addresses.collect()
}

/// The pools that name a VRF, as their outside or as one that may use them.
fn pools_naming(store: &Store, vrf: VrfId) -> impl Iterator<Item = &Arc<SourceNatSpec>> {
    store.referrers(ObjectKey::Vrf(vrf)).filter_map(|user| store.source_nat(user.source_nat()?))
}
