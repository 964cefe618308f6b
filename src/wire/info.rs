//! What an engine tells of itself when it is asked: `presence.v1.info`, and `presence.v1.info.<engine>` of one by its name.
//!
//! Anybody may ask the first; the second is for operators. Positions in the log are told by the second only: they move with every
//! signal, also with those of somebody who is invisible.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Encoding, ReadError};

/// An engine, as it was within the last second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    /// The contract's version, `1.n`.
    pub contract: String,
    /// The engine's version.
    pub version: String,
    /// The log's partitions.
    pub partitions: u16,
    /// The version of the fold's rules.
    pub fold_version: u32,
    /// The engine's name for this life.
    pub owner: String,
    /// The version of the NATS server.
    pub server: String,
    /// Whether every partition that should be its own is live.
    pub live: bool,
    /// The engines that it sees as living, itself included.
    pub members: Vec<String>,
    /// The partitions that it follows, by number.
    pub owned: Vec<Owned>,
    /// How many questions (`wait`) wait in it.
    pub waiting: u64,
    /// The last entry of the log when it was asked by name; `null` where the log's leader did not answer.
    pub log_seq: Option<u64>,
}

/// A partition that an engine follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owned {
    /// The partition.
    pub partition: u16,
    /// The epoch of its fence.
    pub epoch: u64,
    /// The last log entry that was read for it; `null` unless asked by name.
    pub position: Option<u64>,
    /// The log's time there in milliseconds, 0 before the first entry; `null` unless asked by name.
    pub log_ms: Option<u64>,
    /// The last log entry of which something was told, or that a checkpoint covers; `null` unless asked by name.
    pub told_seq: Option<u64>,
    /// The newest checkpoint that this engine has stored of it.
    pub checkpoint: Option<Stored>,
    /// What of its log nobody watched, since this engine restored it.
    pub blind: Blind,
}

/// A checkpoint that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stored {
    /// The log entry that it stands behind; `null` unless asked by name.
    pub seq: Option<u64>,
    /// How long ago it was stored, in milliseconds.
    pub age_ms: u64,
}

/// Gaps of a partition's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blind {
    /// How many.
    pub gaps: u32,
    /// How long together, in milliseconds.
    pub total_ms: u64,
    /// The latest.
    pub latest: Option<Gap>,
}

/// A stretch of the log's time that nobody watched, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The entry before it.
    pub from_ms: u64,
    /// The entry behind it.
    pub to_ms: u64,
}

impl Blind {
    /// One more.
    pub fn add(&mut self, from_ms: u64, to_ms: u64) {
        self.gaps = self.gaps.saturating_add(1);
        self.total_ms = self.total_ms.saturating_add(to_ms.saturating_sub(from_ms));
        self.latest = Some(Gap { from_ms, to_ms });
    }
}

impl Info {
    /// What of it anybody may know.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.log_seq = None;
        for owned in &mut self.owned {
            (owned.position, owned.log_ms, owned.told_seq) = (None, None, None);
            if let Some(stored) = &mut owned.checkpoint {
                stored.seq = None;
            }
        }
        self
    }

    /// The answer: JSON, whatever encoding events have.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`ReadError::Json`] if it is none.
    pub fn from_json(answer: &[u8]) -> Result<Self, ReadError> {
        serde_json::from_slice(answer).map_err(ReadError::Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_and_the_latest_is_kept() {
        let mut blind = Blind::default();
        blind.add(1_000, 5_000);
        blind.add(9_000, 13_500);
        assert_eq!(blind, Blind { gaps: 2, total_ms: 8_500, latest: Some(Gap { from_ms: 9_000, to_ms: 13_500 }) });
    }
}
