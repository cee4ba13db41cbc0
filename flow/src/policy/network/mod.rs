//! Network policies: ordered rules about who may talk between networks, of which the first that matches decides.
//!
//! A network is named by its primary VRF. Rules are asked once for each local end of a new session, those of that
//! end's own network.

mod compiled;
mod ends;
mod linear;
mod rows;
mod rule;
mod steps;

pub use compiled::CompiledNetworkPolicy;
pub use linear::decide_linearly;
pub use rule::{Action, Answer, End, EndMatch, NetworkPolicy, NetworkRule, Query};
