//! Bytes: header views, one-pass parse, checksums, rewrites, encapsulation templates, ids and the table
//! of drop reasons. This crate knows nothing of tables, threads, DPDK or gRPC.

#![deny(unsafe_code)]

mod answer;
pub mod arp;
pub mod buf;
mod bytes;
pub mod checksum;
pub mod common;
mod crc32c;
pub mod cut;
pub mod drop;
pub mod encap;
mod extension;
pub mod hash;
mod header;
pub mod icmp;
pub mod ids;
pub mod join;
pub mod meta;
mod named;
pub mod nd;
pub mod parse;
pub mod protocol;
mod quoted;
mod reset;
pub mod rewrite;
pub mod segment;
mod wide;

pub use buf::{L4Checksum, MemoryBuf, PacketBuf};
pub use drop::DropReason;
pub use encap::Mac;
pub use extension::{Fragment, fragment};
pub use ids::{AdjacencyId, GroupSetId, InterfaceId, Label, NextHopId, PortId, TagId, VrfId, WorkerId};
pub use meta::{Address, Facts, Meta};
pub use quoted::{Quoted, quoted};
pub use reset::tcp_reset;
pub use wide::prefetch;
