//! Conversations whose ends move between this node and the fabric (SEMANTICS 2): their sessions are found again
//! and get the keys of the new place. Nothing here opens a session.

use flow::{FlowKey, Half, HalfId, Scope, ScopeKind};
use packet::{Meta, PacketBuf, VrfId};

use super::burst::{Leaf, Origin, Slot};
use super::miss::{is_outlived, tunnel_peer};
use super::routes::Routes;
use super::walk::{self, End, Pick, Start};
use super::{Context, Datapath};
use crate::tables::{FloatingIp, Interface, PeerId};

/// Asks the cache for where [`mirrored`] will most likely look.
pub(super) fn prefetch_mirrored(cx: &Context<'_>, meta: &Meta, slot: Slot) {
    if let Some(here) = slot.scope.interface() {
        cx.flows.prefetch_lookup(&FlowKey::from(meta, slot.scope).reversed(Scope::to_workload(here)));
    }
}

/// The session of which this packet is a reply, if the far end has moved since: its half gets the new key. Or the session
/// that an earlier packet of the burst has opened. And whether anything moved.
pub(super) fn mirrored(
    cx: &Context<'_>,
    to: &mut Routes<'_>,
    meta: &Meta,
    slot: Slot,
) -> Option<(HalfId, bool)> {
    let key = FlowKey::from(meta, slot.scope);
    let here = slot.scope.interface()?;
    // A reply to what a local workload opened is looked for where that workload sends.
    let opener = match slot.scope.kind()? {
        ScopeKind::ToWorkload => here,
        ScopeKind::FromWorkload | ScopeKind::Service => {
            match walk::walk(to, Start::at(meta, &slot), Pick::Stateless(meta.hash)).ok()?.end {
                End::Local(interface) => interface,
                // The far end is remote now: replies to it were keyed by the workload that it was.
                End::Out(_) => {
                    return rekey(cx, cx.flows.lookup(&key.reversed(Scope::to_workload(here)))?, &key);
                }
                _ => return None,
            }
        }
    };
    let scope = Scope::from_workload(opener);
    let plain = cx.flows.lookup(&key.reversed(scope)).and_then(|half| rekey(cx, half, &key));
    plain.or_else(|| {
        // The opener sends from its own address, and the packet is for a floating IP of it.
        let opener = cx.tables.interface(opener)?;
        opener.floating_ips.iter().find_map(|fip| {
            let half = cx.flows.lookup(&untranslated(&key, fip)?.reversed(scope))?;
            rekey(cx, half, &key)
        })
    })
}

/// The key of a packet to a floating IP as the workload behind it sees the packet.
fn untranslated(key: &FlowKey, fip: &FloatingIp) -> Option<FlowKey> {
    if fip.address != key.dst || fip.v6 != key.v6 {
        return None;
    }
    let dst_port = match key.protocol {
        1 | 58 => key.dst_port,
        protocol => fip.inside_port(protocol, key.dst_port)?,
    };
    Some(FlowKey { dst: fip.fixed, dst_port, ..*key })
}

/// Gives the other half of `found` the scope of `key`, if that is all in which they differ at most. That half, and whether
/// they did.
fn rekey(cx: &Context<'_>, found: HalfId, key: &FlowKey) -> Option<(HalfId, bool)> {
    let other = found.other();
    let half = cx.flows.half(other);
    let same = FlowKey { scope: key.scope, ..half.key() } == *key;
    if !same || !cx.flows.half(found).forwards() || is_outlived(cx, found) {
        return None;
    }
    if half.scope() == key.scope {
        return Some((other, false));
    }
    rescope(cx, other, key.scope)?;
    // Not validated for the new place yet: the hit path decides again.
    half.set_validated_at(cx.tables.epoch.wrapping_sub(flow::OLDEST_EPOCH));
    Some((other, true))
}

/// Finds a half at another scope from now on. Which VRFs its session rests on there is not looked into.
fn rescope(cx: &Context<'_>, id: HalfId, scope: Scope) -> Option<()> {
    cx.flows.rekey(id, cx.flows.reference(id)?, scope).ok()?;
    let half = cx.flows.half(id);
    half.set_route(half.route() | Leaf::ELSEWHERE);
    Some(())
}

impl<B: PacketBuf> Datapath<B> {
    /// Follows the workload that opened a session to a local one, if it lives on the other side of the fabric now,
    /// or does not any more. A translated opener is left where it was: its packets look different from there.
    pub(super) fn follow_opener(&self, cx: &Context<'_>, id: HalfId, binding: VrfId) -> Option<()> {
        let (forward, reverse) =
            (cx.flows.half(id.session().forward()), cx.flows.half(id.session().reverse()));
        let key = forward.key();
        let receiver = cx.tables.interface(Leaf::cached(forward.route()).interface()?)?;
        if forward.translation().src != key.src || key.scope.kind() == Some(ScopeKind::Service) {
            return None;
        }
        let named = forward.route() & Leaf::DIRECT != 0;
        let vrf = public_vrf(receiver, &forward).unwrap_or(if named { receiver.vrf } else { binding });
        let mut to = Routes::to(cx.tables, key.v6, &key.src);
        let leaf = walk::back(&mut to, vrf, Origin::Tunnel, PeerId::UNKNOWN)?.leaf;
        let scope = match leaf.interface().map(|id| cx.tables.interface(id)) {
            Some(Some(sender)) if sender.needs_flow() => Scope::from_workload(sender.id),
            Some(_) => return None,
            None => Scope::to_workload(receiver.id),
        };
        let is_local = leaf.interface().is_some();
        if (key.scope.kind() == Some(ScopeKind::FromWorkload)) != is_local {
            rescope(cx, id.session().forward(), scope)?;
            self.counters.flow_rekeyed.add(1);
        } else if Leaf::cached(reverse.route()).interface().is_some() == is_local {
            return None;
        }
        if !is_local {
            forward.set_entropy_or_peer(tunnel_peer(cx.tables, leaf).0);
        }
        reverse.set_route(leaf.instead_of(reverse.route()));
        Some(())
    }

    /// Moves the replies of a session to where they come from now. Whether they are found there.
    pub(super) fn follow_replies(&self, cx: &Context<'_>, id: HalfId, scope: Scope, leaf: Leaf) -> bool {
        let reverse = cx.flows.half(id.session().reverse());
        if reverse.scope() == scope {
            return true;
        }
        let moved = rescope(cx, id.session().reverse(), scope).is_some();
        if moved {
            if leaf.interface().is_none() {
                reverse.set_entropy_or_peer(tunnel_peer(cx.tables, leaf).0);
            }
            self.counters.flow_rekeyed.add(1);
        }
        moved
    }
}

/// The public VRF of the floating IP that a session was opened to.
fn public_vrf(receiver: &Interface, forward: &Half<'_>) -> Option<VrfId> {
    let key = forward.key();
    receiver.floating_ips.iter().find(|fip| fip.address == key.dst && fip.v6 == key.v6).map(|fip| fip.vrf)
}

/// The VRF in which the opener of a session from the fabric is known to the receiver's side.
pub(super) fn back_vrf(receiver: &Interface, forward: &Half<'_>, slot: Slot) -> VrfId {
    public_vrf(receiver, forward).unwrap_or(if slot.direct.0 != 0 { receiver.vrf } else { slot.vrf })
}
