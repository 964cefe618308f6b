//! The lane: one commit after the other, each driven by its protocol over a connection.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use tracing::{debug, info, warn};

use super::error::judge;
use super::outbound::Outbound;
use super::protocol::{self, CommitProtocol, Found, Known, Left, Loss, Outcome, Part, Step};
use super::{
    BATCH_MESSAGES_MAX, Batch, CommitError, Fence, Nats, Owner, Position, ReadError, StoredProgress, TakenOver,
    read_progress,
};
use crate::wire::Progress;

/// How many partitions' progress is read at a time when fences are taken.
const READS_AT_ONCE: usize = 32;

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
    /// A lane that owns nothing yet. `log_created` is [`LogIdentity::created`](crate::nats::LogIdentity::created) of the log
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
            let (parts, progress): (Vec<_>, Vec<_>) = (parts, progress);
            let nats = self.nats.clone();
            let mut outbound = Outbound::new(&nats, Vec::new());
            outbound.close(&parts, &progress);
            match self.drive(&commit, &outbound, &parts).await? {
                None => break fences,
                Some(loss) => info!(?loss, "somebody else was quicker, taking the fences again"),
            }
        };
        self.open = false;
        info!(owner = self.owner.as_str(), partitions = partitions.len(), "took the fences");
        Ok(fences)
    }

    /// Commits `batch`, and returns the partitions that turned out to be somebody else's: of them nothing was committed, unless
    /// it was before they were taken over, and the lane has their fences no more. Everything of the others is committed.
    ///
    /// Tries for ever while NATS is away: only dropping the future ends that, and the lane with it.
    ///
    /// # Errors
    /// [`CommitError`].
    ///
    /// # Panics
    /// If the batch has no progress or more messages than [`BATCH_MESSAGES_MAX`], if a partition's fence was not taken,
    /// and if an earlier commit was dropped or failed.
    pub async fn commit(&mut self, batch: Batch) -> Result<Vec<TakenOver>, CommitError> {
        assert!(!self.open, "a commit failed or was dropped in this lane, its outcome is not known");
        assert!(batch.messages.len() + batch.progress.len() <= BATCH_MESSAGES_MAX, "a batch is within its limit");
        self.open = true;
        let Batch { messages, mut progress } = batch;
        let nats = self.nats.clone();
        let (mut outbound, mut lost) = (Outbound::new(&nats, messages), Vec::new());
        while !progress.is_empty() {
            let commit = self.next_commit();
            let parts: Vec<Part> = progress.iter().map(|(partition, _)| self.part(*partition)).collect();
            let positions = parts.iter().zip(&progress);
            let written: Vec<_> =
                positions.map(|(part, (_, position))| self.progress(part.epoch, &commit, position)).collect();
            outbound.close(&parts, &written);
            let Some(loss) = self.drive(&commit, &outbound, &parts).await? else { break };
            lost.push(judge(loss)?);
            if self.has_landed(&commit, &parts, &mut lost).await? {
                break;
            }
            // What is lost can't land any more, so its batch can't: what is left of it is another commit.
            let is_kept = |partition: u16| lost.iter().all(|lost| lost.partition != partition);
            outbound.retain(is_kept);
            progress.retain(|(partition, _)| is_kept(*partition));
            info!(commit, left = progress.len(), "sending again what is left of a commit");
        }
        for TakenOver { partition, .. } in &lost {
            self.held.remove(partition);
        }
        self.open = false;
        Ok(lost)
    }

    fn part(&self, partition: u16) -> Part {
        let held = self.held.get(&partition).expect("only partitions whose fence we have are committed");
        Part { partition, epoch: held.epoch, expected: Some(held.known.clone()) }
    }

    /// Whether a commit that has lost a partition, the last of `lost`, had landed: the others of its batch tell. Notes what else
    /// is lost.
    async fn has_landed(
        &mut self,
        commit: &str,
        parts: &[Part],
        lost: &mut Vec<TakenOver>,
    ) -> Result<bool, CommitError> {
        let known = lost.last().map(|lost| lost.partition);
        let mut landed = false;
        for part in parts.iter().filter(|part| Some(part.partition) != known) {
            let mut asked = 0;
            let left = loop {
                match part.left(self.owner.as_str(), commit, self.found(part.partition).await) {
                    Left::Lost(Loss::Vanished { .. } | Loss::Rewound { .. }) if asked < protocol::SUSPICIONS_MAX => {
                        asked += 1;
                        tokio::time::sleep(Duration::from_millis(protocol::SUSPICION_MS)).await;
                    }
                    left => break left,
                }
            };
            match left {
                Left::Landed(known) => {
                    landed = true;
                    self.held.insert(part.partition, Held { epoch: part.epoch, known });
                }
                Left::Open => {}
                Left::Lost(loss) => lost.push(judge(loss)?),
            }
        }
        Ok(landed)
    }

    /// A partition's progress, asked for until it is answered.
    async fn found(&self, partition: u16) -> Option<Found> {
        let mut wait_ms = 10;
        loop {
            self.nats.connected().await;
            if let Outcome::Progress(found) = read_found(&self.nats, partition).await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            wait_ms = (wait_ms * 2).min(protocol::WAIT_MS_MAX);
        }
    }

    /// Does what the protocol asks for until it is content, or a loss ends it.
    async fn drive(
        &mut self,
        commit: &str,
        outbound: &Outbound<'_>,
        parts: &[Part],
    ) -> Result<Option<Loss>, CommitError> {
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
                    let held = parts.iter().zip(known);
                    self.held.extend(held.map(|(part, known)| (part.partition, Held { epoch: part.epoch, known })));
                    return Ok(None);
                }
                Step::Lost(loss) => return Ok(Some(loss)),
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
                self.progress(epoch, commit, &start)
            }
        };
        (Part { partition: fence.partition, epoch, expected }, progress)
    }

    fn progress(&self, epoch: u64, commit: &str, position: &Position) -> Progress {
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
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
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
