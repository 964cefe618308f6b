//! Recovery: where each partition stands when this engine takes it over.

use std::sync::Arc;

use tracing::{info, warn};

use super::error::RuntimeError;
use super::outbox::Reached;
use super::snapshot::Stored;
use super::told;
use crate::fold::{FOLD_VERSION, IndexKey, Partition};
use crate::model::Policy;
use crate::nats::log::entry_ts_ms;
use crate::nats::{Checkpoints, Fence, LogIdentity, Nats};
use crate::wire::Progress;

/// A partition, ready to read its log on.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) partition: Partition,
    /// What was told before; events up to there are suppressed.
    pub(crate) reached: Reached,
    /// The log before is gone; holds the log time up to which it was told.
    pub(crate) lost_since: Option<u64>,
}

/// Restores every fenced partition: from the newest checkpoint that lies in this log, from the log's beginning, or, where
/// the log is another one or was cut, from the state that was told.
pub(crate) struct Restore<'a> {
    pub(crate) nats: &'a Nats,
    pub(crate) log: &'a LogIdentity,
    pub(crate) checkpoints: &'a Checkpoints,
    pub(crate) key: IndexKey,
    pub(crate) partitions: u16,
    /// What comes into force where no policy survived.
    pub(crate) policy: &'a Arc<Policy>,
}

impl Restore<'_> {
    pub(crate) async fn all(&self, fences: &[Fence]) -> Result<Vec<Restored>, RuntimeError> {
        let mut restored = Vec::with_capacity(fences.len());
        let mut lost = Vec::new();
        for fence in fences {
            let number = fence.partition;
            let Some(progress) = &fence.found else {
                restored.push(self.fresh(number));
                continue;
            };
            match self.stored(number, progress).await? {
                Some(found) => restored.push(found),
                None => {
                    lost.push((restored.len(), progress));
                    restored.push(self.fresh(number));
                }
            }
        }
        if !lost.is_empty() {
            self.rebuild(&lost, &mut restored).await?;
        }
        Ok(restored)
    }

    /// A partition that has told nothing yet.
    fn fresh(&self, number: u16) -> Restored {
        Restored { partition: Partition::new(number, self.key), reached: Reached::nothing(0), lost_since: None }
    }

    async fn stored(&self, number: u16, progress: &Progress) -> Result<Option<Restored>, RuntimeError> {
        let goes_on = self.goes_on(progress).await?;
        let mut below = progress.input_seq;
        loop {
            let Some((seq, bytes)) = self.checkpoints.newest(number, below).await? else {
                break;
            };
            if let Some(found) = self.usable(number, seq, &bytes, progress, goes_on)? {
                return Ok(Some(found));
            }
            if seq == 0 {
                break;
            }
            below = seq - 1;
        }
        if progress.fold_version != FOLD_VERSION {
            return Err(fold_version(number, progress));
        }
        // Nothing was ever lost and the log is whole: it can be folded from its beginning.
        let whole = goes_on && progress.generation == 0 && self.log.first_seq <= 1;
        Ok(whole.then(|| Restored { reached: Reached::of(progress), ..self.fresh(number) }))
    }

    /// Whether this log is the one in which `progress` is a position, as far as it can still be seen.
    async fn goes_on(&self, progress: &Progress) -> Result<bool, RuntimeError> {
        if progress.log_created != self.log.created || progress.input_seq > self.log.last_seq {
            return Ok(false);
        }
        if progress.input_seq < self.log.first_seq {
            return Ok(true);
        }
        Ok(entry_ts_ms(self.nats, progress.input_seq).await?.is_none_or(|ts| ts == progress.input_ts))
    }

    fn usable(
        &self,
        number: u16,
        seq: u64,
        bytes: &[u8],
        progress: &Progress,
        goes_on: bool,
    ) -> Result<Option<Restored>, RuntimeError> {
        let stored = match Stored::decode(bytes) {
            Ok(stored) => stored,
            Err(error) => {
                warn!(partition = number, seq, %error, "passing over a checkpoint that can't be read");
                return Ok(None);
            }
        };
        if stored.log_created != progress.log_created {
            return Ok(None);
        }
        let drained = stored.input_seq == progress.input_seq && stored.k == progress.k;
        if progress.fold_version != FOLD_VERSION && !drained {
            return Err(fold_version(number, progress));
        }
        let mut partition = match Partition::restore(&stored.bytes, self.key) {
            Ok(partition) => partition,
            Err(error) => {
                warn!(partition = number, seq, %error, "passing over a checkpoint that can't be restored");
                return Ok(None);
            }
        };
        if partition.generation() != progress.generation {
            return Ok(None);
        }
        if goes_on && self.log.first_seq <= seq + 1 {
            info!(partition = number, seq, sessions = partition.sessions(), "restored");
            return Ok(Some(Restored { partition, reached: Reached::of(progress), lost_since: None }));
        }
        if !drained {
            return Ok(None);
        }
        // The log behind the checkpoint is gone, but everything up to it was told: nobody's state is missing.
        let generation = progress.generation + 1;
        partition.lose_log(generation);
        Ok(Some(Restored { partition, reached: Reached::nothing(generation), lost_since: Some(progress.input_ts) }))
    }

    async fn rebuild(&self, lost: &[(usize, &Progress)], restored: &mut [Restored]) -> Result<(), RuntimeError> {
        warn!(
            partitions = lost.len(),
            "the log is another one or was cut: rebuilding from what was told, time is excused"
        );
        let wanted = |number: u16| lost.iter().any(|(at, _)| restored[*at].partition.number() == number);
        let mut events = told::latest(self.nats, self.partitions, wanted).await?;
        for (at, progress) in lost {
            let number = restored[*at].partition.number();
            let events = events.remove(&number).unwrap_or_default();
            let now = events.iter().map(|event| event.at_ms).max().unwrap_or(0).max(progress.input_ts);
            let mut partition = Partition::rebuild(number, self.key, Arc::clone(self.policy), now, &events);
            let generation = progress.generation + 1;
            partition.lose_log(generation);
            restored[*at] =
                Restored { partition, reached: Reached::nothing(generation), lost_since: Some(progress.input_ts) };
        }
        Ok(())
    }
}

fn fold_version(partition: u16, progress: &Progress) -> RuntimeError {
    RuntimeError::FoldVersion { partition, found: progress.fold_version, own: FOLD_VERSION, seq: progress.input_seq }
}
