//! Routes: there may be millions, so they are kept as numbers and not as messages.

use agent_api::v1;
use nexthop::Prefix;
use packet::{GroupSetId, NextHopId, VrfId};

use super::{at_most, next_hop, number, read_tags, vrf};
use crate::{
    control::{
        fault::Invalid,
        names::{NameId, Names},
        owner::is_reserved,
        text::{Ip, parse_prefix},
    },
    tables::Membership,
};

/// Names one path: a prefix of a VRF by one origin. Paths of one prefix are neighbours in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RouteKey {
    pub(crate) vrf: VrfId,
    pub(crate) network: Prefix,
    pub(crate) origin: NameId,
}

/// A checked route as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteSpec {
    pub(crate) next_hop: NextHopId,
    /// 0 = the next hop's own.
    pub(crate) label: u32,
    pub(crate) preference: u32,
    pub(crate) membership: Membership,
}

/// One path as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) next_hop: NextHopId,
    /// 0 = the next hop's own.
    pub(crate) label: u32,
    pub(crate) preference: u32,
    pub(crate) membership: GroupSetId,
    pub(crate) owner: NameId,
    /// The owner's replay in which it was last written.
    pub(crate) mark: u32,
    /// When it took effect.
    pub(crate) generation: u64,
}

/// The preference of a route that names none.
pub(crate) const DEFAULT_PREFERENCE: u32 = 100;
/// The preference of the vRouter's own routes, and of no others: they go first, whatever the origins are called.
pub(crate) const OWN_PREFERENCE: u32 = u32::MAX;

pub(super) fn read(
    message: &v1::Route,
    owner: &str,
    names: &mut Names,
) -> Result<(RouteKey, RouteSpec), Invalid> {
    // Under such an origin a controller would block the route of an address that an interface gets later.
    if message.origin != owner && is_reserved(&message.origin) {
        return Err(Invalid::new(
            "origin",
            format!("{} is the vRouter's own: choose another", message.origin),
        ));
    }
    let key = key(message.vrf, &message.prefix, &message.origin, owner, names)?;
    let next_hop =
        if message.next_hop == 0 { NextHopId(0) } else { next_hop::reference("next_hop", message.next_hop)? };
    // 0xffffff is "no label" in the tables.
    let label = number("label", message.label, 0..=0xff_fffe)?;
    if (1..super::label::MIN_LABEL).contains(&label) {
        return Err(Invalid::new(
            "label",
            format!("{label} is reserved (RFC 3032): 16 and above may be pushed"),
        ));
    }
    let preference = match message.preference {
        0 => DEFAULT_PREFERENCE,
        value => number("preference", value, 1..=OWN_PREFERENCE - 1)?,
    };
    let mut groups = message.security_groups.clone();
    groups.sort_unstable();
    groups.dedup();
    if groups.first() == Some(&0) {
        return Err(Invalid::new("security_groups", "0 is no security group"));
    }
    at_most("security_groups", "groups", groups.len(), MAX_GROUPS)?;
    let network = match message.network {
        0 => None,
        id => Some(vrf::id("network", id)?).filter(|&network| network != key.vrf),
    };
    let tags = read_tags("tags", &message.tags, names)?;
    let membership = Membership { groups: groups.into(), network, tags };
    Ok((key, RouteSpec { next_hop, label, preference, membership }))
}

/// Most groups of one route.
const MAX_GROUPS: usize = 256;

/// Reads a route's key; an empty origin is the owner's name.
pub(crate) fn read_key(message: &v1::RouteKey, owner: &str, names: &mut Names) -> Result<RouteKey, Invalid> {
    key(message.vrf, &message.prefix, &message.origin, owner, names)
}

fn key(vrf: u32, prefix: &str, origin: &str, owner: &str, names: &mut Names) -> Result<RouteKey, Invalid> {
    let vrf = vrf::id("vrf", vrf)?;
    let network = parse_prefix(prefix).map_err(|text| Invalid::new("prefix", text))?;
    let origin = if origin.is_empty() { owner } else { origin };
    if origin.len() > 255 {
        return Err(Invalid::new("origin", format!("{} bytes long; at most 255 are allowed", origin.len())));
    }
    let origin = names
        .intern(origin)
        .ok_or_else(|| Invalid::new("origin", "65536 different owners and origins are known already"))?;
    Ok(RouteKey { vrf, network, origin })
}

impl RouteKey {
    /// Not above any key of this VRF.
    pub(crate) fn first_of_vrf(vrf: VrfId) -> Self {
        Self::first_of(vrf, Ip::LOWEST.network(0))
    }

    /// Not above any key of this prefix.
    pub(crate) const fn first_of(vrf: VrfId, network: Prefix) -> Self {
        Self { vrf, network, origin: NameId(0) }
    }

    /// Whether both are paths of the same prefix.
    pub(crate) fn same_prefix(&self, other: &Self) -> bool {
        self.vrf == other.vrf && self.network == other.network
    }

    pub(crate) fn to_api(self, names: &Names) -> v1::RouteKey {
        v1::RouteKey {
            vrf: self.vrf.0.into(),
            prefix: self.network.to_string(),
            origin: names.get(self.origin).to_owned(),
        }
    }
}

impl Path {
    /// As the API shows it.
    pub(crate) fn to_api(self, key: RouteKey, membership: Option<&Membership>, names: &Names) -> v1::Object {
        let nobody = Membership::default();
        let Membership { groups, network, tags } = membership.unwrap_or(&nobody);
        v1::Route {
            vrf: key.vrf.0.into(),
            prefix: key.network.to_string(),
            origin: names.get(key.origin).to_owned(),
            next_hop: self.next_hop.0,
            label: self.label,
            preference: self.preference,
            security_groups: groups.to_vec(),
            network: network.map_or(0, |network| network.0.into()),
            tags: tags.iter().map(|&tag| names.tag(tag).to_owned()).collect(),
        }
        .into()
    }
}
