//! Where a packet goes.
//!
//! - [`fib`]: longest-prefix match per VRF.
//! - [`ecmp`]: one of several next hops; [`resolve`]: what a tunnel stands on.
//! - [`labels`]: what MPLS labels and VNIs of received packets name.
//! - [`paged`]: the sparse array under tables that are indexed by an id.
//!
//! Whatever workers read is a *persistent value*: a clone is a snapshot that never changes, costs next to nothing and shares all that
//! later edits leave alone. This crate knows nothing of threads, DPDK or gRPC.

#![deny(unsafe_code)]

pub mod ecmp;
pub mod fib;
pub mod labels;
pub mod paged;
pub mod prefix;
pub mod resolve;

pub use ecmp::{EcmpGroup, Member, client_hash};
pub use fib::{FibResult, Vrfs};
pub use labels::{MplsLabels, Target, Vnis};
pub use paged::Paged;
pub use prefix::{Prefix, PrefixError};
pub use resolve::{Hop, ResolveError, Uplink, resolve};
