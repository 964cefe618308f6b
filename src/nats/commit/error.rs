//! What a commit can come to beside success.

use super::protocol::Loss;

/// A partition that somebody else has by now. Of it nothing of the batch will ever be stored, unless it was before that; the
/// new owner knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition} was taken over by {owner} (epoch {epoch})")]
pub struct TakenOver {
    /// The partition.
    pub partition: u16,
    /// Who has it.
    pub owner: String,
    /// Under which epoch.
    pub epoch: u64,
}

/// Why a commit came to nothing. After any of these the lane is of no more use: a new life takes the fences and learns
/// from the progress what was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
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

/// Whom a loss concerns: one partition that another has now, or the whole stream.
pub(super) fn judge(loss: Loss) -> Result<TakenOver, CommitError> {
    match loss {
        Loss::TakenOver { partition, owner, epoch } => Ok(TakenOver { partition, owner: owner.into(), epoch }),
        Loss::Vanished { partition } => Err(CommitError::ProgressVanished { partition }),
        Loss::Rewound { partition, found, expected } => {
            Err(CommitError::ProgressRewound { partition, found, expected })
        }
    }
}
