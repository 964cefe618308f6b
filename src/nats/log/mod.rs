//! The log: its identity, and its reader.

mod consumer;
mod cursor;
mod reader;
mod standing;
mod walk;

use std::collections::BTreeSet;

use async_nats::Subject;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::standing::Standing;
use super::{Nats, names};
use crate::wire::subject;

/// Which log this is, and what of it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIdentity {
    /// When the stream was created, RFC 3339 as the server tells it.
    pub created: String,
    /// The first sequence that is there; 1 in a new log.
    pub first_seq: u64,
    /// The last sequence; `first_seq - 1` if nothing is there.
    pub last_seq: u64,
}

/// Why the log can't be read, or read on. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The log is another one, or ends before what was read of it.
    #[error(
        "PRESENCE_LOG is not the log that was read until now: {0}; start the engine again, it excuses what was lost"
    )]
    Replaced(String),
    /// Entries that were not read are gone.
    #[error(
        "PRESENCE_LOG lost entries before they were read: {next_seq} was next, {first_seq} is the first that is there; start the engine again, it excuses what was lost, and consider a longer engine.log_retention"
    )]
    Cut {
        /// The sequence that was to be read next.
        next_seq: u64,
        /// The first that is there.
        first_seq: u64,
    },
    /// There is no log.
    #[error("there is no stream PRESENCE_LOG: `presence setup` creates it")]
    Missing,
    /// The server did not answer, or answered with an error; worth another try.
    #[error("PRESENCE_LOG can't be read: {0}")]
    Server(String),
}

impl LogIdentity {
    /// Asks the log's leader.
    ///
    /// # Errors
    /// [`LogError::Missing`], and [`LogError::Server`], which is worth another try.
    pub async fn read(nats: &Nats) -> Result<Self, LogError> {
        let subject = format!("STREAM.INFO.{}", names::LOG);
        let info: Info = nats
            .jetstream
            .request(subject, &serde_json::json!({}))
            .await
            .map_err(|error| LogError::Server(error.to_string()))?;
        match info {
            Info { error: Some(error), .. } if error.err_code == STREAM_NOT_FOUND => Err(LogError::Missing),
            Info { error: Some(error), .. } => Err(LogError::Server(error.description)),
            Info { error: None, created, state } => {
                Ok(Self { created, first_seq: state.first_seq.max(1), last_seq: state.last_seq })
            }
        }
    }
}

const STREAM_NOT_FOUND: u64 = 10_059;

#[derive(Deserialize)]
struct Info {
    error: Option<InfoError>,
    #[serde(default)]
    created: String,
    #[serde(default)]
    state: InfoState,
}

#[derive(Deserialize)]
struct InfoError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

#[derive(Default, Deserialize)]
struct InfoState {
    first_seq: u64,
    last_seq: u64,
}

/// The timestamp in milliseconds of the log's entry `seq`, from the leader; `None` if it is not there, as 0 never is.
///
/// # Errors
/// [`LogError::Missing`], and [`LogError::Server`], which is worth another try.
pub async fn entry_ts_ms(nats: &Nats, seq: u64) -> Result<Option<u64>, LogError> {
    if seq == 0 {
        return Ok(None);
    }
    Ok(entry(nats, seq).await?.map(|entry| entry.ts_ms))
}

/// The log's entry `seq`, from the leader; `None` if it is not there.
///
/// # Errors
/// As [`entry_ts_ms`].
pub async fn entry(nats: &Nats, seq: u64) -> Result<Option<LogMessage>, LogError> {
    Ok(walk::entry(nats, seq).await?.map(|walked| walked.entry))
}

/// The log's last entry under `subject`, from the leader; `None` if there is none.
///
/// # Errors
/// As [`entry_ts_ms`].
pub async fn last_entry(nats: &Nats, subject: &str) -> Result<Option<LogMessage>, LogError> {
    Ok(walk::last(nats, subject).await?.map(|walked| walked.entry))
}

/// The first sequence of `log` whose entry is not older than `since_ms`; behind the last one where all are older.
///
/// # Errors
/// As [`entry_ts_ms`].
pub async fn first_since(nats: &Nats, log: &LogIdentity, since_ms: u64) -> Result<u64, LogError> {
    let (mut from, mut to) = (log.first_seq, log.last_seq + 1);
    while from < to {
        let middle = from + (to - from) / 2;
        // What is gone meanwhile was the oldest.
        let is_older = entry_ts_ms(nats, middle).await?.is_none_or(|ts| ts < since_ms);
        (from, to) = if is_older { (middle + 1, to) } else { (from, middle) };
    }
    Ok(from)
}

/// Which partitions a reader hands out. It reads all of them in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partitions {
    /// Everything that the log holds, misaddressed entries too.
    All,
    /// What is for these partitions, and what is for all (`log.all.>`).
    Some(BTreeSet<u16>),
}

impl Partitions {
    /// Whether an entry under `subject` is handed out.
    fn include(&self, subject: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(partitions) => {
                let rest =
                    subject.strip_prefix(subject::LOG).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
                let token = rest.split('.').next().unwrap_or_default();
                token == "all" || token.parse().is_ok_and(|partition| partitions.contains(&partition))
            }
        }
    }
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

/// Reads the log in its order, without gap or duplicate, over reconnects, leader changes and restarts of the server.
///
/// A task of its own reads ahead, at most some 40,000 entries and 40 MB; it ends when this is dropped.
#[derive(Debug)]
pub struct LogReader {
    chunks: mpsc::Receiver<Result<Chunk, LogError>>,
    failed: Option<LogError>,
    standing: Standing,
    task: JoinHandle<()>,
}

/// Entries on their way to whoever reads.
#[derive(Debug)]
struct Chunk {
    entries: Vec<LogMessage>,
    standing: Standing,
}

impl LogReader {
    /// Most entries of one chunk.
    pub const CHUNK_MAX: usize = 4_096;

    /// Starts to read the log `created` ([`LogIdentity::created`]) from the sequence `next_seq` on; 0 is whatever is
    /// the first. Has to be called in a tokio runtime.
    #[must_use]
    pub fn start(nats: &Nats, created: &str, partitions: Partitions, next_seq: u64) -> Self {
        Self::start_knowing(nats, created, partitions, next_seq, None)
    }

    /// As [`LogReader::start`], of a log in which an entry is known: its sequence and timestamp in milliseconds. Where that
    /// sequence is another entry's, the log lost its end and grew again, and is [`LogError::Replaced`].
    #[must_use]
    pub fn start_knowing(
        nats: &Nats,
        created: &str,
        partitions: Partitions,
        next_seq: u64,
        known: Option<(u64, u64)>,
    ) -> Self {
        let (sender, chunks) = mpsc::channel(reader::CHUNKS_AHEAD);
        let task = tokio::spawn(reader::run(nats.clone(), created.to_owned(), partitions, next_seq, known, sender));
        Self { chunks, failed: None, standing: Standing::unread(), task }
    }

    /// What is there: at least one entry and at most [`CHUNK_MAX`](Self::CHUNK_MAX). Waits for it, for ever if need be.
    ///
    /// Cancel-safe: nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// [`LogError::Replaced`], [`LogError::Cut`] and [`LogError::Missing`]. They last: every further call says the same.
    pub async fn next(&mut self) -> Result<Vec<LogMessage>, LogError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.chunks.recv().await {
            Some(Ok(Chunk { entries, standing })) => {
                self.standing = standing;
                Ok(entries)
            }
            Some(Err(error)) => {
                self.failed = Some(error.clone());
                Err(error)
            }
            None => Err(LogError::Server("the reader's task has ended".into())),
        }
    }

    /// How the log stood when the entries that [`next`](Self::next) returned last came.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
