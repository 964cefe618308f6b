//! Recovery: asks NATS for what [`restored`](super::restored) judges by.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tracing::warn;

use super::acquisition::joined;
use super::error::RuntimeError;
use super::restored::{Evidence, Restored};
use super::snapshot::Stored;
use super::told;
use crate::fold::{self, IndexKey};
use crate::model::Policy;
use crate::nats::checkpoint::{CheckpointError, ORPHAN_AGE};
use crate::nats::log::entry_ts_ms;
use crate::nats::{Checkpoints, Fence, LogIdentity, Nats};
use crate::wire::Progress;

/// So many partitions are asked for at a time.
const AT_ONCE: usize = 16;

/// Restores every fenced partition: from the newest checkpoint that lies in this log, from the log's beginning, or, where
/// the log is another one or was cut, from the state that was told.
pub(crate) struct Restore {
    pub(crate) nats: Nats,
    pub(crate) log: LogIdentity,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) key: IndexKey,
    pub(crate) partitions: u16,
    /// What comes into force where no policy survived.
    pub(crate) policy: Arc<Policy>,
}

/// What came of one partition.
struct Found {
    /// See [`Evidence::ts_there`].
    ts_there: Option<u64>,
    /// Nothing where the log doesn't give it.
    restored: Option<Restored>,
}

impl Restore {
    pub(crate) async fn all(self: &Arc<Self>, fences: &[Fence]) -> Result<Vec<Restored>, RuntimeError> {
        let mut restored = Vec::with_capacity(fences.len());
        let mut lost = Vec::new();
        // A task each, since what takes long is reading checkpoints into memory, which all cores can share.
        let own = Arc::clone(self);
        let begin = move |fence| tokio::spawn(Arc::clone(&own).found(fence));
        let mut tasks = stream::iter(fences.iter().cloned().map(begin)).buffered(AT_ONCE);
        for fence in fences {
            let found = tasks.next().await.expect("there is a task for each fence");
            let Found { ts_there, restored: found } = joined(found)?;
            if let (None, Some(progress)) = (&found, &fence.found) {
                lost.push((restored.len(), self.evidence(progress, ts_there)));
            }
            restored.push(found.unwrap_or_else(|| Restored::fresh(fence.partition, &self.key)));
        }
        if !lost.is_empty() {
            self.rebuild(&lost, &mut restored).await?;
        }
        Ok(restored)
    }

    /// The partition of a fence, if what it found is enough to restore it.
    async fn found(self: Arc<Self>, fence: Fence) -> Result<Found, RuntimeError> {
        let Some(progress) = &fence.found else { return Ok(Found { ts_there: None, restored: None }) };
        let place = Evidence::place(&self.log, progress);
        let ts_there = if place >= self.log.first_seq { entry_ts_ms(&self.nats, place).await? } else { None };
        let restored = self.one(fence.partition, &self.evidence(progress, ts_there)).await?;
        Ok(Found { ts_there, restored })
    }

    fn evidence<'b>(&'b self, progress: &'b Progress, ts_there: Option<u64>) -> Evidence<'b> {
        Evidence { log: &self.log, progress, ts_there, key: &self.key }
    }

    /// One partition by the newest checkpoint of use, or from the log's beginning.
    async fn one(&self, number: u16, evidence: &Evidence<'_>) -> Result<Option<Restored>, RuntimeError> {
        let listed = &self.checkpoints;
        if let Some(found) = newest_of_use(listed, number, evidence).await? {
            return Ok(Some(found));
        }
        // An owner that was stopped and goes on stores what was committed before, and clears away what we have listed.
        if listed.positions(number).next().is_some() {
            let again = Checkpoints::open(&self.nats, ORPHAN_AGE).await?;
            if again.known(&[number]) != listed.known(&[number]) {
                warn!(
                    partition = number,
                    "the checkpoints that were listed are gone, and there are others: trying those"
                );
                if let Some(mut found) = newest_of_use(&again, number, evidence).await? {
                    // Who stores its next one knows the first list.
                    found.partition.forget_segments();
                    return Ok(Some(found));
                }
            }
        }
        evidence.from_the_beginning(number)
    }

    async fn rebuild(&self, lost: &[(usize, Evidence<'_>)], restored: &mut [Restored]) -> Result<(), RuntimeError> {
        warn!(
            partitions = lost.len(),
            "the log is another one or was cut: rebuilding from what was told, time is excused"
        );
        let wanted = |number: u16| lost.iter().any(|(at, _)| restored[*at].partition.number() == number);
        let mut events = told::latest(&self.nats, self.partitions, wanted).await?;
        for (at, evidence) in lost {
            let number = restored[*at].partition.number();
            let events = events.remove(&number).unwrap_or_default();
            restored[*at] = evidence.rebuilt(number, &self.policy, &events);
        }
        Ok(())
    }
}

async fn newest_of_use(
    checkpoints: &Checkpoints,
    number: u16,
    evidence: &Evidence<'_>,
) -> Result<Option<Restored>, RuntimeError> {
    let mut below = evidence.progress.input_seq;
    while let Some((seq, bytes)) = checkpoints.newest(number, below).await? {
        match Stored::decode(&bytes) {
            Ok(stored) => {
                let segments = segments_of(checkpoints, number, &stored).await?;
                if let Some(found) = evidence.from_checkpoint(number, seq, &stored, &segments)? {
                    return Ok(Some(found));
                }
            }
            Err(error) => warn!(partition = number, seq, %error, "passing over a checkpoint that can't be read"),
        }
        if seq == 0 {
            break;
        }
        below = seq - 1;
    }
    Ok(None)
}

/// The segments that a stored checkpoint names, as far as they are there: what is missing is found out when it is restored.
pub(super) async fn segments_of(
    checkpoints: &Checkpoints,
    number: u16,
    stored: &Stored,
) -> Result<Vec<Bytes>, CheckpointError> {
    let mut segments = Vec::new();
    for name in fold::segments_of(&stored.bytes).unwrap_or_default() {
        segments.extend(checkpoints.segment(number, name).await?);
    }
    Ok(segments)
}
