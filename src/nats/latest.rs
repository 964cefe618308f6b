//! The last stored message of each subject of a stream, as it was when asked: what a rebuild starts from.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{BatchConfig, Config};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::{Message, Subject, Subscriber};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};

use super::pull::{Delivery, Notice};
use super::{Nats, names};

/// A stored message.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its sequence in the stream.
    pub seq: u64,
    /// Its timestamp in the stream, truncated to milliseconds.
    pub ts_ms: u64,
    /// Its subject.
    pub subject: Subject,
    /// Its payload.
    pub payload: Bytes,
    /// Whether it says that a key was deleted (`KV-Operation: DEL` or `PURGE`).
    pub deleted: bool,
}

/// Why the messages can't be read; nothing was changed, it is worth another try from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the last messages of {stream} can't be read: {cause}")]
pub struct LatestError {
    /// The stream.
    pub stream: String,
    /// What happened.
    pub cause: String,
}

/// Reads the last stored message of each subject.
pub struct Latest {
    nats: Nats,
    stream: String,
    consumer: Consumer<Config>,
    inbox: String,
    subscriber: Subscriber,
    asked: u64,
    next_delivery: u64,
    done: bool,
}

const REQUEST_MESSAGES: u64 = 8_192;
const REQUEST_BYTES: usize = 8 * 1024 * 1024;
const SILENCE_MAX: Duration = Duration::from_secs(5);
const CONSUMER_KEPT: Duration = Duration::from_secs(30);
/// Most messages of one answer of [`Latest::next`].
const CHUNK_MAX: usize = 4_096;

/// The last stored events of the subjects that match `filter`, such as `presence.v1.session.>`; offline ones too.
///
/// # Errors
/// [`LatestError`].
pub async fn latest_events(nats: &Nats, filter: &str) -> Result<Latest, LatestError> {
    Latest::open(nats, names::EVENTS.into(), filter.into()).await
}

/// The values of the bucket `name`, deletions too. Their subjects are `$KV.<name>.<key>`.
///
/// # Errors
/// [`LatestError`].
pub async fn bucket_values(nats: &Nats, name: &str) -> Result<Latest, LatestError> {
    Latest::open(nats, names::bucket_stream(name), format!("$KV.{name}.>")).await
}

impl Latest {
    async fn open(nats: &Nats, stream: String, filter_subject: String) -> Result<Self, LatestError> {
        let failed = |error: &dyn std::fmt::Display| LatestError { stream: stream.clone(), cause: error.to_string() };
        let config = Config {
            description: Some("presence: reads the last message of each subject".into()),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            filter_subject,
            inactive_threshold: CONSUMER_KEPT,
            memory_storage: true,
            ..Config::default()
        };
        let consumer =
            nats.jetstream.create_consumer_on_stream(config, &stream).await.map_err(|error| failed(&error))?;
        let inbox = nats.client.new_inbox();
        let subscriber = nats.client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
        let done = consumer.cached_info().num_pending == 0;
        Ok(Self { nats: nats.clone(), stream, consumer, inbox, subscriber, asked: 0, next_delivery: 1, done })
    }

    /// Some more of them, in the order of their sequences; `None` after the last.
    ///
    /// # Errors
    /// [`LatestError`]; what was handed out before is still true.
    pub async fn next(&mut self) -> Result<Option<Vec<Stored>>, LatestError> {
        let mut chunk = Vec::new();
        while chunk.is_empty() && !self.done {
            if self.asked == 0 {
                self.ask().await?;
            }
            let first = tokio::time::timeout(SILENCE_MAX, self.subscriber.next());
            let Ok(Some(first)) = first.await else {
                return Err(self.failed("the server is silent"));
            };
            let mut waiting = VecDeque::from([first]);
            while let Some(message) = waiting.pop_front() {
                self.take(message, &mut chunk)?;
                if self.asked > 0 && chunk.len() < CHUNK_MAX {
                    waiting.extend(self.subscriber.next().now_or_never().flatten());
                }
            }
        }
        if self.done {
            self.forget().await;
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    fn take(&mut self, message: Message, chunk: &mut Vec<Stored>) -> Result<(), LatestError> {
        match Notice::of(&message) {
            Notice::Message(delivery) => {
                if delivery.consumer_seq != self.next_delivery {
                    return Err(self.failed("a message was lost on its way"));
                }
                self.next_delivery += 1;
                self.asked = self.asked.saturating_sub(1);
                self.done = delivery.pending == 0;
                chunk.push(stored(message, delivery));
            }
            Notice::Ended { .. } => self.asked = 0,
            Notice::Empty => (self.asked, self.done) = (0, true),
            Notice::Heartbeat { .. } => {}
            Notice::Gone => return Err(self.failed("the consumer is gone")),
        }
        Ok(())
    }

    /// Asks for more. The request does not wait: what is not there now is not the latest of when we asked.
    async fn ask(&mut self) -> Result<(), LatestError> {
        self.asked = REQUEST_MESSAGES;
        let request = BatchConfig {
            batch: REQUEST_MESSAGES as usize,
            max_bytes: REQUEST_BYTES,
            no_wait: true,
            ..BatchConfig::default()
        };
        let sent = self.consumer.request_batch(request, self.inbox.as_str().into()).await;
        sent.map_err(|error| self.failed(&error.to_string()))
    }

    /// Tells the server that the consumer need not be kept. Whether it hears that does not matter.
    async fn forget(&self) {
        let subject = format!("CONSUMER.DELETE.{}.{}", self.stream, self.consumer.cached_info().name);
        self.nats.jetstream.send_request(subject, async_nats::Request::new()).await.ok();
    }

    fn failed(&self, cause: &str) -> LatestError {
        LatestError { stream: self.stream.clone(), cause: cause.into() }
    }
}

fn stored(message: Message, delivery: Delivery) -> Stored {
    let operation = message.headers.as_ref().and_then(|headers| headers.get("KV-Operation"));
    let deleted = operation.is_some_and(|operation| matches!(operation.as_str(), "DEL" | "PURGE"));
    Stored {
        seq: delivery.stream_seq,
        ts_ms: delivery.ts_nanos / 1_000_000,
        subject: message.subject,
        payload: message.payload,
        deleted,
    }
}
