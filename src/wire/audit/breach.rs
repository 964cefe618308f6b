//! Which promise was broken, and by which events.

use super::{Position, Standing};
use crate::model::Millis;

/// A broken promise, and the events that show it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream sequence {at}: {fault}")]
pub struct Breach {
    /// Which promise.
    pub fault: Fault,
    /// The stream sequence of the event that it follows, if it takes two to break it.
    pub before: Option<u64>,
    /// The stream sequence of the event that breaks it.
    pub at: u64,
}

/// Which promise is broken. Ordinals, states and times are those of one subject, the rest is of one partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An ordinal is missing or comes again.
    #[error("ordinal {found} where {wanted} is due")]
    Ordinal {
        /// What is there.
        found: u32,
        /// What should be.
        wanted: u32,
    },
    /// What was before is not what was told last.
    #[error("`from` is {found}, what was told last is {wanted}")]
    Chain {
        /// What is there.
        found: Standing,
        /// What should be.
        wanted: Standing,
    },
    /// A new incarnation while the former one has not ended.
    #[error("incarnation {found} begins while {before} has not ended: it is {standing}")]
    Alive {
        /// The new one.
        found: u64,
        /// The former one.
        before: u64,
        /// What the former one is.
        standing: Standing,
    },
    /// An incarnation that is below an earlier one.
    #[error("incarnation {found} comes after incarnation {before}")]
    Incarnation {
        /// What is there.
        found: u64,
        /// The one before.
        before: u64,
    },
    /// Time ran backwards within an incarnation.
    #[error("`at_ms` is {found}, which is before the {before} told last")]
    Time {
        /// What is there.
        found: Millis,
        /// The one before.
        before: Millis,
    },
    /// An event was told again.
    #[error("the event {id} is told twice")]
    Duplicate {
        /// Its id.
        id: String,
    },
    /// An event comes after one of a later position.
    #[error("position {found} comes after position {before} of the same partition")]
    Position {
        /// Its position.
        found: Position,
        /// The one before.
        before: Position,
    },
    /// A former owner's event after the fence of the next one.
    #[error("epoch {found} comes after epoch {before} of the same partition")]
    Epoch {
        /// What is there.
        found: u64,
        /// The one before.
        before: u64,
    },
    /// No epoch, or none that is a number.
    #[error("there is no header Presence-Epoch with a number")]
    NoEpoch,
    /// An id that is not made of the event's partition and log sequence.
    #[error("the id {id} does not belong to partition {partition} and log sequence {seq}")]
    Id {
        /// The id.
        id: String,
        /// The event's partition.
        partition: u16,
        /// The event's log sequence.
        seq: u64,
    },
}
