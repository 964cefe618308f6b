//! PRESENCE_EVENTS as the model has it: batches that land whole or not at all, and each partition's progress.

use std::sync::Arc;

use presence_engine::nats::commit::protocol::{Found, Known, Outcome, Part};

use crate::log::{Event, PARTITIONS, Place};

/// What the server answers where an expectation is stale.
pub(crate) const WRONG_LAST_SEQUENCE: u64 = 10_071;

/// A partition's progress as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Progress {
    pub(crate) seq: u64,
    pub(crate) commit: Box<str>,
    pub(crate) owner: Box<str>,
    pub(crate) epoch: u64,
    pub(crate) place: Place,
}

impl Progress {
    pub(crate) fn known(&self) -> Known {
        Known { seq: self.seq, commit: self.commit.clone() }
    }

    pub(crate) fn found(self) -> Found {
        Found { seq: self.seq, commit: self.commit, owner: self.owner, epoch: self.epoch }
    }
}

/// What was stored of a partition, in order: the message's epoch, and its event; a fence has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stored {
    pub(crate) life: u8,
    pub(crate) epoch: u64,
    pub(crate) event: Option<Place>,
}

/// The content of a commit, the same for each of its attempts: events, then the progress of each part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Batch {
    pub(crate) life: u8,
    pub(crate) owner: Box<str>,
    pub(crate) commit: Box<str>,
    pub(crate) events: Vec<Event>,
    pub(crate) parts: Vec<Part>,
    /// How far each part was told with it.
    pub(crate) places: Vec<Place>,
}

impl Batch {
    pub(crate) fn count(&self) -> u64 {
        (self.events.len() + self.parts.len()) as u64
    }

    pub(crate) fn is_fence(&self) -> bool {
        self.events.is_empty()
    }
}

/// An attempt of a commit on its way to the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) id: String,
    pub(crate) batch: Arc<Batch>,
    /// Somebody waits for the answer.
    pub(crate) is_awaited: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stream {
    pub(crate) last_seq: u64,
    /// The progress that counts is the last one; what a rollup took is kept only where a deposed leader may tell it.
    pub(crate) progress: [Vec<Progress>; PARTITIONS as usize],
    pub(crate) stored: [Vec<Stored>; PARTITIONS as usize],
}

impl Stream {
    pub(crate) fn progress(&self, partition: u16) -> Option<&Progress> {
        self.progress[usize::from(partition)].last()
    }

    pub(crate) fn place(&self, partition: u16) -> Place {
        self.progress(partition).map_or(Place::NOTHING, |progress| progress.place)
    }

    /// What a leader tells that was deposed one progress ago; `None`: it would tell what is.
    pub(crate) fn stale_progress(&self, partition: u16) -> Option<Option<&Progress>> {
        let all = &self.progress[usize::from(partition)];
        all.len().checked_sub(1).map(|last| last.checked_sub(1).map(|before| &all[before]))
    }

    /// Whether an expectation of it is not what is there. Sequences only grow, so it will be stale for ever.
    pub(crate) fn is_stale(&self, batch: &Batch) -> bool {
        batch.parts.iter().any(|part| {
            let seq = self.progress(part.partition).map_or(0, |progress| progress.seq);
            part.expected.as_ref().map_or(0, |known| known.seq) != seq
        })
    }

    /// The batch reaches the server, which checks expectations or, in a model that is to fail, doesn't.
    pub(crate) fn land(&mut self, batch: &Batch, checks: bool, remembers: bool) -> Outcome {
        if checks && self.is_stale(batch) {
            return Outcome::Refused { code: WRONG_LAST_SEQUENCE, description: "wrong last sequence".into() };
        }
        for event in &batch.events {
            let epoch = epoch(batch, event.partition);
            let stored = Stored { life: batch.life, epoch, event: Some(event.place) };
            self.stored[usize::from(event.partition)].push(stored);
        }
        self.last_seq += batch.events.len() as u64;
        for (part, place) in batch.parts.iter().zip(&batch.places) {
            self.last_seq += 1;
            if batch.is_fence() {
                let stored = Stored { life: batch.life, epoch: part.epoch, event: None };
                self.stored[usize::from(part.partition)].push(stored);
            }
            let all = &mut self.progress[usize::from(part.partition)];
            if !remembers {
                all.clear();
            } else if all.len() > 1 {
                all.remove(0);
            }
            let (commit, owner) = (batch.commit.clone(), batch.owner.clone());
            all.push(Progress { seq: self.last_seq, commit, owner, epoch: part.epoch, place: *place });
        }
        Outcome::Acked { last_seq: self.last_seq, count: batch.count() }
    }
}

fn epoch(batch: &Batch, partition: u16) -> u64 {
    let part = batch.parts.iter().find(|part| part.partition == partition);
    part.expect("every partition of a batch has its progress in it").epoch
}
