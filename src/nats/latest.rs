//! The last stored message of each subject of a stream, as it was when asked.

use async_nats::Subject;
use bytes::Bytes;

use super::Nats;

/// A stored message.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its sequence.
    pub seq: u64,
    /// Its timestamp in milliseconds.
    pub ts_ms: u64,
    /// Its subject.
    pub subject: Subject,
    /// Its payload.
    pub payload: Bytes,
    /// Whether it is a deletion (`KV-Operation`).
    pub deleted: bool,
}

/// Why the messages can't be read; nothing was changed, it's worth another try.
#[derive(Debug, thiserror::Error)]
#[error("{stream}: {cause}")]
pub struct LatestError {
    /// The stream.
    pub stream: String,
    /// What was answered.
    pub cause: String,
}

/// Reads the last stored message of each subject.
#[derive(Debug)]
pub struct Latest {}

/// The last stored events of the subjects that match `filter` (under `presence.v1.`), such as `presence.v1.session.>`.
///
/// # Errors
/// [`LatestError`].
pub async fn latest_events(_nats: &Nats, _filter: &str) -> Result<Latest, LatestError> {
    unimplemented!()
}

/// The values of the bucket `name`, deletions included; the subject is `$KV.<name>.<key>`.
///
/// # Errors
/// [`LatestError`].
pub async fn bucket_values(_nats: &Nats, _name: &str) -> Result<Latest, LatestError> {
    unimplemented!()
}

impl Latest {
    /// Some more of them; `None` after the last.
    ///
    /// # Errors
    /// [`LatestError`].
    pub async fn next(&mut self) -> Result<Option<Vec<Stored>>, LatestError> {
        unimplemented!()
    }
}
