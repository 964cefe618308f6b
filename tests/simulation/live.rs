//! The loop of a simulated owner that is live, or still replays: what `runtime::live` does, one turn at a time.

use bytes::Bytes;
use presence_engine::nats::{LogIdentity, OutMessage};
use presence_engine::runtime::census::amends;
use presence_engine::runtime::fleet::Fleet;
use presence_engine::runtime::outbox::Outbox;
use presence_engine::runtime::rooms::StoredPart;
use presence_engine::wire::{Message, event};

use crate::events::ASIDE;
use crate::logs::{MEMBERS_MAX, PARTITIONS};
use crate::owner::Nats;
use crate::random::Random;
use crate::store::{Keeper, Step};

/// Two or three people of the simulation make a segment.
const SEGMENT_BYTES: usize = 200;

/// The loop's parts.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) fleet: Fleet,
    pub(crate) outbox: Outbox,
    pub(crate) keeper: Keeper,
    created: String,
    pub(crate) next_seq: u64,
    /// The last entry that was read, or one behind it of which something was told, with its timestamp.
    known: Option<(u64, u64)>,
    catch_up_to: u64,
    pub(crate) duty: Duty,
    asides: u32,
    /// Whether what is stored of rooms was compared with what the fold counts.
    rooms_are_checked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    Fold,
    /// Told to end: nothing more is read.
    Drain,
    /// The log was lost, or the lane: only what is under way goes on, in tasks of their own.
    Nothing,
}

impl Live {
    /// The loop behind what was restored of `log`.
    pub(crate) fn new(
        log: LogIdentity,
        fleet: Fleet,
        outbox: Outbox,
        keeper: Keeper,
        known: Option<(u64, u64)>,
    ) -> Self {
        let next_seq = fleet.next_seq();
        Self {
            known,
            fleet,
            outbox,
            keeper,
            next_seq: next_seq.max(log.first_seq),
            catch_up_to: log.last_seq,
            created: log.created,
            duty: Duty::Fold,
            asides: 0,
            rooms_are_checked: false,
        }
    }

    /// Whether it has read what was in the log when it took over.
    pub(crate) fn is_live(&self) -> bool {
        self.fleet.position() >= self.catch_up_to
    }

    /// Whether what is stored of rooms is still to be compared with what it counts. Until a log that lost its end has grown to where
    /// it ended when it was read, nothing is.
    pub(crate) fn has_rooms_to_check(&self) -> bool {
        self.is_live() && !self.rooms_are_checked
    }

    /// Whether that was done.
    pub(crate) fn has_checked_rooms(&self) -> bool {
        self.rooms_are_checked
    }

    /// Whether nothing is left to replay.
    pub(crate) fn caught_up(&self, nats: &Nats) -> bool {
        self.fleet.partitions().all(|partition| {
            let progress = nats.events.progress(partition.number()).map(|found| &found.progress);
            progress.is_some_and(|progress| partition.position() >= progress.input_seq)
        })
    }

    pub(crate) fn keep_all(&mut self) {
        for number in 0..PARTITIONS {
            self.keep(number);
        }
    }

    fn keep(&mut self, number: u16) {
        let reached = self.fleet.reached(number).expect("it owns all of them");
        if self.outbox.may_keep(number, reached) {
            let snapshot = self.fleet.snapshot(number, SEGMENT_BYTES).expect("it owns all of them");
            assert!(self.outbox.keep(snapshot), "it said that it may");
        }
    }

    /// The position advances only here, after the commit is confirmed.
    pub(crate) fn confirm(&mut self, partitions: &[u16]) {
        for snapshot in self.outbox.confirm(partitions) {
            self.keeper.store(snapshot);
        }
    }

    pub(crate) fn move_keeper(&mut self, nats: &mut Nats, random: &mut Random) {
        let step = self.keeper.step(&mut nats.store, nats.faults.store, random);
        if let Step::Failed(partition) = step {
            self.fleet.forget_segments(partition);
        }
        if let Step::Stored(stored) = step {
            let progress = nats.events.progress(stored.partition).map(|found| &found.progress);
            let told = progress.map(|progress| (progress.generation, progress.input_seq, progress.k));
            let reached = &stored.reached;
            let kept = Some((reached.generation, reached.seq, reached.k));
            let events_lost_end = nats.events.lost_end;
            assert!(
                kept <= told || events_lost_end,
                "I7: a checkpoint at {kept:?} is stored while the progress is {told:?}"
            );
        }
    }

    /// The loop turns once: it reads what is there, or takes a snapshot, or tells something beside the log. False if the log is
    /// not the log any more.
    pub(crate) fn turn(&mut self, owner: u32, chunk: u64, nats: &mut Nats, random: &mut Random) -> bool {
        if self.is_live() && random.chance(60) {
            let number = random.below(u64::from(PARTITIONS)) as u16;
            if random.chance(250) {
                self.asides += 1;
                let subject = format!("presence.v1{ASIDE}{}", self.asides);
                let message = OutMessage { partition: number, subject, headers: Vec::new(), payload: Bytes::new() };
                self.outbox.tell_aside(number, vec![message]);
            } else {
                self.keep(number);
            }
            return true;
        }
        let log = nats.log.identity();
        let another = |(seq, ts_ms)| nats.log.entry(seq).is_some_and(|line| line.message.ts_ms != ts_ms);
        if log.created != self.created
            || log.last_seq + 1 < self.next_seq
            || log.first_seq > self.next_seq
            || self.known.is_some_and(another)
        {
            return false;
        }
        let mut messages = Vec::new();
        for _ in 0..random.between(1, chunk) {
            let Some(line) = nats.log.entry(self.next_seq) else { break };
            for partition in self.fleet.partitions() {
                if self.next_seq > partition.position() {
                    let position = (owner, partition.number(), partition.generation(), self.next_seq);
                    nats.folded.insert(position, line.uid);
                }
            }
            self.known = self.known.max(Some((self.next_seq, line.message.ts_ms)));
            messages.push(line.message.clone());
            self.next_seq += 1;
        }
        self.fleet.apply(&messages, &mut self.outbox);
        self.check_rooms(nats);
        true
    }

    /// As `runtime::census` does it once it has caught up: what is stored of rooms is read as it is.
    fn check_rooms(&mut self, nats: &Nats) {
        if self.rooms_are_checked || !self.is_live() {
            return;
        }
        self.rooms_are_checked = true;
        let stored = nats.events.parts();
        for partition in self.fleet.partitions() {
            let number = partition.number();
            let stored = stored.iter().filter(|((of, _), _)| *of == number);
            let stored: Vec<_> = stored
                .map(|((partition, key), part)| StoredPart { partition: *partition, key, part, stored_ms: 0 })
                .collect();
            for part in amends(partition, &stored, MEMBERS_MAX) {
                let Message { subject, headers, payload } = event::partial(number, &part);
                self.outbox.tell_partial(OutMessage { partition: number, subject, headers, payload });
            }
        }
        (0..PARTITIONS).for_each(|number| self.fleet.rooms_are_checked(number));
    }
}
