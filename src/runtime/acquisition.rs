//! Acquiring partitions: their leases, their fences, their state; one lot after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;

use futures::{StreamExt, stream};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::error::RuntimeError;
use super::lane::Lane;
use super::restore::Restore;
use super::restored::Restored;
use crate::fold::IndexKey;
use crate::model::Policy;
use crate::nats::{
    Checkpoints, Fence, LogError, LogIdentity, Membership, Nats,
    checkpoint::{Listed, ORPHAN_AGE},
};

/// So many leases are asked for at a time.
const LEASES_AT_ONCE: usize = 16;
/// So often the log has to say that it ends before what was told of it.
const LOG_END_ASKED_MAX: u32 = 3;
/// The pause between.
const LOG_END_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// What all acquisitions of an engine's life have in common.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) nats: Nats,
    pub(crate) membership: Arc<Membership>,
    /// When the log was created that this life reads.
    pub(crate) log_created: String,
    pub(crate) partitions: u16,
    pub(crate) key: IndexKey,
    /// What comes into force where no policy survived.
    pub(crate) policy: Arc<Policy>,
}

/// Partitions that are fenced and restored.
#[derive(Debug)]
pub(crate) struct Acquired {
    pub(crate) fences: Vec<Fence>,
    pub(crate) restored: Vec<Restored>,
    /// The log as it is behind the fences.
    pub(crate) log: LogIdentity,
    /// What is in the store of them.
    pub(crate) known: BTreeMap<u16, Listed>,
}

/// One lot of partitions on its way.
#[derive(Debug, Default)]
pub(crate) enum Acquisition {
    /// Nothing is being acquired.
    #[default]
    Idle,
    Leasing(JoinHandle<Vec<u16>>),
    /// Their leases are ours; they wait for the lane.
    Leased(Vec<u16>),
    Fencing,
    Restoring(JoinHandle<Result<Acquired, RuntimeError>>),
}

impl Acquisition {
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// Begins with those whose leases are free.
    pub(crate) fn begin(&mut self, ground: &Ground, partitions: BTreeSet<u16>) {
        let membership = Arc::clone(&ground.membership);
        *self = Self::Leasing(tokio::spawn(async move {
            let acquire = |partition| {
                let membership = Arc::clone(&membership);
                async move {
                    match membership.acquire(partition).await {
                        Ok(is_ours) => is_ours.then_some(partition),
                        Err(error) => {
                            warn!(partition, %error, "the lease can't be taken, trying again");
                            None
                        }
                    }
                }
            };
            // Collected first: a stream over the borrowing iterator would keep this future from being `Send`.
            let acquiring: Vec<_> = partitions.into_iter().map(acquire).collect();
            let acquired: Vec<_> = stream::iter(acquiring).buffered(LEASES_AT_ONCE).collect().await;
            acquired.into_iter().flatten().collect()
        }));
    }

    /// Whether it has something for the lane.
    pub(crate) fn waits_for_lane(&self) -> bool {
        matches!(self, Self::Leased(_))
    }

    /// Gives the lane its part of the work, where it is at that and the lane is free.
    pub(crate) fn move_on(&mut self, lane: &mut Lane) {
        if !lane.is_busy()
            && let Self::Leased(partitions) = self
        {
            lane.fence(std::mem::take(partitions));
            *self = Self::Fencing;
        }
    }

    /// The lane has taken the fences.
    pub(crate) fn fenced(&mut self, ground: &Ground, fences: Vec<Fence>) {
        info!(partitions = fences.len(), "fences taken");
        *self = Self::Restoring(tokio::spawn(restore(ground.clone(), fences)));
    }

    /// What was acquired, or `None` where it only came a step further. Waits for ever where nothing is under way. Cancel-safe.
    pub(crate) async fn step(&mut self) -> Result<Option<Acquired>, RuntimeError> {
        match self {
            Self::Idle | Self::Leased(_) | Self::Fencing => pending().await,
            Self::Leasing(task) => {
                let leased = joined(task.await);
                *self = if leased.is_empty() { Self::Idle } else { Self::Leased(leased) };
                Ok(None)
            }
            Self::Restoring(task) => {
                let restored = joined(task.await);
                *self = Self::Idle;
                restored.map(Some)
            }
        }
    }
}

impl Drop for Acquisition {
    fn drop(&mut self) {
        match self {
            Self::Leasing(task) => task.abort(),
            Self::Restoring(task) => task.abort(),
            Self::Idle | Self::Leased(_) | Self::Fencing => {}
        }
    }
}

/// What a task gave, or its panic.
pub(super) fn joined<T>(task: Result<T, tokio::task::JoinError>) -> T {
    match task {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn restore(ground: Ground, fences: Vec<Fence>) -> Result<Acquired, RuntimeError> {
    let Ground { nats, log_created, .. } = &ground;
    let log = LogIdentity::read(nats).await?;
    if log.created != *log_created {
        let detail = format!("it was created {log_created}, the other one {}", log.created);
        return Err(LogError::Replaced(detail).into());
    }
    let log = LogIdentity { last_seq: log_end(nats, &log, &fences).await?, ..log };
    let checkpoints = Checkpoints::open(nats, ORPHAN_AGE).await?;
    let numbers: Vec<u16> = fences.iter().map(|fence| fence.partition).collect();
    let known = checkpoints.known(&numbers);
    let restore = Restore {
        nats: nats.clone(),
        log: log.clone(),
        checkpoints,
        key: ground.key,
        partitions: ground.partitions,
        policy: Arc::clone(&ground.policy),
    };
    let restored = Arc::new(restore).all(&fences).await?;
    Ok(Acquired { fences, restored, log, known })
}

/// The log's end behind the fences: whatever an owner before us has told lies at or before it. Where it does not, the log
/// lost its end; but a leader that was stopped and goes on may say so too until it learns that there is another one, so it
/// is asked again.
async fn log_end(nats: &Nats, log: &LogIdentity, fences: &[Fence]) -> Result<u64, LogError> {
    let found = fences.iter().filter_map(|fence| fence.found.as_ref());
    let told = found.filter(|progress| progress.log_created == log.created).map(|progress| progress.input_seq).max();
    let mut asked = 1;
    loop {
        let last_seq = LogIdentity::read(nats).await?.last_seq;
        if asked == LOG_END_ASKED_MAX || told.is_none_or(|told| told <= last_seq) {
            return Ok(last_seq);
        }
        asked += 1;
        tokio::time::sleep(LOG_END_PAUSE).await;
    }
}
