//! Fenced atomic commits: a pure protocol, and the lane that drives it.

pub mod protocol;

use bytes::Bytes;

use super::Nats;
use crate::wire::Progress;

/// Most messages of a batch, progress included: the server's limit.
pub const BATCH_MESSAGES_MAX: usize = 1_000;

/// The name of an engine's life: another one for each start of a process, since commit ids are made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(Box<str>);

impl Owner {
    /// A new name that nobody else has.
    #[must_use]
    pub fn unique() -> Self {
        unimplemented!()
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
    /// The subject under which it is to be told, `presence.v1.…`.
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

/// What lands whole or not at all. At most [`BATCH_MESSAGES_MAX`] messages and positions together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// What is told, in this order.
    pub messages: Vec<OutMessage>,
    /// How far each partition was told with it; every partition of `messages` has to be here, each once.
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

/// Why a commit came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The partition is somebody else's now. Nothing of the batch counts for it; the lane is of no more use.
    #[error("fence lost")]
    FenceLost {
        /// The partition.
        partition: u16,
        /// Who has it.
        owner: String,
        /// Under which epoch.
        epoch: u64,
    },
    /// The server refuses this batch for good. Nothing of it was stored.
    #[error("refused")]
    Refused {
        /// The server's error code.
        code: u64,
        /// Its words.
        description: String,
    },
}

/// Commits of one engine, one at a time.
#[derive(Debug)]
pub struct CommitLane {}

impl CommitLane {
    /// A lane that owns nothing yet. `log_created` is [`LogIdentity::created`](super::LogIdentity::created) of the log
    /// that the positions are in.
    #[must_use]
    pub fn new(_nats: &Nats, _owner: Owner, _log_created: &str, _fold_version: u32) -> Self {
        unimplemented!()
    }

    /// Takes the fences of `partitions` in one batch, whoever has them; retries while others do the same.
    ///
    /// # Errors
    /// [`CommitError::Refused`].
    pub async fn take_fences(&mut self, _partitions: &[u16]) -> Result<Vec<Fence>, CommitError> {
        unimplemented!()
    }

    /// Commits `batch`. Tries for ever while NATS is away; only dropping the future ends that, and the lane with it.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit(&mut self, _batch: Batch) -> Result<(), CommitError> {
        unimplemented!()
    }
}
