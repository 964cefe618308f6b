//! The commit lane in a task of its own, so that folding goes on while a commit is under way.

use tokio::sync::mpsc;

use crate::nats::{Batch, CommitError, CommitLane, Fence, TakenOver};

/// What the lane is asked to do: one thing at a time.
#[derive(Debug)]
enum Job {
    Commit(Batch),
    Fence(Vec<u16>),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything is committed but what is of these partitions, which are somebody else's by now.
    Committed(Vec<TakenOver>),
    /// The fences are taken.
    Fenced(Vec<Fence>),
}

/// The way to the lane.
#[derive(Debug)]
pub(crate) struct Lane {
    jobs: mpsc::Sender<Job>,
    outcomes: mpsc::Receiver<Result<Outcome, CommitError>>,
    is_busy: bool,
}

impl Lane {
    pub(crate) fn start(mut lane: CommitLane) -> Self {
        let (jobs, mut waiting) = mpsc::channel(1);
        let (tell, outcomes) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(job) = waiting.recv().await {
                let outcome = match job {
                    Job::Commit(batch) => lane.commit(batch).await.map(Outcome::Committed),
                    Job::Fence(partitions) => lane.take_fences(&partitions).await.map(Outcome::Fenced),
                };
                let failed = outcome.is_err();
                if tell.send(outcome).await.is_err() || failed {
                    return;
                }
            }
        });
        Self { jobs, outcomes, is_busy: false }
    }

    /// Whether it is at something.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Starts a commit.
    pub(crate) fn commit(&mut self, batch: Batch) {
        self.start_job(Job::Commit(batch));
    }

    /// Starts to take fences.
    pub(crate) fn fence(&mut self, partitions: Vec<u16>) {
        self.start_job(Job::Fence(partitions));
    }

    fn start_job(&mut self, job: Job) {
        assert!(!self.is_busy, "the lane does one thing at a time");
        self.is_busy = true;
        self.jobs.try_send(job).expect("the lane ends only with its outcome");
    }

    /// What came of what it is at. Cancel-safe.
    pub(crate) async fn outcome(&mut self) -> Result<Outcome, CommitError> {
        let outcome = self.outcomes.recv().await.expect("the lane answers each job");
        self.is_busy = false;
        outcome
    }
}
