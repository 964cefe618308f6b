//! Who owns what, from this engine's side: what is given back, given up, or to be acquired.
//!
//! Handing over is cooperative: a partition is read no further, what it told is committed, its checkpoint is stored exactly at
//! its progress, and only then its lease is given back; the next owner goes on from there. A partition that somebody else took
//! is given up at once: its fence is lost, so nothing of it can be told any more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::acquisition::Acquisition;
use super::duty::{Duty, Standing};
use super::error::RuntimeError;
use super::keeper::Kept;
use super::live::Live;
use crate::nats::Lessee;

/// How long a shutdown waits for NATS.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(20);

impl Live {
    /// Compares what is ours with what should be.
    pub(super) fn reconcile(&mut self) {
        let view = Arc::clone(&self.view.borrow_and_update());
        if !view.is_settled() {
            return;
        }
        let share = view.share(self.ground.partitions);
        // While leases are on their way back, the view shows them as they were.
        let is_calm = self.releases.is_empty();
        let mut wanted = BTreeSet::new();
        for partition in 0..self.ground.partitions {
            match Duty::of(&view, partition, self.standing(partition), share.contains(&partition)) {
                Duty::Nothing => {}
                Duty::Acquire => {
                    wanted.insert(partition);
                }
                Duty::HandOver => self.hand_over(partition),
                Duty::GiveUp(engine) => {
                    warn!(partition, engine, "the lease is somebody else's: giving the partition up");
                    self.give_up(partition);
                }
                Duty::LeaseAgain => self.lease_again(partition),
                Duty::GiveBack if is_calm => self.give_back(partition),
                Duty::GiveBack => {}
            }
        }
        // What had nothing to tell waits for no commit.
        self.hand_over_what_is_told();
        if !wanted.is_empty() {
            info!(partitions = wanted.len(), "acquiring");
            self.acquisition.begin(&self.ground, wanted);
        }
    }

    /// Where a partition stands here. One lot is acquired at a time, and others wait for its end.
    fn standing(&self, partition: u16) -> Standing {
        if self.leaving.contains_key(&partition) {
            Standing::Leaving
        } else if self.followers.of(partition).is_some() {
            Standing::Followed
        } else if self.acquisition.is_idle() {
            Standing::Absent
        } else {
            Standing::Acquiring
        }
    }

    /// Stops reading a partition, and gives it back once what it told is committed and its checkpoint stored.
    fn hand_over(&mut self, partition: u16) {
        if !self.freshness.may_take(partition) {
            // One is under way that may not be stored: this one must not need it.
            self.followers.forget_segments(partition);
        }
        let Some(snapshot) = self.followers.snapshot(partition) else { return };
        self.followers.remove(partition);
        self.lasting.forget(partition);
        self.interests.wake_everybody();
        self.census.end(partition);
        let seq = snapshot.reached.seq;
        debug!(partition, seq, "handing over");
        let is_kept = self.outbox.keep(snapshot);
        self.leaving.insert(partition, is_kept.then_some(seq));
    }

    /// Those that leave without a checkpoint, since they were in the midst of a replay, go when nothing of them waits any more.
    pub(super) fn hand_over_what_is_told(&mut self) {
        let is_done = |(partition, seq): (&u16, &Option<u64>)| {
            (seq.is_none() && self.outbox.is_empty_of(*partition)).then_some(*partition)
        };
        let done: Vec<u16> = self.leaving.iter().filter_map(is_done).collect();
        for partition in done {
            self.release(partition);
        }
    }

    /// The keeper is done with a snapshot.
    pub(super) fn kept(&mut self, kept: &Kept) {
        let Kept { partition, seq, is_stored, .. } = *kept;
        self.freshness.kept(kept, Instant::now());
        if !is_stored {
            self.followers.forget_segments(partition);
        }
        if self.leaving.get(&partition).is_some_and(|last| last.is_some_and(|last| seq >= last)) {
            if !is_stored {
                warn!(partition, "handed over without a checkpoint: the next owner replays more");
            }
            self.release(partition);
        }
    }

    fn release(&mut self, partition: u16) {
        self.leaving.remove(&partition);
        self.outbox.end(partition);
        self.freshness.end(partition);
        self.give_back(partition);
    }

    fn give_back(&mut self, partition: u16) {
        let membership = Arc::clone(&self.ground.membership);
        self.releases.spawn(async move {
            if let Err(error) = membership.release(partition).await {
                warn!(partition, %error, "the lease was not given back: the next owner has to wait until it runs out");
            }
        });
    }

    /// Of a partition whose fence is ours the lease has gone: the bucket was emptied, or it is not seen yet.
    fn lease_again(&mut self, partition: u16) {
        let membership = Arc::clone(&self.ground.membership);
        self.releases.spawn(async move {
            if let Err(error) = membership.acquire(partition).await {
                warn!(partition, %error, "the lease can't be taken again, trying later");
            }
        });
    }

    /// Forgets a partition that is ours no more.
    pub(super) fn give_up(&mut self, partition: u16) {
        if self.followers.of(partition).is_some() || self.leaving.contains_key(&partition) {
            self.followers.remove(partition);
            self.lasting.forget(partition);
            self.interests.wake_everybody();
            self.leaving.remove(&partition);
            self.census.end(partition);
            self.outbox.end(partition);
            self.freshness.end(partition);
        }
    }

    /// Hands over everything: what was derived is committed, and a checkpoint of every partition lies exactly at its progress.
    pub(super) async fn drain(mut self) -> Result<(), RuntimeError> {
        let passed = self.followers.fleets().map(super::fleet::Fleet::passed_over);
        let (dropped, ignored_fields) = passed.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        info!(pending = self.outbox.len(), dropped, ignored_fields, "draining");
        let (position, is_caught_up) = (self.followers.position(), self.followers.is_caught_up());
        let membership = Arc::clone(&self.ground.membership);
        membership.retire();
        // Who asks this one now asks the next owner.
        self.questions.close();
        for partition in self.followers.partitions() {
            self.hand_over(partition);
        }
        let drained = timeout(SHUTDOWN_PATIENCE, self.finish());
        match drained.await {
            Ok(Ok(0)) if !is_caught_up => {
                info!(position, "stopped in the midst of a replay: the next start goes on from here");
            }
            Ok(Ok(0)) => info!(position, "drained"),
            Ok(Ok(failed)) => {
                warn!(failed, "drained, but some checkpoints were not stored: the next start replays more");
            }
            Ok(Err(error)) => return Err(error),
            Err(_) if self.outbox.is_empty() => {
                warn!("drained, but checkpoints were not stored in time: the next start replays more");
            }
            Err(_) => {
                let (pending, seconds) = (self.outbox.len(), SHUTDOWN_PATIENCE.as_secs());
                return Err(RuntimeError::Shutdown { pending, seconds });
            }
        }
        Ok(())
    }

    /// Commits, stores and gives back until nothing is left; returns how many checkpoints could not be stored.
    async fn finish(&mut self) -> Result<usize, RuntimeError> {
        let mut failed = 0;
        // What is being acquired goes back; leases that were asked for may be ours by now.
        if let Acquisition::Leasing(_) = self.acquisition {
            self.acquisition.step().await?;
        }
        self.acquisition = Acquisition::Idle;
        let view = self.view.borrow().clone();
        for partition in 0..self.ground.partitions {
            if self.standing(partition) == Standing::Absent && view.lessee(partition) == Lessee::Own {
                self.give_back(partition);
            }
        }
        self.hand_over_what_is_told();
        while !self.leaving.is_empty() || !self.outbox.is_empty() || !self.releases.is_empty() {
            self.start_commit();
            tokio::select! {
                outcome = self.lane.outcome(), if self.lane.is_busy() => self.lane_is_done(outcome?),
                kept = self.keeper.kept() => {
                    failed += usize::from(!kept.is_stored);
                    self.kept(&kept);
                }
                Some(_) = self.releases.join_next() => {}
            }
        }
        Ok(failed)
    }
}
