//! How a partition folds its log. Pure: no clock, no I/O, no floating point, no randomness.

mod entry;

pub use entry::{Body, Entry};

/// The version of the fold's rules. Two versions may tell different events of one log, so a running log is handed over
/// between versions only at a drained position.
pub const FOLD_VERSION: u32 = 1;
