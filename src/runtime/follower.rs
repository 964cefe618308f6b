//! A follower: partitions that read the log together, by one consumer.
//!
//! An engine has one in the long run. Partitions that it acquires come with a follower of their own, which catches up; when
//! both are near enough, the one behind takes over the other's partitions, which pass over what they have seen.

use std::future::pending;
use std::time::Duration;

use futures::FutureExt;
use futures::future::select_all;
use tokio::time::Instant;

use super::fleet::{Fleet, SEGMENT_BYTES};
use super::outbox::{Outbox, Reached, Snapshot};
use crate::nats::{LogError, LogMessage, LogReader, LogStanding};

/// Two followers that are no further apart than so many entries become one: reading them again is cheaper than a consumer.
const NEAR: u64 = 16_384;

/// Partitions, and the reader of the log that feeds them.
pub(crate) struct Follower {
    pub(crate) fleet: Fleet,
    reader: LogReader,
    /// The last entry that was in the log when its partitions were acquired.
    catch_up_to: u64,
    /// How the log stood when it folded something the last time.
    standing: LogStanding,
}

/// All followers of an engine.
#[derive(Default)]
pub(crate) struct Followers {
    all: Vec<Follower>,
    /// Who is asked first for what it has read: each in turn, so that nobody starves.
    turn: usize,
}

impl Follower {
    pub(crate) fn new(fleet: Fleet, reader: LogReader, catch_up_to: u64) -> Self {
        // Until its reader has heard something, what is in the log now is not known.
        let standing = LogStanding { pending: u64::MAX, ..LogStanding::unread() };
        Self { fleet, reader, catch_up_to, standing }
    }

    /// Whether everything is read that was in the log when its partitions were acquired.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.fleet.position() >= self.catch_up_to
    }

    /// Whether something was heard of the log just now.
    pub(crate) fn is_heard(&self, now: Instant) -> bool {
        self.standing.is_heard(now)
    }

    /// Whether it has read the log to near its end.
    pub(crate) fn is_near_end(&self) -> bool {
        self.standing.is_near(self.fleet.position())
    }

    /// How long ago the log was read.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.standing.age(now)
    }

    fn is_near(&self, other: &Self) -> bool {
        self.fleet.position().abs_diff(other.fleet.position()) <= NEAR
    }
}

impl Followers {
    pub(crate) fn add(&mut self, follower: Follower) {
        self.all.push(follower);
        self.merge();
    }

    /// What one of them has read, and which. Waits for ever where there is none. Cancel-safe.
    pub(crate) async fn read(&mut self) -> (usize, Result<Vec<LogMessage>, LogError>) {
        if self.all.is_empty() {
            return pending().await;
        }
        let count = self.all.len();
        let turn = self.turn % count;
        self.turn = turn + 1;
        let mut reads: Vec<_> = self.all.iter_mut().map(|follower| follower.reader.next().boxed()).collect();
        reads.rotate_left(turn);
        let (read, at, _) = select_all(reads).await;
        ((at + turn) % count, read)
    }

    /// Folds what a follower has read.
    pub(crate) fn fold(&mut self, at: usize, messages: &[LogMessage], outbox: &mut Outbox) {
        self.all[at].fleet.apply(messages, outbox);
        self.all[at].standing = self.all[at].reader.standing();
        self.merge();
    }

    fn merge(&mut self) {
        while let Some(other) = (1..self.all.len()).find(|other| self.all[0].is_near(&self.all[*other])) {
            let mut ahead = self.all.swap_remove(other);
            let main = &mut self.all[0];
            if main.fleet.position() > ahead.fleet.position() {
                std::mem::swap(main, &mut ahead);
            }
            main.catch_up_to = main.catch_up_to.max(ahead.catch_up_to);
            main.fleet.absorb(ahead.fleet);
        }
    }

    /// Takes a partition out; its follower ends where it was the last.
    pub(crate) fn remove(&mut self, partition: u16) {
        let Some(at) = self.all.iter_mut().position(|follower| follower.fleet.remove(partition)) else { return };
        if self.all[at].fleet.partitions().next().is_none() {
            self.all.remove(at);
        }
    }

    /// See [`Fleet::snapshot`].
    pub(crate) fn snapshot(&mut self, partition: u16) -> Option<Snapshot> {
        self.all.iter_mut().find_map(|follower| follower.fleet.snapshot(partition, SEGMENT_BYTES))
    }

    /// See [`Fleet::reached`].
    pub(crate) fn reached(&self, partition: u16) -> Option<&Reached> {
        self.all.iter().find_map(|follower| follower.fleet.reached(partition))
    }

    /// See [`Fleet::forget_segments`].
    pub(crate) fn forget_segments(&mut self, partition: u16) {
        self.all.iter_mut().for_each(|follower| follower.fleet.forget_segments(partition));
    }

    /// See [`Fleet::rooms_are_checked`].
    pub(crate) fn rooms_are_checked(&mut self, partition: u16) {
        self.all.iter_mut().for_each(|follower| follower.fleet.rooms_are_checked(partition));
    }

    /// The fleet in which a partition is.
    pub(crate) fn of(&self, partition: u16) -> Option<&Fleet> {
        self.follower_of(partition).map(|follower| &follower.fleet)
    }

    /// The follower of a partition.
    pub(crate) fn follower_of(&self, partition: u16) -> Option<&Follower> {
        self.all.iter().find(|follower| follower.fleet.partition(partition).is_some())
    }

    pub(crate) fn fleets(&self) -> impl Iterator<Item = &Fleet> {
        self.all.iter().map(|follower| &follower.fleet)
    }

    /// The numbers of all partitions that are followed.
    pub(crate) fn partitions(&self) -> Vec<u16> {
        self.fleets().flat_map(Fleet::partitions).map(crate::fold::Partition::number).collect()
    }

    /// Whether everything is read that was in the log when the partitions were acquired.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.all.iter().all(Follower::is_caught_up)
    }

    /// Whether everything of a partition is read that was in the log when it was acquired.
    pub(crate) fn is_caught_up_with(&self, partition: u16) -> bool {
        let follower = self.all.iter().find(|follower| follower.fleet.partition(partition).is_some());
        follower.is_some_and(|follower| follower.fleet.position() >= follower.catch_up_to)
    }

    /// The last entry of the log that all of them have read, 0 where there is none.
    pub(crate) fn position(&self) -> u64 {
        self.fleets().map(Fleet::position).min().unwrap_or(0)
    }
}
