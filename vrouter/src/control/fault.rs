//! Why a batch was refused, in the words of the API.

use agent_api::v1;

/// The canonical codes (google.rpc.Code) that the control side answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// A field has a value that no state of the vRouter could accept.
    InvalidArgument = 3,
    /// The object belongs to somebody else.
    PermissionDenied = 7,
    /// A table, a limit or a message is full.
    ResourceExhausted = 8,
    /// A reference is missing, or an object is still in use.
    FailedPrecondition = 9,
    /// The vRouter itself is at fault, or a device is.
    Internal = 13,
    /// The control thread is gone.
    Unavailable = 14,
}

/// A refusal: what, where and why. Nothing was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The canonical code.
    pub code: Code,
    /// The object at fault.
    pub object: Option<Box<v1::Key>>,
    /// The field at fault, as a path: `rules[2].ports.first`.
    pub field: String,
    /// One sentence for an operator.
    pub message: String,
}

impl Fault {
    /// A refusal of one object's field.
    #[must_use]
    pub fn of(code: Code, object: v1::Key, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, object: Some(Box::new(object)), field: field.into(), message: message.into() }
    }

    /// A refusal that is no single object's fault.
    #[must_use]
    pub fn general(code: Code, message: impl Into<String>) -> Self {
        Self { code, object: None, field: String::new(), message: message.into() }
    }

    /// The answer to the batch.
    #[must_use]
    pub fn into_result(self, id: u64, generation: u64) -> v1::BatchResult {
        v1::BatchResult {
            id,
            code: self.code as u32,
            message: self.to_string(),
            object: self.object.map(|key| *key),
            field: self.field,
            generation,
            ..v1::BatchResult::default()
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// A field whose value is wrong in itself; the reader of the batch adds whose field it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Invalid {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// The refusal of the object whose field it is.
    pub(crate) fn of(self, object: v1::Key) -> Fault {
        Fault::of(Code::InvalidArgument, object, self.field, self.message)
    }
}
