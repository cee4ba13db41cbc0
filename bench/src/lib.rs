//! How fast it is. `scripts/bench` runs all of it and writes RESULTS.md; NOTES.md says what helped.
//!
//! [`cases`] are the points, [`ways`] their packets, [`world`] a node in the middle of one. Each program in `bin/`
//! measures one thing and appends [`record`]s, of which `report` makes tables and plots.
#![deny(unsafe_code)]

pub mod cases;
pub mod clock;
pub mod frames;
pub mod load;
pub mod memory;
pub mod node;
pub mod order;
pub mod record;
pub mod routes;
pub mod rules;
pub mod sessions;
pub mod ways;
pub mod world;
