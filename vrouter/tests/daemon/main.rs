//! The real daemon, process by process: started, programmed over gRPC, fed through real devices, stopped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod command_line;
mod devices;
mod forwarding;
mod frames;
mod harness;
mod host;
mod hotplug;
mod kernel;
mod lifecycle;
mod namespace;
mod node;
mod objects;
mod peers;
mod scale;
mod services;
mod spreading;
mod toggling;
mod traffic;
