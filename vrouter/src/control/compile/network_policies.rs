//! Compiled network policies: one per list of policies, shared by the networks that are bound to that list.

use std::sync::Arc;

use ahash::AHashMap;
use flow::policy::RuleSet;
use flow::policy::network::{CompiledNetworkPolicy, NetworkPolicy};
use packet::VrfId;

use super::{Compiler, Context, Dirty, Slots, rule_slots::Numbered};
use crate::control::{
    batch::Staged,
    objects::{ObjectKey, Spec, VrfSpec},
    store::Record,
};

/// Network policies with the numbers of their rules.
#[derive(Debug, Default)]
pub(super) struct NetworkPolicies {
    policies: AHashMap<u32, NetworkPolicy>,
}

impl NetworkPolicies {
    /// Replaces a policy, or takes it away. Rules that stay keep their counters.
    fn write(&mut self, id: u32, cx: &mut Context<'_>, slots: &mut Slots) {
        let mut policy = cx.store.network_policy(id).map(|spec| spec.policy.clone());
        let before = self.policies.remove(&id).map_or_else(Vec::new, |policy| policy.rules);
        let before = before.iter().map(|rule| (rule.id, rule.slot));
        let after = policy.iter_mut().flat_map(|policy| &mut policy.rules);
        let after = after.map(|rule| Numbered { id: rule.id, log: rule.log, slot: &mut rule.slot });
        slots.renew(RuleSet::NetworkPolicy(id), before, after, &mut cx.tables.rules);
        self.policies.extend(policy.map(|policy| (id, policy)));
    }

    fn compile(&self, ids: &[u32]) -> CompiledNetworkPolicy {
        let policies: Vec<_> = ids.iter().filter_map(|id| self.policies.get(id)).collect();
        CompiledNetworkPolicy::compile(&policies)
    }
}

impl Compiler {
    /// Follows changed policies to the networks that are bound to them: the sessions of their workloads are decided
    /// again (SEMANTICS 17).
    pub(super) fn network_policies(&mut self, cx: &mut Context<'_>, staged: &Staged, dirty: &mut Dirty) {
        let mut networks: Vec<VrfId> = Vec::new();
        for change in &staged.objects {
            match change.key {
                ObjectKey::NetworkPolicy(id) => {
                    self.network_policies.write(id, cx, &mut self.slots);
                    networks.extend(cx.store.referrers(change.key).filter_map(ObjectKey::vrf));
                }
                ObjectKey::Vrf(id) if bound(&change.before) != bound(&change.after) => networks.push(id),
                _ => {}
            }
        }
        networks.sort_unstable();
        networks.dedup();
        let mut compiled: AHashMap<Vec<u32>, Arc<CompiledNetworkPolicy>> = AHashMap::new();
        for network in networks {
            let ids = cx.store.vrf(network).map_or(&[][..], |spec| spec.policies());
            let had_any = cx.tables.network_policy(network).is_some();
            if ids.is_empty() {
                cx.tables.network_policies.remove(network.0.into());
            } else {
                let policy = match compiled.get(ids) {
                    Some(policy) => Arc::clone(policy),
                    None => Arc::new(self.network_policies.compile(ids)),
                };
                compiled.insert(ids.to_vec(), Arc::clone(&policy));
                cx.tables.network_policies.set(network.0.into(), policy);
            }
            dirty.vrfs.insert(network);
            if had_any == ids.is_empty() {
                // Its workloads need the flow stage now, or do not any more.
                dirty.interfaces.extend(cx.store.interfaces_in(network).map(|spec| spec.id));
            }
        }
    }
}

/// The policies of a VRF, in their order.
fn bound(record: &Option<Record>) -> &[u32] {
    match record.as_ref().map(|record| &record.spec) {
        Some(Spec::Vrf(spec)) => VrfSpec::policies(spec),
        _ => &[],
    }
}
