//! The outbox: what was derived and not yet committed, in the order in which it has to be told. Pure, and public so that
//! `tests/simulation.rs` drives the very thing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::nats::{Batch, OutMessage, Position};
use crate::wire::Progress;

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

    fn place(&self) -> (u32, u64, u32) {
        (self.generation, self.seq, self.k)
    }

    fn position(&self) -> Position {
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
    /// The fold's own bytes.
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
enum Item {
    /// An event, with the deletion behind it where it says offline.
    Told { partition: u16, reached: Reached, messages: Vec<OutMessage> },
    /// Messages that no entry of the log caused: they move no position.
    Aside { partition: u16, messages: Vec<OutMessage> },
    /// What a partition contributes to a room: the message that waits under this subject. It moves no position.
    Partial { partition: u16, subject: Box<str> },
    /// A snapshot: its position is committed, then it may be stored.
    Snapshot(Snapshot),
    /// Of a partition that is ours no more: it is only counted among those of the commit under way.
    Nothing,
}

impl Item {
    fn partition(&self) -> Option<u16> {
        match self {
            Self::Told { partition, .. } | Self::Aside { partition, .. } | Self::Partial { partition, .. } => {
                Some(*partition)
            }
            Self::Snapshot(snapshot) => Some(snapshot.partition),
            Self::Nothing => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Told { messages, .. } | Self::Aside { messages, .. } => messages.len(),
            Self::Partial { .. } => 1,
            Self::Snapshot(_) | Self::Nothing => 0,
        }
    }

    /// Moves its messages into the batch, which does not change any more until it is confirmed.
    fn take_messages(&mut self, partials: &mut BTreeMap<Box<str>, OutMessage>) -> Vec<OutMessage> {
        match self {
            Self::Told { messages, .. } | Self::Aside { messages, .. } => std::mem::take(messages),
            Self::Partial { subject, .. } => partials.remove(subject).into_iter().collect(),
            Self::Snapshot(_) | Self::Nothing => Vec::new(),
        }
    }

    fn reached(&self) -> Option<&Reached> {
        match self {
            Self::Told { reached, .. } => Some(reached),
            Self::Aside { .. } | Self::Partial { .. } | Self::Nothing => None,
            Self::Snapshot(snapshot) => Some(&snapshot.reached),
        }
    }
}

/// A batch of more bytes takes no further item: it has to land within seconds.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What waits to be committed. Items leave it only when their commit is confirmed: until then a lost process tells them
/// again from the log, and nobody else may.
#[derive(Debug)]
pub struct Outbox {
    items: VecDeque<Item>,
    /// The messages of the partials that wait, by subject: the server takes the same rollup only once in a batch, and a newer
    /// count replaces the one that waits.
    partials: BTreeMap<Box<str>, OutMessage>,
    /// How many items at the front are in the commit that is under way.
    in_flight: usize,
    /// Per partition that is ours, what the last confirmed commit said.
    confirmed: Vec<Option<Reached>>,
    messages_max: usize,
}

impl Outbox {
    /// An empty outbox of no partition; a batch holds so many messages at most.
    #[must_use]
    pub fn new(messages_max: usize) -> Self {
        Self { items: VecDeque::new(), partials: BTreeMap::new(), in_flight: 0, confirmed: Vec::new(), messages_max }
    }

    /// A partition is ours from now on, and has told so much already.
    pub fn begin(&mut self, partition: u16, told: Reached) {
        let at = usize::from(partition);
        if self.confirmed.len() <= at {
            self.confirmed.resize(at + 1, None);
        }
        self.confirmed[at] = Some(told);
    }

    /// A partition is ours no more: what of it was not committed is the next owner's to tell.
    pub fn end(&mut self, partition: u16) {
        self.confirmed[usize::from(partition)] = None;
        let of_it = |item: &Item| item.partition() == Some(partition);
        self.items.iter_mut().take(self.in_flight).filter(|item| of_it(item)).for_each(|item| *item = Item::Nothing);
        self.items.retain(|item| !of_it(item));
        self.partials.retain(|_, message| message.partition != partition);
    }

    /// Whether nothing of a partition waits for its commit.
    #[must_use]
    pub fn is_empty_of(&self, partition: u16) -> bool {
        self.items.iter().all(|item| item.partition() != Some(partition))
    }

    /// How far a partition's log is told, if it is ours.
    #[must_use]
    pub fn told(&self, partition: u16) -> Option<&Reached> {
        self.confirmed.get(usize::from(partition))?.as_ref()
    }

    fn confirmed(&self, partition: u16) -> &Reached {
        self.told(partition).expect("only what is ours is told")
    }

    /// How many items wait, those of the commit under way included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether everything is committed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether no commit is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// Whether a partition has told this event already, before the process began.
    #[must_use]
    pub fn was_told(&self, partition: u16, seq: u64, k: u32) -> bool {
        let confirmed = self.confirmed(partition);
        (seq, k) < (confirmed.seq, confirmed.k)
    }

    /// Takes the messages of one event; `reached` is the position behind it.
    pub fn tell(&mut self, partition: u16, reached: Reached, messages: Vec<OutMessage>) {
        self.items.push_back(Item::Told { partition, reached, messages });
    }

    /// Takes messages that no entry of the log caused.
    pub fn tell_aside(&mut self, partition: u16, messages: Vec<OutMessage>) {
        self.items.push_back(Item::Aside { partition, messages });
    }

    /// Takes what a partition contributes to a room, in place of what waits of that already.
    pub fn tell_partial(&mut self, message: OutMessage) {
        let (partition, subject): (u16, Box<str>) = (message.partition, message.subject.as_str().into());
        if self.partials.insert(subject.clone(), message).is_none() {
            self.items.push_back(Item::Partial { partition, subject });
        }
    }

    /// Takes a snapshot, to be stored once everything before it is committed. One from before what was told already, as
    /// in the midst of a replay, is passed over: its commit would take the progress back, and events would be told again.
    /// Whether it was taken.
    pub fn keep(&mut self, snapshot: Snapshot) -> bool {
        let is_kept = snapshot.reached.place() >= self.confirmed(snapshot.partition).place();
        if is_kept {
            self.items.push_back(Item::Snapshot(snapshot));
        }
        is_kept
    }

    /// The next commit: as much from the front as one batch holds. `None` if there is nothing, or one is under way.
    pub fn next_batch(&mut self) -> Option<Batch> {
        if self.in_flight > 0 || self.items.is_empty() {
            return None;
        }
        let mut batch = Batch::default();
        let mut progress: Vec<(u16, &Reached)> = Vec::new();
        let mut bytes = 0;
        for item in &mut self.items {
            if bytes > BATCH_BYTES_MAX {
                break;
            }
            let Some(partition) = item.partition() else {
                self.in_flight += 1;
                continue;
            };
            let known = progress.iter().position(|(other, _)| *other == partition);
            let size = batch.messages.len() + item.len() + progress.len() + usize::from(known.is_none());
            if size > self.messages_max && self.in_flight > 0 {
                break;
            }
            self.in_flight += 1;
            let messages = item.take_messages(&mut self.partials);
            bytes += messages.iter().map(|message| message.payload.len()).sum::<usize>();
            batch.messages.extend(messages);
            let reached = item.reached();
            match known {
                Some(at) => progress[at].1 = reached.unwrap_or(progress[at].1),
                None => {
                    let confirmed = self.confirmed[usize::from(partition)].as_ref();
                    progress.push((partition, reached.or(confirmed).expect("only what is ours is told")));
                }
            }
        }
        batch.progress = progress.into_iter().map(|(partition, reached)| (partition, reached.position())).collect();
        Some(batch)
    }

    /// The commit under way is confirmed: only now its items leave. Returns the snapshots that may be stored.
    pub fn confirm(&mut self) -> Vec<Snapshot> {
        let mut snapshots = Vec::new();
        for item in self.items.drain(..std::mem::take(&mut self.in_flight)) {
            if let Some((partition, reached)) = item.partition().zip(item.reached()) {
                self.confirmed[usize::from(partition)] = Some(reached.clone());
            }
            if let Item::Snapshot(snapshot) = item {
                snapshots.push(snapshot);
            }
        }
        snapshots
    }
}

#[cfg(test)]
mod tests;
