//! Messages to text.

use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_yaml_ng::{Mapping, Value};

use super::descriptor;
use crate::v1::{Kind, Object};

/// Any message of the API as a value, which serialises to YAML and to JSON: proto field names in the order of
/// the .proto file, defaults left out, 64-bit numbers as numbers.
#[must_use]
pub fn value_of<M: Message + prost::Name>(message: &M) -> Value {
    let mut dynamic = DynamicMessage::new(descriptor::<M>());
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(true)
        .stringify_64_bit_integers(false);
    // Neither step fails: the bytes are those of the same message, and the mapping is total for it.
    match dynamic.transcode_from(message) {
        Ok(()) => {
            dynamic.serialize_with_options(serde_yaml_ng::value::Serializer, &options).unwrap_or(Value::Null)
        }
        Err(_) => Value::Null,
    }
}

/// An object as a value: as [`value_of`], but VRF 0 is written out where it is part of the key.
#[must_use]
pub fn object_value(object: &Object) -> Value {
    let mut value = value_of(object);
    for (kind, key) in [(Kind::Vrf, "id"), (Kind::Route, "vrf")] {
        if let Some(Value::Mapping(fields)) = value.get_mut(kind.name())
            && !fields.contains_key(key)
        {
            let rest = std::mem::take(fields);
            *fields = Mapping::from_iter([(key.into(), 0.into())]);
            fields.extend(rest);
        }
    }
    value
}

/// Objects as a YAML list, which [`super::parse`] reads back.
#[must_use]
pub fn to_string(objects: &[Object]) -> String {
    let values: Vec<_> = objects.iter().map(object_value).collect();
    // A tree of maps, lists and scalars always has a text.
    serde_yaml_ng::to_string(&values).unwrap_or_default()
}
