//! What can go wrong, in words that an operator can act on. DPDK often says why only in its log, so the
//! errors carry what it logged.

use thiserror::Error;

/// Why the environment could not be started.
#[derive(Debug, Error)]
pub enum EalError {
    /// DPDK can be started once in a process's life.
    #[error("DPDK was already started in this process; it can be started only once")]
    AlreadyStarted,
    /// A setting is not acceptable.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field of [`EalConfig`](crate::EalConfig).
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// DPDK refused to start.
    #[error("DPDK did not start: {reason}")]
    Start {
        /// What DPDK logged.
        reason: String,
    },
    /// No thread could be registered with the EAL.
    #[error("this thread cannot be registered with DPDK: {reason}")]
    Thread {
        /// What the system or DPDK said.
        reason: String,
    },
}

/// Why a mempool could not be made.
#[derive(Debug, Error)]
pub enum MempoolError {
    /// A setting is not acceptable.
    #[error("mempool {field}: {reason}")]
    Invalid {
        /// The field of [`MempoolConfig`](crate::MempoolConfig).
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Another mempool has this name.
    #[error("mempool '{name}' exists already")]
    NameTaken {
        /// The name asked for.
        name: String,
    },
    /// DPDK's memory does not suffice.
    #[error(
        "no memory for mempool '{name}' ({megabytes} MB for {count} packets): give DPDK more memory or ask for fewer packets"
    )]
    NoMemory {
        /// The pool's name.
        name: String,
        /// Packets asked for.
        count: u32,
        /// About how much that takes.
        megabytes: u64,
    },
    /// Anything else that DPDK says.
    #[error("mempool '{name}': {reason}")]
    Other {
        /// The pool's name.
        name: String,
        /// What DPDK said.
        reason: String,
    },
}

/// Why a device could not be attached.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// A parameter is not acceptable; nothing was tried.
    #[error("{field}: {reason}")]
    Invalid {
        /// The parameter, as `kind.field`.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// What a parameter names is not there, or is in use.
    #[error("{field}: {reason}")]
    Unavailable {
        /// The parameter, as `kind.field`.
        field: &'static str,
        /// What is missing.
        reason: String,
    },
    /// A virtio-user server becomes a device only when its peer has connected. Its socket is there now:
    /// try again later, or give up with [`Eal::forget`](crate::Eal::forget).
    #[error("{device}: nobody has connected yet")]
    NoPeer {
        /// The device, in words.
        device: String,
    },
    /// The driver refused.
    #[error("{device}: {reason}")]
    Attach {
        /// The device, in words.
        device: String,
        /// What DPDK logged.
        reason: String,
    },
}

impl DeviceError {
    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }
    pub(crate) fn unavailable(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Unavailable { field, reason: reason.into() }
    }
}

/// Why something could not be done with a port.
#[derive(Debug, Error)]
pub enum PortError {
    /// Its queues are still somewhere: give them back (drop them) first.
    #[error("{device}: its queues are still in use")]
    QueuesInUse {
        /// The device, in words.
        device: String,
    },
    /// It has to be in another state for this.
    #[error("{device}: {reason}")]
    State {
        /// The device, in words.
        device: String,
        /// What it is and what it should be.
        reason: &'static str,
    },
    /// A setting is not acceptable to this device.
    #[error("{device}: {field}: {reason}")]
    Invalid {
        /// The device, in words.
        device: String,
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The driver refused.
    #[error("{device}: {action} failed: {reason}")]
    Driver {
        /// The device, in words.
        device: String,
        /// What was tried.
        action: &'static str,
        /// What DPDK said.
        reason: String,
    },
}
