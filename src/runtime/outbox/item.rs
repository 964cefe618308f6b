//! What waits in the outbox, and where each partition is with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fold;
use crate::model::Event;
use crate::nats::{OutMessage, Position};
use crate::runtime::told;
use crate::wire::{Encoding, Progress};

/// How far a partition's log was told: all events of entries before `seq`, and the first `k` of `seq` itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The sequence of the log entry.
    pub seq: u64,
    /// Its timestamp in milliseconds.
    pub ts: u64,
    /// How many of its events.
    pub k: u32,
    /// Grows each time the log was lost.
    pub generation: u32,
    /// The policy in force there.
    pub policy_hash: Arc<str>,
}

impl Reached {
    /// Nothing of a log was told yet.
    #[must_use]
    pub fn nothing(generation: u32) -> Self {
        Self { seq: 0, ts: 0, k: 0, generation, policy_hash: "".into() }
    }

    /// What a progress says.
    #[must_use]
    pub fn of(progress: &Progress) -> Self {
        Self {
            seq: progress.input_seq,
            ts: progress.input_ts,
            k: progress.k,
            generation: progress.generation,
            policy_hash: progress.policy_hash.as_str().into(),
        }
    }

    pub(super) fn place(&self) -> (u32, u64, u32) {
        (self.generation, self.seq, self.k)
    }

    pub(super) fn position(&self) -> Position {
        Position {
            input_seq: self.seq,
            input_ts: self.ts,
            k: self.k,
            policy_hash: self.policy_hash.to_string(),
            generation: self.generation,
        }
    }
}

/// A partition as it was at a position; to be stored once everything before it is committed.
#[derive(Debug)]
pub struct Snapshot {
    /// The partition's number.
    pub partition: u16,
    /// The position.
    pub reached: Reached,
    /// What the fold made of it.
    pub taken: fold::Snapshot,
}

/// What is to be told.
#[derive(Debug)]
pub enum Telling {
    /// An event. Its messages are written shortly before they are committed: where thousands fall together, nobody waits until all
    /// of them are written.
    Event(Event, Encoding),
    /// The messages of one.
    Messages(Vec<OutMessage>),
}

impl From<Vec<OutMessage>> for Telling {
    fn from(messages: Vec<OutMessage>) -> Self {
        Self::Messages(messages)
    }
}

/// One thing that waits in its partition's queue.
#[derive(Debug)]
pub(super) enum Item {
    /// An event, with the deletion behind it where it says offline.
    Told { partition: u16, reached: Reached, telling: Telling },
    /// Messages that no entry of the log caused: they move no position.
    Aside { partition: u16, messages: Vec<OutMessage> },
    /// What a partition contributes to a room: the message that waits under this subject. It moves no position.
    Partial { partition: u16, subject: Box<str> },
    /// A snapshot: its position is committed, then it may be stored.
    Snapshot(Snapshot),
}

impl Item {
    pub(super) fn partition(&self) -> u16 {
        match self {
            Self::Told { partition, .. } | Self::Aside { partition, .. } | Self::Partial { partition, .. } => {
                *partition
            }
            Self::Snapshot(snapshot) => snapshot.partition,
        }
    }

    /// Its own messages, written; a partial's lies elsewhere.
    pub(super) fn messages(&mut self) -> Option<&mut Vec<OutMessage>> {
        match self {
            Self::Told { telling, .. } => {
                if let Telling::Event(event, encoding) = telling {
                    *telling = Telling::Messages(told::messages(event, *encoding));
                }
                match telling {
                    Telling::Messages(messages) => Some(messages),
                    Telling::Event(..) => None,
                }
            }
            Self::Aside { messages, .. } => Some(messages),
            Self::Partial { .. } | Self::Snapshot(_) => None,
        }
    }

    pub(super) fn len(&mut self) -> usize {
        match self {
            Self::Told { .. } | Self::Aside { .. } => self.messages().map_or(0, |messages| messages.len()),
            Self::Partial { .. } => 1,
            Self::Snapshot(_) => 0,
        }
    }

    /// Moves its messages into the batch, which does not change any more until it is confirmed.
    pub(super) fn take_messages(&mut self, partials: &mut BTreeMap<Box<str>, OutMessage>) -> Vec<OutMessage> {
        match self {
            Self::Told { .. } | Self::Aside { .. } => self.messages().map(std::mem::take).unwrap_or_default(),
            Self::Partial { subject, .. } => partials.remove(subject).into_iter().collect(),
            Self::Snapshot(_) => Vec::new(),
        }
    }

    pub(super) fn reached(&self) -> Option<&Reached> {
        match self {
            Self::Told { reached, .. } => Some(reached),
            Self::Aside { .. } | Self::Partial { .. } => None,
            Self::Snapshot(snapshot) => Some(&snapshot.reached),
        }
    }
}
