//! What all commits of an engine share: under whose name they are written, and how one is driven over the connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use tracing::{debug, warn};

use super::outbound::Outbound;
use super::protocol::{self, CommitProtocol, Found, Known, Loss, Outcome, Part, Step};
use super::{CommitError, Fence, Nats, Owner, Position, ReadError, StoredProgress, read_progress};
use crate::wire::Progress;

/// How many partitions' progress is read at a time when fences are taken.
const READS_AT_ONCE: usize = 32;

/// Between two questions of which the first was not answered: longer and longer.
struct Pause {
    ms: u64,
}

impl Default for Pause {
    fn default() -> Self {
        Self { ms: 10 }
    }
}

impl Pause {
    async fn wait(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.ms)).await;
        self.ms = (self.ms * 2).min(protocol::WAIT_MS_MAX);
    }
}

/// Who writes, and of which log.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) nats: Nats,
    pub(super) owner: Owner,
    log_created: String,
    fold_version: u32,
    /// How many commits were begun.
    commits: AtomicU64,
}

/// What a batch came to.
pub(super) enum Landing {
    /// It landed. What is expected next of each of its parts, in their order.
    Landed(Vec<Known>),
    Lost(Loss),
}

impl Writer {
    pub(super) fn new(nats: &Nats, owner: Owner, log_created: &str, fold_version: u32) -> Self {
        let (nats, log_created) = (nats.clone(), log_created.to_owned());
        Self { nats, owner, log_created, fold_version, commits: AtomicU64::new(0) }
    }

    /// A partition's progress, asked for until it is answered.
    pub(super) async fn found(&self, partition: u16) -> Option<Found> {
        let mut pause = Pause::default();
        loop {
            self.nats.connected().await;
            if let Outcome::Progress(found) = read_found(&self.nats, partition).await {
                return found;
            }
            pause.wait().await;
        }
    }

    /// Does what the protocol asks for until it is content, or a loss ends it.
    pub(super) async fn drive(
        &self,
        commit: &str,
        outbound: &Outbound<'_>,
        parts: &[Part],
    ) -> Result<Landing, CommitError> {
        let (mut protocol, mut step) =
            CommitProtocol::start(self.owner.as_str(), commit, parts.to_vec(), outbound.count());
        loop {
            let outcome = match step {
                Step::Publish { batch_id } => outbound.publish(&batch_id, protocol.attempts()).await,
                Step::ReadProgress { partition } => read_found(&self.nats, partition).await,
                Step::Wait { ms } => {
                    if ms >= protocol::WAIT_MS_MAX {
                        warn!(commit, attempts = protocol.attempts(), "a commit is still open, trying again");
                    }
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    Outcome::Waited
                }
                Step::Done(known) => {
                    debug!(commit, attempts = protocol.attempts(), messages = outbound.count(), "committed");
                    return Ok(Landing::Landed(known));
                }
                Step::Lost(loss) => return Ok(Landing::Lost(loss)),
                Step::Refused { code, description } => {
                    return Err(CommitError::Refused { code, description });
                }
            };
            tell(commit, &outcome);
            step = protocol.next(outcome);
        }
    }

    pub(super) async fn read_all(&self, partitions: &[u16]) -> Result<Vec<Option<StoredProgress>>, CommitError> {
        // Collected first: a stream over the borrowing iterator would keep this future from being `Send`.
        let reads: Vec<_> = partitions.iter().map(|partition| read_until_answered(&self.nats, *partition)).collect();
        let mut found = Vec::with_capacity(partitions.len());
        let mut reads = stream::iter(reads).buffered(READS_AT_ONCE);
        while let Some(progress) = reads.next().await {
            found.push(progress?);
        }
        Ok(found)
    }

    /// Another one for each commit.
    pub(super) fn next_commit(&self) -> String {
        let number = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}.{number}", self.owner.as_str())
    }

    /// What takes a fence: the progress that was found, with us as its owner.
    pub(super) fn taking(&self, fence: &Fence, found: Option<StoredProgress>, commit: &str) -> (Part, Progress) {
        let epoch = fence.epoch;
        let expected =
            found.as_ref().map(|found| Known { seq: found.seq, commit: found.progress.commit.as_str().into() });
        let progress = match found {
            Some(found) => {
                Progress { owner: self.owner.as_str().to_owned(), epoch, commit: commit.to_owned(), ..found.progress }
            }
            None => {
                let start = Position { input_seq: 0, input_ts: 0, k: 0, policy_hash: String::new(), generation: 0 };
                self.progress(epoch, commit, &start)
            }
        };
        (Part { partition: fence.partition, epoch, expected }, progress)
    }

    /// What is written of a partition that was told so far.
    pub(super) fn progress(&self, epoch: u64, commit: &str, position: &Position) -> Progress {
        Progress {
            v: 1,
            owner: self.owner.as_str().to_owned(),
            epoch,
            commit: commit.to_owned(),
            log_created: self.log_created.clone(),
            input_seq: position.input_seq,
            input_ts: position.input_ts,
            k: position.k,
            generation: position.generation,
            fold_version: self.fold_version,
            policy_hash: position.policy_hash.clone(),
        }
    }
}

/// Reads a progress, over and over until somebody answers.
async fn read_until_answered(nats: &Nats, partition: u16) -> Result<Option<StoredProgress>, CommitError> {
    let mut pause = Pause::default();
    loop {
        nats.connected().await;
        match read_progress(nats, partition).await {
            Ok(found) => return Ok(found),
            Err(ReadError::Unreadable(cause)) => {
                return Err(CommitError::ProgressUnreadable { partition, cause });
            }
            Err(ReadError::Unanswered(cause)) => {
                warn!(partition, cause, "the progress can't be read, trying again");
            }
        }
        pause.wait().await;
    }
}

async fn read_found(nats: &Nats, partition: u16) -> Outcome {
    match read_progress(nats, partition).await {
        Ok(found) => Outcome::Progress(found.map(Found::from)),
        Err(ReadError::Unanswered(cause)) => {
            debug!(partition, cause, "the progress can't be read, trying again");
            Outcome::ReadFailed
        }
        // Nothing that we have written, so whoever wrote it owns the partition, whatever that means to him.
        Err(ReadError::Unreadable(cause)) => {
            let owner = format!("somebody who writes no progress ({cause})").into();
            Outcome::Progress(Some(Found { seq: 0, commit: "".into(), owner, epoch: u64::MAX }))
        }
    }
}

fn tell(commit: &str, outcome: &Outcome) {
    match outcome {
        Outcome::Unknown => warn!(commit, "the outcome of a commit is unknown, reading the progress"),
        Outcome::Refused { code, description } => {
            warn!(commit, code, description, "a commit was refused, reading the progress");
        }
        Outcome::Acked { .. } | Outcome::Progress(_) | Outcome::ReadFailed | Outcome::Waited => {}
    }
}
