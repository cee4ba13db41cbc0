//! Longest-prefix match per VRF, for IPv4 and IPv6, as a persistent value.

mod array;
mod burst;
mod hosts;
mod key;
mod lanes;
mod leaf;
mod machine;
mod page;
mod paint;

mod result;
mod results;
mod route;
mod table;
mod trie;
mod vrfs;

pub use result::FibResult;
pub use vrfs::Vrfs;
