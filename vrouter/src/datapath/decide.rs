//! What a packet that opens a session may do, and where it goes: one pure function, used by the miss
//! path, by re-decision after a change, and by `Explain`.

use flow::policy::{Direction, RuleRef};
use flow::{FlowKey, RULES, Scope};
use packet::{Address, DropReason, InterfaceId, Label, Meta, NextHopId, VrfId};

use super::addresses::{behind, choose_destination, choose_pool, choose_source};
use super::burst::{Leaf, Origin};
use super::routes::Routes;
use super::rules::{Known, Side};
use super::source_nat::{Bind, Bound};
use super::walk::{self, End, Pick, Start, Walk};
use crate::tables::{Affinity, Ecmp, NextHop, PeerId, Tables};

/// Addresses and ports of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tuple {
    pub(super) v6: bool,
    pub(super) src: Address,
    pub(super) dst: Address,
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) protocol: u8,
}

impl Tuple {
    pub(super) fn of(meta: &Meta) -> Self {
        Self {
            v6: meta.is_ipv6(),
            src: meta.src,
            dst: meta.dst,
            src_port: meta.src_port,
            dst_port: meta.dst_port,
            protocol: meta.protocol,
        }
    }

    pub(super) fn of_key(key: &FlowKey) -> Self {
        let FlowKey { v6, src, dst, src_port, dst_port, protocol, .. } = *key;
        Self { v6, src, dst, src_port, dst_port, protocol }
    }

    pub(super) fn key(&self, scope: Scope) -> FlowKey {
        let Self { v6, src, dst, src_port, dst_port, protocol } = *self;
        FlowKey { v6, src, dst, src_port, dst_port, protocol, scope }
    }

    pub(super) fn plain(&self) -> packet::rewrite::Tuple {
        let Self { src, dst, src_port, dst_port, .. } = *self;
        packet::rewrite::Tuple { src, dst, src_port, dst_port }
    }

    pub(super) fn is_icmp(&self) -> bool {
        self.protocol == 1 || self.protocol == 58
    }

    /// The other direction of the conversation.
    pub(super) fn reversed(&self) -> Self {
        let (src_port, dst_port) =
            // The identifier and the class of an ICMP conversation stay where they are.
            if self.is_icmp() { (self.src_port, self.dst_port) } else { (self.dst_port, self.src_port) };
        Self { src: self.dst, dst: self.src, src_port, dst_port, ..*self }
    }

    /// The port that a workload's service listens on; ICMP has none.
    pub(super) fn service_port(&self) -> u16 {
        if self.is_icmp() { 0 } else { self.dst_port }
    }
}

/// The packet that opens a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) origin: Origin,
    /// The workload that sent it, if one did.
    pub(super) workload: Option<InterfaceId>,
    pub(super) vrf: VrfId,
    pub(super) direct: NextHopId,
    pub(super) peer: PeerId,
    pub(super) tuple: Tuple,
    /// ICMP type and code; 0 for other protocols.
    pub(super) icmp: (u8, u8),
}

/// What was decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    /// Why it is refused, if it is.
    pub(super) refused: Option<DropReason>,
    /// The rules that decided: for the sender's and then for the receiver's side that of a security group and that of
    /// a network policy.
    pub(super) rules: [Option<RuleRef>; RULES],
    /// The packet as it goes on.
    pub(super) translated: Tuple,
    pub(super) leaf: Leaf,
    /// The scope in which replies are looked up, and where they go.
    pub(super) reverse_scope: Scope,
    pub(super) reverse_leaf: Leaf,
    /// The local workload that receives it.
    pub(super) destination: Option<InterfaceId>,
    /// It is for the vRouter itself.
    pub(super) receive: bool,
    /// What a pool of source NAT has given it.
    pub(super) bound: Option<Bound>,
}

impl Decision {
    /// The key by which replies are found.
    pub(super) fn reply(&self) -> FlowKey {
        self.translated.reversed().key(self.reverse_scope)
    }
}

/// Hears how a decision came about.
pub(super) trait Narrate {
    fn tell(&mut self, stage: &'static str, text: impl FnOnce() -> String);
}

/// Nobody listens: costs nothing.
pub(super) struct Silent;

impl Narrate for Silent {
    #[inline(always)]
    fn tell(&mut self, _: &'static str, _: impl FnOnce() -> String) {}
}

/// Decides about a session's first packet, given what is known of the routes to its destination; `pick` and `bind` carry
/// the pin and the outside port of a session that is decided again. The only thing outside that is touched is the pool
/// that `bind` claims a port of.
pub(super) fn decide<N: Narrate>(
    to: &mut Routes<'_>,
    opening: &Opening,
    pick: Pick,
    bind: Bind,
    say: &mut N,
) -> Decision {
    let mut decision = Decision {
        refused: None,
        rules: [None; RULES],
        translated: opening.tuple,
        leaf: Leaf::default(),
        reverse_scope: Scope::from_workload(InterfaceId(0)),
        reverse_leaf: Leaf::default(),
        destination: None,
        receive: false,
        bound: None,
    };
    if let Err(reason) = run(to, opening, pick, bind, say, &mut decision) {
        say.tell("verdict", || format!("refused: {} ({})", reason.name(), reason.help()));
        decision.refused = Some(reason);
    }
    decision
}

fn run<N: Narrate>(
    to: &mut Routes<'_>,
    opening: &Opening,
    pick: Pick,
    bind: Bind,
    say: &mut N,
    decision: &mut Decision,
) -> Result<(), DropReason> {
    let tables = to.tables;
    let original = opening.tuple;
    let sender = opening.workload.and_then(|id| tables.interface(id));

    // A service outside that the workload calls under another address.
    let service = sender.and_then(|sender| sender.link_local_service(&original));
    if let Some(service) = service {
        (decision.translated.dst, decision.translated.dst_port) = (service.to_address, service.to_port);
        *to = Routes::to(tables, original.v6, &service.to_address);
        say.tell("link_local", || format!("destination translated by link-local service {}", service.id));
    }

    // Which address it leaves with, and so which VRF it is routed in (SEMANTICS 5).
    let outside =
        sender.filter(|_| service.is_none()).and_then(|sender| choose_source(to, sender, &original, say));
    let vrf = match (service, outside) {
        (Some(service), _) => service.vrf,
        (None, Some(fip)) => fip.vrf,
        (None, None) => opening.vrf,
    };
    if let Some(fip) = outside {
        decision.translated.src = fip.address;
        decision.translated.src_port =
            fip.outside_port(original.protocol, original.src_port).unwrap_or(original.src_port);
    }

    // The gateway of its own subnet is the vRouter itself, but for services under its address.
    if let Some(sender) = sender
        && service.is_none()
        && sender.gateways(original.v6).contains(&original.dst)
    {
        decision.receive = true;
        let known = Known { network: sender.vrf, membership: None };
        let side = Side { interface: sender, network: sender.vrf, direction: Direction::Egress, known };
        return side.ask(tables, &original, opening.icmp, &mut decision.rules, say);
    }

    // Where it goes.
    let called = decision.translated;
    let start = Start { vrf, direct: opening.direct, source: &original.src, origin: opening.origin };
    let walked = walk::walk(to, start, pick)?;
    if let Some((id, slot)) = walked.picked
        && let Some(NextHop::Ecmp(ecmp)) = tables.next_hop(id)
    {
        say.tell("ecmp", || picked(ecmp, id, slot));
    }
    say.tell("route", || way(tables, opening, &walked));
    let receiver = match walked.end {
        End::Local(id) => {
            decision.leaf = Leaf::local(id);
            decision.destination = Some(id);
            Some(tables.interface(id).ok_or(DropReason::InterfaceDown)?)
        }
        End::Out(leaf) => {
            decision.leaf = leaf;
            None
        }
        End::Receive => {
            decision.receive = true;
            None
        }
        End::Service(_) => return Err(DropReason::LookupLoop),
        End::SourceNat(id) => {
            let nat = tables.source_nat(id).ok_or(DropReason::NextHopUnknown)?;
            behind(tables, nat, opening, decision)?
        }
    };

    let known = Known::by(tables, walked.vrf, walked.route);
    let to_itself = opening.workload.is_some() && opening.workload == decision.destination;

    // To which address of the receiving workload it is translated.
    let inside = match receiver {
        Some(receiver) => choose_destination(receiver, &called, opening, [walked.vrf, known.network])?,
        None => None,
    };
    if let Some((fip, port)) = inside {
        say.tell("floating_ip", || {
            let map = fip.map_of(original.protocol, original.dst_port);
            let map = map.map_or_else(String::new, |map| format!(", {map}"));
            format!("destination translated by floating IP {}{map}", fip.id)
        });
        decision.translated.dst = fip.fixed;
        decision.translated.dst_port = if original.is_icmp() { original.dst_port } else { port };
        if to_itself {
            // SEMANTICS 6: a workload drops a packet from its own address as martian.
            decision.translated.src = original.dst;
        }
    }

    // What the rules of both ends say, each as its own workload sees the packet (SEMANTICS 4).
    if let Some(sender) = sender {
        let network = outside.map_or(sender.vrf, |fip| fip.vrf);
        let side = Side { interface: sender, network, direction: Direction::Egress, known };
        side.ask(tables, &original, opening.icmp, &mut decision.rules, say)?;
    }

    // The port of a pool that it leaves with, if it has no address of its own there (SEMANTICS 5).
    let pool = match sender {
        // Towards itself it has the address that it called, unless that is a pool's (SEMANTICS 6).
        Some(sender) if outside.is_none() && !(to_itself && inside.is_some()) && !decision.receive => {
            choose_pool(tables, sender, receiver, &walked, original.v6).map(|nat| (sender, nat))
        }
        _ => None,
    };
    if let Some((sender, nat)) = pool {
        let (bound, (address, port)) =
            bind.bind(nat, sender.id, &original).ok_or(DropReason::SnatExhausted)?;
        decision.bound = Some(bound);
        (decision.translated.src, decision.translated.src_port) = (address, port);
        say.tell("source_nat", || format!("source translated by source NAT {}, port {port}", nat.id));
    }
    // The VRF in which the sender is known to the receiver's side.
    let back_vrf = match (inside, outside) {
        (Some((fip, _)), _) | (None, Some(fip)) => fip.vrf,
        (None, None) if opening.direct.0 != 0 => receiver.map_or(opening.vrf, |receiver| receiver.vrf),
        (None, None) => walked.vrf,
    };
    let mut to_source = Routes::to(tables, original.v6, &original.src);
    if let Some(receiver) = receiver {
        if opening.origin != Origin::Workload
            && !walk::rpf(&mut to_source, receiver.rpf, back_vrf, opening.origin, opening.peer)
        {
            say.tell("rpf", || "the route back does not go through the tunnel it came from".into());
            return Err(DropReason::InvalidSource);
        }
        let seen = decision.translated;
        let (known_vrf, route) = if seen.src == original.src {
            to_source.known(back_vrf)
        } else {
            Routes::to(tables, seen.v6, &seen.src).known(back_vrf)
        };
        let side = Side {
            interface: receiver,
            network: inside.map_or(receiver.vrf, |(fip, _)| fip.vrf),
            direction: Direction::Ingress,
            known: Known::by(tables, known_vrf, route),
        };
        side.ask(tables, &seen, opening.icmp, &mut decision.rules, say)?;
    }

    // How replies are found, and where they go.
    let outer = match pool {
        Some((_, nat)) => nat.scope(),
        // From the fabric and out again: there is no workload side, and so no session.
        None => Scope::to_workload(opening.workload.unwrap_or_default()),
    };
    decision.reverse_scope = match receiver {
        Some(receiver) if receiver.needs_flow() || opening.workload.is_none() => {
            Scope::from_workload(receiver.id)
        }
        _ => outer,
    };
    decision.reverse_leaf = match opening.workload {
        Some(sender) => Leaf::local(sender),
        None => walk::back(&mut to_source, back_vrf, opening.origin, opening.peer)
            .map_or_else(Leaf::default, |back| back.leaf),
    };
    Ok(())
}

/// The way that was found, for an operator.
fn way(tables: &Tables, opening: &Opening, walked: &Walk) -> String {
    let way = match walked.route {
        Some(route) => {
            format!("vrf {}: next hop {}{}", walked.vrf, route.next_hop(), labelled(route.label()))
        }
        None => format!("the label names next hop {}", opening.direct),
    };
    let end = match walked.end {
        End::Local(id) => match tables.interface(id) {
            Some(row) => format!("to local interface {id} ({})", row.name),
            None => format!("to local interface {id}"),
        },
        End::Out(leaf) => format!("out by next hop {}{}", leaf.id(), labelled(leaf.label())),
        End::Receive => "to the vRouter itself".to_owned(),
        End::Service(id) => format!("to service {id}"),
        End::SourceNat(id) => format!("to source NAT {id}"),
    };
    format!("{way}, {end}")
}

fn labelled(label: Label) -> String {
    if label.is_some() { format!(" label {}", label.0) } else { String::new() }
}

/// How a group picked, for an operator.
fn picked(ecmp: &Ecmp, id: NextHopId, slot: usize) -> String {
    let members = ecmp.group.members();
    let by = match ecmp.affinity {
        Affinity::Flow => "flow",
        Affinity::Client => "source address",
    };
    let first = if ecmp.local.is_some() { ", local members first" } else { "" };
    let member = members.get(slot).map_or_else(String::new, |member| {
        format!("next hop {}{} weight {}", member.next_hop, labelled(member.label), member.weight)
    });
    format!("group {id} of {}, by {by}{first}: {member}", members.len())
}
