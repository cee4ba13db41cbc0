//! Which addresses and ports a new session goes on with: link-local services, floating IPs of both ends, pools of source
//! NAT (SEMANTICS 5, 6).

use packet::{DropReason, VrfId};

use super::burst::Leaf;
use super::decide::{Decision, Narrate, Opening, Tuple};
use super::routes::Routes;
use super::walk::{End, Walk};
use crate::tables::{FloatingIp, Interface, LinkLocalService, NextHop, Role, SourceNat, Tables};

impl Interface {
    /// The service outside that a packet of this interface's workload calls.
    pub(super) fn link_local_service(&self, tuple: &Tuple) -> Option<&LinkLocalService> {
        let called = (tuple.v6, tuple.protocol, tuple.dst_port, &tuple.dst);
        self.link_local.iter().find(|s| (s.v6, s.protocol, s.port, &s.address) == called)
    }
}

/// SEMANTICS 5 (a): the floating IP whose public VRF knows the destination by a strictly longer prefix
/// than the interface's own VRF does.
pub(super) fn choose_source<'t, N: Narrate>(
    to: &mut Routes<'_>,
    sender: &'t Interface,
    tuple: &Tuple,
    say: &mut N,
) -> Option<&'t FloatingIp> {
    if sender.floating_ips.is_empty() {
        return None;
    }
    // A match on discard or reject does not count.
    let mut length_in = |vrf| {
        let (route, length) = to.with_length(vrf)?;
        let next_hop = to.tables.next_hop(route.next_hop())?;
        (!matches!(next_hop, NextHop::Discard | NextHop::Reject)).then_some(length)
    };
    let own = length_in(sender.vrf);
    let mut best: Option<(&FloatingIp, u8)> = None;
    for fip in sender.floating_ips.iter() {
        if !fip.allows_egress()
            || fip.v6 != tuple.v6
            || fip.fixed != tuple.src
            || fip.outside_port(tuple.protocol, tuple.src_port).is_none()
        {
            continue;
        }
        let Some(length) = length_in(fip.vrf) else { continue };
        say.tell("floating_ip", || {
            let own = own.map_or_else(|| "no route".to_owned(), |length| format!("/{length}"));
            format!("candidate floating IP {}: /{length} in vrf {}, own vrf has {own}", fip.id, fip.vrf)
        });
        // Floating IPs come in order of id, so the first of equals is the lowest.
        if own.is_none_or(|own| length > own) && best.is_none_or(|(_, so_far)| length > so_far) {
            best = Some((fip, length));
        }
    }
    let (fip, _) = best?;
    say.tell("floating_ip", || format!("source translated by floating IP {}", fip.id));
    Some(fip)
}

/// SEMANTICS 5 (b): the pool towards the VRF that the route leads into, or that it leaves by as plain IP.
pub(super) fn choose_pool<'t>(
    tables: &'t Tables,
    sender: &'t Interface,
    receiver: Option<&Interface>,
    walked: &Walk,
    v6: bool,
) -> Option<&'t SourceNat> {
    if sender.source_nats.is_empty() {
        return None;
    }
    let outside = match walked.end {
        End::Out(leaf) => match tables.next_hop(leaf.id()) {
            Some(NextHop::Resolve(to) | NextHop::Interface(to)) => tables.interface(to.interface)?.vrf,
            _ => walked.vrf,
        },
        _ => walked.vrf,
    };
    if outside == sender.vrf {
        return None;
    }
    // The node's stack takes no packet from an address of its own.
    let to_node = receiver.is_some_and(|receiver| receiver.role == Role::Host);
    let mut pools = sender.source_nats.iter();
    pools.find(|nat| nat.vrf == outside && nat.serves(v6) && !(to_node && nat.is_nodes())).map(|nat| &**nat)
}

/// Who is behind an outside address of a pool: another workload that a workload calls there (hairpin, RFC 4787 §6), or
/// the node, where the address is its own too. Nobody else opens a session to a pool.
pub(super) fn behind<'t>(
    tables: &'t Tables,
    nat: &SourceNat,
    opening: &Opening,
    decision: &mut Decision,
) -> Result<Option<&'t Interface>, DropReason> {
    let called = decision.translated;
    let outside = nat.at(called.v6, &called.dst).ok_or(DropReason::SnatUnsolicited)?;
    // An ICMP identifier is the caller's own: nobody can be called by it.
    let is_callable = opening.workload.is_some() && !called.is_icmp();
    let inside = is_callable.then(|| outside.pool.behind(called.protocol, called.dst_port)).flatten();
    match inside {
        Some(inside) => {
            (decision.translated.dst, decision.translated.dst_port) = (inside.address, inside.port);
            decision.leaf = Leaf::local(inside.interface);
            decision.destination = Some(inside.interface);
            tables.interface(inside.interface).map(Some).ok_or(DropReason::InterfaceDown)
        }
        None if outside.own => match tables.node_at(nat.vrf, called.v6, &called.dst) {
            Some(twin) => {
                decision.leaf = Leaf::local(twin);
                decision.destination = Some(twin);
                Ok(tables.interface(twin))
            }
            None => {
                decision.receive = true;
                Ok(None)
            }
        },
        None => Err(DropReason::SnatUnsolicited),
    }
}

/// The floating IP of the receiver that a packet was sent to, and the port at the workload. `known` are the VRF in
/// which the route was found, and the network that it leads to if it is leaked.
pub(super) fn choose_destination<'t>(
    receiver: &'t Interface,
    tuple: &Tuple,
    opening: &Opening,
    known: [VrfId; 2],
) -> Result<Option<(&'t FloatingIp, u16)>, DropReason> {
    let (mut refused, mut whole) = (None, None);
    for fip in receiver.floating_ips.iter() {
        // A label that names the interface says nothing about the VRF.
        let named = fip.address == tuple.dst
            && fip.v6 == tuple.v6
            && (opening.direct.0 != 0 || known.contains(&fip.vrf));
        if !named {
            continue;
        }
        match fip.inside_port(tuple.protocol, tuple.dst_port) {
            _ if !fip.allows_ingress() => refused = Some(DropReason::NatDirection),
            // One without port maps has what the others leave.
            Some(port) if fip.port_maps.is_empty() => whole = whole.or(Some((&**fip, port))),
            Some(port) => return Ok(Some((fip, port))),
            None => refused = refused.or(Some(DropReason::NatPort)),
        }
    }
    match refused {
        _ if whole.is_some() => Ok(whole),
        // The workload's own address of the same value still works inside its own network.
        Some(reason) if !receiver.addresses(tuple.v6).contains(&tuple.dst) => Err(reason),
        _ => Ok(None),
    }
}
