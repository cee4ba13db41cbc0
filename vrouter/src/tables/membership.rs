//! What is known about whoever lives behind a route.

use packet::{TagId, VrfId};

/// What the workloads behind a route are members of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Membership {
    /// Their security groups, ascending.
    pub groups: Box<[u32]>,
    /// Their network, by its primary VRF; `None` = that of the VRF the route is in.
    pub network: Option<VrfId>,
    /// Their tags, ascending.
    pub tags: Box<[TagId]>,
}

impl Membership {
    /// Whether the route says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.network.is_none() && self.tags.is_empty()
    }
}
