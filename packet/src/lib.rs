//! Bytes: header views, one-pass parse, checksums, rewrites, encapsulation templates, ids and the table
//! of drop reasons. This crate knows nothing of tables, threads, DPDK or gRPC.

#![deny(unsafe_code)]

pub mod buf;
pub mod drop;
pub mod ids;
pub mod meta;

pub use buf::{L4Checksum, MemoryBuf, PacketBuf};
pub use drop::DropReason;
pub use ids::{AdjacencyId, GroupSetId, InterfaceId, Label, NextHopId, PortId, VrfId, WorkerId};
pub use meta::{Address, Facts, Meta};
