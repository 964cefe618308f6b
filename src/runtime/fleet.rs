//! All partitions that this engine owns, fed from one log. Pure, and public so that `tests/simulation.rs` drives the very
//! thing.

use std::sync::Arc;

use super::outbox::{Outbox, Reached, Snapshot};
use crate::fold::{AHEAD, Ahead, Body, Entry, Partition, Sought};
use crate::model::{Address, Event, Policy};
use crate::nats::LogMessage;
use crate::wire::{self, Encoding, LogEntry, Route};

/// The partitions, and where each of them is.
#[derive(Debug)]
pub struct Fleet {
    partitions: Vec<Partition>,
    /// Per partition, what it has derived: the position of its latest entry and how many events that told.
    derived: Vec<Reached>,
    /// Per partition, the policy whose hash `derived` holds.
    policies: Vec<Arc<Policy>>,
    encoding: Encoding,
    /// The last entry of the log that was read.
    position: u64,
    /// Its timestamp in milliseconds.
    log_time: u64,
    events: Vec<Event>,
    /// Fields of signals that were dropped as wrong.
    ignored_fields: u64,
}

impl Fleet {
    /// `partitions` in the order of their numbers, from 0, each with where it is.
    #[must_use]
    pub fn new(partitions: Vec<(Partition, Reached)>, encoding: Encoding) -> Self {
        let (partitions, mut derived): (Vec<_>, Vec<Reached>) = partitions.into_iter().unzip();
        for (partition, derived) in partitions.iter().zip(&mut derived) {
            assert_eq!(partition.position(), derived.seq, "a partition is where it is");
            derived.policy_hash = wire::policy::hash(partition.policy()).into();
        }
        // Where nothing comes after what is restored, everything was read.
        let position = derived.iter().map(|derived| derived.seq).min().unwrap_or(0);
        let policies = partitions.iter().map(|partition| Arc::clone(partition.policy())).collect();
        Self { partitions, derived, policies, encoding, position, log_time: 0, events: Vec::new(), ignored_fields: 0 }
    }

    /// Folds entries of the log; what they tell and was not told before goes to the outbox.
    pub fn apply(&mut self, messages: &[LogMessage], outbox: &mut Outbox) {
        let mut ahead = Ahead::default();
        for group in messages.chunks(AHEAD) {
            self.apply_group(group, &mut ahead, outbox);
        }
    }

    /// Reads a few entries, fetches the memory of their sessions at once, then applies them one after the other.
    fn apply_group(&mut self, group: &[LogMessage], ahead: &mut Ahead, outbox: &mut Outbox) {
        let count = self.partitions.len() as u16;
        let reads: Vec<LogEntry<'_>> = group.iter().map(|message| read(message, count)).collect();
        let signals: Vec<_> = reads.iter().filter_map(|read| self.signal(read)).collect();
        let mut sought = ahead.look(signals.len(), |at| signals[at]).iter();
        let nobody = Sought::default();
        for (message, read) in group.iter().zip(&reads) {
            self.ignored_fields += u64::from(read.ignored_fields());
            (self.position, self.log_time) = (message.seq, message.ts_ms);
            let entry = read.entry();
            let sought = match &entry.body {
                Body::Signal(..) => sought.next().expect("every signal of the group was looked ahead at"),
                Body::Rejected { .. } | Body::Batch { .. } | Body::Tick { .. } | Body::Policy(_) | Body::Other => {
                    &nobody
                }
            };
            match read.route {
                Route::Partition(number) => self.apply_to(number, &entry, sought, outbox),
                Route::All => (0..count).for_each(|number| self.apply_to(number, &entry, sought, outbox)),
                Route::Nobody => {}
            }
        }
    }

    fn signal<'r>(&self, read: &'r LogEntry<'r>) -> Option<(&Partition, Address<'r>)> {
        match (read.route, read.entry().body) {
            (Route::Partition(number), Body::Signal(address, _)) => {
                Some((&self.partitions[usize::from(number)], address))
            }
            (Route::Partition(_) | Route::All | Route::Nobody, _) => None,
        }
    }

    fn apply_to(&mut self, number: u16, entry: &Entry<'_>, sought: &Sought, outbox: &mut Outbox) {
        let at = usize::from(number);
        let partition = &mut self.partitions[at];
        if entry.seq <= partition.position() {
            return;
        }
        partition.apply_sought(entry, sought, &mut self.events);
        if !Arc::ptr_eq(partition.policy(), &self.policies[at]) {
            self.policies[at] = Arc::clone(partition.policy());
            self.derived[at].policy_hash = wire::policy::hash(partition.policy()).into();
        }
        let derived = &mut self.derived[at];
        // Places may be left out, so it is the last one that counts.
        let k = self.events.last().map_or(0, |event| event.k + 1);
        (derived.seq, derived.ts, derived.k) = (entry.seq, entry.ts, k);
        for event in self.events.drain(..) {
            if !outbox.was_told(number, event.seq, event.k) {
                let reached = Reached { k: event.k + 1, ..derived.clone() };
                outbox.tell(number, reached, super::told::messages(&event, self.encoding));
            }
        }
    }

    /// A partition as it is now.
    #[must_use]
    pub fn snapshot(&self, number: u16) -> Snapshot {
        let at = usize::from(number);
        Snapshot { partition: number, reached: self.derived[at].clone(), bytes: self.partitions[at].checkpoint() }
    }

    /// The log time at which an entry would first have something to settle.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.partitions.iter().filter_map(Partition::next_due).min()
    }

    /// Whether `policy` is in force in every partition.
    #[must_use]
    pub fn is_under(&self, policy: &Policy) -> bool {
        self.partitions.iter().all(|partition| **partition.policy() == *policy)
    }

    /// How many signals were dropped as duplicate, reordered or late, and how many fields as wrong.
    #[must_use]
    pub fn passed_over(&self) -> (u64, u64) {
        (self.partitions.iter().map(Partition::dropped).sum(), self.ignored_fields)
    }

    /// The partitions in the order of their numbers.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// The sequence of the last entry that was read, 0 before the first.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// That entry's timestamp in milliseconds.
    #[must_use]
    pub fn log_time(&self) -> u64 {
        self.log_time
    }
}

/// A message of the log, read.
pub(super) fn read(message: &LogMessage, partitions: u16) -> LogEntry<'_> {
    wire::LogMessage {
        seq: message.seq,
        ts: message.ts_ms,
        subject: &message.subject,
        payload: &message.payload,
        content_type: message.content_type.as_deref(),
    }
    .read(partitions)
}
