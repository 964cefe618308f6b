//! The task behind a [`LogReader`]: one consumer after another, each from where the last one ended.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{BatchConfig, Config};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::{Message, Subscriber};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::cursor::{Cursor, Verdict};
use super::{LogError, LogIdentity, LogMessage, LogReader, Partitions, entry_ts_ms};
use crate::nats::pull::{Credit, Notice};
use crate::nats::{Nats, connect, names};

/// How many chunks wait for the engine.
pub(super) const CHUNKS_AHEAD: usize = 4;
/// A request asks for so much; two are under way.
const REQUEST_MESSAGES: u64 = 8_192;
/// The server cuts off a client that 64 MB wait for.
const REQUEST_BYTES: u64 = 8 * 1024 * 1024;
/// A chunk ends when it has so many bytes.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
const REQUEST_EXPIRES: Duration = Duration::from_secs(30);
/// The server says so often that the consumer lives, if it has nothing else to say.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A consumer that says nothing for so long is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// How often a new connection is looked for: what was asked for over the old one will not come.
const CONNECTION_CHECK: Duration = Duration::from_millis(200);
/// The server keeps a consumer for so long that nobody asks.
const CONSUMER_KEPT: Duration = Duration::from_secs(30);
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A log that is missing for so long is missing for good; a cluster may only be about to find it.
const MISSING_MAX: Duration = Duration::from_secs(5);

// The notices between the messages take room too.
const _: () = assert!(2 * REQUEST_MESSAGES as usize * 3 / 2 <= connect::SUBSCRIPTION_CAPACITY);

type Chunks = mpsc::Sender<Result<Vec<LogMessage>, LogError>>;

/// Reads until the log is not the log any more, or nobody wants it.
pub(super) async fn run(
    nats: Nats,
    created: String,
    partitions: Partitions,
    next_seq: u64,
    known: Option<(u64, u64)>,
    chunks: Chunks,
) {
    let cursor = Cursor::new(next_seq);
    let mut reader = Reader { nats, created, partitions, cursor, known, chunks };
    if let Err(Stop::Log(error)) = reader.run().await {
        reader.chunks.send(Err(error)).await.ok();
    }
}

struct Reader {
    nats: Nats,
    created: String,
    partitions: Partitions,
    cursor: Cursor,
    /// The sequence and timestamp of the last entry that was handed on, or of one behind it that is known otherwise.
    known: Option<(u64, u64)>,
    chunks: Chunks,
}

/// Why reading ends for good.
enum Stop {
    /// The log is not the log any more.
    Log(LogError),
    /// Nobody wants what was read.
    Unwanted,
}

/// Why one consumer is given up for the next.
#[derive(Debug)]
enum Retry {
    /// The server could not be asked.
    Unanswered(String),
    /// The log was not there.
    Missing,
    /// The consumer or the connection is gone, or a delivery was lost.
    Stale(&'static str),
}

enum End {
    Stop(Stop),
    Retry(Retry),
}

impl From<Retry> for End {
    fn from(retry: Retry) -> Self {
        Self::Retry(retry)
    }
}

impl From<LogError> for End {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Replaced(_) | LogError::Cut { .. } => Self::Stop(Stop::Log(error)),
            LogError::Missing => Self::Retry(Retry::Missing),
            LogError::Server(cause) => Self::Retry(Retry::Unanswered(cause)),
        }
    }
}

impl Reader {
    async fn run(&mut self) -> Result<(), Stop> {
        let mut backoff = BACKOFF_MIN;
        let mut missing_since = None;
        loop {
            let before = self.cursor.next_seq();
            let retry = match self.read_one_consumer().await {
                End::Stop(stop) => return Err(stop),
                End::Retry(retry) => retry,
            };
            if self.cursor.next_seq() > before {
                backoff = BACKOFF_MIN;
            }
            match &retry {
                Retry::Missing => {
                    let since = *missing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > MISSING_MAX {
                        return Err(Stop::Log(LogError::Missing));
                    }
                }
                Retry::Unanswered(cause) => {
                    missing_since = None;
                    warn!(cause, "the log can't be read, trying again");
                }
                Retry::Stale(why) => {
                    missing_since = None;
                    info!(why, next_seq = self.cursor.next_seq(), "reading the log by a new consumer");
                }
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn read_one_consumer(&mut self) -> End {
        let mut pull = match self.open().await {
            Ok(pull) => pull,
            Err(end) => return end,
        };
        loop {
            if let Err(end) = self.read_chunk(&mut pull).await {
                pull.delete(&self.nats).await;
                return end;
            }
        }
    }

    /// Makes sure that the log is the log, then creates a consumer that starts at the cursor.
    async fn open(&mut self) -> Result<Pull, End> {
        self.nats.connected().await;
        let connects = self.nats.connects();
        self.check_identity().await?;
        let filter_subjects = match &self.partitions {
            Partitions::All => Vec::new(),
            Partitions::Some(partitions) => {
                let own = partitions.iter().map(|partition| names::log_of(*partition));
                own.chain([names::LOG_FOR_ALL.to_owned()]).collect()
            }
        };
        let config = Config {
            description: Some("presence: reads the log".into()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.cursor.next_seq() },
            ack_policy: AckPolicy::None,
            filter_subjects,
            inactive_threshold: CONSUMER_KEPT,
            memory_storage: true,
            ..Config::default()
        };
        let unanswered = |error: &dyn std::fmt::Display| Retry::Unanswered(error.to_string());
        let consumer = self
            .nats
            .jetstream
            .create_consumer_on_stream(config, names::LOG)
            .await
            .map_err(|error| unanswered(&error))?;
        let inbox = self.nats.client.new_inbox();
        let subscriber = self.nats.client.subscribe(inbox.clone()).await.map_err(|error| unanswered(&error))?;
        self.cursor.restart();
        debug!(consumer = consumer.cached_info().name, next_seq = self.cursor.next_seq(), "reading the log");
        Ok(Pull { consumer, inbox, subscriber, credit: Credit::default(), connects })
    }

    async fn check_identity(&mut self) -> Result<(), LogError> {
        let log = LogIdentity::read(&self.nats).await?;
        let next_seq = self.cursor.next_seq();
        if log.created != self.created {
            let detail = format!("it was created {}, the other one {}", log.created, self.created);
            return Err(LogError::Replaced(detail));
        }
        if next_seq == 0 {
            self.cursor = Cursor::new(log.first_seq);
            return Ok(());
        }
        if log.last_seq + 1 < next_seq {
            let detail = format!("it ends at {}, {} was read of it already", log.last_seq, next_seq - 1);
            return Err(LogError::Replaced(detail));
        }
        self.check_first(log.first_seq, next_seq)?;
        self.check_known().await
    }

    /// A log that lost its end may have grown beyond it again: then another entry is where the known one was.
    async fn check_known(&self) -> Result<(), LogError> {
        let Some((seq, ts_ms)) = self.known else { return Ok(()) };
        match entry_ts_ms(&self.nats, seq).await? {
            Some(found) if found != ts_ms => {
                let detail = format!("its entry {seq} is of {found} ms, what was there was of {ts_ms} ms");
                Err(LogError::Replaced(detail))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_first(&self, first_seq: u64, next_seq: u64) -> Result<(), LogError> {
        if first_seq > next_seq { Err(LogError::Cut { next_seq, first_seq }) } else { Ok(()) }
    }

    /// Waits for a message, takes what else is there, and hands it on.
    async fn read_chunk(&mut self, pull: &mut Pull) -> Result<(), End> {
        pull.refill().await?;
        let first = pull.wait(&self.nats).await?;
        let before = self.cursor.clone();
        // Without tokio's budget, which would end every chunk after 128 messages.
        let taken = tokio::task::coop::unconstrained(async { self.take(pull, first) }).await;
        let (chunk, missing, end) = taken;
        if let Some(missing) = missing
            && let Err(error) = self.check_jump(missing).await
        {
            // The chunk is not handed on, so the next consumer has to bring it again.
            self.cursor = before;
            return Err(error.into());
        }
        if let Some(last) = chunk.last() {
            self.known = self.known.max(Some((last.seq, last.ts_ms)));
            if self.chunks.send(Ok(chunk)).await.is_err() {
                return Err(End::Stop(Stop::Unwanted));
            }
        }
        end.map_or(Ok(()), |retry| Err(retry.into()))
    }

    /// Entries are not there that should be. Entries of a log only ever go from its beginning.
    async fn check_jump(&self, missing: u64) -> Result<(), LogError> {
        let log = LogIdentity::read(&self.nats).await?;
        debug!(missing, first_seq = log.first_seq, "the log's sequence jumps");
        self.check_first(log.first_seq, missing)
    }

    /// What is there, the first missing sequence if there is one, and why this consumer has to go if it has to.
    fn take(&mut self, pull: &mut Pull, first: Message) -> (Vec<LogMessage>, Option<u64>, Option<Retry>) {
        let (mut chunk, mut bytes, mut gap) = (Vec::new(), 0, None);
        let mut next = Some(first);
        while let Some(message) = next {
            bytes += message.length;
            match Notice::of(&message) {
                Notice::Message(delivery) => {
                    pull.credit.delivered(message.length);
                    let verdict = self.cursor.judge(delivery);
                    match verdict {
                        Verdict::Lost => return (chunk, gap, Some(Retry::Stale("a delivery was lost"))),
                        Verdict::Drop => {}
                        Verdict::TakeAfter { missing } if self.partitions == Partitions::All => {
                            gap = gap.or(Some(missing));
                        }
                        Verdict::Take | Verdict::TakeAfter { .. } => {}
                    }
                    if verdict != Verdict::Drop {
                        chunk.push(entry(message, delivery.stream_seq, delivery.ts_nanos / 1_000_000));
                    }
                }
                Notice::Heartbeat { last_consumer_seq } => {
                    if last_consumer_seq.is_some_and(|last| !self.cursor.has_all(last)) {
                        return (chunk, gap, Some(Retry::Stale("a delivery was lost")));
                    }
                }
                Notice::Ended { messages, bytes: left } => pull.credit.ended(messages, left),
                Notice::Empty | Notice::Gone => {
                    return (chunk, gap, Some(Retry::Stale("the consumer is gone")));
                }
            }
            if chunk.len() >= LogReader::CHUNK_MAX || bytes >= CHUNK_BYTES {
                break;
            }
            next = pull.subscriber.next().now_or_never().flatten();
        }
        (chunk, gap, None)
    }
}

fn entry(message: Message, seq: u64, ts_ms: u64) -> LogMessage {
    let content_type = message.headers.as_ref().and_then(|headers| headers.get("Content-Type"));
    let content_type = content_type.map(|value| value.as_str().to_owned());
    LogMessage { seq, ts_ms, subject: message.subject, payload: message.payload, content_type }
}

/// One consumer and what comes of it.
struct Pull {
    consumer: Consumer<Config>,
    inbox: String,
    subscriber: Subscriber,
    credit: Credit,
    /// The connection that the requests went over.
    connects: u64,
}

impl Pull {
    async fn refill(&mut self) -> Result<(), Retry> {
        while self.credit.refill(REQUEST_MESSAGES, REQUEST_BYTES) {
            let request = BatchConfig {
                batch: REQUEST_MESSAGES as usize,
                max_bytes: REQUEST_BYTES as usize,
                expires: Some(REQUEST_EXPIRES),
                idle_heartbeat: HEARTBEAT,
                ..BatchConfig::default()
            };
            let sent = self.consumer.request_batch(request, self.inbox.as_str().into()).await;
            sent.map_err(|error| Retry::Unanswered(error.to_string()))?;
        }
        Ok(())
    }

    /// The next message or notice.
    async fn wait(&mut self, nats: &Nats) -> Result<Message, Retry> {
        let silent_since = Instant::now();
        loop {
            if nats.connects() != self.connects {
                return Err(Retry::Stale("there is a new connection"));
            }
            match tokio::time::timeout(CONNECTION_CHECK, self.subscriber.next()).await {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => return Err(Retry::Stale("the subscription ended")),
                Err(_) if silent_since.elapsed() > SILENCE_MAX && nats.is_connected() => {
                    return Err(Retry::Stale("the consumer is silent"));
                }
                Err(_) => {}
            }
        }
    }

    /// Tells the server that it need not be kept. Whether it hears that does not matter.
    async fn delete(self, nats: &Nats) {
        let subject = format!("CONSUMER.DELETE.{}.{}", names::LOG, self.consumer.cached_info().name);
        if nats.is_connected() {
            nats.jetstream.send_request(subject, async_nats::Request::new()).await.ok();
        }
    }
}
