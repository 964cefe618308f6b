//! A partition's progress: the fence, and the position up to which everything was told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Encoding, ReadError};

/// What `presence.v1.progress.<p>` holds: who owns the partition, and how far its log was told.
///
/// An event is told when its `(seq, k)` is below `(input_seq, k)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

impl Progress {
    /// The payload: JSON, whatever encoding events have.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`ReadError::Json`] if it is no progress.
    pub fn from_json(payload: &[u8]) -> Result<Self, ReadError> {
        serde_json::from_slice(payload).map_err(ReadError::Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_survives_its_payload_and_newer_fields() {
        let progress = Progress {
            v: 1,
            owner: "engine-1".to_owned(),
            epoch: 3,
            commit: "c-9".to_owned(),
            log_created: "2026-11-24T04:00:00.123456789Z".to_owned(),
            input_seq: u64::MAX,
            input_ts: 1_700_000_000_000,
            k: 2,
            generation: 1,
            fold_version: 1,
            policy_hash: "0123456789abcdef".to_owned(),
        };
        let json = progress.to_json();
        assert_eq!(Progress::from_json(&json).unwrap(), progress);
        let newer = String::from_utf8(json).unwrap().replacen('{', "{\"mood\":\"good\",", 1);
        assert_eq!(Progress::from_json(newer.as_bytes()).unwrap(), progress);
        assert!(Progress::from_json(b"{}").unwrap_err().to_string().contains("missing field `v`"));
    }
}
