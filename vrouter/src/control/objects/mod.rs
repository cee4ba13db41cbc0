//! The objects a controller programs: one file per kind that reads and checks the API's message and says
//! what it refers to. What is wrong in itself is found here; what depends on other objects, in `batch`.

mod device;
mod fields;
mod floating_ip;
mod flow;
mod interface;
mod label;
mod link_local;
mod network_policy;
mod next_hop;
mod route;
mod security_group;
mod services;
mod source_nat;
mod vrf;

use fields::{
    at_most, check_name, check_optional_name, distinct, number, port_protocol, read_rules, read_tags,
};
pub(crate) use floating_ip::FloatingIpSpec;
pub(crate) use flow::{FlowKey, FlowSpec};
pub(crate) use interface::InterfaceSpec;
pub(crate) use label::{LabelSpec, MAX_LABEL, Target, VniSpec};
pub(crate) use link_local::LinkLocalSpec;
pub(crate) use network_policy::{MAX_RULES, NetworkPolicySpec};
pub(crate) use next_hop::{EcmpSpec, FIRST_INTERNAL, NextHopKind, NextHopSpec, TunnelSpec};
pub(crate) use route::{OWN_PREFERENCE, Path, RouteKey, RouteSpec};
pub(crate) use security_group::SecurityGroupSpec;
pub(crate) use source_nat::{SourceNatSpec, next_hop_of as source_nat_next_hop};
pub(crate) use vrf::VrfSpec;

use std::{fmt, path::PathBuf, sync::Arc};

use agent_api::v1::{self, Kind, object};
use packet::{InterfaceId, NextHopId, VrfId};

use super::{fault::Invalid, names::Names};

/// Names one object inside the control side. Small, ordered by kind and then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ObjectKey {
    Vrf(VrfId),
    SecurityGroup(u32),
    Interface(InterfaceId),
    NextHop(NextHopId),
    Route(RouteKey),
    MplsLabel(u32),
    Vni(u32),
    FloatingIp(u32),
    SourceNat(u16),
    LinkLocalService(u16),
    Flow(FlowKey),
    NetworkPolicy(u32),
}

/// A checked object of any kind but routes, which are too many to be kept this way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Spec {
    Vrf(Arc<VrfSpec>),
    SecurityGroup(Arc<SecurityGroupSpec>),
    Interface(Arc<InterfaceSpec>),
    NextHop(Arc<NextHopSpec>),
    MplsLabel(LabelSpec),
    Vni(VniSpec),
    FloatingIp(Arc<FloatingIpSpec>),
    SourceNat(Arc<SourceNatSpec>),
    LinkLocalService(Arc<LinkLocalSpec>),
    Flow(FlowSpec),
    NetworkPolicy(Arc<NetworkPolicySpec>),
}

/// A field of an object, named only when somebody asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    /// `vrf`
    Plain(&'static str),
    /// `security_groups[2]`
    Item(&'static str, usize),
    /// `rules[2].group`
    Inside(&'static str, usize, &'static str),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(name) => f.write_str(name),
            Self::Item(name, index) => write!(f, "{name}[{index}]"),
            Self::Inside(name, index, inner) => write!(f, "{name}[{index}].{inner}"),
        }
    }
}

/// What the check of a single object needs to know of the vRouter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Directories under which sockets and pcap files may lie; `None` = anywhere.
    pub(crate) directories: Option<Vec<PathBuf>>,
}

/// One object as it was read.
#[derive(Clone, Debug)]
pub(crate) enum Read {
    Object(ObjectKey, Spec),
    Route(RouteKey, RouteSpec),
}

/// Reads and checks one object.
pub(crate) fn read(
    object: &object::Object,
    rules: &Rules,
    owner: &str,
    names: &mut Names,
) -> Result<Read, Invalid> {
    use object::Object as O;
    let (key, spec) = match object {
        O::Route(route) => {
            let (key, spec) = route::read(route, owner, names)?;
            return Ok(Read::Route(key, spec));
        }
        O::Vrf(vrf) => {
            let spec = vrf::read(vrf.clone())?;
            (ObjectKey::Vrf(spec.id), Spec::Vrf(Arc::new(spec)))
        }
        O::Interface(interface) => {
            let spec = interface::read(interface.clone(), rules, names)?;
            (ObjectKey::Interface(spec.id), Spec::Interface(Arc::new(spec)))
        }
        O::NextHop(next_hop) => {
            let spec = next_hop::read(next_hop.clone())?;
            (ObjectKey::NextHop(spec.id), Spec::NextHop(Arc::new(spec)))
        }
        O::MplsLabel(label) => {
            let spec = label::read_label(*label)?;
            (ObjectKey::MplsLabel(spec.label), Spec::MplsLabel(spec))
        }
        O::Vni(vni) => {
            let spec = label::read_vni(*vni)?;
            (ObjectKey::Vni(spec.vni), Spec::Vni(spec))
        }
        O::SecurityGroup(group) => {
            let spec = security_group::read(group.clone())?;
            (ObjectKey::SecurityGroup(spec.group.id), Spec::SecurityGroup(Arc::new(spec)))
        }
        O::FloatingIp(floating) => {
            let spec = floating_ip::read(floating.clone())?;
            (ObjectKey::FloatingIp(spec.id), Spec::FloatingIp(Arc::new(spec)))
        }
        O::SourceNat(nat) => {
            let spec = source_nat::read(nat.clone())?;
            (ObjectKey::SourceNat(spec.id), Spec::SourceNat(Arc::new(spec)))
        }
        O::LinkLocalService(service) => {
            let spec = link_local::read(service.clone())?;
            (ObjectKey::LinkLocalService(spec.id), Spec::LinkLocalService(Arc::new(spec)))
        }
        O::Flow(pinned) => {
            let spec = flow::read(pinned)?;
            (ObjectKey::Flow(spec.key), Spec::Flow(spec))
        }
        O::NetworkPolicy(policy) => {
            let spec = network_policy::read(policy.clone(), names)?;
            (ObjectKey::NetworkPolicy(spec.policy.id), Spec::NetworkPolicy(Arc::new(spec)))
        }
    };
    Ok(Read::Object(key, spec))
}

/// Reads a key. Ids that no object can have are refused like wrong addresses.
pub(crate) fn read_key(key: &v1::key::Key, owner: &str, names: &mut Names) -> Result<ObjectKey, Invalid> {
    use v1::key::Key as K;
    Ok(match key {
        K::Vrf(id) => ObjectKey::Vrf(vrf::id("vrf", *id)?),
        K::Interface(id) => ObjectKey::Interface(interface::id("interface", *id)?),
        K::NextHop(id) => ObjectKey::NextHop(next_hop::id("next_hop", *id)?),
        K::Route(route) => ObjectKey::Route(route::read_key(route, owner, names)?),
        K::MplsLabel(label) => ObjectKey::MplsLabel(*label),
        K::Vni(vni) => ObjectKey::Vni(*vni),
        K::SecurityGroup(id) => ObjectKey::SecurityGroup(*id),
        K::FloatingIp(id) => ObjectKey::FloatingIp(*id),
        K::SourceNat(id) => ObjectKey::SourceNat(source_nat::id("source_nat", *id)?),
        K::LinkLocalService(id) => {
            ObjectKey::LinkLocalService(number("link_local_service", *id, 1..=65_535)?)
        }
        K::Flow(flow) => ObjectKey::Flow(flow::read_key(flow)?),
        K::NetworkPolicy(id) => ObjectKey::NetworkPolicy(*id),
    })
}

impl ObjectKey {
    /// The kind of object.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Vrf(_) => Kind::Vrf,
            Self::SecurityGroup(_) => Kind::SecurityGroup,
            Self::Interface(_) => Kind::Interface,
            Self::NextHop(_) => Kind::NextHop,
            Self::Route(_) => Kind::Route,
            Self::MplsLabel(_) => Kind::MplsLabel,
            Self::Vni(_) => Kind::Vni,
            Self::FloatingIp(_) => Kind::FloatingIp,
            Self::SourceNat(_) => Kind::SourceNat,
            Self::LinkLocalService(_) => Kind::LinkLocalService,
            Self::Flow(_) => Kind::Flow,
            Self::NetworkPolicy(_) => Kind::NetworkPolicy,
        }
    }

    /// The lowest key of a kind: where a list of that kind starts. `None` for routes and no kind.
    pub(crate) const fn first_of(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Unspecified | Kind::Route => return None,
            Kind::Vrf => Self::Vrf(VrfId(0)),
            Kind::SecurityGroup => Self::SecurityGroup(0),
            Kind::Interface => Self::Interface(InterfaceId(0)),
            Kind::NextHop => Self::NextHop(NextHopId(0)),
            Kind::MplsLabel => Self::MplsLabel(0),
            Kind::Vni => Self::Vni(0),
            Kind::FloatingIp => Self::FloatingIp(0),
            Kind::SourceNat => Self::SourceNat(0),
            Kind::LinkLocalService => Self::LinkLocalService(0),
            Kind::Flow => Self::Flow(FlowKey::LOWEST),
            Kind::NetworkPolicy => Self::NetworkPolicy(0),
        })
    }

    /// As the API names it.
    pub(crate) fn to_api(self, names: &Names) -> v1::Key {
        use v1::key::Key as K;
        let key = match self {
            Self::Vrf(id) => K::Vrf(id.0.into()),
            Self::SecurityGroup(id) => K::SecurityGroup(id),
            Self::Interface(id) => K::Interface(id.0.into()),
            Self::NextHop(id) => K::NextHop(id.0),
            Self::Route(route) => K::Route(route.to_api(names)),
            Self::MplsLabel(label) => K::MplsLabel(label),
            Self::Vni(vni) => K::Vni(vni),
            Self::FloatingIp(id) => K::FloatingIp(id),
            Self::SourceNat(id) => K::SourceNat(id.into()),
            Self::LinkLocalService(id) => K::LinkLocalService(id.into()),
            Self::Flow(flow) => K::Flow(flow.to_api()),
            Self::NetworkPolicy(id) => K::NetworkPolicy(id),
        };
        v1::Key { key: Some(key) }
    }
}

/// For each kind: its id in a key, if that names such an object.
macro_rules! projections {
    ($($name:ident $kind:ident $id:ty),* $(,)?) => {
        impl ObjectKey {
            $(pub(crate) const fn $name(self) -> Option<$id> {
                match self {
                    Self::$kind(id) => Some(id),
                    _ => None,
                }
            })*
        }
    };
}

projections! {
    vrf Vrf VrfId,
    security_group SecurityGroup u32,
    interface Interface InterfaceId,
    next_hop NextHop NextHopId,
    floating_ip FloatingIp u32,
    source_nat SourceNat u16,
    link_local_service LinkLocalService u16,
}

impl Spec {
    /// As the API shows it.
    pub(crate) fn to_api(&self) -> v1::Object {
        match self {
            Self::Vrf(spec) => spec.message.clone().into(),
            Self::SecurityGroup(spec) => spec.message.clone().into(),
            Self::Interface(spec) => spec.message.clone().into(),
            Self::NextHop(spec) => spec.message.clone().into(),
            Self::MplsLabel(spec) => spec.to_api().into(),
            Self::Vni(spec) => spec.to_api().into(),
            Self::FloatingIp(spec) => spec.message.clone().into(),
            Self::SourceNat(spec) => spec.message.clone().into(),
            Self::LinkLocalService(spec) => spec.message.clone().into(),
            Self::Flow(spec) => spec.to_api().into(),
            Self::NetworkPolicy(spec) => spec.message.clone().into(),
        }
    }

    /// Calls `visit` for each object this one refers to.
    pub(crate) fn references(&self, mut visit: impl FnMut(ObjectKey, Field)) {
        match self {
            Self::Vrf(spec) => spec.references(&mut visit),
            Self::SecurityGroup(spec) => spec.references(&mut visit),
            Self::Interface(spec) => spec.references(&mut visit),
            Self::NextHop(spec) => spec.references(&mut visit),
            Self::MplsLabel(spec) => spec.target.references(&mut visit),
            Self::Vni(spec) => spec.target.references(&mut visit),
            Self::FloatingIp(spec) => spec.references(&mut visit),
            Self::SourceNat(spec) => spec.references(&mut visit),
            Self::LinkLocalService(spec) => spec.references(&mut visit),
            Self::Flow(spec) => visit(ObjectKey::Interface(spec.key.interface), Field::Plain("interface")),
            // The networks that it names need not be known on this node.
            Self::NetworkPolicy(_) => {}
        }
    }

    /// The VRF the object belongs to, for lists of one VRF.
    pub(crate) fn vrf(&self) -> Option<VrfId> {
        match self {
            Self::Vrf(spec) => Some(spec.id),
            Self::Interface(spec) => Some(spec.vrf),
            Self::FloatingIp(spec) => Some(spec.vrf),
            Self::SourceNat(spec) => Some(spec.vrf),
            Self::LinkLocalService(spec) => Some(spec.service.vrf),
            Self::NextHop(spec) => match &spec.kind {
                NextHopKind::Vrf(vrf) => Some(*vrf),
                NextHopKind::Tunnel(tunnel) => Some(tunnel.transport_vrf),
                _ => None,
            },
            Self::MplsLabel(spec) => spec.target.vrf(),
            Self::Vni(spec) => spec.target.vrf(),
            Self::SecurityGroup(_) | Self::Flow(_) | Self::NetworkPolicy(_) => None,
        }
    }
}
