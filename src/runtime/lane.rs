//! The commit lane in a task of its own, so that folding goes on while commits are under way.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::ask::Woken;
use super::outbox::COMMITS_AT_ONCE;
use crate::nats::{Batch, CommitError, CommitLane, Fence, TakenOver};

/// What the lane is asked to do.
#[derive(Debug)]
enum Job {
    Commit(Batch, Woken),
    /// Only while nothing else is under way.
    Fence(Vec<u16>),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything is committed of these partitions but what is of those that are `lost`, which are somebody else's by now.
    Committed { partitions: Vec<u16>, lost: Vec<TakenOver>, woken: Woken },
    /// The fences are taken.
    Fenced(Vec<Fence>),
}

/// The way to the lane.
#[derive(Debug)]
pub(crate) struct Lane {
    jobs: mpsc::Sender<Job>,
    outcomes: mpsc::Receiver<Result<Outcome, CommitError>>,
    commits: usize,
    is_fencing: bool,
}

impl Lane {
    pub(crate) fn start(lane: CommitLane) -> Self {
        let (jobs, waiting) = mpsc::channel(COMMITS_AT_ONCE);
        let (tell, outcomes) = mpsc::channel(COMMITS_AT_ONCE);
        tokio::spawn(work(lane, waiting, tell));
        Self { jobs, outcomes, commits: 0, is_fencing: false }
    }

    /// Whether it is at something.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_fencing || self.commits > 0
    }

    /// Whether a commit may start.
    pub(crate) fn takes_commits(&self) -> bool {
        !self.is_fencing && self.commits < COMMITS_AT_ONCE
    }

    /// Starts a commit; `woken` comes back with its outcome.
    pub(crate) fn commit(&mut self, batch: Batch, woken: Woken) {
        assert!(self.takes_commits(), "no more commits than it takes");
        self.commits += 1;
        self.start_job(Job::Commit(batch, woken));
    }

    /// Starts to take fences.
    pub(crate) fn fence(&mut self, partitions: Vec<u16>) {
        assert!(!self.is_busy(), "fences are taken while nothing else is under way");
        self.is_fencing = true;
        self.start_job(Job::Fence(partitions));
    }

    fn start_job(&mut self, job: Job) {
        // Where the lane has ended, the error that ended it is the next outcome.
        if let Err(TrySendError::Full(job)) = self.jobs.try_send(job) {
            unreachable!("the lane holds all that it takes, but not {job:?}");
        }
    }

    /// What came of something that it is at. Cancel-safe.
    pub(crate) async fn outcome(&mut self) -> Result<Outcome, CommitError> {
        let outcome = self.outcomes.recv().await.expect("the lane answers each job");
        match outcome {
            Ok(Outcome::Fenced(_)) => self.is_fencing = false,
            Ok(Outcome::Committed { .. }) => self.commits -= 1,
            // It has ended.
            Err(_) => {}
        }
        outcome
    }
}

/// Does what it is asked until something fails or nobody asks any more; what is under way then is dropped.
async fn work(mut lane: CommitLane, mut jobs: mpsc::Receiver<Job>, tell: mpsc::Sender<Result<Outcome, CommitError>>) {
    let mut commits = FuturesUnordered::new();
    loop {
        let outcome = tokio::select! {
            job = jobs.recv() => match job {
                None => return,
                Some(Job::Fence(partitions)) => lane.take_fences(&partitions).await.map(Outcome::Fenced),
                Some(Job::Commit(batch, woken)) => {
                    let partitions = batch.progress.iter().map(|(partition, _)| *partition).collect();
                    let commit = lane.begin(batch).run();
                    commits.push(async move { (commit.await, partitions, woken) });
                    continue;
                }
            },
            Some((committed, partitions, woken)) = commits.next() => {
                committed.map(|committed| Outcome::Committed { partitions, lost: lane.end(committed), woken })
            }
        };
        let failed = outcome.is_err();
        if tell.send(outcome).await.is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_that_starts_behind_one_that_failed_leaves_its_error_to_be_told() {
        let (jobs, waiting) = mpsc::channel(COMMITS_AT_ONCE);
        let (tell, outcomes) = mpsc::channel(COMMITS_AT_ONCE);
        let mut lane = Lane { jobs, outcomes, commits: 1, is_fencing: false };
        let error = CommitError::Refused { code: 10_054, description: "too large".to_owned() };
        tell.send(Err(error.clone())).await.unwrap();
        drop((waiting, tell));
        assert!(lane.takes_commits());
        lane.commit(Batch::default(), Woken::default());
        assert_eq!(lane.outcome().await.unwrap_err(), error);
    }
}
