//! Where a packet goes.
//!
//! - [`fib`]: longest-prefix match per VRF, in [`rib`] the paths it is made from.
//! - [`next_hop`]: what a route, a label or a flow leads to; [`ecmp`]: one of several; [`resolve`]: what a tunnel stands on.
//! - [`labels`]: what MPLS labels and VNIs of received packets name.
//! - [`paged`]: the sparse array under tables that are indexed by an id.
//!
//! Whatever workers read is a *persistent value*: a clone is a snapshot that never changes, costs next to nothing and shares all that
//! later edits leave alone. This crate knows nothing of threads, DPDK or gRPC.

#![deny(unsafe_code)]

pub mod ecmp;
pub mod fib;
pub mod labels;
pub mod next_hop;
pub mod paged;
pub mod prefix;
pub mod resolve;
pub mod rib;

pub use ecmp::{EcmpGroup, Member};
pub use fib::{FibResult, Vrfs};
pub use labels::{MplsLabels, Target, Vnis};
pub use next_hop::{NextHop, TunnelNextHop};
pub use paged::Paged;
pub use prefix::{Prefix, PrefixError};
pub use resolve::{Hop, ResolveError, Uplink, resolve};
pub use rib::Rib;
