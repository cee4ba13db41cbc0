//! The process: ports, workers, pipeline, control thread, agent server.

#![deny(unsafe_code)]

pub mod agent;
#[cfg(feature = "dpdk")]
pub mod boot;
pub mod config;
pub mod control;
pub mod datapath;
#[cfg(feature = "dpdk")]
pub mod port;
pub mod services;
pub mod simulator;
pub mod tables;
pub mod worker;
