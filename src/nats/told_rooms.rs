//! What was told of rooms: the latest of each partial, room event and member event in PRESENCE_EVENTS, and then all that come.
//!
//! It takes two consumers. One for events begins with the last of each subject. One for partials, of which there is only one of
//! each subject, begins with the first: a list of what is last would be of no use to the server once most of it is replaced.
//! Where one fails both are made anew, and tell everything anew: what aged out or was lost meanwhile is not there then.
//!
//! Marks tell how far it has read: a message of its own, which the stream has stored behind whatever was there when the mark was
//! asked for.

mod read;

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{BatchConfig, Config};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::{HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{debug, info};

use super::pull::{Credit, Notice};
use super::{Nats, names};
use crate::model::{Millis, RoomPart};
use crate::wire::{subject, told};
use read::read;

/// Chunks that wait for the engine's loop.
const CHUNKS_AHEAD: usize = 4;
/// Most messages of a chunk.
const CHUNK_MAX: usize = 512;
/// A request asks for so much; two are under way.
const REQUEST_MESSAGES: u64 = 4_096;
const REQUEST_BYTES: u64 = 8 * 1024 * 1024;
const REQUEST_EXPIRES: Duration = Duration::from_secs(5);
/// The server says so often that the consumer lives, if it has nothing else to say.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A consumer that says nothing for so long is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// How often a new connection is looked for.
const CONNECTION_CHECK: Duration = Duration::from_millis(200);
/// The server keeps a consumer for so long that nobody asks.
const CONSUMER_KEPT: Duration = Duration::from_secs(30);
/// A stream without a leader does not answer; the next one may.
const OPEN_MAX: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How long the stream keeps a mark.
const MARK_TTL: &str = "1m";
/// So long a mark is awaited before another one is published.
const MARK_AWAITED: Duration = Duration::from_secs(20);

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToldOfRooms {
    /// Everything that follows is told anew: what was read before counts no more.
    Anew,
    /// What a partition contributes to a room.
    Part {
        /// The partition.
        partition: u16,
        /// `<tenant>.<room>`
        key: Box<str>,
        /// What it contributes.
        part: RoomPart,
        /// When it was stored, in milliseconds.
        stored_ms: Millis,
    },
    /// An event of the room of this key.
    Room(Box<str>, Box<told::Room<'static>>),
    /// An event of this user, a token, in the room of this key.
    Member(Box<str>, Box<str>, Box<told::Member<'static>>),
    /// Everything was read that was stored when the mark of this number was asked for, and still is.
    Marked(u64),
}

/// Reads what was told of rooms, in a task of its own.
#[derive(Debug)]
pub struct RoomReader {
    chunks: mpsc::Receiver<Vec<ToldOfRooms>>,
    /// The number of the latest mark that was asked for.
    marks: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl RoomReader {
    /// Begins to read as `engine`, a name that nobody else has; the first mark is asked for by that.
    #[must_use]
    pub fn start(nats: &Nats, engine: &str) -> Self {
        let (tell, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let (marks, asked) = watch::channel(1);
        let reader = Reader { nats: nats.clone(), mark: subject::mark(engine), asked, chunks: tell };
        Self { chunks, marks, task: tokio::spawn(reader.run()) }
    }

    /// What was read next, in the stream's order. Waits for ever where nothing comes. Cancel-safe.
    pub async fn next(&mut self) -> Vec<ToldOfRooms> {
        self.chunks.recv().await.expect("the reader ends with the engine")
    }

    /// What was read next, if something waits.
    pub fn try_next(&mut self) -> Option<Vec<ToldOfRooms>> {
        self.chunks.try_recv().ok()
    }

    /// Asks for a mark; returns its number. The marks before it may never come: this one says what they would.
    pub fn mark(&self) -> u64 {
        self.marks.send_modify(|number| *number += 1);
        *self.marks.borrow()
    }
}

impl Drop for RoomReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a consumer is given up for the next one.
struct Retry(String);

/// Nobody wants what was read.
struct Unwanted;

enum End {
    Retry(Retry),
    Unwanted,
}

impl From<Retry> for End {
    fn from(retry: Retry) -> Self {
        Self::Retry(retry)
    }
}

impl Retry {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

struct Reader {
    nats: Nats,
    /// The subject of its marks.
    mark: String,
    asked: watch::Receiver<u64>,
    chunks: mpsc::Sender<Vec<ToldOfRooms>>,
}

/// One consumer and how far it has delivered.
struct Pull {
    nats: Nats,
    consumer: Consumer<Config>,
    inbox: String,
    subscriber: Subscriber,
    credit: Credit,
    /// The connection that the requests went over.
    connects: u64,
    next_delivery: u64,
    /// The sequence in the stream of what it delivered last.
    read_to: u64,
    /// When something came last. It is not for one wait alone: the other consumer's messages end that.
    heard: Instant,
}

/// Both consumers.
struct Pulls {
    partials: Pull,
    events: Pull,
    /// The mark that is awaited: its number, its sequence in the stream, and when it was published.
    awaited: Option<(u64, u64, Instant)>,
}

impl Reader {
    async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            self.nats.connected().await;
            let why = match timeout(OPEN_MAX, self.open()).await {
                Err(_) => Retry(format!("no answer within {} s", OPEN_MAX.as_secs())),
                Ok(Err(retry)) => retry,
                Ok(Ok(pulls)) => {
                    backoff = BACKOFF_MIN;
                    match self.follow(pulls).await {
                        Err(Unwanted) => return,
                        Ok(retry) => retry,
                    }
                }
            };
            info!(why = why.0, "reading what was told of rooms by a new consumer");
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn open(&mut self) -> Result<Pulls, Retry> {
        let of_partials = vec![subject::PARTIALS.to_owned(), self.mark.clone()];
        let of_events = vec![subject::ROOMS.to_owned(), subject::MEMBERS.to_owned(), self.mark.clone()];
        let partials = Pull::open(&self.nats, DeliverPolicy::All, of_partials).await?;
        let events = Pull::open(&self.nats, DeliverPolicy::LastPerSubject, of_events).await?;
        let mut pulls = Pulls { partials, events, awaited: None };
        // Behind the consumers' beginning: when it comes, all of what was there has come.
        self.publish_mark(&mut pulls).await?;
        Ok(pulls)
    }

    async fn publish_mark(&mut self, pulls: &mut Pulls) -> Result<(), Retry> {
        let number = *self.asked.borrow_and_update();
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        headers.insert("Nats-TTL", MARK_TTL);
        let sent = self.nats.jetstream.publish_with_headers(subject::commit(&self.mark), headers, Bytes::new());
        let stored = sent.await.map_err(Retry::of)?.await.map_err(Retry::of)?;
        pulls.awaited = Some((number, stored.sequence, Instant::now()));
        Ok(())
    }

    /// Reads by two consumers, until they have to be given up.
    async fn follow(&mut self, mut pulls: Pulls) -> Result<Retry, Unwanted> {
        self.hand_on(vec![ToldOfRooms::Anew]).await?;
        let retry = loop {
            match self.read_chunk(&mut pulls).await {
                Ok(chunk) => self.hand_on(chunk).await?,
                Err(End::Retry(retry)) => break retry,
                Err(End::Unwanted) => return Err(Unwanted),
            }
        };
        pulls.partials.delete().await;
        pulls.events.delete().await;
        Ok(retry)
    }

    async fn read_chunk(&mut self, pulls: &mut Pulls) -> Result<Vec<ToldOfRooms>, End> {
        // Where reading takes long it may be gone from the stream before it comes.
        if pulls.awaited.is_some_and(|(_, _, since)| since.elapsed() > MARK_AWAITED) {
            self.publish_mark(pulls).await?;
        }
        pulls.partials.refill().await?;
        pulls.events.refill().await?;
        let mut chunk = tokio::select! {
            came = pulls.partials.wait() => pulls.partials.take(came?)?,
            came = pulls.events.wait() => pulls.events.take(came?)?,
            asked = self.asked.changed() => {
                asked.map_err(|_| End::Unwanted)?;
                self.publish_mark(pulls).await?;
                Vec::new()
            }
        };
        let read_to = pulls.partials.read_to.min(pulls.events.read_to);
        if let Some((number, ..)) = pulls.awaited.take_if(|(_, seq, _)| read_to >= *seq) {
            chunk.push(ToldOfRooms::Marked(number));
        }
        Ok(chunk)
    }

    async fn hand_on(&self, chunk: Vec<ToldOfRooms>) -> Result<(), Unwanted> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.chunks.send(chunk).await.map_err(|_| Unwanted)
    }
}

impl Pull {
    async fn open(nats: &Nats, deliver_policy: DeliverPolicy, filter_subjects: Vec<String>) -> Result<Self, Retry> {
        let connects = nats.connects();
        let config = Config {
            description: Some("presence: reads what was told of rooms".into()),
            deliver_policy,
            ack_policy: AckPolicy::None,
            filter_subjects,
            inactive_threshold: CONSUMER_KEPT,
            memory_storage: true,
            ..Config::default()
        };
        let consumer = nats.jetstream.create_consumer_on_stream(config, names::EVENTS).await.map_err(Retry::of)?;
        let inbox = nats.client.new_inbox();
        let subscriber = nats.client.subscribe(inbox.clone()).await.map_err(Retry::of)?;
        debug!(consumer = consumer.cached_info().name, "reading what was told of rooms");
        let (nats, credit) = (nats.clone(), Credit::default());
        let heard = Instant::now();
        Ok(Self { nats, consumer, inbox, subscriber, credit, connects, next_delivery: 1, read_to: 0, heard })
    }

    /// Tells the server that it need not be kept. Whether it hears that does not matter.
    async fn delete(self) {
        let subject = format!("CONSUMER.DELETE.{}.{}", names::EVENTS, self.consumer.cached_info().name);
        if self.nats.is_connected() {
            self.nats.jetstream.send_request(subject, async_nats::Request::new()).await.ok();
        }
    }

    /// Asks for more, as far as there is room.
    async fn refill(&mut self) -> Result<(), Retry> {
        while self.credit.refill(REQUEST_MESSAGES, REQUEST_BYTES) {
            let request = BatchConfig {
                batch: REQUEST_MESSAGES as usize,
                max_bytes: REQUEST_BYTES as usize,
                expires: Some(REQUEST_EXPIRES),
                idle_heartbeat: HEARTBEAT,
                ..BatchConfig::default()
            };
            self.consumer.request_batch(request, self.inbox.as_str().into()).await.map_err(Retry::of)?;
        }
        Ok(())
    }

    /// The next message or notice. Cancel-safe.
    async fn wait(&mut self) -> Result<Message, Retry> {
        loop {
            if self.nats.connects() != self.connects {
                return Err(Retry("there is a new connection".into()));
            }
            match timeout(CONNECTION_CHECK, self.subscriber.next()).await {
                Ok(Some(message)) => {
                    self.heard = Instant::now();
                    return Ok(message);
                }
                Ok(None) => return Err(Retry("the subscription ended".into())),
                Err(_) if self.heard.elapsed() > SILENCE_MAX && self.nats.is_connected() => {
                    return Err(Retry("the consumer is silent".into()));
                }
                Err(_) => {}
            }
        }
    }

    /// What is there.
    fn take(&mut self, first: Message) -> Result<Vec<ToldOfRooms>, Retry> {
        let mut chunk = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match Notice::of(&message) {
                Notice::Message(delivery) => {
                    self.credit.delivered(message.length);
                    if delivery.consumer_seq != self.next_delivery {
                        return Err(Retry("a delivery was lost".into()));
                    }
                    (self.next_delivery, self.read_to) = (delivery.consumer_seq + 1, delivery.stream_seq);
                    chunk.extend(read(&message, delivery));
                }
                Notice::Heartbeat { last_consumer_seq } => {
                    if last_consumer_seq.is_some_and(|last| last >= self.next_delivery) {
                        return Err(Retry("a delivery was lost".into()));
                    }
                }
                Notice::Ended { messages, bytes } => self.credit.ended(messages, bytes),
                Notice::Empty | Notice::Gone => return Err(Retry("the consumer is gone".into())),
            }
            if chunk.len() >= CHUNK_MAX {
                break;
            }
            next = self.subscriber.next().now_or_never().flatten();
        }
        Ok(chunk)
    }
}
