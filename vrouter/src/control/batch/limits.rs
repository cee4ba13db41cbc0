//! How much fits. Every limit has a name, and what does not fit is refused as a whole.

use agent_api::v1::Kind;
use ahash::{AHashMap, AHashSet};
use packet::VrfId;

use super::{Staged, View};
use crate::control::{
    fault::{Code, Fault},
    objects::{NextHopKind, ObjectKey, Spec},
    store::Store,
};

/// Table limits. The defaults are what the ids allow, or what memory should be asked for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Operations of one batch.
    pub operations: usize,
    /// VRFs.
    pub vrfs: usize,
    /// Interfaces.
    pub interfaces: usize,
    /// Next hops, the vRouter's own included.
    pub next_hops: usize,
    /// Routes, all paths of all VRFs.
    pub routes: usize,
    /// MPLS labels.
    pub mpls_labels: usize,
    /// VNIs.
    pub vnis: usize,
    /// Security groups.
    pub security_groups: usize,
    /// Network policies.
    pub network_policies: usize,
    /// Floating IPs.
    pub floating_ips: usize,
    /// Pools of source NAT.
    pub source_nats: usize,
    /// Link-local services.
    pub link_local_services: usize,
    /// Pinned flows.
    pub flows: usize,
    /// Different tunnel destinations.
    pub tunnel_peers: usize,
    /// Neighbours of one VRF.
    pub neighbours: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            operations: 1_000_000,
            vrfs: 65_536,
            interfaces: 65_535,
            next_hops: 4_194_304,
            routes: 16_777_216,
            mpls_labels: 1_048_560,
            vnis: 1_048_576,
            security_groups: 65_536,
            network_policies: 65_536,
            floating_ips: 262_144,
            source_nats: 1_024,
            link_local_services: 1_024,
            flows: 1_048_576,
            tunnel_peers: 65_535,
            neighbours: 16_384,
        }
    }
}

impl Limits {
    /// The limit's name and value for a kind of object.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> (&'static str, usize) {
        match kind {
            Kind::Unspecified => ("", 0),
            Kind::Vrf => ("vrfs", self.vrfs),
            Kind::Interface => ("interfaces", self.interfaces),
            Kind::NextHop => ("next_hops", self.next_hops),
            Kind::Route => ("routes", self.routes),
            Kind::MplsLabel => ("mpls_labels", self.mpls_labels),
            Kind::Vni => ("vnis", self.vnis),
            Kind::NetworkPolicy => ("network_policies", self.network_policies),
            Kind::SecurityGroup => ("security_groups", self.security_groups),
            Kind::FloatingIp => ("floating_ips", self.floating_ips),
            Kind::SourceNat => ("source_nats", self.source_nats),
            Kind::LinkLocalService => ("link_local_services", self.link_local_services),
            Kind::Flow => ("flows", self.flows),
        }
    }
}

/// What was staged fits into every table.
pub(super) fn check(store: &Store, staged: &Staged, limits: &Limits) -> Result<(), Fault> {
    let mut difference: AHashMap<Kind, isize> = AHashMap::new();
    for change in &staged.objects {
        let step = isize::from(change.after.is_some()) - isize::from(change.before.is_some());
        *difference.entry(change.key.kind()).or_default() += step;
    }
    let routes = staged.routes.iter();
    let routes = routes.map(|c| isize::from(c.after.is_some()) - isize::from(c.before.is_some())).sum();
    difference.insert(Kind::Route, routes);
    for (kind, step) in difference {
        let (name, most) = limits.of(kind);
        let wanted = store.count(kind).saturating_add_signed(step);
        if step > 0 && wanted > most {
            let text = format!("limit {name}: {wanted} are wanted, at most {most} are allowed");
            return Err(Fault::general(Code::ResourceExhausted, text));
        }
    }
    peers(store, staged, limits)?;
    vrf_limits(store, staged)
}

/// Tunnel destinations get 16-bit ids.
fn peers(store: &Store, staged: &Staged, limits: &Limits) -> Result<(), Fault> {
    let destination = |spec: &Spec| match spec {
        Spec::NextHop(spec) => match &spec.kind {
            NextHopKind::Tunnel(tunnel) => Some(tunnel.destination),
            _ => None,
        },
        _ => None,
    };
    let after = |key: ObjectKey| staged.objects.binary_search_by_key(&key, |change| change.key).is_ok();
    let staged_tunnels = staged.objects.iter().filter_map(|change| destination(&change.after.as_ref()?.spec));
    let mut wanted: AHashSet<_> = staged_tunnels.collect();
    // Only a batch that could fill the table is counted out.
    if wanted.is_empty() || wanted.len() + store.count(Kind::NextHop) <= limits.tunnel_peers {
        return Ok(());
    }
    let Some(first) = ObjectKey::first_of(Kind::NextHop) else { return Ok(()) };
    let kept = store.objects.from(&first).take_while(|(key, _)| key.kind() == Kind::NextHop);
    wanted.extend(kept.filter(|(key, _)| !after(**key)).filter_map(|(_, record)| destination(&record.spec)));
    if wanted.len() > limits.tunnel_peers {
        let text = format!(
            "limit tunnel_peers: {} destinations are wanted, at most {} are allowed",
            wanted.len(),
            limits.tunnel_peers
        );
        return Err(Fault::general(Code::ResourceExhausted, text));
    }
    Ok(())
}

/// The limits that VRF objects set for themselves.
fn vrf_limits(store: &Store, staged: &Staged) -> Result<(), Fault> {
    let view = View::new(store, staged);
    let mut difference: AHashMap<VrfId, i64> = AHashMap::new();
    let limited = |vrf: VrfId| match view.get(ObjectKey::Vrf(vrf)) {
        Some(Spec::Vrf(spec)) if spec.most_routes != 0 => Some(spec.most_routes),
        _ => None,
    };
    for run in staged.routes.chunk_by(|a, b| a.key.same_prefix(&b.key)) {
        let Some(first) = run.first() else { continue };
        if limited(first.key.vrf).is_none() {
            continue;
        }
        let staged_here = |key| run.iter().any(|change| change.key == key);
        let before = store.paths(first.key.vrf, first.key.network);
        let (mut had, mut keeps) = (false, run.iter().any(|change| change.after.is_some()));
        for (key, _) in before {
            had = true;
            keeps |= !staged_here(key);
        }
        *difference.entry(first.key.vrf).or_default() += i64::from(keeps) - i64::from(had);
    }
    for (vrf, step) in difference {
        let (wanted, Some(most)) =
            (store.prefixes(vrf).iter().map(|&count| i64::from(count)).sum::<i64>() + step, limited(vrf))
        else {
            continue;
        };
        if step > 0 && wanted > i64::from(most) {
            let text = format!("limit routes: {wanted} prefixes are wanted, at most {most} are allowed");
            return Err(Fault {
                code: Code::ResourceExhausted,
                ..view.refuse(ObjectKey::Vrf(vrf), "limits.routes", text)
            });
        }
    }
    Ok(())
}
