//! Longest-prefix match per VRF, for IPv4 and IPv6, as a persistent value.

mod burst;
mod content;
mod entry;
mod hosts;
mod key;
mod kids;
mod node;
mod page;
mod prefetch;
mod ranks;
mod result;
mod results;
mod table;
mod vrfs;

pub use result::FibResult;
pub use vrfs::Vrfs;
