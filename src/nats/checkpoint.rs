//! Checkpoints in the Object Store: `<partition>/<seq>`, the newest two of each partition.

use std::time::Duration;

use bytes::Bytes;

use super::Nats;

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The store did not do what it was asked to. What was there before is still there.
    #[error("{0}")]
    Store(String),
}

/// The checkpoints of the partitions that this process owns.
#[derive(Debug)]
pub struct Checkpoints {}

impl Checkpoints {
    /// Lists what is there, and collects what aborted writes left behind if it is older than `orphan_age`.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub async fn open(_nats: &Nats, _orphan_age: Duration) -> Result<Self, CheckpointError> {
        unimplemented!()
    }

    /// Writes one, then deletes all of the partition but this one and the newest before it.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub async fn put(&mut self, _partition: u16, _seq: u64, _bytes: Bytes) -> Result<(), CheckpointError> {
        unimplemented!()
    }

    /// The newest readable one at or before `at_most_seq`, with its position.
    ///
    /// # Errors
    /// [`CheckpointError`] if the store does not answer. One that is damaged is passed over.
    pub async fn newest(&self, _partition: u16, _at_most_seq: u64) -> Result<Option<(u64, Bytes)>, CheckpointError> {
        unimplemented!()
    }
}
