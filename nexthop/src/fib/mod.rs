//! Longest-prefix match per VRF, for IPv4 and IPv6, as a persistent value.

mod content;
mod entry;
mod hosts;
mod key;
mod kids;
mod node;
mod ranks;
mod result;
mod table;
mod vrfs;

pub use result::FibResult;
pub use vrfs::Vrfs;
