//! Who writes.

use std::sync::Arc;

/// An authenticated writer: peer credential, certificate name, the configuration file, or the vRouter itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

/// Objects of the configuration file: read-only to everybody else.
pub(crate) const CONFIG: &str = "config";
/// Objects the vRouter makes itself: routes of its own addresses.
pub(crate) const INTERNAL: &str = "vrouter";
/// The origin of those routes.
pub(crate) const LOCAL: &str = "local";

/// Whether a name is one of ours: no peer has it, and nobody else's routes come from it.
pub(crate) fn is_reserved(name: &str) -> bool {
    [CONFIG, INTERNAL, LOCAL, "linklocal", "netlink"].contains(&name)
}

impl Owner {
    /// The configuration file.
    #[must_use]
    pub fn config() -> Self {
        Self(CONFIG.into())
    }

    /// A peer by its authenticated name; `None` if the name is empty, too long or one of ours.
    #[must_use]
    pub fn peer(name: &str) -> Option<Self> {
        (!name.is_empty() && name.len() <= 255 && !is_reserved(name)).then(|| Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Owner;

    #[test]
    fn no_peer_passes_for_the_configuration_or_the_vrouter() {
        for name in ["", "config", "vrouter", "local", "netlink", &"x".repeat(256)] {
            assert_eq!(Owner::peer(name), None, "{name}");
        }
        assert_eq!(Owner::peer("uid:0").unwrap().name(), "uid:0");
    }
}
