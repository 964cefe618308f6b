//! From an event to the messages that commit it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::subject;
use super::{CONTRACT_VERSION, Encoding, Named, told};
use crate::model::{Event, EventBody, Millis, State};

/// How long a bucket remembers that a key was deleted.
pub const GONE_TTL: &str = "5m";

/// A message to publish as part of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The subject under which it is told.
    pub subject: String,
    /// Its headers; the commit adds its own.
    pub headers: Vec<(&'static str, String)>,
    /// Its payload.
    pub payload: Bytes,
}

/// The messages to commit for one event: the event itself, and behind one that says offline, what takes its key out of the
/// bucket.
///
/// Headers are CloudEvents 1.0 attributes in binary mode, as the protocol binding for NATS names them (`ce-…`), and
/// `Content-Type`.
///
/// ```
/// use presence_engine::model::{EngineEvent, EngineWhat, Event, EventBody};
/// use presence_engine::wire::{Encoding, event::messages};
/// let body = EventBody::Engine(EngineEvent { what: EngineWhat::Blind, from_ms: 1_000, to_ms: 9_000 });
/// let event = Event { at_ms: 9_000, partition: 3, generation: 1, seq: 42, k: 0, body };
/// let message = messages(&event, Encoding::Json).next().unwrap();
/// assert_eq!(message.subject, "presence.v1.engine.3");
/// assert!(message.headers.contains(&("ce-id", "3-1-42-0".to_owned())));
/// ```
pub fn messages(event: &Event, encoding: Encoding) -> impl Iterator<Item = Message> + use<> {
    let (kind, about, subject, payload, gone) = match &event.body {
        EventBody::Session(of) => {
            let key = subject::session_key(&of.tenant, &of.user, &of.session);
            let gone = (of.to == State::Offline).then(|| gone(subject::gone_session(&key)));
            let subject = subject::session(&key);
            ("session", key, subject, encoding.write(&told::Session::of(event, of)), gone)
        }
        EventBody::User(of) => {
            let key = subject::user_key(&of.tenant, &of.user);
            let gone = (of.to == State::Offline).then(|| gone(subject::gone_user(&key)));
            let subject = subject::user(&key);
            ("user", key, subject, encoding.write(&told::User::of(event, of)), gone)
        }
        EventBody::Ready(of) => {
            let key = subject::user_key(&of.tenant, &of.user);
            let subject = subject::ready(&key);
            ("ready", key, subject, encoding.write(&told::Ready::of(event, of)), None)
        }
        EventBody::Engine(of) => {
            let subject = subject::engine(event.partition);
            let payload = encoding.write(&told::Engine::of(event, of));
            ("engine", event.partition.to_string(), subject, payload, None)
        }
        EventBody::Rejected(of) => {
            let subject = subject::rejected(event.partition);
            let payload = encoding.write(&told::Rejected::of(event, of));
            ("rejected", event.partition.to_string(), subject, payload, None)
        }
    };
    let attributes = Attributes { id: event.id(), kind, partition: event.partition, at_ms: event.at_ms, about };
    [Some(attributes.message(subject, payload, encoding)), gone].into_iter().flatten()
}

/// What takes a key out of its bucket: the bucket sources it onto the key, and forgets it after [`GONE_TTL`].
#[must_use]
pub fn gone(subject: String) -> Message {
    let headers = vec![("KV-Operation", "DEL".to_owned()), ("Nats-TTL", GONE_TTL.to_owned())];
    Message { subject, headers, payload: Bytes::new() }
}

/// What the runtime tells of itself, outside of the fold and of the replay equality.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// What.
    pub what: RuntimeWhat,
    /// The partition.
    pub partition: u16,
    /// The epoch of the owner that tells it.
    pub epoch: u64,
    /// Which one of this epoch and partition it is, from 0.
    pub n: u32,
    /// When, in the log's time as far as it is known.
    pub at_ms: Millis,
    /// The log sequence up to which it was known.
    pub seq: u64,
    /// Where it begins.
    pub from_ms: Millis,
    /// Where it ends.
    pub to_ms: Millis,
}

/// Kinds of [`RuntimeEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuntimeWhat {
    /// Another engine owns the partition.
    Owner,
    /// The log is another one, or was cut.
    LogLost,
    /// No checkpoint could be written for long.
    CheckpointStale,
}

super::name::named! {
    RuntimeWhat { Owner = "owner", LogLost = "log_lost", CheckpointStale = "checkpoint_stale" }
}

impl RuntimeEvent {
    /// `<partition>-e<epoch>-<n>`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-e{}-{}", self.partition, self.epoch, self.n)
    }

    /// The message to commit.
    #[must_use]
    pub fn message(&self, encoding: Encoding) -> Message {
        let told = told::Engine {
            v: CONTRACT_VERSION,
            kind: told::KINDS[2].into(),
            id: self.id().into(),
            at_ms: self.at_ms,
            partition: self.partition,
            seq: self.seq,
            what: self.what.name().into(),
            from_ms: self.from_ms,
            to_ms: self.to_ms,
        };
        let attributes = Attributes {
            id: self.id(),
            kind: "engine",
            partition: self.partition,
            at_ms: self.at_ms,
            about: self.partition.to_string(),
        };
        attributes.message(subject::engine(self.partition), encoding.write(&told), encoding)
    }
}

/// An event's CloudEvents attributes.
struct Attributes {
    id: String,
    kind: &'static str,
    partition: u16,
    at_ms: Millis,
    /// What the event is about, within its source.
    about: String,
}

impl Attributes {
    fn message(self, subject: String, payload: Vec<u8>, encoding: Encoding) -> Message {
        let content_type = encoding.content_type();
        let headers = vec![
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", self.id),
            ("ce-type", format!("presence.{}.v1", self.kind)),
            ("ce-source", format!("/presence/{}", self.partition)),
            ("ce-time", rfc3339(self.at_ms)),
            ("ce-subject", self.about),
            ("ce-datacontenttype", content_type.to_owned()),
            ("Content-Type", content_type.to_owned()),
        ];
        Message { subject, headers, payload: payload.into() }
    }
}

/// RFC 3339 with milliseconds, in UTC; times after the year 9999 are its end.
#[must_use]
pub fn rfc3339(at_ms: Millis) -> String {
    const LAST: Millis = 253_402_300_799_999;
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms.min(LAST))).to_string()
}

#[cfg(test)]
mod tests;
