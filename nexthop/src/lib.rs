//! Where a packet goes: VRFs, FIBs, next hops, ECMP groups, labels, VNIs.

#![forbid(unsafe_code)]

pub mod fib;
pub mod paged;
pub mod prefix;

pub use fib::{FibResult, Vrfs};
pub use paged::Paged;
pub use prefix::{Prefix, PrefixError};
