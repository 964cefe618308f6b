//! The simulated PRESENCE_EVENTS: it stores atomic batches as the server does, and loses, delays and refuses as networks and
//! servers do. Whatever it stores it holds against the invariants at once.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use presence_engine::nats::commit::protocol::Outcome;
use presence_engine::nats::commit::{BATCH_MESSAGES_MAX, StoredProgress};
use presence_engine::wire::{Progress, subject};

use crate::logs::{Log, PARTITIONS};
use crate::random::Random;

/// A message of a batch, with the subject under which it is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    /// Whose it is; for the checks alone.
    pub(crate) owner: u32,
    pub(crate) partition: u16,
    pub(crate) subject: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: Bytes,
}

impl Published {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn epoch(&self) -> u64 {
        let epoch = self.header("Presence-Epoch").and_then(|epoch| epoch.parse().ok());
        epoch.unwrap_or_else(|| panic!("I8: {} carries no epoch", self.subject))
    }

    fn is_progress(&self) -> bool {
        self.subject == subject::progress(self.partition)
    }
}

/// An atomic batch on its way. `commit` is for the checks alone: the server sees the id.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) id: String,
    pub(crate) commit: String,
    pub(crate) messages: Vec<Published>,
}

#[derive(Debug)]
struct Flight {
    id: u64,
    batch: Batch,
}

/// The stream, and what is on its way to it.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Everything that was ever stored, in order; what a rollup took is still in it.
    pub(crate) stored: Vec<Published>,
    /// The last sequence of each subject.
    last: BTreeMap<String, u64>,
    flights: Vec<Flight>,
    flights_begun: u64,
    answers: BTreeMap<u64, Outcome>,
    batch_ids: BTreeSet<String>,
    /// What each commit says: it must never change.
    contents: BTreeMap<String, Vec<Published>>,
    /// Commits that were stored: each once.
    landed: BTreeSet<String>,
    progress: BTreeMap<u16, Vec<StoredProgress>>,
    pub(crate) lost_end: bool,
    /// How many old answers there were in a row.
    old_answers: u32,
}

impl Events {
    /// A batch leaves its owner; the answer comes, if ever, under the number that is returned.
    pub(crate) fn publish(&mut self, batch: Batch) -> u64 {
        assert!(self.batch_ids.insert(batch.id.clone()), "the batch id {} is used twice", batch.id);
        match self.contents.get(&batch.commit) {
            Some(before) => assert_eq!(*before, batch.messages, "the outstanding commit {} changed", batch.commit),
            None => drop(self.contents.insert(batch.commit.clone(), batch.messages.clone())),
        }
        self.flights_begun += 1;
        self.flights.push(Flight { id: self.flights_begun, batch });
        self.flights_begun
    }

    pub(crate) fn answer(&mut self, flight: u64) -> Option<Outcome> {
        self.answers.remove(&flight)
    }

    pub(crate) fn is_flying(&self, flight: u64) -> bool {
        self.flights.iter().any(|other| other.id == flight)
    }

    /// Whose batch it is.
    pub(crate) fn sender(&self, flight: u64) -> Option<u32> {
        let batch = self.flights.iter().find(|other| other.id == flight).map(|flight| &flight.batch)?;
        batch.messages.first().map(|message| message.owner)
    }

    /// A batch that is under way, whoever sent it and whether he still lives.
    pub(crate) fn any_flight(&self, random: &mut Random) -> Option<u64> {
        (!self.flights.is_empty()).then(|| self.flights[random.index(self.flights.len())].id)
    }

    /// The batch reaches the server. Returns what the server says, which the owner may never hear.
    pub(crate) fn land(&mut self, flight: u64, log: &Log) -> Outcome {
        let batch = self.take(flight);
        let outcome = match self.refusal(&batch.messages) {
            Some((code, description)) => Outcome::Refused { code, description: description.into() },
            None => self.store(batch, log),
        };
        self.answers.insert(flight, outcome.clone());
        outcome
    }

    /// The batch is lost on its way, and nobody says so.
    pub(crate) fn lose(&mut self, flight: u64) {
        self.take(flight);
    }

    /// Once the stream has lost its end, its sequences are used again, and an expectation of one that was lost may come true
    /// by another owner's commit. Against that there is no fence, so nothing that expects such a one outlives its owner.
    pub(crate) fn outlives_nothing(&mut self, owner: u32) {
        if self.lost_end {
            self.flights.retain(|flight| flight.batch.messages.iter().all(|message| message.owner != owner));
        }
    }

    /// The server refuses it for a reason of its own.
    pub(crate) fn refuse(&mut self, flight: u64, code: u64) {
        self.take(flight);
        self.answers.insert(flight, Outcome::Refused { code, description: "simulated".into() });
    }

    fn take(&mut self, flight: u64) -> Batch {
        let at = self.flights.iter().position(|other| other.id == flight).expect("a batch that is under way");
        self.flights.remove(at).batch
    }

    /// What the server checks before it stores any of it.
    fn refusal(&self, messages: &[Published]) -> Option<(u64, &'static str)> {
        if messages.len() > BATCH_MESSAGES_MAX {
            return Some((10_199, "atomic publish batch is too large"));
        }
        let mut rolled_up = BTreeSet::new();
        for message in messages {
            if message.header("Nats-Rollup").is_some() && !rolled_up.insert(&message.subject) {
                return Some((10_111, "rollup not permitted"));
            }
            if let Some(expected) = message.header("Nats-Expected-Last-Subject-Sequence")
                && expected != self.last.get(&message.subject).copied().unwrap_or(0).to_string()
            {
                return Some((10_071, "wrong last sequence"));
            }
        }
        None
    }

    fn store(&mut self, batch: Batch, log: &Log) -> Outcome {
        assert!(self.landed.insert(batch.commit.clone()), "the commit {} landed twice", batch.commit);
        let count = batch.messages.len() as u64;
        for message in batch.messages {
            let epoch = message.epoch();
            let newest = self.progress(message.partition).map_or(0, |found| found.progress.epoch);
            // A batch's own progress comes last in it, so the fence before it is the one that counts.
            assert!(epoch >= newest, "I8: {} of epoch {epoch} is stored after fence {newest}", message.subject);
            let seq = self.stored.len() as u64 + 1;
            self.last.insert(message.subject.clone(), seq);
            if message.is_progress() {
                let progress = Progress::from_json(&message.payload).expect("a progress that can be read");
                assert_eq!(progress.epoch, epoch, "a progress says the epoch that its header says");
                self.check_progress(message.partition, &progress, log);
                self.progress.entry(message.partition).or_default().push(StoredProgress { seq, progress });
            }
            self.stored.push(message);
        }
        Outcome::Acked { last_seq: self.stored.len() as u64, count }
    }

    /// I7, and that what was told stays told.
    fn check_progress(&self, partition: u16, progress: &Progress, log: &Log) {
        let (log, log_lost_end) = (log.identity(), log.lost_end);
        if progress.log_created == log.created && !log_lost_end {
            let (reached, end) = (progress.input_seq, log.last_seq);
            assert!(
                reached <= end,
                "I7: the progress {reached} of partition {partition} is behind the log's end {end}"
            );
        }
        let position = |progress: &Progress| (progress.generation, progress.input_seq, progress.k);
        if let Some(before) = self.progress(partition) {
            let (before, after) = (position(&before.progress), position(progress));
            assert!(
                before <= after,
                "I7: the progress of partition {partition} goes back from {before:?} to {after:?}"
            );
        }
    }

    /// What the leader has.
    pub(crate) fn progress(&self, partition: u16) -> Option<&StoredProgress> {
        self.progress.get(&partition)?.last()
    }

    /// What is answered when the stream is asked for a progress: mostly by its leader, sometimes by one that was deposed
    /// and has not learnt of it yet.
    pub(crate) fn answer_progress(
        &mut self,
        partition: u16,
        stale: u64,
        random: &mut Random,
    ) -> Option<StoredProgress> {
        if self.old_answers >= OLD_ANSWERS_MAX || !random.chance(stale) {
            self.old_answers = 0;
            return self.progress(partition).cloned();
        }
        self.old_answers += 1;
        let all = self.progress.get(&partition)?;
        let back = 1 + random.index(2);
        all.len().checked_sub(1 + back).map(|at| all[at].clone())
    }

    /// The server lost its end in a power failure, and with it what was under way: everything after the fence or commit before
    /// the last `commits` progress messages.
    pub(crate) fn lose_end(&mut self, commits: usize) {
        let ends: Vec<usize> = (0..self.stored.len())
            .filter(|at| self.stored[*at].is_progress())
            // A batch ends with the last of its progress messages.
            .filter(|at| self.stored.get(at + 1).is_none_or(|next| !next.is_progress()))
            .collect();
        let Some(end) = ends.len().checked_sub(1 + commits).map(|at| ends[at] + 1) else {
            return;
        };
        let lost = end as u64;
        self.stored.truncate(end);
        self.progress.values_mut().for_each(|all| all.retain(|found| found.seq <= lost));
        self.last.clear();
        for (at, message) in self.stored.iter().enumerate() {
            self.last.insert(message.subject.clone(), at as u64 + 1);
        }
        self.flights.clear();
        self.answers.clear();
        self.landed.clear();
        self.lost_end = true;
    }

    /// What was told last of each subject, as a rebuild reads it.
    pub(crate) fn latest(&self) -> impl Iterator<Item = &Published> {
        self.last.values().map(|seq| &self.stored[*seq as usize - 1])
    }

    /// What was told of one partition, in order, without what no entry of the log caused.
    pub(crate) fn told(&self, partition: u16) -> Vec<&Published> {
        assert!(partition < PARTITIONS);
        let of_the_log = |message: &&Published| {
            let by_an_entry = message.header("ce-id").is_none_or(|id| !id.contains("-e"));
            let is_aside = message.subject.contains(ASIDE) || !by_an_entry;
            message.partition == partition && !message.is_progress() && !is_aside
        };
        self.stored.iter().filter(of_the_log).collect()
    }
}

/// A deposed leader learns of it before it has answered more often in a row: an owner that is told so three times believes it.
const OLD_ANSWERS_MAX: u32 = 2;

/// Part of the subjects of what the simulation tells beside the log.
pub(crate) const ASIDE: &str = ".gone.user.aside.";
