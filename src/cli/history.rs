//! Reading PRESENCE_EVENTS from some moment up to the end it has when the reading begins.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{self, Stream};
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures::StreamExt;

use super::CliError;
use crate::nats::{Nats, names};

/// Most messages asked for at a time.
const CHUNK_MAX: usize = 2_000;
/// A server that says nothing for so long is asked anew.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// So often in a row it is asked anew before the reading is given up.
const ATTEMPTS_MAX: u32 = 5;
/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// What was stored, and where.
pub(super) struct Stored {
    /// Its sequence in the stream.
    pub(super) seq: u64,
    pub(super) subject: Subject,
    pub(super) headers: Option<HeaderMap>,
    pub(super) payload: Bytes,
}

/// Where to begin.
#[derive(Debug, Clone, Copy)]
pub(super) enum Since {
    /// With the first message there is.
    All,
    /// With what was stored at that time.
    Time(SystemTime),
}

impl Since {
    /// A duration before now, a moment, or `all`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Since::All);
        }
        let time = match humantime::parse_duration(text) {
            Ok(ago) => SystemTime::now().checked_sub(ago),
            Err(_) => humantime::parse_rfc3339_weak(text).ok(),
        };
        match time {
            Some(time) if time >= SystemTime::UNIX_EPOCH => Ok(Since::Time(time)),
            Some(_) => Ok(Since::All),
            None => Err("write it as 1h, 7d, 2026-01-31T08:00:00Z or all".to_owned()),
        }
    }
}

/// The stored messages of some subjects, in order and without gap, up to the end.
pub(super) struct History {
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
    pub(super) async fn open(nats: &Nats, filters: Vec<String>, since: Since) -> Result<Self, CliError> {
        let stream = nats.jetstream.get_stream(names::EVENTS).await;
        let stream = stream.map_err(|error| CliError::no_stream("events", &error))?;
        let end = stream.cached_info().state.last_sequence;
        let consumer = consumer(&stream, &filters, start(since)).await?;
        let done = consumer.cached_info().num_pending == 0;
        Ok(Self { stream, filters, since, consumer, delivered: 0, read: 0, end, done })
    }

    /// Whether events that were told may be gone from the stream by its limits.
    pub(super) fn is_cut(&self) -> bool {
        let info = self.stream.cached_info();
        let (config, state) = (&info.config, &info.state);
        let limited = config.max_bytes > 0 || config.max_messages > 0;
        let created = SystemTime::from(info.created);
        let aged = !config.max_age.is_zero()
            && SystemTime::now().duration_since(created).unwrap_or_default() >= config.max_age;
        state.first_sequence > 1 && (limited || aged)
    }

    /// The payload stored at `seq`, as text if it is that.
    pub(super) async fn payload(&self, seq: u64) -> Option<Bytes> {
        self.stream.get_raw_message(seq).await.ok().map(|message| message.payload)
    }

    /// Some more, in order; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Stored>>, CliError> {
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
        Err(CliError::Unreachable(format!(
            "the stream {} delivers nothing after sequence {}, though there is more; try again",
            names::EVENTS,
            self.read
        )))
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
                let seq = self.read;
                let async_nats::Message { subject, payload, headers, .. } = message.message;
                chunk.push(Stored { seq, subject, headers, payload });
            }
            if self.done {
                return (chunk, true);
            }
        }
    }

    /// Goes on after what was read, with another consumer.
    async fn reopen(&mut self) -> Result<(), CliError> {
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
    }
}

async fn consumer(
    stream: &Stream<stream::Info>,
    filters: &[String],
    deliver_policy: DeliverPolicy,
) -> Result<PullConsumer, CliError> {
    let config = pull::Config {
        description: Some("presence command line".to_owned()),
        deliver_policy,
        ack_policy: AckPolicy::None,
        filter_subjects: filters.to_vec(),
        inactive_threshold: Duration::from_secs(30),
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.map_err(|error| {
        CliError::Unreachable(format!("the stream {} can't be read: {error}; try again", names::EVENTS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_durations_moments_or_all() {
        assert!(matches!(Since::parse("all"), Ok(Since::All)));
        assert!(matches!(Since::parse("1000years"), Ok(Since::All)), "before all time");
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert!(matches!(Since::parse("2023-11-14T22:13:20Z"), Ok(Since::Time(time)) if time == expected));
        assert!(matches!(Since::parse("1h"), Ok(Since::Time(_))));
        assert!(Since::parse("yesterday").is_err());
    }
}
