//! Fenced atomic commits: what is committed, and the lane that commits it.
//!
//! [`protocol`] holds the rules and is pure; [`CommitLane`] drives it over a connection; `outbound` knows how a batch
//! looks on the wire.

mod outbound;
pub mod protocol;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tracing::{debug, info, warn};

use super::{Nats, names};
use crate::model::PARTITIONS_MAX;
use crate::wire::Progress;
use outbound::Outbound;
pub use outbound::{ReadError, StoredProgress, read_progress};
use protocol::{CommitProtocol, Found, Known, Loss, Outcome, Part, Step};

/// Most messages of a batch, progress included: the server's limit.
pub const BATCH_MESSAGES_MAX: usize = 1_000;
/// How many partitions' progress is read at a time when fences are taken.
const READS_AT_ONCE: usize = 32;

/// The name of an engine's life: another one for each start of a process, since commit ids are made of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(Box<str>);

impl Owner {
    /// A name of some 22 letters and digits that nobody else has: what makes inboxes unique makes this unique.
    #[must_use]
    pub fn unique(nats: &Nats) -> Self {
        let inbox = nats.client.new_inbox();
        Self(inbox.rsplit('.').next().unwrap_or(&inbox).into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One event, or another message that is told with the batch.
#[derive(Debug, Clone)]
pub struct OutMessage {
    /// The partition it comes from.
    pub partition: u16,
    /// The subject under which it is to be stored and told, `presence.v1.…`.
    pub subject: String,
    /// Its headers; `Presence-Epoch` and the batch's own are added.
    pub headers: Vec<(&'static str, String)>,
    /// Its payload.
    pub payload: Bytes,
}

/// How far a partition's log was told: the part of its progress that the fold knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// See [`Progress::input_seq`].
    pub input_seq: u64,
    /// See [`Progress::input_ts`].
    pub input_ts: u64,
    /// See [`Progress::k`].
    pub k: u32,
    /// See [`Progress::policy_hash`].
    pub policy_hash: String,
    /// See [`Progress::generation`].
    pub generation: u32,
}

/// What lands whole or not at all: at most [`BATCH_MESSAGES_MAX`] messages and positions together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// What is told, in this order.
    pub messages: Vec<OutMessage>,
    /// How far each partition was told with it: every partition of `messages`, and others if wanted, each once.
    pub progress: Vec<(u16, Position)>,
}

/// A fence that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The partition.
    pub partition: u16,
    /// Our epoch.
    pub epoch: u64,
    /// The progress as the owner before left it; `None` if there was none.
    pub found: Option<Progress>,
}

/// Why a commit came to nothing. After any of these the lane is of no more use: a new life takes the fences and learns
/// from the progress what was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The partition is somebody else's now. Of this partition the batch will never be stored, unless it was before the
    /// fence was taken; the new owner knows.
    #[error(
        "partition {partition} was taken over by {owner} (epoch {epoch}): one engine owns a partition, so this one stops; if that one was started by mistake, stop it and start this one again"
    )]
    FenceLost {
        /// The partition.
        partition: u16,
        /// Who has it.
        owner: String,
        /// Under which epoch.
        epoch: u64,
    },
    /// The partition's progress is gone. The batch was not stored.
    #[error(
        "the progress of partition {partition} is gone from PRESENCE_EVENTS, it was deleted or the stream was made anew: start the engine again to take a new fence"
    )]
    ProgressVanished {
        /// The partition.
        partition: u16,
    },
    /// The partition's progress is older than what was acknowledged: the stream lost its end. The batch was not stored,
    /// and some before it neither.
    #[error(
        "the progress of partition {partition} went back from sequence {expected} of PRESENCE_EVENTS to {found}, the server lost what it had acknowledged: start the engine again to tell it anew"
    )]
    ProgressRewound {
        /// The partition.
        partition: u16,
        /// The sequence that is there.
        found: u64,
        /// The sequence that was acknowledged.
        expected: u64,
    },
    /// A progress that can't be read. Nothing was stored.
    #[error(
        "the progress of partition {partition} can't be read ({cause}): `nats stream get PRESENCE_EVENTS -S presence.v1.progress.{partition}` shows it"
    )]
    ProgressUnreadable {
        /// The partition.
        partition: u16,
        /// Why.
        cause: String,
    },
    /// The server refuses this batch for good. It was not stored.
    #[error(
        "PRESENCE_EVENTS refuses a commit for good: {description} (error {code}); `presence setup --dry-run` shows whether the stream is as it has to be"
    )]
    Refused {
        /// The server's error code.
        code: u64,
        /// Its words.
        description: String,
    },
}

/// Commits of one engine, one at a time.
#[derive(Debug)]
pub struct CommitLane {
    nats: Nats,
    owner: Owner,
    log_created: String,
    fold_version: u32,
    commits: u64,
    held: BTreeMap<u16, Held>,
    /// A commit was begun and its end not seen.
    open: bool,
}

/// A partition whose fence we have.
#[derive(Debug, Clone)]
struct Held {
    epoch: u64,
    known: Known,
}

impl CommitLane {
    /// A lane that owns nothing yet. `log_created` is [`LogIdentity::created`](super::LogIdentity::created) of the log
    /// that the positions are in, `fold_version` the version of the rules that made them.
    #[must_use]
    pub fn new(nats: &Nats, owner: Owner, log_created: &str, fold_version: u32) -> Self {
        let (nats, log_created) = (nats.clone(), log_created.to_owned());
        Self { nats, owner, log_created, fold_version, commits: 0, held: BTreeMap::new(), open: false }
    }

    /// Our epoch of a partition; `None` if we don't have its fence.
    #[must_use]
    pub fn epoch(&self, partition: u16) -> Option<u64> {
        self.held.get(&partition).map(|held| held.epoch)
    }

    /// Takes the fences of `partitions` in one batch, whoever has them, and gives the progress that was found, in the
    /// same order. Positions stay as they were. If somebody is quicker, it begins again; the last one has them. Tries
    /// for ever while NATS is away, as [`CommitLane::commit`] does.
    ///
    /// # Errors
    /// [`CommitError::ProgressUnreadable`] and [`CommitError::Refused`].
    ///
    /// # Panics
    /// If there are no partitions, more than a batch takes, or one comes twice.
    pub async fn take_fences(&mut self, partitions: &[u16]) -> Result<Vec<Fence>, CommitError> {
        assert!(!self.open, "a commit was dropped in this lane, its outcome is not known");
        self.open = true;
        let fences = loop {
            let found = self.read_all(partitions).await?;
            let commit = self.next_commit();
            let fences: Vec<_> = partitions.iter().zip(&found).map(|(p, found)| fence(*p, found.as_ref())).collect();
            let (parts, progress) =
                fences.iter().zip(found).map(|(fence, found)| self.taking(fence, found, &commit)).unzip();
            match self.drive(&commit, Vec::new(), parts, progress).await {
                Ok(()) => break fences,
                Err(CommitError::Refused { code, description }) => {
                    return Err(CommitError::Refused { code, description });
                }
                Err(loss) => info!(%loss, "somebody else was quicker, taking the fences again"),
            }
        };
        self.open = false;
        info!(owner = self.owner.as_str(), partitions = partitions.len(), "took the fences");
        Ok(fences)
    }

    /// Commits `batch`. Tries for ever while NATS is away: only dropping the future ends that, and the lane with it.
    ///
    /// # Errors
    /// [`CommitError`].
    ///
    /// # Panics
    /// If the batch has no progress or more messages than [`BATCH_MESSAGES_MAX`], if a partition's fence was not taken,
    /// and if an earlier commit was dropped or failed.
    pub async fn commit(&mut self, batch: Batch) -> Result<(), CommitError> {
        assert!(!self.open, "a commit failed or was dropped in this lane, its outcome is not known");
        assert!(batch.messages.len() + batch.progress.len() <= BATCH_MESSAGES_MAX, "a batch is within its limit");
        self.open = true;
        let commit = self.next_commit();
        let mut parts = Vec::with_capacity(batch.progress.len());
        let mut progress = Vec::with_capacity(batch.progress.len());
        for (partition, position) in batch.progress {
            let held = self.held.get(&partition).expect("only partitions whose fence we have are committed");
            parts.push(Part { partition, epoch: held.epoch, expected: Some(held.known.clone()) });
            progress.push(self.progress(held.epoch, &commit, position));
        }
        self.drive(&commit, batch.messages, parts, progress).await?;
        self.open = false;
        Ok(())
    }

    /// Does what the protocol asks for until it is content.
    async fn drive(
        &mut self,
        commit: &str,
        messages: Vec<OutMessage>,
        parts: Vec<Part>,
        progress: Vec<Progress>,
    ) -> Result<(), CommitError> {
        let outbound = Outbound::new(&self.nats, messages, &parts, &progress);
        let (mut protocol, mut step) =
            CommitProtocol::start(self.owner.as_str(), commit, parts.clone(), outbound.count());
        loop {
            let outcome = match step {
                Step::Publish { batch_id } => outbound.publish(&batch_id, protocol.attempts()).await,
                Step::ReadProgress { partition } => read_found(&self.nats, partition).await,
                Step::Wait { ms } => {
                    if ms >= protocol::WAIT_MS_MAX {
                        warn!(commit, attempts = protocol.attempts(), "a commit is still open, trying again");
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
                    Outcome::Waited
                }
                Step::Done(known) => {
                    debug!(commit, attempts = protocol.attempts(), messages = outbound.count(), "committed");
                    let held = parts.iter().zip(known);
                    self.held.extend(held.map(|(part, known)| (part.partition, Held { epoch: part.epoch, known })));
                    return Ok(());
                }
                Step::Lost(loss) => return Err(loss.into()),
                Step::Refused { code, description } => {
                    return Err(CommitError::Refused { code, description });
                }
            };
            tell(commit, &outcome);
            step = protocol.next(outcome);
        }
    }

    async fn read_all(&self, partitions: &[u16]) -> Result<Vec<Option<StoredProgress>>, CommitError> {
        // Collected first: a stream over the borrowing iterator would keep this future from being `Send`.
        let reads: Vec<_> = partitions.iter().map(|partition| read_until_answered(&self.nats, *partition)).collect();
        let mut found = Vec::with_capacity(partitions.len());
        let mut reads = stream::iter(reads).buffered(READS_AT_ONCE);
        while let Some(progress) = reads.next().await {
            found.push(progress?);
        }
        Ok(found)
    }

    fn next_commit(&mut self) -> String {
        self.commits += 1;
        format!("{}.{}", self.owner.as_str(), self.commits)
    }

    /// What takes a fence: the progress that was found, with us as its owner.
    fn taking(&self, fence: &Fence, found: Option<StoredProgress>, commit: &str) -> (Part, Progress) {
        let epoch = fence.epoch;
        let expected =
            found.as_ref().map(|found| Known { seq: found.seq, commit: found.progress.commit.as_str().into() });
        let progress = match found {
            Some(found) => {
                Progress { owner: self.owner.as_str().to_owned(), epoch, commit: commit.to_owned(), ..found.progress }
            }
            None => {
                let start = Position { input_seq: 0, input_ts: 0, k: 0, policy_hash: String::new(), generation: 0 };
                self.progress(epoch, commit, start)
            }
        };
        (Part { partition: fence.partition, epoch, expected }, progress)
    }

    fn progress(&self, epoch: u64, commit: &str, position: Position) -> Progress {
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
            policy_hash: position.policy_hash,
        }
    }
}

fn fence(partition: u16, found: Option<&StoredProgress>) -> Fence {
    let epoch = found.map_or(0, |found| found.progress.epoch) + 1;
    Fence { partition, epoch, found: found.map(|found| found.progress.clone()) }
}

/// Reads a progress, over and over until somebody answers.
async fn read_until_answered(nats: &Nats, partition: u16) -> Result<Option<StoredProgress>, CommitError> {
    let mut wait_ms = 10;
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
        tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(protocol::WAIT_MS_MAX);
    }
}

async fn read_found(nats: &Nats, partition: u16) -> Outcome {
    match read_progress(nats, partition).await {
        Ok(found) => Outcome::Progress(found.map(|StoredProgress { seq, progress }| Found {
            seq,
            commit: progress.commit.into(),
            owner: progress.owner.into(),
            epoch: progress.epoch,
        })),
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

impl From<Loss> for CommitError {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::TakenOver { partition, owner, epoch } => Self::FenceLost { partition, owner: owner.into(), epoch },
            Loss::Vanished { partition } => Self::ProgressVanished { partition },
            Loss::Rewound { partition, found, expected } => Self::ProgressRewound { partition, found, expected },
        }
    }
}

const _: () = assert!(PARTITIONS_MAX as usize <= BATCH_MESSAGES_MAX, "all fences are taken in one batch");
