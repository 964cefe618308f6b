//! One consumer of the log, and the connection that it comes over.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{BatchConfig, Config};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::{Message, Subscriber};
use futures::StreamExt;
use tokio::time::Instant;
use tracing::debug;

use super::reader::Retry;
use crate::nats::pull::Credit;
use crate::nats::{Nats, connect, names};

/// A request asks for so much; two are under way.
const REQUEST_MESSAGES: u64 = 8_192;
/// The server cuts off a client that 64 MB wait for.
const REQUEST_BYTES: u64 = 8 * 1024 * 1024;
const REQUEST_EXPIRES: Duration = Duration::from_secs(30);
/// The server says so often that the consumer lives, if it has nothing else to say.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A consumer that says nothing for so long is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Who has not looked for so long was stopped, or had no room for more: what was sent to it meanwhile doesn't tell how long the
/// log is now.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// How often a new connection is looked for: what was asked for over the old one will not come.
const CONNECTION_CHECK: Duration = Duration::from_millis(200);
/// The server keeps a consumer for so long that nobody asks.
const CONSUMER_KEPT: Duration = Duration::from_secs(30);

// The notices between the messages take room too.
const _: () = assert!(2 * REQUEST_MESSAGES as usize * 3 / 2 <= connect::SUBSCRIPTION_CAPACITY);

/// One consumer and what comes of it.
pub(super) struct Pull {
    /// A connection of its own: what strangers have put into headers may end it.
    ears: Nats,
    consumer: Consumer<Config>,
    inbox: String,
    pub(super) subscriber: Subscriber,
    pub(super) credit: Credit,
    /// The connection that the requests went over.
    connects: u64,
    /// When it was looked for something the last time.
    looked: Instant,
}

/// What has come.
pub(super) struct Came {
    pub(super) message: Message,
    pub(super) at: Instant,
    /// Whether it may have lain there for longer than [`PAUSE`].
    pub(super) after_pause: bool,
}

impl Pull {
    /// Creates a consumer that starts at the log's `next_seq`.
    pub(super) async fn open(nats: &Nats, next_seq: u64) -> Result<Self, Retry> {
        let unanswered = |error: &dyn std::fmt::Display| Retry::Unanswered(error.to_string());
        let ears = nats.another().await.map_err(|error| unanswered(&error))?;
        let connects = ears.connects();
        let config = Config {
            description: Some("presence: reads the log".into()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: next_seq },
            ack_policy: AckPolicy::None,
            inactive_threshold: CONSUMER_KEPT,
            memory_storage: true,
            ..Config::default()
        };
        let consumer =
            ears.jetstream.create_consumer_on_stream(config, names::LOG).await.map_err(|error| unanswered(&error))?;
        let inbox = ears.client.new_inbox();
        let subscriber = ears.client.subscribe(inbox.clone()).await.map_err(|error| unanswered(&error))?;
        debug!(consumer = consumer.cached_info().name, next_seq, "reading the log");
        Ok(Self { ears, consumer, inbox, subscriber, credit: Credit::default(), connects, looked: Instant::now() })
    }

    /// Asks for more, as far as there is room.
    pub(super) async fn refill(&mut self) -> Result<(), Retry> {
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
    pub(super) async fn wait(&mut self) -> Result<Came, Retry> {
        let silent_since = Instant::now();
        let mut after_pause = false;
        loop {
            if self.ears.connects() != self.connects {
                return Err(Retry::Stale("there is a new connection"));
            }
            let came = tokio::time::timeout(CONNECTION_CHECK, self.subscriber.next()).await;
            let at = Instant::now();
            after_pause |= at.saturating_duration_since(self.looked) > PAUSE;
            self.looked = at;
            match came {
                Ok(Some(message)) => return Ok(Came { message, at, after_pause }),
                Ok(None) => return Err(Retry::Stale("the subscription ended")),
                Err(_) if silent_since.elapsed() > SILENCE_MAX && self.ears.is_connected() => {
                    return Err(Retry::Stale("the consumer is silent"));
                }
                Err(_) => {}
            }
        }
    }

    /// Tells the server that it need not be kept. Whether it hears that does not matter.
    pub(super) async fn delete(self, nats: &Nats) {
        let subject = format!("CONSUMER.DELETE.{}.{}", names::LOG, self.consumer.cached_info().name);
        if nats.is_connected() {
            nats.jetstream.send_request(subject, async_nats::Request::new()).await.ok();
        }
    }
}
