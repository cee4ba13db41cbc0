//! Next hops.

use agent_api::v1::{self, next_hop::Kind};
use packet::{
    InterfaceId, Label, NextHopId, VrfId,
    encap::{Encapsulation, MAX_OUTER_LABELS},
};

use super::{Field, ObjectKey, at_most, interface, label, number, vrf};
use crate::control::{
    fault::Invalid,
    text::{Ip, parse_mac},
};
use crate::tables::Affinity;

/// Next hops from here on are the vRouter's own: the routes of its own addresses name them.
pub(crate) const FIRST_INTERNAL: u32 = 0xfe_0000;
/// The MAC of the vRouter towards workloads and in L3 VXLAN, where none is given.
pub(super) const ROUTER_MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 0];
/// Most members of an ecmp group.
const MAX_MEMBERS: usize = nexthop::EcmpGroup::MEMBERS;

/// A checked next hop.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NextHopSpec {
    pub(crate) message: v1::NextHop,
    pub(crate) id: NextHopId,
    pub(crate) kind: NextHopKind,
    /// L3 MTU; 0 = that of the out interface.
    pub(crate) mtu: u16,
}

/// What a next hop does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextHopKind {
    Discard,
    Reject,
    Receive,
    Resolve(InterfaceId),
    Interface(InterfaceId, Option<Ip>),
    Tunnel(TunnelSpec),
    Ecmp(EcmpSpec),
    Vrf(VrfId),
    /// The vRouter's own, for the addresses of a pool.
    SourceNat(u16),
}

/// A checked tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TunnelSpec {
    pub(crate) encapsulation: Encapsulation,
    pub(crate) destination: Ip,
    pub(crate) source: Option<Ip>,
    pub(crate) transport_vrf: VrfId,
    /// 0 = every route names its own.
    pub(crate) label: u32,
    pub(crate) router_mac: [u8; 6],
    pub(crate) source_router_mac: [u8; 6],
    pub(crate) clear_df: bool,
    /// 0 = copied from the inner packet.
    pub(crate) dscp: u8,
    pub(crate) udp_checksum: bool,
    /// On top of the route's, the outermost first.
    pub(crate) outer_labels: [Label; MAX_OUTER_LABELS],
}

/// A checked ecmp group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EcmpSpec {
    pub(crate) members: Vec<EcmpMember>,
    pub(crate) affinity: Affinity,
    pub(crate) prefer_local: bool,
}

/// A member of an ecmp group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EcmpMember {
    pub(crate) next_hop: NextHopId,
    /// 0 = the member's own.
    pub(crate) label: u32,
    /// 0 drains.
    pub(crate) weight: u32,
}

pub(super) fn read(message: v1::NextHop) -> Result<NextHopSpec, Invalid> {
    let id = id("id", message.id)?;
    let kind = match &message.kind {
        None => return Err(Invalid::new("kind", "a kind is needed: discard, interface, tunnel, ...")),
        Some(Kind::Discard(_)) => NextHopKind::Discard,
        Some(Kind::Reject(_)) => NextHopKind::Reject,
        Some(Kind::Receive(_)) => NextHopKind::Receive,
        Some(Kind::Resolve(resolve)) => {
            NextHopKind::Resolve(interface::id("resolve.interface", resolve.interface)?)
        }
        Some(Kind::Interface(out)) => {
            let neighbour = optional("interface.address", &out.address, Ip::parse_unicast)?;
            NextHopKind::Interface(interface::id("interface.interface", out.interface)?, neighbour)
        }
        Some(Kind::Tunnel(tunnel)) => NextHopKind::Tunnel(read_tunnel(tunnel)?),
        Some(Kind::Ecmp(ecmp)) => NextHopKind::Ecmp(read_ecmp(ecmp)?),
        Some(Kind::Vrf(other)) => NextHopKind::Vrf(vrf::id("vrf.vrf", other.vrf)?),
        Some(Kind::SourceNat(_)) => {
            return Err(Invalid::new("source_nat", "is made by the vRouter: write a source_nat object"));
        }
    };
    let mtu = match message.mtu {
        0 => 0,
        mtu => number("mtu", mtu, interface::MTU)?,
    };
    Ok(NextHopSpec { id, kind, mtu, message })
}

fn read_tunnel(tunnel: &v1::Tunnel) -> Result<TunnelSpec, Invalid> {
    let encapsulation = match v1::Encapsulation::try_from(tunnel.encapsulation) {
        Ok(v1::Encapsulation::MplsOverUdp) => Encapsulation::MplsOverUdp,
        Ok(v1::Encapsulation::MplsOverGre) => Encapsulation::MplsOverGre,
        Ok(v1::Encapsulation::Vxlan) => Encapsulation::Vxlan,
        _ => {
            let text = "MPLS_OVER_UDP, MPLS_OVER_GRE or VXLAN is needed";
            return Err(Invalid::new("tunnel.encapsulation", text));
        }
    };
    let destination =
        Ip::parse_unicast(&tunnel.destination).map_err(|text| Invalid::new("tunnel.destination", text))?;
    let source = optional("tunnel.source", &tunnel.source, Ip::parse_unicast)?;
    if source.is_some_and(|source| source.v6 != destination.v6) {
        let text = format!("{} is not of the family of {destination}", tunnel.source);
        return Err(Invalid::new("tunnel.source", text));
    }
    let vxlan = encapsulation == Encapsulation::Vxlan;
    let label = match tunnel.label {
        0 => 0,
        // 0xffffff is "no label" in the tables.
        vni if vxlan => number("tunnel.label", vni, 1..=label::MAX_VNI - 1)?,
        value => number("tunnel.label", value, label::MIN_LABEL..=label::MAX_LABEL)?,
    };
    let router_mac = optional("tunnel.router_mac", &tunnel.router_mac, parse_mac)?;
    if vxlan && router_mac.is_none() {
        return Err(Invalid::new("tunnel.router_mac", "VXLAN carries L3 between router MACs: one is needed"));
    }
    let source_router_mac = optional("tunnel.source_router_mac", &tunnel.source_router_mac, parse_mac)?;
    Ok(TunnelSpec {
        encapsulation,
        destination,
        source,
        transport_vrf: vrf::id("tunnel.transport_vrf", tunnel.transport_vrf)?,
        label,
        router_mac: router_mac.unwrap_or_default(),
        source_router_mac: source_router_mac.unwrap_or(ROUTER_MAC),
        clear_df: tunnel.clear_df,
        dscp: number("tunnel.dscp", tunnel.dscp, 0..=63)?,
        udp_checksum: tunnel.udp_checksum,
        outer_labels: read_outer_labels(tunnel, vxlan)?,
    })
}

fn read_outer_labels(tunnel: &v1::Tunnel, vxlan: bool) -> Result<[Label; MAX_OUTER_LABELS], Invalid> {
    let mut labels = [Label::NONE; MAX_OUTER_LABELS];
    if vxlan && !tunnel.outer_labels.is_empty() {
        return Err(Invalid::new("tunnel.outer_labels", "VXLAN carries no labels"));
    }
    at_most("tunnel.outer_labels", "labels", tunnel.outer_labels.len(), labels.len())?;
    for (index, (label, &value)) in labels.iter_mut().zip(&tunnel.outer_labels).enumerate() {
        let field = format!("tunnel.outer_labels[{index}]");
        *label = Label(number(&field, value, label::MIN_LABEL..=label::MAX_LABEL)?);
    }
    Ok(labels)
}

fn read_ecmp(ecmp: &v1::Ecmp) -> Result<EcmpSpec, Invalid> {
    let affinity = match v1::Affinity::try_from(ecmp.affinity) {
        Ok(v1::Affinity::Flow) => Affinity::Flow,
        Ok(v1::Affinity::ClientAddress) => Affinity::Client,
        Err(_) => return Err(Invalid::new("ecmp.affinity", format!("{} is no affinity", ecmp.affinity))),
    };
    Ok(EcmpSpec { members: read_members(ecmp)?, affinity, prefer_local: ecmp.prefer_local })
}

fn read_members(ecmp: &v1::Ecmp) -> Result<Vec<EcmpMember>, Invalid> {
    at_most("ecmp.members", "members", ecmp.members.len(), MAX_MEMBERS)?;
    let mut members = Vec::with_capacity(ecmp.members.len());
    for (index, member) in ecmp.members.iter().enumerate() {
        let field = |name: &str| format!("ecmp.members[{index}].{name}");
        let label = match member.label {
            0 => 0,
            value => number(&field("label"), value, label::MIN_LABEL..=label::MAX_VNI - 1)?,
        };
        let next_hop = reference(&field("next_hop"), member.next_hop)?;
        let weight = number(&field("weight"), member.weight, 0..=65_535)?;
        if members.iter().any(|other: &EcmpMember| other.next_hop == next_hop && other.label == label) {
            let text =
                format!("next hop {next_hop} with the same label is there twice: give it a higher weight");
            return Err(Invalid::new(field("next_hop"), text));
        }
        members.push(EcmpMember { next_hop, label, weight });
    }
    Ok(members)
}

fn optional<T>(
    field: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Invalid> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse(text).map(Some).map_err(|message| Invalid::new(field, message))
    }
}

/// Reads the id of a next hop that a controller may write.
pub(super) fn id(field: &str, value: u32) -> Result<NextHopId, Invalid> {
    number(field, value, 1..=FIRST_INTERNAL - 1).map(NextHopId)
}

/// Reads the id of a next hop that an object may name: the vRouter's own too.
pub(super) fn reference(field: &str, value: u32) -> Result<NextHopId, Invalid> {
    number(field, value, 1..=0xff_ffff).map(NextHopId)
}

impl NextHopSpec {
    /// One of the vRouter's own.
    pub(crate) fn internal(id: NextHopId, kind: NextHopKind) -> Self {
        let message = match &kind {
            NextHopKind::Resolve(interface) => {
                Some(Kind::Resolve(v1::Resolve { interface: interface.0.into() }))
            }
            NextHopKind::Receive => Some(Kind::Receive(v1::Receive {})),
            NextHopKind::SourceNat(id) => {
                Some(Kind::SourceNat(v1::SourceNatNextHop { source_nat: (*id).into() }))
            }
            _ => None,
        };
        Self { message: v1::NextHop { id: id.0, kind: message, mtu: 0 }, id, kind, mtu: 0 }
    }

    pub(super) fn references(&self, visit: &mut impl FnMut(ObjectKey, Field)) {
        match &self.kind {
            NextHopKind::Discard | NextHopKind::Reject | NextHopKind::Receive => {}
            NextHopKind::Resolve(id) => visit(ObjectKey::Interface(*id), Field::Plain("resolve.interface")),
            NextHopKind::Interface(id, _) => {
                visit(ObjectKey::Interface(*id), Field::Plain("interface.interface"));
            }
            NextHopKind::Tunnel(tunnel) => {
                visit(ObjectKey::Vrf(tunnel.transport_vrf), Field::Plain("tunnel.transport_vrf"));
            }
            NextHopKind::Ecmp(ecmp) => {
                for (index, member) in ecmp.members.iter().enumerate() {
                    let field = Field::Inside("ecmp.members", index, "next_hop");
                    visit(ObjectKey::NextHop(member.next_hop), field);
                }
            }
            NextHopKind::Vrf(id) => visit(ObjectKey::Vrf(*id), Field::Plain("vrf.vrf")),
            NextHopKind::SourceNat(id) => visit(ObjectKey::SourceNat(*id), Field::Plain("source_nat")),
        }
    }

    /// Whether it is a tunnel that pushes MPLS labels.
    pub(crate) fn is_mpls(&self) -> bool {
        matches!(&self.kind, NextHopKind::Tunnel(tunnel) if tunnel.encapsulation != Encapsulation::Vxlan)
    }

    /// The members of an ecmp group; none for other kinds.
    pub(crate) fn members(&self) -> &[EcmpMember] {
        match &self.kind {
            NextHopKind::Ecmp(ecmp) => &ecmp.members,
            _ => &[],
        }
    }
}
