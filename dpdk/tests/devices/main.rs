//! The wrapper on real devices. One EAL per process: `cargo nextest` gives each test its own process,
//! under `cargo test` all of them share one, so names and counts are each test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail the test")]

mod buffers;
mod common;
mod kernel;
mod local;
mod parameters;
mod peers;
mod sockets;
