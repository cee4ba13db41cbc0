//! MPLS labels and VNIs: what a value on a received packet names.

use agent_api::v1::{self, mpls_label, vni};
use packet::{NextHopId, VrfId};

use super::{Field, ObjectKey, next_hop, number, vrf};
use crate::control::fault::Invalid;

/// The highest VNI (24 bits).
pub(super) const MAX_VNI: u32 = 0xff_ffff;
/// The highest MPLS label (20 bits).
pub(crate) const MAX_LABEL: u32 = 0xf_ffff;
/// The lowest label that is not reserved (RFC 3032 §2.1).
pub(super) const MIN_LABEL: u32 = 16;

/// What a label or VNI names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    NextHop(NextHopId),
    Vrf(VrfId),
}

/// A checked label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LabelSpec {
    pub(crate) label: u32,
    pub(crate) target: Target,
}

/// A checked VNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VniSpec {
    pub(crate) vni: u32,
    pub(crate) target: Target,
}

pub(super) fn read_label(message: v1::MplsLabel) -> Result<LabelSpec, Invalid> {
    let label = number("label", message.label, MIN_LABEL..=MAX_LABEL)?;
    let target = match message.target {
        None => return Err(no_target()),
        Some(mpls_label::Target::NextHop(id)) => Target::NextHop(next_hop::reference("next_hop", id)?),
        Some(mpls_label::Target::Vrf(id)) => Target::Vrf(vrf::id("vrf", id)?),
    };
    Ok(LabelSpec { label, target })
}

pub(super) fn read_vni(message: v1::Vni) -> Result<VniSpec, Invalid> {
    let vni = number("vni", message.vni, 1..=MAX_VNI)?;
    let target = match message.target {
        None => return Err(no_target()),
        Some(vni::Target::NextHop(id)) => Target::NextHop(next_hop::reference("next_hop", id)?),
        Some(vni::Target::Vrf(id)) => Target::Vrf(vrf::id("vrf", id)?),
    };
    Ok(VniSpec { vni, target })
}

fn no_target() -> Invalid {
    Invalid::new("target", "names neither a next_hop nor a vrf")
}

impl Target {
    pub(super) fn references(self, visit: &mut impl FnMut(ObjectKey, Field)) {
        match self {
            Self::NextHop(id) => visit(ObjectKey::NextHop(id), Field::Plain("next_hop")),
            Self::Vrf(id) => visit(ObjectKey::Vrf(id), Field::Plain("vrf")),
        }
    }

    pub(super) const fn vrf(self) -> Option<VrfId> {
        match self {
            Self::NextHop(_) => None,
            Self::Vrf(id) => Some(id),
        }
    }
}

impl LabelSpec {
    pub(super) fn to_api(self) -> v1::MplsLabel {
        let target = match self.target {
            Target::NextHop(id) => mpls_label::Target::NextHop(id.0),
            Target::Vrf(id) => mpls_label::Target::Vrf(id.0.into()),
        };
        v1::MplsLabel { label: self.label, target: Some(target) }
    }
}

impl VniSpec {
    pub(super) fn to_api(self) -> v1::Vni {
        let target = match self.target {
            Target::NextHop(id) => vni::Target::NextHop(id.0),
            Target::Vrf(id) => vni::Target::Vrf(id.0.into()),
        };
        v1::Vni { vni: self.vni, target: Some(target) }
    }
}
