//! Golden cases: tables and in.pcap to out.pcap and every counter that moved.
//!
//! The expected frames come from an independent author (`author/`, scapy); this crate loads the cases, runs them
//! against a [`harness::Datapath`] and says, field by field, what differs.
#![deny(unsafe_code)]

pub mod case;
pub mod compare;
pub mod counters;
pub mod daemon;
pub mod decode;
pub mod harness;
pub mod simulated;
