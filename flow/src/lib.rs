//! What a conversation may do: flow table, TCP state, security groups, ageing.
//!
//! A *session* is a conversation; each of its two directions is a *half* with a key of its own. A packet
//! finds its half by key ([`FlowTable::lookup_burst`]), and the half says everything that its direction
//! needs: verdict, translation, route and TCP state. What is not there yet is decided once, by
//! [`policy::CompiledPolicy`], and inserted as a pair.
//!
//! This crate knows nothing of threads, DPDK or the agent API: time, epochs and grace periods are values
//! that the caller passes in.

#![deny(unsafe_code)]

mod atomic;
pub mod key;
pub mod nat;
pub mod policy;
pub mod table;
pub mod tcp;
pub mod timeouts;

pub use key::{FlowKey, Scope, ScopeKind};
pub use table::{
    Config, ConfigError, EndReason, FlowTable, Half, HalfId, HalfView, InsertError, NewHalf, NewSession,
    OLDEST_EPOCH, Probe, RULES, SessionId, SessionRef, SessionSink, SessionView, Sweep, Sweeper, Traffic,
    Translation, Verdict, Wire, WireKey, WorkerSlots,
};
pub use timeouts::{Ticks, TimeoutClass, Timeouts};
