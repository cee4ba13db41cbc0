//! Objects as text: the one vocabulary of files, of the CLI, of the configuration and of the golden cases.
//!
//! It is the API's own: messages in proto3's JSON mapping with the field names of the .proto files, read and
//! written by reflection over the embedded descriptors, so that a new field needs no code here.
//!
//! A text is a stream of YAML documents; each is one object or a list of objects, and an object is a mapping
//! from its kind to its fields:
//!
//! ```yaml
//! - vrf: {id: 1, name: red}
//! - route: {vrf: 1, prefix: 10.1.2.0/24, next_hop: 5}
//! ```

mod parse;
mod print;

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};

pub use self::{
    parse::{ParseError, objects_from_value, parse},
    print::{object_value, to_string, value_of},
};
pub use serde_yaml_ng::Value;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    #[allow(clippy::expect_used, reason = "the bytes come from the compiler run of this very build")]
    DescriptorPool::decode(crate::FILE_DESCRIPTOR_SET).expect("the embedded descriptors are whole")
});

fn descriptor<M: prost::Name>() -> MessageDescriptor {
    #[allow(clippy::expect_used, reason = "code and descriptors are generated from the same files")]
    POOL.get_message_by_name(&M::full_name()).expect("every generated message has a descriptor")
}
