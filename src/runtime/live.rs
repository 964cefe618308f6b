//! The engine's loop: read the log, fold it, commit what it tells.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{info, warn};

use super::around::Around;
use super::error::RuntimeError;
use super::fleet::Fleet;
use super::keeper::Keeper;
use super::outbox::Outbox;
use crate::nats::{Batch, CommitError, CommitLane, LogMessage, LogReader};

/// How long a shutdown waits for NATS.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(20);

/// The next deadline is looked for at most so often: under load entries come by the thousand, and each look wakes the
/// ticker.
const GUESS_EVERY: Duration = Duration::from_millis(10);

/// When the next deadline is looked for.
struct Guess {
    /// Entries came since the last look.
    is_stale: bool,
    /// When the last of them came.
    heard: Instant,
    /// Not before this.
    next: Instant,
}

/// The loop's parts.
pub(crate) struct Live {
    pub(crate) fleet: Fleet,
    pub(crate) outbox: Outbox,
    pub(crate) reader: LogReader,
    pub(crate) lane: Lane,
    pub(crate) keeper: Keeper,
    /// When the next tick is worth something.
    pub(crate) due: watch::Sender<Option<Instant>>,
    /// The last entry that was in the log when the engine started.
    pub(crate) catch_up_to: u64,
    /// Most items that wait for their commit; above it the log is read no further.
    pub(crate) pending_max: usize,
    pub(crate) checkpoint_every: Duration,
}

/// The commit lane in a task of its own, so that folding goes on while a commit is under way.
#[derive(Debug)]
pub(crate) struct Lane {
    batches: mpsc::Sender<Batch>,
    outcomes: mpsc::Receiver<Result<(), CommitError>>,
}

impl Lane {
    pub(crate) fn start(mut lane: CommitLane) -> Self {
        let (batches, mut waiting) = mpsc::channel(1);
        let (tell, outcomes) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(batch) = waiting.recv().await {
                let outcome = lane.commit(batch).await;
                let lost = outcome.is_err();
                if tell.send(outcome).await.is_err() || lost {
                    return;
                }
            }
        });
        Self { batches, outcomes }
    }

    /// Starts a commit; the one before has to be confirmed.
    fn start_commit(&self, batch: Batch) {
        self.batches.try_send(batch).expect("one commit at a time, and the lane ends only with its outcome");
    }

    async fn outcome(&mut self) -> Result<(), CommitError> {
        self.outcomes.recv().await.expect("the lane answers each commit")
    }
}

impl Live {
    /// Runs until `shutdown` is done, then drains.
    pub(crate) async fn run(
        mut self,
        shutdown: &mut (impl Future<Output = ()> + Unpin),
        around: &mut Around<impl FnOnce()>,
    ) -> Result<(), RuntimeError> {
        let partitions = self.fleet.partitions().len() as u16;
        let mut snapshots = interval(self.checkpoint_every / u32::from(partitions));
        snapshots.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_snapshot = 0;
        let (mut is_live, mut asked) = (false, false);
        let mut due = Guess { is_stale: false, heard: Instant::now(), next: Instant::now() };
        loop {
            if !is_live && self.fleet.position() >= self.catch_up_to {
                if self.fleet.is_under(&around.policy) {
                    is_live = true;
                    info!(position = self.fleet.position(), "live");
                    around.live();
                } else if !asked {
                    asked = true;
                    around.policy_differs();
                }
            }
            if let Some(batch) = self.outbox.next_batch() {
                self.lane.start_commit(batch);
            }
            tokio::select! {
                biased;
                () = &mut *shutdown => return self.drain().await,
                outcome = self.lane.outcome(), if !self.outbox.is_idle() => {
                    outcome?;
                    self.confirm();
                }
                Some(leftover) = around.leftovers.recv(), if is_live => leftover.settle(&self.fleet, &mut self.outbox),
                _ = snapshots.tick(), if is_live => {
                    if self.outbox.len() < self.pending_max {
                        self.outbox.keep(self.fleet.snapshot(next_snapshot));
                        next_snapshot = (next_snapshot + 1) % partitions;
                    }
                }
                () = sleep_until(due.next), if due.is_stale => self.guess_due(&mut due),
                messages = self.reader.next(), if self.outbox.len() < self.pending_max => self.fold(&messages?, &mut due),
            }
        }
    }

    fn fold(&mut self, messages: &[LogMessage], due: &mut Guess) {
        self.fleet.apply(messages, &mut self.outbox);
        (due.is_stale, due.heard) = (true, Instant::now());
    }

    /// Says when the next tick is worth something. The local clock decides only that, never what the tick means.
    fn guess_due(&self, due: &mut Guess) {
        let log_time = self.fleet.log_time();
        // A millisecond more, since log times are truncated.
        let after = |due: u64| Duration::from_millis(due.saturating_sub(log_time) + 1);
        self.due.send_replace(self.fleet.next_due().map(|next| due.heard + after(next)));
        (due.is_stale, due.next) = (false, Instant::now() + GUESS_EVERY);
    }

    /// The position advances only here, after the commit is confirmed: what was not confirmed is derived again.
    fn confirm(&mut self) {
        for snapshot in self.outbox.confirm() {
            self.keeper.store(snapshot);
        }
    }

    /// Commits what was derived, then leaves a checkpoint of every partition exactly at its progress.
    async fn drain(mut self) -> Result<(), RuntimeError> {
        let (dropped, ignored_fields) = self.fleet.passed_over();
        info!(pending = self.outbox.len(), dropped, ignored_fields, "draining");
        for number in 0..self.fleet.partitions().len() as u16 {
            self.outbox.keep(self.fleet.snapshot(number));
        }
        let drained = timeout(SHUTDOWN_PATIENCE, async {
            while !self.outbox.is_empty() {
                if let Some(batch) = self.outbox.next_batch() {
                    self.lane.start_commit(batch);
                }
                self.lane.outcome().await?;
                self.confirm();
            }
            Ok::<(), CommitError>(())
        });
        let Ok(drained) = drained.await else {
            return Err(RuntimeError::Shutdown { pending: self.outbox.len(), seconds: SHUTDOWN_PATIENCE.as_secs() });
        };
        drained?;
        match timeout(SHUTDOWN_PATIENCE, self.keeper.finish()).await {
            Ok(0) if self.fleet.position() < self.catch_up_to => {
                info!(
                    position = self.fleet.position(),
                    "stopped in the midst of a replay: the next start goes on from here"
                );
            }
            Ok(0) => info!(position = self.fleet.position(), "drained"),
            Ok(failed) => warn!(failed, "drained, but some checkpoints were not stored: the next start replays more"),
            Err(_) => warn!("drained, but checkpoints were not stored in time: the next start replays more"),
        }
        Ok(())
    }
}
