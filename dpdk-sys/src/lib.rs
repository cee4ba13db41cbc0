//! Raw FFI to the system's libdpdk: the functions, constants and the one structure (`rte_mbuf`) that
//! the safe crate `dpdk` uses, and a C shim (`csrc/shim.h`) for what is inline in DPDK's headers or
//! changes its layout between releases.
//!
//! `src/bindings.rs` is generated and committed. The build checks each size, offset and constant in it
//! against the headers that it finds, so a DPDK release either works or asks for
//! `scripts/regenerate-bindings`.
#![allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    missing_debug_implementations,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    reason = "generated code in C's names"
)]

include!("bindings.rs");
