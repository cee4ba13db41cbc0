//! What can go wrong, and the exit code that says so.

use std::io;

use tonic::{Code, Status};

/// Every way a command can fail. Exit codes: 1 refused or failed, 2 wrong usage, 3 no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line makes no sense in a way that the parser cannot see.
    #[error("{0}")]
    Usage(String),
    /// The vRouter refused, or a file is no good.
    #[error("{0}")]
    Failed(String),
    /// Nobody answers, or the connection broke.
    #[error("{0}")]
    Connect(String),
    /// Whoever read our output went away: no failure.
    #[error("the output is closed")]
    Pipe,
}

impl Error {
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Pipe => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Connect(_) => 3,
        }
    }
}

/// Errors of writing the output: files are read elsewhere, with their name in the message.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Pipe,
            _ => Self::Failed(format!("cannot write the output: {error}")),
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        // A status with a cause was made here and not by the vRouter.
        if let Some(cause) = std::error::Error::source(&status) {
            return Self::Connect(format!("the connection broke: {}", innermost(cause)));
        }
        match status.code() {
            Code::Unavailable => Self::Connect(format!("the connection broke: {}", status.message())),
            Code::Unimplemented => Self::Failed(
                "the vRouter does not know this call: it speaks another version of the API".into(),
            ),
            code => Self::Failed(refusal(status.message(), code)),
        }
    }
}

/// The innermost cause of an error: the outer ones say "transport error".
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A refusal as it is printed: what the vRouter says and the canonical name of the code.
pub(crate) fn refusal(message: &str, code: Code) -> String {
    format!("{message} ({})", code_name(code))
}

/// The name of a status code as gRPC's documentation writes it.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_the_exit_code_an_operator_expects() {
        let exit = |status: Status| Error::from(status).exit_code();
        assert_eq!(exit(Status::failed_precondition("no such next hop")), 1);
        assert_eq!(exit(Status::unavailable("gone")), 3);
        assert_eq!(exit(Status::unimplemented("")), 1);
        assert_eq!(Error::Usage(String::new()).exit_code(), 2);
    }

    #[test]
    fn a_closed_pipe_is_no_failure_but_a_full_disk_is() {
        assert_eq!(Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit_code(), 0);
        assert_eq!(Error::from(io::Error::from(io::ErrorKind::StorageFull)).exit_code(), 1);
    }

    #[test]
    fn codes_have_their_canonical_names() {
        for number in 0..=16 {
            let code = Code::from_i32(number);
            let debug = format!("{code:?}").to_uppercase();
            assert_eq!(code_name(code).replace('_', ""), debug);
        }
    }
}
