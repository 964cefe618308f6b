//! The log: its identity, and its reader.

use async_nats::Subject;
use bytes::Bytes;

use super::Nats;

/// Which log this is, and what of it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIdentity {
    /// When the stream was created, RFC 3339 as the server tells it.
    pub created: String,
    /// The first sequence that is there.
    pub first_seq: u64,
    /// The last sequence; `first_seq - 1` if nothing is there.
    pub last_seq: u64,
}

impl LogIdentity {
    /// Asks the log's leader.
    ///
    /// # Errors
    /// [`LogError::Server`]; worth another try.
    pub async fn read(_nats: &Nats) -> Result<Self, LogError> {
        unimplemented!()
    }
}

/// The timestamp in milliseconds of the log's entry `seq`, from the leader; `None` if it is not there.
///
/// # Errors
/// [`LogError::Server`]; worth another try.
pub async fn entry_ts_ms(_nats: &Nats, _seq: u64) -> Result<Option<u64>, LogError> {
    unimplemented!()
}

/// Which partitions a reader reads; `log.all.>` comes in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partitions {
    /// All: no filter, which is the fastest.
    All,
    /// These.
    Some(Vec<u16>),
}

/// One entry of the log, as it is stored.
#[derive(Debug, Clone)]
pub struct LogMessage {
    /// Its sequence.
    pub seq: u64,
    /// Its timestamp, truncated to milliseconds.
    pub ts_ms: u64,
    /// The subject it is stored under.
    pub subject: Subject,
    /// Its payload.
    pub payload: Bytes,
    /// Its header `Content-Type`.
    pub content_type: Option<String>,
}

/// Why the log can't be read on.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log is another one, or ends before what was read of it.
    #[error("replaced")]
    Replaced,
    /// Entries are gone that were not read.
    #[error("cut")]
    Cut,
    /// The server did not answer, or answered with an error.
    #[error("server")]
    Server,
}

/// Reads the log in its order, without gap or duplicate, over reconnects, leader changes and restarts of the server.
#[derive(Debug)]
pub struct LogReader {}

impl LogReader {
    /// Starts to read the log `created` from the sequence `next_seq` on.
    #[must_use]
    pub fn start(_nats: &Nats, _created: &str, _partitions: Partitions, _next_seq: u64) -> Self {
        unimplemented!()
    }

    /// What is there, at least one entry and at most [`CHUNK_MAX`](Self::CHUNK_MAX); waits for it.
    ///
    /// Cancel-safe: nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// [`LogError::Replaced`] and [`LogError::Cut`], which last: every further call says the same.
    pub async fn next(&mut self) -> Result<Vec<LogMessage>, LogError> {
        unimplemented!()
    }

    /// Most entries of one chunk.
    pub const CHUNK_MAX: usize = 4_096;
}
