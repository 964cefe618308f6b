//! The streams and buckets: what they have to be, and what to do about what is there.

use std::time::Duration;

use super::Nats;

/// What may differ between installations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// How many partitions the log has; fixed for its life.
    pub partitions: u16,
    /// Replicas of every stream.
    pub replicas: u8,
    /// Where every stream is kept.
    pub storage: Storage,
    /// How long the log is kept.
    pub log_retention: Duration,
    /// How many bytes the log may take; `None`: no limit.
    pub log_bytes_max: Option<u64>,
    /// How long events are kept.
    pub event_retention: Duration,
    /// How many bytes the events may take; `None`: no limit.
    pub event_bytes_max: Option<u64>,
}

/// Where a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// On disk.
    File,
    /// In memory.
    Memory,
}

/// One way in which what is there differs from what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The stream.
    pub stream: String,
    /// The field of its configuration, by its name in the server's JSON; empty for the stream itself.
    pub field: &'static str,
    /// What is there.
    pub found: String,
    /// What is wanted.
    pub wanted: String,
    /// What is to be done.
    pub remedy: Remedy,
}

/// What is to be done about a [`Difference`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// The stream is created.
    Create,
    /// The field is updated.
    Update,
    /// Nothing that could be done without losing data; says what a person can do.
    Refuse(String),
}

/// Why the topology is not what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Something that is there must not be changed. Nothing was changed.
    #[error("refused")]
    Refused(Vec<Difference>),
    /// The server did not do what it was asked to. Streams before this one may have been created or updated.
    #[error("{stream}: {cause}")]
    Server {
        /// The stream.
        stream: String,
        /// What was answered.
        cause: String,
    },
}

/// The differences between what is there and what is wanted; nothing is changed.
///
/// # Errors
/// [`TopologyError::Server`].
pub async fn plan(_nats: &Nats, _parameters: &Parameters) -> Result<Vec<Difference>, TopologyError> {
    unimplemented!()
}

/// Creates what is missing and updates what differs; returns what was done. Doing it twice does nothing the second time.
///
/// # Errors
/// [`TopologyError`].
pub async fn setup(_nats: &Nats, _parameters: &Parameters) -> Result<Vec<Difference>, TopologyError> {
    unimplemented!()
}

/// How many partitions the log that is there has; `None` if there is no log.
///
/// # Errors
/// [`TopologyError`].
pub async fn partitions(_nats: &Nats) -> Result<Option<u16>, TopologyError> {
    unimplemented!()
}
