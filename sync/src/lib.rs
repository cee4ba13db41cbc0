//! How control and workers share without locks.
//!
//! - [`publish`]: one writer replaces a value, many readers adopt it between two bursts.
//! - [`boundary`]: who has passed a burst boundary since some moment; the ground both publication and
//!   the flow table's limbo list stand on.
//! - [`progress()`]: how far somebody has come with what another gave him to do.
//! - [`counter`]: counters with one writer and any number of readers.

#![forbid(unsafe_code)]

pub mod boundary;
pub mod counter;
mod primitive;
mod progress;
pub mod publish;

pub use boundary::{Boundaries, Observation};
pub use counter::Counter;
pub use progress::{Progress, Worked, progress};
pub use publish::{Publisher, Reader, publication};
