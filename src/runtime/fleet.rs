//! The partitions that an engine owns, fed from one log. Pure, and public so that `tests/simulation.rs` drives the very
//! thing.

use std::sync::Arc;

use super::outbox::{Outbox, Reached, Snapshot, Telling};
use crate::fold::{AHEAD, Ahead, Entry, Partition, Sought};
use crate::model::{Address, EngineEvent, EngineWhat, Event, EventBody, Policy};
use crate::nats::LogMessage;
use crate::wire::info::Blind;
use crate::wire::{self, Encoding, LogEntry, Route};

/// People who take so many bytes in a checkpoint become a segment of their own: fewer are not worth an object in the store.
pub const SEGMENT_BYTES: usize = 64 * 1024;

/// The partitions that are read from one log, and where each of them is.
#[derive(Debug)]
pub struct Fleet {
    /// By number; `None` where a partition is not of this fleet.
    slots: Vec<Option<Slot>>,
    encoding: Encoding,
    /// Who is in a room is told while they are no more than so many.
    members_max: usize,
    /// The last entry of the log that was read.
    position: u64,
    /// Its timestamp in milliseconds.
    log_time: u64,
    events: Vec<Event>,
    /// Fields of signals that were dropped as wrong.
    ignored_fields: u64,
}

#[derive(Debug)]
struct Slot {
    partition: Partition,
    /// What it has derived: the position of its latest entry and how many events that told.
    derived: Reached,
    /// The policy whose hash `derived` holds.
    policy: Arc<Policy>,
    blind: Blind,
    /// Whether what is stored of its rooms was compared with what it counts: before that its counts may be older.
    is_checked: bool,
}

/// How far a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The partition.
    pub partition: u16,
    /// The last entry of the log that was read for it.
    pub position: u64,
    /// The log's time there in milliseconds, 0 before the first entry.
    pub log_ms: u64,
    /// What nobody watched since it was restored.
    pub blind: Blind,
}

impl Fleet {
    /// Partitions of a log that has `count`, each with where it is; who is in a room is told while they are no more than
    /// `members_max`.
    #[must_use]
    pub fn new(count: u16, partitions: Vec<(Partition, Reached)>, encoding: Encoding, members_max: usize) -> Self {
        let mut slots: Vec<Option<Slot>> = std::iter::repeat_with(|| None).take(count.into()).collect();
        // Where nothing comes after what is restored, everything was read.
        let position = partitions.iter().map(|(partition, _)| partition.position()).min().unwrap_or(0);
        for (partition, mut derived) in partitions {
            assert_eq!(partition.position(), derived.seq, "a partition is where it is");
            derived.policy_hash = wire::policy::hash(partition.policy()).into();
            let (at, policy) = (usize::from(partition.number()), Arc::clone(partition.policy()));
            slots[at] = Some(Slot { partition, derived, policy, blind: Blind::default(), is_checked: false });
        }
        Self { slots, encoding, members_max, position, log_time: 0, events: Vec::new(), ignored_fields: 0 }
    }

    /// Folds entries of the log; what they tell and was not told before goes to the outbox.
    pub fn apply(&mut self, messages: &[LogMessage], outbox: &mut Outbox) {
        let (mut ahead, mut rest) = (Ahead::default(), messages);
        while !rest.is_empty() {
            let count = self.apply_group(rest, &mut ahead, outbox);
            rest = &rest[count..];
        }
        self.tell_rooms(outbox);
    }

    /// What is stored of a partition's rooms is what it counts, as of now: from here on its changes are told.
    pub fn rooms_are_checked(&mut self, number: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(number)).and_then(Option::as_mut) {
            slot.is_checked = true;
            // What they come to was compared.
            slot.partition.take_changed_rooms(0);
        }
    }

    /// What changed in rooms goes to the outbox, but of partitions of which nobody compared yet what is stored: while they
    /// replay, an old count must not replace a newer one.
    fn tell_rooms(&mut self, outbox: &mut Outbox) {
        for Slot { partition, is_checked, .. } in self.slots.iter_mut().flatten() {
            let number = partition.number();
            if !*is_checked {
                continue;
            }
            for part in partition.take_changed_rooms(self.members_max) {
                outbox.tell_partial(super::told::partial(number, &part));
            }
        }
    }

    /// Reads the first few entries, fetches the memory of their sessions at once, then applies them one after the other; how many
    /// they were. A batch is the last of them, since it is many signals by itself.
    fn apply_group(&mut self, messages: &[LogMessage], ahead: &mut Ahead, outbox: &mut Outbox) -> usize {
        let count = self.slots.len() as u16;
        let is_whole = self.slots.iter().all(Option::is_some);
        let (mut reads, mut taken) = (Vec::<LogEntry<'_>>::with_capacity(AHEAD), 0);
        for message in messages.iter().take(AHEAD) {
            taken += 1;
            // Most of what is for others need not be decoded.
            if is_whole || self.reaches(route(message, count)) {
                reads.push(read(message, count));
                if reads.last().is_some_and(LogEntry::is_batch) {
                    break;
                }
            }
        }
        let sought = ahead.look(reads.len(), |at| self.signal(&reads[at]));
        for (read, sought) in reads.iter().zip(sought) {
            self.ignored_fields += u64::from(read.ignored_fields());
            let entry = read.entry();
            match read.route {
                Route::Partition(number) => self.apply_to(number, &entry, sought, outbox),
                Route::All => (0..count).for_each(|number| self.apply_to(number, &entry, sought, outbox)),
                Route::Nobody => {}
            }
        }
        if let Some(last) = messages[..taken].last() {
            (self.position, self.log_time) = (last.seq, last.ts_ms);
        }
        taken
    }

    /// Whether a partition of this fleet has to be told.
    fn reaches(&self, route: Route) -> bool {
        match route {
            Route::Partition(number) => self.slots[usize::from(number)].is_some(),
            Route::All => true,
            Route::Nobody => false,
        }
    }

    fn signal<'r>(&self, read: &'r LogEntry<'r>) -> Option<(&Partition, Address<'r>)> {
        match read.route {
            Route::Partition(number) => Some((self.partition(number)?, read.address()?)),
            Route::All | Route::Nobody => None,
        }
    }

    fn apply_to(&mut self, number: u16, entry: &Entry<'_>, sought: &Sought, outbox: &mut Outbox) {
        let Some(Slot { partition, derived, policy, blind, .. }) = &mut self.slots[usize::from(number)] else { return };
        if entry.seq <= partition.position() {
            return;
        }
        partition.apply_sought(entry, sought, &mut self.events);
        if !Arc::ptr_eq(partition.policy(), policy) {
            *policy = Arc::clone(partition.policy());
            derived.policy_hash = wire::policy::hash(policy).into();
        }
        // Places may be left out, so it is the last one that counts.
        let k = self.events.last().map_or(0, |event| event.k + 1);
        (derived.seq, derived.ts, derived.k) = (entry.seq, entry.ts, k);
        for event in self.events.drain(..) {
            if let EventBody::Engine(EngineEvent { what: EngineWhat::Blind, from_ms, to_ms }) = event.body {
                blind.add(from_ms, to_ms);
            }
            if !outbox.was_told(number, event.seq, event.k) {
                let reached = Reached { k: event.k + 1, ..derived.clone() };
                outbox.tell(number, reached, Telling::Event(event, self.encoding));
            }
        }
    }

    /// A partition as it is now, if it is of this fleet; whoever takes it stores it, or says [`Fleet::forget_segments`].
    pub fn snapshot(&mut self, number: u16, segment_bytes: usize) -> Option<Snapshot> {
        let Slot { partition, derived, .. } = self.slots.get_mut(usize::from(number))?.as_mut()?;
        Some(Snapshot { partition: number, reached: derived.clone(), taken: partition.snapshot(segment_bytes) })
    }

    /// How far a partition is derived, if it is of this fleet.
    #[must_use]
    pub fn reached(&self, number: u16) -> Option<&Reached> {
        Some(&self.slots.get(usize::from(number))?.as_ref()?.derived)
    }

    /// A snapshot of a partition was not stored: the next one needs nothing of it.
    pub fn forget_segments(&mut self, number: u16) {
        if let Some(Slot { partition, .. }) = self.slots.get_mut(usize::from(number)).and_then(Option::as_mut) {
            partition.forget_segments();
        }
    }

    /// Takes a partition out; whether it was there.
    pub fn remove(&mut self, number: u16) -> bool {
        self.slots[usize::from(number)].take().is_some()
    }

    /// Takes over the partitions of a fleet that has read at least as far: what this one reads again is passed over by them.
    pub fn absorb(&mut self, other: Self) {
        for (own, slot) in self.slots.iter_mut().zip(other.slots) {
            if slot.is_some() {
                assert!(own.is_none(), "a partition is read once");
                *own = slot;
            }
        }
        self.ignored_fields += other.ignored_fields;
    }

    /// How far each partition is, by number.
    pub fn standing(&self) -> impl Iterator<Item = Standing> {
        self.slots.iter().flatten().map(|Slot { partition, blind, .. }| Standing {
            partition: partition.number(),
            position: partition.position().max(self.position),
            log_ms: partition.log_time(),
            blind: *blind,
        })
    }

    /// The log time at which an entry would first have something to settle.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.partitions().filter_map(Partition::next_due).min()
    }

    /// Whether `policy` is in force in every partition.
    #[must_use]
    pub fn is_under(&self, policy: &Policy) -> bool {
        self.partitions().all(|partition| **partition.policy() == *policy)
    }

    /// How many signals were dropped as duplicate, reordered or late, and how many fields as wrong.
    #[must_use]
    pub fn passed_over(&self) -> (u64, u64) {
        (self.partitions().map(Partition::dropped).sum(), self.ignored_fields)
    }

    /// How many partitions the log has.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.slots.len() as u16
    }

    /// A partition, if it is of this fleet.
    #[must_use]
    pub fn partition(&self, number: u16) -> Option<&Partition> {
        self.slots.get(usize::from(number))?.as_ref().map(|slot| &slot.partition)
    }

    /// The partitions in the order of their numbers.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.slots.iter().flatten().map(|slot| &slot.partition)
    }

    /// The entry of the log that has to be read next.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.partitions().map(|partition| partition.position() + 1).min().unwrap_or(1)
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

/// Whom a message of the log concerns.
fn route(message: &LogMessage, partitions: u16) -> Route {
    wire::LogSubject::parse(&message.subject, partitions).route()
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
