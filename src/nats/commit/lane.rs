//! The lane: what an engine may commit, since it has the fences, and the commits that are under way.
//!
//! A commit takes the fences of its partitions with it and brings them back, so two that are under way never have a partition in
//! common: each is driven by its protocol as if it were alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::error::judge;
use super::outbound::Outbound;
use super::protocol::{self, Known, Left, Loss, Part};
use super::writer::{Landing, Writer};
use super::{BATCH_MESSAGES_MAX, Batch, CommitError, Fence, Nats, Owner, StoredProgress, TakenOver};

/// The fences that an engine has, and its commits.
#[derive(Debug)]
pub struct CommitLane {
    writer: Arc<Writer>,
    held: BTreeMap<u16, Held>,
    /// How many commits were begun and not ended.
    under_way: usize,
}

/// A partition whose fence we have.
#[derive(Debug, Clone)]
struct Held {
    epoch: u64,
    known: Known,
}

/// A commit under way, with the fences of its partitions. Dropped, they are lost with it, since its outcome is not known.
#[derive(Debug)]
#[must_use]
pub struct Commit {
    writer: Arc<Writer>,
    batch: Batch,
    held: BTreeMap<u16, Held>,
}

/// A commit that came to its end, with the fences that it brings back.
#[derive(Debug)]
#[must_use]
pub struct Committed {
    held: BTreeMap<u16, Held>,
    lost: Vec<TakenOver>,
}

impl CommitLane {
    /// A lane that owns nothing yet. `log_created` is [`LogIdentity::created`](crate::nats::LogIdentity::created) of the log
    /// that the positions are in, `fold_version` the version of the rules that made them.
    #[must_use]
    pub fn new(nats: &Nats, owner: Owner, log_created: &str, fold_version: u32) -> Self {
        let writer = Arc::new(Writer::new(nats, owner, log_created, fold_version));
        Self { writer, held: BTreeMap::new(), under_way: 0 }
    }

    /// Our epoch of a partition; `None` if we don't have its fence, or a commit of it is under way.
    #[must_use]
    pub fn epoch(&self, partition: u16) -> Option<u64> {
        self.held.get(&partition).map(|held| held.epoch)
    }

    /// Takes the fences of `partitions` in one batch, whoever has them, and gives the progress that was found, in the
    /// same order. Positions stay as they were. If somebody is quicker, it begins again; the last one has them. Tries
    /// for ever while NATS is away: only dropping the future ends that, and the lane with it.
    ///
    /// # Errors
    /// [`CommitError::ProgressUnreadable`] and [`CommitError::Refused`].
    ///
    /// # Panics
    /// If there are no partitions, more than a batch takes, or one comes twice; if a commit is under way, failed or was dropped.
    pub async fn take_fences(&mut self, partitions: &[u16]) -> Result<Vec<Fence>, CommitError> {
        assert_eq!(self.under_way, 0, "a commit is under way in this lane, or its outcome is not known");
        self.under_way += 1;
        for partition in partitions {
            self.held.remove(partition);
        }
        let writer = Arc::clone(&self.writer);
        let (fences, parts, known) = loop {
            let found = writer.read_all(partitions).await?;
            let commit = writer.next_commit();
            let fences: Vec<_> = partitions.iter().zip(&found).map(|(p, found)| fence(*p, found.as_ref())).collect();
            let (parts, progress) =
                fences.iter().zip(found).map(|(fence, found)| writer.taking(fence, found, &commit)).unzip();
            let (parts, progress): (Vec<_>, Vec<_>) = (parts, progress);
            let mut outbound = Outbound::new(&writer.nats, Vec::new());
            outbound.close(&parts, &progress);
            match writer.drive(&commit, &outbound, &parts).await? {
                Landing::Landed(known) => break (fences, parts, known),
                Landing::Lost(loss) => info!(?loss, "somebody else was quicker, taking the fences again"),
            }
        };
        self.held.extend(held(&parts, known));
        self.under_way -= 1;
        info!(owner = writer.owner.as_str(), partitions = partitions.len(), "took the fences");
        Ok(fences)
    }

    /// Begins to commit `batch`; nothing is sent before [`Commit::run`].
    ///
    /// # Panics
    /// If the batch has no progress or more messages than [`BATCH_MESSAGES_MAX`], and if a partition's fence was not taken, or
    /// another commit has it: one under way, or one that failed or was dropped.
    pub fn begin(&mut self, batch: Batch) -> Commit {
        let messages = batch.messages.len() + batch.progress.len();
        assert!(messages <= BATCH_MESSAGES_MAX && !batch.progress.is_empty(), "a batch is within its limits");
        let take = |(partition, _): &(u16, _)| {
            let held =
                self.held.remove(partition).expect("a partition is committed by who has its fence, once at a time");
            (*partition, held)
        };
        let held = batch.progress.iter().map(take).collect();
        self.under_way += 1;
        Commit { writer: Arc::clone(&self.writer), batch, held }
    }

    /// Ends a commit, and returns the partitions that turned out to be somebody else's: of them nothing was committed, unless
    /// it was before they were taken over, and the lane has their fences no more. Everything of the others is committed.
    pub fn end(&mut self, committed: Committed) -> Vec<TakenOver> {
        self.under_way -= 1;
        self.held.extend(committed.held);
        committed.lost
    }

    /// Commits `batch`: [`CommitLane::begin`], [`Commit::run`] and [`CommitLane::end`].
    ///
    /// # Errors
    /// [`CommitError`].
    ///
    /// # Panics
    /// As [`CommitLane::begin`].
    pub async fn commit(&mut self, batch: Batch) -> Result<Vec<TakenOver>, CommitError> {
        let committed = self.begin(batch).run().await?;
        Ok(self.end(committed))
    }
}

impl Commit {
    /// Commits it. Tries for ever while NATS is away: only dropping the future ends that, and the fences with it.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn run(mut self) -> Result<Committed, CommitError> {
        let Batch { messages, mut progress } = std::mem::take(&mut self.batch);
        let writer = Arc::clone(&self.writer);
        let (mut outbound, mut lost) = (Outbound::new(&writer.nats, messages), Vec::new());
        while !progress.is_empty() {
            let commit = writer.next_commit();
            let parts: Vec<Part> = progress.iter().map(|(partition, _)| self.part(*partition)).collect();
            let positions = parts.iter().zip(&progress);
            let written: Vec<_> =
                positions.map(|(part, (_, position))| writer.progress(part.epoch, &commit, position)).collect();
            outbound.close(&parts, &written);
            match writer.drive(&commit, &outbound, &parts).await? {
                Landing::Landed(known) => {
                    self.held.extend(held(&parts, known));
                    break;
                }
                Landing::Lost(loss) => lost.push(judge(loss)?),
            }
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
        Ok(Committed { held: self.held, lost })
    }

    fn part(&self, partition: u16) -> Part {
        let held = self.held.get(&partition).expect("a commit has the fences of its partitions");
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
                match part.left(self.writer.owner.as_str(), commit, self.writer.found(part.partition).await) {
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
}

/// The fences that parts have left behind.
fn held(parts: &[Part], known: Vec<Known>) -> impl Iterator<Item = (u16, Held)> {
    parts.iter().zip(known).map(|(part, known)| (part.partition, Held { epoch: part.epoch, known }))
}

fn fence(partition: u16, found: Option<&StoredProgress>) -> Fence {
    let epoch = found.map_or(0, |found| found.progress.epoch) + 1;
    Fence { partition, epoch, found: found.map(|found| found.progress.clone()) }
}
