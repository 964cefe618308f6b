//! How a partition folds its log. Pure: no clock, no I/O, no floating point, no randomness.
//!
//! [`Partition`] is the whole of it. Beneath: [`ObservedTime`] says how much time passed, [`wheel::TimingWheel`] hints
//! whom to look at, `population` keeps the records, `sequence` says which signals count, `renew` takes
//! those that only renew, `act` lets the others act, `settle` lets deadlines fall, `tell` makes the
//! events, `checkpoint` turns all of it into bytes and back.

mod act;
mod adopt;
mod ahead;
mod beat;
mod bytes;
mod candidates;
mod changed;
mod checkpoint;
mod entry;
mod gateway;
mod hot;
mod index;
mod inspect;
mod intent;
mod key;
mod look;
mod names;
mod observed;
mod order;
mod outlook;
mod partition;
mod population;
mod present;
mod ready;
mod rebuild;
mod record;
mod renew;
mod rooms;
mod sequence;
mod settle;
mod slab;
mod sought;
mod tell;
pub mod wheel;

pub use ahead::{AHEAD, Ahead};
pub use candidates::Carrier;
pub use checkpoint::{CheckpointError, Segment, SegmentName, Snapshot, policy_of, segments_of};
pub use entry::{BatchItem, Body, Entry};
pub use inspect::{Fall, InspectedSession, Inspection};
pub use key::IndexKey;
pub use observed::{EARNED_MS_MAX, ObservedTime, Passage};
pub use partition::{GRID_MS, Partition};
pub use present::{Present, PresentSession};
pub use sought::Sought;

/// The version of the fold's rules. Two versions may tell different events of one log, so a running log is handed over
/// between versions only at a drained position.
pub const FOLD_VERSION: u32 = 4;
