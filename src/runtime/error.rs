//! Why the engine ended.

use crate::nats::{CheckpointError, CommitError, LogError, MembershipError};

/// Why the engine ended other than by being told to. Whatever was acknowledged is in the log and will be told by the next
/// engine.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Another engine took over, or the server refuses what has to be committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The checkpoints can't be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The others can't be seen, or we not by them.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// Something that NATS has to answer failed.
    #[error("{what} failed: {cause}; check the server, then start the engine again: it resumes where it was")]
    Nats {
        /// What.
        what: &'static str,
        /// What was answered.
        cause: String,
    },
    /// Something that was asked beside the engine was not answered. Nothing was changed.
    #[error("{what} failed: {cause}; check the server and try again")]
    Unanswered {
        /// What.
        what: &'static str,
        /// What was answered.
        cause: String,
    },
    /// Another version of the fold left work behind that only it can finish.
    #[error(
        "partition {partition} was folded by version {found} of the rules up to log entry {seq}, this engine has version \
         {own}; start the engine of the other version once more and end it with SIGTERM, so that it leaves a checkpoint \
         exactly there"
    )]
    FoldVersion {
        /// The partition.
        partition: u16,
        /// The version that folded it.
        found: u32,
        /// Our version.
        own: u32,
        /// Its progress.
        seq: u64,
    },
    /// The shutdown did not get through to NATS in time.
    #[error(
        "{pending} events were not committed within {seconds} s of the shutdown, NATS did not answer; nothing is lost, the \
         next start derives them from the log"
    )]
    Shutdown {
        /// How many.
        pending: usize,
        /// The limit.
        seconds: u64,
    },
}

impl RuntimeError {
    /// Whether it may be over with the next try.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Checkpoint(_) | Self::Nats { .. } | Self::Membership(_) | Self::Log(LogError::Server(_)))
    }
}
