//! The kinds of objects: one table from which names, order and keys come.

use crate::v1::{Kind, Object, object};

impl Kind {
    /// Every kind, what is referred to before what refers to it: applied in this order no object names
    /// one that does not exist yet (objects of one kind may name each other: see [`crate::order`]).
    pub const ALL: [Self; 12] = [
        Self::NetworkPolicy,
        Self::Vrf,
        Self::SecurityGroup,
        Self::Interface,
        Self::NextHop,
        Self::Route,
        Self::MplsLabel,
        Self::Vni,
        Self::FloatingIp,
        Self::SourceNat,
        Self::LinkLocalService,
        Self::Flow,
    ];

    /// The name in the API's vocabulary: `next_hop`, as in the YAML text `- next_hop: {id: 5}`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "nothing",
            Self::Vrf => "vrf",
            Self::Interface => "interface",
            Self::NextHop => "next_hop",
            Self::Route => "route",
            Self::MplsLabel => "mpls_label",
            Self::Vni => "vni",
            Self::SecurityGroup => "security_group",
            Self::FloatingIp => "floating_ip",
            Self::SourceNat => "source_nat",
            Self::LinkLocalService => "link_local_service",
            Self::Flow => "flow",
            Self::NetworkPolicy => "network_policy",
        }
    }

    /// Its place in [`Kind::ALL`].
    pub(crate) fn rank(self) -> usize {
        Self::ALL.iter().position(|&kind| kind == self).unwrap_or(Self::ALL.len())
    }
}

/// The kind of an object, `Kind::Unspecified` for an empty one.
#[must_use]
pub const fn kind_of(object: &Object) -> Kind {
    match &object.object {
        None => Kind::Unspecified,
        Some(object::Object::Vrf(_)) => Kind::Vrf,
        Some(object::Object::Interface(_)) => Kind::Interface,
        Some(object::Object::NextHop(_)) => Kind::NextHop,
        Some(object::Object::Route(_)) => Kind::Route,
        Some(object::Object::MplsLabel(_)) => Kind::MplsLabel,
        Some(object::Object::Vni(_)) => Kind::Vni,
        Some(object::Object::SecurityGroup(_)) => Kind::SecurityGroup,
        Some(object::Object::FloatingIp(_)) => Kind::FloatingIp,
        Some(object::Object::SourceNat(_)) => Kind::SourceNat,
        Some(object::Object::LinkLocalService(_)) => Kind::LinkLocalService,
        Some(object::Object::Flow(_)) => Kind::Flow,
        Some(object::Object::NetworkPolicy(_)) => Kind::NetworkPolicy,
    }
}

macro_rules! object_from {
    ($($kind:ident)*) => {
        $(impl From<crate::v1::$kind> for Object {
            fn from(value: crate::v1::$kind) -> Self {
                Self { object: Some(object::Object::$kind(value)) }
            }
        })*
    };
}

object_from!(Vrf Interface NextHop Route MplsLabel Vni SecurityGroup FloatingIp SourceNat LinkLocalService Flow NetworkPolicy);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_place_in_the_order() {
        let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
        // KIND_UNSPECIFIED is the only one that is no kind.
        let declared = (0..100).filter(|&number| Kind::try_from(number).is_ok()).count();
        assert_eq!(declared, Kind::ALL.len() + 1);
        assert!(Kind::Vrf.rank() < Kind::Interface.rank());
        assert_eq!(Kind::Unspecified.rank(), Kind::ALL.len());
    }

    #[test]
    fn the_name_of_a_kind_is_the_name_of_its_enum_value() {
        for kind in Kind::ALL {
            assert_eq!(format!("KIND_{}", kind.name().to_uppercase()), kind.as_str_name());
        }
    }
}
