//! The contract between a vRouter and whoever drives it: package `vrouter.v1`, its generated client and server,
//! and the text forms of its objects and keys.
//!
//! It knows what may be *said*, not what it means: ranges, references and owners are for the vRouter to check.
#![deny(unsafe_code)]

mod key;
mod kind;
pub mod order;
#[cfg(feature = "yaml")]
pub mod yaml;

pub use key::{KeyError, key_of, kind_of_key};
pub use kind::kind_of;

/// The messages, the client (`agent_client`) and the server (`agent_server`) of `vrouter.v1`.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    missing_debug_implementations,
    unreachable_pub,
    reason = "generated from proto/vrouter/v1"
)]
pub mod v1 {
    tonic::include_proto!("vrouter.v1");
}

/// The compiled .proto files (`google.protobuf.FileDescriptorSet`), for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("vrouter_v1");

/// The version of the API that this crate speaks, as `GetVersion` tells it.
pub const API: &str = "vrouter.v1";

/// Where a vRouter listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/vrouter/agent.sock";

/// The longest message either side takes, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// The most operations of one batch.
pub const MAX_BATCH_OPERATIONS: usize = 1_000_000;
