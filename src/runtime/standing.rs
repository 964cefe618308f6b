//! Putting restored partitions to work. Pure, and public so that `tests/simulation.rs` drives the very thing.

use super::fleet::{Fleet, SEGMENT_BYTES};
use super::outbox::Outbox;
use super::restored::Restored;
use super::told;
use crate::nats::Fence;
use crate::wire::{self, RuntimeEvent, RuntimeWhat};

/// Puts partitions of a log that has `count` to work; tells who owned them before, and where their log was lost. Who is in a
/// room is told while they are no more than `members_max`.
#[must_use]
pub fn stand_up(
    restored: Vec<Restored>,
    fences: &[Fence],
    count: u16,
    encoding: wire::Encoding,
    members_max: usize,
    outbox: &mut Outbox,
) -> Fleet {
    let (mut partitions, mut lost) = (Vec::new(), Vec::new());
    for found in restored {
        outbox.begin(found.partition.number(), found.reached);
        partitions.push((found.partition, found.position));
        lost.push((found.lost_since, found.amends));
    }
    let mut fleet = Fleet::new(count, partitions, encoding, members_max);
    for (fence, (since, amends)) in fences.iter().zip(lost) {
        let told = |what, n, at| RuntimeEvent {
            what,
            partition: fence.partition,
            epoch: fence.epoch,
            n,
            at_ms: at,
            seq: 0,
            from_ms: at,
            to_ms: at,
        };
        let mut tell = |event: &RuntimeEvent| outbox.tell_aside(fence.partition, vec![told::aside(event, encoding)]);
        if let Some(found) = &fence.found {
            tell(&told(RuntimeWhat::Owner, 0, found.input_ts));
        }
        let Some(since) = since else { continue };
        tell(&told(RuntimeWhat::LogLost, 1, since));
        for event in amends {
            outbox.tell_aside(fence.partition, told::messages(&event, encoding));
        }
        // What was lost is over: the next start finds the state from before what is read now.
        let snapshot = fleet.snapshot(fence.partition, SEGMENT_BYTES).expect("it was just put there");
        outbox.keep(snapshot);
        // Whether it will be stored nobody waits to know: the next one does not need it.
        fleet.forget_segments(fence.partition);
    }
    fleet
}
