//! How fast it is: the parts under criterion (`benches/parts.rs`), the whole pipeline by calling the worker's
//! own burst function (`bin/pipeline.rs`). See RESULTS.md and NOTES.md beside this crate.
#![deny(unsafe_code)]

pub mod cases;
pub mod frames;
pub mod node;
pub mod order;
pub mod routes;
