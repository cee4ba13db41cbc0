//! The protobuf contract of the agent API and its generated client and server code.
#![deny(unsafe_code)]

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
