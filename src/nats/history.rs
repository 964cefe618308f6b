//! What PRESENCE_EVENTS holds, from some moment up to the end that it has when the reading begins: in order and without gap.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{self, Stream};
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures::StreamExt;

use super::{Nats, names};
use crate::model::Millis;

/// Most messages asked for at a time.
const CHUNK_MAX: usize = 2_000;
/// A server that says nothing for so long is asked anew.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// So often in a row it is asked anew before the reading is given up.
const ATTEMPTS_MAX: u32 = 5;
/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Why the events can't be read. Nothing was changed; what was handed out before is still true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// There is no stream of events.
    #[error("there is no stream of events yet: `presence setup` or an engine creates it")]
    NoStream,
    /// The server can't be asked, or refuses.
    #[error("the stream of events can't be read: {0}")]
    Unreadable(String),
    /// The server delivers nothing though there is more; holds the last sequence that was read.
    #[error("the stream of events delivers nothing after sequence {0}, though there is more")]
    Stuck(u64),
}

/// What was stored, and where.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its sequence in the stream.
    pub seq: u64,
    /// Its timestamp in the stream, truncated to milliseconds.
    pub ts_ms: Millis,
    /// Its subject, as it is told.
    pub subject: Subject,
    /// Its headers, if it has any.
    pub headers: Option<HeaderMap>,
    /// Its payload.
    pub payload: Bytes,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With the first message there is.
    All,
    /// With what was stored at that time.
    Time(SystemTime),
    /// With this sequence.
    Seq(u64),
}

/// The stored messages of some subjects.
pub struct History {
    stream: Stream<stream::Info>,
    filters: Vec<String>,
    since: Since,
    consumer: PullConsumer,
    /// The consumer's count of what it delivered.
    delivered: u64,
    /// The last sequence that was read; 0 before the first.
    read: u64,
    /// The last sequence that is to be read.
    end: u64,
    done: bool,
}

impl History {
    /// Opens the history of the subjects that match `filters`; no filter is all.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub async fn open(nats: &Nats, filters: Vec<String>, since: Since) -> Result<Self, HistoryError> {
        let stream = nats.jetstream.get_stream(names::EVENTS).await.map_err(|error| no_stream(&error))?;
        let end = stream.cached_info().state.last_sequence;
        let consumer = consumer(&stream, &filters, start(since)).await?;
        let done = consumer.cached_info().num_pending == 0;
        Ok(Self { stream, filters, since, consumer, delivered: 0, read: 0, end, done })
    }

    /// Whether events that were told may be gone from the stream by its limits.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        let info = self.stream.cached_info();
        let (config, state) = (&info.config, &info.state);
        let limited = config.max_bytes > 0 || config.max_messages > 0;
        let created = SystemTime::from(info.created);
        let aged = !config.max_age.is_zero()
            && SystemTime::now().duration_since(created).unwrap_or_default() >= config.max_age;
        state.first_sequence > 1 && (limited || aged)
    }

    /// When the oldest message that is still there was stored, as of when the reading began.
    #[must_use]
    pub fn first_ms(&self) -> Millis {
        millis(self.stream.cached_info().state.first_timestamp.into())
    }

    /// When the last message was stored, as of when the reading began; 0 if there never was one.
    #[must_use]
    pub fn last_ms(&self) -> Millis {
        millis(self.stream.cached_info().state.last_timestamp.into())
    }

    /// The payload stored at `seq`, if it is still there.
    pub async fn payload(&self, seq: u64) -> Option<Bytes> {
        self.stream.get_raw_message(seq).await.ok().map(|message| message.payload)
    }

    /// Some more, in order; `None` at the end.
    ///
    /// # Errors
    /// [`HistoryError`], worth another try from the beginning.
    pub async fn next(&mut self) -> Result<Option<Vec<Stored>>, HistoryError> {
        for _ in 0..ATTEMPTS_MAX {
            if self.done {
                return Ok(None);
            }
            let (chunk, whole) = self.fetch().await;
            if !whole || chunk.is_empty() {
                self.reopen().await?;
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(HistoryError::Stuck(self.read))
    }

    /// What one request brings, and whether nothing went wrong with it.
    async fn fetch(&mut self) -> (Vec<Stored>, bool) {
        let mut chunk = Vec::new();
        let Ok(mut batch) = self.consumer.fetch().max_messages(CHUNK_MAX).messages().await else {
            return (chunk, false);
        };
        loop {
            let message = match tokio::time::timeout(SILENCE_MAX, batch.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(None) => return (chunk, true),
                Ok(Some(Err(_))) | Err(_) => return (chunk, false),
            };
            let Ok(info) = message.info() else {
                return (chunk, false);
            };
            if info.consumer_sequence != self.delivered + 1 {
                return (chunk, false);
            }
            self.delivered += 1;
            self.read = info.stream_sequence;
            self.done = info.pending == 0 || self.read >= self.end;
            if self.read <= self.end {
                let (seq, ts_ms) = (self.read, millis(info.published.into()));
                let async_nats::Message { subject, payload, headers, .. } = message.message;
                chunk.push(Stored { seq, ts_ms, subject, headers, payload });
            }
            if self.done {
                return (chunk, true);
            }
        }
    }

    /// Goes on after what was read, with another consumer.
    async fn reopen(&mut self) -> Result<(), HistoryError> {
        let from = match self.read {
            0 => start(self.since),
            read => DeliverPolicy::ByStartSequence { start_sequence: read + 1 },
        };
        self.consumer = consumer(&self.stream, &self.filters, from).await?;
        self.delivered = 0;
        self.done = self.done || self.consumer.cached_info().num_pending == 0;
        Ok(())
    }
}

fn start(since: Since) -> DeliverPolicy {
    match since {
        Since::All => DeliverPolicy::All,
        Since::Time(time) => DeliverPolicy::ByStartTime { start_time: time.into() },
        Since::Seq(seq) => DeliverPolicy::ByStartSequence { start_sequence: seq.max(1) },
    }
}

/// Milliseconds since the epoch, 0 for what lies before it.
fn millis(time: SystemTime) -> Millis {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn no_stream(error: &GetStreamError) -> HistoryError {
    match error.kind() {
        GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            HistoryError::NoStream
        }
        GetStreamErrorKind::JetStream(_)
        | GetStreamErrorKind::EmptyName
        | GetStreamErrorKind::InvalidStreamName
        | GetStreamErrorKind::Request => HistoryError::Unreadable(error.to_string()),
    }
}

async fn consumer(
    stream: &Stream<stream::Info>,
    filters: &[String],
    deliver_policy: DeliverPolicy,
) -> Result<PullConsumer, HistoryError> {
    let config = pull::Config {
        description: Some("presence: reads what was told".to_owned()),
        deliver_policy,
        ack_policy: AckPolicy::None,
        filter_subjects: filters.to_vec(),
        inactive_threshold: Duration::from_secs(30),
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.map_err(|error| HistoryError::Unreadable(error.to_string()))
}
