//! What has to hold when a run has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use presence_engine::fold::{CheckpointError, GRID_MS, IndexKey, Partition};
use presence_engine::model::RoomPart;
use presence_engine::runtime::snapshot::Stored;
use presence_engine::wire::audit::{Auditor, Place};
use presence_engine::wire::{ToldEvent, subject};

use crate::events::Events;
use crate::logs::{MEMBERS_MAX, PARTITIONS};
use crate::owner::{Nats, Owner};
use crate::truth::{Told, Truth};

/// Exactly once: in each partition the events of one undisturbed fold, none lost, doubled or out of order; and the owner's
/// state is that fold's (I6, I13).
pub(crate) fn told_exactly(nats: &Nats, owner: &Owner, truth: &[Truth]) {
    let live = owner.live().expect("the last owner is live");
    for (number, truth) in (0..).zip(truth) {
        let told: Vec<Told> = nats.events.told(number).into_iter().map(Told::of).collect();
        let same = told.iter().zip(&truth.told).take_while(|(told, truth)| told == truth).count();
        assert!(
            told.len() == same && truth.told.len() == same,
            "partition {number}: of {} messages {same} are as they should be, then come\n  {:?}\ninstead of\n  {:?}",
            truth.told.len(),
            told.get(same),
            truth.told.get(same)
        );
        if let Some((seq, state)) = truth.states.last_key_value() {
            let partition = live.fleet.partition(number).expect("it owns all of them");
            assert_eq!(partition.position(), *seq, "the position of partition {number}");
            assert!(
                partition.checkpoint() == *state,
                "I6: the state of partition {number} is not the undisturbed fold's"
            );
        }
    }
}

/// What is told of rooms is what the last owner counts (I11).
pub(crate) fn rooms_are_told(nats: &Nats, owner: &Owner) {
    if nats.events.lost_end {
        // Until its next commit is refused, the owner doesn't know.
        return;
    }
    let live = owner.live().expect("the last owner is live");
    if !live.has_checked_rooms() {
        // The log lost its end: its next ticks bring it to where that was.
        return;
    }
    let count = |part: RoomPart| (part.tally, part.members);
    let counted = live.fleet.partitions().flat_map(|partition| {
        let key = |part: &RoomPart| (partition.number(), format!("{}.{}", part.tenant, part.room));
        partition.room_parts(MEMBERS_MAX).map(move |part| (key(&part), count(part)))
    });
    let told = nats.events.parts().into_iter().map(|(key, part)| (key, count(part)));
    let (counted, told): (BTreeMap<_, _>, BTreeMap<_, _>) = (counted.collect(), told.collect());
    assert!(counted == told, "I11: told of rooms is\n{told:?}\nand they are\n{counted:?}");
}

/// Every checkpoint that is whole is the undisturbed fold's state at its position (I6).
pub(crate) fn checkpoints_are_true(nats: &Nats, truth: &[Truth]) {
    for ((partition, seq), bytes) in &nats.store.checkpoints {
        let Ok(stored) = Stored::decode(bytes) else {
            continue;
        };
        let restored = match restored(nats, *partition, &stored) {
            // Who stores one after another has taken over may find its segments cleared away by that one.
            Err(CheckpointError::NoSegment(_)) => continue,
            restored => restored.expect("it is whole"),
        };
        let state = &truth[usize::from(*partition)].states.get(seq);
        assert!(
            *seq == 0 || state.is_some_and(|state| *state == restored.checkpoint()),
            "I6: the checkpoint {partition}/{seq} is not what the fold is there"
        );
    }
}

/// What a reader can see: ordinals, chains, times, positions and epochs (I5, I8), and that no id comes twice.
pub(crate) fn audit(events: &Events) {
    let mut auditor = Auditor::new(false);
    let mut ids = BTreeSet::new();
    for (at, message) in events.stored.iter().enumerate() {
        let subject = message.subject.as_str();
        let place = Place { subject, epoch: Some(message.epoch()), stream_seq: at as u64 + 1 };
        let breach = if subject == subject::progress(message.partition) {
            auditor.observe_progress(message.partition, place)
        } else if message.payload.is_empty() {
            continue;
        } else {
            let told = ToldEvent::read(&message.payload).expect("what was told can be read");
            auditor.observe(&told, place)
        };
        if let Err(breach) = breach {
            panic!("I5, I8: {breach}: {}", String::from_utf8_lossy(&message.payload));
        }
        if let Some(id) = message.header("ce-id") {
            assert!(ids.insert(id), "the id {id} is told twice");
        }
    }
}

/// No entry is told at two positions: what was told of a log before it lost something is not told again.
pub(crate) fn no_entry_is_told_twice(nats: &Nats) {
    let mut told = BTreeMap::new();
    for message in &nats.events.stored {
        let Some(id) = message.header("ce-id") else { continue };
        let mut numbers = id.split('-').skip(1).map_while(|number| number.parse::<u64>().ok());
        let (Some(generation), Some(seq)) = (numbers.next(), numbers.next()) else { continue };
        // Behind a rebuild something is told of the position that no entry of the new generation has.
        let position = (message.owner, message.partition, generation as u32, seq);
        let Some(uid) = nats.folded.get(&position) else { continue };
        let first = *told.entry((message.partition, *uid)).or_insert((generation, seq));
        assert_eq!(first, (generation, seq), "the entry behind {id} was told before");
    }
}

fn restored(nats: &Nats, partition: u16, stored: &Stored) -> Result<Partition, CheckpointError> {
    let segments = nats.store.segments_of(partition, stored);
    Partition::restore_from(&stored.bytes, &segments, &IndexKey::new(3, 5), GRID_MS)
}

/// A shutdown leaves a checkpoint of every partition exactly at its progress.
pub(crate) fn drained(nats: &Nats) {
    for partition in 0..PARTITIONS {
        let progress = &nats.events.progress(partition).expect("a fence was taken").progress;
        let stored = nats.store.checkpoints.get(&(partition, progress.input_seq));
        let stored = stored.unwrap_or_else(|| panic!("no checkpoint of {partition} lies at {}", progress.input_seq));
        let stored = Stored::decode(stored).expect("a whole checkpoint");
        restored(nats, partition, &stored).expect("its segments are there");
        let position = (stored.input_seq, stored.input_ts, stored.k);
        assert_eq!(position, (progress.input_seq, progress.input_ts, progress.k), "of partition {partition}");
        assert_eq!(stored.policy_hash, progress.policy_hash);
        assert_eq!(stored.log_created, progress.log_created);
        let newest = nats.store.checkpoints.keys().filter(|(other, _)| *other == partition).map(|(_, seq)| *seq).max();
        assert_eq!(newest, Some(progress.input_seq), "of partition {partition}");
    }
}
