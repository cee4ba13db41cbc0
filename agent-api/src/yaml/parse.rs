//! Text to objects. What is misspelt is refused with its place and with what could have been written.

use std::fmt::Write as _;

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value as Field,
};
use serde::Deserialize;
use serde_yaml_ng::{Deserializer, Mapping, Value};

use super::descriptor;
use crate::v1::Object;

/// Why a text is no list of objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", self.place())]
pub struct ParseError {
    /// The YAML document in the stream, from 1.
    pub document: usize,
    /// The object in a document that is a list, from 1.
    pub item: Option<usize>,
    /// The field: `security_group.rules[2].ports.first`; empty where no field is at fault.
    pub path: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl ParseError {
    fn place(&self) -> String {
        let mut place = format!("document {}", self.document);
        if let Some(item) = self.item {
            let _ = write!(place, ", item {item}");
        }
        if !self.path.is_empty() {
            let _ = write!(place, ", {}", self.path);
        }
        place.push_str(": ");
        place
    }
}

/// A fault and the path to it, which grows outwards on the way back up.
struct Fault {
    path: String,
    message: String,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    fn inside(mut self, name: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{separator}{}", self.path);
        self
    }
}

/// Reads a stream of YAML documents: each one object, a list of objects, or empty.
///
/// # Errors
/// The first fault: bad YAML, an unknown kind, field or enum value, a value of another type, or two fields of
/// which only one may be set. Whether the values make sense together is for the server to say.
pub fn parse(text: &str) -> Result<Vec<Object>, ParseError> {
    let mut objects = Vec::new();
    for (index, document) in Deserializer::from_str(text).enumerate() {
        let value = Value::deserialize(document).map_err(|error| ParseError {
            document: index + 1,
            item: None,
            path: String::new(),
            message: format!("not YAML: {error}"),
        })?;
        objects_in(value, index + 1, &mut objects)?;
    }
    Ok(objects)
}

/// Reads one document that is already a value: for text in which objects stand among other things.
///
/// # Errors
/// As [`parse`].
pub fn objects_from_value(value: Value) -> Result<Vec<Object>, ParseError> {
    let mut objects = Vec::new();
    objects_in(value, 1, &mut objects)?;
    Ok(objects)
}

fn objects_in(value: Value, document: usize, objects: &mut Vec<Object>) -> Result<(), ParseError> {
    let at = |item| move |Fault { path, message }| ParseError { document, item, path, message };
    match value {
        Value::Null => {}
        Value::Sequence(items) => {
            objects.reserve(items.len());
            for (index, item) in items.into_iter().enumerate() {
                objects.push(object(item).map_err(at(Some(index + 1)))?);
            }
        }
        value => objects.push(object(value).map_err(at(None))?),
    }
    Ok(())
}

fn object(value: Value) -> Result<Object, Fault> {
    let descriptor = descriptor::<Object>();
    let kinds = || names(descriptor.fields().map(|field| field.name().to_owned()));
    let Value::Mapping(mapping) = value else {
        return Err(Fault::new(format!("expected an object, found {}; {}", describe(&value), kinds())));
    };
    if mapping.len() != 1 {
        return Err(Fault::new(format!(
            "an object is of exactly one kind, found {}; {}",
            mapping.len(),
            kinds()
        )));
    }
    let message = message(mapping, &descriptor)?;
    let object: Object = message.transcode_to().map_err(|error| Fault::new(error.to_string()))?;
    if object.object.is_none() {
        return Err(Fault::new("the object has no fields"));
    }
    Ok(object)
}

fn message(mapping: Mapping, descriptor: &MessageDescriptor) -> Result<DynamicMessage, Fault> {
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, value) in mapping {
        let name = match name {
            Value::String(name) => name,
            // YAML takes a bare `null` for nothing; here it can only be the device of that name.
            Value::Null => "null".to_owned(),
            other => return Err(Fault::new(format!("expected a field's name, found {}", describe(&other)))),
        };
        let Some(field) = descriptor.get_field_by_name(&name) else {
            let fields = names(descriptor.fields().map(|field| field.name().to_owned()));
            return Err(Fault::new(format!("no such field; {fields}")).inside(&name));
        };
        if value.is_null() {
            continue;
        }
        if let Some(taken) = taken_alternative(&message, &field) {
            return Err(Fault::new(format!("not together with {taken}")).inside(&name));
        }
        let value = field_value(value, &field).map_err(|fault| fault.inside(&name))?;
        message.set_field(&field, value);
    }
    Ok(message)
}

/// Another field of the same oneof that is set already.
fn taken_alternative(message: &DynamicMessage, field: &FieldDescriptor) -> Option<String> {
    let taken = field.containing_oneof()?.fields().find(|other| message.has_field(other))?;
    Some(taken.name().to_owned())
}

fn field_value(value: Value, field: &FieldDescriptor) -> Result<Field, Fault> {
    if !field.is_list() {
        return single(value, &field.kind());
    }
    let Value::Sequence(items) = value else {
        return Err(Fault::new(format!("expected a list, found {}", describe(&value))));
    };
    let items = items.into_iter().enumerate();
    let items = items.map(|(index, item)| {
        single(item, &field.kind()).map_err(|fault| fault.inside(&format!("[{index}]")))
    });
    Ok(Field::List(items.collect::<Result<_, _>>()?))
}

fn single(value: Value, kind: &Kind) -> Result<Field, Fault> {
    let expected =
        |what: &str, value: &Value| Fault::new(format!("expected {what}, found {}", describe(value)));
    match kind {
        Kind::Message(descriptor) => match value {
            Value::Mapping(mapping) => Ok(Field::Message(message(mapping, descriptor)?)),
            other => Err(expected("a mapping of fields", &other)),
        },
        Kind::Enum(descriptor) => enum_number(&value, descriptor).map(Field::EnumNumber),
        Kind::Uint32 => unsigned(&value)
            .and_then(|number| u32::try_from(number).ok())
            .map(Field::U32)
            .ok_or_else(|| expected("a number from 0 to 4294967295", &value)),
        Kind::Bool => value.as_bool().map(Field::Bool).ok_or_else(|| expected("true or false", &value)),
        Kind::String => match value {
            Value::String(text) => Ok(Field::String(text)),
            other => Err(expected("a text (in quotes where it looks like a number)", &other)),
        },
        // The objects of the contract have no other kinds: a test sees to it.
        other => Err(Fault::new(format!("a field of type {other:?} cannot be written as text"))),
    }
}

/// JSON's mapping takes numbers in quotes too.
fn unsigned(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn enum_number(value: &Value, descriptor: &EnumDescriptor) -> Result<i32, Fault> {
    let number = match value {
        Value::String(name) => descriptor.get_value_by_name(name).map(|value| value.number()),
        Value::Number(number) => number.as_i64().and_then(|number| i32::try_from(number).ok()),
        _ => None,
    };
    number.filter(|&number| descriptor.get_value(number).is_some()).ok_or_else(|| {
        let names: Vec<_> = descriptor.values().map(|value| value.name().to_owned()).collect();
        Fault::new(format!("expected one of {}, found {}", names.join(", "), describe(value)))
    })
}

fn names(names: impl Iterator<Item = String>) -> String {
    format!("allowed: {}", names.collect::<Vec<_>>().join(", "))
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => format!("{value:?}"),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Tagged(value) => format!("the tag {}", value.tag),
    }
}
