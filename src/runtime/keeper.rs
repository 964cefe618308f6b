//! The keeper stores checkpoints beside the engine's loop, so that a slow store delays no event.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::outbox::Snapshot;
use super::snapshot::Stored;
use crate::nats::checkpoint::Listed;
use crate::nats::{Checkpoints, LogIdentity};

/// Snapshots that wait for the store at the most; another one is skipped, the next round brings it.
const WAITING_MAX: usize = 1_024;

#[derive(Debug)]
enum Work {
    Store(Snapshot),
    /// What another engine has left of partitions that are ours from now on.
    Learn(BTreeMap<u16, Listed>),
}

/// A snapshot that the keeper is done with.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) partition: u16,
    pub(crate) seq: u64,
    /// The log time of its position in milliseconds.
    pub(crate) log_time: u64,
    /// Whether it is stored.
    pub(crate) is_stored: bool,
}

/// Stores snapshots in the order in which they come.
#[derive(Debug)]
pub(crate) struct Keeper {
    queue: mpsc::Sender<Work>,
    kept: mpsc::UnboundedReceiver<Kept>,
    task: JoinHandle<()>,
}

impl Keeper {
    pub(crate) fn start(mut checkpoints: Checkpoints, log: LogIdentity) -> Self {
        let (queue, mut waiting) = mpsc::channel::<Work>(WAITING_MAX);
        let (tell, kept) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(work) = waiting.recv().await {
                let Snapshot { partition, reached, taken } = match work {
                    Work::Store(snapshot) => snapshot,
                    Work::Learn(known) => {
                        checkpoints.learn(known);
                        continue;
                    }
                };
                let segment_size = taken.segment.as_ref().map_or(0, |segment| segment.bytes.len());
                let stored = Stored::new(&log, &reached, taken.bytes).encode();
                let size = stored.len();
                let put = match &taken.segment {
                    Some(segment) => checkpoints.put_segment(partition, segment).await,
                    None => Ok(()),
                };
                let put = match put {
                    Ok(()) => checkpoints.put(partition, reached.seq, stored.into(), &taken.segments).await,
                    failed => failed,
                };
                match &put {
                    Ok(()) => debug!(partition, seq = reached.seq, size, segment_size, "checkpoint stored"),
                    Err(error) => {
                        warn!(partition, seq = reached.seq, %error, "checkpoint not stored, the one before stays");
                    }
                }
                let (seq, log_time) = (reached.seq, reached.ts);
                if tell.send(Kept { partition, seq, log_time, is_stored: put.is_ok() }).is_err() {
                    return;
                }
            }
        });
        Self { queue, kept, task }
    }

    /// Takes over a snapshot whose position is committed; whether there was room.
    pub(crate) fn store(&self, snapshot: Snapshot) -> bool {
        let stored = self.queue.try_send(Work::Store(snapshot));
        if let Err(error) = &stored {
            warn!(%error, "checkpoint skipped: the store is behind");
        }
        stored.is_ok()
    }

    /// Tells what is in the store of partitions that are ours from now on.
    pub(crate) fn learn(&self, known: BTreeMap<u16, Listed>) {
        if let Err(error) = self.queue.try_send(Work::Learn(known)) {
            warn!(%error, "the store is behind: checkpoints of the owner before are cleared away later");
        }
    }

    /// The next snapshot that it is done with. Cancel-safe.
    pub(crate) async fn kept(&mut self) -> Kept {
        self.kept.recv().await.expect("the keeper ends with the engine")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
