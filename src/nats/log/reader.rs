//! The task behind a [`LogReader`]: one consumer after another, each from where the last one ended.
//!
//! The consumers have no filter, and what belongs to others is thrown away here. A filter makes the server look through
//! every subject of a block for each message as soon as a block holds more messages than subjects, which is what
//! heartbeats are: with 10,000 sessions it delivers some hundred messages a second instead of hundreds of thousands.
//! Besides, an unfiltered consumer shows each gap of the log.

use std::time::Duration;

use async_nats::Message;
use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::consumer::{Came, PAUSE, Pull};
use super::cursor::{Cursor, Verdict};
use super::walk::{self, Walked};
use super::{Chunk, LogError, LogIdentity, LogMessage, LogReader, Partitions, Standing, entry_ts_ms};
use crate::nats::Nats;
use crate::nats::pull::Notice;

/// How many chunks wait for the engine.
pub(super) const CHUNKS_AHEAD: usize = 4;
/// A chunk ends when it has so many bytes.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// A stream without a leader does not answer; the next one may.
const OPEN_MAX: Duration = Duration::from_secs(2);
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A log that is missing for so long is missing for good; a cluster may only be about to find it.
const MISSING_MAX: Duration = Duration::from_secs(5);
/// So long after the last damaged entry the log is still read entry by entry: who sends one sends more.
const WARY: Duration = Duration::from_secs(30);
/// Entries that are asked for at a time.
const WALK_STRIDE: usize = 64;
/// How long the end of the log is left alone where it is read entry by entry.
const WALK_PAUSE: Duration = Duration::from_millis(20);

type Chunks = mpsc::Sender<Result<Chunk, LogError>>;

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
    let standing = Standing::unread();
    let mut reader = Reader { nats, created, partitions, cursor, known, standing, chunks };
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
    /// Of what was taken last.
    standing: Standing,
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
pub(super) enum Retry {
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
            let (before, connects) = (self.cursor.next_seq(), self.nats.connects());
            let mut end = self.read_one_consumer().await;
            // Where only the ears were lost, and before they heard anything new, it may be by what they were to hear.
            let deaf = matches!(end, End::Retry(Retry::Stale(_))) && self.cursor.next_seq() == before;
            if deaf && self.nats.connects() == connects && self.nats.is_connected() {
                end = self.walk().await;
            }
            let retry = match end {
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
        self.nats.connected().await;
        let mut pull = match tokio::time::timeout(OPEN_MAX, self.open()).await {
            Ok(Ok(pull)) => pull,
            Ok(Err(end)) => return end,
            Err(_) => return Retry::Unanswered(format!("no answer within {} s", OPEN_MAX.as_secs())).into(),
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
        self.resume().await?;
        let pull = Pull::open(&self.nats, self.cursor.next_seq()).await?;
        self.cursor.restart();
        Ok(pull)
    }

    /// From here on the log is what it is now; what it has by now has to be read before anybody can say how it is.
    async fn resume(&mut self) -> Result<LogIdentity, LogError> {
        self.standing.heard = Instant::now();
        let log = self.check_identity().await?;
        self.standing.pending = (log.last_seq + 1).saturating_sub(self.cursor.next_seq());
        self.standing.resumed_at = log.last_seq;
        Ok(log)
    }

    /// The log as it is, if it is still the log.
    async fn check_identity(&mut self) -> Result<LogIdentity, LogError> {
        let log = LogIdentity::read(&self.nats).await?;
        let next_seq = self.cursor.next_seq();
        if log.created != self.created {
            let detail = format!("it was created {}, the other one {}", log.created, self.created);
            return Err(LogError::Replaced(detail));
        }
        if next_seq == 0 {
            self.cursor = Cursor::new(log.first_seq);
            return Ok(log);
        }
        if log.last_seq + 1 < next_seq {
            let detail = format!("it ends at {}, {} was read of it already", log.last_seq, next_seq - 1);
            return Err(LogError::Replaced(detail));
        }
        self.check_first(log.first_seq, next_seq)?;
        self.check_known().await?;
        Ok(log)
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
        let Came { message: first, at, after_pause } = pull.wait().await?;
        if after_pause {
            self.resume().await?;
        }
        self.standing.heard = at;
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
        self.hand_on(chunk).await?;
        end.map_or(Ok(()), |retry| Err(retry.into()))
    }

    async fn hand_on(&mut self, chunk: Vec<LogMessage>) -> Result<(), End> {
        let Some(last) = chunk.last() else { return Ok(()) };
        self.known = self.known.max(Some((last.seq, last.ts_ms)));
        let chunk = Chunk { entries: chunk, standing: self.standing };
        self.chunks.send(Ok(chunk)).await.map_err(|_| End::Stop(Stop::Unwanted))
    }

    /// Entries are not there that should be. Entries of a log only ever go from its beginning.
    async fn check_jump(&self, missing: u64) -> Result<(), LogError> {
        let log = LogIdentity::read(&self.nats).await?;
        debug!(missing, first_seq = log.first_seq, "the log's sequence jumps");
        self.check_first(log.first_seq, missing)
    }

    /// Ours of what is there, the first missing sequence if there is one, and why this consumer has to go if it has to.
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
                        Verdict::TakeAfter { missing } => gap = gap.or(Some(missing)),
                        Verdict::Take => {}
                    }
                    if verdict != Verdict::Drop && self.partitions.include(&message.subject) {
                        chunk.push(entry(message, delivery.stream_seq, delivery.ts_nanos / 1_000_000));
                    }
                    self.standing.pending = delivery.pending;
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

impl Reader {
    /// Reads entry by entry, until nothing came for a while that the ears would not survive.
    async fn walk(&mut self) -> End {
        let mut wary_until = None;
        loop {
            match self.walk_on().await {
                Ok(Pace::Sound) if wary_until.is_none_or(|until| Instant::now() > until) => {
                    return Retry::Stale("the headers are sound again").into();
                }
                Ok(Pace::Sound) => {}
                Ok(Pace::Damaged) => wary_until = Some(Instant::now() + WARY),
                Ok(Pace::Waiting) => tokio::time::sleep(WALK_PAUSE).await,
                Err(end) => return end,
            }
        }
    }

    /// Takes the next entries, one request each.
    async fn walk_on(&mut self) -> Result<Pace, End> {
        let log = if self.standing.heard.elapsed() > PAUSE {
            self.resume().await?
        } else {
            self.standing.heard = Instant::now();
            self.check_identity().await?
        };
        let next_seq = self.cursor.next_seq();
        let seqs: Vec<_> = (next_seq..=log.last_seq).take(WALK_STRIDE).collect();
        if seqs.is_empty() {
            return Ok(Pace::Waiting);
        }
        let walked = join_all(seqs.iter().map(|seq| walk::entry(&self.nats, *seq))).await;
        let (mut chunk, mut pace, mut walked_to) = (Vec::new(), Pace::Sound, next_seq);
        for (seq, walked) in seqs.into_iter().zip(walked) {
            match walked? {
                Some(Walked { entry, damaged }) => {
                    if damaged {
                        warn!(seq, subject = %entry.subject, "an entry's headers can't be read, it is taken to have none");
                        pace = Pace::Damaged;
                    }
                    if self.partitions.include(&entry.subject) {
                        chunk.push(entry);
                    }
                }
                None => self.check_jump(seq).await?,
            }
            walked_to = seq + 1;
        }
        // Only now, since what came before an answer that failed is not handed on, and has to be asked for again.
        self.cursor = Cursor::new(walked_to);
        self.standing.pending = (log.last_seq + 1).saturating_sub(walked_to);
        self.hand_on(chunk).await?;
        Ok(pace)
    }
}

/// What was found on a stretch of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Entries that any client can read.
    Sound,
    /// Entries that end the connection which they come over.
    Damaged,
    /// Nothing yet.
    Waiting,
}
