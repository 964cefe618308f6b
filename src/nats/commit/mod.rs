//! Fenced atomic commits: what is committed, and the lane that commits it.
//!
//! [`protocol`] holds the rules and is pure; [`CommitLane`] (`lane`) has the fences and the commits under way, `writer` drives each
//! over a connection; `outbound` knows how a batch looks on the wire.

mod error;
mod lane;
mod outbound;
pub mod protocol;
mod writer;

use bytes::Bytes;

use super::{Nats, names};
use crate::model::PARTITIONS_MAX;
use crate::wire::Progress;
pub use error::{CommitError, TakenOver};
pub use lane::{Commit, CommitLane, Committed};
pub use outbound::{ReadError, StoredProgress, read_progress};

/// Most messages of a batch, progress included: the server's limit.
pub const BATCH_MESSAGES_MAX: usize = 1_000;
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

const _: () = assert!(PARTITIONS_MAX as usize <= BATCH_MESSAGES_MAX, "all fences are taken in one batch");
