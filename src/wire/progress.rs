//! A partition's progress: the fence, and the position up to which everything was told.

use serde::{Deserialize, Serialize};

/// What `presence.v1.progress.<p>` holds: who owns the partition, and how far its log was told.
///
/// An event is told when its `(seq, k)` is below `(input_seq, k)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Contract version.
    pub v: u8,
    /// The engine that owns the partition.
    pub owner: String,
    /// Grows with every change of owner.
    pub epoch: u64,
    /// The commit that wrote this.
    pub commit: String,
    /// When the log's stream was created, RFC 3339 as the server tells it: the log's identity.
    pub log_created: String,
    /// The log's stream sequence of the last entry of which something was told, or that a checkpoint covers.
    pub input_seq: u64,
    /// That entry's timestamp in milliseconds.
    pub input_ts: u64,
    /// How many of that entry's events were told.
    pub k: u32,
    /// Grows each time the log was lost.
    pub generation: u32,
    /// The version of the fold's rules.
    pub fold_version: u32,
    /// The policy in force at `input_seq`.
    pub policy_hash: String,
}
