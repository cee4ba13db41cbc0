//! The process: ports, workers, pipeline, control thread, agent server.

pub mod datapath;
pub mod tables;
