//! Reads a subject of PRESENCE_EVENTS from a position on, each message once and in order.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::datetime::DateTime;
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Info, Stream};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, sleep};

use super::ask::{Again, Ask};
use super::facts::ms;
use super::{Error, Resume};

const EVENTS: &str = "PRESENCE_EVENTS";
/// Most messages that are under way: far less than a subscription holds before it drops some.
const BATCH: usize = 256;
/// How often the server tells that it lives while there is nothing to tell.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a pull request stands.
const EXPIRES: Duration = Duration::from_secs(30);
/// How long the server keeps a consumer that nobody reads.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// How long nothing has to come before the position is brought up to date.
const QUIET: Duration = Duration::from_secs(30);
/// How long to wait before the stream is opened again.
const AGAIN: Duration = Duration::from_millis(250);

/// Where to begin.
pub(super) enum Start {
    /// Behind what there is.
    Now,
    /// Behind a sequence that was told just now.
    Behind(u64),
    /// Where another reader stood.
    Resumed(Resume),
}

/// A message of the stream.
pub(super) struct Stored {
    pub(super) subject: String,
    pub(super) payload: Bytes,
}

pub(super) struct Reader {
    jetstream: jetstream::Context,
    subject: String,
    /// Behind what was read.
    at: Resume,
    open: Option<Open>,
}

/// A consumer, and what it delivers.
struct Open {
    stream: Stream,
    consumer: Consumer<pull::Config>,
    messages: pull::Stream,
    /// How much of what it delivered was read.
    read: u64,
}

/// Why the stream can't be opened.
enum Closed {
    /// It is no use to try again.
    ForGood(Error),
    /// It may be by and by.
    ForNow(String),
}

impl Reader {
    /// Opens the stream, for `within` at most.
    pub(super) async fn open(ask: &Ask, subject: String, start: Start, within: Duration) -> Result<Self, Error> {
        let jetstream = jetstream::new(ask.client.clone());
        let until = Instant::now() + within;
        let mut again = Again::default();
        loop {
            let reason = match Self::try_open(&jetstream, &subject, &start).await {
                Ok(reader) => return Ok(reader),
                Err(Closed::ForGood(error)) => return Err(error),
                Err(Closed::ForNow(reason)) => reason,
            };
            if !again.wait(until).await {
                return Err(Error::NoStream { stream: EVENTS, reason });
            }
        }
    }

    async fn try_open(jetstream: &jetstream::Context, subject: &str, start: &Start) -> Result<Self, Closed> {
        let stream = get_stream(jetstream).await?;
        let info = stream.cached_info();
        let at = match start {
            Start::Now => current(info, info.state.last_sequence),
            Start::Behind(seq) => current(info, *seq),
            Start::Resumed(resume) => {
                still_there(info, *resume)?;
                *resume
            }
        };
        let open = Open::behind(stream, subject, at.seq).await?;
        Ok(Self { jetstream: jetstream.clone(), subject: subject.to_owned(), at, open: Some(open) })
    }

    /// Behind what was read.
    pub(super) fn position(&self) -> Resume {
        self.at
    }

    /// The next message; nothing where there was none for long, when only the position is another.
    pub(super) async fn next(&mut self, position: &Mutex<Resume>) -> Result<Option<Stored>, Error> {
        loop {
            let Some(open) = self.open.as_mut() else {
                self.reopen().await?;
                continue;
            };
            let message = tokio::select! {
                message = open.messages.next() => message,
                () = sleep(QUIET) => {
                    if let Some(at) = open.up_to_date(self.at).await {
                        self.at = at;
                        *position.lock().expect("nobody panics while holding it") = at;
                    }
                    return Ok(None);
                }
            };
            let Some(Ok(message)) = message else {
                self.open = None;
                continue;
            };
            let place = message.info().ok();
            let place = place.map(|info| (info.stream_sequence, info.consumer_sequence, unix_ms(info.published)));
            match place {
                // The next one, and none between was lost on its way.
                Some((seq, number, at_ms)) if number == open.read + 1 && seq > self.at.seq => {
                    open.read = number;
                    self.at = Resume { seq, at_ms, ..self.at };
                    return Ok(Some(Stored { subject: message.subject.to_string(), payload: message.payload.clone() }));
                }
                Some(_) | None => self.open = None,
            }
        }
    }

    /// Opens the stream again, however long that takes, unless it can't be gone on with.
    async fn reopen(&mut self) -> Result<(), Error> {
        loop {
            sleep(AGAIN).await;
            let opened = async {
                let stream = get_stream(&self.jetstream).await?;
                still_there(stream.cached_info(), self.at)?;
                Open::behind(stream, &self.subject, self.at.seq).await
            };
            match opened.await {
                Ok(open) => {
                    self.open = Some(open);
                    return Ok(());
                }
                Err(Closed::ForGood(error)) => return Err(error),
                Err(Closed::ForNow(_)) => {}
            }
        }
    }
}

impl Open {
    async fn behind(stream: Stream, subject: &str, seq: u64) -> Result<Self, Closed> {
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: seq + 1 },
            filter_subject: subject.to_owned(),
            inactive_threshold: FORGOTTEN_AFTER,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let for_now = |error: &dyn std::fmt::Display| Closed::ForNow(error.to_string());
        let consumer = stream.create_consumer(config).await.map_err(|error| for_now(&error))?;
        let messages = consumer.stream().max_messages_per_batch(BATCH).heartbeat(HEARTBEAT).expires(EXPIRES);
        let messages = messages.messages().await.map_err(|error| for_now(&error))?;
        Ok(Self { stream, consumer, messages, read: 0 })
    }

    /// The position at the end of the stream, if there is nothing to be read up to there.
    async fn up_to_date(&mut self, at: Resume) -> Option<Resume> {
        // The end first: what comes between is still to come then.
        let end = self.stream.info().await.ok().map(|info| current(info, info.state.last_sequence))?;
        let consumer = self.consumer.info().await.ok()?;
        let is_read = consumer.num_pending == 0 && consumer.delivered.consumer_sequence == self.read;
        (is_read && end.seq >= at.seq && end.made_ms == at.made_ms).then_some(end)
    }
}

async fn get_stream(jetstream: &jetstream::Context) -> Result<Stream, Closed> {
    jetstream.get_stream(EVENTS).await.map_err(|error| match error.kind() {
        // Also by a server that has not read all of its store yet.
        GetStreamErrorKind::JetStream(_) | GetStreamErrorKind::Request => Closed::ForNow(error.to_string()),
        GetStreamErrorKind::EmptyName | GetStreamErrorKind::InvalidStreamName => {
            unreachable!("the name of the events' stream is one")
        }
    })
}

fn current(info: &Info, seq: u64) -> Resume {
    Resume { seq, at_ms: unix_ms(info.state.last_timestamp), made_ms: unix_ms(info.created) }
}

/// Whether everything behind a position is there.
fn still_there(info: &Info, at: Resume) -> Result<(), Closed> {
    let (state, age_max) = (&info.state, ms(info.config.max_age));
    if at.made_ms != unix_ms(info.created) || at.seq > state.last_sequence {
        return Err(Closed::ForGood(Error::Replaced { seq: at.seq, last: state.last_sequence }));
    }
    // What is missing before the first message may have been a partition's earlier positions, of which the latest alone is kept: events
    // are taken by age, and by size if that is limited.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms).max(unix_ms(state.last_timestamp));
    let is_too_old = age_max > 0 && now.saturating_sub(at.at_ms) >= age_max;
    let may_be_gone = is_too_old || info.config.max_bytes > 0;
    if state.first_sequence > at.seq + 1 && may_be_gone {
        return Err(Closed::ForGood(Error::Gone { seq: at.seq, first: state.first_sequence }));
    }
    Ok(())
}

fn unix_ms(at: DateTime) -> u64 {
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}
