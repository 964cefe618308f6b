//! The keeper stores checkpoints beside the engine's loop, so that a slow store delays no event.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::outbox::Snapshot;
use super::snapshot::Stored;
use crate::nats::{Checkpoints, LogIdentity};

/// Snapshots that wait for the store at the most; another one is skipped, the next round brings it.
const WAITING_MAX: usize = 1_024;

/// Stores snapshots in the order in which they come.
#[derive(Debug)]
pub(crate) struct Keeper {
    queue: mpsc::Sender<Snapshot>,
    task: JoinHandle<usize>,
}

impl Keeper {
    pub(crate) fn start(mut checkpoints: Checkpoints, log: LogIdentity) -> Self {
        let (queue, mut waiting) = mpsc::channel::<Snapshot>(WAITING_MAX);
        let task = tokio::spawn(async move {
            let mut failed = 0;
            while let Some(Snapshot { partition, reached, bytes }) = waiting.recv().await {
                let stored = Stored::new(&log, &reached, bytes).encode();
                let size = stored.len();
                match checkpoints.put(partition, reached.seq, Bytes::from(stored)).await {
                    Ok(()) => debug!(partition, seq = reached.seq, size, "checkpoint stored"),
                    Err(error) => {
                        failed += 1;
                        warn!(partition, seq = reached.seq, %error, "checkpoint not stored, the one before stays");
                    }
                }
            }
            failed
        });
        Self { queue, task }
    }

    /// Hands over a snapshot whose position is committed.
    pub(crate) fn store(&self, snapshot: Snapshot) {
        if let Err(error) = self.queue.try_send(snapshot) {
            warn!(%error, "checkpoint skipped: the store is behind");
        }
    }

    /// Waits until everything handed over is stored; returns how many could not be.
    pub(crate) async fn finish(self) -> usize {
        drop(self.queue);
        self.task.await.unwrap_or(1)
    }
}
