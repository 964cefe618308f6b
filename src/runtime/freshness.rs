//! How fresh the checkpoints are: whose turn it is to be taken, and which partitions have been without for too long.
//!
//! A stale checkpoint loses nothing: it makes the next owner replay more of the log, and in the end lets the log's retention
//! pass the last one. So it is told (`checkpoint_stale`), once until one is stored again.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Millis;
use crate::wire::{RuntimeEvent, RuntimeWhat};

/// A checkpoint is stale after so many times the period in which one should be stored.
const STALE_AFTER: u32 = 4;
/// The first number of its events in an epoch: those before it tell the acquisition.
const FIRST_N: u32 = 2;

/// What is known of the checkpoints of the partitions that are ours.
#[derive(Debug)]
pub(crate) struct Freshness {
    every: Duration,
    partitions: BTreeMap<u16, Fresh>,
}

#[derive(Debug)]
struct Fresh {
    epoch: u64,
    /// When the last one was stored, or the partition acquired.
    since: Instant,
    /// The log's time then; `None` where it had none yet.
    since_ms: Option<Millis>,
    /// A snapshot is on its way to the store.
    is_under_way: bool,
    /// It was told that it is stale.
    is_told: bool,
    next_n: u32,
}

impl Freshness {
    /// Of no partition yet; each should have one stored once in `every`.
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, partitions: BTreeMap::new() }
    }

    /// A partition is ours from now on, restored at the log's time `log_time`, 0 before its first entry.
    pub(crate) fn begin(&mut self, partition: u16, epoch: u64, log_time: Millis, now: Instant) {
        let fresh = Fresh {
            epoch,
            since: now,
            since_ms: known(log_time),
            is_under_way: false,
            is_told: false,
            next_n: FIRST_N,
        };
        self.partitions.insert(partition, fresh);
    }

    /// A partition is ours no more.
    pub(crate) fn end(&mut self, partition: u16) {
        self.partitions.remove(&partition);
    }

    /// Whether a snapshot may be taken: at most one of a partition waits for its commit and the store, however long those take.
    pub(crate) fn may_take(&self, partition: u16) -> bool {
        self.partitions.get(&partition).is_some_and(|fresh| !fresh.is_under_way)
    }

    /// A snapshot was taken.
    pub(crate) fn taken(&mut self, partition: u16) {
        if let Some(fresh) = self.partitions.get_mut(&partition) {
            fresh.is_under_way = true;
        }
    }

    /// A snapshot of the log's time `log_time` was stored, or came to nothing.
    pub(crate) fn kept(&mut self, partition: u16, log_time: Millis, is_stored: bool, now: Instant) {
        let Some(fresh) = self.partitions.get_mut(&partition) else { return };
        fresh.is_under_way = false;
        if is_stored {
            (fresh.since, fresh.since_ms, fresh.is_told) = (now, known(log_time), false);
        }
    }

    /// Those that have become stale since this was asked last. `log` tells how far a partition is: the last entry that it has
    /// read and its log time.
    pub(crate) fn stale(&mut self, now: Instant, log: impl Fn(u16) -> Option<(u64, Millis)>) -> Vec<RuntimeEvent> {
        let limit = self.every * STALE_AFTER;
        let is_stale = |fresh: &Fresh| !fresh.is_told && now.duration_since(fresh.since) >= limit;
        let stale = self.partitions.iter_mut().filter(|(_, fresh)| is_stale(fresh));
        let tell = |(&partition, fresh): (&u16, &mut Fresh)| {
            let (seq, at_ms) = log(partition)?;
            fresh.is_told = true;
            fresh.next_n += 1;
            Some(RuntimeEvent {
                what: RuntimeWhat::CheckpointStale,
                partition,
                epoch: fresh.epoch,
                n: fresh.next_n - 1,
                at_ms,
                seq,
                from_ms: fresh.since_ms.unwrap_or(at_ms),
                to_ms: at_ms,
            })
        };
        stale.filter_map(tell).collect()
    }
}

fn known(log_time: Millis) -> Option<Millis> {
    (log_time > 0).then_some(log_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);
    const LIMIT: Duration = Duration::from_secs(120);
    const MS: Duration = Duration::from_millis(1);

    /// What is told at an instant: partition, number, from and to.
    fn told(freshness: &mut Freshness, at: Instant, log_time: Millis) -> Vec<(u16, u32, Millis, Millis)> {
        let stale = freshness.stale(at, |_| Some((77, log_time)));
        stale.iter().map(|event| (event.partition, event.n, event.from_ms, event.to_ms)).collect()
    }

    #[test]
    fn a_partition_without_a_checkpoint_for_four_periods_is_told_once() {
        let (start, mut freshness) = (Instant::now(), Freshness::new(EVERY));
        freshness.begin(3, 9, 1_000, start);
        assert_eq!(told(&mut freshness, start + LIMIT - MS, 120_999), []);
        assert_eq!(told(&mut freshness, start + LIMIT, 121_000), [(3, 2, 1_000, 121_000)]);
        freshness.kept(3, 500, false, start + LIMIT);
        assert_eq!(told(&mut freshness, start + LIMIT * 9, 900_000), []);
    }

    #[test]
    fn a_stored_checkpoint_makes_it_fresh_and_the_next_time_has_another_number() {
        let (start, mut freshness) = (Instant::now(), Freshness::new(EVERY));
        freshness.begin(3, 9, 1_000, start);
        assert_eq!(told(&mut freshness, start + LIMIT, 121_000).len(), 1);
        freshness.kept(3, 125_000, true, start + LIMIT);
        assert_eq!(told(&mut freshness, start + LIMIT * 2 - MS, 240_000), []);
        assert_eq!(told(&mut freshness, start + LIMIT * 2, 241_000), [(3, 3, 125_000, 241_000)]);
    }

    #[test]
    fn a_log_that_was_empty_has_no_time_from_which_it_could_be_stale() {
        let (start, mut freshness) = (Instant::now(), Freshness::new(EVERY));
        freshness.begin(3, 9, 0, start);
        assert_eq!(told(&mut freshness, start + LIMIT, 121_000), [(3, 2, 121_000, 121_000)]);
    }

    #[test]
    fn what_is_not_ours_is_not_told() {
        let (start, mut freshness) = (Instant::now(), Freshness::new(EVERY));
        freshness.begin(3, 9, 1_000, start);
        freshness.end(3);
        freshness.kept(3, 1_000, true, start);
        assert_eq!(told(&mut freshness, start + LIMIT, 121_000), []);
        assert!(!freshness.may_take(3));
    }

    #[test]
    fn one_snapshot_of_a_partition_is_under_way_at_a_time() {
        let (start, mut freshness) = (Instant::now(), Freshness::new(EVERY));
        freshness.begin(3, 9, 1_000, start);
        assert!(freshness.may_take(3));
        freshness.taken(3);
        assert!(!freshness.may_take(3));
        freshness.kept(3, 1_000, false, start);
        assert!(freshness.may_take(3));
    }
}
