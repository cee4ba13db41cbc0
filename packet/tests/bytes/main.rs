//! The crate's behaviour on bytes: each fast implementation against a slow, obvious twin, and each packet that
//! it builds against etherparse, which shares no code with it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests: a panic is the failure")]

mod answers;
mod buffers;
mod checksums;
mod common;
mod damage;
mod hashes;
mod inner_flow;
mod joining;
mod neighbours;
mod parsing;
mod path_mtu;
mod rewriting;
mod segmenting;
mod support;
mod tunnels;
